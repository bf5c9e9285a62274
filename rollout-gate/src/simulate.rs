//! A plan's odds: rollouts of a made-up fleet, judged as the server judges.
//!
//! Devices ask evenly over time, and tell how it went soon after. Seeded: the same question has the same answer.

use perennial_schemas::Timestamp;
use perennial_schemas::rollout::{Plan, WHOLE};

use crate::judge::{Counts, Evidence, Verdict, judge};

/// Steps of simulated time in a day.
const STEPS: i64 = 24;
const STEP: i64 = 86_400 / STEPS;
/// Days past the plan's last phase and its longest hold after which a simulation ends.
const PATIENCE: i64 = 30;

/// The fleet and the release of a simulation.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Devices.
    pub devices: u64,
    /// How many of them there are of each hardware revision; empty where there is one. What a gate may err is shared out among
    /// several, so that it takes more failures to halt.
    pub hardware: Vec<u64>,
    /// The share of devices that the release fails on, from 0 to 1.
    pub failing: f64,
    /// The share of admitted devices that ask, install and tell within one hour, from 0 (excluded) to 1: half of them after
    /// four hours is 0.16.
    pub hourly: f64,
}

/// How one simulated rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Evidence halted it, for all or for one hardware revision.
    pub halted: bool,
    /// Every device has told how it went.
    pub finished: bool,
    /// When it ended: halted, or the last device done.
    pub at: Timestamp,
    /// The counts then.
    pub counts: Counts,
    /// Seconds for which the gate kept each phase shut past its time, from the second phase on, as far as the rollout came:
    /// until it opened, or evidence halted it. `None` for one that never opened.
    pub waits: Vec<Option<i64>>,
}

/// The odds over many simulated rollouts.
#[derive(Debug, Clone, PartialEq)]
pub struct Odds {
    /// The share that was halted, from 0 to 1.
    pub halted: f64,
    /// Devices that told how it went before the halt: the median, and the 95th percentile, of those halted.
    pub told: Option<(u64, u64)>,
    /// Devices on which it failed before the halt or the end: the median.
    pub failed: u64,
    /// The share that came to its end, from 0 to 1; the others waited in a phase for proof that never came.
    pub finished: f64,
    /// Days to the end: the median of those.
    pub days: Option<f64>,
    /// Where the gate made rollouts wait: a place for each phase, from the second on.
    pub waits: Vec<Wait>,
}

/// How a gate keeps a phase shut past its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    /// The share of all rollouts that waited for it, from 0 to 1: an hour or longer.
    pub share: f64,
    /// For how many days: the median of those. `None` where none waited, or the median never opened.
    pub days: Option<f64>,
}

/// One rollout.
pub fn run(plan: &Plan, fleet: &Fleet, random: &mut fastrand::Rng) -> Ending {
    traced(plan, fleet, random, &mut |_, _| {})
}

/// The same; `hour` is told the open share, in parts per million, hour by hour.
pub fn traced(
    plan: &Plan,
    fleet: &Fleet,
    random: &mut fastrand::Rng,
    hour: &mut dyn FnMut(Timestamp, u32),
) -> Ending {
    let first = plan.phases.first().map_or(Timestamp::EPOCH, |phase| phase.not_before);
    let last = plan.phases.last().map_or(first, |phase| phase.not_before);
    let end = last.plus_seconds(plan.max_hold_seconds as i64).plus_days(PATIENCE);
    let (counts, strata) = (Counts::default(), vec![Counts::default(); fleet.hardware.len()]);
    let waits = Vec::new();
    let mut state = Running { phase: 0, opened: first, counts, strata, waiting: 0, admitted: 0, waits };
    let mut now = first;
    loop {
        hour(now, state.share(plan, now));
        let halted = state.step(plan, fleet, now, random);
        let finished = !halted && state.counts.told() >= fleet.devices;
        if halted || finished || now >= end {
            let Running { counts, mut waits, .. } = state;
            let shut = plan.phases.get(state.phase + 1).filter(|next| now >= next.not_before);
            waits.extend(shut.map(|next| (halted || finished).then(|| now.unix() - next.not_before.unix())));
            return Ending { halted, finished, at: now, counts, waits };
        }
        now = now.plus_seconds(STEP);
    }
}

/// The odds of a plan over `runs` rollouts, at least one.
pub fn odds(plan: &Plan, fleet: &Fleet, runs: u32, seed: u64) -> Odds {
    let mut random = fastrand::Rng::with_seed(seed);
    let endings: Vec<Ending> = (0..runs.max(1)).map(|_| run(plan, fleet, &mut random)).collect();
    let first = plan.phases.first().map_or(0, |phase| phase.not_before.unix());
    let told = sorted(endings.iter().filter(|ending| ending.halted).map(|ending| ending.counts.told()));
    let failed = sorted(endings.iter().map(|ending| ending.counts.bad()));
    let finished = endings.iter().filter(|ending| ending.finished);
    let seconds = sorted(finished.map(|ending| ending.at.unix() - first));
    let share = |part: usize| part as f64 / endings.len() as f64;
    Odds {
        halted: share(told.len()),
        finished: share(seconds.len()),
        told: percentile(&told, 50).zip(percentile(&told, 95)),
        failed: percentile(&failed, 50).unwrap_or(0),
        days: percentile(&seconds, 50).map(|seconds| seconds as f64 / 86_400.0),
        waits: (1..plan.phases.len()).map(|phase| wait(&endings, phase)).collect(),
    }
}

fn wait(endings: &[Ending], phase: usize) -> Wait {
    // What never opened has waited longest.
    let seconds = endings.iter().filter_map(|ending| ending.waits.get(phase - 1));
    let waits = sorted(seconds.map(|wait| wait.unwrap_or(i64::MAX)).filter(|wait| *wait >= STEP));
    let days = percentile(&waits, 50).filter(|median| *median < i64::MAX);
    Wait {
        share: waits.len() as f64 / endings.len() as f64,
        days: days.map(|seconds| seconds as f64 / 86_400.0),
    }
}

struct Running {
    /// The phase that is open.
    phase: usize,
    opened: Timestamp,
    counts: Counts,
    /// By hardware revision.
    strata: Vec<Counts>,
    /// Admitted, and not heard of yet.
    waiting: u64,
    admitted: u64,
    /// As in [`Ending`].
    waits: Vec<Option<i64>>,
}

impl Running {
    /// One hour; true where it was halted in it.
    fn step(&mut self, plan: &Plan, fleet: &Fleet, now: Timestamp, random: &mut fastrand::Rng) -> bool {
        let open = self.share(plan, now);
        let open = (u128::from(fleet.devices) * u128::from(open) / u128::from(WHOLE)) as u64;
        self.waiting += open.saturating_sub(self.admitted);
        self.admitted = self.admitted.max(open);
        let mut coming = (self.waiting as f64 * fleet.hourly + random.f64()) as u64;
        self.waiting -= coming;
        // Only a failure can bring a halt, so the devices between two of them are counted at once.
        while coming > 0 {
            let well = well_before_a_failure(fleet.failing, random).min(coming);
            self.counts.confirmed += well;
            self.share_out(well, fleet, random, |counts| &mut counts.confirmed);
            coming -= well;
            if coming > 0 {
                self.counts.rolled_back += 1;
                self.share_out(1, fleet, random, |counts| &mut counts.rolled_back);
                coming -= 1;
                if self.verdict(plan, now) == Some(false) {
                    return true;
                }
            }
        }
        let next = plan.phases.get(self.phase + 1).filter(|next| now >= next.not_before);
        if let Some(next) = next.filter(|_| self.verdict(plan, now) == Some(true)) {
            self.waits.push(Some(now.unix() - next.not_before.unix()));
            self.phase += 1;
            self.opened = now;
        }
        false
    }

    /// Devices of any revision, as often as there are of it: the whole part evenly, and where the rest falls, chance says.
    fn share_out(
        &mut self,
        devices: u64,
        fleet: &Fleet,
        random: &mut fastrand::Rng,
        which: fn(&mut Counts) -> &mut u64,
    ) {
        let all = fleet.hardware.iter().sum::<u64>().max(1) as f64;
        let (from, mut edge, mut given) = (random.f64(), 0.0, 0);
        for (counts, part) in self.strata.iter_mut().zip(&fleet.hardware) {
            edge += *part as f64 / all * devices as f64;
            let until = ((edge + from) as u64).min(devices).max(given);
            *which(counts) += until - given;
            given = until;
        }
    }

    /// The open share: the plan's, but not past the phase that evidence has let it into.
    fn share(&self, plan: &Plan, now: Timestamp) -> u32 {
        plan.share_at(now).min(plan.phases[self.phase].share)
    }

    /// Go on, halt, or neither.
    fn verdict(&self, plan: &Plan, now: Timestamp) -> Option<bool> {
        let name = |index: usize| format!("rev{index}").parse().ok();
        let strata =
            self.strata.iter().enumerate().filter_map(|(index, counts)| Some((name(index)?, *counts)));
        let (all, phase_since) = (self.counts, Some(self.opened));
        let evidence = Evidence { all, strata: strata.collect(), phase_since, ..Evidence::default() };
        match judge(&plan.gate, &evidence, now) {
            Verdict::Halt { .. } => Some(false),
            Verdict::GoOn => Some(true),
            Verdict::Wait(_) => None,
        }
    }
}

/// How many devices are well before one fails.
fn well_before_a_failure(failing: f64, random: &mut fastrand::Rng) -> u64 {
    if failing <= 0.0 {
        return u64::MAX;
    }
    if failing >= 1.0 {
        return 0;
    }
    // The geometric distribution by its inverse; 1 - f64() lies above 0.
    ((1.0 - random.f64()).ln() / (1.0 - failing).ln()) as u64
}

fn sorted<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values
}

fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
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
        odds(&plan(), &fleet, 1000, 344)
    }

    #[test]
    fn devices_are_of_revisions_as_often_as_there_are_of_them() {
        let fleet = Fleet { devices: 4000, hardware: vec![3000, 0, 1000], failing: 0.0, hourly: 0.16 };
        let (counts, strata) = (Counts::default(), vec![Counts::default(); 3]);
        let opened = Timestamp::EPOCH;
        let waits = vec![];
        let mut running = Running { phase: 0, opened, counts, strata, waiting: 0, admitted: 0, waits };
        let mut random = fastrand::Rng::with_seed(344);
        running.share_out(1000, &fleet, &mut random, |counts| &mut counts.confirmed);
        for _ in 0..1000 {
            running.share_out(1, &fleet, &mut random, |counts| &mut counts.rolled_back);
        }
        let [often, never, seldom] = running.strata[..] else { panic!() };
        assert_eq!([often.confirmed, never.confirmed, seldom.confirmed], [750, 0, 250]);
        assert_eq!(never.rolled_back, 0);
        assert_eq!(often.rolled_back + seldom.rolled_back, 1000);
        assert!((700..800).contains(&often.rolled_back), "{often:?}");
    }

    /// With two revisions, half of alpha is for the fleet: a build that fails on every twentieth device takes some more.
    #[test]
    fn of_two_hardware_revisions_it_takes_more_to_halt() {
        let [healthy, bad, worse] = [0.005, 0.05, 0.2].map(|failing| of(failing, &[15_000, 5_000]));
        assert!(healthy.halted <= 0.05 && healthy.finished > 0.9, "{healthy:?}");
        assert!(
            bad.halted > 0.95 && bad.told.is_some_and(|(median, most)| median > 210 && most <= 800),
            "{bad:?}"
        );
        assert!(worse.halted == 1.0 && worse.told.is_some_and(|(_, most)| most <= 45), "{worse:?}");
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
        assert_eq!((slow.waits[0].share, slow.waits[1].share), (1.0, 0.0), "{slow:?}");
        assert!(slow.waits[0].days.is_some_and(|days| (0.5..0.8).contains(&days)), "{slow:?}");
        // What is halted before a phase's time has waited for none.
        let halted = with(1000, 0.9, 0.16);
        assert!(halted.halted == 1.0 && halted.waits.iter().all(|wait| wait.share == 0.0), "{halted:?}");
    }

    /// Ceiling 2 %, alpha 5 %, arrival spread evenly: a healthy build is not halted, one that fails on every fifth device after
    /// at most 45 reports, one that fails on every twentieth after at most 700.
    #[test]
    fn a_healthy_build_passes_and_bad_ones_are_caught_early() {
        let of = |failing| of(failing, &[]);
        let healthy = of(0.005);
        assert!(healthy.halted <= 0.05 && healthy.finished > 0.9, "{healthy:?}");
        assert!(healthy.days.is_some_and(|days| (8.0..12.0).contains(&days)), "{healthy:?}");
        let (bad, worse) = (of(0.05), of(0.2));
        assert!(
            bad.halted > 0.95 && bad.told.is_some_and(|(median, most)| median <= 260 && most <= 700),
            "{bad:?}"
        );
        assert!(
            worse.halted == 1.0 && worse.told.is_some_and(|(median, most)| median <= 16 && most <= 45),
            "{worse:?}"
        );
    }
}
