//! What a stolen team key, a carrier of drafts or a forged branch tries on a record. Each attack once worked.

use super::tests::*;
use super::*;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

fn annulment_of(record: &Support, number: u32) -> Annulment {
    let promise = &record.promises[number as usize - 1];
    Annulment {
        product: record.product.clone(),
        promise: number,
        made: promise.made,
        guaranteed_until: promise.guaranteed_until,
        reason: "A key was stolen.".into(),
        at: at("2027-03-02"),
    }
}

fn notice(made: &str, kind: NoticeKind) -> Notice {
    Notice { made: at(made), kind, text: "x".into(), advice: String::new(), cohorts: vec![] }
}

#[test]
fn a_number_that_leaves_none_above_it_is_refused_and_an_annulment_passes_any() {
    let before = published();
    let mut burnt = next(&before, |record| record.promises.push(promise("2027-01-01", "2051-01-01", &[])));
    burnt.sequence = u64::from(u32::MAX);
    assert!(matches!(burnt.may_follow(&before, &[]), Err(SupportError::Chain { .. })));
    burnt.sequence = u64::MAX;
    assert!(matches!(burnt.may_begin(&[]), Err(SupportError::Chain { .. })));
    let annulment = annulment_of(&burnt, 2);
    let mut answer = next(&before, |_| {});
    answer.promises = burnt.promises.clone();
    answer.annulled = vec![annulment.clone()];
    assert_eq!(answer.seal().may_follow(&burnt, &[annulment]), Ok(()), "root's answer gets through");
}

#[test]
fn what_is_made_in_the_future_is_refused_and_root_heals_it() {
    let (before, clock) = (published(), at("2027-03-01"));
    for (made, until) in
        [("9999-01-01", "2033-06-30"), ("9990-01-01", "9999-12-31"), ("2027-01-01", "2052-06-30")]
    {
        let mut burnt = next(&before, |record| record.promises.push(promise(made, until, &[])));
        burnt.promises[1].guaranteed_until = date(until);
        assert!(
            matches!(burnt.dated_by(Some(&before), clock), Err(SupportError::AheadOfTime { .. })),
            "{made}"
        );
    }
    let late = next(&before, |record| record.updated = Some(at("2030-01-01")));
    assert!(matches!(
        late.dated_by(Some(&before), clock),
        Err(SupportError::AheadOfTime { what: "a record", .. })
    ));
    let told = next(&before, |record| record.notices = vec![notice("2030-01-01", NoticeKind::Information)]);
    assert!(matches!(
        told.dated_by(Some(&before), clock),
        Err(SupportError::AheadOfTime { what: "a notice", .. })
    ));
    assert_eq!(next(&before, |_| {}).dated_by(Some(&before), clock), Ok(()));

    let burnt = next(&before, |record| record.promises.push(promise("9990-01-01", "9999-12-31", &[])));
    let annulled = next(&burnt, |record| record.annulled = vec![annulment_of(&burnt, 2)]);
    let later = next(&annulled, |record| record.promises.push(promise("2028-01-01", "2035-01-01", &[])));
    later.validate().unwrap();
}

#[test]
fn one_step_can_not_use_the_room_of_all() {
    let before = published();
    let many = next(&before, |record| {
        record.promises.extend((0..5).map(|_| promise("2027-01-01", "2031-06-30", &[])));
    });
    assert_eq!(many.may_follow(&before, &[]), Err(SupportError::TooMuch("4 promises")));
    let told = next(&before, |record| {
        record.notices = (0..9).map(|_| notice("2027-01-01", NoticeKind::Information)).collect();
    });
    assert_eq!(told.may_follow(&before, &[]), Err(SupportError::TooMuch("8 notices")));
    let long = next(&before, |record| {
        let long = Notice { text: "x".repeat(8000), ..notice("2027-01-01", NoticeKind::Information) };
        record.notices = vec![long; 8];
    });
    assert_eq!(long.may_follow(&before, &[]), Err(SupportError::TooMuch("48 KiB of text")));
}

#[test]
fn a_full_record_still_has_room_for_annulments_and_what_they_free() {
    let mut full = published();
    full.promises.extend((1..63).map(|_| promise("2027-01-01", "2031-06-30", &[])));
    full.promises.push(promise("2027-01-01", "2051-01-01", &[]));
    full.validate().unwrap();
    let annulment = annulment_of(&full, 64);
    let answer = next(&full, |record| {
        record.annulled = vec![annulment.clone()];
        record.promises.push(promise("2027-03-02", "2033-06-30", &[]));
    });
    answer.validate().unwrap();
    assert_eq!(answer.may_follow(&full, &[annulment]), Ok(()));
}

#[test]
fn a_forged_end_is_lifted_by_a_later_promise() {
    for kind in
        [NoticeKind::Ceased { on: date("2027-01-01") }, NoticeKind::EndedEarly { on: date("2027-01-01") }]
    {
        let forged = next(&published(), |record| record.notices = vec![notice("2027-01-01", kind)]);
        assert!(!forged.status(date("2027-04-01"), None, false).state.is_supported());
        let after = next(&forged, |record| record.promises.push(promise("2027-03-01", "2040-01-01", &[])));
        assert_eq!(after.status(date("2027-04-01"), None, false).state, State::Supported);
        assert_eq!(after.notices.len(), 1, "and stays visible");
    }
}

#[test]
fn an_annulment_never_makes_the_date_of_other_units_shorter() {
    let mut first = published();
    first.cohorts = vec![cohort("a", "2026-01-05", None)];
    first.promises[0].cohorts = vec![name("a")];
    let forged = next(&first.seal(), |record| {
        record.cohorts.push(cohort("x", "2027-01-01", None));
        record.promises.push(promise("2027-01-01", "2051-01-01", &["x"]));
    });
    let annulment = annulment_of(&forged, 2);
    let answer = |until: &str| {
        next(&forged, |record| {
            record.annulled = vec![annulment.clone()];
            record.promises.push(promise("2027-03-02", until, &["x"]));
        })
    };
    let fallen = answer("2027-04-01").may_follow(&forged, core::slice::from_ref(&annulment));
    assert!(matches!(fallen, Err(SupportError::Shorter { cohort: None, .. })), "{fallen:?}");
    let kept = answer("2031-06-30");
    kept.validate().unwrap();
    assert_eq!(kept.may_follow(&forged, &[annulment]), Ok(()));
}

#[test]
fn a_last_day_of_sale_that_a_thief_made_up_goes_with_the_promise() {
    let before = two_cohorts();
    let forged = next(&before, |record| {
        record.cohorts[0].placed_until = Some(date("2050-12-31"));
        record.cohorts[0].markets = vec![];
        record.promises.push(promise("2027-02-01", "2051-12-31", &["y2026"]));
    });
    let annulment = annulment_of(&forged, 3);
    let stuck = next(&forged, |record| record.annulled = vec![annulment.clone()]);
    assert!(stuck.validate().unwrap_err().to_string().contains("is sold until 2050-12-31"));
    let answer = next(&stuck, |record| record.cohorts[0].placed_until = Some(date("2026-12-31")));
    answer.validate().unwrap();
    assert_eq!(answer.may_follow(&forged, core::slice::from_ref(&annulment)), Ok(()));
    let alone = next(&answer, |record| record.cohorts[0].placed_until = Some(date("2026-06-30")));
    assert!(matches!(alone.may_follow(&answer, &[annulment]), Err(SupportError::CohortNarrowed { .. })));
}

#[test]
fn a_record_never_says_that_it_is_older_and_a_closed_cohort_stays_closed() {
    let before = two_cohorts();
    let older = next(&before, |record| record.updated = Some(at("1970-01-02")));
    assert!(matches!(older.may_follow(&before, &[]), Err(SupportError::Chain { .. })));
    let open = next(&before, |record| record.cohorts[0].placed_until = None);
    assert!(matches!(open.may_follow(&before, &[]), Err(SupportError::CohortNarrowed { .. })));
}

#[test]
fn units_never_move_to_a_shorter_date_by_words_or_overlap() {
    let before = two_cohorts();
    let refused = |change: fn(&mut Support)| match next(&before, change).may_follow(&before, &[]) {
        Err(SupportError::CohortNarrowed { cohort, why }) => (cohort.to_string(), why),
        other => panic!("{other:?}"),
    };
    let (_, why) = refused(|record| record.cohorts[1].find = "Made in 2026".into());
    assert!(why.contains("owners were told otherwise"), "{why}");
    let longer = next(&before, |record| record.cohorts[1].find.push_str(", in small print"));
    assert_eq!(longer.may_follow(&before, &[]), Ok(()));
    let (whose, why) = refused(|record| record.cohorts[0].placed_until = Some(date("2027-06-30")));
    assert_eq!(whose, "y2027");
    assert!(why.contains("earlier date"), "{why}");
}

#[test]
fn a_device_leaves_a_forged_branch_once_root_has_annulled_it() {
    let base = published();
    let forged = next(&base, |record| record.promises.push(promise("2027-01-01", "2051-01-01", &[])));
    let honest = next(&base, |record| record.promises.push(promise("2027-02-01", "2033-01-01", &[])));
    let root: Vec<Annulment> = vec![annulment_of(&forged, 2)];
    assert!(honest.may_follow_branch(&forged, &[]).is_err());
    assert_eq!(honest.may_follow_branch(&forged, &root), Ok(()));
    let shorter = next(&base, |record| record.promises[0].guaranteed_until = date("2028-01-01"));
    assert!(matches!(shorter.may_follow_branch(&forged, &root), Err(SupportError::Shorter { .. })));
}

#[test]
fn an_annulment_that_the_record_tells_itself_excuses_nothing_ever_after() {
    let before = next(&published(), |record| {
        record.promises.push(promise("2027-01-01", "2051-01-01", &[]));
        record.notices = vec![notice("2027-01-01", NoticeKind::Information)];
    });
    let root = vec![annulment_of(&before, 2)];
    let annulled = next(&before, |record| record.annulled = root.clone());
    assert_eq!(annulled.may_follow_branch(&before, &root), Ok(()));
    let forgets = next(&annulled, |record| record.notices.clear());
    assert_eq!(forgets.may_follow_branch(&annulled, &root), Err(SupportError::NoticeRewritten(1)));
    let older = Support { sequence: 2, ..next(&annulled, |record| record.contact.status_update_days = 7) };
    assert!(matches!(older.may_follow_branch(&annulled, &root), Err(SupportError::Chain { .. })));
}

#[test]
fn a_promise_with_a_gap_or_for_fewer_parts_extends_nothing() {
    let before = published();
    let gap = next(&before, |record| {
        let from = Some(date("2040-01-01"));
        record.promises.push(Promise { from, ..promise("2027-01-01", "2041-01-01", &[]) });
    });
    assert!(matches!(gap.may_follow(&before, &[]), Err(SupportError::Gap { number: 2, .. })));
    let part = next(&before, |record| {
        let components = vec!["the phone app".into()];
        record.promises.push(Promise { components, ..promise("2027-01-01", "2041-01-01", &[]) });
    });
    assert!(matches!(part.may_follow(&before, &[]), Err(SupportError::Gap { number: 2, .. })));
}
