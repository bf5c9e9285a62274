//! A rollout as people and programs see it: how far it is open, what was counted, what it waits for, what stopped it, until when
//! that holds, and what may be done. It decides nothing.

use super::machine::{Counted, evidence};
use super::offers::Offer;
use super::record::{Record, State};
use super::status;
use super::told::rule;
use super::votes::Votes;
use perennial_gate::{Verdict, bounds, judge};
use perennial_schemas::rollout::{OnDeadline, WHOLE};
use perennial_schemas::tuf::Role;
use perennial_schemas::{ProductName, ReleaseVersion, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The state of what can't be read.
const UNREADABLE: &str = "unreadable";

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
    /// The share of the fleet that it is open for now, in parts per million, early groups apart.
    pub open_ppm: u32,
    /// The share that the plan has come to by now.
    pub planned_ppm: u32,
    /// When the next phase may begin, at the earliest.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_phase: Option<Timestamp>,
    /// Hardware revisions for which it is halted.
    pub stopped: Vec<StoppedFor>,
    /// Devices by their votes, by hardware revision.
    pub votes: BTreeMap<String, Votes>,
    /// Of these, what was set aside.
    pub set_aside: BTreeMap<String, Votes>,
    /// Devices whose time hasn't come.
    pub others: Others,
    /// What the gate says now, in words; empty where it isn't asked.
    pub verdict: String,
    /// How strongly the evidence speaks.
    pub evidence: Option<Strength>,
    /// Until when devices are held, where it is stopped.
    pub hold: Option<Holds>,
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
    /// What lets them go then: `consent` of the signers, or `silence`, time alone.
    pub on_deadline: String,
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
            planned_ppm: 0,
            next_phase: None,
            stopped: stopped.collect(),
            votes: named(&counted.votes),
            set_aside: named(&record.set_aside),
            others: Others { silent: counted.others.silent, all: counted.others.all },
            verdict: String::new(),
            evidence: None,
            hold: None,
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
        shown.reason = format!("its plan names the rollout key {}, and this server has another", offer.key);
        (shown.verdict, shown.evidence) = (String::new(), None);
        shown.hold = Some(holds(offer));
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
            planned_ppm: 0,
            next_phase: None,
            stopped: Vec::new(),
            votes: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            others: Others::default(),
            verdict: String::new(),
            evidence: None,
            hold: None,
            status: None,
        }
    }

    /// Something can't be read that might speak of it. What would halt it does all the same.
    pub fn stands_still(&mut self, why: &str) {
        if !self.verdict.starts_with("halt") && self.state != State::Withdrawn.as_str() {
            self.verdict = format!("it stands still until this can be read: {why}");
        }
    }

    fn add_plan(&mut self, record: &Record, offer: &Offer, counted: &Counted, now: Timestamp) {
        let phase = offer.plan.phases.get(record.phase).map_or(0, |phase| phase.share);
        let planned = offer.plan.share_at(now);
        self.phases = offer.plan.phases.len();
        self.channels = offer.channels.iter().map(ToString::to_string).collect();
        (self.planned_ppm, self.open_ppm) = (planned, planned.min(phase));
        self.next_phase = offer.beyond(record.phase);
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
        if matches!(record.state, State::Paused | State::Halted | State::Withdrawn) {
            self.open_ppm = 0;
        }
        if matches!(record.state, State::Paused | State::Halted) || !record.stopped.is_empty() {
            self.hold = Some(holds(offer));
        }
    }

    /// What somebody must look at, in one line with what to do; `None` where nothing has to be done.
    pub fn alarm(&self) -> Option<(&'static str, String, String)> {
        let name = format!("{} {}", self.product, self.version);
        let until = self.hold.as_ref().map_or(String::new(), |hold| {
            let how = if hold.on_deadline == "silence" { "by itself" } else { "once its signers affirm it" };
            format!("; from {} on it goes on {how}", hold.first)
        });
        match self.state.as_str() {
            "halted" => {
                let what = format!("the rollout of {name} is halted: {}{until}", self.reason);
                Some(("rollout_halted", what, self.remedy()))
            }
            "foreign" => {
                let what = format!("the rollout of {name} can't be opened by this server: {}", self.reason);
                let hint = "have its signers publish a plan with this server's key, STATE/keys/rollout.pub.json; or bring the other server back".into();
                Some(("rollout_key", what, hint))
            }
            UNREADABLE => {
                let what = format!("rollouts stand still: {}", self.reason);
                let hint = "perennial-server store check names what is damaged; bring the state back from a backup, or ingest the bundle again";
                Some(("rollout_damaged", what, hint.into()))
            }
            "withdrawn" => None,
            _ if !self.stopped.is_empty() => {
                let which: Vec<&str> = self.stopped.iter().map(|it| it.hardware.as_str()).collect();
                let what = format!("the rollout of {name} is halted for {}{until}", which.join(", "));
                Some(("rollout_halted", what, self.remedy()))
            }
            _ => None,
        }
    }

    /// What to do about a halt.
    fn remedy(&self) -> String {
        let Self { product, version, .. } = self;
        format!(
            "if the release is bad, its signers withdraw it: perennial-signer withdraw {product} {version}; if it isn't: perennial-server rollout explain {product} {version}"
        )
    }

    /// Everything that there is to say, in sentences.
    pub fn sentences(&self) -> Vec<String> {
        let Self { product, version, state, reason, .. } = self;
        if state == UNREADABLE {
            return self.alarm().into_iter().flat_map(|(_, what, hint)| [what, hint]).collect();
        }
        let by = if self.by == "server" { String::new() } else { format!(" by {}", self.by) };
        let since = self.since.map_or(String::new(), |since| format!(" since {since}{by}"));
        let mut out = vec![format!("{product} {version} is {state}{since}: {reason}.")];
        for stopped in &self.stopped {
            let StoppedFor { hardware, since, reason, .. } = stopped;
            out.push(format!("It is halted for {hardware} since {since}: {reason}."));
        }
        if self.state == "withdrawn" {
            return out;
        }
        out.push(format!(
            "It is open for {} of the fleet, in phase {} of {}; the plan has come to {}.",
            percent(self.open_ppm),
            self.phase,
            self.phases,
            percent(self.planned_ppm)
        ));
        let mut all = Votes::default();
        self.votes.values().for_each(|votes| all += *votes);
        let Votes { started, confirmed, failed, rolled_back, missing, .. } = all;
        out.push(format!(
            "Devices: {confirmed} confirmed, {failed} failed, {rolled_back} rolled back, {started} began and have not told more ({missing} of them missing)."
        ));
        if !self.set_aside.is_empty() {
            out.push("What was counted before somebody set it aside counts no more.".into());
        }
        match (self.state.as_str(), self.next_phase) {
            ("running", Some(next)) => {
                out.push(format!("Phase {} may begin from {next} on: {}.", self.phase + 1, self.verdict));
            }
            ("running", None) => out.push(format!("To the end: {}.", self.verdict)),
            ("paused" | "halted", _) if self.verdict.starts_with("halt") => {
                out.push(format!("The evidence says: {}.", self.verdict));
            }
            _ => {}
        }
        out.extend(self.what_may_be_done());
        out
    }

    fn what_may_be_done(&self) -> Vec<String> {
        let Self { product, version, .. } = self;
        let Some(hold) = &self.hold else { return Vec::new() };
        let mut out = vec![match hold.on_deadline.as_str() {
            "silence" => format!(
                "Devices that wait go on by themselves, the first at {}, the last at {}, as its signers planned.",
                hold.first, hold.last
            ),
            _ => format!(
                "Devices wait; from {} (the first) to {} (the last) they go on if its signers have signed the product again since: perennial-signer release affirm {product} {version}.",
                hold.first, hold.last
            ),
        }];
        let bad = "halt";
        match self.state.as_str() {
            "foreign" => {}
            "paused" => {
                out.push(format!("To let it go on: perennial-server rollout resume {product} {version}."));
            }
            _ => {
                let aside = if self.verdict.starts_with(bad) { " --set-aside-evidence" } else { "" };
                let hardware = if self.state == "halted" { "" } else { " --hardware REVISION" };
                out.push(format!(
                    "If the release is bad: perennial-signer withdraw {product} {version}. If it isn't: perennial-server rollout resume {product} {version}{hardware}{aside}."
                ));
            }
        }
        out
    }

    /// One line of a list.
    pub fn line(&self) -> String {
        if self.state == UNREADABLE {
            let name = [&self.product, &self.version].map(|it| if it.is_empty() { "?" } else { it });
            return format!("{} {}  {UNREADABLE}: {}", name[0], name[1], self.reason);
        }
        let mut all = Votes::default();
        self.votes.values().for_each(|votes| all += *votes);
        let stopped: Vec<&str> = self.stopped.iter().map(|it| it.hardware.as_str()).collect();
        let stopped =
            if stopped.is_empty() { String::new() } else { format!("  [halted for {}]", stopped.join(", ")) };
        format!(
            "{} {}  {}  open {} (plan {}), phase {} of {}  {} good, {} bad, {} missing{stopped}",
            self.product,
            self.version,
            self.state,
            percent(self.open_ppm),
            percent(self.planned_ppm),
            self.phase,
            self.phases,
            all.confirmed,
            all.failed + all.rolled_back,
            all.missing,
        )
    }
}

fn holds(offer: &Offer) -> Holds {
    let longest = offer.plan.max_hold_seconds as i64;
    let on_deadline = match offer.plan.on_deadline {
        OnDeadline::Consent => "consent",
        OnDeadline::Silence => "silence",
    };
    Holds {
        first: offer.first().plus_seconds(longest),
        last: offer.last().plus_seconds(longest),
        on_deadline: on_deadline.into(),
    }
}

fn named<T: Copy>(of: &BTreeMap<perennial_schemas::HardwareName, T>) -> BTreeMap<String, T> {
    of.iter().map(|(hardware, it)| (hardware.to_string(), *it)).collect()
}

/// A share in percent, without needless zeros.
pub fn percent(ppm: u32) -> String {
    let ppm = ppm.min(WHOLE);
    let parts = format!("{:04}", ppm % 10_000);
    let parts = parts.trim_end_matches('0');
    format!("{}{}{parts} %", ppm / 10_000, if parts.is_empty() { "" } else { "." })
}
