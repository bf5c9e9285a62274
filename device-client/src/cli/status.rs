//! `status` and `history`: what this device knows of itself. They only read, so they work while the agent does.

use std::fmt;

use perennial_device_core::journal::{Content, FailedDelta, FailedRelease, Journal, RefusedStatus, Said};
use perennial_device_core::plan::Source;
use perennial_device_core::port::{BootControl, BootFlag, BootStatus, Counter, Loaded, Record, Slot, Store};
use perennial_device_core::report::Entry;
use perennial_device_core::support::{Distrust, Floors, SupportEvent};
use perennial_device_core::trust::TrustState;
use perennial_schemas::report::{FailureCode, Outcome};
use perennial_schemas::support::OnDevice;
use perennial_schemas::{Date, ReleaseVersion, Timestamp};
use serde::Serialize;

use super::recalled::Withdrawn;
use super::support::write_standing;
use super::{CliError, Io};
use crate::boot::FileBoot;
use crate::config::Config;
use crate::counter::FileCounter;
use crate::store::FileStore;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What this device knows of itself.
#[derive(Debug, Serialize)]
struct Status {
    device: String,
    product: String,
    hardware: String,
    channel: String,
    server: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<Release>,
    /// What is running can't be said: the journal is lost, or can't be read.
    #[serde(skip)]
    unknown: bool,
    /// That what runs was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<Withdrawn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Release>,
    /// The other slot, where the boot loader thinks it good and this agent didn't write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    factory_fallback: Option<Slot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    booted: Option<Slot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_boot: Option<Slot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anti_rollback_counter: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_updates_until: Option<Date>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vulnerability_contacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    support: Option<OnDevice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_decision: Option<Said>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postponed_until: Option<Timestamp>,
    /// A rollout status that the last check has refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_status: Option<RefusedStatus>,
    failed: Vec<FailedRelease>,
    /// Releases that are taken from their full payloads, since their deltas failed here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_deltas: Vec<FailedDelta>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_root: Option<u64>,
    /// Metadata that is offered, and refused as not its signers'.
    alarms: Vec<Distrust>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Update {
    version: ReleaseVersion,
    slot: Slot,
    /// Bytes of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<u64>,
    /// The release that the delta starts from, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_from: Option<ReleaseVersion>,
}

#[derive(Debug, Serialize)]
struct Release {
    version: ReleaseVersion,
    security_version: u32,
    slot: Slot,
}

pub(super) fn status(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let status = look(config, io.now());
    io.report(arguments.json, &status)?;
    Ok(0)
}

pub(super) fn history(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut store = FileStore::read_only(&config.state, &config.marker);
    let mut problems = Vec::new();
    let journal = journal(&mut store, &mut problems);
    if let Some(problem) = problems.first() {
        return Err(CliError::new(problem, crate::agent::advice(FailureCode::TrustStateLost)));
    }
    let refused = journal.as_ref().and_then(|journal| journal.refused_status.clone());
    let releases = journal.map(|journal| journal.reports.history().to_vec()).unwrap_or_default();
    // Floors that can't be read are `status`'s to tell.
    let floors = floors(&mut store, &mut problems).unwrap_or_default();
    let mut lines: Vec<Line> = releases.into_iter().map(Line::Release).collect();
    lines.extend(floors.watch().events().iter().cloned().map(Line::Support));
    let attempts = floors.distrust().iter().filter(|attempt| attempt.is_alarming());
    lines.extend(attempts.flat_map(Metadata::lines).map(Line::Metadata));
    lines.extend(refused.map(Line::Rollout));
    lines.sort_by_key(Line::at);
    io.report(arguments.json, &History(lines))?;
    Ok(0)
}

fn look(config: &Config, now: Timestamp) -> Status {
    let mut problems = Vec::new();
    let mut store = FileStore::read_only(&config.state, &config.marker);
    let journal = journal(&mut store, &mut problems);
    let unknown = !problems.is_empty();
    let floors = floors(&mut store, &mut problems);
    let trust = trust(&mut store, &mut problems);
    let booted = note(config.booted().slot(), &mut problems);
    let boot: Option<BootStatus> = note(FileBoot::new(&config.boot.control).status(), &mut problems);
    let counter = note(FileCounter::new(&config.boot.counter).read(), &mut problems);
    let release = |slot: Slot| {
        let Content { version, security_version, .. } = journal.as_ref()?.content(slot)?.clone();
        Some(Release { version, security_version, slot })
    };
    let plan = journal.as_ref().and_then(|journal| journal.plan.as_ref());
    let annulments = trust.as_ref().map(|trust| trust.root().annulments.as_slice()).unwrap_or_default();
    let cohort = config.cohort.as_ref();
    let open = |attempt: &&Distrust| attempt.is_alarming() && attempt.over.is_none();
    let alarms = floors.iter().flat_map(Floors::distrust).filter(open).cloned().collect();
    let support = floors.as_ref().and_then(|floors| floors.on_device(annulments, cohort, now));
    Status {
        device: config.id.to_string(),
        product: config.product.to_string(),
        hardware: config.hardware.to_string(),
        channel: config.channel.to_string(),
        server: config.server.clone(),
        state: journal.as_ref().map_or("idle", |journal| journal.state.name()),
        update: plan.map(|plan| Update {
            version: plan.version.clone(),
            slot: plan.slot,
            download: plan.source.as_ref().map(|source| source.payload_length),
            delta_from: plan.source.as_ref().and_then(Source::delta).map(|(base, _)| base.version.clone()),
        }),
        running: booted.and_then(release),
        withdrawn: Withdrawn::look(config),
        other: booted.and_then(|slot| release(slot.other())),
        unknown,
        factory_fallback: booted.map(Slot::other).filter(|other| {
            !unknown
                && release(*other).is_none()
                && boot.is_some_and(|boot| boot.of(*other) == BootFlag::Good)
        }),
        booted,
        next_boot: boot.map(|boot| boot.next),
        anti_rollback_counter: counter,
        security_updates_until: match &support {
            Some(said) => Some(said.guaranteed_until),
            None => floors.as_ref().and_then(Floors::guaranteed_until),
        },
        vulnerability_contacts: support.as_ref().map(|said| said.contacts.clone()).unwrap_or_default(),
        support,
        last_decision: journal.as_ref().and_then(|journal| journal.said.clone()),
        postponed_until: journal
            .as_ref()
            .and_then(|journal| journal.postponed_until)
            .filter(|until| *until > now),
        refused_status: journal
            .as_ref()
            .and_then(|journal| journal.refused_status.clone())
            .filter(|refused| refused.over.is_none()),
        failed_deltas: journal.as_ref().map(|journal| journal.failed_deltas.clone()).unwrap_or_default(),
        failed: journal.map(|journal| journal.failed).unwrap_or_default(),
        trusted_root: trust.map(|trust| trust.floors().root),
        alarms,
        problems,
    }
}

fn note<T, E: fmt::Display>(result: Result<T, E>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| problems.push(error.to_string())).ok()
}

/// The record's bytes; `None` where there never was one, or where it is lost and that was noted.
fn record(store: &mut FileStore, record: Record, problems: &mut Vec<String>) -> Option<Vec<u8>> {
    match note(store.load(record), problems)? {
        Loaded::Found(bytes) => Some(bytes),
        Loaded::New => None,
        Loaded::Lost => {
            problems.push(format!("the {record} record is lost"));
            None
        }
    }
}

pub(super) fn journal(store: &mut FileStore, problems: &mut Vec<String>) -> Option<Journal> {
    let bytes = record(store, Record::Journal, problems)?;
    note(Journal::decode(&bytes), problems)
}

pub(super) fn floors(store: &mut FileStore, problems: &mut Vec<String>) -> Option<Floors> {
    let bytes = record(store, Record::Floors, problems)?;
    note(Floors::decode(&bytes), problems)
}

pub(super) fn trust(store: &mut FileStore, problems: &mut Vec<String>) -> Option<TrustState> {
    let bytes = record(store, Record::Trust, problems)?;
    note(TrustState::decode(&bytes), problems)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, product, hardware, channel, .. } = self;
        writeln!(f, "Device:    {device}, a {product} {hardware}, channel {channel}")?;
        match (&self.running, self.booted) {
            (Some(running), _) => writeln!(f, "Running:   {running}")?,
            (None, Some(slot)) if self.unknown => {
                writeln!(f, "Running:   unknown, in slot {slot}; perennial-device recover begins again")?
            }
            (None, Some(slot)) => writeln!(f, "Running:   an image from the factory, in slot {slot}")?,
            (None, None) => writeln!(f, "Running:   unknown")?,
        }
        if let Some(withdrawn) = &self.withdrawn {
            writeln!(f, "Recalled:  {withdrawn}")?;
        }
        match (&self.other, self.factory_fallback) {
            (Some(other), _) => writeln!(f, "Fallback:  {other}")?,
            (None, Some(slot)) => writeln!(f, "Fallback:  an image from the factory, in slot {slot}")?,
            (None, None) if self.unknown => writeln!(f, "Fallback:  unknown")?,
            (None, None) => writeln!(f, "Fallback:  none yet")?,
        }
        match (&self.support, self.security_updates_until) {
            (Some(said), _) => write_standing(f, said)?,
            (None, Some(until)) => {
                let until = until.in_words();
                writeln!(
                    f,
                    "Support:   promised until {until}, in a record that was lost; check asks for it"
                )?;
            }
            (None, None) => writeln!(f, "Support:   nothing is known yet; perennial-device check asks")?,
        }
        if !self.vulnerability_contacts.is_empty() {
            writeln!(f, "Security:  report problems to {}", self.vulnerability_contacts.join(", "))?;
        }
        match (&self.update, &self.last_decision) {
            (Some(update), _) => {
                let delta = update.delta_from.as_ref().map(|from| format!(", by a delta from {from}"));
                let Update { version, slot, .. } = update;
                writeln!(
                    f,
                    "Update:    {version} is {} (slot {slot}){}",
                    self.state,
                    delta.unwrap_or_default()
                )?
            }
            (None, Some(said)) => writeln!(f, "Update:    {} (said first at {})", said.text, said.since)?,
            (None, None) => writeln!(f, "Update:    not looked for yet")?,
        }
        if let Some(until) = self.postponed_until {
            writeln!(f, "Put off:   until {until}, or as long as the maker lets you")?;
        }
        for failed in &self.failed {
            write!(f, "Failed:    {}", failed.version)?;
            if let Some(code) = failed.code {
                write!(f, " (code {})", code.number())?;
            }
            match failed.again {
                Some(again) => writeln!(f, ", not again before {again}")?,
                None => writeln!(f, ", not again unless you say so (update --retry-failed)")?,
            }
        }
        for FailedDelta { version, code, .. } in &self.failed_deltas {
            let code = code.number();
            writeln!(f, "Delta:     none for {version} (code {code}): its full payload is taken")?;
        }
        writeln!(f, "Server:    {}", self.server)?;
        if let Some(RefusedStatus { at, version, why, .. }) = &self.refused_status {
            writeln!(f, "Refused:   since {at} a rollout status of {version}: {why}")?;
        }
        for Distrust { since, code, why, .. } in &self.alarms {
            let code = code.number();
            writeln!(
                f,
                "ALARM:     since {since} metadata is offered that is not trusted (code {code}): {why}"
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "Problem:   {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in slot {}, security version {}", self.version, self.slot, self.security_version)
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct History(Vec<Line>);

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Line {
    Release(Entry),
    Support(SupportEvent),
    Metadata(Metadata),
    Rollout(RefusedStatus),
}

/// Metadata that was refused, and the end of that.
#[derive(Debug, Serialize)]
struct Metadata {
    at: Timestamp,
    metadata: &'static str,
    code: FailureCode,
    text: String,
}

impl Metadata {
    fn lines(attempt: &Distrust) -> impl Iterator<Item = Self> {
        let Distrust { since, code, why, over, .. } = attempt.clone();
        let refused = Self { at: since, metadata: "refused", code, text: why };
        let text = "good metadata followed what was refused".into();
        let good = over.map(|at| Self { at, metadata: "good", code, text });
        std::iter::once(refused).chain(good)
    }
}

impl Line {
    fn at(&self) -> Timestamp {
        match self {
            Self::Release(entry) => entry.at,
            Self::Support(event) => event.at,
            Self::Metadata(metadata) => metadata.at,
            Self::Rollout(refused) => refused.at,
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "Nothing has happened yet.");
        }
        for line in &self.0 {
            let entry = match line {
                Line::Release(entry) => entry,
                Line::Support(SupportEvent { at, text, code, .. }) => {
                    let code = code.map_or(String::new(), |code| format!(" (code {})", code.number()));
                    writeln!(f, "{at}  {:<12} {text}{code}", "support")?;
                    continue;
                }
                Line::Rollout(RefusedStatus { at, version, why, .. }) => {
                    writeln!(f, "{at}  {:<12} a status of {version} was refused: {why}", "rollout")?;
                    continue;
                }
                Line::Metadata(Metadata { at, metadata, code, text }) => {
                    writeln!(f, "{at}  {:<12} {metadata} (code {}): {text}", "metadata", code.number())?;
                    continue;
                }
            };
            let what = match entry.outcome {
                Outcome::Started => "begun",
                Outcome::Installed => "installed",
                Outcome::Confirmed => "confirmed",
                Outcome::Failed => "not installed",
                Outcome::RolledBack => "fell back",
                Outcome::DeltaFailed => "no delta",
                Outcome::Unknown => "unknown",
            };
            write!(f, "{}  {:<12} {what}", entry.at, entry.version.as_str())?;
            if let Some(code) = entry.failure {
                write!(f, " (code {})", code.number())?;
            }
            if !entry.detail.is_empty() {
                write!(f, ": {}", entry.detail)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
