//! What was found over all products, for whoever watches makers: the same findings as the JSON, the first of each kind.

use super::Reader;
use super::frame::Frame;
use crate::support::Rendered;
use crate::support::audit::{Audit, Broken, How, Rules, Which};
use maud::{Markup, html};

/// Rows of each finding. Six findings of 12 rows with names of 200 bytes keep the page under its 50 KB; the JSON has all.
const ROWS: usize = 12;

pub(crate) fn audit(reader: &Reader<'_>) -> Rendered {
    let speech = &reader.speech;
    let audit = Audit::of(reader.catalogue, reader.view, Rules::default());
    let intro = [
        ("products", html! { (speech.count("product", audit.products as u64)) }),
        ("n", html! { (audit.on_sale) }),
        ("today", speech.date(audit.as_of)),
    ];
    let main = html! {
        h1.plain { (speech.say("audit.title")) }
        p { (speech.fill("audit.intro", &intro)) }
        (part("ending", &audit.ending, reader, |ending| {
            let until = ("until", speech.date(ending.guaranteed_until));
            let said = if ending.state.is_supported() {
                speech.fill("audit.until-left", &[until, ("left", html! { (speech.left(ending.left)) })])
            } else {
                let state = speech.say(&format!("state.{}", ending.state.as_str()));
                html! { (state) " · " (speech.fill("state.was-until", &[until])) }
            };
            (ending.which, said)
        }))
        (part("broken", &audit.broken, reader, |broken| (broken.which, unkept(broken, reader))))
        (part("open", &audit.open, reader, |open| {
            let days = html! { (speech.count("day", open.days.unsigned_abs())) };
            (open.which, speech.fill("audit.known", &[("id", html! { bdi { (open.id) } }), ("days", days)]))
        }))
        (part("annulled", &audit.annulled, reader, |annulled| {
            let until = speech.date(annulled.annulment.guaranteed_until);
            let said = [("until", until), ("reason", speech.own(&annulled.annulment.reason, 400))];
            (annulled.which, speech.fill("audit.taken-back", &said))
        }))
        (part("lapsed", &audit.lapsed, reader, |lapsed| {
            let said = [("until", speech.date(lapsed.promised_until)), ("on", speech.date(lapsed.signed_until.date()))];
            (lapsed.which, speech.fill("audit.signed", &said))
        }))
        (part("lacking", &audit.lacking, reader, |lacking| {
            let lacks = html! {
                @for (place, what) in lacking.lacks.iter().enumerate() {
                    @if place > 0 { " · " }
                    (speech.say(&format!("audit.lacks-{what}")))
                }
            };
            (lacking.which, lacks)
        }))
        (fixes(&audit, reader))
        p { a href="/support/audit.json" { (speech.say("audit.json")) } }
    };
    let title = speech.plain("audit.title", &[]);
    Frame { title: &title, head: html! {}, main, status: 200, own_words: true }.render(reader)
}

fn part<T>(name: &str, all: &[T], reader: &Reader<'_>, row: impl Fn(&T) -> (Which<'_>, Markup)) -> Markup {
    let speech = &reader.speech;
    html! {
        section aria-labelledby=(name) {
            h2 id=(name) { (speech.say(&format!("audit.{name}"))) }
            @if all.is_empty() { p { (speech.say("audit.none")) } } @else {
                ul.rows {
                    @for (which, said) in all.iter().take(ROWS).map(row) {
                        li {
                            a href=(reader.link(&format!("/support/{}", which.product))) { (speech.own(which.name, 200)) }
                            p { (said) }
                        }
                    }
                }
                @if all.len() > ROWS { p { (speech.fill("audit.more", &[("n", html! { (all.len() - ROWS) })])) } }
            }
        }
    }
}

fn unkept(broken: &Broken<'_>, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    let (key, on) = match broken.how {
        How::EndedEarly { on } => ("audit.ended", on),
        How::Ceased { on } => ("audit.ceased", on),
        How::Silent { since, .. } => ("audit.silent", since),
    };
    speech.fill(key, &[("until", speech.date(broken.promised_until)), ("on", speech.date(on))])
}

fn fixes(audit: &Audit<'_>, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        section aria-labelledby="fixes" {
            h2 #fixes { (speech.say("audit.fixes")) }
            @match audit.fixes.median_days {
                Some(days) => p {
                    (speech.fill("audit.median", &[
                        ("days", html! { (speech.count("day", days.unsigned_abs())) }),
                        ("weaknesses", html! { (speech.count("weakness", audit.fixes.counted as u64)) }),
                    ]))
                    " " (speech.say("audit.still-open"))
                },
                None => p { (speech.say("audit.none")) },
            }
        }
    }
}
