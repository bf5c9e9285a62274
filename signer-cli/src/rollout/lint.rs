//! What is unwise about a plan. A plan that can't be is refused when it is read; most of these are things that a maker may have
//! good reasons for, and one is a slip that no release is proposed with.

use std::fmt;

use perennial_gate::evidence::least_without_failure;
use perennial_schemas::Timestamp;
use perennial_schemas::rollout::{OnDeadline, Plan, Spread, WHOLE};
use serde::Serialize;

use super::file::Share;

/// The largest first phase, and the largest step at once, that still leave something to learn.
const FIRST: u32 = WHOLE / 5;
const STEP: u32 = WHOLE / 2;

/// The rule of a plan that is open for everybody by now.
pub const OVER: &str = "over";

/// Something unwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Its own name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
    /// What to do.
    pub todo: &'static str,
}

/// How bad a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No release is proposed with it.
    Error,
    /// A maker may have good reasons for it.
    Warning,
}

/// Looks a plan over, for a fleet of so many devices where that is known.
pub fn remarks(plan: &Plan, devices: Option<u64>, now: Timestamp) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let first = &plan.phases[0];
    remarks.extend(over(plan, now));
    let mut say =
        |rule, what: String, todo| remarks.push(Remark { rule, severity: Severity::Warning, what, todo });
    if plan.on_deadline == OnDeadline::Silence {
        say(
            "silence",
            "time alone ends a hold: a release that was halted is installed all the same, if nobody withdraws it".into(),
            "use on_deadline = \"consent\", unless the release's absence is worse than its failure",
        );
    }
    if first.not_before < now && plan.share_at(now) < WHOLE {
        say(
            "past",
            format!("its first phase began at {}, which is past", first.not_before),
            "set start to the time at which the release is published",
        );
    }
    if first.share > FIRST {
        say(
            "first-phase",
            format!(
                "its first phase opens for {} of all devices before anything is learnt",
                Share(first.share)
            ),
            "begin with a few percent, or with an early group",
        );
    }
    for (before, phase) in plan.phases.iter().zip(&plan.phases[1..]) {
        if phase.spread == Spread::AtOnce && phase.share - before.share > STEP {
            say(
                "step",
                format!(
                    "{} of all devices come at one moment, at {}",
                    Share(phase.share - before.share),
                    phase.not_before
                ),
                "spread that phase: spread = \"linear\", with a phase of the same share at its end",
            );
        }
    }
    if let Some(short) = shorter_than_the_soak(plan) {
        say(
            "soak",
            format!(
                "the phase that begins at {} is over before it has been watched for {} s, so the next one comes late",
                plan.phases[short].not_before, plan.gate.least_soak_seconds
            ),
            "let each phase last longer than gate.least_soak",
        );
    }
    if let Some(small) = devices.and_then(|devices| too_small_for_proof(plan, devices)) {
        let (phase, has, needs) = small;
        say(
            "proof",
            format!(
                "{has} {} open in the phase that begins at {}, and even without any failure it takes {needs} to show that \
                 failures are rarer than the ceiling: from there on nobody comes but by consent, after hold.longest",
                if has == 1 { "device is" } else { "devices are" },
                plan.phases[phase].not_before
            ),
            "give that phase a larger share, or raise gate.ceiling or gate.beta",
        );
    }
    if plan.max_hold_seconds < 2 * plan.status_max_age_seconds {
        say(
            "hold",
            "a server that is down for a day or two is as good as a rollout without a server".into(),
            "let hold.longest be several times hold.status_max_age",
        );
    }
    if plan.catch_up_seconds < 3600 {
        say(
            "stampede",
            "devices that were held come back within less than an hour".into(),
            "let hold.catch_up be as long as a phase",
        );
    }
    remarks
}

/// That a plan is open for everybody by now, where it is.
pub fn over(plan: &Plan, now: Timestamp) -> Option<Remark> {
    if plan.share_at(now) < WHOLE {
        return None;
    }
    let last = &plan.phases[plan.phases.len() - 1];
    let all = plan.phases.iter().find(|phase| phase.share == WHOLE).unwrap_or(last).not_before;
    let which = if last.not_before <= now && plan.phases.len() > 1 {
        format!("its last phase began at {}", last.not_before)
    } else {
        format!("it opens for everybody at {all}")
    };
    let what = format!("{which}, which is past: every device would get the release at once");
    let todo = "set start to the time at which the release is published, with phases; is it really to go to everybody at once, say --everybody-at-once when you propose it";
    Some(Remark { rule: OVER, severity: Severity::Error, what, todo })
}

/// The same of a plan that had stages when its release was made: they went by while it was signed.
pub fn overtaken(plan: &Plan, made: Timestamp, now: Timestamp) -> Option<Remark> {
    let had_stages = plan.phases[0].share < WHOLE && plan.share_at(made) < WHOLE;
    over(plan, now).filter(|_| had_stages)
}

fn shorter_than_the_soak(plan: &Plan) -> Option<usize> {
    let lasts =
        |pair: &[perennial_schemas::rollout::Phase]| pair[1].not_before.unix() - pair[0].not_before.unix();
    // A last phase of the same share only ends a linear one.
    plan.phases
        .windows(2)
        .position(|pair| (lasts(pair) as u64) < plan.gate.least_soak_seconds && pair[0].share < WHOLE)
}

/// The first phase that can't be passed by evidence: which, how many devices are open in it, and how many it takes.
fn too_small_for_proof(plan: &Plan, devices: u64) -> Option<(usize, u64, u64)> {
    let ppm = |value: u32| f64::from(value) / f64::from(WHOLE);
    let proof = least_without_failure(ppm(plan.gate.ceiling_ppm), ppm(plan.gate.beta_ppm));
    let needs = proof.max(plan.gate.least_sample.into());
    let open = |share: u32| (u128::from(devices) * u128::from(share) / u128::from(WHOLE)) as u64;
    let goes_on = plan.phases.windows(2).enumerate().filter(|(_, pair)| pair[0].share < pair[1].share);
    goes_on.map(|(i, pair)| (i, open(pair[0].share), needs)).find(|(_, has, needs)| has < needs)
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = if self.severity == Severity::Error { "error, " } else { "" };
        write!(f, "{error}{}: {}\n  -> {}", self.rule, self.what, self.todo)
    }
}
