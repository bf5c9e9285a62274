//! The pages for people: rendered here, without script, cookie or anything from elsewhere. Every fact on them is from
//! the signed record, its releases, or the calendar; every other word from the catalogues.

mod audit;
mod care;
mod cohort;
mod device_data;
mod frame;
mod history;
mod missing;
mod parts;
mod product;
mod search;
mod statement;

pub(super) use audit::audit;
pub(super) use care::care;
pub(super) use cohort::{cohort, cohorts};
pub(super) use device_data::device_data;
pub(crate) use frame::policy;
pub(super) use history::{notices, promises, updates};
pub(super) use missing::{missing, nothing_below};
pub(super) use product::product;
pub(super) use search::search;
pub(super) use statement::statement;

use super::routes::Query;
use super::words::{Speech, Words};
use super::{Catalogue, View};

/// What every page is made with.
pub(super) struct Reader<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) view: &'a View<'a>,
    pub(super) query: &'a Query,
    /// The path of the page.
    pub(super) path: &'a str,
    pub(super) speech: Speech,
    /// True for a page of an export: nothing that a plain web server can't answer stands on it.
    pub(super) files: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        catalogue: &'a Catalogue,
        view: &'a View<'a>,
        query: &'a Query,
        path: &'a str,
        words: &'static Words,
    ) -> Self {
        Self { catalogue, view, query, path, speech: Speech::new(words), files: false }
    }

    /// A link that keeps the language, where the reader chose one by the address.
    pub(super) fn link(&self, path: &str) -> String {
        match self.query.get("lang") {
            Some(_) => format!("{path}?lang={}", self.speech.words.code),
            None => path.to_owned(),
        }
    }
}

/// The beginning of a text, so that it takes at most `most` bytes in HTML, and whether that is all of it. It ends at a
/// space where one is near.
pub(super) fn clip(text: &str, most: usize) -> (&str, bool) {
    let mut taken = 0;
    for (at, letter) in text.char_indices() {
        taken += match letter {
            '<' | '>' => 4,
            '&' => 5,
            '"' => 6,
            other => other.len_utf8(),
        };
        if taken > most {
            let cut = &text[..at];
            let end = cut.rfind(char::is_whitespace).filter(|end| at - end < 40).unwrap_or(at);
            return (&cut[..end], false);
        }
    }
    (text, true)
}

#[cfg(test)]
mod tests;
