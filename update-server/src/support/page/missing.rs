//! What a reader gets at an address where nothing is: what that means, and the way on.

use super::Reader;
use super::frame::Frame;
use super::parts::above;
use super::search::form;
use crate::support::{Listed, Rendered};
use maud::html;

/// No such product.
pub(crate) fn missing(reader: &Reader<'_>) -> Rendered {
    let speech = &reader.speech;
    let main = html! {
        h1.plain { (speech.say("missing.title")) }
        p { (speech.say("missing.text")) }
        (form("", reader))
        p { (speech.say("search.none-elsewhere")) }
    };
    let title = speech.plain("missing.title", &[]);
    Frame { title: &title, head: html! {}, main, status: 404, own_words: false }.render(reader)
}

/// No such page of a product.
pub(crate) fn nothing_below(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let (speech, name) = (&reader.speech, listed.record.display_name());
    let main = html! {
        (above(listed, reader))
        h1.plain { (speech.fill("missing.page", &[("name", speech.own(name, 200))])) }
        p { (speech.say("missing.page-text")) }
        p {
            a href=(reader.link(&listed.path(""))) {
                (speech.fill("cohorts.to-model", &[("name", speech.own(name, 200))]))
            }
        }
    };
    let title = speech.plain("missing.page", &[("name", name)]);
    Frame { title: &title, head: html! {}, main, status: 404, own_words: true }.render(reader)
}
