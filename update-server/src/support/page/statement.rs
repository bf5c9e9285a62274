//! The UK's statement of compliance (SI 2023/1007, Schedule 4), to be printed. Each statement stands as it was signed:
//! its support date is the one that was correct when the product was first supplied.

use super::Reader;
use super::frame::Frame;
use super::parts::above;
use crate::support::{Listed, Rendered};
use maud::{Markup, html};
use perennial_schemas::support::{Party, Statement};

/// Statements on one page; a maker that has more has one for each batch.
const STATEMENTS: usize = 4;

pub(crate) fn statement(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let speech = &reader.speech;
    let statements = listed.record.compliance.as_ref().map_or(&[][..], |compliance| &compliance.statements);
    let main = html! {
        (above(listed, reader))
        h1.plain { (speech.say("statement.title")) }
        p { (speech.say("statement.intro")) }
        @if statements.is_empty() { p { (speech.say("statement.none")) } }
        @for statement in statements.iter().rev().take(STATEMENTS) { (sheet(listed, statement, reader)) }
    };
    let title = format!("{}: {}", listed.record.display_name(), speech.plain("statement.title", &[]));
    Frame { title: &title, head: html! {}, main, status: 200, own_words: true }.render(reader)
}

fn sheet(listed: &Listed, statement: &Statement, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    let until = |date| speech.fill("statement.support-until", &[("until", speech.date(date))]);
    let schedule = if statement.schedule == 1 { "statement.schedule-1" } else { "statement.schedule-2" };
    html! {
        div.sheet {
            dl.pairs {
                dt { (speech.say("statement.product")) }
                dd { (speech.own(listed.record.display_name(), 200)) ", " (speech.own(&statement.product_type, 400)) }
                dt { (speech.say("statement.batches")) }
                dd {
                    @if statement.batches.is_empty() { (speech.say("statement.all-batches")) }
                    @else { (speech.own(&statement.batches.join(", "), 1000)) }
                }
                @for party in statement.manufacturers.iter().take(4) { (named("statement.manufacturer", party, reader)) }
                @for party in statement.representatives.iter().take(4) {
                    (named("statement.representative", party, reader))
                }
                dt { (speech.say("statement.support")) }
                dd { strong { (until(statement.support_at_first_supply)) } }
                @if !statement.standards.is_empty() {
                    dt { (speech.say("statement.standards")) }
                    dd {
                        @for standard in statement.standards.iter().take(12) {
                            p {
                                (speech.fill("statement.standard", &[
                                    ("number", html! { bdi { (standard.number) } }),
                                    ("version", html! { bdi { (standard.version) } }),
                                    ("date", speech.date(standard.date)),
                                ]))
                            }
                        }
                    }
                }
            }
            p { (speech.say("statement.prepared")) }
            p { (speech.say(schedule)) }
            dl.pairs {
                dt { (speech.say("statement.signed")) }
                dd {
                    @let (name, function) = (speech.own(&statement.signatory, 200), speech.own(&statement.function, 200));
                    p { (speech.fill("statement.by", &[("name", name), ("function", function)])) }
                    @let (place, date) = (speech.own(&statement.place, 200), speech.date(statement.date));
                    p { (speech.fill("statement.place", &[("place", place), ("date", date)])) }
                }
            }
            @let today = listed.record.until_on_sale(reader.view.now.date());
            @if today != statement.support_at_first_supply {
                p.note { (speech.fill("statement.now", &[("until", speech.date(today))])) }
            }
        }
    }
}

fn named(title: &str, party: &Party, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        dt { (speech.say(title)) }
        dd.text { (speech.own(&party.name, 200)) "\n" (speech.own(&party.address, 500)) }
    }
}
