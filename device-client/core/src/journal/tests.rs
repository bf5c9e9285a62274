//! Journals of earlier and later versions of this program. What stands in a text here is never edited, only added to.

use super::*;
use alloc::format;
use alloc::string::String;
use perennial_schemas::report::Outcome;
use serde_json::{Value, json};

/// As the first version wrote it: on trial, after a release failed.
const FIRST: &str = r#"{"format":"perennial.journal/1","state":{"state":"trying"},"plan":{"version":"2.0.0",
    "manifest":"0101010101010101010101010101010101010101010101010101010101010101","security_version":2,"slot":"b",
    "length":10,"sha256":"0202020202020202020202020202020202020202020202020202020202020202","source":{
    "image_index":{"path":"i","length":96,"root":"0303030303030303030303030303030303030303030303030303030303030303"},
    "payload_index":{"path":"p","length":96,"root":"0404040404040404040404040404040404040404040404040404040404040404"},
    "payload":"payload","payload_length":10,"coding":"plain","expires":"2026-12-01T00:00:00Z"}},
    "a":{"version":"1.0.0","manifest":null,"security_version":1,"image":null},"b":null,"failed":[{
    "manifest":"0505050505050505050505050505050505050505050505050505050505050505","version":"1.5.0","code":501,
    "tries":1,"again":"2026-11-24T00:00:00Z"}],"postponed_until":null,"reports":{"last":1,"acknowledged":0,"entries":[{
    "sequence":1,"at":"2026-11-23T00:00:00Z","version":"1.5.0",
    "manifest":"0505050505050505050505050505050505050505050505050505050505050505","outcome":"rolled-back","failure":501,
    "detail":"no"}]},"said":{"since":"2026-11-23T00:00:00Z","text":"update"},"trouble":""}"#;

fn first() -> Value {
    serde_json::from_str(FIRST).unwrap()
}

fn read(journal: &Value) -> Result<Journal, JournalError> {
    Journal::decode(journal.to_string().as_bytes())
}

/// `journal` as a later version may write it: with a field more in every object that is no source of an update and no list by name.
fn with_more(mut journal: Value) -> Value {
    fn add(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields
                    .iter_mut()
                    .filter(|(name, _)| *name != "source" && *name != "roles")
                    .for_each(|(_, value)| add(value));
                fields.insert("of_a_later_version".into(), json!({ "any": [1, null, "thing"] }));
            }
            Value::Array(values) => values.iter_mut().for_each(add),
            _ => {}
        }
    }
    add(&mut journal);
    journal
}

#[test]
fn a_journal_of_the_first_version_is_read() {
    let journal = read(&first()).unwrap();
    assert_eq!(journal.state, State::Trying);
    let plan = journal.plan.as_ref().unwrap();
    assert_eq!((plan.slot, plan.source.as_ref().map(|source| source.staged)), (Slot::B, Some(false)));
    assert_eq!(journal.content(Slot::A).map(|a| a.security_version), Some(1));
    assert_eq!((journal.failed[0].tries, journal.failed[0].others), (1, 0));
    assert_eq!(journal.reports.history()[0].outcome, Outcome::RolledBack);
    assert_eq!((&journal.known, &journal.put_off), (&Known::default(), &None));
}

#[test]
fn what_a_later_version_added_is_passed_over_and_gone_with_the_next_save() {
    let mut journal = read(&first()).unwrap();
    journal.put_off = Some(PutOff { version: "3.0.0".parse().unwrap(), since: Timestamp::EPOCH });
    let promised_to = PromisedTo { cohort: "y2026".parse().unwrap(), until: "2031-12-31".parse().unwrap() };
    journal.known.promised_to = Some(promised_to);
    let here: Value = serde_json::from_slice(&journal.encode().unwrap()).unwrap();
    let later = with_more(here.clone());
    assert!(later.to_string().matches("of_a_later_version").count() > 9, "{later}");
    assert_eq!(read(&later), Ok(journal));
    let again: Value = serde_json::from_slice(&read(&later).unwrap().encode().unwrap()).unwrap();
    assert_eq!(again, here);
}

#[test]
fn an_update_that_a_later_version_began_in_its_own_way_is_dropped_before_its_activation() {
    let states = [
        (json!({"state": "verified"}), State::Idle),
        (json!({"state": "downloading", "offset": 5}), State::Idle),
        (json!({"state": "staged"}), State::Idle),
        (json!({"state": "claimed"}), State::Idle),
        (json!({"state": "installing", "offset": 5}), State::Idle),
        // The boot loader may have been told.
        (json!({"state": "installed"}), State::Retiring),
    ];
    for (state, after) in states {
        for (field, value) in [("coding", json!("later")), ("frames", json!(3))] {
            let mut journal = first();
            journal["state"] = state.clone();
            assert_eq!(read(&journal).map(|journal| journal.plan.is_some()), Ok(true), "{state}");
            journal["plan"]["source"][field] = value;
            let read = read(&journal).unwrap();
            assert_eq!((read.state, read.plan.is_some()), (after, after != State::Idle), "{state}, {field}");
        }
    }
}

#[test]
fn an_update_that_a_later_version_has_activated_comes_to_its_end_here() {
    for state in [
        json!({"state": "activated", "tries": 3}),
        json!({"state": "trying"}),
        json!({"state": "confirmed"}),
        json!({"state": "unhealthy", "code": 501}),
        json!({"state": "fell-back", "code": 7777}),
        json!({"state": "retiring"}),
    ] {
        let mut journal = first();
        journal["plan"]["source"]["coding"] = json!("later");
        journal["state"] = state;
        let read = read(&journal).unwrap();
        let plan = read.plan.as_ref().unwrap();
        assert_eq!((plan.slot, plan.source.is_none()), (Slot::B, true), "{}", read.state.name());
        assert_eq!(json!(read.state), journal["state"], "which of them failed, and why, is remembered");
    }
}

#[test]
fn what_may_not_be_passed_over_is_refused() {
    let text = first().to_string();
    for (from, to) in
        [("journal/1", "journal/2"), ("\"trying\"", "\"levitating\""), ("\"failed\"", "\"fell\"")]
    {
        assert!(Journal::decode(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
    let mut without = first();
    without["plan"] = Value::Null;
    let error: String = format!("{}", read(&without).unwrap_err());
    assert_eq!(error, "the journal can't be read: its state and its plan do not fit");
}
