//! A release from its image to a device's trust.

use std::fs;
use std::path::PathBuf;

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{
    FetchError, Limits, MetadataSource, Refresh, Request, StoreError, TrustState, TrustStore, drive, walk_all,
};
use perennial_schemas::release::Release;
use perennial_schemas::{Document, Timestamp};

use super::{TEAM, propose, release, with_images};
use crate::signer::desk::{Desk, publish};

/// `metadata/` of a repository's folder, as a device reads it from a USB stick.
struct Folder(PathBuf);

impl MetadataSource for Folder {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        Ok(fs::read(self.0.join(&request.path)).ok())
    }
}

struct Forget;

impl TrustStore for Forget {
    fn save(&mut self, _: &TrustState) -> Result<(), StoreError> {
        Ok(())
    }
}

fn born(desk: &Desk) -> (TrustState, Folder) {
    let metadata = desk.path("repo/metadata");
    let root = fs::read(metadata.join("1.root.json")).unwrap();
    (TrustState::new(&root, &Ring).unwrap(), Folder(metadata))
}

/// 2026-11-21T10:00:00Z, an hour after the desk's clock.
fn later() -> Timestamp {
    Timestamp::from_unix(1_795_255_200)
}

#[test]
fn a_device_finds_what_was_published() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    release(&desk, "1.1.0", "v2.bin");
    let (state, mut source) = born(&desk);
    let mut refresh = Refresh::new(state, &Ring, later(), Limits::default());
    drive(&mut refresh, &mut source, &mut Forget).unwrap();
    refresh.find(&"thermostat/1.1.0.release.json".parse().unwrap()).unwrap();
    drive(&mut refresh, &mut source, &mut Forget).unwrap();
    let found = refresh.found().unwrap();
    let manifest = fs::read(desk.path("repo/targets").join(&found.location)).unwrap();
    let manifest = Release::parse(&manifest).unwrap();
    assert_eq!(manifest.images[0].length, 350_000);
    let (state, mut source) = born(&desk);
    let walked = walk_all(state, &Ring, later(), Limits::default(), &mut source, &mut Forget).unwrap();
    let targets: usize = walked.roles.iter().map(|role| role.targets.len()).sum();
    // Two releases of four files, the channel and the support record.
    assert_eq!((walked.roles.len(), targets), (2, 10));
    assert!(walked.roles.iter().all(|role| role.ignored.is_empty()));
}

#[test]
fn every_payload_is_read_by_check_all_and_a_torn_one_is_told() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    let report = desk.ok("check --all --json");
    assert!(report.contains("\"files\": 6") && report.contains("\"releases\": 1"), "{report}");
    let targets = desk.path("repo/targets/thermostat");
    let payload = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path());
    let payload = payload.into_iter().find(|path| path.extension().is_some_and(|end| end == "zst")).unwrap();
    let mut bytes = fs::read(&payload).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(&payload, bytes).unwrap();
    desk.ok("check");
    let refused = desk.refused("check --all");
    assert!(refused.contains("error: thermostat/1.0.0.revC.image.zst should have"), "{refused}");
    assert!(desk.refused("bundle torn.bundle").contains("should have"));
    assert!(!desk.path("torn.bundle").exists());
}

/// The team's proposal is checked with a payload that was exchanged after everybody had signed.
#[test]
fn a_payload_exchanged_before_publishing_is_refused() {
    let desk = with_images();
    desk.ok(&propose(&desk, "1.0.0", "v1.bin", ""));
    for person in TEAM {
        desk.ok(&format!("sign --key {person}.key"));
    }
    let targets = desk.proposal().join("targets/thermostat");
    let payload = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path());
    let payload = payload.into_iter().find(|path| path.extension().is_some_and(|end| end == "zst")).unwrap();
    let mut bytes = fs::read(&payload).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&payload, bytes).unwrap();
    let refused = desk.refused("publish");
    assert!(refused.contains("thermostat/1.0.0.revC.image.zst"), "{refused}");
}

#[test]
fn an_archive_holds_for_years_with_no_server() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    assert!(desk.refused("archive thermostat").contains("is supported until 2031-12-31"));
    // January 2032: everything has expired.
    desk.wait_days(5 * 365 + 50);
    assert!(desk.refused("check").contains("expired"));
    desk.ok("archive thermostat");
    publish(&desk, &["alice", "bob", "erin", "frank", "dora", "tess"]);
    desk.ok("check --all");
    desk.wait_days(9 * 365);
    desk.ok("check --all");
    let (state, mut source) = born(&desk);
    let then = later().plus_days(14 * 365 + 50);
    walk_all(state, &Ring, then, Limits::default(), &mut source, &mut Forget).unwrap();
}

#[test]
fn a_snapshot_is_renewed_without_another_change() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    desk.wait_days(29);
    desk.ok("snapshot");
    publish(&desk, &["dora", "tess"]);
    desk.wait_days(20);
    desk.ok("check");
    desk.wait_days(11);
    let refused = desk.refused("check");
    assert!(refused.contains("snapshot") && refused.contains("expired"), "{refused}");
}

#[test]
fn a_withdrawn_release_is_gone_from_every_channel() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    release(&desk, "1.1.0", "v2.bin");
    desk.ok("channel create thermostat beta");
    publish(&desk, &TEAM);
    desk.ok("channel offer thermostat 1.1.0 --channel beta");
    publish(&desk, &TEAM);
    let review = desk.ok("withdraw thermostat 1.1.0 --reason \"It overheats.\"");
    assert!(review.contains("Channel beta would offer 1.1.0 no more."), "{review}");
    publish(&desk, &TEAM);
    let shown = desk.ok("channel show thermostat");
    assert!(shown.contains("1.1.0            withdrawn: It overheats."), "{shown}");
    assert!(
        desk.refused("channel offer thermostat 1.1.0 --channel beta").contains("devices refuse it for good")
    );
}

/// Two releases in the making at the same time: the second is rebased, and its images are not read anew.
#[test]
fn two_releases_at_once_meet_in_the_channel() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    desk.ok(&propose(&desk, "1.1.0", "v1.bin", ""));
    desk.ok(&propose(&desk, "1.2.0", "v2.bin", ""));
    for person in TEAM {
        desk.ok(&format!("sign 1.1.0 --key {person}.key"));
    }
    desk.ok("publish 1.1.0");
    assert!(desk.refused("sign 1.2.0 --key erin.key").contains("rebase"));
    let review = desk.ok("rebase 1.2.0");
    assert!(review.contains("Channel stable would offer 1.2.0."), "{review}");
    publish(&desk, &TEAM);
    let shown = desk.ok("channel show thermostat");
    assert_eq!(shown.matches("on stable").count(), 3, "{shown}");
    desk.ok("check --all");
}

/// Two withdrawals in the making at the same time: the second is told that it was overtaken, and rebased holds beside the first.
#[test]
fn two_withdrawals_at_once_meet_in_the_channel() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    release(&desk, "1.1.0", "v2.bin");
    for version in ["1.0.0", "1.1.0"] {
        desk.ok(&format!("withdraw thermostat {version} --reason \"It overheats.\""));
    }
    for person in TEAM {
        desk.ok(&format!("sign 1.0.0 --key {person}.key"));
    }
    desk.ok("publish 1.0.0");
    for command in ["sign 1.1.0 --key erin.key", "review 1.1.0", "publish 1.1.0"] {
        let refused = desk.refused(command);
        assert!(refused.contains("somebody else has published thermostat"), "{refused}");
        assert!(refused.contains("perennial-signer --repo DESK/repo rebase"), "{refused}");
    }
    desk.ok("rebase 1.1.0");
    publish(&desk, &TEAM);
    let shown = desk.ok("channel show thermostat");
    assert_eq!(shown.matches("withdrawn: It overheats.").count(), 2, "{shown}");
    let refused = desk.refused("withdraw thermostat 1.1.0 --reason \" \"");
    assert!(refused.contains("a withdrawal has a reason, and this one is empty"), "{refused}");
}
