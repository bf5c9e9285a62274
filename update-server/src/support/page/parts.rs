//! Pieces that several pages are made of: the mark of a state, a cohort's row, the turning of pages, where it all comes
//! from.

use super::Reader;
use crate::support::Listed;
use crate::support::words::Speech;
use maud::{Markup, PreEscaped, html};
use perennial_schemas::support::{Cohort, State, Status};

/// Rows on a page of a long list.
pub(super) const ROWS: usize = 15;

impl Listed {
    /// How things stand on the day of the view, for all units as they are sold.
    pub(super) fn status(&self, reader: &Reader<'_>) -> Status {
        self.record.status(reader.view.now.date(), None, self.lapsed(reader.view))
    }

    /// The same for one cohort.
    pub(super) fn status_of(&self, cohort: &Cohort, reader: &Reader<'_>) -> Status {
        self.record.status(reader.view.now.date(), Some(&cohort.name), self.lapsed(reader.view))
    }

    /// The path of its page, or of one below.
    pub(super) fn path(&self, below: &str) -> String {
        match below {
            "" => format!("/support/{}", self.record.product),
            below => format!("/support/{}/{below}", self.record.product),
        }
    }
}

/// A link to the statement of compliance, where there is one: on every page that a label's code may lead to.
pub(super) fn statement_link(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let compliance = listed.record.compliance.as_ref();
    html! {
        @if compliance.is_some_and(|compliance| !compliance.statements.is_empty()) {
            p { a href=(reader.link(&listed.path("statement"))) { (reader.speech.say("files.statement")) } }
        }
    }
}

/// A state by word and shape: never by colour alone.
pub(super) fn mark(state: State, small: bool, speech: &Speech) -> Markup {
    let class = format!("state {}{}", state.as_str(), if small { " small" } else { "" });
    html! {
        span class=(class) { (shape(state)) (speech.say(&format!("state.{}", state.as_str()))) }
    }
}

/// A disc with a tick, a triangle, a square, a cut square, a ring with a question, a cross.
fn shape(state: State) -> Markup {
    let line = r#"fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round""#;
    let drawing = match state {
        State::Supported => {
            format!(r#"<circle cx="12" cy="12" r="9.6" {line}/><path d="m7.6 12.4 3 3 5.8-6.4" {line}/>"#)
        }
        State::EndsSoon => {
            format!(r#"<path d="M12 3 2.6 20h18.8Z" {line}/><path d="M12 10v4.4M12 17.2v.1" {line}/>"#)
        }
        State::Ended => r#"<path d="M4 4h16v16H4Z" fill="currentColor"/>"#.into(),
        State::EndedEarly => format!(r#"<path d="M4 4h16v16H4ZM4 20 20 4" {line}/>"#),
        State::Lapsed => {
            format!(
                r#"<circle cx="12" cy="12" r="9.6" stroke-dasharray="4 3.5" {line}/><path d="M9.6 9.4a2.5 2.5 0 1 1 3.4 2.4c-.7.3-1 .8-1 1.6M12 16.6v.1" {line}/>"#
            )
        }
        State::Ceased => format!(r#"<path d="M5 5l14 14M19 5 5 19" {line}/>"#),
    };
    PreEscaped(format!(r#"<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">{drawing}</svg>"#))
}

/// A cohort in a list: its name, its state, its date, and how to find out whether a unit belongs to it.
pub(super) fn cohort_row(listed: &Listed, cohort: &Cohort, most: usize, reader: &Reader<'_>) -> Markup {
    let (speech, status) = (&reader.speech, listed.status_of(cohort, reader));
    let key = if status.state.is_supported() { "state.until" } else { "state.was-until" };
    html! {
        li {
            div.row {
                a href=(reader.link(&listed.path(cohort.name.as_str()))) { (speech.own(&cohort.label, 200)) }
                (mark(status.state, true, speech))
            }
            p { strong { (speech.fill(key, &[("until", speech.date(status.until))])) } }
            p.soft { (speech.own(&cohort.find, most)) }
        }
    }
}

/// The page that was asked for of a list: which rows, and the ways to its neighbours.
pub(super) fn turn<'t, T>(all: &'t [T], reader: &Reader<'_>) -> (&'t [T], Markup) {
    if reader.files {
        return (all, html! {});
    }
    let pages = all.len().div_ceil(ROWS).max(1);
    let page = reader.query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1_usize).clamp(1, pages);
    let rows = &all[(page - 1) * ROWS..all.len().min(page * ROWS)];
    let speech = &reader.speech;
    let to = |page: usize| {
        let link = reader.link(reader.path);
        format!("{link}{}page={page}", if link.contains('?') { '&' } else { '?' })
    };
    let nav = html! {
        @if pages > 1 {
            nav.turn aria-label=(speech.plain("pages.page", &[("n", &page.to_string()), ("of", &pages.to_string())])) {
                @if page > 1 { a rel="prev" href=(to(page - 1)) { (speech.say("pages.previous")) } }
                span { (speech.fill("pages.page", &[("n", html! { (page) }), ("of", html! { (pages) })])) }
                @if page < pages { a rel="next" href=(to(page + 1)) { (speech.say("pages.next")) } }
            }
        }
    };
    (rows, nav)
}

/// Which record says so, and how anybody compares it.
pub(super) fn source(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let (speech, record) = (&reader.speech, &listed.record);
    // Without an address of its own the server can't write a command that works; the reader sees what to fill in.
    let base = if reader.view.base.is_empty() { "https://SERVER" } else { reader.view.base };
    let summary = format!("{base}{}", listed.path("summary.json"));
    html! {
        section aria-labelledby="source" {
            h2 #source { (speech.say("source.title")) }
            p {
                (speech.fill("source.record", &[
                    ("sequence", html! { (record.sequence) }),
                    ("today", speech.date(reader.view.now.date())),
                ]))
            }
            p { "SHA-256 " span.digest dir="ltr" { (listed.sha256) } }
            p { (speech.say("source.verify")) }
            pre dir="ltr" { code { "perennial-device support verify " (summary) " --root FILE" } }
        }
    }
}

/// The way back to the product.
pub(super) fn above(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let name = reader.speech.own(listed.record.display_name(), 200);
    html! { p.of { a href=(reader.link(&listed.path(""))) { (name) } } }
}
