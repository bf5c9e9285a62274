//! Products as tests list them, and what every answer must keep to.

use super::listed::Told;
use super::*;
use crate::site::Caching;
use perennial_schemas::support::{Promise, Support, VulnerabilityContact};
use perennial_schemas::{Date, Sha256Digest, Timestamp};
use std::sync::LazyLock;

pub(crate) fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// A product with one promise until the end of June 2031.
pub(crate) fn listed() -> Listed {
    let contact = VulnerabilityContact::new("mailto:security@example.com", 5, 14);
    let promise = Promise::new(Timestamp::from_unix(1_795_000_000), date("2031-06-30"), "Five years.");
    let record = Support::new("thermostat".parse().unwrap(), promise, contact);
    Listed {
        record,
        sha256: Sha256Digest([7; 32]),
        signed_until: date("2040-01-01").start(),
        updates: Vec::new(),
    }
}

static TOLD: LazyLock<Told> = LazyLock::new(Told::default);

pub(crate) fn view(day: &str) -> View<'static> {
    View {
        now: date(day).start(),
        base: "https://updates.maker.example",
        told: &TOLD,
        held_until: date("2045-01-01").start(),
    }
}

#[test]
fn a_label_is_drawn_once_whatever_else_is_asked_of_it() {
    let hour = std::time::Duration::from_secs(3600);
    let caching = Caching::new(hour, hour);
    let face = Face { base: "https://updates.maker.example".into(), ..Face::default() };
    let pages = Pages::new(Catalogue::of([listed()]), face, &caching);
    let now = date("2026-11-22").start();
    let find = |path: &str, query, language| pages.find(path, query, language, now).unwrap();
    let label = find("/support/thermostat/label.png", None, None);
    for (path, query, language) in [
        ("/support/thermostat/label.png", Some("1"), None),
        ("/support/thermostat/label.png", Some("q=1&lang=de"), Some("ar")),
        ("/support/thermostat/label.png//", None, Some("fr")),
    ] {
        assert!(
            std::sync::Arc::ptr_eq(&label, &find(path, query, language)),
            "{path} {query:?} {language:?}"
        );
    }
    let page = find("/support/thermostat", None, None);
    assert!(!std::sync::Arc::ptr_eq(&page, &find("/support/thermostat", Some("lang=de"), None)));
}

#[test]
fn a_product_has_a_page_and_a_summary_that_say_the_same() {
    let catalogue = Catalogue::of([listed()]);
    let view = view("2026-11-22");
    let page = catalogue.answer("/support/thermostat", None, None, &view).unwrap();
    assert_eq!((page.status, page.language), (200, Some("en")));
    let summary = catalogue.answer("/support/thermostat/summary.json", None, None, &view).unwrap();
    let text = String::from_utf8(summary.body.to_vec()).unwrap();
    assert!(text.contains(&listed().summary(&view).sentence), "{text}");
    for path in ["/support", "/support/none", "/support/thermostat/none", "/support/Thermostat", "/"] {
        assert!(
            catalogue.answer(path, None, None, &view).is_none_or(|answer| answer.status != 200),
            "{path}"
        );
    }
}
