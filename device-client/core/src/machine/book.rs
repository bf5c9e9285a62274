//! What a transition writes into the journal besides the state: reports, failed releases, what the slots hold.

use alloc::string::{String, ToString};

use perennial_schemas::report::{FailureCode, Outcome};
use perennial_schemas::{ReleaseVersion, Timestamp};

use super::{Client, Event, Illegal, State, next};
use crate::decide::Decision;
use crate::journal::{AtOnce, Content, Known, PutOff, Recalled, RefusedStatus, SAID_LENGTH, Said, Waits};
use crate::plan::Plan;
use crate::port::PortError;

impl Client {
    /// A release was chosen, by the decision or by the owner.
    pub(super) fn begin(&mut self, event: Event, plan: Plan, now: Timestamp) -> Result<(), Illegal> {
        let state = next(self.journal.state, event)?;
        // Whoever made the plan has seen to that. A plan for the running slot would destroy what runs.
        if self.booted.is_none_or(|booted| booted == plan.slot) {
            return Err(Illegal { state: self.journal.state, event });
        }
        if event == Event::Reverting {
            let running = self.booted.and_then(|slot| self.journal.content(slot)).cloned();
            if let Some(Content { version, manifest: Some(manifest), .. }) = running {
                self.journal.note_declined(&version, &manifest);
            }
        }
        self.journal.plan = Some(plan);
        if event == Event::Reverting {
            self.report(Outcome::Started, None, now);
        }
        (self.journal.state, self.unsaved) = (state, true);
        Ok(())
    }

    /// Something happened to the update.
    pub(super) fn happen(&mut self, event: Event, now: Timestamp) -> Result<(), Illegal> {
        let before = self.journal.state;
        let state = next(before, event)?;
        // Begun with `begin`, which brings the plan.
        if matches!(event, Event::Chosen | Event::Reverting) {
            return Err(Illegal { state: before, event });
        }
        match event {
            Event::DeltaFailed { code } => self.take_full(code, now)?,
            Event::Stages | Event::Streams => {
                if let Some(source) = self.journal.plan.as_mut().and_then(|plan| plan.source.as_mut()) {
                    source.staged = event == Event::Stages;
                }
                self.report(Outcome::Started, None, now);
            }
            Event::Claimed => self.give_target_up(),
            Event::Installed => self.report(Outcome::Installed, None, now),
            Event::Healthy => self.confirm(now),
            Event::BootedOld { .. } => {
                if before == State::Confirmed {
                    self.give_target_up();
                }
                if let State::FellBack { code } = state {
                    self.fail(Outcome::RolledBack, code, now);
                }
            }
            Event::Failed { code } => self.fail(Outcome::Failed, code, now),
            _ => {}
        }
        if state == State::Idle {
            (self.journal.plan, self.journal.at_once) = (None, None);
        }
        if state == State::Trying {
            let asked = self.journal.questions.saturating_add(1);
            self.journal.questions = if before == State::Trying { asked } else { 0 };
        }
        if state != before {
            self.journal.restarts = 0;
            self.journal.delta_answers = 0;
        }
        (self.journal.state, self.unsaved) = (state, true);
        Ok(())
    }

    /// Keeps what a check learnt, where it has changed.
    pub fn note_known(&mut self, known: Known) {
        if self.journal.known != known {
            (self.journal.known, self.unsaved) = (known, true);
        }
    }

    /// Keeps that what runs was withdrawn, or that it wasn't. A reason that its channel gives no more is kept.
    pub(crate) fn note_recalled(&mut self, recalled: Option<Recalled>) {
        let before = self.journal.recalled.take();
        let is_same = |new: &Recalled, old: &Recalled| new.version == old.version && new.reason.is_empty();
        let now = match (recalled, &before) {
            (Some(new), Some(old)) if is_same(&new, old) => Some(old.clone()),
            (recalled, _) => recalled,
        };
        self.unsaved |= now != before;
        self.journal.recalled = now;
    }

    /// Keeps the last rollout status that was refused, and since when none is.
    pub(crate) fn note_refused(&mut self, refused: Option<&(ReleaseVersion, String)>, now: Timestamp) {
        let noted = &mut self.journal.refused_status;
        match (refused, noted.as_mut()) {
            (None, Some(noted)) if noted.over.is_none() => noted.over = Some(now),
            (None, _) => return,
            (Some((version, why)), noted) => {
                let why = crate::report::cut(why);
                if noted.is_some_and(|noted| {
                    noted.over.is_none() && noted.version == *version && noted.why == why
                }) {
                    return;
                }
                let (version, why) = (version.clone(), why.to_string());
                self.journal.refused_status = Some(RefusedStatus { at: now, version, why, over: None });
            }
        }
        self.unsaved = true;
    }

    /// Notes since when a release is put off. A time ahead of the clock was noted by a clock that ran ahead.
    pub(super) fn note_put_off(&mut self, version: &ReleaseVersion, now: Timestamp) {
        let noted = self.journal.put_off.as_ref();
        if noted.is_none_or(|noted| noted.version != *version || noted.since > now) {
            self.journal.put_off = Some(PutOff { version: version.clone(), since: now });
            self.unsaved = true;
        }
    }

    /// What the owner wants at once is the release that a check finds; where it finds none, nothing is left of the wish.
    pub(super) fn note_at_once(&mut self, decision: &Decision) {
        let wanted = match (self.journal.at_once, decision) {
            (Some(AtOnce::Next), Decision::Update { manifest, .. }) => Some(AtOnce::Of(*manifest)),
            (Some(AtOnce::Of(wanted)), Decision::Update { manifest, .. }) if wanted == *manifest => return,
            _ => None,
        };
        if self.journal.at_once != wanted {
            (self.journal.at_once, self.unsaved) = (wanted, true);
        }
    }

    /// Keeps the words for the report of the failure.
    pub(super) fn note_trouble(&mut self, detail: &str) {
        self.journal.trouble = detail.chars().take(crate::report::DETAIL_LENGTH).collect();
        self.unsaved = true;
    }

    /// Keeps the last decision for `status` and `why`.
    pub(crate) fn note_decision(&mut self, decision: &Decision, now: Timestamp) {
        let (version, waits, until) = decision.waits();
        self.note_said(Said { since: now, text: alloc::format!("{decision}"), version, waits, until });
    }

    /// Keeps that no decision could be made.
    pub(crate) fn note_no_decision(&mut self, why: &PortError, now: Timestamp) {
        let text = alloc::format!("could not check: {why}");
        self.note_said(Said { since: now, text, version: None, waits: Waits::Check, until: None });
    }

    /// Writes only what has changed.
    fn note_said(&mut self, mut said: Said) {
        // It may quote what anybody sent. A journal longer than its record could never be saved again.
        said.text.truncate(said.text.floor_char_boundary(SAID_LENGTH));
        if self.journal.said.as_ref().is_none_or(|before| before.text != said.text) {
            self.journal.said = Some(said);
            self.unsaved = true;
        }
    }

    fn give_target_up(&mut self) {
        if let Some(slot) = self.journal.plan.as_ref().map(|plan| plan.slot) {
            self.journal.set_content(slot, None);
        }
    }

    fn confirm(&mut self, now: Timestamp) {
        let Some(plan) = &self.journal.plan else { return };
        let content = Content {
            version: plan.version.clone(),
            manifest: Some(plan.manifest),
            security_version: plan.security_version,
            image: Some((plan.length, plan.sha256)),
        };
        let (slot, manifest) = (plan.slot, plan.manifest);
        self.journal.set_content(slot, Some(content));
        self.journal.take_failed(&manifest);
        self.journal.forget_failed_delta(&manifest);
        self.report(Outcome::Confirmed, None, now);
    }

    fn fail(&mut self, outcome: Outcome, code: FailureCode, now: Timestamp) {
        let Some(plan) = &self.journal.plan else { return };
        let (version, manifest) = (plan.version.clone(), plan.manifest);
        self.journal.note_failure(&version, &manifest, code, now);
        self.report(outcome, Some(code), now);
    }

    /// The full payload takes the place of the delta, streamed: a staging area was measured for the delta.
    fn take_full(&mut self, code: FailureCode, now: Timestamp) -> Result<(), Illegal> {
        let illegal = Illegal { state: self.journal.state, event: Event::DeltaFailed { code } };
        let plan = self.journal.plan.as_mut().ok_or(illegal)?;
        let source = plan.source.as_mut().ok_or(illegal)?;
        let rollout = source.rollout;
        *source = *source.full.take().ok_or(illegal)?;
        source.rollout = rollout;
        let (version, manifest) = (plan.version.clone(), plan.manifest);
        self.journal.note_failed_delta(&version, &manifest, code);
        self.report(Outcome::DeltaFailed, Some(code), now);
        Ok(())
    }

    fn report(&mut self, outcome: Outcome, failure: Option<FailureCode>, now: Timestamp) {
        let Some(plan) = &self.journal.plan else { return };
        let detail = if failure.is_some() { self.journal.trouble.to_string() } else { String::new() };
        self.journal.reports.add(now, (&plan.version, &plan.manifest), outcome, failure, &detail);
        self.journal.trouble.clear();
    }
}
