//! The front page: one question, one field. With an answer it lists what fits; without one it says how to go on.

use super::Reader;
use super::frame::Frame;
use super::parts::mark;
use crate::support::search::{Advice, Found};
use crate::support::{Listed, Rendered};
use maud::{Markup, html};
use std::sync::Arc;

/// Products that are listed at once.
const SHOWN: usize = 20;

pub(crate) fn search(reader: &Reader<'_>) -> Rendered {
    let speech = &reader.speech;
    let query = reader.query.get("q").map(str::trim).unwrap_or_default();
    let main = html! {
        h1.plain { (speech.say("search.title")) }
        (form(query, reader))
        @if query.is_empty() {
            (everything(reader))
            p { a href=(reader.link("/support/audit")) { (speech.say("audit.title")) } }
        }
        @else { (results(query, &reader.catalogue.search(query), reader)) }
    };
    let title = match query {
        "" => speech.plain("search.title", &[]),
        query => format!("{query}: {}", speech.plain("search.title", &[])),
    };
    Frame { title: &title, head: html! {}, main, status: 200, own_words: true }.render(reader)
}

/// The form, with what was typed.
pub(super) fn form(query: &str, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    if reader.files {
        return html! {};
    }
    html! {
        form action="/support/" method="get" role="search" {
            label for="q" { (speech.say("search.label")) }
            p.hint #hint { (speech.say("search.hint")) }
            div.ask {
                input #q name="q" type="search" value=(query) dir="auto" maxlength="200" autocomplete="off" spellcheck="false" aria-describedby="hint";
                @if reader.query.get("lang").is_some() { input type="hidden" name="lang" value=(speech.words.code); }
                button type="submit" { (speech.say("search.button")) }
            }
        }
    }
}

/// All products where they are few, else how many there are.
fn everything(reader: &Reader<'_>) -> Markup {
    let (speech, count) = (&reader.speech, reader.catalogue.products().count());
    html! {
        @match count {
            0 => p { (speech.say("search.empty")) },
            few if few <= SHOWN || reader.files => {
                h2 { (speech.say("search.all")) }
                ul.rows { @for listed in reader.catalogue.products() { (row(listed, reader)) } }
            }
            _ => p { (speech.fill("search.many", &[("products", html! { (speech.count("product", count as u64)) })])) },
        }
    }
}

fn results(query: &str, found: &Found, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        section aria-labelledby="found" {
            @if found.products.is_empty() {
                h2 #found { (speech.fill("search.none-title", &[("query", html! { bdi { (query) } })])) }
                @match &found.advice { Some(advice) => (advise(advice, reader)), None => (advise_none(reader)) }
            } @else {
                h2 #found {
                    (speech.fill("search.count", &[("products", html! { (speech.count("product", found.total as u64)) })]))
                }
                @if let Some(advice) = &found.advice { (advise(advice, reader)) }
                @if found.similar && found.advice.is_none() { p { (speech.say("search.similar")) } }
                @if found.total > found.products.len() {
                    p { (speech.fill("search.first", &[("n", html! { (found.products.len()) })])) }
                }
                ul.rows { @for listed in &found.products { (row(listed, reader)) } }
            }
        }
    }
}

fn advise(advice: &Advice, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    let printed = |number: &str| html! { bdi { (number) } };
    html! {
        p.note {
            @match advice {
                Advice::CheckDigit { printed: number, expected, near } => {
                    (speech.fill("search.check-digit", &[
                        ("printed", printed(number)), ("expected", html! { (expected) }),
                    ]))
                    @if *near { " " (speech.say("search.check-digit-near")) }
                }
                Advice::GtinUnknown(number) => (speech.fill("search.gtin-unknown", &[("printed", printed(number))])),
            }
        }
        @if matches!(advice, Advice::GtinUnknown(_)) { p { (speech.say("search.none-elsewhere")) } }
    }
}

fn advise_none(reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        ul {
            @for key in ["search.none-short", "search.none-model", "search.none-gtin", "search.none-elsewhere"] {
                li { (speech.say(key)) }
            }
        }
    }
}

fn row(listed: &Arc<Listed>, reader: &Reader<'_>) -> Markup {
    let (record, speech, status) = (&listed.record, &reader.speech, listed.status(reader));
    let key = if status.state.is_supported() { "state.until" } else { "state.was-until" };
    html! {
        li {
            div.row {
                a href=(reader.link(&listed.path(""))) { (speech.own(record.display_name(), 200)) }
                (mark(status.state, true, speech))
            }
            p { (speech.fill(key, &[("until", speech.date(status.until))])) }
            p.soft {
                @if let Some(model) = &record.model { (speech.own(&model.kind, 100)) " · " bdi { (model.designation) } }
                @if let Some(maker) = &record.maker { " · " (speech.own(&maker.party.name, 100)) }
            }
        }
    }
}
