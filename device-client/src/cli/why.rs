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
    /// What holds it back besides, for longer than that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    besides: Vec<Besides>,
    /// That what runs was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<Withdrawn>,
    /// A rollout status that the last check has refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_status: Option<RefusedStatus>,
}

/// A second thing that an update waits for.
#[derive(Debug, Serialize)]
struct Besides {
    waits_for: Waits,
    until: Timestamp,
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
        Self {
            waits_for,
            version,
            until,
            sentence,
            besides: Vec::new(),
            withdrawn: None,
            refused_status: None,
        }
    }

    fn of(journal: &Journal, config: &Config, now: Timestamp) -> Self {
        let mut why = Self::first(journal, config, now);
        // What is over before the first thing is, or is that thing, is no second one.
        let is_held = matches!(
            why.waits_for,
            Waits::Turn | Waits::Server | Waits::Signers | Waits::Failure | Waits::QuietHours
        );
        let is_longer = |until: &Timestamp| is_held && why.until.is_none_or(|first| first < *until);
        let put_off = put_off(journal, now).filter(is_longer);
        let quiet = quiet(journal, config, now).filter(is_longer);
        let quiet = quiet.filter(|_| why.waits_for != Waits::QuietHours);
        let besides = [(Waits::Owner, put_off), (Waits::QuietHours, quiet)];
        let besides = besides.into_iter();
        why.besides =
            besides.filter_map(|(waits_for, until)| Some(Besides { waits_for, until: until? })).collect();
        why
    }

    /// What holds it back now, before anything else.
    fn first(journal: &Journal, config: &Config, now: Timestamp) -> Self {
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
        match (said, put_off(journal, now), quiet(journal, config, now)) {
            (Some(said), ..) => {
                let sentence = format!("{}.", said.text);
                Self::new(said.waits, version, said.until, sentence)
            }
            (None, Some(until), _) => {
                say(Waits::Owner, Some(until), format!("waits until {until}: the owner has put updates off"))
            }
            (None, None, Some(until)) => {
                say(Waits::QuietHours, Some(until), format!("waits until {until}, when the quiet hours end"))
            }
            (None, None, None) => match journal.state {
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
            Waits::Nothing if version.is_none() => format!("Nothing waits: this device is {}.", said.text),
            _ => format!("{}.", said.text),
        };
        Self::new(waits_for, version, until, sentence)
    }
}

/// Until when the owner has put updates off, where that still counts.
fn put_off(journal: &Journal, now: Timestamp) -> Option<Timestamp> {
    let may_wait = journal.plan.is_none() || journal.state.is_before_activation();
    let counts = may_wait && journal.at_once.is_none();
    journal.postponed_until.filter(|until| *until > now && counts)
}

/// Until when the quiet hours hold up the update that is under way.
fn quiet(journal: &Journal, config: &Config, now: Timestamp) -> Option<Timestamp> {
    let is_update = journal.plan.as_ref().is_some_and(|plan| plan.source.is_some());
    let counts = is_update && journal.at_once.is_none() && journal.state.waits_for_quiet();
    config.quiet().until(now).filter(|_| counts)
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.sentence)?;
        for Besides { waits_for, until } in &self.besides {
            match waits_for {
                Waits::Owner => writeln!(
                    f,
                    "Besides, the owner has put updates off until {until}, or as long as their maker lets them."
                )?,
                _ => writeln!(f, "Besides, quiet hours last until {until}.")?,
            }
        }
        if let Some(RefusedStatus { at, version, why, .. }) = &self.refused_status {
            writeln!(f, "Since {at} a rollout status of {version} is refused: {why}.")?;
        }
        match &self.withdrawn {
            Some(withdrawn) => writeln!(f, "Recalled: {withdrawn}."),
            None => Ok(()),
        }
    }
}
