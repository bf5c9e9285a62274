//! Proposals: what is refused, what is shown, what a cut in the middle leaves.

use std::fs;

use super::desk::{Desk, established, publish};

fn edit(path: std::path::PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn extension() -> Desk {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason \"One more year.\"");
    desk
}

#[test]
fn a_shorter_support_period_is_refused() {
    let desk = established();
    let refused = desk.refused("support extend thermostat --until 2031-12-30 --reason less");
    assert!(refused.contains("security updates were promised until 2031-12-31"), "{refused}");
    assert!(refused.contains("hint: give 2031-12-31 or a later date"), "{refused}");
}

/// The rule holds for whatever a proposal's files say, not only for what the command made.
#[test]
fn a_shorter_support_period_written_by_hand_is_refused() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    let targets = desk.proposal().join("targets/thermostat");
    let old = fs::read_dir(&targets).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&old)
        .unwrap()
        .replace("2032-12-31", "2029-12-31")
        .replace("2031-12-31", "2029-12-31");
    let digest =
        perennial_schemas::Digest::sha256(&perennial_signer::crypto::Ring, text.as_bytes()).to_string();
    let name = old.file_name().unwrap().to_str().unwrap().to_owned();
    let (was, _) = name.split_once('.').unwrap();
    fs::remove_file(&old).unwrap();
    fs::write(targets.join(format!("{digest}.support.json")), text).unwrap();
    edit(desk.proposal().join("metadata/thermostat.json"), was, &digest);
    let refused = desk.refused("sign --key erin.key");
    assert!(refused.contains("security updates were promised until 2031-12-31"), "{refused}");
}

#[test]
fn a_proposal_changed_after_somebody_signed_says_so() {
    let desk = extension();
    desk.ok("sign --key erin.key");
    edit(desk.proposal().join("metadata/thermostat.json"), "\"expires\": \"2027", "\"expires\": \"2029");
    for command in ["review", "sign --key frank.key", "publish"] {
        let refused = desk.refused(command);
        assert!(refused.contains("was changed after key"), "{command}: {refused}");
    }
    assert!(desk.ok("status").contains("was changed after key"));
}

/// Somebody left a bad signature in Erin's name, and Frank's good one twice: the first is told, and taken away by hand; of
/// the others only good ones are published, each once.
#[test]
fn a_bad_signature_is_told_and_a_doubled_one_counts_once() {
    let desk = extension();
    desk.ok("sign --key erin.key");
    desk.ok("sign --key frank.key");
    let signatures = desk.proposal().join("signatures");
    let names: Vec<_> = fs::read_dir(&signatures).unwrap().map(|entry| entry.unwrap().path()).collect();
    let of = |keyid: &str| names.iter().find(|path| path.to_str().unwrap().contains(keyid)).unwrap();
    let (erin, frank) = (of(".dee4516f"), of(".c3fde74f"));
    fs::copy(frank, signatures.join("thermostat.again.json")).unwrap();
    let text = fs::read_to_string(erin).unwrap();
    let (before, sig) = text.split_once("\"sig\": \"").unwrap();
    fs::write(erin, format!("{before}\"sig\": \"0000{}", &sig[4..])).unwrap();
    let refused = desk.refused("publish");
    assert!(refused.contains("the signature of key dee4516fcac6eec3 over thermostat"), "{refused}");
    fs::remove_file(erin).unwrap();
    assert!(desk.refused("publish").contains("thermostat needs 1 more"));
    publish(&desk, &["erin", "dora", "tess"]);
    let file = fs::read_to_string(desk.path("repo/metadata/2.thermostat.json")).unwrap();
    assert_eq!(file.matches("\"keyid\"").count(), 2, "{file}");
    desk.ok("check --all");
}

#[test]
fn a_proposal_without_its_snapshot_is_refused() {
    let desk = extension();
    edit(desk.proposal().join("proposal.json"), "\"snapshot\": true", "\"snapshot\": false");
    assert!(desk.refused("review").contains("brings no snapshot"));
}

#[test]
fn a_changed_target_file_is_refused() {
    let desk = extension();
    let targets = desk.proposal().join("targets/thermostat");
    let file = fs::read_dir(targets).unwrap().next().unwrap().unwrap().path();
    edit(file, "One more year.", "One more YEAR.");
    for command in ["review", "sign --key frank.key"] {
        let refused = desk.refused(command);
        assert!(refused.contains("is not the one that is vouched for"), "{refused}");
    }
}

#[test]
fn an_odd_entry_among_the_proposals_stops_nobody() {
    let desk = extension();
    let proposals = desk.path("repo/proposals");
    fs::write(proposals.join("notes.txt"), "x").unwrap();
    fs::create_dir(proposals.join("empty")).unwrap();
    std::os::unix::fs::symlink(desk.proposal_named("support-extend"), proposals.join("link")).unwrap();
    let status = desk.ok("status");
    assert!(
        status.contains(
            "! the proposal empty can't be read: can't read DESK/repo/proposals/empty/proposal.json"
        ),
        "{status}"
    );
    assert_eq!(status.matches("Proposal 2026").count(), 1, "{status}");
    fs::remove_dir(proposals.join("empty")).unwrap();
    desk.ok("sign --key erin.key");
}

#[test]
fn a_file_that_nobody_vouches_for_is_refused() {
    let desk = extension();
    fs::write(desk.proposal().join("targets/thermostat/extra"), "x").unwrap();
    assert!(desk.refused("review").contains("vouches for no such file"));
}

#[test]
fn a_team_that_reaches_outside_its_product_is_refused() {
    let desk = extension();
    edit(
        desk.proposal().join("metadata/thermostat.json"),
        "\"thermostat/support.json\"",
        "\"kettle/support.json\"",
    );
    let refused = desk.refused("review");
    assert!(refused.contains("which it was not delegated"), "{refused}");
}

#[test]
fn a_version_that_was_published_is_never_replaced() {
    let desk = extension();
    edit(desk.proposal().join("metadata/thermostat.json"), "\"version\": 2", "\"version\": 1");
    assert!(desk.refused("review").contains("thermostat would become version 1, where 2 is next"));
}

#[test]
fn publish_refuses_a_proposal_whose_base_has_moved_and_rebase_renews_it() {
    let desk = established();
    desk.add_key("ida");
    let add = "--support-until 2030-06-30 --reason \"Five years.\" --contact contact.toml --key ida.pub.json";
    desk.ok(&format!("product add kettle {add}"));
    desk.ok(&format!("product add toaster {add}"));
    for person in ["alice", "bob", "ida", "dora", "tess"] {
        desk.ok(&format!("sign kettle --key {person}.key"));
        if person != "tess" {
            desk.ok(&format!("sign toaster --key {person}.key"));
        }
    }
    desk.ok("publish kettle");
    for command in ["publish toaster", "sign toaster --key tess.key", "review toaster"] {
        let refused = desk.refused(command);
        assert!(refused.contains("somebody else has published targets"), "{refused}");
        assert!(refused.contains("perennial-signer --repo DESK/repo rebase"), "{refused}");
    }
    let review = desk.ok("rebase toaster");
    assert!(review.contains("targets: version 3 → 4"), "{review}");
    assert!(review.contains("+ delegates toaster/* to toaster") && !review.contains("kettle"), "{review}");
    let status = desk.ok("status");
    assert!(status.contains("toaster   0 of 1"), "its signatures are dropped: {status}");
    publish(&desk, &["alice", "bob", "ida", "dora", "tess"]);
    let status = desk.ok("status");
    for product in ["kettle", "thermostat", "toaster"] {
        assert!(status.contains(&format!("  {product}: security updates until")), "{status}");
    }
    desk.ok("check --all");
}

#[test]
fn two_answers_to_one_question_are_not_rebased() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason one");
    let first = desk.proposal();
    let kept = desk.path("kept");
    fs::rename(&first, &kept).unwrap();
    desk.ok("support extend thermostat --until 2033-12 --reason two");
    publish(&desk, &["erin", "frank", "dora", "tess"]);
    fs::rename(&kept, &first).unwrap();
    let refused = desk.refused("rebase");
    assert!(refused.contains("both changed targets → thermostat/support.json"), "{refused}");
}

/// Killed after each of its writes in turn, publishing leaves the old state or the new one, and publishing once more
/// ends it.
#[test]
fn a_publication_cut_short_leaves_the_old_state_and_can_go_on() {
    let desk = established();
    desk.add_key("dina");
    desk.ok("root rotate dora dina.pub.json");
    for person in ["alice", "bob", "dina", "tess"] {
        desk.ok(&format!("sign --key {person}.key"));
    }
    let before = desk.repository();
    let finished = Desk::new();
    desk.carry_to(&finished);
    let report = finished.ok("publish");
    let written: Vec<&str> =
        report.lines().find_map(|line| line.strip_prefix("  metadata  ")).unwrap().split(' ').collect();
    assert_eq!(written, ["3.snapshot.json", "2.root.json", "timestamp.json"]);
    for cut in 0..=written.len() {
        let half = Desk::new();
        desk.carry_to(&half);
        for name in &written[..cut] {
            let name = format!("repo/metadata/{name}");
            fs::copy(finished.path(&name), half.path(&name)).unwrap();
        }
        let status = half.ok("status");
        let old = status.contains("snapshot    1 of 1 keys, version 2");
        assert_eq!(old, cut < 2, "cut after {cut}: {status}");
        half.ok("publish");
        half.ok("check --all");
        let names = |desk: &Desk| -> Vec<_> {
            let strip = |(path, bytes): (std::path::PathBuf, Vec<u8>)| {
                (path.strip_prefix(desk.path("repo")).unwrap().to_owned(), bytes)
            };
            desk.repository().into_iter().map(strip).collect()
        };
        assert_eq!(names(&half), names(&finished), "cut after {cut}");
    }
    assert_eq!(before, desk.repository());
}

#[test]
fn what_expires_is_told_at_half_of_its_time() {
    let desk = established();
    assert!(!desk.ok("status").contains('!'), "{}", desk.ok("status"));
    desk.wait_days(16);
    let status = desk.ok("status");
    assert!(status.contains("! snapshot is past half of its time, 14 days are left"), "{status}");
    assert!(status.contains("! timestamp has expired"), "{status}");
    // What has expired can still be signed anew: that is how it is mended.
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    publish(&desk, &["erin", "frank", "dora", "tess"]);
    assert!(!desk.ok("status").contains('!'), "{}", desk.ok("status"));
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let desk = extension();
    let path = desk.path("erin.key");
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let refused = desk.refused("sign --key erin.key");
    assert!(refused.contains("can be read by others (mode 640)"), "{refused}");
}

#[test]
fn every_report_is_json_on_request() {
    let desk = extension();
    for command in [
        "status",
        "review",
        "root show",
        "sign --key erin.key",
        "sign --key frank.key",
        "sign --key dora.key",
        "publish",
    ] {
        let report = desk.ok(&format!("{command} --json"));
        let json: serde_json::Value =
            serde_json::from_str(&report).unwrap_or_else(|e| panic!("{command}: {e}: {report}"));
        assert!(json.is_object(), "{command}: {report}");
    }
}
