//! What every page keeps to, in every state and language.

use super::super::feeds::tests::{every_case, rich};
use super::super::listed::Told;
use super::super::tests::{date, view};
use super::super::{Catalogue, Listed, Rendered, View, words};
use super::device_data::{CHECK_IN, FIELDS};
use super::*;
use crate::config::Span;
use crate::config::fleet::{Keep, Page};
use perennial_schemas::limits::{COHORTS, NOTICES, PROMISES};
use perennial_schemas::report::{FailureCode, Outcome, Report};
use perennial_schemas::support::Support;
use perennial_schemas::{Sha256Digest, Timestamp};

/// Days on which the cases are supported, end soon, and have ended.
const DAYS: &[&str] = &["2027-06-15", "2030-12-01", "2034-02-01"];

/// The pages of a product.
const BELOW: &[&str] =
    &["", "/y2026", "/cohorts", "/promises", "/notices", "/updates", "/statement", "/isolate", "/none"];

fn get(catalogue: &Catalogue, address: &str, view: &View<'_>) -> Rendered {
    let (path, query) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
    catalogue.answer(path, query, None, view).unwrap()
}

fn text(rendered: &Rendered) -> String {
    String::from_utf8(rendered.body.to_vec()).unwrap()
}

/// What a reader reads: without tags, references resolved.
fn read(html: &str) -> String {
    let mut plain = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Every page of every case, in every language.
fn every_page(mut visit: impl FnMut(&str, &Listed, &View<'_>, &str, &str)) {
    for (case, listed) in every_case() {
        let catalogue = Catalogue::of([listed.clone()]);
        let own = listed.path("");
        let common = [
            "/support/".to_owned(),
            "/support/audit".into(),
            "/support/device-data".into(),
            "/support/none".into(),
        ];
        let addresses = BELOW.iter().map(|below| format!("{own}{below}")).chain(common);
        for address in addresses {
            for day in DAYS {
                for language in words::all() {
                    let view = view(day);
                    let address = format!("{address}?lang={}", language.code);
                    let html = text(&get(&catalogue, &address, &view));
                    keep_for_a_look(&format!("{case} {day} {address}"), &html);
                    visit(&format!("{case}, {day}, {address}"), &listed, &view, language.code, &html);
                }
            }
        }
    }
}

/// Leaves a page in the folder that PERENNIAL_PAGES names, to be looked at in a browser.
fn keep_for_a_look(what: &str, html: &str) {
    if let Some(folder) = std::env::var_os("PERENNIAL_PAGES") {
        let name = what.replace(|c: char| !c.is_ascii_alphanumeric(), "-") + ".html";
        std::fs::write(std::path::Path::new(&folder).join(name), html).unwrap();
    }
}

#[test]
fn every_page_is_small_and_runs_and_loads_nothing() {
    every_page(|what, _, _, language, html| {
        assert!(html.len() < 50_000, "{what}: {} bytes", html.len());
        assert!(html.contains(&format!("<html lang=\"{language}\" dir=")), "{what}");
        assert_eq!(html.contains("dir=\"rtl\""), language == "ar", "{what}");
        assert_eq!(html.matches("<h1").count(), 1, "{what}");
        let scripts = html.matches("<script").count();
        assert_eq!(scripts, html.matches("<script type=\"application/ld+json\">").count(), "{what}");
        for banned in
            [" style=", "javascript:", " onclick", "<iframe", "<link rel=\"stylesheet", "@import", "url("]
        {
            assert!(!html.contains(banned), "{what}: {banned}");
        }
        // Nothing is left to be filled in, and no phrase is missing from every catalogue.
        let plain = read(html.split("</style>").nth(1).unwrap().split("</script>").last().unwrap());
        assert!(!plain.contains('{'), "{what}: {plain}");
        for table in ["answer.", "search.", "state.", "now.", "covers.", "promises.", "unit.", "frame."] {
            assert!(!html.contains(&format!(">{table}")), "{what}: {table}");
        }
        for link in html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let known = ["/", "#", "https://", "mailto:"].iter().any(|start| link.starts_with(start));
            assert!(known && !link.starts_with("//"), "{what}: {link}");
        }
    });
}

#[test]
fn the_page_says_the_sentence_of_the_summary_in_every_state() {
    let mut states = std::collections::BTreeSet::new();
    for (case, listed) in every_case() {
        for day in DAYS {
            let (view, catalogue) = (view(day), Catalogue::of([listed.clone()]));
            let summary = listed.summary(&view);
            let html = text(&get(&catalogue, &listed.path(""), &view));
            let heading = html.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap();
            assert_eq!(read(heading), summary.sentence, "{case}, {day}");
            assert!(
                html.contains(&format!("class=\"state {}\"", summary.standing.state.as_str())),
                "{case}, {day}"
            );
            let footer = format!("Record {} of this product", summary.record.sequence);
            assert!(
                read(&html).contains(&footer) && html.contains(&summary.record.sha256.to_string()),
                "{case}"
            );
            for (name, standing) in &summary.cohorts {
                let html = text(&get(&catalogue, &listed.path(name.as_str()), &view));
                let until = listed.record.until(Some(name)).in_words().to_string();
                assert!(read(&html).contains(&until), "{case}, {day}, {name}");
                assert!(
                    html.contains(&format!("class=\"state {}\"", standing.state.as_str())),
                    "{case}, {name}"
                );
            }
            states.insert(summary.standing.state.as_str());
        }
    }
    assert_eq!(states.len(), 6, "{states:?}");
}

#[test]
fn hostile_words_stay_words() {
    let mut listed = rich();
    let attack = "</script><script>alert(1)</script><b onmouseover=\"x\">&{name}{left}";
    let model = listed.record.model.as_mut().unwrap();
    (model.name, model.designation) = (attack.into(), attack.into());
    listed.record.notices[0].text = attack.into();
    listed.record.cohorts[0].label = attack.into();
    listed.updates[0].release.notes.what = attack.into();
    let catalogue = Catalogue::of([listed.clone()]);
    let query = "?q=%3Cscript%3Ealert(1)%3C/script%3E%22%7Bquery%7D&lang=ar";
    let searched = text(&get(&catalogue, &format!("/support/{query}"), &view("2027-06-15")));
    assert!(searched.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;{query}"), "{searched}");
    for below in BELOW {
        for language in ["en", "ar"] {
            let address = format!("{}{below}?lang={language}", listed.path(""));
            let html = text(&get(&catalogue, &address, &view("2027-06-15")));
            assert!(!html.contains("<script>") && !html.contains("<b "), "{address}: {html}");
            assert!(read(&html).contains("{left}") || *below == "/none" || !below.is_empty(), "{address}");
        }
    }
}

#[test]
fn a_record_at_its_limits_still_has_small_pages() {
    let mut listed = rich();
    let record = &mut listed.record;
    let long = "Words & <signs> ".repeat(500);
    let (promise, notice) = (record.promises[0].clone(), record.notices[0].clone());
    record.promises.resize(PROMISES, promise);
    record.notices.resize(NOTICES, notice);
    record.promises.iter_mut().for_each(|promise| promise.reason.clone_from(&long));
    record.notices.iter_mut().for_each(|notice| (notice.text, notice.advice) = (long.clone(), long.clone()));
    let cohort = record.cohorts[0].clone();
    for number in record.cohorts.len()..COHORTS {
        let mut next = cohort.clone();
        next.name = format!("c{number}").parse().unwrap();
        next.find.clone_from(&long);
        record.cohorts.push(next);
    }
    let update = listed.updates[0].clone();
    listed.updates.resize(4096, update);
    for update in &mut listed.updates {
        (update.release.notes.what, update.release.notes.why) = (long.clone(), long.clone());
    }
    let catalogue = Catalogue::of([listed.clone()]);
    for below in BELOW {
        for language in ["en", "ar"] {
            let address = format!("{}{below}?lang={language}", listed.path(""));
            let html = text(&get(&catalogue, &address, &view("2027-06-15")));
            assert!(html.len() < 50_000, "{address}: {} bytes", html.len());
        }
    }
    let last = text(&get(&catalogue, &format!("{}/updates?page=274", listed.path("")), &view("2027-06-15")));
    assert!(read(&last).contains("Page 274 of 274") && !last.contains("rel=\"next\""));
}

#[test]
fn what_a_report_holds_is_what_the_page_says() {
    let report = Report {
        format: "perennial.report/1".into(),
        requires: vec![],
        device: "d1".parse().unwrap(),
        sequence: 1,
        at: Timestamp::EPOCH,
        product: "glow".parse().unwrap(),
        hardware: "revA".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        manifest: Sha256Digest([0; 32]),
        outcome: Outcome::Failed,
        failure: Some(FailureCode::Expired),
        detail: "x".into(),
    };
    let value = serde_json::to_value(report).unwrap();
    let mut fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut said = FIELDS.to_vec();
    fields.sort_unstable();
    said.sort_unstable();
    assert_eq!(said, fields);
}

#[test]
fn what_a_check_in_holds_is_told_whole() {
    use perennial_schemas::fleet::{CheckIn, Ticket};
    let said = CheckIn {
        format: "perennial.check-in/1".into(),
        requires: vec![],
        at: Timestamp::EPOCH,
        product: "glow".parse().unwrap(),
        hardware: "revA".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        security_version: 1,
        manifest: Some(Sha256Digest([0; 32])),
        agent: "a 1".into(),
        attributes: [("region".parse().unwrap(), "north".to_owned())].into(),
        ticket: Some(Ticket::of_bytes(&[0; 16])),
    };
    let value = serde_json::to_value(said).unwrap();
    let mut fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut told: Vec<&str> = CHECK_IN.iter().map(|(field, _)| *field).collect();
    fields.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, fields);
    let page = read(&text(&get(&Catalogue::default(), "/support/device-data", &view("2027-06-15"))));
    for part in [
        "perennial-device consent withdraw",
        "have it erased",
        "after 365 days",
        "for 1095 days",
        "its certificates",
        "the groups",
        "no product counts twice",
        "Nothing is handed",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn the_page_on_what_devices_tell_says_what_the_maker_does_with_it() {
    let days = |days: u64| Span::seconds(days * 86_400);
    let told = Told {
        keep: Keep { reports: days(30), devices: days(90) },
        page: Page {
            third_parties: vec!["Glow Analytics Ltd, to count <faults>".into(), "Hosts Ltd".into()],
            withdraw: "Settings, then Privacy.".into(),
        },
    };
    for language in ["en", "de", "fr", "es", "ar"] {
        let view = View { told: &told, ..view("2027-06-15") };
        let speech = Speech::new(words::chosen(Some(language), None));
        let [month, quarter] = [30, 90].map(|days| speech.count("day", days));
        let path = format!("/support/device-data?lang={language}");
        let page = read(&text(&get(&Catalogue::default(), &path, &view)));
        for part in [
            "Glow Analytics Ltd, to count <faults>",
            "Hosts Ltd",
            "Settings, then Privacy.",
            &month,
            &quarter,
        ] {
            assert!(page.contains(part), "{language}: {part}: {page}");
        }
        assert!(!page.contains("Nothing is handed") && !page.contains("consent withdraw"), "{page}");
    }
}

#[test]
fn a_statement_keeps_the_date_of_the_first_supply() {
    let mut listed = rich();
    let party = perennial_schemas::support::Party { name: "Glow".into(), address: "1 High Street".into() };
    let statement = perennial_schemas::support::Statement {
        product_type: "Thermostat".into(),
        batches: vec![],
        manufacturers: vec![party],
        representatives: vec![],
        schedule: 1,
        standards: vec![],
        support_at_first_supply: date("2031-06-30"),
        signatory: "A. Smith".into(),
        function: "Director".into(),
        place: "London".into(),
        date: date("2026-01-05"),
    };
    let compliance = perennial_schemas::support::Compliance { statements: vec![statement] };
    // A label's code leads to the product or to one of its cohorts.
    let links = |listed: &Listed, page: &str| {
        let catalogue = Catalogue::of([listed.clone()]);
        text(&get(&catalogue, page, &view("2027-06-15"))).contains("href=\"/support/glow/statement\"")
    };
    let pages = ["/support/glow", "/support/glow/y2026"];
    assert!(!pages.iter().any(|page| links(&listed, page)), "there is none yet");
    listed.record = Support { compliance: Some(compliance), ..listed.record };
    assert!(pages.iter().all(|page| links(&listed, page)));
    let catalogue = Catalogue::of([listed]);
    let plain = read(&text(&get(&catalogue, "/support/glow/statement", &view("2027-06-15"))));
    for said in [
        "until 30 June 2031",
        "Today the promised date is 30 June 2033",
        "A. Smith, Director",
        "London, 5 January 2026",
    ] {
        assert!(plain.contains(said), "{said}: {plain}");
    }
}

#[test]
fn a_clipped_text_never_takes_more_room_and_ends_at_a_word() {
    assert_eq!(clip("short", 5), ("short", true));
    assert_eq!(clip("some words here", 12), ("some words", false));
    assert_eq!(clip("<<<<", 8), ("<<", false));
    assert_eq!(clip("ééé", 5), ("éé", false));
}
