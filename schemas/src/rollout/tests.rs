use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::digest::Sha256Digest;
use crate::ident::{HardwareName, Label};
use crate::time::Timestamp;
use crate::tuf::{Common, Key, Role};

const DAY: i64 = 86_400;
const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(START + seconds)
}

fn phase(share: u32, seconds: i64, spread: Spread) -> Phase {
    Phase { share, not_before: at(seconds), spread }
}

/// 1 % at once, then evenly to 10 % from the first day to the third, then to all until the seventh.
fn plan() -> Plan {
    Plan {
        salt: Salt::new(vec![7; 16]).unwrap(),
        key: Key::ed25519(&[1; 32]),
        phases: vec![
            phase(10_000, 0, Spread::AtOnce),
            phase(100_000, DAY, Spread::Linear),
            phase(WHOLE, 3 * DAY, Spread::Linear),
            phase(WHOLE, 7 * DAY, Spread::AtOnce),
        ],
        early: vec![EarlyGroup { labels: vec!["beta".parse().unwrap()], not_before: at(-DAY) }],
        hardware: None,
        gate: Gate {
            ceiling_ppm: 20_000,
            alpha_ppm: 50_000,
            beta_ppm: 50_000,
            least_sample: 50,
            least_soak_seconds: 86_400,
        },
        max_hold_seconds: 14 * DAY as u64,
        on_deadline: OnDeadline::Consent,
        catch_up_seconds: DAY as u64,
        status_max_age_seconds: 3600,
    }
}

fn status(state: RolloutState, open: u32, since: i64) -> RolloutStatus {
    RolloutStatus {
        common: Common::new(RolloutStatus::TYPE, 1, at(since + 3600), None),
        product: "thermostat".parse().unwrap(),
        manifest: Sha256Digest([1; 32]),
        key: "k".parse().unwrap(),
        issued: at(since),
        open,
        state,
        stopped: vec![],
        since: at(since),
        reason: "".into(),
        stopped_reasons: Default::default(),
        audit: "".into(),
    }
}

struct Device {
    bucket: u32,
    catch_up_part: u32,
    labels: BTreeSet<Label>,
    memory: Memory,
}

impl Device {
    fn new(bucket: u32) -> Self {
        Self {
            bucket,
            catch_up_part: bucket.wrapping_mul(7) % WHOLE,
            labels: BTreeSet::new(),
            memory: Memory::default(),
        }
    }

    fn asks(&mut self, plan: &Plan, status: Option<&RolloutStatus>, signed: i64, now: i64) -> Admission {
        let hardware: HardwareName = "revC".parse().unwrap();
        let place = Place {
            bucket: self.bucket,
            catch_up_part: self.catch_up_part,
            hardware: &hardware,
            labels: &self.labels,
        };
        let standing = Standing { signed_at: Some(at(signed)) };
        let admission = admit(plan, status, &place, &self.memory, standing, at(now));
        self.memory = self.memory.after(&admission, at(now));
        self.memory.told = status.map(|status| status.since).or(self.memory.told);
        admission
    }
}

#[test]
fn a_plan_opens_as_it_says() {
    let plan = plan();
    plan.validate().unwrap();
    for (seconds, share) in [
        (-1, 0),
        (0, 10_000),
        (DAY - 1, 10_000),
        (DAY, 10_000),
        (2 * DAY, 55_000),
        (3 * DAY, 100_000),
        (5 * DAY, 550_000),
        (7 * DAY, WHOLE),
        (1000 * DAY, WHOLE),
    ] {
        assert_eq!(plan.share_at(at(seconds)), share, "{seconds}");
    }
}

#[test]
fn nobody_comes_before_the_plan_and_an_early_group_before_the_others() {
    let (plan, running) = (plan(), status(RolloutState::Running, WHOLE, 0));
    let mut device = Device::new(500_000);
    let early = Admission::NotBefore { at: plan.opens_for(500_000), wait: Wait::Place };
    assert_eq!(device.asks(&plan, Some(&running), 0, 0), early);
    device.labels.insert("beta".parse().unwrap());
    assert_eq!(device.asks(&plan, Some(&running), 0, -DAY), Admission::Now);
    assert!(matches!(device.asks(&plan, None, 0, -DAY), Admission::Held { hold: Hold::NoStatus, .. }));
}

#[test]
fn other_hardware_is_left_out() {
    let plan = Plan { hardware: Some(vec!["revD".parse().unwrap()]), ..plan() };
    let admission = Device::new(0).asks(&plan, None, 0, 100 * DAY);
    assert_eq!(admission, Admission::Excluded(Excluded::Hardware));
}

#[test]
fn a_halt_of_one_hardware_revision_holds_only_that() {
    let plan = plan();
    let mut running = status(RolloutState::Running, WHOLE, 0);
    running.stopped = vec!["revD".parse().unwrap()];
    assert_eq!(Device::new(0).asks(&plan, Some(&running), 0, 10), Admission::Now);
    running.stopped = vec!["revC".parse().unwrap(), "revD".parse().unwrap()];
    running.validate().unwrap();
    let held = Device::new(0).asks(&plan, Some(&running), 0, 10);
    assert!(matches!(held, Admission::Held { hold: Hold::HaltedHardware, .. }), "{held}");
    running.stopped.reverse();
    assert!(running.validate().is_err());
}

#[test]
fn the_deadline_opens_for_what_its_signers_stand_by_and_never_for_what_they_do_not() {
    let plan = plan();
    let deadline = 14 * DAY;
    // A dead server: no status. The role was signed before the rollout began, and then again.
    for (signed, opens) in [(-DAY, false), (0, false), (1, true), (10 * DAY, true)] {
        let admission = Device::new(0).asks(&plan, None, signed, deadline);
        assert_eq!(admission == Admission::Now, opens, "{signed}: {admission}");
        assert_ne!(Device::new(0).asks(&plan, None, signed, deadline - 1), Admission::Now);
    }
    // A halt on the third day: consent from before it is none.
    for (signed, opens) in [(2 * DAY, false), (3 * DAY + 1, true)] {
        let halted = RolloutStatus { issued: at(deadline), ..status(RolloutState::Halted, 0, 3 * DAY) };
        let admission = Device::new(0).asks(&plan, Some(&halted), signed, deadline);
        assert_eq!(admission == Admission::Now, opens, "{signed}: {admission}");
    }
    // A thief who says that the halt began just now: consent after the deadline is enough, for ever.
    let halted = status(RolloutState::Halted, 0, 100 * DAY);
    assert_eq!(Device::new(0).asks(&plan, Some(&halted), deadline + 1, 100 * DAY), Admission::Now);
    let silent = Plan { on_deadline: OnDeadline::Silence, ..plan };
    assert_eq!(Device::new(0).asks(&silent, Some(&halted), -DAY, deadline), Admission::Now);
}

/// The team signs another release on the first day, the halt comes on the second, and then nobody hears anything any more.
#[test]
fn a_halt_that_was_heard_holds_also_where_nobody_speaks_any_more() {
    let (plan, halted) = (plan(), status(RolloutState::Halted, 0, 2 * DAY));
    let mut device = Device::new(0);
    device.asks(&plan, Some(&halted), DAY, 2 * DAY);
    let admission = device.asks(&plan, None, DAY, 20 * DAY);
    assert!(matches!(admission, Admission::Held { hold: Hold::NoConsent, .. }), "{admission}");
    // Device 0 comes back at once.
    assert_eq!(device.asks(&plan, None, 2 * DAY + 1, 20 * DAY), Admission::Now);
}

#[test]
fn the_end_of_a_hold_is_no_stampede() {
    let plan = plan();
    let (halted, running) = (status(RolloutState::Halted, 0, 0), status(RolloutState::Running, WHOLE, 0));
    let mut fleet: Vec<Device> = (0..1000).map(|i| Device::new(i * 1000)).collect();
    for device in &mut fleet {
        assert!(matches!(
            device.asks(&plan, Some(&halted), 0, 8 * DAY),
            Admission::Held { hold: Hold::Halted, .. }
        ));
    }
    let mut admitted = Vec::new();
    for hour in 0..=24 {
        let now = 9 * DAY + hour * 3600;
        admitted.push(
            fleet
                .iter_mut()
                .filter_map(|d| (d.asks(&plan, Some(&running), 0, now) == Admission::Now).then_some(()))
                .count(),
        );
    }
    assert!(admitted[0] < 5, "{admitted:?}");
    assert!(admitted.windows(2).all(|pair| pair[1] - pair[0] < 60), "{admitted:?}");
    assert_eq!(admitted[24], 1000);
}

#[test]
fn a_status_counts_only_within_its_bounds() {
    let plan = plan();
    let good = status(RolloutState::Running, WHOLE, 0);
    assert_eq!(good.check_current(&plan, 1, at(10)), Ok(()));
    assert_eq!(good.check_current(&plan, 2, at(10)), Err(StatusRefused::Older { number: 1, seen: 2 }));
    assert_eq!(good.check_current(&plan, 0, at(3600)), Err(StatusRefused::Expired(at(3600))));
    let long = RolloutStatus { common: Common::new(RolloutStatus::TYPE, 1, at(3601), None), ..good.clone() };
    assert_eq!(long.check_current(&plan, 0, at(10)), Err(StatusRefused::TooLong));
    // A thief dates one 2099: it counts for nobody until then.
    let far = status(RolloutState::Running, WHOLE, 70 * 365 * DAY);
    assert!(matches!(far.check_current(&plan, 0, at(10)), Err(StatusRefused::Future(_))));
}

#[test]
fn every_reason_is_a_sentence() {
    let plan = plan();
    let mut device = Device::new(300_000);
    let mut said =
        |status: Option<&RolloutStatus>, signed, now| format!("{}", device.asks(&plan, status, signed, now));
    assert_eq!(said(None, 0, 0), "its turn in the rollout comes at 2027-01-19T05:20:01Z");
    let low = status(RolloutState::Running, 12_345, 8 * DAY);
    assert_eq!(
        said(Some(&low), 0, 8 * DAY),
        "the rollout is open for 1.2345 % of all devices; it is held until 2027-02-02T05:20:01Z at most, \
         and goes on then if its signers have signed it again"
    );
    assert_eq!(
        said(None, 0, 40 * DAY),
        "the rollout was stopped, and since 2027-02-02T05:20:01Z it takes its signers to let it go on"
    );
    let running = status(RolloutState::Running, WHOLE, 40 * DAY);
    assert!(
        said(Some(&running), 0, 40 * DAY)
            .starts_with("the rollout was stopped and goes on; this device's turn")
    );
}

prop_compose! {
    fn plans()(
        steps in prop::collection::vec((1..400_000_u32, 1..20 * DAY, any::<bool>()), 1..12),
        hold in 3600..60 * DAY,
        catch_up in 0..20 * DAY,
        silence in any::<bool>(),
    ) -> Plan {
        let (mut share, mut time, mut phases) = (0_u32, 0, Vec::new());
        for (more, wait, linear) in steps {
            share = (share + more).min(WHOLE);
            phases.push(phase(share, time, if linear { Spread::Linear } else { Spread::AtOnce }));
            time += wait;
        }
        phases.push(phase(WHOLE, time, Spread::AtOnce));
        let on_deadline = if silence { OnDeadline::Silence } else { OnDeadline::Consent };
        Plan { phases, early: vec![], max_hold_seconds: hold as u64, catch_up_seconds: catch_up as u64, on_deadline, ..plan() }
    }
}

prop_compose! {
    fn statuses()(known in any::<bool>(), state in 0..4_usize, open in 0..=WHOLE, since in 0..300 * DAY) -> Option<RolloutStatus> {
        use RolloutState::*;
        known.then(|| status([Running, Running, Paused, Halted][state], open, since))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn share_and_opening_are_two_sides_of_one_thing(plan in plans(), bucket in 0..WHOLE, seconds in -DAY..300 * DAY) {
        prop_assert!(plan.validate().is_ok());
        let opens = plan.opens_for(bucket);
        prop_assert_eq!(plan.share_at(at(seconds)) > bucket, at(seconds) >= opens);
        prop_assert!(plan.share_at(opens) > bucket);
        prop_assert!(plan.share_at(opens.plus_seconds(-1)) <= bucket);
        prop_assert!(plan.share_at(at(seconds)) <= plan.share_at(at(seconds + 1)));
    }

    /// Whatever statuses arrive: nobody before the plan, nobody kept for ever from what its signers stand by, and no status
    /// admits whom silence or another status would not have let in by the plan.
    #[test]
    fn no_status_widens_the_plan_or_starves_it(
        plan in plans(), bucket in 0..WHOLE, status in statuses(), signed in -DAY..300 * DAY, now in -DAY..300 * DAY,
    ) {
        let admission = Device::new(bucket).asks(&plan, status.as_ref(), signed, now);
        if admission == Admission::Now {
            prop_assert!(plan.share_at(at(now)) > bucket);
        }
        let deadline = plan.opens_for(bucket).plus_seconds(plan.max_hold_seconds as i64);
        if at(now) >= deadline && at(signed) > deadline {
            prop_assert_eq!(admission, Admission::Now);
        }
    }

    /// A clock that is wrong by up to ten years, until it is set: its device is let in no sooner than the clock is ahead, so
    /// that of a fleet no more come before the plan than clocks are wrong; and what it noted meanwhile keeps it out no longer
    /// than the end of any other hold.
    #[test]
    fn a_wrong_clock_moves_its_own_device_and_only_until_it_is_set(
        plan in plans(), bucket in 0..WHOLE, wrong in -3650 * DAY..3650 * DAY, said in prop::collection::vec(statuses(), 1..40),
    ) {
        let mut device = Device::new(bucket);
        for (tick, status) in said.iter().enumerate() {
            let clock = tick as i64 * DAY + wrong;
            let status = status.as_ref().filter(|status| status.check_current(&plan, 0, at(clock)).is_ok());
            if device.asks(&plan, status, clock, clock) == Admission::Now {
                prop_assert!(plan.opens_for(bucket) <= at(clock));
            }
        }
        let now = (said.len() as i64 * DAY).max(plan.opens_for(bucket).unix() - START);
        let running = status(RolloutState::Running, WHOLE, now);
        device.asks(&plan, Some(&running), now, now);
        let later = now + plan.catch_up_seconds as i64;
        prop_assert_eq!(device.asks(&plan, Some(&running), later, later), Admission::Now);
    }

    /// The share that is admitted rises by no more than the plan's own step and the part of those held that may come back.
    #[test]
    fn no_step_is_larger_than_the_plan_declares(plan in plans(), said in prop::collection::vec(statuses(), 20..60)) {
        const FLEET: u32 = 500;
        const TICK: i64 = DAY / 2;
        let mut fleet: Vec<Device> = (0..FLEET).map(|i| Device::new(i * (WHOLE / FLEET))).collect();
        let mut installed = vec![false; FLEET as usize];
        for (tick, status) in said.iter().enumerate() {
            let now = tick as i64 * TICK;
            let step = plan.share_at(at(now)) - plan.share_at(at(now - TICK));
            let mut came = 0;
            for (device, installed) in fleet.iter_mut().zip(&mut installed) {
                if !*installed && device.asks(&plan, status.as_ref(), now, now) == Admission::Now {
                    *installed = true;
                    came += 1;
                }
            }
            let by_plan = u64::from(step) * u64::from(FLEET) / u64::from(WHOLE) + 1;
            let catch_up = plan.catch_up_seconds.max(1);
            let back = (u64::from(FLEET) * TICK as u64).div_ceil(catch_up).min(u64::from(FLEET)) + FLEET as u64 / 10;
            prop_assert!(came <= by_plan + back, "{came} came, {by_plan} by the plan, {back} from a hold");
        }
    }
}
