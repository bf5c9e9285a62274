//! `enrol`, `report`, `data`, `erase` and `consent`: the owner's and the factory's words to the fleet plane. All but
//! `report` also work while an agent runs.

use std::fmt;
use std::path::{Path, PathBuf};

use perennial_device_core::fleet::{FleetError, Gone, Told};
use perennial_device_core::port::PortError;
use perennial_schemas::fleet::{DeviceId, Erasure, QueueAnswer, RefusalCode};
use perennial_schemas::limits::ACKNOWLEDGED_LENGTH;
use perennial_schemas::report::FailureCode;
use perennial_schemas::{Json, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{CliError, Io, common};
use crate::agent::{advice, identity};
use crate::config::Config;
use crate::files::read_limited;
use crate::fleet::{FleetAgent, FleetProblem, Snapshot};
use crate::http::Proxies;

/// Pages of what a server holds on a device, of some hundred reports each: as many as a server with the rates that it has
/// unless configured answers at once. Where there are more, the last line but one says so (`next`).
const DATA_PAGES: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReportArguments {
    /// Send nothing: print what is left, signed, for a gateway to carry (one entry of a batch's queues).
    #[arg(long, conflicts_with = "answered")]
    sign: bool,
    /// Send nothing: take what the gateway brought back (one entry of the batch's answers, as JSON).
    #[arg(long, value_name = "FILE")]
    answered: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct EraseArguments {
    /// Yes, erase it.
    #[arg(long)]
    yes: bool,
    /// Print the receipt as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ConsentArguments {
    /// give or withdraw.
    #[arg(value_enum)]
    consent: Consent,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Consent {
    /// What is optional may be told.
    Give,
    /// It is told no longer, and what the server has of it goes with the next check-in.
    Withdraw,
}

#[derive(Debug, Serialize)]
struct Enrolled {
    device: DeviceId,
    epoch: u32,
    renew_after: Timestamp,
}

#[derive(Debug, Serialize)]
struct Reported {
    sent: usize,
    acknowledged: u64,
    checked_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolled: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Consented {
    consent: bool,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Receipt {
    Now(Erasure),
    Before { erased: &'static str },
}

pub(super) fn enrol(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let now = io.now();
    let enrolled = agent(config, io)?.with(|fleet| fleet.enrol(now)).map_err(|error| problem(&error))?;
    let member = enrolled.map_err(|error| failed(&error))?;
    let report = Enrolled { device: member.device, epoch: member.epoch, renew_after: member.renew_after };
    io.report(arguments.json, &report).map(|()| 0)
}

pub(super) fn report(arguments: &ReportArguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut agent = agent(config, io)?;
    let now = io.now();
    let mut adapters = common::open(config, io)?;
    let mut quiet = |_: perennial_device_core::run::Notice<'_>| {};
    let settings = perennial_device_core::machine::Settings::default();
    let mut runner = adapters.runner(settings, &mut quiet).map_err(|error| common::run_error(&error))?;
    let mut snapshot = Snapshot::of(&runner);
    if snapshot.running.is_none() {
        // The slot is known once the machine has looked around; here the journal is only read.
        let booted = config.booted().slot().map_err(|error| common::port(&error))?;
        snapshot.running = runner.client().journal().content(booted).map(Into::into);
    }
    if arguments.sign {
        let signed =
            agent.sign(&snapshot).map_err(|error| problem(&error))?.map_err(|error| failed(&error))?;
        let text = signed.map(|signed| serde_json::to_string(&signed)).transpose();
        let text = text.map_err(|error| CliError::with_hint(&error, advice(FailureCode::Internal)))?;
        return match text {
            Some(text) => io.print(&(text + "\n")).map(|()| 0),
            None => Err(CliError::new("there is nothing to carry", "everything was acknowledged")),
        };
    }
    if let Some(path) = &arguments.answered {
        let answer = answer_in(path)?;
        let answered = agent.answered(&snapshot, &answer).map_err(|error| problem(&error))?;
        let acknowledged = answered.map_err(|error| failed(&error))?;
        runner.acknowledge(acknowledged, now).map_err(|error| common::run_error(&error))?;
        let report = Reported { sent: 0, acknowledged, checked_in: false, enrolled: None, next: None };
        return io.report(arguments.json, &report).map(|()| 0);
    }
    let told = agent.tell(&snapshot, now, true).map_err(|error| problem(&error))?;
    runner.acknowledge(told.acknowledged, now).map_err(|error| common::run_error(&error))?;
    if let Some(trouble) = &told.trouble {
        return Err(failed(trouble));
    }
    let Told { acknowledged, sent, checked_in, enrolled, next, .. } = told;
    io.report(arguments.json, &Reported { sent, acknowledged, checked_in, enrolled, next }).map(|()| 0)
}

/// One entry of a batch's answers.
fn answer_in(path: &Path) -> Result<QueueAnswer, CliError> {
    let hint = "name a file with one entry of the batch's answers";
    let text = read_limited(path, ACKNOWLEDGED_LENGTH).map_err(|error| CliError::with_hint(&error, hint))?;
    let odd = |why: String| CliError::new(format!("{} is no answer to a queue: {why}", path.display()), hint);
    Json::parse(&text).map_err(|error| odd(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| odd(error.to_string()))
}

pub(super) fn data(config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let now = io.now();
    let mut agent = agent(config, io)?;
    let odd = || CliError::new("the fleet server's answer can't be read", "tell whoever runs the server");
    let mut page = |before| -> Result<Value, CliError> {
        let held = agent.with(|fleet| fleet.data(before, now)).map_err(|error| problem(&error))?;
        serde_json::from_slice(&held.map_err(|error| failed(&error))?).map_err(|_| odd())
    };
    let mut whole = page(None)?;
    // Its reports come some at a time, the newest first.
    for _ in 0..DATA_PAGES {
        let Some(next) = whole["next"].as_str() else { break };
        let place = next.split_once('.').and_then(|(e, s)| Some((e.parse().ok()?, s.parse().ok()?)));
        let earlier = page(Some(place.ok_or_else(odd)?))?;
        let events = earlier["events"].as_array().ok_or_else(odd)?;
        whole["events"].as_array_mut().ok_or_else(odd)?.extend(events.iter().cloned());
        whole["next"] = earlier["next"].clone();
    }
    let text = serde_json::to_string_pretty(&whole).map_err(|_| odd())?;
    io.print(&(text + "\n")).map(|()| 0)
}

pub(super) fn erase(arguments: &EraseArguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    if !arguments.yes {
        let what = "nothing was erased: this can't be undone, and the device tells nothing more afterwards";
        return Err(CliError::new(what, "say it with --yes; perennial-device data shows what would go"));
    }
    let now = io.now();
    let receipt = agent(config, io)?.with(|fleet| fleet.erase(now)).map_err(|error| problem(&error))?;
    let receipt = receipt.map_err(|error| match error {
        FleetError::Link(_) => {
            let hint =
                "the wish is noted: the agent is silent from now on, and asks until the server answers";
            CliError::with_hint(&error, hint)
        }
        error => failed(&error),
    })?;
    let receipt = match receipt {
        Gone::Now(receipt) => Receipt::Now(receipt),
        Gone::Before => Receipt::Before { erased: "before" },
    };
    io.report(arguments.json, &receipt).map(|()| 0)
}

pub(super) fn consent(
    arguments: &ConsentArguments,
    config: &Config,
    io: &mut Io<'_>,
) -> Result<u8, CliError> {
    let consent = arguments.consent == Consent::Give;
    let noted = agent(config, io)?.with(|fleet| fleet.consent(consent)).map_err(|error| problem(&error))?;
    noted.map_err(|error| common::port(&error))?;
    io.report(arguments.json, &Consented { consent }).map(|()| 0)
}

/// The fleet plane of this device.
fn agent(config: &Config, io: &Io<'_>) -> Result<FleetAgent, CliError> {
    let proxies = Proxies::from_variables(|name| (io.variable)(name)).map_err(|error| {
        CliError::with_hint(&error, "set the variable to http://host:port, or leave it out")
    })?;
    let who = identity(config)
        .map_err(|error| CliError::with_hint(&error, "mend the file that `image_info` names"))?;
    FleetAgent::new(config, who, proxies, io.interrupt.clone()).map_err(|error| problem(&error))
}

fn problem(error: &FleetProblem) -> CliError {
    let hint = match error {
        FleetProblem::NotConfigured => "write [fleet] and server = \"https://…\" into the configuration",
        FleetProblem::Server(_) => "mend `fleet.server` in the configuration",
        FleetProblem::Lock(_) => "the agent talks to it just now: try again in a minute",
        FleetProblem::File(_) => "run it as the user that owns the state",
        FleetProblem::Port(inner) => return port(inner),
    };
    CliError::with_hint(error, hint)
}

fn port(error: &PortError) -> CliError {
    CliError::with_hint(error, advice(error.code))
}

/// What to do about a failure of the fleet plane.
fn failed(error: &FleetError) -> CliError {
    let hint = match error {
        FleetError::NoIdentity => {
            "at the factory: perennial-device identity new, request, and install what the device CA issues"
        }
        FleetError::NotEnrolled => {
            "nothing of it is known there under this enrolment; perennial-device enrol makes it known"
        }
        FleetError::Silent => "perennial-device enrol makes it known again",
        FleetError::Link(_) => {
            "check the network, `fleet.server` and `fleet.ca`; it is tried again by itself"
        }
        FleetError::Refused { refusal, .. } if refusal.code == RefusalCode::Revoked => {
            "ask the maker: this device's certificate was taken back"
        }
        FleetError::Refused { refusal, .. } => &refusal.hint,
        FleetError::Answer { .. } | FleetError::Format(_) => "tell whoever runs the fleet server",
        FleetError::Port(inner) => return port(inner),
        FleetError::JournalLost => "try again: the device enrols anew",
    };
    CliError::with_hint(error, hint)
}

impl fmt::Display for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Enrolled as {} (enrolment {}).", self.device, self.epoch)?;
        writeln!(f, "The certificate is renewed by itself, from {} on.", self.renew_after.date().in_words())
    }
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(epoch) = self.enrolled {
            writeln!(f, "Enrolled:     anew (enrolment {epoch})")?;
        }
        writeln!(f, "Checked in:   {}", if self.checked_in { "yes" } else { "no" })?;
        writeln!(f, "Reports:      {} sent, acknowledged up to {}", self.sent, self.acknowledged)?;
        match self.next {
            Some(next) => writeln!(f, "Next:         {next}, or when something happens"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Consented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.consent {
            writeln!(f, "What is optional is told with the next check-in.")
        } else {
            writeln!(f, "What is optional is told no longer; the server forgets it with the next check-in.")
        }
    }
}

/// `1 report`, `2 reports`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Now(Erasure { device, at, erased, kept, audit, .. }) = self else {
            writeln!(
                f,
                "The server holds nothing on this device: it was erased before, and that answer was lost."
            )?;
            return writeln!(
                f,
                "This device tells nothing more. perennial-device enrol makes it known again."
            );
        };
        writeln!(f, "Erased at {at}: everything on {device}")?;
        writeln!(
            f,
            "  {}, {}, {}, {}",
            counted(erased.reports, "report"),
            counted(erased.check_ins, "check-in"),
            counted(erased.attributes, "attribute"),
            counted(erased.keys, "key")
        )?;
        for line in kept {
            writeln!(f, "  kept: {}", line.chars().filter(|c| !c.is_control()).collect::<String>())?;
        }
        writeln!(f, "  receipt: entry {} of the server's audit log, {}", audit.sequence, audit.digest)?;
        writeln!(f, "This device tells nothing more. perennial-device enrol makes it known again.")
    }
}
