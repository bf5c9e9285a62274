//! What a product tells a server that follows this protocol, made from the schemas of report and check-in: a field that
//! is added there appears here, or a test fails.

use super::Reader;
use super::frame::Frame;
use crate::support::Rendered;
use maud::html;

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
        p { (speech.say("device-data.consent")) }
        p { (speech.say("device-data.rights")) }
        p { (speech.say("device-data.votes")) }
        p { (speech.say("device-data.third")) " " (speech.say("device-data.choice")) }
    };
    let title = speech.plain("frame.device-data", &[]);
    Frame { title: &title, head: html! {}, main, status: 200, own_words: false }.render(reader)
}
