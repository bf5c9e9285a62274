use super::*;
use crate::recent::Recent;

const GATE: Gate = Gate {
    ceiling_ppm: 20_000,
    alpha_ppm: 50_000,
    beta_ppm: 50_000,
    least_sample: 50,
    least_soak_seconds: 3600,
};

fn evidence(all: Counts) -> Evidence {
    Evidence { all, phase_since: Some(Timestamp::EPOCH), ..Evidence::default() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

fn missing(missing: u64, usual: u64) -> WaitFor {
    WaitFor::Missing { hardware: None, missing, usual, overdue: 0 }
}

#[test]
fn a_phase_goes_on_when_it_is_proved_watched_and_nobody_fell_silent() {
    let good = Counts { confirmed: 400, failed: 1, ..Counts::default() };
    assert_eq!(judge(&GATE, &evidence(good), at(3600)), Verdict::GoOn);
    let early = judge(&GATE, &evidence(good), at(3599));
    assert_eq!(early, Verdict::Wait(vec![WaitFor::Soak { until: at(3600) }]));
    let few = judge(&GATE, &evidence(Counts { confirmed: 20, ..Counts::default() }), at(3600));
    let proof = WaitFor::Proof { bad: 0, told: 20, more: 164, open: 0 };
    assert_eq!(few, Verdict::Wait(vec![WaitFor::Sample { told: 20, least: 50, open: 0 }, proof]));
    assert_eq!(
        few.to_string(),
        "wait for 50 devices that told how it went (20 so far, no other has begun), \
         proof that failures are rarer than the ceiling (0 failed of 20 that told, no other has begun; about 164 more without a failure are needed)"
    );
    let open = Counts { confirmed: 20, pending: 30, missing: 5, ..Counts::default() };
    let said = judge(&GATE, &evidence(open), at(3600)).to_string();
    assert!(said.contains("(20 so far, 35 began and haven't told yet), proof"), "{said}");
    assert!(
        said.contains("0 failed of 20 that told, 35 began and haven't told yet; about 164 more"),
        "{said}"
    );
}

#[test]
fn silence_stops_the_advance_and_never_halts_alone() {
    let counts = Counts { confirmed: 400, missing: 40, ..Counts::default() };
    let mut seen = evidence(counts);
    seen.others = Watched { silent: 10, all: 1000 };
    let verdict = judge(&GATE, &seen, at(3600));
    assert_eq!(verdict, Verdict::Wait(vec![missing(40, 5)]));
    seen.others = Watched { silent: 90, all: 1000 };
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn, "as silent as the others are");
    seen.all = Counts { missing: 1_000_000, ..Counts::default() };
    assert!(matches!(judge(&GATE, &seen, at(3600)), Verdict::Wait(_)));
}

/// A build that bricks three devices in a hundred, before most of those that took it could be missed.
#[test]
fn silence_is_reckoned_by_those_who_had_the_time_to_fall_silent() {
    let mut seen = evidence(Counts { confirmed: 7000, missing: 45, ripe: 1500, ..Counts::default() });
    seen.others = Watched { silent: 20, all: 10_000 };
    let verdict = judge(&GATE, &seen, at(3600));
    assert_eq!(verdict, Verdict::Wait(vec![missing(45, 3)]));
    seen.all.ripe = 7045;
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn, "all of them had the time");
    // Five of the first three hundred: by luck fewer than the ceiling, and no proof of anything.
    seen.all = Counts { confirmed: 7000, missing: 5, ripe: 300, ..Counts::default() };
    let verdict = judge(&GATE, &seen, at(3600));
    assert_eq!(verdict, Verdict::Wait(vec![missing(5, 1)]));
    seen.all.missing = 3;
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn, "as chance brings about");
}

/// Failures are told within minutes, successes take hours.
#[test]
fn the_first_failures_of_many_that_are_under_way_halt_nothing() {
    let early = Counts { rolled_back: 3, confirmed: 10, pending: 1200, ..Counts::default() };
    assert!(matches!(judge(&GATE, &evidence(early), at(60)), Verdict::Wait(_)));
    let alone = Counts { pending: 0, ..early };
    assert!(matches!(judge(&GATE, &evidence(alone), at(60)), Verdict::Halt { .. }));
    let bad = Counts { rolled_back: 70, ..early };
    assert!(matches!(judge(&GATE, &evidence(bad), at(60)), Verdict::Halt { .. }));
}

/// Sixty began two hours ago, and twelve of them went back. A thousand begin each hour: among all, twelve are few.
#[test]
fn those_that_have_just_begun_hide_no_failures_of_the_others() {
    let mut recent = Recent::default();
    (0..60).for_each(|device| recent.change(0, device < 12, true));
    (0..2000).for_each(|device| recent.change(3600 + device * 3, false, true));
    let counts = Counts { rolled_back: 12, confirmed: 40, pending: 2008, ..Counts::default() };
    assert!(
        matches!(judge(&GATE, &evidence(counts), at(60)), Verdict::Wait(_)),
        "nobody knows when they began"
    );
    let young = recent.young(recent.newest().unwrap());
    let verdict = judge(&GATE, &evidence(Counts { young, ..counts }), at(60));
    assert!(matches!(verdict, Verdict::Halt { .. }), "{verdict}");
    // The same failures among those that have just begun: the others would have told by now.
    let mut recent = Recent::default();
    (0..60).for_each(|_| recent.change(0, false, true));
    (0..2000).for_each(|device| recent.change(3600 + device * 3, device >= 1988, true));
    let young = recent.young(recent.newest().unwrap());
    let verdict = judge(&GATE, &evidence(Counts { young, ..counts }), at(60));
    assert!(matches!(verdict, Verdict::Wait(_)), "{verdict}");
}

/// Failures are told after a minute, successes after an hour, and one looks at each failure: a release that fails as often as its
/// ceiling allows is still halted by chance no more often than alpha allows.
#[test]
fn a_release_at_its_ceiling_is_halted_no_more_often_than_alpha() {
    const RUNS: u32 = 400;
    let mut random = fastrand::Rng::with_seed(344);
    let mut halted = 0;
    for _ in 0..RUNS {
        let (mut recent, mut counts) = (Recent::default(), Counts::default());
        // Ten begin each minute; of those of an hour ago all have told.
        let mut begun = Vec::new();
        halted += u32::from((0..240_usize).any(|minute| {
            let failing = (0..10).filter(|_| random.f64() < 0.02).count() as u64;
            begun.push(failing);
            (0..10).for_each(|_| recent.change(minute as i64 * 60, false, true));
            counts.pending += 10;
            let told = minute.checked_sub(1).map_or(0, |minute| begun[minute]);
            for _ in 0..told {
                recent.change((minute as i64 - 1) * 60, false, false);
                recent.change((minute as i64 - 1) * 60, true, true);
            }
            let confirmed = minute.checked_sub(60).map_or(0, |minute| 10 - begun[minute]);
            counts.rolled_back += told;
            counts.confirmed += confirmed;
            counts.pending -= told + confirmed;
            counts.young = recent.young(minute as i64);
            matches!(judge(&GATE, &evidence(counts), at(60)), Verdict::Halt { .. })
        }));
    }
    assert!(halted <= RUNS / 20, "{halted} of {RUNS}");
}

/// A town without power is no fault of a release: who fell silent was tried too.
#[test]
fn silence_makes_no_failure_weigh_more() {
    let mut seen = evidence(Counts { failed: 50, confirmed: 500, pending: 9450, ..Counts::default() });
    assert!(matches!(judge(&GATE, &seen, at(3600)), Verdict::Wait(_)));
    (seen.all.pending, seen.all.missing) = (0, 9450);
    assert!(matches!(judge(&GATE, &seen, at(3600)), Verdict::Wait(_)));
}

#[test]
fn a_rare_hardware_revision_that_falls_silent_stops_the_advance() {
    let common = Counts { confirmed: 9900, ripe: 9900, ..Counts::default() };
    let rare = Counts { missing: 100, ripe: 100, ..Counts::default() };
    let strata = Strata::from([("revC".parse().unwrap(), common), ("revD".parse().unwrap(), rare)]);
    let mut seen = Evidence { strata, ..evidence(common.and(&rare)) };
    seen.others = Watched { silent: 2, all: 1000 };
    let verdict = judge(&GATE, &seen, at(3600));
    assert_eq!(
        verdict.to_string(),
        "wait for 100 devices of revD that began and fell silent (about 1 would be usual)"
    );
    seen.strata.insert("revD".parse().unwrap(), Counts { missing: 2, confirmed: 98, ..rare });
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn, "as chance brings about");
}

#[test]
fn those_that_are_quick_to_tell_are_no_sample() {
    let mut seen = evidence(Counts { confirmed: 300, pending: 9700, ..Counts::default() });
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn, "they began just now");
    (seen.all.ripe, seen.all.late) = (10_000, 9700);
    let verdict = judge(&GATE, &seen, at(3600));
    assert_eq!(verdict, Verdict::Wait(vec![WaitFor::Late { late: 9700, of: 10_000 }]));
    // Many owners put it off; nobody could for so long.
    (seen.all.confirmed, seen.all.pending, seen.all.late) = (6000, 4000, 4000);
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn);
    seen.all.overdue = 400;
    let verdict = judge(&GATE, &seen, at(3600));
    assert_eq!(verdict.to_string(), "wait for 400 devices that are overdue to tell how it went");
    seen.all.missing = 1;
    assert_eq!(
        judge(&GATE, &seen, at(3600)).to_string(),
        "wait for 1 device that began and fell silent (about 0 would be usual) and 400 that are overdue to tell how it went"
    );
}

/// A tenth of the fleet is silent anyhow; or all of it was, while the server was down.
#[test]
fn usual_silence_hides_no_more_than_the_ceiling_allows() {
    let mut seen = evidence(Counts { confirmed: 300, missing: 30, ripe: 300, ..Counts::default() });
    seen.others = Watched { silent: 100, all: 1000 };
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn);
    seen.all.missing = 39;
    assert!(matches!(judge(&GATE, &seen, at(3600)), Verdict::Wait(_)), "twice the deviation would be 11");
    // 35 of 350 would be silent anyhow, and 6 more by chance: one more of the others is too many to prove anything of them.
    seen.others = Watched { silent: 100, all: 1000 };
    (seen.all.confirmed, seen.all.missing, seen.all.ripe) = (400, 42, 350);
    assert!(matches!(judge(&GATE, &seen, at(3600)), Verdict::Wait(_)));
    seen.all.missing = 41;
    assert_eq!(judge(&GATE, &seen, at(3600)), Verdict::GoOn);
    (seen.all.confirmed, seen.all.ripe) = (300, 300);
    seen.others = Watched { silent: 800, all: 1000 };
    seen.all.missing = 240;
    assert!(matches!(judge(&GATE, &seen, at(3600)), Verdict::Wait(_)), "it says nothing");
}

#[test]
fn a_rare_hardware_revision_halts_itself_alone() {
    let common = Counts { confirmed: 5000, ..Counts::default() };
    let rare = Counts { confirmed: 8, rolled_back: 12, ..Counts::default() };
    let all = Counts { confirmed: 5008, rolled_back: 12, ..Counts::default() };
    let strata = Strata::from([("revC".parse().unwrap(), common), ("revD".parse().unwrap(), rare)]);
    let seen = Evidence { strata, ..evidence(all) };
    let Verdict::Halt { hardware: Some(hardware), .. } = judge(&GATE, &seen, at(3600)) else { panic!() };
    assert_eq!(hardware.as_str(), "revD");
}

#[test]
fn one_revision_that_is_bad_among_few_reports_does_not_halt_the_others() {
    let good = Counts { confirmed: 20, ..Counts::default() };
    let bad = Counts { failed: 6, ..Counts::default() };
    let strata = Strata::from([("revC".parse().unwrap(), good), ("revD".parse().unwrap(), bad)]);
    let seen = Evidence { strata, ..evidence(good.and(&bad)) };
    let bounds = bounds(&GATE, &seen);
    assert!(bounds.against >= bounds.halts_at, "all together are bad enough: {bounds:?}");
    let verdict = judge(&GATE, &seen, at(3600));
    assert!(matches!(verdict, Verdict::Halt { hardware: Some(_), .. }), "{verdict}");
    // Where all are bad, or nothing is known of the others, all are halted, although one would be on its own.
    for other in [bad, Counts::default()] {
        let strata = Strata::from([("revC".parse().unwrap(), bad), ("revD".parse().unwrap(), other)]);
        let seen = Evidence { strata, ..evidence(bad.and(&other)) };
        assert!(matches!(judge(&GATE, &seen, at(3600)), Verdict::Halt { hardware: None, .. }));
    }
}
