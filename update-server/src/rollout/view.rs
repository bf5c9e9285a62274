//! A rollout as people and programs see it: how far it is open, what was counted, what it waits for, what stopped it, until when
//! that holds, and what may be done. It decides nothing.

use super::failing::{self, Failures, Lost};
use super::machine::{Counted, evidence};
use super::offers::Offer;
use super::record::{Cause, Record, State};
use super::status;
use super::told::rule;
use super::votes::Votes;
use perennial_gate::{Verdict, bounds, judge};
use perennial_schemas::rollout::OnDeadline;
use perennial_schemas::tuf::Role;
use perennial_schemas::{ProductName, ReleaseVersion, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The state of what can't be read.
pub(super) const UNREADABLE: &str = "unreadable";

/// One rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// The product.
    pub product: String,
    /// The release.
    pub version: String,
    /// SHA-256 of its manifest.
    pub manifest: String,
    /// `scheduled`, `running`, `paused`, `halted`, `finished`, `withdrawn`; `foreign` where its plan names another rollout key
    /// than this server's; `unreadable` for a record, a channel or a manifest that can't be read: what is known of product,
    /// version and manifest is filled in, and the rollouts stand still.
    pub state: String,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// By whom, as the audit calls them.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The channels that offer it.
    pub channels: Vec<String>,
    /// The phase that is open, from 1.
    pub phase: usize,
    /// Of so many.
    pub phases: usize,
    /// The share of the fleet that it is open for now, in parts per million, early groups apart; 0 while it is stopped. What took
    /// it before that has it: `reached_ppm`.
    pub open_ppm: u32,
    /// The share that plan and gate had opened it for, also while it is stopped.
    #[serde(default)]
    pub reached_ppm: u32,
    /// The share that the plan has come to by now.
    pub planned_ppm: u32,
    /// When the next phase may begin, at the earliest.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_phase: Option<Timestamp>,
    /// Hardware revisions for which it is halted.
    pub stopped: Vec<StoppedFor>,
    /// Devices by their votes, by hardware revision.
    pub votes: BTreeMap<String, Votes>,
    /// Nobody has looked which devices fell silent: `missing` and `ripe` among `votes` say nothing.
    #[serde(default)]
    pub missing_unknown: bool,
    /// Why the votes can't be counted, where that is so.
    #[serde(default)]
    pub uncounted: Option<String>,
    /// Of these, what was set aside.
    pub set_aside: BTreeMap<String, Votes>,
    /// What failed, by hardware revision, the most frequent first; what was set aside among it.
    #[serde(default)]
    pub failures: Vec<Failures>,
    /// Devices that began and fell silent, by hardware revision; only where one rollout is shown.
    #[serde(default)]
    pub lost: Vec<Lost>,
    /// Why neither `lost` nor the newest of `failures` can be told, where that is so.
    #[serde(default)]
    pub unnamed: Option<String>,
    /// Devices whose time hasn't come.
    pub others: Others,
    /// What the gate says now, in words; empty where it isn't asked.
    pub verdict: String,
    /// How strongly the evidence speaks.
    pub evidence: Option<Strength>,
    /// It was halted by evidence, or would be: letting it go on takes setting that aside.
    #[serde(default)]
    pub takes_words: bool,
    /// Until when devices are held, where it is stopped.
    pub hold: Option<Holds>,
    /// It is paused because records were restored, which have forgotten whether it was stopped since.
    #[serde(default)]
    pub forgotten: bool,
    /// It goes on, and devices that had been held come back until then, each after its part of the plan's `catch_up`.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub catching_up_until: Option<Timestamp>,
    /// A newer release that each device which could take this one takes in its place: that this one is stopped is no alarm any
    /// more.
    #[serde(default)]
    pub superseded_by: Option<String>,
    /// The status that devices see.
    pub status: Option<Said>,
}

/// A hardware revision for which a rollout is halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoppedFor {
    /// The revision.
    pub hardware: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Devices that were not offered the release yet: how silent they are tells what silence is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Others {
    /// Not heard of for as long as one that counts as missing.
    pub silent: u64,
    /// In all.
    pub all: u64,
}

/// How strongly the evidence speaks, beside what it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Strength {
    /// Against the release; 1 where nothing was told.
    pub against: f64,
    /// It is halted once `against` comes to this.
    pub halts_at: f64,
    /// Against it on single hardware revisions.
    pub against_by_hardware: BTreeMap<String, f64>,
    /// One revision is halted once its own comes to this.
    pub hardware_halts_at: f64,
    /// In its favour.
    pub in_favour: f64,
    /// The next phase may begin once `in_favour` comes to this.
    pub goes_on_at: f64,
    /// The gate of the plan, in words.
    pub rule: String,
}

/// Until when a stopped rollout holds devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holds {
    /// When the devices whose time came first have waited for as long as they may.
    #[schema(value_type = String, format = DateTime)]
    pub first: Timestamp,
    /// When those have whose time comes last.
    #[schema(value_type = String, format = DateTime)]
    pub last: Timestamp,
    /// When the last of them have come back: whoever was held waits a part of the plan's `catch_up` more.
    #[serde(default = "never")]
    #[schema(value_type = String, format = DateTime)]
    pub all_by: Timestamp,
    /// What lets them go then: `consent` of the signers, or `silence`, time alone.
    pub on_deadline: String,
    /// `first` is past.
    #[serde(default)]
    pub is_over: bool,
    /// The signers have signed the product again since it was stopped: once they have waited devices go on, whatever this server
    /// says.
    #[serde(default)]
    pub consent: Option<Consent>,
}

/// Signers have signed a product again after a release of it was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub signed: Timestamp,
    /// It is one for devices whose time came before that; for all, where this isn't there.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// The status that devices see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// Its number.
    pub sequence: u64,
    /// When it was signed.
    #[schema(value_type = String, format = DateTime)]
    pub issued: Timestamp,
    /// When it stops counting.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
}

impl Rollout {
    /// Of a record, with the release as it is offered, where it is.
    pub fn of(record: &Record, offer: Option<&Offer>, counted: &Counted, now: Timestamp) -> Self {
        let stopped = record.stopped.iter().map(|(hardware, stopped)| StoppedFor {
            hardware: hardware.to_string(),
            since: stopped.since,
            by: stopped.by.clone(),
            reason: stopped.reason.clone(),
        });
        let said = status::last(record).map(|last| Said {
            sequence: last.version(),
            issued: last.issued,
            expires: last.expires(),
        });
        let mut shown = Self {
            product: record.product.to_string(),
            version: record.version.to_string(),
            manifest: record.manifest.to_string(),
            state: record.state.as_str().into(),
            since: Some(record.since),
            by: record.by.clone(),
            reason: record.reason.clone(),
            channels: Vec::new(),
            phase: record.phase + 1,
            phases: record.phase + 1,
            open_ppm: 0,
            reached_ppm: 0,
            planned_ppm: 0,
            next_phase: None,
            stopped: stopped.collect(),
            votes: named(&counted.votes),
            missing_unknown: counted.unheard,
            uncounted: counted.uncounted.clone(),
            set_aside: named(&record.set_aside),
            failures: failing::failures(&counted.codes),
            lost: Vec::new(),
            unnamed: None,
            others: Others { silent: counted.others.silent, all: counted.others.all },
            verdict: String::new(),
            evidence: None,
            takes_words: false,
            hold: None,
            forgotten: record.state == State::Paused && record.cause == Cause::Restored,
            catching_up_until: None,
            superseded_by: None,
            status: said,
        };
        if let Some(offer) = offer {
            shown.add_plan(record, offer, counted, now);
        }
        shown
    }

    /// Of a release whose plan names another rollout key.
    pub fn foreign(offer: &Offer, now: Timestamp) -> Self {
        let record = Record::new(offer, now);
        let mut shown = Self::of(&record, Some(offer), &Counted::default(), now);
        (shown.state, shown.since, shown.open_ppm) = ("foreign".into(), None, 0);
        shown.reached_ppm = 0;
        shown.reason = format!("its plan names the rollout key {}, and this server has another", offer.key);
        (shown.verdict, shown.evidence) = (String::new(), None);
        shown.hold = Some(holds(offer, Timestamp::EPOCH, now));
        shown
    }

    /// Of a record, a channel or a manifest that can't be read.
    pub fn unreadable(
        name: Option<(&ProductName, Option<&ReleaseVersion>)>,
        manifest: Option<&Sha256Digest>,
        why: &str,
    ) -> Self {
        let (product, version) = name.unzip();
        Self {
            product: product.map_or(String::new(), ToString::to_string),
            version: version.flatten().map_or(String::new(), ToString::to_string),
            manifest: manifest.map_or(String::new(), ToString::to_string),
            state: UNREADABLE.into(),
            since: None,
            by: "server".into(),
            reason: why.into(),
            channels: Vec::new(),
            phase: 0,
            phases: 0,
            open_ppm: 0,
            reached_ppm: 0,
            planned_ppm: 0,
            next_phase: None,
            stopped: Vec::new(),
            votes: BTreeMap::new(),
            missing_unknown: false,
            uncounted: None,
            set_aside: BTreeMap::new(),
            failures: Vec::new(),
            lost: Vec::new(),
            unnamed: None,
            others: Others::default(),
            verdict: String::new(),
            evidence: None,
            takes_words: false,
            hold: None,
            forgotten: false,
            catching_up_until: None,
            superseded_by: None,
            status: None,
        }
    }

    /// What was counted.
    pub fn count(&mut self, counted: &Counted) {
        self.votes = named(&counted.votes);
        (self.missing_unknown, self.uncounted) = (counted.unheard, counted.uncounted.clone());
        self.failures = failing::failures(&counted.codes);
    }

    /// Something can't be read that might speak of it. What would halt it does all the same.
    pub fn stands_still(&mut self, why: &str) {
        if !self.verdict.starts_with("halt") && self.state != State::Withdrawn.as_str() {
            self.verdict = format!("it stands still until this can be read: {why}");
        }
    }

    fn add_plan(&mut self, record: &Record, offer: &Offer, counted: &Counted, now: Timestamp) {
        let planned = offer.plan.share_at(now);
        let reached = reached(record, offer, now);
        self.phases = offer.plan.phases.len();
        self.channels = offer.channels.iter().map(ToString::to_string).collect();
        (self.planned_ppm, self.open_ppm, self.reached_ppm) = (planned, reached, reached);
        self.next_phase = offer.beyond(record.phase);
        if record.state.is_stopped() {
            self.open_ppm = 0;
        }
        self.takes_words = stands_against(record, offer);
        if matches!(record.state, State::Paused | State::Halted) || !record.stopped.is_empty() {
            self.hold = Some(holds(offer, record.changed(), now));
        }
        self.catching_up_until = catching_up_until(record, offer, now);
        match &counted.uncounted {
            Some(why) => self.verdict = format!("wait until the votes can be counted: {why}"),
            None => self.add_verdict(record, offer, counted, now),
        }
    }

    fn add_verdict(&mut self, record: &Record, offer: &Offer, counted: &Counted, now: Timestamp) {
        let evidence = evidence(record, offer, counted);
        let bounds = bounds(&offer.plan.gate, &evidence);
        let by_hardware = bounds.strata.iter().map(|(hardware, it)| (hardware.to_string(), *it));
        self.evidence = Some(Strength {
            against: bounds.against,
            halts_at: bounds.halts_at,
            against_by_hardware: by_hardware.collect(),
            hardware_halts_at: bounds.stratum_halts_at,
            in_favour: bounds.in_favour,
            goes_on_at: bounds.goes_on_at,
            rule: rule(offer),
        });
        let verdict = judge(&offer.plan.gate, &evidence, now);
        self.verdict = match (record.state, &verdict) {
            (State::Scheduled | State::Withdrawn | State::Finished, _) => String::new(),
            (_, Verdict::GoOn) if counted.unheard => "wait for a look at who fell silent".into(),
            _ => verdict.to_string(),
        };
        self.takes_words |= matches!(verdict, Verdict::Halt { .. });
    }
}

/// The share that plan and gate have opened it for; of one that is stopped, until it was.
pub(super) fn reached(record: &Record, offer: &Offer, now: Timestamp) -> u32 {
    let phase = offer.plan.phases.get(record.phase).map_or(0, |phase| phase.share);
    let until = if record.state.is_stopped() { record.since.min(now) } else { now };
    offer.plan.share_at(until).min(phase)
}

/// Until when devices come back that had been held, where they still do.
fn catching_up_until(record: &Record, offer: &Offer, now: Timestamp) -> Option<Timestamp> {
    let goes_on = matches!(record.state, State::Running | State::Finished);
    let longest = offer.plan.catch_up_seconds as i64;
    let ends = record.resumed.values().map(|resumed| resumed.at.plus_seconds(longest));
    ends.max().filter(|ends| goes_on && *ends > now)
}

/// What an older server says of it.
fn never() -> Timestamp {
    Timestamp::EPOCH
}

/// What halted it by evidence, for all or for a revision, stands against it.
fn stands_against(record: &Record, offer: &Offer) -> bool {
    let mut each = offer.hardware.iter().map(|hardware| record.stands_against(Some(hardware)));
    record.stands_against(None).is_some() || each.any(|it| it.is_some())
}

/// Until when devices are held that were stopped at a time.
pub(super) fn holds(offer: &Offer, stopped: Timestamp, now: Timestamp) -> Holds {
    let longest = offer.plan.max_hold_seconds as i64;
    let on_deadline = match offer.plan.on_deadline {
        OnDeadline::Consent => "consent",
        OnDeadline::Silence => "silence",
    };
    let (first, last) = (offer.first(), offer.last());
    // As a device has it: what was signed after it was stopped, or after its hold ended, is consent, if its time had come by then.
    let signed = offer.signed_at.filter(|signed| *signed > first && *signed <= now);
    let consent = signed.filter(|_| offer.plan.on_deadline == OnDeadline::Consent).and_then(|signed| {
        let until = if signed > stopped { signed } else { signed.plus_seconds(-longest) };
        (first < until).then_some(Consent { signed, until: (until <= last).then_some(until) })
    });
    Holds {
        first: first.plus_seconds(longest),
        last: last.plus_seconds(longest),
        all_by: last.plus_seconds(longest + offer.plan.catch_up_seconds as i64),
        on_deadline: on_deadline.into(),
        is_over: first.plus_seconds(longest) <= now,
        consent,
    }
}

fn named<T: Copy>(of: &BTreeMap<perennial_schemas::HardwareName, T>) -> BTreeMap<String, T> {
    of.iter().map(|(hardware, it)| (hardware.to_string(), *it)).collect()
}
