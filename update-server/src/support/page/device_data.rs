//! What a product tells a server that follows this protocol, made from the schemas of report and check-in: a field that
//! is added there appears here, or a test fails.

use super::Reader;
use super::frame::Frame;
use crate::config::Span;
use crate::support::Rendered;
use maud::{Markup, html};

/// The fields of a report, in the order of its type. A test compares them with the schema.
pub(super) const FIELDS: &[&str] = &[
    "format", "requires", "device", "sequence", "at", "product", "hardware", "version", "manifest",
    "outcome", "failure", "detail",
];

/// The fields of a check-in, in the order of its type, and what is said of each: a test compares them with the schema.
pub(super) const CHECK_IN: &[(&str, &str)] = &[
    ("format", "format"),
    ("requires", "requires"),
    ("at", "clock"),
    ("product", "product"),
    ("hardware", "hardware"),
    ("channel", "channel"),
    ("version", "running"),
    ("security_version", "security_version"),
    ("manifest", "running_manifest"),
    ("agent", "agent"),
    ("attributes", "attributes"),
    ("ticket", "ticket"),
];

pub(crate) fn device_data(reader: &Reader<'_>) -> Rendered {
    let speech = &reader.speech;
    let main = html! {
        h1.plain { (speech.say("frame.device-data")) }
        p { (speech.say("device-data.intro")) }
        p { (speech.say("device-data.address")) }
        p { (speech.say("device-data.reports")) }
        dl.pairs {
            @for field in FIELDS {
                dt { code dir="ltr" { (field) } }
                dd { (speech.say(&format!("device-data.{field}"))) }
            }
        }
        p { (speech.say("device-data.checkins")) }
        dl.pairs {
            @for (field, word) in CHECK_IN {
                dt { code dir="ltr" { (field) } }
                dd { (speech.say(&format!("device-data.{word}"))) }
            }
        }
        p { (speech.say("device-data.held")) }
        p { (speech.say("device-data.consent")) " " (withdraw(reader)) }
        p { (speech.say("device-data.rights")) " " (kept(reader)) }
        p { (speech.say("device-data.votes")) }
        (third_parties(reader))
        p { (speech.say("device-data.choice")) }
    };
    let title = speech.plain("frame.device-data", &[]);
    Frame { title: &title, head: html! {}, main, status: 200, own_words: false }.render(reader)
}

/// Bytes of one line of the maker's words.
const LINE: usize = 1000;

/// How consent is withdrawn: in the maker's words, else by the agent's command.
fn withdraw(reader: &Reader<'_>) -> Markup {
    let (speech, own) = (&reader.speech, &reader.view.told.page.withdraw);
    if own.trim().is_empty() {
        let command = html! { code dir="ltr" { "perennial-device consent withdraw" } };
        return speech.fill("device-data.withdraw", &[("command", command)]);
    }
    speech.own(own, LINE)
}

/// For how long what is told is kept.
fn kept(reader: &Reader<'_>) -> Markup {
    let (speech, keep) = (&reader.speech, &reader.view.told.keep);
    // A day that has begun is promised whole.
    let days = |span: Span| html! { (speech.count("day", span.0.as_secs().div_ceil(86_400))) };
    let spans = [("reports", days(keep.reports)), ("devices", days(keep.devices))];
    speech.fill("device-data.kept", &spans)
}

/// Whom it is handed to.
fn third_parties(reader: &Reader<'_>) -> Markup {
    let (speech, parties) = (&reader.speech, &reader.view.told.page.third_parties);
    html! {
        @if parties.is_empty() {
            p { (speech.say("device-data.third")) }
        } @else {
            p { (speech.say("device-data.third-parties")) }
            ul { @for party in parties { li { (speech.own(party, LINE)) } } }
        }
    }
}
