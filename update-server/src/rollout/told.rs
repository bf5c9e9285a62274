//! What the audit says of a change: the reason that was given for it, the counts, how strongly they speak, and the rule.

use super::machine::{Change, Counted, SERVER, evidence};
use super::offers::Offer;
use super::record::Record;
use super::votes::Votes;
use perennial_gate::{Bounds, Counts, Evidence, bounds};
use perennial_schemas::HardwareName;

/// Who changes a rollout, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct By<'a> {
    /// As the audit calls them.
    pub(super) who: &'a str,
    /// In their words.
    pub(super) why: &'a str,
}

/// A change by a rule, with what it was judged by: all, or the one hardware revision.
pub(super) fn judged(
    action: &'static str,
    record: Record,
    offer: &Offer,
    evidence: &Evidence,
    hardware: Option<&HardwareName>,
) -> Change {
    let bounds = bounds(&offer.plan.gate, evidence);
    let stopped = hardware.and_then(|hardware| record.stopped.get(hardware));
    let mut detail = because(&record, stopped.map_or(record.reason.as_str(), |stopped| &stopped.reason));
    detail.extend(counts(evidence));
    detail.push(("bound", hardware.map_or_else(|| words(&bounds), |hardware| words_of(&bounds, hardware))));
    detail.push(("rule", rule(offer)));
    detail.extend(hardware.map(|hardware| ("hardware", hardware.to_string())));
    Change { action, by: SERVER.into(), record, detail }
}

/// A change by the plan or by a person, with the counts as they stand.
pub(super) fn change(
    action: &'static str,
    by: By<'_>,
    record: Record,
    mut detail: Vec<(&'static str, String)>,
    offer: &Offer,
    counted: &Counted,
) -> Change {
    detail.extend(because(&record, by.why));
    match &counted.uncounted {
        Some(why) => detail.push(("counts", format!("they can't be counted: {why}"))),
        None => detail.extend(counts(&evidence(&record, offer, counted))),
    }
    Change { action, by: by.who.into(), record, detail }
}

/// What somebody who resumes a rollout passes over: what had halted it, and what had been counted until then of those that go
/// on, with how strongly it speaks.
pub(super) fn passed_over(
    before: &Record,
    after: &Record,
    offer: &Offer,
    counted: &Counted,
    set_aside: bool,
) -> Vec<(&'static str, String)> {
    let mut detail = vec![("set_aside", if set_aside { "yes" } else { "no" }.to_owned())];
    let lifted = || before.stopped.iter().filter(|(hardware, _)| !after.stopped.contains_key(*hardware));
    let halted = before.stands_against(None).filter(|_| before.state != after.state).map(str::to_owned);
    let reasons = lifted().map(|(hardware, stopped)| format!("{hardware}: {}", stopped.reason));
    let reasons: Vec<String> = halted.into_iter().chain(reasons).collect();
    if !reasons.is_empty() {
        detail.push(("halted_for", reasons.join("; ")));
    }
    // Judged as it was, with what was stopped and goes on now.
    let mut whole = before.clone();
    whole.stopped.clone_from(&after.stopped);
    let seen = evidence(&whole, offer, counted);
    let bounds = bounds(&offer.plan.gate, &seen);
    if set_aside {
        let new = after.set_aside.keys().filter(|it| before.set_aside.get(*it) != after.set_aside.get(*it));
        let waved = new.filter_map(|it| Some(format!("{it}: {}", seen.strata.get(it)?)));
        detail.push(("counts_set_aside", waved.collect::<Vec<_>>().join("; ")));
    }
    let one = lifted().next().filter(|_| before.state == after.state);
    detail.push(("bound", one.map_or_else(|| words(&bounds), |(hardware, _)| words_of(&bounds, hardware))));
    detail
}

/// What each entry says.
pub(super) fn common(record: &Record) -> Vec<(&'static str, String)> {
    because(record, &record.reason)
}

/// The same with what was counted, where no plan is at hand: as it was told, nothing left out.
pub(super) fn with_counts(
    mut detail: Vec<(&'static str, String)>,
    counted: &Counted,
) -> Vec<(&'static str, String)> {
    let all = counted.votes.values().map(|votes| counted.counts(votes, &Votes::default()));
    detail.push(("counts", all.fold(Counts::default(), |sum, counts| sum.and(&counts)).to_string()));
    detail
}

fn because(record: &Record, reason: &str) -> Vec<(&'static str, String)> {
    let mut detail = vec![
        ("product", record.product.to_string()),
        ("version", record.version.to_string()),
        ("manifest", record.manifest.to_string()),
        ("state", record.state.as_str().to_owned()),
        ("phase", (record.phase + 1).to_string()),
        ("reason", reason.to_owned()),
    ];
    if !record.stopped.is_empty() {
        let stopped: Vec<&str> = record.stopped.keys().map(HardwareName::as_str).collect();
        detail.push(("stopped", stopped.join(", ")));
    }
    detail
}

fn counts(evidence: &Evidence) -> Vec<(&'static str, String)> {
    let by: Vec<String> = evidence
        .strata
        .iter()
        .filter(|(_, counts)| **counts != Counts::default())
        .map(|(hardware, counts)| format!("{hardware}: {counts}"))
        .collect();
    let mut detail = vec![("counts", evidence.all.to_string())];
    if evidence.strata.len() > 1 && !by.is_empty() {
        detail.push(("by_hardware", by.join("; ")));
    }
    detail
}

/// The bounds in words.
fn words(bounds: &Bounds) -> String {
    let Bounds { against, halts_at, in_favour, goes_on_at, .. } = bounds;
    format!(
        "{against:.2} against it, where {halts_at:.0} halts; {in_favour:.2} in its favour, where {goes_on_at:.0} lets it go on"
    )
}

/// The bounds of one hardware revision in words.
fn words_of(bounds: &Bounds, hardware: &HardwareName) -> String {
    let against = bounds.strata.get(hardware).copied().unwrap_or(1.0);
    let Bounds { stratum_halts_at, .. } = bounds;
    format!(
        "{against:.2} against it on {hardware}, where {stratum_halts_at:.0} halts that revision; of all: {}",
        words(bounds)
    )
}

/// The rule of a plan's gate in words.
pub(super) fn rule(offer: &Offer) -> String {
    let gate = &offer.plan.gate;
    let percent = |ppm: u32| f64::from(ppm) / 10_000.0;
    format!(
        "ceiling {} %, alpha {} %, beta {} %, at least {} devices and {}",
        percent(gate.ceiling_ppm),
        percent(gate.alpha_ppm),
        percent(gate.beta_ppm),
        gate.least_sample,
        span(gate.least_soak_seconds)
    )
}

/// A span in its largest whole unit.
fn span(seconds: u64) -> String {
    let units = [(3600, "hour"), (60, "minute"), (1, "second")];
    let whole = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (count, unit) = whole.map_or((0, "hours"), |(unit, name)| (seconds / unit, name));
    match count {
        0 => "0 hours".into(),
        1 => format!("1 {unit}"),
        _ => format!("{count} {unit}s"),
    }
}
