//! Attacks by somebody who holds no key, but can write where the repository's folder travels: a share, git, a stick.

use std::fs;
use std::path::PathBuf;

use super::desk::{Desk, established};

/// A proposal that gives one year more.
fn extension() -> Desk {
    let desk = established();
    desk.ok("product extend thermostat --support-until 2032-12 --reason \"One more year.\"");
    desk
}

fn only_file(folder: PathBuf) -> PathBuf {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn edit(path: &PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Takes the proposal's file away and lays another of the same length into the repository, under the name of the first:
/// what a signer would then be shown is not what the signature is for.
fn lay_another_under_its_name(desk: &Desk) {
    let file = only_file(desk.proposal().join("targets/thermostat"));
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let place = desk.path("repo/targets/thermostat").join(file.file_name().unwrap());
    fs::write(place, text.replace("One more year.", "One less fear.")).unwrap();
}

#[test]
fn a_file_laid_into_the_repository_is_not_shown_for_the_one_that_is_signed() {
    let desk = extension();
    lay_another_under_its_name(&desk);
    for command in ["review", "sign --key erin.key"] {
        let refused = desk.refused(command);
        assert!(refused.contains("support.json is not the one that is vouched for"), "{command}: {refused}");
    }
}

#[test]
fn a_file_laid_into_the_repository_is_not_published_for_the_one_that_was_signed() {
    let desk = extension();
    for person in ["erin", "frank", "dora", "tess"] {
        desk.ok(&format!("sign --key {person}.key"));
    }
    lay_another_under_its_name(&desk);
    let refused = desk.refused("publish");
    assert!(refused.contains("support.json"), "{refused}");
}

/// An image is only measured, never shown: it is measured wherever it lies.
#[test]
fn a_large_file_laid_into_the_repository_is_measured() {
    let desk = extension();
    let image = "0".repeat(64);
    let digest = perennial_schemas::Digest::sha256(&perennial_signer::crypto::Ring, image.as_bytes());
    let entry = format!(
        "\"thermostat/1.0.0.revC.image.zst\": {{\"hashes\": {{\"sha256\": \"{digest}\"}}, \"length\": 64}},"
    );
    edit(
        &desk.proposal().join("metadata/thermostat.json"),
        "\"targets\": {",
        &format!("\"targets\": {{ {entry}"),
    );
    let place = desk.path(&format!("repo/targets/thermostat/{digest}.1.0.0.revC.image.zst"));
    fs::write(&place, &image).unwrap();
    desk.ok("review");
    fs::write(&place, "1".repeat(64)).unwrap();
    assert!(desk.refused("sign --key erin.key").contains("is not the one that is vouched for"));
}

#[test]
fn a_published_promise_edited_on_disk_makes_no_shorter_one_pass() {
    let desk = established();
    let support = only_file(desk.path("repo/targets/thermostat"));
    edit(&support, "2031-12-31", "2029-12-31");
    let refused = desk.refused("product extend thermostat --support-until 2030-12 --reason less");
    assert!(refused.contains("support.json is not the one that is vouched for"), "{refused}");
}
