//! What a plan would do to a fleet: who would be admitted when, and the odds that its gate stops a bad release and lets a good
//! one pass.

use std::collections::BTreeMap;
use std::fmt;

use perennial_gate::simulate::{self, Fleet, Odds};
use perennial_schemas::Timestamp;
use perennial_schemas::rollout::{Plan, Spread, WHOLE};
use serde::Serialize;

use super::file::Share;
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
}

impl Forecast {
    /// Looks ahead.
    pub fn new(plan: &Plan, question: &Question) -> Self {
        let mut rates: Vec<u32> = RATES.into_iter().chain([question.healthy.0]).collect();
        rates.sort_unstable();
        rates.dedup();
        let chance = |failing_ppm: u32| {
            let fleet = question.fleet(failing_ppm);
            let Odds { halted, told, failed, finished, days } =
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
            }
        };
        let odds = rates.into_iter().map(chance).collect();
        Self { devices: question.devices, steps: steps(plan, question), odds, runs: question.runs }
    }
}

impl Question {
    /// The fleet of a simulation.
    pub fn fleet(&self, failing_ppm: u32) -> Fleet {
        // After `half_told_hours` hours of this rate, half are left.
        let hourly = 1.0 - 0.5_f64.powf(1.0 / self.half_told_hours.max(0.1));
        let hardware = self.hardware.values().copied().collect();
        Fleet { devices: self.devices, hardware, failing: f64::from(failing_ppm) / f64::from(WHOLE), hourly }
    }
}

/// What a plan opens, and when, in the order of time.
pub fn openings(plan: &Plan) -> Vec<Opening<'_>> {
    let early = plan.early.iter().map(|group| {
        let labels: Vec<&str> = group.labels.iter().map(|label| label.as_str()).collect();
        let what = format!("early group {}", labels.join(", "));
        Opening { at: group.not_before, what, whom: Whom::Labels(labels) }
    });
    let phases = plan.phases.iter().enumerate().map(|(i, phase)| {
        let before = if i == 0 { 0 } else { plan.phases[i - 1].share };
        let what = match (phase.spread, phase.share == before) {
            (_, true) => format!("{} are open", Share(phase.share)),
            (Spread::AtOnce, _) => format!("to {} at once", Share(phase.share)),
            (Spread::Linear, _) => format!("evenly to {}", Share(phase.share)),
        };
        Opening { at: phase.not_before, what, whom: Whom::Share(phase.share) }
    });
    let mut openings: Vec<Opening<'_>> = early.chain(phases).collect();
    openings.sort_by_key(|opening| opening.at);
    openings
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
        Ok(())
    }
}
