//! Releases with a rollout plan: proposed, shown to those who sign, refused where the plan is a slip.

use perennial_schemas::Document;
use perennial_schemas::release::Release;

use super::{TEAM, propose, with_images};
use crate::signer::desk::{Desk, publish};
use crate::signer::transcripts::{golden, transcript};

/// A desk with images and `plan.toml`, the preset canary-week from 2026-12-01 on.
pub(crate) fn with_plan() -> Desk {
    let desk = with_images();
    desk.add_key("rollout");
    let plan = desk.path("plan.toml");
    desk.ok(&format!(
        "rollout new {} --preset canary-week --key rollout.pub.json --start 2026-12-01T06:00:00Z",
        plan.display()
    ));
    desk
}

/// A transcript in which what is drawn anew each time has no figures: the salt, and so every digest of the manifest.
fn told(desk: &Desk, commands: &[&str]) -> String {
    let text = transcript(desk, commands);
    let text = text.replace(desk.path("").to_str().unwrap().trim_end_matches('/'), "DESK");
    let words = text.split_inclusive(|letter: char| !letter.is_ascii_hexdigit());
    let masked = words.map(|word| {
        let digits = word.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit());
        match digits.len() {
            64 => word.replace(digits, "SHA256"),
            6 if digits.bytes().any(|byte| byte.is_ascii_digit()) => word.replace(digits, "ID"),
            _ => word.to_owned(),
        }
    });
    masked.collect()
}

/// The manifest of a version, as it is published.
fn manifest(desk: &Desk, version: &str) -> Release {
    let files = std::fs::read_dir(desk.path("repo/targets/thermostat")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let end = format!(".{version}.release.json");
    let path = files.find(|path| path.to_str().unwrap().ends_with(&end)).unwrap();
    Release::parse(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_plan_lies_before_everybody_who_signs_it() {
    let desk = with_plan();
    let propose = propose(&desk, "1.0.0", "v1.bin", "--rollout plan.toml");
    let text = told(&desk, &[&propose, "review"]);
    // Whatever six hexadecimal digits the proposal's id has, it is masked or a word of letters alone.
    let id = text.rsplit("review 20261121-release-thermostat-1.0.0-").next().unwrap();
    let id = id.split_whitespace().next().unwrap();
    golden("release-rollout.txt", &text.replace(&format!("1.0.0-{id}"), "1.0.0-ID"));
}

#[test]
fn each_release_draws_its_own_order_of_devices() {
    let desk = with_plan();
    let mut salts = Vec::new();
    for version in ["1.0.0", "1.1.0"] {
        desk.ok(&propose(&desk, version, "v1.bin", "--rollout plan.toml"));
        publish(&desk, &TEAM);
        let release = manifest(&desk, version);
        assert_eq!(release.requires, ["rollout"]);
        salts.push(release.rollout.unwrap().salt);
    }
    assert_eq!(salts[0].as_bytes().len(), 32);
    assert_ne!(salts[0], salts[1]);
    let shown = desk.ok("inspect thermostat/1.1.0.release.json");
    assert!(shown.contains("2026-12-01T06:00:00Z  to 1 % at once"), "{shown}");
}

#[test]
fn a_plan_of_the_past_and_a_stranger_to_the_release_are_refused() {
    let desk = with_plan();
    let plan = std::fs::read_to_string(desk.path("plan.toml")).unwrap();
    desk.write("past.toml", &plan.replace("2026-12-01", "2026-11-01"));
    desk.write("stranger.toml", &plan.replacen("\n[[phase]]", "hardware = [\"revX\"]\n\n[[phase]]", 1));
    desk.write("begun.toml", &plan.replace("2026-12-01", "2026-11-20"));
    let refused = desk.refused(&propose(&desk, "1.0.0", "v1.bin", "--rollout past.toml"));
    assert!(refused.contains("every device would get the release at once"), "{refused}");
    let lint = desk.run("rollout lint past.toml");
    assert!(!lint.ok && lint.stdout.starts_with("error, over: its last phase began"), "{lint:?}");
    let refused = desk.refused(&propose(&desk, "1.0.0", "v1.bin", "--rollout stranger.toml"));
    assert!(refused.contains("names hardware revX, for which there is no image"), "{refused}");
    let said = desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--rollout begun.toml"));
    assert!(said.contains("warning      past: its first phase began at 2026-11-20T06:00:00Z"), "{said}");
}
