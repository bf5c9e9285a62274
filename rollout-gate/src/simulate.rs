//! A plan's odds: rollouts of a made-up fleet, judged as the server judges.
//!
//! Devices ask evenly over time, and tell how it went a quarter of an hour to an hour after they began; failures no sooner than
//! successes. Those that are under way hide failures for a while, and tell after the halt: the more, the more devices begin within
//! an hour. Seeded: the same question has the same answer.

use std::collections::VecDeque;

use perennial_schemas::Timestamp;
use perennial_schemas::rollout::{Plan, WHOLE};

use crate::judge::{Counts, Evidence, Strata, Verdict, judge};
use crate::recent::{Part, Recent};

/// Steps of simulated time in an hour.
const STEPS: i64 = 12;
const HOUR: i64 = 3600;
const STEP: i64 = HOUR / STEPS;
/// Devices tell after a quarter of an hour to an hour.
const SOONEST: usize = 3;
const SLOWEST: usize = 12;
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
    let mut state = Running::new(fleet, first);
    let mut now = first;
    loop {
        if (now.unix() - first.unix()) % HOUR == 0 {
            hour(now, state.share(plan, now));
        }
        let halted = state.step(plan, fleet, now, random);
        let finished = !halted && state.told() >= fleet.devices;
        if halted || finished || now >= end {
            let counts = state.counts();
            let mut waits = state.waits;
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
    let waits = sorted(seconds.map(|wait| wait.unwrap_or(i64::MAX)).filter(|wait| *wait >= HOUR));
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
    /// By hardware revision; one where there is one.
    strata: Vec<Stratum>,
    /// Who tells in the next step, in the one after it, and so on.
    telling: VecDeque<Vec<Telling>>,
    /// Admitted, and not heard of yet.
    waiting: u64,
    admitted: u64,
    /// As in [`Ending`].
    waits: Vec<Option<i64>>,
}

#[derive(Clone, Default)]
struct Stratum {
    counts: Counts,
    recent: Recent,
}

/// Devices of one revision that began together, and tell together.
struct Telling {
    stratum: usize,
    began: i64,
    well: u64,
    bad: u64,
}

impl Running {
    fn new(fleet: &Fleet, opened: Timestamp) -> Self {
        Self {
            phase: 0,
            opened,
            strata: vec![Stratum::default(); fleet.hardware.len().max(1)],
            telling: (0..SLOWEST).map(|_| Vec::new()).collect(),
            waiting: 0,
            admitted: 0,
            waits: Vec::new(),
        }
    }

    /// Five minutes; true where it was halted in it.
    fn step(&mut self, plan: &Plan, fleet: &Fleet, now: Timestamp, random: &mut fastrand::Rng) -> bool {
        let open = self.share(plan, now);
        let open = (u128::from(fleet.devices) * u128::from(open) / u128::from(WHOLE)) as u64;
        self.waiting += open.saturating_sub(self.admitted);
        self.admitted = self.admitted.max(open);
        let within = 1.0 - (1.0 - fleet.hourly).powf(1.0 / STEPS as f64);
        let coming = ((self.waiting as f64 * within + random.f64()) as u64).min(self.waiting);
        self.waiting -= coming;
        let telling = self.telling.pop_front().unwrap_or_default();
        self.telling.push_back(Vec::new());
        if coming > 0 {
            for (stratum, devices) in shared_out(coming, fleet, random).into_iter().enumerate() {
                self.begin(stratum, devices, fleet.failing, now, random);
            }
        }
        if telling.into_iter().any(|telling| self.tell(plan, &telling, now)) {
            return true;
        }
        // Once an hour is often enough: phases take days.
        let next = plan.phases.get(self.phase + 1);
        let next = next.filter(|next| now >= next.not_before && now.unix() % HOUR < STEP);
        if let Some(next) = next.filter(|_| self.verdict(plan, now) == Some(true)) {
            self.waits.push(Some(now.unix() - next.not_before.unix()));
            self.phase += 1;
            self.opened = now;
        }
        false
    }

    /// So many devices begin, and tell later.
    fn begin(
        &mut self,
        stratum: usize,
        devices: u64,
        failing: f64,
        now: Timestamp,
        random: &mut fastrand::Rng,
    ) {
        let (began, of) = (now.unix(), &mut self.strata[stratum]);
        of.counts.pending += devices;
        of.recent.add(began, Part { tried: devices, bad: 0 });
        let mut bad = [0; SLOWEST];
        let mut left = devices;
        loop {
            left = left.saturating_sub(well_before_a_failure(failing, random));
            if left == 0 {
                break;
            }
            left -= 1;
            bad[random.usize(SOONEST - 1..SLOWEST)] += 1;
        }
        // Evenly; what is left over goes to the slots from one on that chance names.
        let slots = SLOWEST + 1 - SOONEST;
        let (well, from) = (devices - bad.iter().sum::<u64>(), random.usize(..slots));
        let (each, over) = (well / slots as u64, (well % slots as u64) as usize);
        let mut wells = [0; SLOWEST];
        for (slot, wells) in wells[SOONEST - 1..].iter_mut().enumerate() {
            *wells = each + u64::from((slot + slots - from) % slots < over);
        }
        for ((later, bad), well) in self.telling.iter_mut().zip(bad).zip(wells) {
            if well + bad > 0 {
                later.push(Telling { stratum, began, well, bad });
            }
        }
    }

    /// Some tell how it went, failures and successes in turn; true where that halts it.
    fn tell(&mut self, plan: &Plan, telling: &Telling, now: Timestamp) -> bool {
        let Telling { stratum, began, well, bad } = *telling;
        let mut left = well;
        for failure in 0..bad {
            let confirmed = left / (bad - failure);
            left -= confirmed;
            let Stratum { counts, recent } = &mut self.strata[stratum];
            counts.confirmed += confirmed;
            counts.rolled_back += 1;
            counts.pending -= confirmed + 1;
            recent.add(began, Part { tried: 0, bad: 1 });
            // Only a failure can bring a halt.
            if self.verdict(plan, now) == Some(false) {
                return true;
            }
        }
        let counts = &mut self.strata[stratum].counts;
        counts.confirmed += left;
        counts.pending -= left;
        false
    }

    fn told(&self) -> u64 {
        self.strata.iter().map(|stratum| stratum.counts.told()).sum()
    }

    fn counts(&self) -> Counts {
        self.strata.iter().fold(Counts::default(), |all, stratum| all.and(&stratum.counts))
    }

    /// The open share: the plan's, but not past the phase that evidence has let it into.
    fn share(&self, plan: &Plan, now: Timestamp) -> u32 {
        plan.share_at(now).min(plan.phases[self.phase].share)
    }

    /// Go on, halt, or neither.
    fn verdict(&self, plan: &Plan, now: Timestamp) -> Option<bool> {
        let name = |index: usize| format!("rev{index}").parse().ok();
        let newest = now.unix().div_euclid(60);
        let counts = |stratum: &Stratum| Counts { young: stratum.recent.young(newest), ..stratum.counts };
        let strata: Strata = self
            .strata
            .iter()
            .enumerate()
            .filter_map(|(index, stratum)| Some((name(index)?, counts(stratum))))
            .collect();
        let all = strata.values().fold(Counts::default(), |all, counts| all.and(counts));
        let evidence = Evidence { all, strata, phase_since: Some(self.opened), ..Evidence::default() };
        match judge(&plan.gate, &evidence, now) {
            Verdict::Halt { .. } => Some(false),
            Verdict::GoOn => Some(true),
            Verdict::Wait(_) => None,
        }
    }
}

/// Devices by revision, as often as there are of it: the whole part evenly, and where the rest falls, chance says.
fn shared_out(devices: u64, fleet: &Fleet, random: &mut fastrand::Rng) -> Vec<u64> {
    if fleet.hardware.is_empty() {
        return vec![devices];
    }
    let all = fleet.hardware.iter().sum::<u64>().max(1) as f64;
    let (from, mut edge, mut given) = (random.f64(), 0.0, 0);
    let share = |part: &u64| {
        edge += *part as f64 / all * devices as f64;
        let until = ((edge + from) as u64).min(devices).max(given);
        until - std::mem::replace(&mut given, until)
    };
    fleet.hardware.iter().map(share).collect()
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
mod tests;
