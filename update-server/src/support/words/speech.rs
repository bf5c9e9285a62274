//! Speaking to one reader: phrases filled in and escaped, dates and counts in the reader's language. What is missing in
//! a catalogue is said in English, marked as English, and remembered, so that the page can say so.

use super::{Words, english};
use crate::support::page::clip;
use maud::{Markup, PreEscaped, Render, html};
use perennial_schemas::Date;
use perennial_schemas::support::{Left, State, Status, Support};
use std::cell::Cell;

/// One reader's language while a page is made.
#[derive(Debug)]
pub(crate) struct Speech {
    pub(crate) words: &'static Words,
    missing: Cell<bool>,
}

impl Speech {
    pub(crate) fn new(words: &'static Words) -> Self {
        Self { words, missing: Cell::new(false) }
    }

    /// Whether a phrase was said in English for want of another.
    pub(crate) fn fell_back(&self) -> bool {
        self.missing.get()
    }

    pub(crate) fn is_english(&self) -> bool {
        self.words.code == "en"
    }

    /// A phrase as it is.
    pub(crate) fn say(&self, key: &str) -> Markup {
        self.fill(key, &[])
    }

    /// A phrase with its places filled in.
    pub(crate) fn fill(&self, key: &str, values: &[(&str, Markup)]) -> Markup {
        match self.words.phrase(key) {
            Some(text) => PreEscaped(filled(text, values)),
            None => {
                self.missing.set(true);
                let text = PreEscaped(filled(english_phrase(key), values));
                html! { span lang="en" dir="ltr" { (text) } }
            }
        }
    }

    /// A phrase for where no markup can stand: a title, a name for screen readers.
    pub(crate) fn plain(&self, key: &str, values: &[(&str, &str)]) -> String {
        let text = self.words.phrase(key).unwrap_or_else(|| {
            self.missing.set(true);
            english_phrase(key)
        });
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    /// A date written out.
    pub(crate) fn date_text(&self, date: Date) -> String {
        let (year, month, day) = date.parts();
        let months = self.plain("language.months", &[]);
        let month = months.split(' ').nth(usize::from(month) - 1).unwrap_or_default().replace('_', " ");
        let day = if day == 1 { self.plain("language.first", &[]) } else { day.to_string() };
        self.plain("language.date", &[("day", &day), ("month", &month), ("year", &year.to_string())])
    }

    /// A date written out, as readers and machines understand it.
    pub(crate) fn date(&self, date: Date) -> Markup {
        html! { time datetime=(date.to_string()) { (self.date_text(date)) } }
    }

    /// So many of something: `count("year", 4)`.
    pub(crate) fn count(&self, unit: &str, n: u64) -> String {
        let key = |form: &str| format!("unit.{unit}.{form}");
        let form = self.words.form(n);
        let key = if self.words.phrase(&key(form)).is_some() { key(form) } else { key("other") };
        self.plain(&key, &[("n", &n.to_string())])
    }

    /// Time left: years and months; days only where less than three months are left.
    pub(crate) fn left(&self, left: Left) -> String {
        let (years, months, days) = (u64::from(left.years), u64::from(left.months), u64::from(left.days));
        let (a, b) = match (years, months) {
            (0, 0..3) => (("month", months), ("day", days)),
            _ => (("year", years), ("month", months)),
        };
        match (a.1, b.1) {
            (0, _) => self.count(b.0, b.1),
            (_, 0) => self.count(a.0, a.1),
            _ => self.plain("language.join", &[("a", &self.count(a.0, a.1)), ("b", &self.count(b.0, b.1))]),
        }
    }

    /// The maker's own words, at most so many bytes of them: shown as they are, marked as English where the page is not.
    pub(crate) fn own(&self, text: &str, most: usize) -> Markup {
        let (text, whole) = clip(text, most);
        let more = if whole { "" } else { "…" };
        if self.is_english() {
            html! { (text) (more) }
        } else {
            html! { span lang="en" dir="auto" { (text) (more) } }
        }
    }

    /// The answer in one sentence. In English it is the very sentence that device and summary say.
    pub(crate) fn sentence(&self, record: &Support, name: &str, status: &Status, today: Date) -> Markup {
        let replaced = record.is_replaced_not_updated();
        let until = html! { strong { (self.date(status.until)) } };
        if self.is_english() {
            let text = status.sentence(name, today, replaced);
            let words = status.until.in_words().to_string();
            let Some((before, after)) = text.rsplit_once(&words) else { return html! { (text) } };
            return html! { (before) (until) (after) };
        }
        let key = match status.state {
            State::Supported | State::EndsSoon if status.until == today => "today",
            State::Supported | State::EndsSoon => "supported",
            other => other.as_str(),
        };
        let key = format!("sentence.{key}{}", if replaced { "-replaced" } else { "" });
        let on = status.ended_on.map(|on| self.date(on)).unwrap_or_default();
        let name = html! { bdi { (self.own(name, 400)) } };
        let left = html! { (self.left(status.left)) };
        self.fill(&key, &[("name", name), ("until", until), ("on", on), ("left", left)])
    }
}

/// English has every key that the code says: a test walks through all pages.
fn english_phrase(key: &str) -> &str {
    english().phrase(key).unwrap_or(key)
}

/// Fills in, from left to right, so that what is filled in is never searched again.
fn filled(text: &str, values: &[(&str, Markup)]) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        before.render_to(&mut out);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            out.push_str(&value.0);
        }
        rest = after;
    }
    rest.render_to(&mut out);
    out
}
