//! The record's rules. Those that a golden vector shows are not told again here.

use super::*;
use alloc::string::ToString;
use alloc::vec;

const DIGEST: Sha256Digest = Sha256Digest([7; 32]);

pub(super) fn at(text: &str) -> Timestamp {
    text.parse::<Date>().unwrap().start()
}

pub(super) fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(super) fn promise(made: &str, until: &str, cohorts: &[&str]) -> Promise {
    let cohorts = cohorts.iter().map(|name| name.parse().unwrap()).collect();
    Promise { cohorts, ..Promise::new(at(made), date(until), "why") }
}

pub(super) fn published() -> Support {
    let contact = VulnerabilityContact::new("mailto:security@example.com", 5, 14);
    Support::new("thermostat".parse().unwrap(), promise("2026-01-05", "2031-06-30", &[]), contact)
}

/// The record after `before`, with a change.
pub(super) fn next(before: &Support, change: impl FnOnce(&mut Support)) -> Support {
    let mut record = before.successor(DIGEST, at("2027-03-01"));
    change(&mut record);
    record.seal()
}

pub(super) fn cohort(name: &str, from: &str, until: Option<&str>) -> Cohort {
    Cohort {
        name: name.parse().unwrap(),
        label: "Units of a year".into(),
        find: "On the back".into(),
        placed_from: date(from),
        placed_until: until.map(date),
        batches: vec![],
        markets: vec![],
        hardware: vec![],
    }
}

/// Two cohorts: 2026 until 2031, 2027 until 2033.
pub(super) fn two_cohorts() -> Support {
    next(&published(), |record| {
        record.cohorts =
            vec![cohort("y2026", "2026-01-05", Some("2026-12-31")), cohort("y2027", "2027-01-01", None)];
        record.promises.push(promise("2027-01-01", "2033-06-30", &["y2027"]));
    })
}

pub(super) fn name(text: &str) -> CohortName {
    text.parse().unwrap()
}

#[test]
fn a_shorter_date_never_follows() {
    let before = published();
    let shorter = next(&before, |record| record.promises[0].guaranteed_until = date("2031-06-29"));
    assert!(matches!(shorter.may_follow(&before, &[]), Err(SupportError::Shorter { cohort: None, .. })));
    let later = next(&before, |record| record.promises[0].guaranteed_until = date("2031-07-01"));
    assert_eq!(later.may_follow(&before, &[]), Err(SupportError::Rewritten(1)));
    let hidden = next(&before, |record| record.promises.push(promise("2027-01-01", "2030-01-01", &[])));
    assert!(matches!(hidden.may_follow(&before, &[]), Err(SupportError::Shorter { cohort: None, .. })));
    let longer = next(&before, |record| record.promises.push(promise("2027-01-01", "2033-06-30", &[])));
    assert_eq!(longer.may_follow(&before, &[]), Ok(()));
    assert_eq!(before.may_follow(&before, &[]), Ok(()));
}

#[test]
fn a_shorter_date_for_one_cohort_never_follows() {
    let before = two_cohorts();
    before.validate().unwrap();
    assert_eq!(before.may_follow(&published(), &[]), Ok(()));
    let hidden =
        next(&before, |record| record.promises.push(promise("2027-02-01", "2032-01-01", &["y2027"])));
    let error = hidden.may_follow(&before, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "security updates were promised until 2033-06-30 to cohort y2027; this record says 2032-01-01. A promised date \
         can get later, never earlier"
    );
}

#[test]
fn a_new_cohort_can_not_make_the_date_of_unknown_units_shorter() {
    let only = next(&published(), |record| {
        record.cohorts = vec![cohort("y2026", "2026-01-05", None)];
        record.promises = vec![promise("2026-01-05", "2031-06-30", &["y2026"])];
    });
    let weaker = next(&only, |record| {
        record.cohorts.push(cohort("early", "2025-01-05", Some("2025-12-31")));
        record.promises.push(promise("2027-01-01", "2028-01-01", &["early"]));
    });
    weaker.validate().unwrap();
    assert!(matches!(weaker.may_follow(&only, &[]), Err(SupportError::Shorter { cohort: None, .. })));
}

#[test]
fn a_cohort_never_loses_units() {
    let before = two_cohorts();
    let narrowed = |change: fn(&mut Support)| match next(&before, change).may_follow(&before, &[]) {
        Err(SupportError::CohortNarrowed { cohort, why }) => (cohort.to_string(), why),
        other => panic!("{other:?}"),
    };
    let y2027 = "y2027".to_string();
    assert_eq!(
        narrowed(|r| r.cohorts[1].placed_from = date("2027-02-01")),
        (y2027.clone(), "it begins later than before")
    );
    assert_eq!(
        narrowed(|r| r.cohorts[1].markets = vec!["GB".into()]),
        (y2027.clone(), "markets are missing")
    );
    assert_eq!(narrowed(|r| r.cohorts[1].batches = vec!["1".into()]), (y2027.clone(), "batches are missing"));
    assert_eq!(
        narrowed(|r| r.cohorts[1].placed_until = Some(date("2027-02-28"))).1,
        "it ends earlier than before"
    );
    assert_eq!(
        narrowed(|r| r.cohorts[0].placed_until = Some(date("2026-06-30"))).1,
        "it ends earlier than before"
    );
    assert_eq!(narrowed(|r| drop(r.cohorts.remove(0))).1, "it is missing");
    let closed = next(&before, |record| record.cohorts[1].placed_until = Some(date("2027-03-01")));
    assert_eq!(closed.may_follow(&before, &[]), Ok(()), "sales may end on the day of the published record");
}

#[test]
fn history_is_only_ever_added_to() {
    let notice = |text: &str| Notice {
        made: at("2027-01-01"),
        kind: NoticeKind::Information,
        text: text.into(),
        advice: String::new(),
        cohorts: vec![],
    };
    let before = next(&two_cohorts(), |record| record.notices = vec![notice("one")]);
    let told = next(&before, |record| record.notices.push(notice("two")));
    assert_eq!(told.may_follow(&before, &[]), Ok(()));
    let reworded = next(&before, |record| record.notices = vec![notice("other")]);
    assert_eq!(reworded.may_follow(&before, &[]), Err(SupportError::NoticeRewritten(1)));
    let before = next(&published(), |record| record.promises.push(promise("2027-01-01", "2033-06-30", &[])));
    let forgotten = next(&before, |record| drop(record.promises.remove(0)));
    assert_eq!(forgotten.may_follow(&before, &[]), Err(SupportError::Rewritten(1)));
}

#[test]
fn records_make_a_chain() {
    let before = published();
    let after = next(&before, |record| record.contact.status_update_days = 7);
    assert_eq!(after.continues(&before, &DIGEST), Ok(()));
    assert!(matches!(after.continues(&before, &Sha256Digest([8; 32])), Err(SupportError::Chain { .. })));
    let same_number = Support { sequence: 1, previous: None, ..after.clone() };
    assert!(matches!(same_number.may_follow(&before, &[]), Err(SupportError::Chain { offered: 1, .. })));
    let skipped = next(&after, |_| {});
    assert!(matches!(skipped.continues(&before, &DIGEST), Err(SupportError::Chain { offered: 3, .. })));
    assert_eq!(
        skipped.may_follow(&before, &[]),
        Ok(()),
        "a device that missed the record between them goes on"
    );
}

fn forged() -> (Support, Annulment) {
    let record = next(&published(), |record| record.promises.push(promise("2027-01-01", "2049-12-31", &[])));
    let annulment = Annulment {
        product: record.product.clone(),
        promise: 2,
        made: record.promises[1].made,
        guaranteed_until: record.promises[1].guaranteed_until,
        reason: "A key was stolen.".into(),
        at: at("2027-02-01"),
    };
    (record, annulment)
}

#[test]
fn only_root_takes_a_promise_back_and_the_date_is_never_shorter_than_the_last_other() {
    let (before, annulment) = forged();
    let after = next(&before, |record| record.annulled = vec![annulment.clone()]);
    after.validate().unwrap();
    assert_eq!(after.may_follow(&before, &[]), Err(SupportError::NotAnnulled(2)));
    assert_eq!(after.may_follow(&before, core::slice::from_ref(&annulment)), Ok(()));
    assert_eq!(after.guaranteed_until(), date("2031-06-30"));
    let status = after.status(date("2027-03-01"), None, false);
    assert_eq!((status.until, status.annulled), (date("2031-06-30"), Some(date("2049-12-31"))));
    let forgets = next(&after, |record| record.annulled.clear());
    assert_eq!(forgets.may_follow(&after, &[annulment]), Err(SupportError::NotAnnulled(2)));
    let extended = next(&after, |record| record.promises.push(promise("2027-03-01", "2033-06-30", &[])));
    extended.validate().unwrap();
    assert_eq!(extended.may_follow(&after, &after.annulled), Ok(()));
    assert_eq!(extended.guaranteed_until(), date("2033-06-30"));
}

#[test]
fn the_only_promise_can_not_be_annulled_nor_one_that_reads_otherwise() {
    let (_, mut annulment) = forged();
    let mut alone = published();
    annulment.promise = 1;
    alone.annulled = vec![annulment.clone()];
    assert!(alone.clone().seal().validate().unwrap_err().to_string().contains("reads otherwise"));
    annulment.made = alone.promises[0].made;
    annulment.guaranteed_until = alone.promises[0].guaranteed_until;
    alone.annulled = vec![annulment];
    assert!(alone.seal().validate().unwrap_err().to_string().contains("no date would remain"));
}

#[test]
fn an_end_before_the_last_sale_is_refused() {
    let mut record = two_cohorts();
    record.cohorts[0].placed_until = Some(date("2032-01-01"));
    let error = record.validate().unwrap_err().to_string();
    assert!(error.contains("cohort y2026 is sold until 2032-01-01, and its support ends before"), "{error}");
}

#[test]
fn what_a_record_uses_it_must_require() {
    let mut record = two_cohorts();
    assert_eq!(record.requires, ["cohorts"]);
    record.requires.clear();
    assert!(record.validate().unwrap_err().to_string().contains("it uses \"cohorts\""));
}

#[test]
fn a_unit_that_is_not_known_has_the_earliest_date_and_a_model_that_of_what_is_sold() {
    let record = two_cohorts();
    assert_eq!(record.until(Some(&name("y2027"))), date("2033-06-30"));
    assert_eq!(record.until(Some(&name("y2026"))), date("2031-06-30"));
    assert_eq!(record.until(Some(&name("another"))), date("2031-06-30"));
    assert_eq!(record.guaranteed_until(), date("2031-06-30"));
    assert_eq!(record.until_on_sale(date("2026-06-01")), date("2031-06-30"));
    assert_eq!(record.until_on_sale(date("2027-06-01")), date("2033-06-30"));
}

#[test]
fn states() {
    let record = published();
    let state = |day: &str, lapsed| record.status(date(day), None, lapsed).state;
    assert_eq!(state("2030-06-29", false), State::Supported);
    assert_eq!(state("2030-06-30", false), State::EndsSoon);
    assert_eq!(state("2031-06-30", false), State::EndsSoon, "the last day counts");
    assert_eq!(state("2031-07-01", false), State::Ended);
    assert_eq!(state("2030-01-01", true), State::Lapsed);
    assert_eq!(state("2031-07-01", true), State::Ended, "what has ended needs no signature any more");
    let told = |kind| {
        let notice =
            Notice { made: at("2028-01-01"), kind, text: "x".into(), advice: String::new(), cohorts: vec![] };
        next(&record, |record| record.notices = vec![notice])
    };
    let early = told(NoticeKind::EndedEarly { on: date("2029-01-01") });
    assert_eq!(early.status(date("2029-01-01"), None, false).state, State::Supported);
    let status = early.status(date("2029-01-02"), None, false);
    assert_eq!(
        (status.state, status.until, status.ended_on),
        (State::EndedEarly, date("2031-06-30"), Some(date("2029-01-01")))
    );
    let ceased = told(NoticeKind::Ceased { on: date("2029-01-01") });
    assert_eq!(ceased.status(date("2029-01-01"), None, true).state, State::Ceased);
}

#[test]
fn sentences() {
    let record = published();
    let says = |day: &str, lapsed| record.sentence(date(day), lapsed);
    assert_eq!(
        says("2026-11-22", false),
        "thermostat gets security updates until at least 30 June 2031: 4 years and 7 months left."
    );
    assert_eq!(
        says("2031-06-30", false),
        "thermostat gets security updates until today, 30 June 2031: this is the last day."
    );
    assert_eq!(
        says("2031-07-01", false),
        "thermostat no longer gets security updates. Support ended on 30 June 2031."
    );
    assert!(says("2028-01-01", true).contains("no longer renews the signature"));
}

#[test]
fn what_is_left() {
    let left = |today: &str, until: &str| Left::between(date(today), date(until)).to_string();
    assert_eq!(left("2026-11-22", "2031-06-30"), "4 years and 7 months");
    assert_eq!(left("2026-01-31", "2026-02-28"), "1 month");
    assert_eq!(left("2026-01-31", "2026-03-01"), "1 month and 1 day");
    assert_eq!(left("2026-06-01", "2026-06-02"), "1 day");
    assert_eq!(left("2026-06-01", "2027-06-01"), "1 year");
    assert_eq!(left("2026-06-01", "2026-11-20"), "5 months");
    assert_eq!(left("2026-06-02", "2026-06-02"), "0 days");
}

#[test]
fn reminders() {
    let on = |day: &str| Reminder::on(date(day), date("2031-06-30"));
    assert_eq!(on("2030-06-29"), None);
    assert_eq!(on("2030-06-30"), Some(Reminder::TwelveMonths));
    assert_eq!(on("2031-03-30"), Some(Reminder::ThreeMonths));
    assert_eq!(on("2031-05-30"), Some(Reminder::OneMonth));
    assert_eq!(on("2031-06-30"), Some(Reminder::OneMonth));
    assert_eq!(on("2031-07-01"), Some(Reminder::Over));
}

#[test]
fn a_product_is_updated_or_replaced() {
    let replacement = Replacement {
        rationale: "Its memory is written once.".into(),
        isolate: "Pull the plug.".into(),
        terms: "Free of charge.".into(),
    };
    let mut record = published();
    record.promises[0].replacement = Some(replacement);
    let record = record.seal();
    record.validate().unwrap();
    assert_eq!(
        record.sentence(date("2026-11-22"), false),
        "thermostat is replaced if a weakness becomes known until at least 30 June 2031: 4 years and 7 months left."
    );
    let mixed = next(&record, |record| record.promises.push(promise("2027-01-01", "2033-06-30", &[])));
    assert!(mixed.validate().unwrap_err().to_string().contains("all of one kind"));
}

#[test]
fn rules_of_the_record() {
    assert!(published().validate().is_ok());
    let refused = |change: fn(&mut Support)| {
        let mut record = two_cohorts();
        change(&mut record);
        record.validate().unwrap_err().to_string()
    };
    assert!(refused(|r| r.promises.clear()).contains("nothing is promised to cohort"));
    assert!(refused(|r| r.promises[0].guaranteed_until = date("2053-06-30")).contains("more than 25 years"));
    assert!(refused(|r| r.contact.contacts = vec!["ftp://x".into()]).contains("neither an https://"));
    assert!(refused(|r| r.sequence = 0).contains("sequence"));
    assert!(refused(|r| r.previous = None).contains("\"previous\""));
    assert!(refused(|r| r.cohorts[1].name = name("y2026")).contains("two cohorts"));
}

#[test]
fn a_device_goes_by_its_cohort_and_one_that_is_unknown_by_the_earliest() {
    let record = two_cohorts();
    let said = |cohort: Option<&str>, today: &str| {
        let cohort = cohort.map(name);
        OnDevice::of(&record, DIGEST, cohort.as_ref(), date(today), None)
    };
    assert_eq!(said(Some("y2027"), "2027-06-01").guaranteed_until, date("2033-06-30"));
    for cohort in [None, Some("y2026"), Some("y1999")] {
        assert_eq!(said(cohort, "2027-06-01").guaranteed_until, date("2031-06-30"), "{cohort:?}");
    }
    assert_eq!(said(Some("y1999"), "2027-06-01").cohort, None);
    let over = said(Some("y2026"), "2031-07-01");
    assert_eq!((over.state, over.reminder, over.days_left), (State::Ended, Some(Reminder::Over), 0));
    assert_eq!(said(Some("y2026"), "2031-06-30").days_left, 1, "the last day counts");
}

#[test]
fn a_device_names_the_worst_of_cohorts_that_it_may_belong_to() {
    let mut record = two_cohorts();
    record.notices.push(Notice {
        made: at("2028-01-01"),
        kind: NoticeKind::EndedEarly { on: date("2028-01-01") },
        text: "We could not keep it up.".into(),
        advice: String::new(),
        cohorts: vec![name("y2027")],
    });
    let said = OnDevice::of(&record, DIGEST, None, date("2028-02-01"), None);
    assert_eq!((said.state, said.reminder), (State::EndedEarly, Some(Reminder::Over)));
    let own = name("y2026");
    let said = OnDevice::of(&record, DIGEST, Some(&own), date("2028-02-01"), None);
    assert_eq!(said.state, State::Supported);
}

#[test]
fn a_device_whose_record_lapsed_shows_the_promise_beside_it() {
    let record = published();
    let expires = Some(at("2028-03-01"));
    let said = |today| OnDevice::of(&record, DIGEST, None, date(today), expires);
    assert_eq!(said("2028-03-01").state, State::Supported);
    let lapsed = said("2028-03-02");
    assert_eq!((lapsed.state, lapsed.guaranteed_until), (State::Lapsed, date("2031-06-30")));
    assert!(
        lapsed.sentence.contains("30 June 2031") && lapsed.sentence.contains("1 March 2028"),
        "{}",
        lapsed.sentence
    );
    assert!(lapsed.record.lapsed);
    assert_eq!(said("2031-07-01").state, State::Ended, "over is over");
}
