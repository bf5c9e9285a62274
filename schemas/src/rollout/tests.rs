use alloc::collections::{BTreeMap, BTreeSet};
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

fn hardware(name: &str) -> HardwareName {
    name.parse().unwrap()
}

#[derive(Debug, Clone)]
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

    /// The same device, had it never been held.
    fn fresh(&self) -> Self {
        Self { memory: Memory::default(), ..self.clone() }
    }

    /// When the plan opens for it.
    fn planned(&self, plan: &Plan) -> Timestamp {
        let by_bucket = plan.opens_for(self.bucket);
        plan.early_from(&self.labels).map_or(by_bucket, |early| early.min(by_bucket))
    }

    fn asks(&mut self, plan: &Plan, status: Option<&RolloutStatus>, signed: i64, now: i64) -> Admission {
        let hardware = hardware("revC");
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

/// None, one or both of two hardware revisions, the devices' own among them; often none.
fn revisions(number: usize) -> Vec<HardwareName> {
    let both = [hardware("revC"), hardware("revD")];
    match number {
        0 | 1 => vec![both[number].clone()],
        2 => both.to_vec(),
        _ => vec![],
    }
}

fn times() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of((-DAY..300 * DAY).prop_map(at))
}

prop_compose! {
    fn plans()(
        steps in prop::collection::vec((1..400_000_u32, 1..20 * DAY, any::<bool>()), 1..12),
        hold in 3600..60 * DAY,
        catch_up in 0..20 * DAY,
        silence in any::<bool>(),
        early in prop::option::of(-10 * DAY..20 * DAY),
        only in 0..8_usize,
    ) -> Plan {
        let (mut share, mut time, mut phases) = (0_u32, 0, Vec::new());
        for (more, wait, linear) in steps {
            share = (share + more).min(WHOLE);
            phases.push(phase(share, time, if linear { Spread::Linear } else { Spread::AtOnce }));
            time += wait;
        }
        phases.push(phase(WHOLE, time, Spread::AtOnce));
        let beta = |seconds: i64| EarlyGroup { labels: vec!["beta".parse().unwrap()], not_before: at(seconds.min(time)) };
        let early = early.map(beta).into_iter().collect();
        let hardware = Some(revisions(only)).filter(|only| !only.is_empty());
        let on_deadline = if silence { OnDeadline::Silence } else { OnDeadline::Consent };
        Plan { phases, early, hardware, max_hold_seconds: hold as u64, catch_up_seconds: catch_up as u64, on_deadline, ..plan() }
    }
}

prop_compose! {
    fn spoken()(state in 0..6_usize, open in 0..=WHOLE, since in 0..300 * DAY, stopped in 0..8_usize) -> RolloutStatus {
        use RolloutState::*;
        let state = [Running, Running, Running, Paused, Halted, Unknown][state];
        RolloutStatus { stopped: revisions(stopped), ..status(state, open, since) }
    }
}

fn statuses() -> impl Strategy<Value = Option<RolloutStatus>> {
    prop::option::of(spoken())
}

prop_compose! {
    /// A device in the middle of a rollout: anywhere in the order, of an early group or not, whatever it remembers.
    fn devices()(
        bucket in 0..WHOLE, catch_up_part in 0..WHOLE, beta in any::<bool>(),
        held in times(), opened in times(), told in times(),
    ) -> Device {
        let labels = beta.then(|| "beta".parse().unwrap()).into_iter().collect();
        let memory = Memory { held, opened: opened.filter(|_| held.is_some()), told };
        Device { bucket, catch_up_part, labels, memory }
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

    /// Whatever statuses arrive, and whatever a device remembers: nobody comes before the plan, and once it was held for as long
    /// as it may be, a device comes within `catch_up` where the signers stand by the release.
    #[test]
    fn no_status_widens_the_plan_or_starves_it(
        plan in plans(), device in devices(), status in statuses(), signed in -DAY..300 * DAY, now in -DAY..300 * DAY,
    ) {
        let admission = device.clone().asks(&plan, status.as_ref(), signed, now);
        let (planned, takes) = (device.planned(&plan), plan.takes(&hardware("revC")));
        if admission == Admission::Now {
            prop_assert!(at(now) >= planned && takes);
        }
        let deadline = planned.plus_seconds(plan.max_hold_seconds as i64);
        if at(now) >= deadline && at(signed) > deadline && takes {
            let last = at(now).plus_seconds(plan.catch_up_seconds as i64);
            let comes = match admission {
                Admission::Now => true,
                Admission::NotBefore { at, wait: Wait::CatchUp } => at <= last && device.memory.held.is_some(),
                _ => false,
            };
            prop_assert!(comes, "{}", admission);
        }
    }

    /// Of two statuses of one moment, the one that opens for fewer, stops more hardware, or is in another state than running lets
    /// nobody in whom the other does not; nor does silence after it was heard. The widest status lets in, of those who
    /// were never held, just those whom the plan does, and no other ever lets in more.
    #[test]
    fn a_status_only_lowers(
        plan in plans(), device in devices(), higher in spoken(), open in 0..=WHOLE, stops in 0..8_usize, state in 0..6_usize,
        signed in -DAY..300 * DAY, now in -DAY..300 * DAY,
    ) {
        use RolloutState::*;
        let admits = |mut device: Device, status: Option<&RolloutStatus>| {
            device.asks(&plan, status, signed, now) == Admission::Now
        };
        let stopped: BTreeSet<HardwareName> = higher.stopped.iter().cloned().chain(revisions(stops)).collect();
        let lower = RolloutStatus {
            open: open.min(higher.open),
            stopped: stopped.into_iter().collect(),
            state: [Paused, Halted, Unknown].get(state).copied().unwrap_or(higher.state),
            ..higher.clone()
        };
        let by_higher = admits(device.clone(), Some(&higher));
        prop_assert!(by_higher || !admits(device.clone(), Some(&lower)));
        let mut heard = device.clone();
        heard.memory.told = Some(higher.since);
        prop_assert!(by_higher || !admits(heard, None));
        let widest = RolloutStatus { open: WHOLE, stopped: vec![], state: Running, ..higher };
        let by_plan = plan.takes(&hardware("revC")) && at(now) >= device.planned(&plan);
        prop_assert_eq!(admits(device.fresh(), Some(&widest)), by_plan);
        prop_assert!(by_plan || !by_higher);
    }

    /// Where a plan asks for consent, nobody whom the status of a running rollout doesn't let in comes, however late it is,
    /// before the signers have signed after the stop that they were told, or after the planned time where none was.
    #[test]
    fn without_consent_nobody_comes_but_by_a_running_status(
        plan in plans(), device in devices(), status in statuses(), before in prop::option::of(0..400 * DAY), now in -DAY..4000 * DAY,
    ) {
        let plan = Plan { on_deadline: OnDeadline::Consent, ..plan };
        let planned = device.planned(&plan);
        let deadline = planned.plus_seconds(plan.max_hold_seconds as i64);
        let told = status.as_ref().map(|status| status.since).or(device.memory.told);
        let stopped = told.map_or(planned, |told| told.min(deadline)).max(planned);
        let hardware = hardware("revC");
        let place = Place { bucket: device.bucket, catch_up_part: device.catch_up_part, hardware: &hardware, labels: &device.labels };
        let standing = Standing { signed_at: before.map(|before| stopped.plus_seconds(-before)) };
        let admission = admit(&plan, status.as_ref(), &place, &device.memory, standing, at(now));
        let is_early = plan.early_from(&device.labels).is_some_and(|early| early <= at(now));
        let is_let_in = status.as_ref().is_some_and(|status| {
            let open = device.bucket < status.open || is_early;
            status.state == RolloutState::Running && !status.stopped.contains(&hardware) && open
        });
        prop_assert!(is_let_in || admission != Admission::Now, "{}", admission);
    }

    /// A clock that is wrong by up to ten years, until it is set: its device is let in no sooner than the clock is ahead, so
    /// that of a fleet no more come before the plan than clocks are wrong; and what it noted meanwhile keeps it out no longer
    /// than the end of any other hold.
    #[test]
    fn a_wrong_clock_moves_its_own_device_and_only_until_it_is_set(
        plan in plans(), bucket in 0..WHOLE, wrong in -3650 * DAY..3650 * DAY, said in prop::collection::vec(statuses(), 1..40),
    ) {
        prop_assume!(plan.takes(&hardware("revC")));
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

    /// Whoever was never held comes in the step in which the plan opens for them: no more than its share rises, and an early group
    /// at once. Of those who see a hold end at one moment, no more come in a span than its part of `catch_up`.
    ///
    /// Exact but for one device at each end of the span: buckets and turns lie evenly, as hashes do on average only.
    #[test]
    fn no_step_is_larger_than_the_plan_declares(plan in plans(), said in prop::collection::vec(statuses(), 20..60)) {
        const FLEET: u32 = 500;
        const TICK: i64 = DAY / 2;
        let mut waiting: Vec<Device> = (0..FLEET).map(|i| Device::new(i * (WHOLE / FLEET))).collect();
        // One in ten has the label, everywhere in the order.
        for device in waiting.iter_mut().step_by(10) {
            device.labels.insert("beta".parse().unwrap());
        }
        for (tick, status) in said.iter().enumerate() {
            let now = tick as i64 * TICK;
            let (mut by_plan, mut early, mut back) = (0, 0, BTreeMap::new());
            waiting.retain_mut(|device| {
                let opened = device.memory.held.map(|_| device.memory.opened.unwrap_or(at(now)));
                let is_early = plan.early_from(&device.labels).is_some_and(|begins| begins <= at(now));
                let comes = device.asks(&plan, status.as_ref(), now, now) == Admission::Now;
                match opened {
                    _ if !comes => {}
                    Some(opened) => *back.entry(opened).or_insert(0) += 1,
                    None if is_early => early += 1,
                    None => by_plan += 1,
                }
                !comes
            });
            let step = plan.share_at(at(now)) - plan.share_at(at(now - TICK));
            let risen = u64::from(step) * u64::from(FLEET) / u64::from(WHOLE) + 1;
            prop_assert!(by_plan <= risen, "{by_plan} came, and the plan opened for {risen}");
            let begins = plan.early.first().map(|group| group.not_before);
            let begins = begins.is_some_and(|begins| begins <= at(now) && (tick == 0 || begins > at(now - TICK)));
            prop_assert!(early <= if begins { u64::from(FLEET) / 10 } else { 0 }, "{early} came of the early group");
            let part = u64::from(FLEET) * TICK as u64 / plan.catch_up_seconds.max(1) + 1;
            prop_assert!(back.values().all(|came| *came <= part), "{back:?} came back, {part} at a time may");
        }
    }
}
