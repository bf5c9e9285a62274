//! The catalogues: whole, of one form, and right in their plurals and dates.

use super::*;
use perennial_schemas::support::{Left, Promise, Replacement, Support, VulnerabilityContact};
use perennial_schemas::{Date, Timestamp};
use std::collections::BTreeSet;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn speech(code: &str) -> Speech {
    Speech::new(chosen(Some(code), None))
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|part| part.split('}').next()).collect()
}

#[test]
fn every_catalogue_says_everything_that_english_says() {
    for words in &all()[1..] {
        for (key, english) in &english().phrases {
            let Some(text) = words.phrase(key) else { panic!("{}: {key} is missing", words.code) };
            // "A day" needs no figure where "one day" is what people say.
            let whole = if key.starts_with("unit.") {
                places(text).is_subset(&places(english))
            } else {
                places(text) == places(english)
            };
            assert!(whole, "{}: {key}", words.code);
        }
        let unit = |key: &&String| key.starts_with("unit.");
        let odd = words.phrases.keys().filter(|key| !unit(key)).find(|key| english().phrase(key).is_none());
        assert_eq!(odd, None, "{}", words.code);
        assert_eq!(words.phrase("language.months").unwrap().split(' ').count(), 12, "{}", words.code);
    }
    for (unit, n) in [("year", 3), ("month", 11), ("day", 100), ("product", 2), ("weakness", 0)] {
        assert!(!speech("ar").count(unit, n).contains('{'));
    }
}

#[test]
fn a_missing_phrase_is_said_in_english_and_marked_so() {
    static POOR: LazyLock<Words> = LazyLock::new(|| Words::read("de", "[language]\nname = \"Deutsch\""));
    let speech = Speech::new(&POOR);
    assert!(!speech.fell_back());
    let said = speech.say("state.supported").into_string();
    assert_eq!(said, "<span lang=\"en\" dir=\"ltr\">Supported</span>");
    assert!(speech.fell_back());
    assert_eq!(speech.date_text(date("2031-06-30")), "30 June 2031");
}

#[test]
fn plurals_are_right() {
    for (code, n, expected) in [
        ("en", 1, "1 day"),
        ("en", 0, "0 days"),
        ("de", 1, "1 Tag"),
        ("de", 2, "2 Tage"),
        ("fr", 0, "0 jour"),
        ("fr", 2, "2 jours"),
        ("es", 1, "1 día"),
        ("es", 5, "5 días"),
        ("ar", 1, "يوم واحد"),
        ("ar", 2, "يومان"),
        ("ar", 3, "3 أيام"),
        ("ar", 11, "11 يومًا"),
        ("ar", 100, "100 يوم"),
        ("ar", 103, "103 أيام"),
    ] {
        assert_eq!(speech(code).count("day", n), expected, "{code} {n}");
    }
}

#[test]
fn dates_are_written_out() {
    for (code, first, last) in [
        ("en", "1 March 2027", "30 June 2031"),
        ("de", "1. März 2027", "30. Juni 2031"),
        ("fr", "1er mars 2027", "30 juin 2031"),
        ("es", "1 de marzo de 2027", "30 de junio de 2031"),
        ("ar", "1 مارس 2027", "30 يونيو 2031"),
    ] {
        assert_eq!(speech(code).date_text(date("2027-03-01")), first);
        assert_eq!(speech(code).date_text(date("2031-06-30")), last);
    }
}

#[test]
fn english_says_dates_and_times_as_devices_do() {
    for days in 0..2000 {
        let (today, until) = (date("2026-11-22"), Date::from_days(date("2026-11-22").days() + days));
        let left = Left::between(today, until);
        assert_eq!(speech("en").left(left), left.to_string());
        assert_eq!(speech("en").date_text(until), until.in_words().to_string());
    }
}

#[test]
fn the_english_sentences_are_those_that_devices_say() {
    use perennial_schemas::support::{State, Status};
    let contact = VulnerabilityContact::new("mailto:a@example.com", 5, 14);
    let promise = Promise::new(Timestamp::EPOCH, date("1980-06-30"), "why");
    let updated = Support::new("glow".parse().unwrap(), promise, contact);
    let mut replaced = updated.clone();
    replaced.promises[0].replacement =
        Some(Replacement { rationale: "r".into(), isolate: "i".into(), terms: "t".into() });
    let states =
        [State::Supported, State::EndsSoon, State::Ended, State::EndedEarly, State::Lapsed, State::Ceased];
    for (record, state) in
        [&updated, &replaced].into_iter().flat_map(|record| states.map(|state| (record, state)))
    {
        for today in [date("1979-05-31"), date("1980-06-30")] {
            let until = date("1980-06-30");
            let left = Left::between(today, until);
            let status = Status { state, until, left, ended_on: Some(date("1979-01-01")), annulled: None };
            let replaced = if record.is_replaced_not_updated() { "-replaced" } else { "" };
            let key = match state {
                State::Supported | State::EndsSoon if until == today => "today",
                State::Supported | State::EndsSoon => "supported",
                other => other.as_str(),
            };
            let (english, speech) = (english(), speech("en"));
            let said = english.phrase(&format!("sentence.{key}{replaced}")).unwrap();
            let said = said
                .replace("{name}", "Glow")
                .replace("{until}", &speech.date_text(until))
                .replace("{left}", &speech.left(left))
                .replace("{on}", &speech.date_text(date("1979-01-01")));
            assert_eq!(said, status.sentence("Glow", today, !replaced.is_empty()), "{key}{replaced}");
        }
    }
}

#[test]
fn the_reader_gets_a_language_that_they_read() {
    for (named, accept, expected) in [
        (None, None, "en"),
        (None, Some("de-AT,de;q=0.9,en;q=0.8"), "de"),
        (None, Some("nl,fr;q=0.5,es;q=0.7"), "es"),
        (None, Some("de;q=0,en;q=0.1"), "en"),
        (None, Some("ja"), "en"),
        (None, Some("*;q=,;;,de;q=x"), "en"),
        (Some("ar"), Some("de"), "ar"),
        (Some("xx"), Some("de"), "de"),
    ] {
        assert_eq!(chosen(named, accept).code, expected, "{named:?} {accept:?}");
    }
}
