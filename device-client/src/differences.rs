//! What a support page says otherwise than the signed record, field by field, in plain words.
//!
//! It decides what counts as a difference: every field, also one that this program doesn't know. It never decides
//! whether the record is signed.

use perennial_device_core::report::plain;
use perennial_schemas::Date;
use serde::Serialize;
use serde_json::Value;

/// Differences that are told; of more, their number.
const TOLD: usize = 100;
/// Characters of a value that are quoted.
const QUOTED: usize = 160;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where, such as `support.promises.2.guaranteed_until`; lists are counted from 1.
    pub field: String,
    /// What the page says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Value>,
    /// What the signed record says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
    /// The same in plain words.
    pub words: String,
}

/// Every difference between what a page says and what it should say; at most 100, and then how many more.
pub fn differences(page: &Value, record: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(page), Some(record), &mut found);
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0 {
        found.push(Difference {
            field: "…".into(),
            page: None,
            record: None,
            words: format!("and {more} more differences"),
        });
    }
    found
}

fn compare(at: &mut Vec<String>, page: Option<&Value>, record: Option<&Value>, found: &mut Vec<Difference>) {
    let is_there = |value: &&Value| !value.is_null();
    match (page.filter(is_there), record.filter(is_there)) {
        (Some(Value::Object(page)), Some(Value::Object(record))) => {
            for key in record.keys().chain(page.keys().filter(|key| !record.contains_key(*key))) {
                at.push(key.clone());
                compare(at, page.get(key), record.get(key), found);
                at.pop();
            }
        }
        (Some(Value::Array(page)), Some(Value::Array(record))) => {
            for index in 0..page.len().max(record.len()) {
                at.push((index + 1).to_string());
                compare(at, page.get(index), record.get(index), found);
                at.pop();
            }
        }
        (page, record) if page == record => {}
        (page, record) => {
            let words = words(at, page, record);
            let field = at.iter().map(|part| plain(part, QUOTED)).collect::<Vec<_>>().join(".");
            found.push(Difference { field, page: page.cloned(), record: record.cloned(), words });
        }
    }
}

fn words(at: &[String], page: Option<&Value>, record: Option<&Value>) -> String {
    let what = what(at);
    match (page.map(quoted), record.map(quoted)) {
        (Some(page), Some(record)) => {
            format!("{what}: the page says {page}; the signed record says {record}")
        }
        (Some(page), None) => format!("{what}: the page says {page}; the signed record says nothing of it"),
        (None, Some(record)) => format!("{what}: the page leaves it out; the signed record says {record}"),
        (None, None) => what,
    }
}

/// What people call a field.
fn what(at: &[String]) -> String {
    let parts: Vec<&str> = at.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["sentence"] => "the answer in one sentence".into(),
        ["record", "sequence"] => "the record's number".into(),
        ["record", "sha256"] => "the record's digest".into(),
        ["record", "updated"] => "when the record last changed".into(),
        ["record", "lapsed"] => "whether the record's signatures have run out".into(),
        ["record", "product"] | ["support", "product"] => "the product".into(),
        ["cohorts", cohort, rest @ ..] if !rest.is_empty() => {
            format!("{} of cohort {}", standing(rest), plain(cohort, QUOTED))
        }
        ["support", "promises", number, rest @ ..] => part("promise", number, rest),
        ["support", "notices", number, rest @ ..] => part("notice", number, rest),
        ["support", "annulled", number, rest @ ..] => part("annulment", number, rest),
        ["updates", number, rest @ ..] => part("update", number, rest),
        ["support", "contact", rest @ ..] => format!("the contact for security problems ({})", path(rest)),
        rest => standing(rest),
    }
}

fn standing(rest: &[&str]) -> String {
    match rest {
        ["guaranteed_until"] => "the date until which updates are promised".into(),
        ["state"] => "how things stand".into(),
        ["left", ..] => format!("the time left ({})", path(&rest[1..])),
        ["on_sale"] => "whether it is on sale".into(),
        ["ended_on"] => "the day on which updates really ended".into(),
        ["annulled"] => "the date of an annulled promise".into(),
        rest => path(rest),
    }
}

fn part(kind: &str, number: &str, rest: &[&str]) -> String {
    match rest {
        [] => format!("{kind} {number}"),
        ["guaranteed_until"] => format!("the date of {kind} {number}"),
        ["reason"] => format!("the reason of {kind} {number}"),
        rest => format!("{kind} {number} ({})", path(rest)),
    }
}

fn path(rest: &[&str]) -> String {
    rest.iter().map(|part| plain(part, QUOTED)).collect::<Vec<_>>().join(".")
}

/// A value as it is quoted: dates in words, nothing that a terminal acts upon, not longer than a line or two.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => match text.parse::<Date>() {
            Ok(date) => date.in_words().to_string(),
            Err(_) => format!("“{}”", plain(text, QUOTED)),
        },
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        value => plain(&value.to_string(), QUOTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(page: Value, record: Value) -> Vec<String> {
        differences(&page, &record).into_iter().map(|difference| difference.words).collect()
    }

    #[test]
    fn the_same_has_none() {
        let page = json!({ "a": [1, { "b": null }], "c": "x" });
        assert!(told(page, json!({ "a": [1, {}], "c": "x", "d": null })).is_empty());
    }

    #[test]
    fn differences_are_told_in_plain_words() {
        let page = json!({
            "guaranteed_until": "2035-06-30",
            "cohorts": { "made-2026": { "state": "supported" } },
            "support": { "promises": [{ "reason": "a" }, { "reason": "b" }], "contact": {} },
            "extra": true,
        });
        let record = json!({
            "guaranteed_until": "2031-06-30",
            "cohorts": { "made-2026": { "state": "ended" } },
            "support": { "promises": [{ "reason": "a" }], "contact": { "policy": "https://x" } },
        });
        let told = told(page, record);
        assert_eq!(
            told,
            [
                "how things stand of cohort made-2026: the page says “supported”; the signed record says “ended”",
                "the date until which updates are promised: the page says 30 June 2035; the signed record says 30 June 2031",
                "the contact for security problems (policy): the page leaves it out; the signed record says “https://x”",
                "promise 2: the page says {\"reason\":\"b\"}; the signed record says nothing of it",
                "extra: the page says yes; the signed record says nothing of it",
            ]
        );
    }

    #[test]
    fn what_a_page_says_acts_upon_no_terminal_and_has_an_end() {
        let told = told(json!({ "sentence": format!("\u{1b}[2J\u{202e}{}", "x".repeat(1000)) }), json!({}));
        assert!(
            told[0].chars().all(|c| !c.is_control() && c != '\u{202e}') && told[0].len() < 400,
            "{}",
            told[0]
        );
        let page = json!({ "a": (0..200).collect::<Vec<_>>() });
        let found = differences(&page, &json!({ "a": [] }));
        assert_eq!((found.len(), found[100].words.as_str()), (101, "and 100 more differences"));
    }
}
