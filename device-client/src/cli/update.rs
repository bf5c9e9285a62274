//! `update`, `confirm`, `revert` and `run`: the agent at work, and what came of it.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;

use perennial_device_core::decide::Decision;
use perennial_device_core::machine::{State, Why, Wish};
use perennial_device_core::report::Entry;
use perennial_schemas::report::{FailureCode, Outcome as Happened};
use perennial_schemas::{ReleaseVersion, Timestamp};
use serde::Serialize;

use super::common::Opened;
use super::hear::Ears;
use super::recalled::Withdrawn;
use super::{CliError, FAILED, FELL_BACK, HELD, Io, REFUSED, common};
use crate::agent::Adapters;
use crate::agent::tell::{Last, Teller};
use crate::agent::work::{self, End, Job, Outcome, first_pause, work};
use crate::config::Config;
use crate::wishes::Asked;

#[derive(Debug, clap::Args)]
pub(super) struct UpdateArguments {
    /// Print JSON at the end, and nothing before.
    #[arg(long)]
    json: bool,
    /// Take the newest signed release now, whatever its rollout, quiet hours or a postponement say. Never one that is
    /// withdrawn, for other hardware, behind a barrier or below the anti-rollback counter; nor one that failed here, unless
    /// --retry-failed stands beside.
    #[arg(long)]
    now: bool,
    /// Try releases again that failed here or wait.
    #[arg(long)]
    retry_failed: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON at the end, and nothing before.
    #[arg(long)]
    json: bool,
}

/// What came of an update.
#[derive(Debug, Serialize)]
pub(super) struct UpdateReport {
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<ReleaseVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    events: Vec<Entry>,
    /// That what runs was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<Withdrawn>,
    #[serde(skip)]
    status: u8,
}

pub(super) fn update(arguments: &UpdateArguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let wishes = [(arguments.retry_failed, Wish::Retry), (arguments.now, Wish::AtOnce)];
    let wishes: Vec<Wish> = wishes.into_iter().filter_map(|(wanted, wish)| wanted.then_some(wish)).collect();
    let wish: work::Wish<'_> =
        Box::new(|runner, now| wishes.into_iter().try_for_each(|wish| runner.wish(wish, now)));
    let UpdateArguments { json, now, retry_failed } = *arguments;
    match common::open_or_ask(config, io)? {
        Opened::Here(mut adapters) => act(&mut adapters, config, Some(wish), json, io),
        Opened::Beside(agent) => agent.ask(Asked::Update { now, retry_failed }, config, json, io),
    }
}

pub(super) fn revert(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let wish: work::Wish<'_> = Box::new(|runner, now| runner.revert(now));
    match common::open_or_ask(config, io)? {
        Opened::Here(mut adapters) => act(&mut adapters, config, Some(wish), arguments.json, io),
        Opened::Beside(agent) => agent.ask(Asked::Revert, config, arguments.json, io),
    }
}

pub(super) fn confirm(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut adapters = match common::open_or_ask(config, io)? {
        Opened::Here(adapters) => adapters,
        Opened::Beside(agent) => return agent.ask(Asked::Confirm, config, arguments.json, io),
    };
    let state = state(&mut adapters)?;
    if !matches!(state, State::Trying | State::Installed | State::Activated { .. }) {
        return Err(no_trial());
    }
    let wish: work::Wish<'_> = Box::new(|runner, now| runner.wish(Wish::Confirm, now));
    act(&mut adapters, config, Some(wish), arguments.json, io).map_err(|error| {
        if state == State::Trying {
            error
        } else {
            error.or_hint("restart the device first, so that the release runs")
        }
    })
}

pub(super) fn no_trial() -> CliError {
    let hint = "only a release that was just installed and booted is confirmed; see perennial-device status";
    CliError::new("no release is on trial here", hint)
}

/// Looks for updates and installs them for ever, until a signal comes.
pub(super) fn run(config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut adapters = common::open(config, io)?;
    // On a terminal it says what it does, as `update` would; otherwise the log does.
    let words: Option<&mut dyn Write> = if io.terminal { Some(&mut *io.stdout) } else { None };
    let bar: Option<&mut dyn Write> = if io.terminal { Some(&mut *io.stderr) } else { None };
    let teller = RefCell::new(Teller::new(words, bar));
    tracing::info!(device = %config.id, server = %config.server, "looking for updates");
    let mut ears = adapters.listen(config).map(|inbox| Ears::new(inbox, config));
    // A trial waits for nobody, and nor does the owner.
    if state(&mut adapters)? == State::Idle {
        match &ears {
            Some(ears) => ears.pause(&adapters.client(), first_pause(config)),
            None => adapters.client().sleep(first_pause(config)),
        }
    }
    let owner = ears.as_mut().map(|ears| ears as &mut dyn work::Owner);
    let job = Job { config, now: &*io.now, interrupt: &io.interrupt, for_ever: true, wish: None, owner };
    let outcome = work(&mut adapters, job, &teller).map_err(|error| common::run_error(&error))?;
    tracing::info!(end = ?outcome.end, "ended");
    Ok(0)
}

/// How far the update under way has come.
fn state(adapters: &mut Adapters) -> Result<State, CliError> {
    let mut quiet = |_: perennial_device_core::run::Notice<'_>| {};
    let settings = perennial_device_core::machine::Settings::default();
    let runner = adapters.runner(settings, &mut quiet).map_err(|error| common::run_error(&error))?;
    Ok(runner.client().state())
}

fn act(
    adapters: &mut Adapters,
    config: &Config,
    wish: Option<work::Wish<'_>>,
    json: bool,
    io: &mut Io<'_>,
) -> Result<u8, CliError> {
    let terminal = io.terminal && !json;
    let words: Option<&mut dyn Write> = if json { None } else { Some(&mut *io.stdout) };
    let bar: Option<&mut dyn Write> = if terminal { Some(&mut *io.stderr) } else { None };
    let teller = RefCell::new(Teller::new(words, bar));
    let job = Job { config, now: &*io.now, interrupt: &io.interrupt, for_ever: false, wish, owner: None };
    let outcome = work(adapters, job, &teller).map_err(|error| common::run_error(&error))?;
    let Teller { last, failure, .. } = teller.into_inner();
    if let (End::Waiting(Some((_, Why::Retry))), Some(error), None) =
        (&outcome.end, &failure, outcome.events.iter().find(|event| is_final(event)))
    {
        return Err(common::port(error));
    }
    let refusal = last.as_ref().and_then(Last::refusal);
    let mut report = UpdateReport::of(outcome, last.map(|last| last.decision), failure, config);
    report.withdrawn = Withdrawn::look(config);
    io.report(json, &report)?;
    match report.error(refusal) {
        Some(error) if !json => Err(error),
        _ => Ok(report.status),
    }
}

impl UpdateReport {
    /// What came of a check that the owner wanted of the agent that runs.
    pub(super) fn of_check(
        decision: Option<&Decision>,
        running: Option<ReleaseVersion>,
        config: &Config,
    ) -> Self {
        let (result, reason, status) = of_decision(decision, None);
        Self { result, running, reason, events: Vec::new(), withdrawn: Withdrawn::look(config), status }
    }

    /// That the release waits for the end of the quiet hours.
    pub(super) fn quiet(
        version: Option<&ReleaseVersion>,
        until: Timestamp,
        running: Option<ReleaseVersion>,
    ) -> Self {
        let version = version.map_or("the release".into(), ToString::to_string);
        let reason = format!("{version} waits until {until}, when the quiet hours end");
        Self {
            result: "held",
            running,
            reason: Some(reason),
            events: Vec::new(),
            withdrawn: None,
            status: HELD,
        }
    }

    /// The error that it is, where nothing could be installed.
    pub(super) fn error(&self, refusal: Option<FailureCode>) -> Option<CliError> {
        if !matches!(self.result, "refused" | "failed") {
            return None;
        }
        let code = self.events.last().and_then(|event| event.failure).or(refusal);
        let what = self.reason.clone().unwrap_or_default();
        let hint =
            code.map_or("perennial-device history says what happened", |code| common::hint(code, &what));
        Some(CliError::new(what, hint).status(self.status))
    }

    /// The exit status.
    pub(super) fn status(&self) -> u8 {
        self.status
    }

    fn of(
        outcome: Outcome,
        decision: Option<Decision>,
        failure: Option<perennial_device_core::port::PortError>,
        config: &Config,
    ) -> Self {
        let Outcome { end, events, running, falling_back } = outcome;
        let running = running.map(|content| content.version);
        let last = events.iter().rev().find(|event| is_final(event));
        let (result, reason, status) = match (&end, last) {
            (End::Interrupted, _) => {
                ("interrupted", Some("it goes on where it was, next time".into()), FAILED)
            }
            (End::Restarting, _) if falling_back => (
                "falling-back",
                Some("the release failed its trial, and the device restarts".into()),
                FELL_BACK,
            ),
            (End::Restarting, _) => {
                let why = if config.hooks.reboot.is_empty() {
                    "restart the device to go on"
                } else {
                    "the device restarts"
                };
                ("restarting", Some(why.into()), 0)
            }
            (_, Some(entry)) => of_entry(entry),
            (End::Waiting(Some((until, Why::Quiet))), None) => {
                let version = decision.as_ref().and_then(|decision| decision.waits().0);
                let version = version.map_or("the release".into(), |version| version.to_string());
                ("held", Some(format!("{version} waits until {until}, when the quiet hours end")), HELD)
            }
            _ => of_decision(decision.as_ref(), failure.map(|failure| failure.to_string())),
        };
        Self { result, running, reason, events, withdrawn: None, status }
    }
}

/// Whether it is how an update ended, and no step on the way.
fn is_final(entry: &Entry) -> bool {
    matches!(entry.outcome, Happened::Confirmed | Happened::RolledBack | Happened::Failed)
}

fn of_entry(entry: &Entry) -> (&'static str, Option<String>, u8) {
    let code = entry.failure.map_or(String::new(), |code| format!(" (code {})", code.number()));
    let detail = if entry.detail.is_empty() { String::new() } else { format!(": {}", entry.detail) };
    match entry.outcome {
        Happened::Confirmed => ("confirmed", Some(format!("{} is confirmed", entry.version)), 0),
        Happened::RolledBack => {
            ("fell-back", Some(format!("{} failed its trial{code}{detail}", entry.version)), FELL_BACK)
        }
        Happened::Failed => {
            let status = entry.failure.map_or(FAILED, common::status);
            let result = if status == REFUSED { "refused" } else { "failed" };
            (result, Some(format!("{} was not installed{code}{detail}", entry.version)), status)
        }
        _ => ("working", None, 0),
    }
}

fn of_decision(decision: Option<&Decision>, failure: Option<String>) -> (&'static str, Option<String>, u8) {
    match decision {
        Some(Decision::Held { told: passed, .. }) => ("held", Some(passed.to_string()), HELD),
        Some(Decision::Refused(passed)) => ("refused", Some(passed.to_string()), REFUSED),
        Some(Decision::UpToDate { .. }) => ("current", None, 0),
        _ => match failure {
            Some(failure) => ("failed", Some(failure), FAILED),
            None => ("working", None, 0),
        },
    }
}

impl fmt::Display for UpdateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.running.as_ref().map_or("an image from the factory", ReleaseVersion::as_str);
        match (self.result, &self.reason) {
            ("current", _) => writeln!(f, "Up to date: {running} is running."),
            ("confirmed", _) => writeln!(f, "Done: {running} is running."),
            ("fell-back", Some(reason)) => writeln!(f, "Fell back: {reason}. {running} is running."),
            ("held", Some(reason)) => writeln!(f, "Held: {reason}. {running} is running."),
            ("falling-back", Some(reason)) => writeln!(f, "Falling back: {reason}."),
            ("restarting", Some(reason)) => writeln!(f, "Installed: {reason}."),
            ("interrupted", Some(reason)) => writeln!(f, "Interrupted: {reason}."),
            // The two lines of the error say it.
            ("refused" | "failed", _) => Ok(()),
            _ => writeln!(f, "{running} is running."),
        }?;
        match &self.withdrawn {
            Some(withdrawn) => writeln!(f, "Recalled: {withdrawn}."),
            None => Ok(()),
        }
    }
}

/// Used by `confirm` alone: `Illegal` there means that the release has not been booted.
impl CliError {
    fn or_hint(self, hint: &str) -> Self {
        Self::new(self.what().to_owned(), hint)
    }
}
