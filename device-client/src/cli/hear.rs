//! The agent that runs hears its owner: takes the wishes up that commands have left, and answers as those commands would.

use std::cell::RefCell;
use std::time::Duration;

use perennial_device_core::crypto::Ring;
use perennial_device_core::decide::Decision;
use perennial_device_core::machine::{State, Wish};
use perennial_device_core::port::PortError;
use perennial_device_core::run::{RunError, Runner};
use perennial_schemas::{ReleaseVersion, Timestamp};
use serde_json::json;

use super::postpone::Postponed;
use super::update::{UpdateReport, no_trial};
use super::{CliError, REFUSED, Report, check, common};
use crate::agent::tell::{Last, Teller};
use crate::agent::work::Owner;
use crate::config::Config;
use crate::http::HttpClient;
use crate::wishes::{Answer, Asked, Inbox, Taken};

/// The owner, as the agent that runs hears them.
pub(super) struct Ears<'c> {
    inbox: Inbox,
    config: &'c Config,
    /// Wishes for an update whose check has not come to its end.
    pending: Vec<String>,
}

impl<'c> Ears<'c> {
    pub(super) fn new(inbox: Inbox, config: &'c Config) -> Self {
        Self { inbox, config, pending: Vec::new() }
    }

    /// Waits before the first check, unless the owner has come already.
    pub(super) fn pause(&self, client: &HttpClient, time: Duration) {
        if !self.inbox.waits() {
            self.inbox.sleep(client, time);
        }
    }

    fn obey(
        &mut self,
        Taken { id, asked }: Taken,
        runner: &mut Runner<'_, Ring>,
        teller: &RefCell<Teller<'_>>,
        now: Timestamp,
    ) {
        tracing::info!(?asked, "the owner's wish");
        let answer = match asked {
            None => Err(CliError::new(
                "the agent that runs can't read this wish, or its clock is another one",
                "run this command as the user that the agent runs as, and in the same version",
            )),
            Some(Asked::Check) => {
                check::check(runner, self.config, now).and_then(|(report, status)| said(&report, status))
            }
            Some(Asked::Postpone { until }) => {
                let kept = kept(runner, now, |runner| runner.wish(Wish::PostponeUntil(until), now));
                kept.and_then(|()| said(&Postponed::of(until, now), 0))
            }
            Some(Asked::Update { now: at_once, retry_failed }) => {
                let wishes = [(retry_failed, Wish::Retry), (at_once, Wish::AtOnce), (true, Wish::CheckNow)];
                let mut wishes = wishes.into_iter().filter(|(wanted, _)| *wanted);
                // It is answered with the check that follows.
                let forget = |teller: &mut Teller<'_>| (teller.last, teller.failure) = (None, None);
                forget(&mut teller.borrow_mut());
                let kept =
                    kept(runner, now, |runner| wishes.try_for_each(|(_, wish)| runner.wish(wish, now)));
                match kept {
                    Ok(()) => return self.pending.push(id),
                    Err(error) => Err(error),
                }
            }
            Some(Asked::Confirm) if runner.client().state() != State::Trying => Err(no_trial()),
            Some(Asked::Confirm) => kept(runner, now, |runner| runner.wish(Wish::Confirm, now))
                .and_then(|()| said_simply("The agent that runs confirms the release.")),
            Some(Asked::Revert) if runner.client().state() != State::Idle => Err(CliError::new(
                "an update is under way",
                "wait until it has come to its end; perennial-device status shows how far it is",
            )
            .status(REFUSED)),
            Some(Asked::Revert) => kept(runner, now, |runner| runner.revert(now)).and_then(|()| {
                said_simply("The agent that runs goes back; perennial-device status shows how far it is.")
            }),
        };
        self.inbox.answer(&id, &answer.unwrap_or_else(|error| error.into()));
    }

    /// Answers those who wait for what a check has come to.
    fn answer(&mut self, answer: impl Fn() -> Result<Answer, CliError>) {
        for id in self.pending.drain(..) {
            self.inbox.answer(&id, &answer().unwrap_or_else(|error| error.into()));
        }
    }

    fn of_check(
        &self,
        runner: &Runner<'_, Ring>,
        last: Option<&Last>,
        failure: Option<PortError>,
        now: Timestamp,
    ) -> Result<Answer, CliError> {
        let client = runner.client();
        let running: Option<ReleaseVersion> = client
            .booted()
            .and_then(|slot| client.journal().content(slot))
            .map(|content| content.version.clone());
        let decision = last.map(|last| &last.decision);
        let quiet = self.config.quiet().until(now).filter(|_| client.journal().at_once.is_none());
        match (decision, quiet) {
            (Some(Decision::Update { version, .. }), None) => {
                let stopped = last.and_then(|last| last.stopped.as_ref());
                let although = stopped.map_or(String::new(), |stopped| format!(", although {stopped}"));
                let text = format!(
                    "The agent that runs takes {version} now{although}; perennial-device status shows how far it is.\n"
                );
                let json = json!({ "result": "taken-up", "version": version, "stopped": stopped });
                Ok(Answer::Said { status: 0, text, json })
            }
            (Some(Decision::Update { version, .. }), Some(until)) => {
                let report = UpdateReport::quiet(Some(version), until, running);
                said(&report, report.status())
            }
            (None, _) if let Some(failure) = &failure => Err(common::port(failure)),
            _ => {
                let report = UpdateReport::of_check(decision, running, self.config);
                match report.error(last.and_then(Last::refusal)) {
                    Some(error) => Err(error),
                    None => said(&report, report.status()),
                }
            }
        }
    }
}

impl Owner for Ears<'_> {
    fn hear(&mut self, runner: &mut Runner<'_, Ring>, teller: &RefCell<Teller<'_>>, now: Timestamp) {
        let (last, failure) = {
            let teller = teller.borrow();
            (teller.last.clone(), teller.failure.clone())
        };
        if !self.pending.is_empty() && (last.is_some() || failure.is_some()) {
            let answer = self.of_check(runner, last.as_ref(), failure, now);
            self.answer(|| answer.clone());
        }
        for taken in self.inbox.take(now) {
            self.obey(taken, runner, teller, now);
        }
    }

    fn settle(&mut self, runner: &Runner<'_, Ring>, teller: &RefCell<Teller<'_>>, now: Timestamp) {
        if self.pending.is_empty() {
            return;
        }
        let (last, failure) = {
            let teller = teller.borrow();
            (teller.last.clone(), teller.failure.clone())
        };
        let answer = if last.is_some() || failure.is_some() {
            self.of_check(runner, last.as_ref(), failure, now)
        } else {
            said_simply(
                "The agent that runs takes it up once what it does now is done; perennial-device why says what that is.",
            )
        };
        self.answer(|| answer.clone());
    }

    fn sleep(&self, client: &HttpClient, time: Duration) {
        self.inbox.sleep(client, time);
    }
}

/// Grants a wish, and keeps that durably before it is answered.
fn kept<'r>(
    runner: &mut Runner<'r, Ring>,
    now: Timestamp,
    grant: impl FnOnce(&mut Runner<'r, Ring>) -> Result<(), RunError>,
) -> Result<(), CliError> {
    grant(runner).and_then(|()| runner.keep(now)).map_err(|error| common::run_error(&error))
}

fn said(report: &impl Report, status: u8) -> Result<Answer, CliError> {
    let json = serde_json::to_value(report).map_err(|error| CliError::output(&error))?;
    Ok(Answer::Said { status, text: report.to_string(), json })
}

fn said_simply(text: &str) -> Result<Answer, CliError> {
    Ok(Answer::Said { status: 0, text: format!("{text}\n"), json: json!({ "result": "taken-up" }) })
}

impl From<CliError> for Answer {
    fn from(error: CliError) -> Self {
        let (what, hint) = (error.what().to_owned(), error.hint().to_owned());
        Self::Failed { status: error.exit_status(), what, hint }
    }
}
