//! What was promised stays promised: never a shorter date by a draft, an edited proposal, or too few keys; and how root takes
//! back what a stolen key promised.

use std::fs;

use perennial_schemas::Digest as _;
use perennial_signer::crypto::Ring;
use serde_json::{Value, json};

use super::desk::{Desk, established, publish};
use super::rules::{lay, retell, rewrite};
use super::support::COHORTS;
use super::transcripts::{golden, transcript};
use crate::release::{TEAM, propose, with_images};

const RECORD: &str = "thermostat/support.json";

/// Two cohorts: the first has what every unit has, the second three years more.
fn with_cohorts() -> Desk {
    let desk = established();
    desk.write("cohorts.toml", COHORTS);
    desk.ok("support cohort thermostat cohorts.toml");
    publish(&desk, &TEAM);
    desk.ok("support promise thermostat --cohort made-2028 --until 2034-12 --reason \"Sold later.\"");
    publish(&desk, &TEAM);
    desk
}

#[test]
fn a_shorter_promise_is_refused_at_the_draft() {
    let desk = established();
    let refused = desk.refused("support extend thermostat --until 2031-12-30 --reason less");
    assert!(refused.contains("promised until 2031-12-31; this record says 2031-12-30"), "{refused}");
    assert!(refused.contains("hint: give 2031-12-31 or a later date"), "{refused}");
}

#[test]
fn a_shorter_promise_to_one_cohort_is_refused_at_the_draft() {
    let desk = with_cohorts();
    let refused = desk.refused("support extend thermostat --cohort made-2028 --until 2034-11 --reason less");
    assert!(refused.contains("promised until 2034-12-31 to cohort made-2028"), "{refused}");
    let refused = desk.refused("support extend thermostat --until 2031-06 --reason less");
    assert!(refused.contains("promised until 2031-12-31"), "{refused}");
    // Later than the earliest, and earlier than what one cohort has: that cohort keeps its date.
    let review = desk.ok("support extend thermostat --until 2033-12 --reason more");
    assert!(review.contains("made-2026 (Made until 2027): 31 December 2031 → 31 December 2033"), "{review}");
    assert!(review.contains("made-2028 (Made from 2028 on): 31 December 2034, as before"), "{review}");
}

#[test]
fn a_shorter_promise_edited_into_a_proposal_is_refused_at_signing_and_publishing() {
    let desk = established();
    desk.ok("support extend thermostat --until 2033-12-31 --reason more");
    retell(&desk, "thermostat", RECORD, "2033-12-31", "2030-12-31");
    for command in ["review", "sign --key erin.key", "publish"] {
        let refused = desk.refused(command);
        assert!(refused.contains("2030-12-31 comes after 2031-12-31"), "{command}: {refused}");
    }
    // The old promise left out, so that the new one stands alone.
    let desk = established();
    desk.ok("support extend thermostat --until 2033-12-31 --reason more");
    rewrite_record(&desk, |record| {
        let promises = record["promises"].as_array_mut().unwrap();
        promises.remove(0);
        promises[0]["guaranteed_until"] = "2030-12-31".into();
    });
    for command in ["review", "sign --key erin.key", "publish"] {
        let refused = desk.refused(command);
        assert!(
            refused.contains("promised until 2031-12-31; this record says 2030-12-31"),
            "{command}: {refused}"
        );
    }
}

#[test]
fn a_shorter_date_of_one_cohort_edited_into_a_proposal_is_refused() {
    let desk = with_cohorts();
    desk.ok("support extend thermostat --until 2033-12-31 --reason more");
    // The later date of the second cohort is given to the first: what every unit has would still get later.
    rewrite_record(&desk, |record| record["promises"][1]["cohorts"] = json!(["made-2026"]));
    for command in ["review", "sign --key erin.key", "publish"] {
        let refused = desk.refused(command);
        assert!(refused.contains("promised until 2034-12-31 to cohort made-2028"), "{command}: {refused}");
    }
}

#[test]
fn a_cohort_made_smaller_so_that_units_get_a_shorter_date_is_refused() {
    let desk = with_cohorts();
    desk.write("narrow.toml", &COHORTS.replace("2028-01-01", "2029-01-01"));
    let refused = desk.refused("support cohort thermostat narrow.toml");
    assert!(refused.contains("cohort made-2028 would lose units: it begins later"), "{refused}");
}

#[test]
fn a_signed_but_shorter_promise_of_one_key_below_the_threshold_is_never_published() {
    let desk = established();
    desk.ok("support extend thermostat --until 2033-12-31 --reason more");
    desk.ok("sign --key erin.key");
    // Erin's key alone: the other half of the team's signatures is missing, so neither longer nor shorter comes out.
    let refused = desk.refused("publish");
    assert!(refused.contains("thermostat needs 1 more"), "{refused}");
    retell(&desk, "thermostat", RECORD, "2033-12-31", "2030-12-31");
    let refused = desk.refused("sign --key erin.key");
    assert!(refused.contains("2030-12-31"), "{refused}");
    desk.refused("publish");
}

#[test]
fn a_record_whose_chain_does_not_fit_is_refused() {
    for (edit, told) in [
        (("sequence", json!(3)), "its number must be the next"),
        (("previous", json!("0".repeat(64))), "it names another record as the one before it"),
    ] {
        let desk = established();
        desk.ok("support extend thermostat --until 2033-12-31 --reason more");
        rewrite_record(&desk, |record| record[edit.0] = edit.1.clone());
        for command in ["review", "sign --key erin.key"] {
            let refused = desk.refused(command);
            assert!(refused.contains(told), "{refused}");
        }
    }
}

#[test]
fn two_proposals_upon_one_record_are_told_to_be_proposed_again() {
    let desk = established();
    desk.ok("support extend thermostat --until 2033-12-31 --reason one");
    desk.wait_days(1);
    desk.ok("support extend thermostat --until 2034-12-31 --reason two");
    for person in TEAM {
        desk.ok(&format!("sign 20261121 --key {person}.key"));
    }
    desk.ok("publish 20261121");
    for command in ["review", "sign --key erin.key", "publish"] {
        let refused = desk.refused(command);
        assert!(refused.contains("somebody else has published thermostat"), "{refused}");
        assert!(refused.contains("perennial-signer --repo DESK/repo rebase"), "{refused}");
    }
    assert!(desk.ok("status").contains("--repo DESK/repo rebase"));
    let refused = desk.refused("rebase");
    assert!(refused.contains("support.json") && refused.contains("propose the change again"), "{refused}");
}

/// Imported repositories have products without a record; so has one whose record was left out of the first proposal.
#[test]
fn a_release_without_a_dated_promise_and_contact_is_refused() {
    let desk = with_images();
    desk.add_key("ida");
    desk.ok("product add kettle --support-until 2033-06 --reason \"Six years.\" --contact contact.toml --key ida.pub.json");
    rewrite(&desk, "kettle", |signed| {
        drop(signed["targets"].as_object_mut().unwrap().remove("kettle/support.json"))
    });
    fs::remove_dir_all(desk.proposal().join("targets")).unwrap();
    publish(&desk, &["alice", "bob", "ida", "dora", "tess"]);
    let release = propose(&desk, "1.0.0", "v1.bin", "");
    let refused = desk.refused(&release.replace("propose thermostat", "propose kettle"));
    assert!(refused.contains("kettle has no support promise"), "{refused}");
    // By hand.
    desk.ok("channel create kettle beta");
    let proposal = desk.proposal();
    let manifest = b"{}";
    rewrite(&desk, "kettle", |signed| {
        signed["targets"]["kettle/1.0.0.release.json"] =
            lay(&proposal, "kettle/1.0.0.release.json", manifest);
    });
    for command in ["review", "sign --key ida.key", "publish"] {
        let refused = desk.refused(command);
        assert!(refused.contains("kettle has no promise of support and no contact"), "{command}: {refused}");
    }
    // A contact without both timelines is none.
    let desk = established();
    desk.write("half.toml", "contacts = [\"mailto:a@example.com\"]\nacknowledgement_days = 3\n");
    let refused = desk.refused("support contact thermostat half.toml");
    assert!(refused.contains("missing field `status_update_days`"), "{refused}");
}

#[test]
fn a_security_release_stays_until_the_end_of_an_extended_promise() {
    let desk = with_images();
    let security = propose(
        &desk,
        "1.0.0",
        "v1.bin",
        "--available-until 2031-12-31 \
        --shorter-availability-than-the-cra-asks",
    );
    desk.ok(&security.replace("functionality", "security"));
    publish(&desk, &TEAM);
    desk.ok("support extend thermostat --until 2045-12-31 --reason more");
    publish(&desk, &TEAM);
    desk.wait_days(10 * 365);
    desk.ok("support contact thermostat --address mailto:b@example.com --acknowledgement-days 2 --status-update-days 7");
    rewrite(&desk, "thermostat", |signed| {
        signed["targets"].as_object_mut().unwrap().retain(|path, _| !path.contains("/1.0.0."));
    });
    let refused = desk.refused("sign --key erin.key");
    assert!(refused.contains("would go or change, and was promised until 2045-12-31"), "{refused}");
}

/// Whoever stole the team's keys has promised forty years.
fn with_a_forged_promise() -> Desk {
    let desk = established();
    desk.ok("support extend thermostat --until 2050-12-31 --reason \"More than anybody can keep.\"");
    publish(&desk, &TEAM);
    desk
}

#[test]
fn a_stolen_team_s_promise_is_annulled_by_root() {
    let desk = with_a_forged_promise();
    for person in ["gina", "hugo"] {
        desk.add_key(person);
    }
    let mut text =
        transcript(&desk, &["product team thermostat --key gina.pub.json,hugo.pub.json --threshold 2"]);
    publish(&desk, &["alice", "bob", "gina", "hugo", "dora", "tess"]);
    text += &transcript(
        &desk,
        &[
            "support annul thermostat --promise 2 --reason \"The team's keys were stolen on 20 November.\"",
            "sign --key erin.key",
            "sign --key gina.key --json",
            "sign --key hugo.key --json",
            "sign --key alice.key --json",
            "publish",
            "sign --key carol.key --json",
            "sign --key dora.key --json",
            "sign --key tess.key --json",
            "publish",
            "support show thermostat",
            "support annul thermostat --promise 2 --reason again",
            "support annul thermostat --promise 1 --reason all",
            "support annul thermostat --promise 3 --reason none",
        ],
    );
    golden("annulment.txt", &text);
    desk.ok("check --all");
    let shown: Value = serde_json::from_str(&desk.ok("support show thermostat --json")).unwrap();
    assert_eq!(shown["guaranteed_until"], "2031-12-31");
    assert_eq!(shown["annulled"], "2050-12-31", "both dates stay visible");
    // From here on dates get later again, from the one that counts.
    desk.ok("support extend thermostat --until 2032-12 --reason \"A year more.\"");
    publish(&desk, &["gina", "hugo", "dora", "tess"]);
}

#[test]
fn a_promise_is_taken_back_by_root_s_threshold_alone() {
    let desk = with_a_forged_promise();
    desk.ok("support annul thermostat --promise 2 --reason stolen");
    for person in ["erin", "frank", "alice"] {
        desk.ok(&format!("sign --key {person}.key"));
    }
    let refused = desk.refused("publish");
    assert!(refused.contains("root needs 1 more"), "{refused}");
    // The record without the root: the team can't take back what it promised, which would be a shorter date.
    let proposal = desk.proposal();
    let about = proposal.join("proposal.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&about).unwrap()).unwrap();
    json["base"].as_object_mut().unwrap().remove("root");
    fs::write(&about, json.to_string()).unwrap();
    fs::remove_file(proposal.join("metadata/root.json")).unwrap();
    fs::remove_dir_all(proposal.join("signatures")).unwrap();
    let refused = desk.refused("sign --key erin.key");
    assert!(refused.contains("taken back by the record alone"), "{refused}");
}

#[test]
fn a_root_that_forgets_or_changes_an_annulment_is_refused() {
    let desk = with_a_forged_promise();
    desk.ok("support annul thermostat --promise 2 --reason stolen");
    publish(&desk, &["alice", "bob", "erin", "frank", "dora", "tess"]);
    desk.add_key("gina");
    desk.ok("root rotate carol gina.pub.json");
    let whole = fs::read(desk.proposal().join("metadata/root.json")).unwrap();
    for edit in [
        (|root: &mut Value| drop(root.as_object_mut().unwrap().remove("annulments"))) as fn(&mut Value),
        |root| root["annulments"][0]["reason"] = "other".into(),
        |root| root["annulments"][0]["promise"] = 1.into(),
    ] {
        fs::write(desk.proposal().join("metadata/root.json"), &whole).unwrap();
        rewrite(&desk, "root", edit);
        for command in ["review", "sign --key alice.key"] {
            let refused = desk.refused(command);
            assert!(refused.contains("would forget or change a promise that it has annulled"), "{refused}");
        }
    }
    // One that no record knows of.
    fs::write(desk.proposal().join("metadata/root.json"), &whole).unwrap();
    rewrite(&desk, "root", |root| {
        let mut more = root["annulments"][0].clone();
        more["promise"] = 1.into();
        root["annulments"].as_array_mut().unwrap().push(more);
    });
    let refused = desk.refused("sign --key alice.key");
    assert!(
        refused.contains("root would annul promise 1 of thermostat, and the product's record"),
        "{refused}"
    );
}

/// The thief made the only promise that some units have: what the maker stands by comes in the same record.
#[test]
fn the_only_promise_of_some_units_is_annulled_and_replaced_at_once() {
    let desk = established();
    let without = "support annul thermostat --promise 1 --reason \"Made by a thief.\"";
    let instead = format!("{without} --until 2030-06 --reason-for-date \"What we planned.\"");
    let mut text = transcript(&desk, &[without, &instead]);
    publish(&desk, &["alice", "bob", "erin", "frank", "dora", "tess"]);
    text += &transcript(&desk, &["support show thermostat"]);
    golden("annulment-replaced.txt", &text);
    // Another one stands: that is extended, never replaced.
    let desk = with_a_forged_promise();
    let refused = desk.refused(&instead.replace("--promise 1", "--promise 2"));
    assert!(refused.contains("every unit of thermostat has another promise that stands"), "{refused}");
}

/// A product without a promise to everybody: what is promised instead holds for the cohort that has nothing else.
#[test]
fn what_replaces_an_annulled_promise_is_made_to_the_cohorts_that_have_no_other() {
    let desk = established();
    desk.ok("product add kettle --support-until 2031-12 --reason \"As printed.\" --contact contact.toml --key erin.pub.json");
    rewrite_record_of(&desk, "kettle", |record| {
        record["requires"] = json!(["cohorts"]);
        record["promises"][0]["cohorts"] = json!(["made-2026"]);
        record["cohorts"] = json!([{
            "name": "made-2026", "label": "Made until 2027", "find": "The serial number begins with 26 or 27.",
            "placed_from": "2026-12-01", "placed_until": "2027-12-31",
        }]);
    });
    publish(&desk, &["alice", "bob", "erin", "dora", "tess"]);
    desk.write("cohorts.toml", COHORTS);
    desk.ok("support cohort kettle cohorts.toml --until 2045-12 --reason \"By the thief.\"");
    publish(&desk, &["erin", "dora", "tess"]);
    let annul = "support annul kettle --promise 2 --reason stolen";
    assert!(desk.refused(annul).contains("is the only one to some units of kettle"));
    let review = desk.ok(&format!("{annul} --until 2033-06 --reason-for-date planned"));
    for line in [
        "made-2026 (Made until 2027): 31 December 2031, as before",
        "made-2028 (Made from 2028 on): 31 December 2045 → 30 June 2033",
        "Promise 3: security updates until 30 June 2033, to made-2028. Reason: planned",
    ] {
        assert!(review.contains(line), "{line}: {review}");
    }
    publish(&desk, &["alice", "bob", "erin", "dora", "tess"]);
    desk.ok("check --all");
}

/// A high number would leave none to the records that follow.
#[test]
fn a_first_record_has_the_first_number() {
    let desk = established();
    desk.ok("product add kettle --support-until 2031-12 --reason \"As printed.\" --contact contact.toml --key erin.pub.json");
    rewrite_record_of(&desk, "kettle", |record| {
        record["sequence"] = 4_000_000_000_u64.into();
        record["previous"] = "0".repeat(64).into();
    });
    for command in ["review", "sign --key erin.key"] {
        let refused = desk.refused(command);
        assert!(
            refused.contains("the first support record of kettle would have the number 4000000000"),
            "{command}: {refused}"
        );
    }
}

/// Nobody can promise anything before a promise that is dated ahead: whoever signs it sees the day.
#[test]
fn days_that_a_carrier_could_have_set_are_shown() {
    let desk = established();
    let review = desk.ok("support extend thermostat --until 2033-06 --reason more");
    assert!(!review.contains("It says that") && !review.contains("drafted"), "{review}");
    rewrite_record(&desk, |record| {
        record["promises"][1]["made"] = "2026-11-22T00:00:00Z".into();
        record["updated"] = "2026-11-22T00:00:00Z".into();
    });
    let review = desk.ok("review");
    assert!(
        review.contains("It says that it was made on 22 November 2026, which is LATER than today."),
        "{review}"
    );
    assert!(review.contains("it was drafted on 22 November 2026, which is LATER than today."), "{review}");
    desk.wait_days(2);
    let review = desk.ok("review");
    assert!(review.contains("The record says that it was drafted on 22 November 2026.\n"), "{review}");
    let desk = established();
    desk.ok("support notice thermostat --text \"The shop is closed.\"");
    rewrite_record(&desk, |record| record["notices"][0]["made"] = "2026-11-22T08:00:00Z".into());
    let review = desk.ok("review");
    assert!(review.contains("It says that it was told on 22 November 2026, which is LATER"), "{review}");
}

/// Changes the record of the only proposal by hand, as somebody without a key would.
fn rewrite_record(desk: &Desk, edit: impl FnOnce(&mut Value)) {
    rewrite_record_of(desk, "thermostat", edit);
}

fn rewrite_record_of(desk: &Desk, product: &str, edit: impl FnOnce(&mut Value)) {
    let proposal = desk.proposal();
    let path = fs::read_dir(proposal.join("targets").join(product)).unwrap().next().unwrap().unwrap().path();
    let named = format!("{product}/support.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::remove_file(&path).unwrap();
    edit(&mut record);
    let bytes = serde_json::to_vec(&record).unwrap();
    assert_ne!(path.file_name().unwrap().to_str().unwrap(), format!("{}.support.json", Ring.sha256(&bytes)));
    rewrite(desk, product, |signed| signed["targets"][&named] = lay(&proposal, &named, &bytes));
}
