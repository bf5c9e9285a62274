//! A cohort's page: the same answer for units that share a date, and how an owner sees that theirs is one of them.

use super::Reader;
use super::frame::Frame;
use super::parts::{above, cohort_row, mark, source, statement_link, turn};
use super::product::{title, who};
use crate::support::words::Speech;
use crate::support::{Listed, Rendered};
use maud::{Markup, html};
use perennial_schemas::support::{Cohort, Promise};

/// Promises that stand on a cohort's page; all of them stand on the product's.
const SHORT: usize = 6;

pub(crate) fn cohort(listed: &Listed, cohort: &Cohort, reader: &Reader<'_>) -> Rendered {
    let (record, speech) = (&listed.record, &reader.speech);
    let status = listed.status_of(cohort, reader);
    let name = format!("{} ({})", record.display_name(), cohort.label);
    let promises: Vec<&Promise> = record.promises_for(Some(&cohort.name)).collect();
    let main = html! {
        (who(listed, reader))
        (mark(status.state, false, speech))
        h1 { (speech.sentence(record, &name, &status, reader.view.now.date())) }
        @if status.state.is_supported() { p { (speech.say("answer.never-earlier")) } }
        h2 { (speech.say("cohorts.find")) }
        p.text { (speech.own(&cohort.find, 2000)) }
        (facts(cohort, speech))
        h2 { (speech.say("promises.title")) }
        ul.rows {
            @for promise in promises.iter().rev().take(SHORT) {
                li {
                    div.row {
                        strong { (speech.fill("state.until", &[("until", speech.date(promise.guaranteed_until))])) }
                        span.soft { (speech.say("promises.made")) ": " (speech.date(promise.made.date())) }
                    }
                    p.text { (speech.own(&promise.reason, 400)) }
                }
            }
        }
        p {
            a href=(reader.link(&listed.path(""))) {
                (speech.fill("cohorts.to-model", &[("name", speech.own(record.display_name(), 200))]))
            }
        }
        (statement_link(listed, reader))
        (source(listed, reader))
    };
    let title = title(&name, &status, reader);
    Frame { title: &title, head: html! {}, main, status: 200, own_words: true }.render(reader)
}

/// All cohorts of a product.
pub(crate) fn cohorts(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let speech = &reader.speech;
    let (rows, nav) = turn(&listed.record.cohorts, reader);
    let main = html! {
        (above(listed, reader))
        h1.plain { (speech.say("cohorts.title")) }
        ul.rows { @for cohort in rows { (cohort_row(listed, cohort, 500, reader)) } }
        (nav)
        p { (speech.fill("cohorts.unknown", &[("until", speech.date(listed.record.guaranteed_until()))])) }
    };
    let title = format!("{}: {}", listed.record.display_name(), speech.plain("cohorts.title", &[]));
    Frame { title: &title, head: html! {}, main, status: 200, own_words: true }.render(reader)
}

fn facts(cohort: &Cohort, speech: &Speech) -> Markup {
    let from = speech.date(cohort.placed_from);
    let hardware: Vec<&str> = cohort.hardware.iter().map(|name| name.as_str()).collect();
    let list = |items: &[&str]| {
        let text = items.join(", ");
        speech.own(&text, 1500)
    };
    let batches: Vec<&str> = cohort.batches.iter().map(String::as_str).collect();
    let markets: Vec<&str> = cohort.markets.iter().map(String::as_str).collect();
    html! {
        p {
            @match cohort.placed_until {
                Some(to) => (speech.fill("cohorts.sold", &[("from", from), ("to", speech.date(to))])),
                None => (speech.fill("cohorts.on-sale", &[("from", from)])),
            }
        }
        dl.pairs {
            @if !batches.is_empty() { dt { (speech.say("cohorts.batches")) } dd { (list(&batches)) } }
            @if !markets.is_empty() { dt { (speech.say("cohorts.markets")) } dd { (list(&markets)) } }
            @if !hardware.is_empty() { dt { (speech.say("cohorts.hardware")) } dd { (list(&hardware)) } }
        }
    }
}
