//! Each finding on one product that has it, and on none that hasn't.

use super::*;
use crate::support::feeds::tests::{every_case, rich, update};
use crate::support::tests::{date, view};

fn audit(listed: Vec<Listed>, day: &str, check: impl FnOnce(&Audit<'_>)) {
    let catalogue = Catalogue::of(listed);
    let audit = Audit::of(&catalogue, &view(day), Rules::default());
    check(&audit);
    // What is found can be written and printed, whatever it is.
    assert!(serde_json::to_string(&audit).unwrap().contains("perennial.support-audit/1"));
    assert!(words(&audit).contains("products"));
}

fn case(name: &str) -> Vec<Listed> {
    every_case().into_iter().filter(|(case, _)| *case == name).map(|(_, listed)| listed).collect()
}

#[test]
fn what_is_sold_with_little_time_left_is_listed_until_it_is_sold_out() {
    let ending = |name: &str, day: &str| {
        let mut found = 0;
        audit(case(name), day, |audit| found = audit.ending.len());
        found
    };
    assert_eq!(ending("two cohorts", "2031-06-30"), 0, "24 months are left");
    assert_eq!(ending("two cohorts", "2031-07-01"), 1);
    assert_eq!(ending("sold out", "2031-07-01"), 0);
    assert_eq!(ending("no cohort, no model", "2029-07-01"), 1, "nothing says that it isn't sold");
}

#[test]
fn what_is_sold_without_updates_has_no_time_left() {
    audit(case("ended early"), "2032-06-15", |found| {
        assert_eq!(found.ending[0].state, State::EndedEarly);
        let said = words(found);
        assert!(said.contains("ended-early: promised until ") && !said.contains(" left)"), "{said}");
    });
    let catalogue = Catalogue::of(case("ended early"));
    let page = catalogue.answer("/support/audit", None, None, &view("2032-06-15")).unwrap();
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(page.contains("Support ended early · promised until "), "{page}");
}

#[test]
fn promises_that_were_not_kept_are_listed_with_what_came_instead() {
    let broken = |name: &str, day: &str| {
        let mut found = Vec::new();
        audit(case(name), day, |audit| found = audit.broken.iter().map(Broken::in_words).collect());
        found
    };
    assert_eq!(broken("ended early", "2028-05-31"), Vec::<String>::new());
    assert_eq!(broken("ended early", "2028-07-01"), ["promised until 30 June 2033, ended on 30 June 2028"]);
    assert_eq!(
        broken("ceased", "2028-07-01"),
        ["promised until 30 June 2033; its maker ceased on 30 June 2028"]
    );
    // CVE-2028-1 is public since December 2027; the last update is of June 2027.
    assert_eq!(broken("two cohorts", "2028-05-31"), Vec::<String>::new());
    assert_eq!(
        broken("two cohorts", "2028-06-01"),
        [
            "promised until 30 June 2033, no update for a public weakness since 1 December 2027 (the last is of 1 June 2027)"
        ]
    );
    assert_eq!(broken("two cohorts", "2033-07-01"), Vec::<String>::new(), "nothing is promised any more");
}

#[test]
fn a_weakness_is_open_until_a_release_on_offer_names_it() {
    let open = |change: fn(&mut Listed)| {
        let mut listed = rich();
        change(&mut listed);
        let mut found = Vec::new();
        audit(vec![listed], "2028-03-01", |audit| {
            found = audit.open.iter().map(|open| format!("{} {}", open.id, open.days)).collect();
        });
        found
    };
    assert_eq!(open(|_| {}), ["CVE-2028-1 91"]);
    assert!(
        open(|listed| listed.updates.push(update("1.3.0", "2028-02-01", &[("CVE-2028-1", None)]))).is_empty()
    );
    let withdrawn = open(|listed| {
        listed.updates.push(update("1.3.0", "2028-02-01", &[("CVE-2028-1", None)]));
        listed.updates.last_mut().unwrap().channels.clear();
    });
    assert_eq!(withdrawn, ["CVE-2028-1 91"], "a release that nobody gets fixes nothing");
}

#[test]
fn days_to_a_fix_are_the_median_over_what_was_public_before() {
    let mut listed = rich();
    let fix =
        |version: &str, made: &str, id: &str, public: Option<&str>| update(version, made, &[(id, public)]);
    listed.updates = vec![
        fix("1.1.0", "2027-01-11", "A", Some("2027-01-01")),
        fix("1.2.0", "2027-02-01", "A", Some("2027-01-01")),
        fix("1.3.0", "2027-03-21", "B", Some("2027-03-01")),
        fix("1.4.0", "2027-04-01", "C", None),
        fix("1.5.0", "2027-05-01", "D", Some("2027-05-02")),
    ];
    let mut other = rich();
    other.record.product = "other".parse().unwrap();
    other.updates = vec![fix("1.0.0", "2027-01-02", "A", Some("2027-01-01"))];
    audit(vec![listed, other], "2027-06-01", |audit| {
        let fixes = &audit.fixes;
        assert_eq!((fixes.counted, fixes.before_disclosure, fixes.median_days), (3, 2, Some(10)));
        let products: Vec<_> =
            fixes.of_products.iter().map(|of| (of.which.product, of.median_days)).collect();
        assert_eq!(products, [("glow", 15), ("other", 1)]);
    });
}

#[test]
fn what_was_annulled_has_lapsed_or_is_lacking_is_listed() {
    audit(case("annulled"), "2027-06-01", |audit| {
        assert_eq!(audit.annulled.len(), 1);
        assert_eq!(audit.annulled[0].annulment.reason, "A key was stolen.");
        assert_eq!(audit.lacking[0].lacks, ["statement"]);
    });
    audit(case("lapsed"), "2028-01-02", |audit| {
        assert_eq!(audit.lapsed[0].promised_until, date("2033-06-30"))
    });
    // No signature on the record's own role has run out, but one above it: nobody can verify the record any more.
    let ended = View { held_until: date("2027-11-30").start(), ..view("2027-12-01") };
    let catalogue = Catalogue::of(case("two cohorts"));
    let found = Audit::of(&catalogue, &ended, Rules::default());
    assert_eq!(found.lapsed.iter().map(|lapsed| lapsed.signed_until).collect::<Vec<_>>(), [ended.held_until]);
    audit(case("lapsed"), "2033-07-01", |audit| assert!(audit.lapsed.is_empty(), "nothing to sign any more"));
    audit(case("no cohort, no model"), "2027-06-01", |audit| {
        assert_eq!(audit.lacking[0].lacks, ["statement", "maker", "model", "gtin"]);
    });
    let mut catalogue = Catalogue::of([rich()]);
    catalogue.unpromised.insert("mystery".parse().unwrap());
    let audit = Audit::of(&catalogue, &view("2027-06-01"), Rules::default());
    assert_eq!(
        (audit.lacking[0].which.product, &audit.lacking[0].lacks[..]),
        ("mystery", &["promise", "contact"][..])
    );
}
