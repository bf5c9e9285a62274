//! Attacks by somebody who holds no key, but can write where the repository's folder travels: a share, git, a stick.

use std::fs;
use std::path::PathBuf;

use super::desk::{Desk, established};

/// A proposal that gives one year more.
fn extension() -> Desk {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason \"One more year.\"");
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
    let refused = desk.refused("support extend thermostat --until 2030-12 --reason less");
    assert!(refused.contains("support.json is not the one that is vouched for"), "{refused}");
}

fn signed_by(desk: &Desk, people: &[&str]) {
    people.iter().for_each(|person| drop(desk.ok(&format!("sign --key {person}.key"))));
}

/// Leaves the body that a key has signed, takes its signature away, and changes the body.
fn lay_unsigned(desk: &Desk, role: &str, change: impl Fn(&mut serde_json::Value)) {
    for entry in fs::read_dir(desk.proposal().join("signatures")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(role) {
            fs::remove_file(path).unwrap();
        }
    }
    change_json(&desk.proposal().join(format!("metadata/{role}.json")), change);
}

fn change_json(path: &PathBuf, change: impl Fn(&mut serde_json::Value)) {
    let mut json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, serde_json::to_vec(&json).unwrap()).unwrap();
}

const FAR: u64 = 9_007_199_254_740_990;

#[test]
fn a_timestamp_laid_into_a_proposal_is_not_signed_unseen() {
    let desk = extension();
    signed_by(&desk, &["erin", "frank", "dora", "tess"]);
    lay_unsigned(&desk, "timestamp", |json| {
        json["signed"]["version"] = FAR.into();
        json["signed"]["expires"] = "2999-01-01T00:00:00Z".into();
    });
    signed_by(&desk, &["tess"]);
    desk.ok("publish");
    let file = fs::read_to_string(desk.path("repo/metadata/timestamp.json")).unwrap();
    assert!(!file.contains(&FAR.to_string()) && !file.contains("2999"), "{file}");
}

#[test]
fn a_snapshot_laid_into_a_proposal_is_not_signed_unseen() {
    let desk = extension();
    signed_by(&desk, &["erin", "frank", "dora"]);
    lay_unsigned(&desk, "snapshot", |json| {
        json["signed"]["expires"] = "2999-01-01T00:00:00Z".into();
        json["signed"]["x-unseen"] = 1.into();
    });
    assert!(!desk.ok("review").contains("2999"), "what will be made is shown, not what lies there");
    signed_by(&desk, &["dora", "tess"]);
    desk.ok("publish");
    let file = fs::read_to_string(desk.path("repo/metadata/3.snapshot.json")).unwrap();
    assert!(!file.contains("2999") && !file.contains("x-unseen"), "{file}");
}

#[test]
fn a_published_timestamp_changed_on_disk_pushes_no_version_up() {
    let desk = extension();
    change_json(&desk.path("repo/metadata/timestamp.json"), |json| json["signed"]["version"] = FAR.into());
    signed_by(&desk, &["erin", "frank", "dora", "tess"]);
    let file = fs::read_to_string(desk.proposal().join("metadata/timestamp.json")).unwrap();
    assert!(!file.contains("90071992547409"), "{file}");
}

#[test]
fn a_proposal_changed_while_it_is_read_is_not_signed() {
    let desk = extension();
    let repository = perennial_signer::repository::Repository::open(&desk.path("repo")).unwrap();
    let shown = perennial_signer::proposal::find(&repository, None).unwrap();
    let key = perennial_signer::keys::open(&desk.path("erin.key"), |_| unreachable!()).unwrap();
    let now = perennial_schemas::Timestamp::from_unix(1_795_251_600);
    // While the passphrase is typed.
    edit(&desk.proposal().join("metadata/thermostat.json"), "\"expires\": \"2027", "\"expires\": \"2029");
    let before = desk.repository();
    let refused = perennial_signer::proposal::sign(&shown, &repository, &key, now).unwrap_err().to_string();
    assert!(refused.contains("was changed since it was shown"), "{refused}");
    assert_eq!(before, desk.repository());
}

#[test]
fn a_proposal_may_not_ask_for_more_days_than_are_configured() {
    for (role, days) in [("snapshot", 30), ("timestamp", 7)] {
        let desk = extension();
        let file = desk.proposal().join("proposal.json");
        edit(&file, &format!("\"{role}_days\": {days}"), &format!("\"{role}_days\": 3000"));
        for command in ["review", "sign --key erin.key"] {
            let refused = desk.refused(command);
            assert!(refused.contains(&format!("the {role} would last 3000 days")), "{refused}");
        }
        // An archive may, and says so.
        edit(&file, "\"support\"", "\"archive\"");
        assert!(desk.ok("review").contains("3000 days"), "{role}");
    }
}

#[test]
fn a_body_changed_together_with_the_digests_in_its_signature_files_is_refused() {
    let desk = extension();
    desk.ok("sign --key erin.key");
    let folder = desk.proposal();
    edit(&folder.join("metadata/thermostat.json"), "\"expires\": \"2027", "\"expires\": \"2029");
    let changed = perennial_signer::proposal::Proposal::open(&folder).unwrap();
    let digest = changed.digest(&"thermostat".parse().unwrap()).unwrap().to_string();
    change_json(&only_file(folder.join("signatures")), |json| json["sha256"] = digest.clone().into());
    for command in ["review", "sign --key frank.key"] {
        let refused = desk.refused(command);
        assert!(refused.contains("over thermostat") && refused.contains("does not hold"), "{refused}");
    }
}

/// Two who publish at once would both build on what was published before. The clock is asked in the middle of it.
#[test]
fn a_publication_holds_the_repository_alone() {
    let desk = extension();
    signed_by(&desk, &["erin", "frank", "dora", "tess"]);
    let repository = desk.path("repo");
    let asked = std::cell::Cell::new(0);
    let now = || {
        let other = fs::File::open(&repository).unwrap();
        assert!(matches!(other.try_lock(), Err(fs::TryLockError::WouldBlock)));
        asked.set(asked.get() + 1);
        perennial_schemas::Timestamp::from_unix(1_795_251_600)
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut io = perennial_signer::Io {
        stdin: &mut std::io::empty(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        now: Box::new(now),
        terminal: false,
        ask: Box::new(|_| Err(std::io::Error::other("there is no terminal"))),
    };
    let args = ["perennial-signer", "--repo", repository.to_str().unwrap(), "publish"];
    perennial_signer::run(args.map(Into::into), &mut io);
    drop(io);
    assert!(asked.get() > 0 && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
}

/// The repository with the year more published: snapshot 3, thermostat 2.
fn extended() -> Desk {
    let desk = extension();
    super::desk::publish(&desk, &["erin", "frank", "dora", "tess"]);
    desk
}

#[test]
fn a_lost_or_damaged_file_does_not_take_the_repository_back() {
    for (lost, damaged) in
        [("2.thermostat", false), ("2.thermostat", true), ("3.snapshot", true), ("3.snapshot", false)]
    {
        let desk = extended();
        let file = desk.path(&format!("repo/metadata/{lost}.json"));
        if damaged {
            edit(&file, "\"expires\":\"20", "\"expires\":\"21");
        } else {
            fs::remove_file(file).unwrap();
        }
        for command in ["status", "support extend thermostat --until 2033-12 --reason again"] {
            let refused = desk.refused(command);
            assert!(refused.contains(lost), "{lost} {damaged}: {refused}");
        }
    }
}

#[test]
fn a_published_version_is_not_given_twice_after_a_lost_snapshot() {
    let desk = extended();
    fs::remove_file(desk.path("repo/metadata/3.snapshot.json")).unwrap();
    fs::remove_file(desk.path("repo/metadata/timestamp.json")).unwrap();
    desk.ok("support extend thermostat --until 2033-12 --reason other");
    signed_by(&desk, &["erin", "frank", "dora", "tess"]);
    let refused = desk.refused("publish");
    assert!(refused.contains("metadata/2.thermostat.json is there already"), "{refused}");
}
