//! How to cut a product off, wipe it and dispose of it: for the end of support, and for whoever sells it on.

use super::Reader;
use super::frame::Frame;
use super::parts::above;
use crate::support::{Listed, Rendered};
use maud::html;

pub(crate) fn care(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let (record, speech) = (&listed.record, &reader.speech);
    let name = record.display_name();
    let terms = record.promises.iter().rev().find_map(|promise| promise.replacement.as_ref());
    let steps = match (&record.aftercare, terms) {
        (Some(care), _) => vec![
            ("isolate.isolate", care.isolate.as_str()),
            ("isolate.wipe", &care.wipe),
            ("isolate.dispose", &care.dispose),
            ("isolate.replace", &care.replace),
        ],
        (None, Some(terms)) => {
            vec![("isolate.isolate", terms.isolate.as_str()), ("isolate.replace", &terms.terms)]
        }
        (None, None) => Vec::new(),
    };
    let main = html! {
        (above(listed, reader))
        h1.plain { (speech.fill("isolate.title", &[("name", speech.own(name, 200))])) }
        p { (speech.say("isolate.when")) }
        @if steps.is_empty() { p { (speech.say("isolate.default")) } }
        @for (title, text) in steps.into_iter().filter(|(_, text)| !text.is_empty()) {
            h2 { (speech.say(title)) }
            p.text { (speech.own(text, 6000)) }
        }
    };
    let title = speech.plain("isolate.title", &[("name", name)]);
    Frame { title: &title, head: html! {}, main, status: 200, own_words: true }.render(reader)
}
