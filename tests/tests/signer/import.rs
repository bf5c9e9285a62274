//! Repositories that other tools made.

use std::fs;

use super::desk::{Desk, established, publish};

/// A repository of ours, spelt as other tools spell it: unversioned root, and target files under plain names or with
/// tough's digest before the folder.
fn foreign(desk: &Desk, spell: impl Fn(&str, &str) -> String) {
    let (metadata, targets) = (desk.path("theirs/metadata"), desk.path("theirs/targets"));
    fs::create_dir_all(&metadata).unwrap();
    for entry in fs::read_dir(desk.path("repo/metadata")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, metadata.join(path.file_name().unwrap())).unwrap();
    }
    fs::copy(metadata.join("1.root.json"), metadata.join("root.json")).unwrap();
    for entry in fs::read_dir(desk.path("repo/targets/thermostat")).unwrap() {
        let path = entry.unwrap().path();
        let (digest, name) = path.file_name().unwrap().to_str().unwrap().split_once('.').unwrap();
        let place = targets.join(spell(digest, &format!("thermostat/{name}")));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&path, place).unwrap();
    }
    fs::remove_dir_all(desk.path("repo")).unwrap();
}

#[test]
fn a_repository_of_another_tool_goes_on_here() {
    for spell in [
        |_: &str, path: &str| path.to_owned(),
        |digest: &str, path: &str| format!("{digest}.{path}"),
        |digest: &str, path: &str| path.replace("thermostat/", &format!("thermostat/{digest}.")),
    ] {
        let desk = established();
        foreign(&desk, spell);
        let report = desk.ok(&format!("repository import {}", desk.path("theirs/metadata").display()));
        assert!(report.contains("Took in root 1, 2 role(s) and 1 target file(s)"), "{report}");
        desk.ok("support extend thermostat --until 2032-12 --reason more");
        publish(&desk, &["erin", "frank", "dora", "tess"]);
        desk.ok("check --all");
    }
}

#[test]
fn a_damaged_repository_is_not_taken_in() {
    let desk = established();
    foreign(&desk, |_, path| path.to_owned());
    fs::write(desk.path("theirs/targets/thermostat/support.json"), "{}").unwrap();
    let refused = desk.refused(&format!("repository import {}", desk.path("theirs/metadata").display()));
    assert!(refused.contains("its file has another length or digest"), "{refused}");
    fs::remove_file(desk.path("theirs/metadata/2.targets.json")).unwrap();
    desk.refused(&format!("repository import {}", desk.path("theirs/metadata").display()));
}
