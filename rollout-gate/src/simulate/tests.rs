use super::*;
use perennial_schemas::rollout::{Gate, OnDeadline, Phase, Salt, Spread};
use perennial_schemas::tuf::Key;

fn plan() -> Plan {
    let start = Timestamp::from_unix(1_800_000_000);
    let phase = |share, day, spread| Phase { share, not_before: start.plus_days(day), spread };
    Plan {
        salt: Salt::new(vec![1; 16]).unwrap(),
        key: Key::ed25519(&[1; 32]),
        phases: vec![
            phase(50_000, 0, Spread::AtOnce),
            phase(200_000, 2, Spread::Linear),
            phase(WHOLE, 4, Spread::Linear),
            phase(WHOLE, 8, Spread::AtOnce),
        ],
        early: vec![],
        hardware: None,
        gate: Gate {
            ceiling_ppm: 20_000,
            alpha_ppm: 50_000,
            beta_ppm: 50_000,
            least_sample: 50,
            least_soak_seconds: 86_400,
        },
        max_hold_seconds: 14 * 86_400,
        on_deadline: OnDeadline::Consent,
        catch_up_seconds: 86_400,
        status_max_age_seconds: 86_400,
    }
}

fn of(failing: f64, hardware: &[u64]) -> Odds {
    let fleet = Fleet { devices: 20_000, hardware: hardware.to_vec(), failing, hourly: 0.16 };
    odds(&plan(), &fleet, 200, 344)
}

/// How many have told when it is halted, over a thousand rollouts on paper: each device tells before the next one begins.
/// The share that is halted, the median and the 95th percentile.
fn on_paper(failing: f64, hardware: &[u64]) -> (f64, Option<(u64, u64)>) {
    let fleet = Fleet { devices: 20_000, hardware: hardware.to_vec(), failing, hourly: 0.16 };
    let random = &mut fastrand::Rng::with_seed(344);
    let told = sorted((0..1000).filter_map(|_| {
        let mut state = Running::new(&fleet, plan().phases[0].not_before);
        (0..fleet.devices).find_map(|before| {
            let bad = random.f64() < failing;
            let stratum = shared_out(1, &fleet, random).iter().position(|one| *one == 1)?;
            let counts = &mut state.strata[stratum].counts;
            *(if bad { &mut counts.rolled_back } else { &mut counts.confirmed }) += 1;
            (bad && state.verdict(&plan(), state.opened) == Some(false)).then_some(before + 1)
        })
    }));
    (told.len() as f64 / 1000.0, percentile(&told, 50).zip(percentile(&told, 95)))
}

#[test]
fn devices_are_of_revisions_as_often_as_there_are_of_them() {
    let fleet = Fleet { devices: 4000, hardware: vec![3000, 0, 1000], failing: 0.0, hourly: 0.16 };
    let mut random = fastrand::Rng::with_seed(344);
    assert_eq!(shared_out(1000, &fleet, &mut random), [750, 0, 250]);
    let mut singly = [0; 3];
    for _ in 0..1000 {
        let one = shared_out(1, &fleet, &mut random);
        singly.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
    }
    assert_eq!((singly[1], singly.iter().sum()), (0, 1000));
    assert!((700..800).contains(&singly[0]), "{singly:?}");
}

/// With two revisions, half of alpha is for the fleet: a build that fails on every twentieth device takes some more.
#[test]
fn of_two_hardware_revisions_it_takes_more_to_halt() {
    let healthy = of(0.005, &[15_000, 5_000]);
    assert!(healthy.halted <= 0.05 && healthy.finished > 0.9, "{healthy:?}");
    let [healthy, bad, worse] = [0.005, 0.05, 0.2].map(|failing| on_paper(failing, &[15_000, 5_000]));
    assert!(healthy.0 <= 0.05, "{healthy:?}");
    assert!(bad.0 > 0.95 && bad.1.is_some_and(|(median, most)| median > 210 && most <= 800), "{bad:?}");
    assert!(worse.0 == 1.0 && worse.1.is_some_and(|(_, most)| most <= 45), "{worse:?}");
}

/// Where the first phase is too small for the proof, rollouts wait behind it and nowhere else, for ever; where its devices are
/// slow to tell, until enough have.
#[test]
fn a_phase_that_waits_is_named() {
    let with = |share: u32, failing: f64, hourly: f64| {
        let mut plan = plan();
        plan.phases[0].share = share;
        odds(&plan, &Fleet { devices: 20_000, hardware: vec![], failing, hourly }, 200, 344)
    };
    let small = with(1000, 0.0, 0.16);
    assert_eq!((small.finished, small.halted), (0.0, 0.0));
    assert_eq!(small.waits[0], Wait { share: 1.0, days: None });
    assert!(small.waits[1..].iter().all(|wait| wait.share == 0.0), "{small:?}");
    let large = with(50_000, 0.0, 0.16);
    assert!(large.waits.iter().all(|wait| wait.share == 0.0 && wait.days.is_none()), "{large:?}");
    // About 184 of 300 are needed: at 1.5 % an hour they have told after 63 hours, and the phase's time came after 48.
    let slow = with(15_000, 0.0, 0.015);
    assert!(slow.waits[0].share == 1.0 && slow.waits[1].share < 0.05, "{slow:?}");
    assert!(slow.waits[0].days.is_some_and(|days| (0.5..0.8).contains(&days)), "{slow:?}");
    // What is halted before a phase's time has waited for none.
    let halted = with(1000, 0.9, 0.16);
    assert!(halted.halted == 1.0 && halted.waits.iter().all(|wait| wait.share == 0.0), "{halted:?}");
}

/// Those that are under way hide failures, and tell after the halt: for a fleet of which sixteen begin within an hour it takes
/// what it takes on paper, for one of which five hundred do, two or three times that.
#[test]
fn the_more_are_under_way_the_more_have_told_before_a_halt() {
    let mut plan = plan();
    plan.phases[0].share = 10_000;
    let of =
        |devices, failing| odds(&plan, &Fleet { devices, hardware: vec![], failing, hourly: 0.16 }, 30, 344);
    let told = |devices, failing| of(devices, failing).told.unwrap();
    let ((few, _), (many, most)) = (told(10_000, 0.2), told(300_000, 0.2));
    assert!((10..=20).contains(&few) && (30..=60).contains(&many) && most <= 100, "{few}, {many}, {most}");
    let (many, most) = told(300_000, 0.05);
    assert!(many <= 450 && most <= 900, "{many}, {most}");
    let healthy = of(20_000, 0.005);
    assert!(healthy.halted <= 0.05, "{healthy:?}");
}

/// Ceiling 2 %, alpha 5 %, arrival spread evenly: a healthy build is not halted, one that fails on every fifth device after
/// at most 45 reports, one that fails on every twentieth after at most 700.
#[test]
fn a_healthy_build_passes_and_bad_ones_are_caught_early() {
    let healthy = of(0.005, &[]);
    assert!(healthy.halted <= 0.05 && healthy.finished > 0.9, "{healthy:?}");
    assert!(healthy.days.is_some_and(|days| (8.0..12.0).contains(&days)), "{healthy:?}");
    let [healthy, bad, worse] = [0.005, 0.05, 0.2].map(|failing| on_paper(failing, &[]));
    assert!(healthy.0 <= 0.05, "{healthy:?}");
    assert!(bad.0 > 0.95 && bad.1.is_some_and(|(median, most)| median <= 260 && most <= 700), "{bad:?}");
    assert!(worse.0 == 1.0 && worse.1.is_some_and(|(median, most)| median <= 16 && most <= 45), "{worse:?}");
}
