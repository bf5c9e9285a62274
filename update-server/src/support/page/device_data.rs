//! What a product tells a server that follows this protocol, made from the report's own schema: a field that is added
//! there appears here.

use super::Reader;
use super::frame::Frame;
use crate::support::Rendered;
use maud::html;

/// The fields of a report, in the order of its type. A test compares them with the schema.
pub(super) const FIELDS: &[&str] = &[
    "format", "requires", "device", "sequence", "at", "product", "hardware", "version", "manifest",
    "outcome", "failure", "detail",
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
        p { (speech.say("device-data.third")) " " (speech.say("device-data.choice")) }
    };
    let title = speech.plain("frame.device-data", &[]);
    Frame { title: &title, head: html! {}, main, status: 200, own_words: false }.render(reader)
}
