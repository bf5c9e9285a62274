//! What people are told of the simulation.

use std::collections::BTreeMap;

use perennial_schemas::rollout::{Admission, Hold, Wait};

use super::unit::Life;
use super::world::World;

/// Why devices took nothing newer, over the last round of polls.
#[derive(Debug, Default)]
pub struct Waits {
    before: BTreeMap<&'static str, u64>,
    now: BTreeMap<&'static str, u64>,
}

impl Waits {
    /// A new round begins.
    pub(super) fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    pub(super) fn unreachable(&mut self) {
        self.count("can't refresh");
    }

    pub(super) fn expired(&mut self) {
        self.count("think the metadata expired");
    }

    pub(super) fn note(&mut self, admission: &Admission) {
        self.count(match admission {
            Admission::Now => return,
            Admission::NotBefore { wait: Wait::Place, .. } => "wait for their turn",
            Admission::NotBefore { wait: Wait::CatchUp, .. } => "come back one after the other",
            Admission::Excluded(_) => "are left out",
            Admission::Held { hold, .. } => match hold {
                Hold::NoStatus => "have no status that counts",
                Hold::Share { .. } => "are held by a smaller share",
                Hold::Paused => "are held by a pause",
                Hold::Halted => "are held by a halt",
                Hold::HaltedHardware => "are held by a halt of their hardware",
                Hold::Unknown => "are held by an unknown state",
                Hold::NoConsent => "wait for their signers",
            },
        });
    }

    fn count(&mut self, reason: &'static str) {
        *self.now.entry(reason).or_default() += 1;
    }
}

impl World {
    /// How the fleet stands, in a few lines.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (release, offer) in self.offers.iter().enumerate() {
            let of = |hardware: usize| {
                let runs = |unit: &&super::Unit| {
                    usize::from(unit.hardware) == hardware && usize::from(unit.runs) == release + 1
                };
                self.units.iter().filter(runs).count()
            };
            let by: Vec<(usize, String)> = (0..self.makeup.hardware.len())
                .map(|number| (of(number), self.makeup.hardware[number].0.to_string()))
                .collect();
            let all: usize = by.iter().map(|(count, _)| count).sum();
            let back = self.units.iter().filter(|unit| unit.has_failed(release)).count();
            let mut line = format!("{} runs on {all}", offer.version);
            if by.len() > 1 {
                let parts: Vec<String> = by.iter().map(|(count, name)| format!("{name} {count}")).collect();
                line += &format!(" ({})", parts.join(", "));
            }
            if back > 0 {
                line += &format!(", {back} went back");
            }
            if let Some(refused) = offer.refused() {
                line += &format!("; its status doesn't count: {refused}");
            }
            lines.push(line);
        }
        let dead = self.units.iter().filter(|unit| unit.life == Life::Dead).count();
        if dead > 0 {
            lines.push(format!("{dead} devices never came back"));
        }
        lines.extend(self.server.verdicts());
        if !self.waits.before.is_empty() {
            let waits = self.waits.before.iter().map(|(reason, count)| format!("{count} {reason}"));
            lines.push(format!("of those that polled: {}", waits.collect::<Vec<_>>().join(", ")));
        }
        lines
    }
}
