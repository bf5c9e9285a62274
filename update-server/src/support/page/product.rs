//! A product's page: the answer in one sentence, then what follows from it for an owner, then everything that was ever
//! promised, told and published.

use super::Reader;
use super::frame::Frame;
use super::history::{notice_section, promise_section, update_item, update_section};
use super::parts::{cohort_row, mark, source, statement_link};
use crate::support::feeds::linked;
use crate::support::routes::PRODUCT;
use crate::support::{Listed, Rendered, words};
use maud::{Markup, PreEscaped, html};
use perennial_schemas::support::{Promise, Status, UpdateKind};

/// Cohorts that stand on the product's own page; all of them are one link away.
const COHORTS: usize = 8;

pub(crate) fn product(listed: &Listed, reader: &Reader<'_>) -> Rendered {
    let status = listed.status(reader);
    let main = html! {
        (answer(listed, &status, reader))
        (glance(listed, &status, reader))
        (cohort_section(listed, reader))
        (now(listed, &status, reader))
        (covers(listed, reader))
        (after(listed, &status, reader))
        // What is never updated has none, and says so above.
        @if !listed.record.is_replaced_not_updated() { (latest(listed, reader)) }
        (report(listed, reader))
        (promise_section(listed, reader))
        (notice_section(listed, reader))
        (update_section(listed, reader))
        (files(listed, &status, reader))
        (source(listed, reader))
    };
    let title = title(listed.record.display_name(), &status, reader);
    // Data for search engines, which nothing runs; it is written so that it can't end the element.
    let head = html! { script type="application/ld+json" { (PreEscaped(linked::of(listed, reader.view))) } };
    Frame { title: &title, head, main, status: 200, own_words: true }.render(reader)
}

pub(super) fn title(name: &str, status: &Status, reader: &Reader<'_>) -> String {
    let key = if status.state.is_supported() { "answer.title" } else { "answer.title-over" };
    reader.speech.plain(key, &[("until", &reader.speech.date_text(status.until)), ("name", name)])
}

fn answer(listed: &Listed, status: &Status, reader: &Reader<'_>) -> Markup {
    let (record, speech) = (&listed.record, &reader.speech);
    let today = reader.view.now.date();
    html! {
        (who(listed, reader))
        (mark(status.state, false, speech))
        h1 { (speech.sentence(record, record.display_name(), status, today)) }
        @if status.state.is_supported() { p { (speech.say("answer.never-earlier")) } }
        @if let Some(date) = status.annulled {
            p.note {
                (speech.fill("answer.annulled", &[("date", speech.date(date))]))
                " " a href="#promises" { (speech.say("answer.annulled-link")) } "."
            }
        }
        @if record.cohorts.len() > 1 {
            p { (speech.say("answer.cohorts")) " " a href="#cohorts" { (speech.say("cohorts.title")) } "." }
        }
    }
}

/// The maker, and the product as it is marked.
pub(super) fn who(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let (record, speech) = (&listed.record, &reader.speech);
    html! {
        p.of {
            @if let Some(maker) = &record.maker { (speech.own(&maker.party.name, 200)) " · " }
            @match &record.model {
                Some(model) => { (speech.own(&model.kind, 200)) " · " bdi { (model.designation) } }
                None => bdi { (record.product) },
            }
        }
    }
}

fn glance(listed: &Listed, status: &Status, reader: &Reader<'_>) -> Markup {
    let (record, speech) = (&listed.record, &reader.speech);
    let replaced = record.is_replaced_not_updated();
    let install = match &record.model {
        _ if replaced => Some("glance.never"),
        Some(model) if model.automatic_updates => Some("glance.automatic"),
        Some(_) => Some("glance.by-hand"),
        None => None,
    };
    let until = match status.state.is_supported() {
        false => "glance.until-over",
        true if replaced => "glance.until-replaced",
        true => "glance.until",
    };
    html! {
        dl.glance aria-label=(speech.plain("glance.title", &[])) {
            div {
                dt { (speech.say(until)) }
                dd { (speech.date(status.until)) }
            }
            div {
                dt { (speech.say("glance.left")) }
                dd {
                    @if status.state.is_supported() { (speech.left(status.left)) } @else { (speech.say("glance.none")) }
                }
            }
            @if let Some(update) = listed.latest() {
                div {
                    dt { (speech.say("glance.latest")) }
                    dd { (speech.date(update.release.created.date())) }
                }
            }
            @if let Some(install) = install {
                div { dt { (speech.say("glance.install")) } dd { (speech.say(install)) } }
            }
        }
    }
}

fn now(listed: &Listed, status: &Status, reader: &Reader<'_>) -> Markup {
    let (record, speech) = (&listed.record, &reader.speech);
    let automatic = record.model.as_ref().is_none_or(|model| model.automatic_updates);
    let key = match status.state.as_str() {
        "supported" | "ends-soon" if record.is_replaced_not_updated() => "now.replaced",
        "supported" if !automatic => "now.by-hand",
        "supported" => "now.supported",
        "ends-soon" => "now.ends-soon",
        "ended-early" => "now.ended-early",
        "lapsed" => "now.lapsed",
        "ceased" => "now.ceased",
        _ => "now.ended",
    };
    let supported = status.state.is_supported();
    html! {
        section aria-labelledby="now" {
            h2 #now { (speech.say("now.title")) }
            p { (speech.fill(key, &[("until", speech.date(status.until))])) }
            // The newest thing that the maker asks owners to do.
            @if let Some(notice) = record.notices.iter().rev().find(|notice| !notice.advice.is_empty()) {
                p.text { (speech.own(&notice.advice, 600)) }
            }
            @if !supported || status.state.as_str() == "ends-soon" {
                @if let Some(care) = record.aftercare.as_ref().filter(|care| !care.replace.is_empty()) {
                    h3 { (speech.say("now.replace")) }
                    p.text { (speech.own(&care.replace, 600)) }
                }
                p { a href=(reader.link(&listed.path("isolate"))) { (speech.say("now.isolate")) } }
            }
        }
    }
}

fn covers(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let (record, speech) = (&listed.record, &reader.speech);
    // What was promised first stays promised; later promises may cover more.
    let standing: Vec<&Promise> =
        record.promises.iter().enumerate().filter(|(i, _)| !record.is_annulled(*i)).map(|(_, p)| p).collect();
    if let Some(terms) = standing.iter().rev().find_map(|promise| promise.replacement.as_ref()) {
        return html! {
            section aria-labelledby="covers" {
                h2 #covers { (speech.say("covers.replaced-title")) }
                p { (speech.say("covers.replaced")) }
                h3 { (speech.say("covers.rationale")) }
                p.text { (speech.own(&terms.rationale, 1500)) }
                h3 { (speech.say("covers.terms")) }
                p.text { (speech.own(&terms.terms, 1500)) }
                h3 { (speech.say("isolate.isolate")) }
                p.text { (speech.own(&terms.isolate, 1500)) }
            }
        };
    }
    let everything = standing.iter().any(|promise| promise.components.is_empty());
    let functions = standing.iter().any(|promise| promise.kinds.contains(&UpdateKind::Functionality));
    html! {
        section aria-labelledby="covers" {
            h2 #covers { (speech.say("covers.title")) }
            @if everything {
                p { (speech.say("covers.all")) }
            } @else {
                p { (speech.say("covers.some")) }
                ul {
                    @for part in standing.iter().flat_map(|promise| &promise.components).take(20) {
                        li { (speech.own(part, 200)) }
                    }
                }
            }
            p {
                (speech.say("covers.security")) " "
                (speech.say(if functions { "covers.functions" } else { "covers.no-functions" }))
            }
            @if let Some(model) = &record.model {
                p { (speech.say(if model.automatic_updates { "covers.automatic" } else { "covers.by-hand" })) }
            }
        }
    }
}

fn after(listed: &Listed, status: &Status, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    let supported = status.state.is_supported();
    html! {
        section aria-labelledby="after" {
            h2 #after {
                @if supported { (speech.fill("after.title", &[("until", speech.date(status.until))])) }
                @else { (speech.say("after.title-over")) }
            }
            @match &listed.record.aftercare {
                Some(care) => p.text { (speech.own(&care.after, 1500)) },
                None => p { (speech.say("after.default")) },
            }
            @if supported {
                p { a href=(reader.link(&listed.path("isolate"))) { (speech.say("now.isolate")) } }
            }
        }
    }
}

fn latest(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        section aria-labelledby="latest" {
            h2 #latest { (speech.say("latest.title")) }
            @match listed.latest() {
                None => p { (speech.say("latest.none")) },
                Some(update) => {
                    p {
                        strong {
                            (speech.fill("latest.version", &[
                                ("version", html! { bdi { (update.release.version) } }),
                                ("date", speech.date(update.release.created.date())),
                            ]))
                        }
                    }
                    (update_item(update, 1500, reader))
                    @let seconds = u64::from(update.release.notes.interruption_seconds);
                    p {
                        @if seconds == 0 { (speech.say("latest.restart")) }
                        @else {
                            @let minutes = html! { (speech.count("minute", seconds.div_ceil(60))) };
                            (speech.fill("latest.interruption", &[("minutes", minutes)]))
                        }
                    }
                }
            }
        }
    }
}

fn report(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let (contact, speech) = (&listed.record.contact, &reader.speech);
    let days = |days: u16| html! { strong { (speech.count("day", days.into())) } };
    html! {
        section aria-labelledby="report" {
            h2 #report { (speech.say("report.title")) }
            p { (speech.say("report.intro")) }
            ul {
                @for address in &contact.contacts {
                    // Addresses are https: or mailto: only; the record's own rules refuse others.
                    li { a dir="ltr" href=(address) { (address.trim_start_matches("mailto:")) } }
                }
            }
            p {
                (speech.fill("report.times", &[
                    ("acknowledgement", days(contact.acknowledgement_days)),
                    ("updates", days(contact.status_update_days)),
                ]))
            }
            @if !contact.languages.is_empty() {
                p { (speech.fill("report.languages", &[("languages", html! { bdi { (contact.languages.join(", ")) } })])) }
            }
            @if contact.policy.is_some() || contact.encryption.is_some() {
                ul {
                    @if let Some(policy) = &contact.policy { li { a href=(policy) { (speech.say("report.policy")) } } }
                    @if let Some(key) = &contact.encryption { li { a href=(key) { (speech.say("report.encryption")) } } }
                }
            }
        }
    }
}

fn cohort_section(listed: &Listed, reader: &Reader<'_>) -> Markup {
    let (cohorts, speech) = (&listed.record.cohorts, &reader.speech);
    html! {
        @if !cohorts.is_empty() {
            section aria-labelledby="cohorts" {
                h2 #cohorts { (speech.say("cohorts.title")) }
                ul.rows { @for cohort in cohorts.iter().take(COHORTS) { (cohort_row(listed, cohort, 300, reader)) } }
                @if cohorts.len() > COHORTS {
                    p { a href=(reader.link(&listed.path("cohorts"))) { (speech.say("cohorts.all")) } }
                }
                p {
                    (speech.fill("cohorts.unknown", &[("until", speech.date(listed.record.guaranteed_until()))]))
                }
            }
        }
    }
}

fn files(listed: &Listed, status: &Status, reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    let (labels, feeds): (Vec<_>, Vec<_>) = PRODUCT.iter().partition(|(name, _)| name.starts_with("label"));
    // Labels and network profiles carry an address, so there are none where the server has none that anybody could trust.
    let has_address = reader.view.base.starts_with("https://");
    let feeds = feeds.into_iter().filter(|(name, _)| has_address || *name != "mud.json");
    html! {
        section aria-labelledby="files" {
            h2 #files { (speech.say("files.title")) }
            (statement_link(listed, reader))
            @if has_address {
                h3 { (speech.say("files.label")) }
                p.label {
                    @let words = title(listed.record.display_name(), status, reader);
                    img src=(listed.path("label.svg")) width="296" height="208" alt=(words) loading="lazy";
                }
                p.links { @for (name, _) in labels { a dir="ltr" href=(listed.path(name)) { (name) } } }
            }
            h3 { (speech.say("files.intro")) }
            ul.files {
                @for (name, _) in feeds {
                    @let key = format!("file.{}", name.replace('.', "-"));
                    li {
                        @if words::english().phrase(&key).is_some() { span { (speech.say(&key)) } }
                        a dir="ltr" href=(listed.path(name)) { (name) }
                    }
                }
            }
        }
    }
}
