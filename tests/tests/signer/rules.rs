//! Proposals that somebody without a key has edited, and repositories with odd things in them: what people must never be
//! brought to sign.

use std::fs;
use std::path::Path;

use perennial_schemas::Digest as _;
use perennial_signer::crypto::Ring;
use serde_json::{Value, json};

use super::desk::{Desk, established, publish};
use crate::release::{propose, release, with_images};

/// Changes what is to be signed for a role of the only proposal.
pub(super) fn rewrite(desk: &Desk, role: &str, edit: impl FnOnce(&mut Value)) {
    let path = desk.proposal().join(format!("metadata/{role}.json"));
    let mut body: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut body["signed"]);
    fs::write(path, serde_json::to_vec_pretty(&body).unwrap()).unwrap();
}

/// Lays a target file into a proposal; what a role says of it.
pub(super) fn lay(proposal: &Path, path: &str, bytes: &[u8]) -> Value {
    let digest = Ring.sha256(bytes).to_string();
    let (folder, name) = path.split_once('/').unwrap();
    let folder = proposal.join("targets").join(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{digest}.{name}")), bytes).unwrap();
    json!({"length": bytes.len(), "hashes": {"sha256": digest}})
}

/// Changes a small target file of the only proposal, and lets the role vouch for it.
pub(super) fn retell(desk: &Desk, role: &str, path: &str, from: &str, to: &str) {
    let proposal = desk.proposal();
    rewrite(desk, role, |signed| {
        let listed = &mut signed["targets"][path];
        let digest = listed["hashes"]["sha256"].as_str().unwrap();
        let (folder, name) = path.split_once('/').unwrap();
        let old = proposal.join(format!("targets/{folder}/{digest}.{name}"));
        let text = fs::read_to_string(&old).unwrap();
        assert!(text.contains(from), "{text}");
        fs::remove_file(old).unwrap();
        *listed = lay(&proposal, path, text.replace(from, to).as_bytes());
    });
}

const MANIFEST: &str = "thermostat/1.1.0.release.json";

#[test]
fn a_security_version_that_falls_or_leaps_is_refused() {
    let desk = with_images();
    desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--security-version 4"));
    publish(&desk, &["erin", "frank", "dora", "tess"]);
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", "--security-version 5"));
    for (from, to) in [("5", "3"), ("3", "21"), ("21", "4294967295")] {
        let number = |number| format!("\"security_version\": {number}");
        retell(&desk, "thermostat", MANIFEST, &number(from), &number(to));
        for command in ["review", "sign --key erin.key"] {
            let refused = desk.refused(command);
            assert!(
                refused.contains(&format!("has security version {to}, where 4 to 20 may follow")),
                "{refused}"
            );
        }
    }
}

#[test]
fn a_rebased_release_never_falls_below_what_was_published_meanwhile() {
    let desk = with_images();
    desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--security-version 7"));
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", ""));
    for person in ["erin", "frank", "dora", "tess"] {
        desk.ok(&format!("sign 1.0.0 --key {person}.key"));
    }
    desk.ok("publish 1.0.0");
    let refused = desk.refused("rebase 1.1.0");
    assert!(refused.contains("has security version 1, where 7 to 23 may follow"), "{refused}");
}

#[test]
fn a_release_that_was_promised_for_longer_is_not_taken_out() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    let role = fs::read_dir(desk.path("repo/metadata")).unwrap().map(|entry| entry.unwrap().path());
    let role: Value = serde_json::from_slice(
        &fs::read(role.filter(|path| path.to_str().unwrap().ends_with(".thermostat.json")).max().unwrap())
            .unwrap(),
    )
    .unwrap();
    let paths: Vec<&String> = role["signed"]["targets"].as_object().unwrap().keys().collect();
    let gone = paths.iter().filter(|path| path.contains("/1.0.0."));
    assert_eq!(gone.clone().count(), 4, "{paths:?}");
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    let whole = fs::read(desk.proposal().join("metadata/thermostat.json")).unwrap();
    for path in gone {
        rewrite(&desk, "thermostat", |signed| {
            signed["targets"].as_object_mut().unwrap().remove(path.as_str()).unwrap();
        });
        let refused = desk.refused("sign --key erin.key");
        assert!(refused.contains(&format!("{path} would go or change, and was promised until")), "{refused}");
        fs::write(desk.proposal().join("metadata/thermostat.json"), &whole).unwrap();
    }
    desk.ok("sign --key erin.key");
}

/// What targets lists itself is found first, so a date there would stand in the place of the product's.
#[test]
fn targets_never_lists_what_a_product_vouches_for() {
    let desk = established();
    desk.ok("product team thermostat --key erin.pub.json");
    let proposal = desk.proposal();
    rewrite(&desk, "targets", |signed| {
        signed["targets"]["thermostat/support.json"] = lay(&proposal, "thermostat/support.json", b"{}");
    });
    let refused = desk.refused("sign --key alice.key");
    assert!(refused.contains("targets would list thermostat/support.json itself"), "{refused}");
}

#[test]
fn a_team_delegates_only_inside_its_folder_and_to_roles_of_its_own() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    let key: Value = serde_json::from_slice(&fs::read(desk.path("erin.pub.json")).unwrap()).unwrap();
    let id = key["keyid"].as_str().unwrap();
    for (name, pattern, told) in [
        ("thermostat-parts", "kettle/*", "what doesn't lie under thermostat/"),
        ("thermostat-parts", "*/*", "what doesn't lie under thermostat/"),
        ("thermostat", "thermostat/*", "a role that isn't its own"),
        ("targets", "thermostat/*", ""),
    ] {
        rewrite(&desk, "thermostat", |signed| {
            signed["delegations"] = json!({"keys": {id: key["key"]}, "roles": [{
                "name": name, "keyids": [id], "threshold": 1, "terminating": true, "paths": [pattern],
            }]});
        });
        let refused = desk.refused("sign --key frank.key");
        assert!(refused.contains(told), "{name} {pattern}: {refused}");
    }
}

/// A role to which a team delegates some of its files: what it said of support, channels and releases nobody would judge.
#[test]
fn records_channels_and_manifests_stand_in_the_product_s_own_role() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    let key: Value = serde_json::from_slice(&fs::read(desk.path("erin.pub.json")).unwrap()).unwrap();
    let id = key["keyid"].as_str().unwrap();
    rewrite(&desk, "thermostat", |signed| {
        signed["delegations"] = json!({"keys": {id: key["key"]}, "roles": [{
            "name": "thermostat-parts", "keyids": [id], "threshold": 1, "terminating": true,
            "paths": ["thermostat/*"],
        }]});
    });
    let proposal = desk.proposal();
    let about = proposal.join("proposal.json");
    let mut joined: Value = serde_json::from_slice(&fs::read(&about).unwrap()).unwrap();
    joined["base"]["thermostat-parts"] = Value::Null;
    fs::write(&about, joined.to_string()).unwrap();
    for (name, refused) in [
        ("support.json", true),
        ("beta.channel.json", true),
        ("1.0.0.release.json", true),
        ("parts.bin", false),
    ] {
        let path = format!("thermostat/{name}");
        fs::copy(proposal.join("metadata/thermostat.json"), proposal.join("metadata/thermostat-parts.json"))
            .unwrap();
        rewrite(&desk, "thermostat-parts", |signed| {
            signed["version"] = 1.into();
            signed.as_object_mut().unwrap().remove("delegations");
            signed["targets"] = json!({&path: lay(&proposal, &path, b"{}")});
        });
        let ran = desk.run("review");
        let told = format!("thermostat-parts would list {path}, which only the product's own role may");
        assert_eq!(ran.stderr.contains(&told), refused, "{name}: {}", ran.stderr);
        assert_eq!(ran.ok, !refused, "{name}: {}", ran.stderr);
        let digest = Ring.sha256(b"{}");
        fs::remove_file(proposal.join(format!("targets/thermostat/{digest}.{name}"))).unwrap();
    }
}

/// They could vouch for any path, and the review doesn't show whose they are.
#[test]
fn succinct_roles_are_refused_unless_published_already() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    let key: Value = serde_json::from_slice(&fs::read(desk.path("erin.pub.json")).unwrap()).unwrap();
    let id = key["keyid"].as_str().unwrap();
    rewrite(&desk, "thermostat", |signed| {
        signed["delegations"] = json!({"keys": {id: key["key"]}, "succinct_roles": {
            "keyids": [id], "threshold": 1, "bit_length": 2, "name_prefix": "thermostat-parts",
        }});
    });
    for command in ["review", "sign --key erin.key"] {
        let refused = desk.refused(command);
        assert!(refused.contains("thermostat would delegate to succinct roles"), "{command}: {refused}");
    }
}

/// By that day files of old releases are let go: a carrier can't set it ahead.
#[test]
fn what_says_it_was_made_ahead_of_the_clock_is_not_signed() {
    for (role, key) in [("root", "alice"), ("thermostat", "erin")] {
        let desk = established();
        desk.add_key("gina");
        desk.ok(if role == "root" {
            "root rotate carol gina.pub.json"
        } else {
            "support extend thermostat --until 2032-12 --reason more"
        });
        let at = |time: &str| {
            rewrite(&desk, role, |signed| signed["signed_at"] = format!("2026-11-21T{time}Z").into());
        };
        at("10:00:01");
        let refused = desk.refused(&format!("sign --key {key}.key"));
        assert!(
            refused.contains(&format!("{role} says that it was made 2026-11-21T10:00:01Z, and the clock")),
            "{refused}"
        );
        // An hour is for clocks that are apart.
        at("10:00:00");
        desk.ok(&format!("sign --key {key}.key"));
    }
}

/// A signer's clock that ran ahead agrees with itself: whoever publishes asks another one.
#[test]
fn what_says_it_was_made_ahead_of_the_clock_is_not_published() {
    for (role, ahead) in [("thermostat", true), ("snapshot", false)] {
        let desk = established();
        let two_hours = |here: bool| desk.wait(if here { 7200 } else { 0 });
        two_hours(ahead);
        desk.ok("support extend thermostat --until 2032-12 --reason more");
        desk.ok("sign --key erin.key");
        desk.ok("sign --key frank.key");
        two_hours(!ahead);
        desk.ok("sign --key dora.key");
        desk.ok("sign --key tess.key");
        desk.wait(-7200);
        let refused = desk.refused("publish");
        assert!(refused.contains(&format!("{role} says that it was made 2026-11-21T11:00:00Z")), "{refused}");
        desk.wait(3600);
        desk.ok("publish");
    }
}

/// People know keys by their ids: another key under an id that they know would pass unseen.
#[test]
fn another_key_never_comes_under_a_known_id() {
    let desk = established();
    desk.add_key("mallory");
    let mallory: Value = serde_json::from_slice(&fs::read(desk.path("mallory.pub.json")).unwrap()).unwrap();
    let carol: Value = serde_json::from_slice(&fs::read(desk.path("carol.pub.json")).unwrap()).unwrap();
    desk.ok("product team thermostat --key carol.pub.json");
    rewrite(&desk, "targets", |signed| {
        signed["delegations"]["keys"][carol["keyid"].as_str().unwrap()] = mallory["key"].clone();
    });
    let refused = desk.refused("sign --key alice.key");
    assert!(refused.contains("would list another key under the id"), "{refused}");
}

#[test]
fn nothing_in_a_proposal_acts_upon_the_terminal() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason \"One more year.\"");
    let forged = "more.\\u001b[2J\\u202e\\r\\ntargets: version 9";
    retell(&desk, "thermostat", "thermostat/support.json", "One more year.", forged);
    let review = desk.ok("review");
    assert!(!review.contains(['\u{1b}', '\u{202e}', '\r']), "{review:?}");
    assert!(review.contains("more.\\u{1b}[2J\\u{202e}\\u{d}\n      | targets: version 9"), "{review}");
    let about = desk.proposal().join("proposal.json");
    let text = fs::read_to_string(&about).unwrap();
    fs::write(&about, text.replace("\"summary\": \"", "\"summary\": \"\\u001b[31m")).unwrap();
    assert!(desk.refused("review").contains("the summary is not one line of plain text"));
}

#[test]
fn links_and_pipes_in_a_proposal_are_neither_followed_nor_waited_for() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    let place = desk.proposal().join("targets/thermostat/odd");
    std::os::unix::fs::symlink("/dev/null", &place).unwrap();
    let refused = desk.run("review");
    assert!(
        !refused.ok && refused.stderr.contains("odd is neither a file nor a folder"),
        "{}",
        refused.stderr
    );
    fs::remove_file(&place).unwrap();
    let made = std::process::Command::new("mkfifo").arg(desk.proposal().join("signatures")).status().unwrap();
    assert!(made.success());
    let refused = desk.run("review");
    assert!(!refused.ok && refused.stderr.contains("is neither a file nor a folder"), "{}", refused.stderr);
}
