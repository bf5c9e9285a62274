//! A product whose list is split into hashed bins: releases, promises, teams and devices go on as before.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use perennial_schemas::{Digest as _, Timestamp};
use perennial_signer::repository::bins;
use serde_json::{Value, json};

use super::desk::{DAY, Desk, publish};
use super::rules::{lay, rewrite};
use crate::release::{TEAM, propose, release, with_images};

/// 1.0.0 is published, then the list is split.
fn split() -> Desk {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    desk.ok("product bins thermostat");
    publish(&desk, &TEAM);
    desk
}

/// The newest file of a role, and how many targets it lists.
fn newest(desk: &Desk, role: &str) -> (u64, Value) {
    let files = fs::read_dir(desk.path("repo/metadata")).unwrap().map(|entry| entry.unwrap().path());
    let version = |path: &std::path::PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_suffix(&format!(".{role}.json"))?.parse().ok()
    };
    let newest = files.filter_map(|path| Some((version(&path)?, path))).max().unwrap();
    let file: Value = serde_json::from_slice(&fs::read(newest.1).unwrap()).unwrap();
    (newest.0, file["signed"].clone())
}

/// The bin that lists a target.
fn bin_of(desk: &Desk, path: &str) -> String {
    let names = (0..64).map(|number| format!("thermostat.bin-{number:02x}"));
    let lists = |bin: &String| newest(desk, bin).1["targets"].get(path).is_some();
    let bins: Vec<String> = names.filter(lists).collect();
    assert_eq!(bins.len(), 1, "{path}: {bins:?}");
    bins[0].clone()
}

#[test]
fn a_split_says_in_plain_words_what_moves_and_needs_the_team_alone() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    let said = desk.ok("product bins thermostat");
    assert!(said.contains("+ spreads the files of releases over 64 bins, thermostat.bin-…:"), "{said}");
    assert!(said.contains("devices load a part of the list; 2 of 2 keys must sign each bin"), "{said}");
    assert!(said.contains("= 4 targets move into its bins, as they stand"), "{said}");
    assert!(
        said.contains("thermostat.bin-… (64 of them): new, expires 2027-11-21\n  = takes over 4 targets"),
        "{said}"
    );
    assert!(!said.contains("1.0.0.release.json"), "what only moves is not told as new: {said}");
    let status = desk.ok("status");
    assert!(status.contains("thermostat.bin-… (64 of them)  0 of 2; 2 more of"), "{status}");
    let refused = desk.refused("publish");
    assert!(refused.contains("thermostat.bin-… (64 of them) needs 2 more"), "{refused}");
    let signed = desk.ok("sign --key erin.key");
    assert!(signed.contains("Signed thermostat 3, thermostat.bin-… (64 of them)\n"), "{signed}");
    publish(&desk, &["frank", "dora", "tess"]);
    desk.ok("check --all");
    let (_, own) = newest(&desk, "thermostat");
    let own: Vec<&String> = own["targets"].as_object().unwrap().keys().collect();
    assert_eq!(own, ["thermostat/stable.channel.json", "thermostat/support.json"]);
    let status = desk.ok("status");
    assert_eq!(status.matches("thermostat.bin-").count(), 1, "{status}");
    assert!(desk.refused("product bins thermostat").contains("thermostat has bins already"));
}

#[test]
fn a_release_touches_the_bins_of_its_files_alone() {
    let desk = split();
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", ""));
    let bodies: BTreeSet<String> = fs::read_dir(desk.proposal().join("metadata"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().trim_end_matches(".json").to_owned())
        .collect();
    let review = desk.ok("review");
    assert!(review.contains("Release 1.1.0 of thermostat: functionality."), "{review}");
    assert!(!review.contains("takes over"), "{review}");
    publish(&desk, &TEAM);
    let files = ["release.json", "revC.image.index", "revC.image.zst", "revC.image.zst.index"];
    let mut expected: BTreeSet<String> =
        files.iter().map(|file| bin_of(&desk, &format!("thermostat/1.1.0.{file}"))).collect();
    expected.insert("thermostat".into());
    assert_eq!(bodies, expected);
    desk.ok("check --all");
    let shown = desk.ok("channel show thermostat");
    assert!(shown.contains("1.0.0            on stable\n1.1.0            on stable"), "{shown}");
}

#[test]
fn promises_hold_over_a_product_and_its_bins() {
    let desk = split();
    assert!(desk.refused(&propose(&desk, "1.0.0", "v2.bin", "")).contains("has a release 1.0.0 already"));
    let refused = desk.refused(&propose(&desk, "1.1.0", "v2.bin", "--security-version 18"));
    assert!(refused.contains("security version 18 can't follow 1"), "{refused}");
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", "--security-version 9"));
    publish(&desk, &TEAM);
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    publish(&desk, &TEAM);
    desk.ok("withdraw thermostat 1.0.0 --reason \"It overheats.\"");
    publish(&desk, &TEAM);
    assert!(desk.ok("channel show thermostat").contains("withdrawn: It overheats."));
    desk.ok("archive thermostat --before-support-ends");
    publish(&desk, &["alice", "bob", "erin", "frank", "dora", "tess"]);
    desk.wait_days(3000);
    desk.ok("check --all");
}

/// Somebody with write access, and no key, edits a proposal of a product with bins.
#[test]
fn what_a_hand_writes_into_bins_is_refused() {
    let desk = split();
    let manifest = "thermostat/1.0.0.release.json";
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", ""));
    let proposal = desk.proposal();
    let refused = |role: &str, words: &str, edit: &dyn Fn(&mut Value)| {
        let path = proposal.join(format!("metadata/{role}.json"));
        let before = fs::read(&path).unwrap();
        rewrite(&desk, role, edit);
        let refused = desk.refused("sign --key erin.key");
        assert!(refused.contains(words), "{words}: {refused}");
        fs::write(path, before).unwrap();
    };
    let stray = lay(&proposal, manifest, b"{}");
    refused("thermostat", "would list thermostat/1.0.0.release.json itself", &|signed| {
        signed["targets"][manifest] = stray.clone();
    });
    fs::remove_file(proposal.join(format!(
        "targets/thermostat/{}.1.0.0.release.json",
        stray["hashes"]["sha256"].as_str().unwrap()
    )))
    .unwrap();
    refused("thermostat", "would give up its bins", &|signed| {
        signed.as_object_mut().unwrap().remove("delegations");
    });
    refused("thermostat", "bins that are not those of its team", &|signed| {
        signed["delegations"]["roles"][0]["threshold"] = json!(1);
    });
    let new = bin_of_proposal(&proposal, "thermostat/1.1.0.release.json");
    let product = "thermostat".parse().unwrap();
    let [strange, other] = ["kettle", "thermostat"].map(|folder| {
        let here = |path: &String| bins::of_path(&product, path).as_str() == new;
        let mut paths = (0..).map(|number| format!("{folder}/{number}.sbom"));
        paths.find(|path| here(path) == (folder == "kettle")).unwrap()
    });
    for (path, words) in [(strange, "which does not belong there"), (other, "which it was not delegated")] {
        refused(&new, words, &|signed| signed["targets"][&path] = lay(&proposal, &path, b"x"));
        let (folder, name) = path.split_once('/').unwrap();
        let digest = perennial_signer::crypto::Ring.sha256(b"x");
        fs::remove_file(proposal.join(format!("targets/{folder}/{digest}.{name}"))).unwrap();
    }
    desk.ok("sign --key erin.key");
}

fn bin_of_proposal(proposal: &Path, path: &str) -> String {
    let bodies = fs::read_dir(proposal.join("metadata")).unwrap().map(|entry| entry.unwrap().path());
    let lists = |file: &std::path::PathBuf| {
        let body: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        body["signed"]["targets"].get(path).is_some()
    };
    let found = bodies.into_iter().find(lists).unwrap();
    found.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_release_that_a_bin_lists_is_not_taken_out() {
    let desk = split();
    release(&desk, "1.1.0", "v2.bin");
    let bin = bin_of(&desk, "thermostat/1.0.0.revC.image.zst");
    desk.ok("product team thermostat --key carol.pub.json");
    rewrite(&desk, &bin, |signed| {
        signed["targets"].as_object_mut().unwrap().remove("thermostat/1.0.0.revC.image.zst").unwrap();
    });
    let refused = desk.refused("sign --key carol.key");
    assert!(refused.contains("1.0.0.revC.image.zst would go or change, and was promised until"), "{refused}");
}

/// The new team's keys are those of the bins, which it signs anew; the old team's count for nothing any more.
#[test]
fn a_team_hands_its_bins_over() {
    let desk = split();
    desk.add_key("gina");
    desk.ok("product team thermostat --key gina.pub.json");
    let review = desk.ok("review");
    assert!(review.contains("~ spreads anew the files of releases over 64 bins"), "{review}");
    assert!(review.contains("thermostat.bin-… (64 of them): expires"), "{review}");
    publish(&desk, &["alice", "bob", "gina", "dora", "tess"]);
    desk.ok("check --all");
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", ""));
    assert!(desk.refused("sign --key erin.key").contains("has no say"));
    publish(&desk, &["gina", "dora", "tess"]);
    desk.add_key("hugo");
    desk.ok("root rotate gina hugo.pub.json");
    publish(&desk, &["alice", "bob", "hugo", "dora", "tess"]);
    desk.ok("check --all");
}

/// Two proposals, made of the same state: the split is published, and the release then goes into the bins; and the other way.
#[test]
fn a_split_and_a_release_meet() {
    for first in ["bins", "1.1.0"] {
        let desk = with_images();
        release(&desk, "1.0.0", "v1.bin");
        desk.ok("product bins thermostat");
        desk.ok(&propose(&desk, "1.1.0", "v2.bin", ""));
        let second = if first == "bins" { "1.1.0" } else { "bins" };
        for person in TEAM {
            desk.ok(&format!("sign {first} --key {person}.key"));
        }
        desk.ok(&format!("publish {first}"));
        assert!(
            desk.refused(&format!("publish {second}")).contains("somebody else has published thermostat")
        );
        desk.ok(&format!("rebase {second}"));
        publish(&desk, &TEAM);
        desk.ok("check --all");
        let (_, own) = newest(&desk, "thermostat");
        assert_eq!(own["targets"].as_object().unwrap().len(), 2, "{first}");
        bin_of(&desk, "thermostat/1.0.0.release.json");
        bin_of(&desk, "thermostat/1.1.0.release.json");
        assert!(desk.ok("channel show thermostat").contains("1.1.0            on stable"));
    }
}

/// Whoever signs a release signs the bins anew that are past half of their time, so that none expires unseen.
#[test]
fn a_bin_past_half_of_its_time_is_signed_with_the_next_release() {
    let desk = split();
    desk.wait_days(200);
    let status = desk.ok("status");
    assert_eq!(status.matches("any change to its product signs it anew").count(), 1, "{status}");
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", ""));
    let bodies = fs::read_dir(desk.proposal().join("metadata")).unwrap().count();
    assert_eq!(bodies, 65);
    publish(&desk, &TEAM);
    let status = desk.ok("status");
    assert!(!status.contains("any change to its product"), "{status}");
    assert!(status.contains("first of 64 bins, 2 of 2 keys, version 2, expires 2028-06-08"), "{status}");
}

/// The signer's folder, the server's verdict on its bundle, and a device that installs from it.
#[test]
fn a_server_takes_a_split_product_in_and_a_device_installs_from_it() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    let now = || Timestamp::from_unix(desk.now() + DAY / 2);
    let server = |args: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let clock = now();
        let mut io = perennial_server::io::Io {
            stdout: &mut out,
            stderr: &mut err,
            now: std::sync::Arc::new(move || clock),
            terminal: false,
        };
        let words = std::iter::once("perennial-server").chain(args.iter().copied());
        let code = perennial_server::run(words.map(Into::into), &mut io);
        assert_eq!(
            format!("{code:?}"),
            format!("{:?}", std::process::ExitCode::SUCCESS),
            "{}",
            String::from_utf8_lossy(&err)
        );
    };
    let path = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    let (state, root, bundle) = (path("server"), path("repo/metadata/1.root.json"), path("site.bundle"));
    let take_in = || {
        desk.ok(&format!("bundle {bundle}"));
        server(&["ingest", &bundle, "--state", &state]);
    };
    server(&["init", "--state", &state, "--root", &root]);
    take_in();
    let device = |args: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (config, state) = (path("device/device.toml"), path("device/state"));
        let words = ["perennial-device", "--config", &config, "--state", &state];
        let words = words.into_iter().chain(args.iter().copied()).map(OsString::from);
        let clock = now();
        let code =
            perennial_device::run(words, &mut perennial_device::Io::new(&mut out, &mut err, move || clock));
        let said = String::from_utf8([out, err].concat()).unwrap();
        assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS), "{said}");
        said
    };
    device(&[
        "init",
        "--root",
        &root,
        "--server",
        &path("repo"),
        "--product",
        "thermostat",
        "--hardware",
        "revC",
        "--id",
        "d1",
        "--simulate-boot",
    ]);
    device(&["update"]);
    let slot =
        |name: &str| fs::read(desk.path(&format!("device/state/slots/{name}.img"))).unwrap_or_default();
    assert_eq!(slot("b"), fs::read(desk.path("v1.bin")).unwrap());

    desk.ok("product bins thermostat");
    publish(&desk, &TEAM);
    take_in();
    release(&desk, "1.1.0", "v2.bin");
    take_in();
    let said = device(&["update"]);
    assert!(said.contains("1.1.0 works: confirmed."), "{said}");
    assert_eq!(slot("a"), fs::read(desk.path("v2.bin")).unwrap());
}
