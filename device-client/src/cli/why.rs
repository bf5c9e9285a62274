//! `why`: what this device waits for, and until when, in one sentence.
//!
//! It reads what is kept here and asks nobody: `check` does.

use std::fmt;

use perennial_device_core::journal::{Journal, RefusedStatus, Waits};
use perennial_device_core::machine::State;
use perennial_schemas::{ReleaseVersion, Timestamp};
use serde::Serialize;

use super::recalled::Withdrawn;
use super::{CliError, Io, status};
use crate::config::Config;
use crate::store::FileStore;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What this device waits for.
#[derive(Debug, Serialize)]
struct Why {
    waits_for: Waits,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<ReleaseVersion>,
    /// Until when at most; not where nobody can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    sentence: String,
    /// That what runs was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<Withdrawn>,
    /// A rollout status that the last check has refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_status: Option<RefusedStatus>,
}

pub(super) fn run(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut problems = Vec::new();
    let mut store = FileStore::read_only(&config.state, &config.marker);
    let journal = status::journal(&mut store, &mut problems);
    if let Some(problem) = problems.first() {
        let hint = crate::agent::advice(perennial_schemas::report::FailureCode::TrustStateLost);
        return Err(CliError::new(problem, hint));
    }
    let refused = journal.as_ref().and_then(|journal| journal.refused_status.clone());
    let mut why = journal.map_or_else(Why::nothing_yet, |journal| Why::of(&journal, config, io.now()));
    why.withdrawn = Withdrawn::look(config);
    why.refused_status = refused.filter(|refused| refused.over.is_none());
    io.report(arguments.json, &why)?;
    Ok(0)
}

impl Why {
    fn nothing_yet() -> Self {
        let sentence = "Nothing was looked for yet; perennial-device check asks.".into();
        Self::new(Waits::Check, None, None, sentence)
    }

    fn new(
        waits_for: Waits,
        version: Option<ReleaseVersion>,
        until: Option<Timestamp>,
        sentence: String,
    ) -> Self {
        Self { waits_for, version, until, sentence, withdrawn: None, refused_status: None }
    }

    fn of(journal: &Journal, config: &Config, now: Timestamp) -> Self {
        let Some(plan) = &journal.plan else { return Self::idle(journal) };
        // A later check may have found another release, and nothing has been done about it yet.
        let found = journal.said.as_ref().and_then(|said| said.version.as_ref());
        if journal.state.is_before_activation() && found.is_some_and(|found| *found != plan.version) {
            return Self::idle(journal);
        }
        let version = Some(plan.version.clone());
        let say = |waits_for, until, what: String| {
            let sentence = format!("{} {what}.", plan.version);
            Self::new(waits_for, version.clone(), until, sentence)
        };
        let said = journal.said.as_ref().filter(|said| said.until.is_none_or(|until| until > now));
        let said = said.filter(|_| plan.source.as_ref().is_some_and(|source| source.is_held()));
        let postponed = journal.postponed_until.filter(|until| *until > now && journal.at_once.is_none());
        let is_quiet = journal.at_once.is_none() && plan.source.is_some() && journal.state.waits_for_quiet();
        let quiet = config.quiet().until(now).filter(|_| is_quiet);
        match (said, postponed, quiet) {
            (Some(said), ..) => {
                let sentence = format!("{}.", said.text);
                Self::new(said.waits, version, said.until, sentence)
            }
            (None, Some(until), _) if journal.state.is_before_activation() => {
                say(Waits::Owner, Some(until), format!("waits until {until}: the owner has put updates off"))
            }
            (None, _, Some(until)) => {
                say(Waits::QuietHours, Some(until), format!("waits until {until}, when the quiet hours end"))
            }
            (None, _, None) => match journal.state {
                State::Activated { .. } => {
                    say(Waits::Restart, None, "waits for the restart of this device".into())
                }
                State::Trying => {
                    say(Waits::Trial, None, "is on trial: it runs, and has to show that it works".into())
                }
                state => say(Waits::Nothing, None, format!("is {}: nothing holds it back", state.name())),
            },
        }
    }

    fn idle(journal: &Journal) -> Self {
        let Some(said) = &journal.said else { return Self::nothing_yet() };
        let (waits_for, version, until) = (said.waits, said.version.clone(), said.until);
        let sentence = match waits_for {
            Waits::Nothing if version.is_none() => "Nothing waits: this device is up to date.".into(),
            _ => format!("{}.", said.text),
        };
        Self::new(waits_for, version, until, sentence)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.sentence)?;
        if let Some(RefusedStatus { at, version, why, .. }) = &self.refused_status {
            writeln!(f, "Since {at} a rollout status of {version} is refused: {why}.")?;
        }
        match &self.withdrawn {
            Some(withdrawn) => writeln!(f, "Recalled: {withdrawn}."),
            None => Ok(()),
        }
    }
}
