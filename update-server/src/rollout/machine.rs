//! The state machine of a rollout: pure functions of the record, what the maker offers, what was counted, and the time. Each
//! change comes with its reason and with everything that the audit records. It can stop and slow down; what it opens, the plan
//! and the evidence allow.
//!
//! ```text
//!             first time comes      gate: too many failures, or a person
//! scheduled ───────────────▶ running ─────────────────────────▶ halted
//!     │  ▲                    │ ▲  │  ◀──── a person resumes ──────┘ ▲
//!     ▼  │ a person           ▼ │  ▼ gate: last phase is proved      │ gate
//!    paused ◀─────────────── paused finished ────────────────────────┘
//!
//! any ── the maker offers it no more ──▶ withdrawn ── offered again ──▶ as before
//! ```
//! Beside its state, a rollout may be halted for single hardware revisions.

use super::failing::Newest;
use super::offers::Offer;
use super::record::{Cause, Record, Resumed, State, Stopped};
use super::silence::{FEW, Silence, Untold};
use super::tallies::Codes;
use super::told::{By, change, common, judged, passed_over, with_counts};
use super::votes::Votes;
use super::watched::{set_back, watched_from};
use perennial_gate::{Counts, Evidence, Verdict, Watched, Young, bounds, judge};
use perennial_schemas::{HardwareName, Timestamp};
use std::collections::BTreeMap;

/// Who acts by a rule.
pub(super) const SERVER: &str = "server";
/// Why what was open is stopped after a restoration.
const FORGOTTEN: &str = "this server's records were restored from an older copy, which has forgotten whether it was stopped since";

/// What was counted of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// By hardware revision.
    pub votes: BTreeMap<HardwareName, Votes>,
    /// Devices of the same fleet whose time hasn't come.
    pub others: Watched,
    /// Devices began, and nobody has looked yet which of them fell silent.
    pub unheard: bool,
    /// Why the votes can't be counted, where that is so: a stop takes none.
    pub uncounted: Option<String>,
    /// What failed, where something did.
    pub codes: Codes,
    /// Devices that fell silent, those that were heard of last first; a few of each hardware revision.
    pub lost: Newest<HardwareName>,
    /// Those that began last.
    pub young: BTreeMap<HardwareName, Young>,
}

impl Counted {
    /// From votes, and from who fell silent where somebody has looked.
    pub fn new(mut votes: BTreeMap<HardwareName, Votes>, silence: Option<&Silence>) -> Self {
        let began = votes.values().any(|votes| votes.started > 0);
        let Some(Silence { began: by_hardware, others, lost }) = silence else {
            return Self { votes, unheard: began, ..Self::default() };
        };
        for (hardware, &Untold { missing, late, overdue, ripe }) in by_hardware {
            let votes = votes.entry(hardware.clone()).or_default();
            (votes.missing, votes.late, votes.overdue, votes.ripe) = (missing, late, overdue, ripe);
        }
        Self { votes, others: *others, lost: lost.clone(), ..Self::default() }
    }

    /// What the gate judges of a part of them, without what was set aside.
    pub(super) fn counts(&self, votes: &Votes, aside: &Votes) -> Counts {
        let counts = votes.counts(aside);
        Counts { unheard: self.unheard && counts.pending > 0, ..counts }
    }
}

/// What a rollout is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The release as it is offered; `None` where it isn't.
    pub offer: Option<&'a Offer>,
    /// Why its maker withdrew it, where they did.
    pub withdrawn: Option<&'a str>,
    /// What was counted.
    pub counted: &'a Counted,
}

/// A change: the record after it, and what the audit says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened, as the audit calls it.
    pub action: &'static str,
    /// Who, as the audit calls them.
    pub by: String,
    /// The record after it.
    pub record: Record,
    /// What more the audit says.
    pub detail: Vec<(&'static str, String)>,
}

impl Change {
    /// Whether the release is open for more devices by it, or might be, or counts as proved.
    pub fn opens(&self) -> bool {
        matches!(
            self.action,
            "rollout.started" | "rollout.advanced" | "rollout.finished" | "rollout.offered-again"
        )
    }

    /// Whether it is due because failures are proved to be rare.
    pub fn is_proved(&self) -> bool {
        matches!(self.action, "rollout.advanced" | "rollout.finished")
    }

    /// Whether it stops something.
    pub fn stops(&self) -> bool {
        matches!(self.action, "rollout.halted" | "rollout.stopped" | "rollout.paused" | "rollout.withdrawn")
    }

    /// Why, as the audit says it.
    pub fn reason(&self) -> &str {
        let reason = self.detail.iter().find(|(name, _)| *name == "reason");
        reason.map_or(self.record.reason.as_str(), |(_, reason)| reason)
    }
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Stop it for now.
    Pause,
    /// Stop it, for all or for one hardware revision.
    Halt(Option<HardwareName>),
    /// Let it go on, for all or for one hardware revision.
    Resume {
        /// The one; all without it.
        hardware: Option<HardwareName>,
        /// What was counted so far counts no more.
        set_aside: bool,
    },
}

/// Why a wish isn't granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The state doesn't allow it.
    #[error("the rollout is {}", .0.as_str())]
    State(State),
    /// It isn't stopped for that revision.
    #[error("the rollout isn't stopped for {0}")]
    NotStopped(HardwareName),
    /// It is stopped for that revision.
    #[error("the rollout is stopped for {0} already")]
    StoppedBefore(HardwareName),
    /// It has no part in the rollout.
    #[error("the rollout has no part for {0}")]
    Hardware(HardwareName),
    /// The evidence speaks against it.
    #[error("the evidence speaks against it: {0}")]
    Evidence(String),
    /// It was halted by evidence, and what came since is no proof that the release is good.
    #[error("it was halted by evidence, which counts until somebody sets it aside: {0}")]
    Stands(String),
    /// Its plan isn't at hand.
    #[error("no channel offers the release any more")]
    NotOffered,
}

impl Refused {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::State(State::Running) => {
                "to let it go on for a hardware revision that is stopped, name it with --hardware"
            }
            Self::State(_) => "`perennial-server rollout show` says since when, and why",
            Self::NotStopped(_) | Self::StoppedBefore(_) | Self::Hardware(_) => {
                "`perennial-server rollout show` names its hardware revisions, and those that are stopped"
            }
            Self::Evidence(_) | Self::Stands(_) => {
                "if you know why the devices failed and that it isn't the release, add --set-aside-evidence: what was counted so far counts no more, and the audit says so"
            }
            Self::NotOffered => {
                "a release that its signers withdrew never goes on, publish a new one; one that was only taken from its channel does once a channel offers it again"
            }
        }
    }
}

/// The evidence as the gate judges it: without what was set aside, and without the hardware revisions that are stopped. All that
/// take part are strata from the beginning, so that the chance of a false halt is shared out once and for all.
pub fn evidence(record: &Record, offer: &Offer, counted: &Counted) -> Evidence {
    let none = Votes::default();
    // Once few others are left, they say little.
    let before = record.others.map(|[silent, all]| Watched { silent, all });
    let others = before.filter(|_| counted.others.all < FEW).unwrap_or(counted.others);
    let mut evidence = Evidence { others, phase_since: record.phase_since, ..Evidence::default() };
    for hardware in &offer.hardware {
        let votes = counted.votes.get(hardware).unwrap_or(&none);
        let mut counts = counted.counts(votes, record.set_aside.get(hardware).unwrap_or(&none));
        counts.young = counted.young.get(hardware).copied().unwrap_or_default();
        if !record.set_aside.is_empty() {
            // A record of a version that didn't say when is judged by all that began.
            counts.young =
                record.set_aside_at.map_or_else(Young::default, |at| counts.young.since(at.unix()));
        }
        if record.stopped.contains_key(hardware) {
            counts = Counts::default();
        }
        evidence.all = evidence.all.and(&counts);
        evidence.strata.insert(hardware.clone(), counts);
    }
    evidence
}

/// The next change that is due, if one is; asked again with its record until nothing is.
pub fn step(record: &Record, facts: &Facts<'_>, now: Timestamp) -> Option<Change> {
    due(record, facts, now).map(|change| noting_the_signature(change, facts, now))
}

/// A role that was served when its release was stopped, and says that it was signed later than that, is no consent to what it
/// can't know of: clocks of signers may be ahead ([`perennial_schemas::limits::SIGNED_AHEAD_SECONDS`]).
fn noting_the_signature(mut change: Change, facts: &Facts<'_>, now: Timestamp) -> Change {
    let signed_at = facts.offer.and_then(|offer| offer.signed_at).filter(|signed| *signed > now);
    if change.stops() || change.action == "rollout.offered-again" {
        change.record.signed_before = change.record.signed_before.max(signed_at);
    }
    change
}

fn due(record: &Record, facts: &Facts<'_>, now: Timestamp) -> Option<Change> {
    match (facts.withdrawn, facts.offer) {
        (Some(why), _) => {
            return withdraw(record, &format!("its maker withdrew it: {why}"), facts.counted, now);
        }
        (None, None) => return withdraw(record, "no channel offers it any more", facts.counted, now),
        (None, Some(offer)) if record.state == State::Withdrawn => {
            return Some(offered_again(record, offer, facts.counted, now));
        }
        _ => {}
    }
    let offer = facts.offer?;
    if let Some(change) = set_back(record, offer, now) {
        return Some(change);
    }
    match record.state {
        State::Scheduled if now >= offer.first() => Some(begin(record, offer, now)),
        State::Running | State::Paused | State::Finished => {
            let evidence = evidence(record, offer, facts.counted);
            match judge(&offer.plan.gate, &evidence, now) {
                Verdict::Halt { hardware, .. } => Some(halt(record, offer, &evidence, hardware, now)),
                Verdict::GoOn if record.state == State::Running && !facts.counted.unheard => {
                    advance(record, offer, &evidence, now)
                }
                Verdict::GoOn | Verdict::Wait(_) => None,
            }
        }
        State::Scheduled | State::Halted | State::Withdrawn => None,
    }
}

/// Stops what is open by older records that were brought back: they have forgotten who stopped it since, so somebody has to look.
/// Once for each time that they were.
pub(super) fn forgotten(record: &Record, facts: &Facts<'_>, life: u32, now: Timestamp) -> Option<Change> {
    let is_open = matches!(record.state, State::Scheduled | State::Running | State::Finished);
    let is_offered = facts.offer.is_some() && facts.withdrawn.is_none();
    // A number that was never given out was written by hand, and knows nothing.
    let known = if record.life > life { 0 } else { record.life };
    if !is_open || !is_offered || known >= life {
        return None;
    }
    let mut after = to(record, State::Paused, Cause::Restored, SERVER, FORGOTTEN, now);
    after.life = life;
    let change =
        Change { action: "rollout.paused", by: SERVER.into(), detail: common(&after), record: after };
    Some(noting_the_signature(change, facts, now))
}

/// Grants a person's wish, or says why not.
///
/// # Errors
/// [`Refused`]
pub fn wish(
    record: &Record,
    facts: &Facts<'_>,
    wish: &Wish,
    by: &str,
    why: &str,
    now: Timestamp,
) -> Result<Change, Refused> {
    granted(record, facts, wish, by, why, now).map(|change| noting_the_signature(change, facts, now))
}

fn granted(
    record: &Record,
    facts: &Facts<'_>,
    wish: &Wish,
    by: &str,
    why: &str,
    now: Timestamp,
) -> Result<Change, Refused> {
    let offer = facts.offer.filter(|_| facts.withdrawn.is_none()).ok_or(Refused::NotOffered)?;
    let person = |action, record: Record, detail: Vec<(&'static str, String)>| {
        change(action, By { who: by, why }, record, detail, offer, facts.counted)
    };
    match wish {
        Wish::Pause => match record.state {
            State::Scheduled | State::Running | State::Finished => {
                Ok(person("rollout.paused", to(record, State::Paused, Cause::Person, by, why, now), vec![]))
            }
            other => Err(Refused::State(other)),
        },
        Wish::Halt(None) => match record.state {
            State::Halted | State::Withdrawn => Err(Refused::State(record.state)),
            _ => Ok(person("rollout.halted", to(record, State::Halted, Cause::Person, by, why, now), vec![])),
        },
        Wish::Halt(Some(hardware)) => {
            known(offer, hardware)?;
            if record.stopped.contains_key(hardware) {
                return Err(Refused::StoppedBefore(hardware.clone()));
            }
            if record.state == State::Withdrawn {
                return Err(Refused::State(record.state));
            }
            // Where all of it is halted, it stays so for this one when the others are let go on.
            let after = stop(record, offer, hardware, Cause::Person, by, why, now);
            let action = if record.state == State::Halted { "rollout.stopped" } else { stopped(&after) };
            Ok(person(action, after, vec![("hardware", hardware.to_string())]))
        }
        Wish::Resume { hardware, set_aside } => {
            let resumed = resume(record, offer, facts, hardware.as_ref(), *set_aside, (by, why, now))?;
            let mut detail = passed_over(record, &resumed, offer, facts.counted, *set_aside);
            detail.extend(hardware.as_ref().map(|hardware| ("hardware", hardware.to_string())));
            Ok(person("rollout.resumed", resumed, detail))
        }
    }
}

fn resume(
    record: &Record,
    offer: &Offer,
    facts: &Facts<'_>,
    hardware: Option<&HardwareName>,
    set_aside: bool,
    (by, why, now): (&str, &str, Timestamp),
) -> Result<Record, Refused> {
    let begun = now >= offer.first();
    // Halted revision by revision until none was left: those that are let go on make it go on.
    let one_by_one = record.state == State::Halted && are_all_stopped(record, offer);
    let mut after = record.clone();
    match hardware {
        Some(hardware) => {
            known(offer, hardware)?;
            after.stopped.remove(hardware).ok_or_else(|| Refused::NotStopped(hardware.clone()))?;
        }
        None if !matches!(record.state, State::Paused | State::Halted) => {
            return Err(Refused::State(record.state));
        }
        None if one_by_one => after.stopped.clear(),
        None => {}
    }
    if hardware.is_none() || one_by_one {
        let state = if begun { State::Running } else { State::Scheduled };
        after = to(&after, state, Cause::Person, by, why, now);
        after.halted_by = None;
        // While it was stopped, nobody could take it.
        if begun {
            after.phase_since = Some(watched_from(record, offer, now));
        }
    }
    let goes_on = |revision: &HardwareName| !after.stopped.contains_key(revision);
    let let_go: Vec<HardwareName> = offer
        .hardware
        .iter()
        .filter(|it| goes_on(it) && (hardware.is_none() || record.stopped.contains_key(*it)))
        .cloned()
        .collect();
    for revision in &let_go {
        let held_since = record.stopped.get(revision).map_or(record.since, |stopped| stopped.since);
        after.resumed.insert(revision.clone(), Resumed { held_since, at: now });
        if let Some(votes) = facts.counted.votes.get(revision).filter(|_| set_aside) {
            after.set_aside.insert(revision.clone(), *votes);
            after.set_aside_at = Some(now);
        }
    }
    let evidence = evidence(&after, offer, facts.counted);
    if let verdict @ Verdict::Halt { .. } = judge(&offer.plan.gate, &evidence, now) {
        return Err(Refused::Evidence(verdict.to_string()));
    }
    match against(record, &after, offer, &evidence, &let_go).filter(|_| !set_aside) {
        Some(why) => Err(Refused::Stands(why)),
        None => Ok(after),
    }
}

/// What halted by evidence what is let go on, unless what was told until now proves it good by the plan's own bound.
fn against(
    record: &Record,
    after: &Record,
    offer: &Offer,
    evidence: &Evidence,
    let_go: &[HardwareName],
) -> Option<String> {
    let is_good = |all: &Counts| {
        let bounds = bounds(&offer.plan.gate, &Evidence { all: *all, ..Evidence::default() });
        bounds.in_favour >= bounds.goes_on_at
    };
    let all = record.stands_against(None).filter(|_| record.state != after.state && !is_good(&evidence.all));
    let one = let_go.iter().find_map(|it| {
        let counts = evidence.strata.get(it).copied().unwrap_or_default();
        record.stands_against(Some(it)).filter(|_| !is_good(&counts))
    });
    one.or(all).map(str::to_owned)
}

fn are_all_stopped(record: &Record, offer: &Offer) -> bool {
    offer.hardware.iter().all(|hardware| record.stopped.contains_key(hardware))
}

fn known(offer: &Offer, hardware: &HardwareName) -> Result<(), Refused> {
    if offer.hardware.contains(hardware) { Ok(()) } else { Err(Refused::Hardware(hardware.clone())) }
}

fn withdraw(record: &Record, why: &str, counted: &Counted, now: Timestamp) -> Option<Change> {
    if record.state == State::Withdrawn {
        return None;
    }
    let mut after = to(record, State::Withdrawn, Cause::Maker, SERVER, why, now);
    after.before = Some(record.state);
    let action = "rollout.withdrawn";
    let detail = with_counts(common(&after), counted);
    Some(Change { action, by: SERVER.into(), detail, record: after })
}

/// It goes on from where it was: what was halted stays so. It counts as stopped anew, as its signers have only offered it. What
/// was set aside of votes that are there no more would hide those that come.
fn offered_again(record: &Record, offer: &Offer, counted: &Counted, now: Timestamp) -> Change {
    let state = record.before.unwrap_or(State::Scheduled);
    let mut after = to(record, state, Cause::Maker, SERVER, "it is offered again", now);
    (after.before, after.emptied) = (None, None);
    after.phase_since = record.phase_since.map(|_| watched_from(record, offer, now));
    let none = Votes::default();
    after.set_aside.retain(|hardware, aside| aside.is_part_of(counted.votes.get(hardware).unwrap_or(&none)));
    let mut detail = with_counts(common(&after), counted);
    if after.set_aside.len() < record.set_aside.len() {
        detail.push(("set_aside", "no more: those votes are gone".into()));
    }
    Change { action: "rollout.offered-again", by: SERVER.into(), detail, record: after }
}

fn begin(record: &Record, offer: &Offer, now: Timestamp) -> Change {
    let reason = format!("its first time came, {}", offer.first());
    let mut after = to(record, State::Running, Cause::Plan, SERVER, &reason, now);
    after.phase_since = Some(watched_from(record, offer, now));
    change("rollout.started", By { who: SERVER, why: &reason }, after, vec![], offer, &Counted::default())
}

fn advance(record: &Record, offer: &Offer, evidence: &Evidence, now: Timestamp) -> Option<Change> {
    let Some(next) = offer.plan.phases.get(record.phase + 1) else {
        let reason = "it is open for all, and failures are proved to be rarer than the ceiling";
        let after = to(record, State::Finished, Cause::Gate, SERVER, reason, now);
        return Some(judged("rollout.finished", after, offer, evidence, None));
    };
    if now < next.not_before {
        return None;
    }
    let mut after = record.clone();
    (after.phase, after.phase_since) = (record.phase + 1, Some(now));
    if evidence.others.all >= FEW {
        after.others = Some([evidence.others.silent, evidence.others.all]);
    }
    (after.cause, after.by) = (Cause::Gate, SERVER.into());
    after.reason =
        format!("phase {} is open: failures are proved to be rarer than the ceiling", after.phase + 1);
    Some(judged("rollout.advanced", after, offer, evidence, None))
}

fn halt(
    record: &Record,
    offer: &Offer,
    evidence: &Evidence,
    hardware: Option<HardwareName>,
    now: Timestamp,
) -> Change {
    let bad = |counts: &Counts| format!("it failed on {} of {} devices", counts.bad(), counts.told());
    match hardware {
        None => {
            let reason = format!("{}, more than the ceiling allows", bad(&evidence.all));
            let mut after = to(record, State::Halted, Cause::Gate, SERVER, &reason, now);
            after.halted_by = Some(reason);
            judged("rollout.halted", after, offer, evidence, None)
        }
        Some(hardware) => {
            let counts = evidence.strata.get(&hardware).copied().unwrap_or_default();
            let reason = format!("{} of {hardware}, more than the ceiling allows", bad(&counts));
            let after = stop(record, offer, &hardware, Cause::Gate, SERVER, &reason, now);
            judged(stopped(&after), after, offer, evidence, Some(&hardware))
        }
    }
}

/// Halts one revision; all of it, where none is left.
fn stop(
    record: &Record,
    offer: &Offer,
    hardware: &HardwareName,
    cause: Cause,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Record {
    let mut after = record.clone();
    let stopped = Stopped { since: now, cause, by: by.into(), reason: reason.into() };
    after.stopped.insert(hardware.clone(), stopped);
    if are_all_stopped(&after, offer) && record.state != State::Halted {
        return to(&after, State::Halted, cause, by, reason, now);
    }
    after
}

/// What it is called when a revision was stopped.
fn stopped(after: &Record) -> &'static str {
    if after.state == State::Halted { "rollout.halted" } else { "rollout.stopped" }
}

fn to(record: &Record, state: State, cause: Cause, by: &str, reason: &str, now: Timestamp) -> Record {
    let mut after = record.clone();
    (after.state, after.cause, after.since) = (state, cause, now);
    (after.by, after.reason) = (by.into(), reason.into());
    after
}
