//! What a plan would do to a fleet: who would be admitted when, and the odds that its gate stops a bad release and lets a good
//! one pass.

use std::collections::BTreeMap;
use std::fmt;

use perennial_gate::simulate::{self, Fleet, Odds, Wait};
use perennial_schemas::Timestamp;
use perennial_schemas::rollout::{OnDeadline, Phase, Plan, Spread, WHOLE};
use serde::Serialize;

use super::file::{Share, Span};
use crate::plain::grouped;

/// What a simulation asks.
#[derive(Debug, Clone)]
pub struct Question {
    /// Devices that take part.
    pub devices: u64,
    /// How many of them there are of each hardware revision, where that is known.
    pub hardware: BTreeMap<String, u64>,
    /// How many bear each label, where that is known.
    pub labels: BTreeMap<String, u64>,
    /// The share of devices that a good release fails on.
    pub healthy: Share,
    /// Hours after which half of the admitted devices have told how it went.
    pub half_told_hours: f64,
    /// Simulated rollouts for each rate of failures.
    pub runs: u32,
    /// Of the simulation's draws.
    pub seed: u64,
}

/// Rates of failures that are tried beside the healthy one, in parts per million.
const RATES: [u32; 4] = [10_000, 20_000, 50_000, 200_000];

/// What a plan would do.
#[derive(Debug, Serialize)]
pub struct Forecast {
    /// Devices in all.
    pub devices: u64,
    /// The steps.
    pub steps: Vec<Step>,
    /// The odds, by rate of failures.
    pub odds: Vec<Chance>,
    /// Simulated rollouts behind each of them.
    pub runs: u32,
    /// How long past its planned time a device waits at most where its phase never opens, in seconds.
    pub max_hold_seconds: u64,
    /// What lets it go then.
    pub on_deadline: OnDeadline,
}

/// A step of the plan.
#[derive(Debug, Serialize)]
pub struct Step {
    /// When it begins.
    pub at: Timestamp,
    /// What opens.
    pub what: String,
    /// Devices that are open when it is over, the steps before it included; `None` for an early group of unknown size.
    pub devices: Option<u64>,
    /// The same by hardware revision.
    pub hardware: BTreeMap<String, u64>,
}

/// What a plan opens at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening<'p> {
    /// When it begins.
    pub at: Timestamp,
    /// What, in words.
    pub what: String,
    /// For whom.
    pub whom: Whom<'p>,
}

/// For whom a plan opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom<'p> {
    /// Devices that bear one of these labels.
    Labels(Vec<&'p str>),
    /// A share of all devices, in parts per million.
    Share(u32),
}

/// What becomes of a release.
#[derive(Debug, Serialize)]
pub struct Chance {
    /// The share of devices that it fails on, in parts per million.
    pub failing_ppm: u32,
    /// The share of rollouts that were halted, from 0 to 1.
    pub halted: f64,
    /// Devices that had told how it went when it was halted: the median.
    pub told_median: Option<u64>,
    /// The same, not passed by 95 of 100.
    pub told_95: Option<u64>,
    /// Devices that it failed on in all: the median.
    pub failed_median: u64,
    /// The share of rollouts that came to their end, from 0 to 1: what was not halted waited for proof, and from there on it
    /// takes its signers.
    pub finished: f64,
    /// Days to that end: the median.
    pub days_median: Option<f64>,
    /// Where the gate makes rollouts wait: each phase after the first that opens for more devices than the one before.
    pub waits: Vec<PhaseWait>,
}

/// How the gate keeps a phase shut past its time.
#[derive(Debug, Serialize)]
pub struct PhaseWait {
    /// Its number, from 1.
    pub phase: usize,
    /// What it opens.
    pub what: String,
    /// The share of rollouts that waited for it an hour or longer, from 0 to 1.
    pub share: f64,
    /// For how many days: the median of those; `None` where none waited, or where the median of them never opened.
    pub days_median: Option<f64>,
}

impl Forecast {
    /// Looks ahead.
    pub fn new(plan: &Plan, question: &Question) -> Self {
        let mut rates: Vec<u32> = RATES.into_iter().chain([question.healthy.0]).collect();
        rates.sort_unstable();
        rates.dedup();
        let chance = |failing_ppm: u32| {
            let fleet = question.fleet(failing_ppm);
            let Odds { halted, told, failed, finished, days, waits } =
                simulate::odds(plan, &fleet, question.runs, question.seed);
            let (told_median, told_95) = (told.map(|told| told.0), told.map(|told| told.1));
            Chance {
                failing_ppm,
                halted,
                told_median,
                told_95,
                failed_median: failed,
                finished,
                days_median: days,
                waits: phase_waits(plan, &waits),
            }
        };
        let odds = rates.into_iter().map(chance).collect();
        Self {
            devices: question.devices,
            steps: steps(plan, question),
            odds,
            runs: question.runs,
            max_hold_seconds: plan.max_hold_seconds,
            on_deadline: plan.on_deadline,
        }
    }
}

impl Question {
    /// The share of devices that a good release fails on, unless it is said.
    pub const HEALTHY: Share = Share(5_000);
    /// Hours after which half of the devices have told, unless it is said.
    pub const HALF_TOLD_HOURS: f64 = 4.0;
    /// Simulated rollouts, unless it is said.
    pub const RUNS: u32 = 400;
    /// The seed, unless it is said.
    pub const SEED: u64 = 1;

    /// Of so many devices, and all else as usual.
    pub fn new(devices: u64, hardware: BTreeMap<String, u64>) -> Self {
        Self {
            devices,
            hardware,
            labels: BTreeMap::new(),
            healthy: Self::HEALTHY,
            half_told_hours: Self::HALF_TOLD_HOURS,
            runs: Self::RUNS,
            seed: Self::SEED,
        }
    }

    /// The fleet of a simulation.
    pub fn fleet(&self, failing_ppm: u32) -> Fleet {
        // After `half_told_hours` hours of this rate, half are left.
        let hourly = 1.0 - 0.5_f64.powf(1.0 / self.half_told_hours.max(0.1));
        let hardware = self.hardware.values().copied().collect();
        let failing = f64::from(failing_ppm) / f64::from(WHOLE);
        Fleet { devices: self.devices, hardware, failing, hourly }
    }
}

/// What a plan opens, and when, in the order of time.
pub fn openings(plan: &Plan) -> Vec<Opening<'_>> {
    let early = plan.early.iter().map(|group| {
        let labels: Vec<&str> = group.labels.iter().map(|label| label.as_str()).collect();
        let what = format!("early group {}", labels.join(", "));
        Opening { at: group.not_before, what, whom: Whom::Labels(labels) }
    });
    let phases = plan.phases.iter().enumerate().map(|(i, phase)| Opening {
        at: phase.not_before,
        what: what_opens(plan, i),
        whom: Whom::Share(phase.share),
    });
    let mut openings: Vec<Opening<'_>> = early.chain(phases).collect();
    openings.sort_by_key(|opening| opening.at);
    openings
}

fn what_opens(plan: &Plan, phase: usize) -> String {
    let Phase { share, spread, .. } = plan.phases[phase];
    match spread {
        _ if !opens_for_more(plan, phase) => format!("{} are open", Share(share)),
        Spread::AtOnce => format!("to {} at once", Share(share)),
        Spread::Linear => format!("evenly to {}", Share(share)),
    }
}

fn opens_for_more(plan: &Plan, phase: usize) -> bool {
    let before = phase.checked_sub(1).map_or(0, |before| plan.phases[before].share);
    plan.phases[phase].share > before
}

/// The last phase of a linear plan opens for nobody new: who waits for it waits for nothing.
fn phase_waits(plan: &Plan, waits: &[Wait]) -> Vec<PhaseWait> {
    let phases = (1..).zip(waits).filter(|(phase, _)| opens_for_more(plan, *phase));
    let told = phases.map(|(phase, wait)| PhaseWait {
        phase: phase + 1,
        what: what_opens(plan, phase),
        share: wait.share,
        days_median: wait.days,
    });
    told.collect()
}

fn steps(plan: &Plan, question: &Question) -> Vec<Step> {
    let part = |all: u64, share: u32| (u128::from(all) * u128::from(share) / u128::from(WHOLE)) as u64;
    let counted = |Opening { at, what, whom }| match whom {
        Whom::Labels(labels) => {
            let known = labels.iter().filter_map(|label| question.labels.get(*label));
            let devices = known.clone().next().map(|_| known.sum());
            Step { at, what, devices, hardware: BTreeMap::new() }
        }
        Whom::Share(share) => {
            let counts = question.hardware.iter();
            let hardware = counts.map(|(name, count)| (name.clone(), part(*count, share))).collect();
            Step { at, what, devices: Some(part(question.devices, share)), hardware }
        }
    };
    openings(plan).into_iter().map(counted).collect()
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Of {} devices, if nothing stops it:", grouped(self.devices))?;
        for step in &self.steps {
            let devices = step.devices.map_or("?".into(), grouped);
            write!(f, "  {}  {:<24} {devices:>12}", step.at, step.what)?;
            let by_hardware: Vec<String> =
                step.hardware.iter().map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
            if !by_hardware.is_empty() {
                write!(f, "  ({})", by_hardware.join(", "))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nThe odds, by {} simulated rollouts of each release:", self.runs)?;
        let head = ["fails on", "halted", "after reports", "it failed on", "finished", "after days"];
        let below = ["", "", "median (95 %)", "devices, median", "", "median"];
        for [failing, halted, told, failed, finished, days] in [head, below] {
            writeln!(f, "  {failing:>8}  {halted:>8}  {told:>14}  {failed:>15}  {finished:>8}  {days:>10}")?;
        }
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        for chance in &self.odds {
            let told = chance.told_median.zip(chance.told_95);
            let told =
                told.map_or("-".into(), |(median, most)| format!("{} ({})", grouped(median), grouped(most)));
            let days = chance.days_median.map_or("-".into(), |days| format!("{days:.1}"));
            let (failing, halted) = (Share(chance.failing_ppm).to_string(), percent(chance.halted));
            let (failed, finished) = (grouped(chance.failed_median), percent(chance.finished));
            writeln!(f, "  {failing:>8}  {halted:>8}  {told:>14}  {failed:>15}  {finished:>8}  {days:>10}")?;
        }
        self.tell_waits(f)
    }
}

impl fmt::Display for PhaseWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.share == 0.0 {
            return write!(f, "-");
        }
        write!(f, "{:.1} % ", self.share * 100.0)?;
        match self.days_median {
            None => write!(f, "for good"),
            Some(days) if days < 1.0 => write!(f, "{:.0} h", days * 24.0),
            Some(days) => write!(f, "{days:.1} d"),
        }
    }
}

impl Forecast {
    /// Where gates would wait: a line for each phase, a column for each release.
    fn tell_waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases = self.odds.first().map_or(&[][..], |chance| &chance.waits);
        if phases.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\nWhere the gate keeps a phase shut past its time: in how many of them, for how long (median):"
        )?;
        write!(f, "  {:<24}", "fails on")?;
        self.odds
            .iter()
            .try_for_each(|chance| write!(f, "  {:>15}", Share(chance.failing_ppm).to_string()))?;
        for (place, PhaseWait { phase, what, .. }) in phases.iter().enumerate() {
            write!(f, "\n  {:<24}", format!("{phase}: {what}"))?;
            for wait in self.odds.iter().filter_map(|chance| chance.waits.get(place)) {
                write!(f, "  {:>15}", wait.to_string())?;
            }
        }
        let then = match self.on_deadline {
            OnDeadline::Consent => "it takes its signers: release affirm, or withdraw",
            OnDeadline::Silence => "time alone lets them have it",
        };
        writeln!(
            f,
            "\nWhat neither halts nor finishes stays at such a phase: who was let in has it, the others wait until {} after\n\
             their time; from then on {then}.",
            Span(self.max_hold_seconds)
        )
    }
}
