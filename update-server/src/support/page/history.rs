//! What was promised, told and published: lists that only ever grow, newest first, a page at a time where they are long.

use super::Reader;
use super::frame::Frame;
use super::parts::{above, turn};
use crate::support::{Listed, Rendered, Update};
use maud::{Markup, html};
use perennial_schemas::release::Class;
use perennial_schemas::support::{CohortName, Notice, NoticeKind, OpenVulnerability};

/// Promises, notices and updates that stand on the product's own page.
const SHORT: usize = 6;

/// Bytes of one text in a list.
const TEXT: usize = 500;

/// What a list shows of a product, newest first.
type Items<'a, T> = Vec<T>;

pub(super) fn promise_section(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let (all, speech) = (promise_numbers(listed), &reader.speech);
    html! {
        section aria-labelledby="promises" {
            h2 #promises { (speech.say("promises.title")) }
            p { (speech.say("promises.intro")) }
            ul.rows { @for number in all.iter().take(SHORT) { (promise(listed, *number, reader)) } }
            @if all.len() > SHORT { p { a href=(reader.link(&listed.path("promises"))) { (speech.say("promises.all")) } } }
        }
    }
}

pub(super) fn notice_section(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let (all, speech) = (notices_of(listed), &reader.speech);
    html! {
        @if !all.is_empty() {
            section aria-labelledby="notices" {
                h2 #notices { (speech.say("notices.title")) }
                ul.rows { @for told in all.iter().take(SHORT) { (notice(listed, told, reader)) } }
                @if all.len() > SHORT { p { a href=(reader.link(&listed.path("notices"))) { (speech.say("notices.all")) } } }
            }
        }
    }
}

pub(super) fn update_section(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        @if !listed.updates.is_empty() {
            section aria-labelledby="updates" {
                h2 #updates { (speech.say("updates.title")) }
                ul.rows { @for update in listed.updates.iter().take(SHORT) { (update_row(update, reader)) } }
                @if listed.updates.len() > SHORT {
                    p { a href=(reader.link(&listed.path("updates"))) { (speech.say("updates.all")) } }
                }
            }
        }
    }
}

/// All promises.
pub(crate) fn promises(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let all = promise_numbers(listed);
    let (rows, nav) = turn(&all, reader);
    let rows = html! { @for number in rows { (promise(listed, *number, reader)) } };
    list(
        listed,
        "promises.title",
        &html! { p { (reader.speech.say("promises.intro")) } },
        &rows,
        &nav,
        reader,
    )
}

/// All notices.
pub(crate) fn notices(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let all = notices_of(listed);
    let (rows, nav) = turn(&all, reader);
    let rows = html! { @for told in rows { (notice(listed, told, reader)) } };
    list(listed, "notices.title", &html! {}, &rows, &nav, reader)
}

/// All updates.
pub(crate) fn updates(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let (rows, nav) = turn(&listed.updates, reader);
    let rows = html! { @for update in rows { (update_row(update, reader)) } };
    list(listed, "updates.title", &html! {}, &rows, &nav, reader)
}

fn list(
    listed: &Listed,
    title: &str,
    intro: &Markup,
    rows: &Markup,
    nav: &Markup,
    reader: &Reader<'_>,
) -> Rendered {
    let heading = reader.speech.say(title);
    let main = html! { (above(listed, reader)) h1.plain { (heading) } (intro) ul.rows { (rows) } (nav) };
    let title = format!("{}: {}", listed.record.display_name(), reader.speech.plain(title, &[]));
    Frame { title: &title, head: html! {}, main, status: 200, own_words: true }.render(reader)
}

fn promise_numbers(listed: &Listed) -> Items<'_, usize> {
    (0..listed.record.promises.len()).rev().collect()
}

fn notices_of(listed: &Listed) -> Items<'_, &Notice> {
    listed.record.notices.iter().rev().collect()
}

fn promise(listed: &Listed, number: usize, reader: &Reader<'_>) -> Markup {
    let (record, speech) = (&listed.record, &reader.speech);
    let promise = &record.promises[number];
    let annulled = record.annulled.iter().find(|annulment| annulment.promise as usize == number + 1);
    html! {
        li {
            div.row {
                @let until = speech.fill("state.until", &[("until", speech.date(promise.guaranteed_until))]);
                @if annulled.is_some() { s.gone { (until) } } @else { strong { (until) } }
                span.soft { (speech.say("promises.made")) ": " (speech.date(promise.made.date())) }
            }
            (whom(listed, &promise.cohorts, reader))
            p.text { (speech.own(&promise.reason, TEXT)) }
            @if let Some(annulment) = annulled {
                p {
                    strong { (speech.fill("promises.annulled", &[("date", speech.date(annulment.at.date()))])) }
                    " " (speech.own(&annulment.reason, TEXT))
                }
            }
        }
    }
}

/// To whom it is said, where that isn't everybody.
fn whom(listed: &Listed, cohorts: &[CohortName], reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        @if !listed.record.cohorts.is_empty() {
            p.soft {
                (speech.say("promises.for")) ": "
                @if cohorts.is_empty() { (speech.say("promises.everybody")) }
                @for (place, name) in cohorts.iter().take(8).enumerate() {
                    @if place > 0 { ", " }
                    @match listed.record.cohort(name) {
                        Some(cohort) => (speech.own(&cohort.label, 80)),
                        None => bdi { (name) },
                    }
                }
                @if cohorts.len() > 8 { " …" }
            }
        }
    }
}

fn notice(listed: &Listed, notice: &Notice, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    let title = match &notice.kind {
        NoticeKind::Information => speech.say("notices.information"),
        NoticeKind::Vulnerability(open) => {
            let severity = speech.say(&severity_key(open));
            speech
                .fill("notices.vulnerability", &[("id", html! { bdi { (open.id) } }), ("severity", severity)])
        }
        NoticeKind::EndedEarly { on } => speech.fill("notices.ended-early", &[("date", speech.date(*on))]),
        NoticeKind::Ceased { on } => speech.fill("notices.ceased", &[("date", speech.date(*on))]),
    };
    html! {
        li {
            div.row { strong { (title) } span.soft { (speech.date(notice.made.date())) } }
            (whom(listed, &notice.cohorts, reader))
            @if let NoticeKind::Vulnerability(open) = &notice.kind { (standing(listed, open, reader)) }
            p.text { (speech.own(&notice.text, TEXT)) }
            @if !notice.advice.is_empty() {
                p.text { strong { (speech.say("notices.advice")) ": " } (speech.own(&notice.advice, TEXT)) }
            }
        }
    }
}

/// Whether an update on offer has closed a weakness since.
fn standing(listed: &Listed, open: &OpenVulnerability, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    let closes =
        |update: &&Update| update.is_offered() && update.release.fixes.iter().any(|fix| fix.id == open.id);
    html! {
        p {
            (speech.fill("notices.disclosed", &[("date", speech.date(open.disclosed))])) " "
            @match listed.updates.iter().rev().find(closes) {
                Some(update) => strong { (speech.fill("notices.fixed", &[("version", html! { bdi { (update.release.version) } })])) },
                None => strong { (speech.say("notices.open")) },
            }
        }
    }
}

fn severity_key(open: &OpenVulnerability) -> String {
    format!("severity.{:?}", open.severity).to_lowercase()
}

fn update_row(update: &Update, reader: &Reader<'_>) -> Markup {
    let (release, speech) = (&update.release, &reader.speech);
    let class = match &release.class {
        Class::Security => "updates.security",
        Class::Functionality => "updates.functionality",
        Class::Combined { .. } => "updates.combined",
    };
    html! {
        li {
            div.row {
                strong { bdi { (release.version) } " · " (speech.say(class)) }
                span.soft { (speech.date(release.created.date())) }
            }
            (update_item(update, TEXT, reader))
            @if let Some(gone) = &update.withdrawn {
                p {
                    strong { (speech.fill("updates.withdrawn", &[("date", speech.date(gone.at.date()))])) } ": "
                    (speech.own(&gone.reason, TEXT))
                }
            }
        }
    }
}

/// What an update changes, why that matters, and which weaknesses it closes.
pub(super) fn update_item(update: &Update, most: usize, reader: &Reader<'_>) -> Markup {
    let (release, speech) = (&update.release, &reader.speech);
    let fixes = &release.fixes;
    html! {
        p.text { (speech.own(&release.notes.what, most)) }
        @if !release.notes.why.is_empty() {
            p.text { strong { (speech.say("updates.why")) ": " } (speech.own(&release.notes.why, most)) }
        }
        @if !fixes.is_empty() {
            p {
                @let count = html! { (speech.count("weakness", fixes.len() as u64)) };
                (speech.fill("latest.fixes", &[("weaknesses", count)])) " "
                @for (place, fix) in fixes.iter().take(6).enumerate() {
                    @if place > 0 { ", " }
                    bdi { (fix.id) } " (" (speech.say(&format!("severity.{:?}", fix.severity).to_lowercase())) ")"
                }
                @if fixes.len() > 6 { " …" }
            }
        }
        @for advisory in release.advisories.iter().filter(|address| address.starts_with("https://")).take(2) {
            p { a href=(advisory) { (speech.say("updates.advisory")) } }
        }
    }
}
