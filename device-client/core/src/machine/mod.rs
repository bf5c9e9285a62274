//! The state machine of an update: what was decided, what happened, what is to be done next.
//!
//! Control only: [`Client::handle`] takes what happened, [`Client::poll_effect`] says what to do, one thing at a time,
//! and [`Client::poll_timeout`] when to come back and why. It never touches a port; image bytes never pass through it.
//! [`crate::run`] carries the effects out.
//!
//! After each step the journal is saved before the next effect is handed out, so whatever was done is at most one
//! effect ahead of what is remembered, and each effect may be repeated.

mod book;
mod state;
mod table;

pub use state::{Event, Illegal, State};
pub use table::next;

use alloc::boxed::Box;

use perennial_schemas::Timestamp;
use perennial_schemas::report::FailureCode;
use perennial_schemas::rollout::Admission;

use crate::decide::{Decision, HoldReason, POSTPONED_SECONDS, PassedOver, Reason};
use crate::download::CHECKPOINT;
use crate::journal::{AtOnce, Journal};
use crate::plan::{Plan, Source};
use crate::port::{BootStatus, PortError, Slot, Verdict};
use crate::quiet::QuietHours;
use crate::rollout::Admitted;
use crate::trial;

/// Bytes of memory that a delta may ask for, unless it was set otherwise: what makers of images for Linux reckon with.
pub const DELTA_MEMORY: u64 = 16 * 1024 * 1024;

/// Answers in a row that bring a delta no further, before the full payload is asked for.
const DELTA_ANSWERS: u8 = 3;

/// Seconds before something that failed for now is tried again: 30, 60, 120, … up to an hour.
const RETRY_SECONDS: core::ops::RangeInclusive<i64> = 30..=3600;

/// Seconds after which a release that is rolled out in stages is asked about again while it downloads: a halt is heard then.
const ASK_SECONDS: i64 = 300;
/// The same before its activation.
const LAST_ASK_SECONDS: i64 = 60;

/// What may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Boots that a new release gets, at least 1; and how often the agent restarts the device for it in vain.
    pub tries: u8,
    /// Whether the agent restarts the device. Where somebody else does, the old release runs until then, however often
    /// the agent is started.
    pub restarts: bool,
    /// Seconds between two checks.
    pub check_seconds: i64,
    /// Seconds by which this device comes later than others, so that a fleet is no stampede. Drawn by the driver.
    pub jitter_seconds: i64,
    /// Bytes between two points that a download or an installation goes on from.
    pub checkpoint_bytes: u64,
    /// Bytes of memory that a delta may ask for; 0: full payloads alone are taken.
    pub delta_memory: u64,
    /// When updates leave the device alone.
    pub quiet: QuietHours,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tries: trial::TRIES,
            restarts: true,
            check_seconds: 4 * 3600,
            jitter_seconds: 0,
            checkpoint_bytes: CHECKPOINT,
            delta_memory: DELTA_MEMORY,
            quiet: QuietHours::default(),
        }
    }
}

/// What the driver tells.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Answers [`Effect::LookAround`].
    Started {
        /// The slot that runs.
        booted: Slot,
        /// What the boot loader thinks.
        status: BootStatus,
    },
    /// Answers [`Effect::Save`].
    Saved,
    /// Answers [`Effect::Check`]; the plan belongs to [`Decision::Update`].
    Checked(Decision, Option<Box<Plan>>),
    /// Answers [`Effect::AskHealth`].
    Said(Verdict),
    /// Answers any other effect; [`Event::Progress`] may come while it goes on.
    Happened(Event),
    /// The effect has come as far as it goes without a look at the clock; it goes on from where the state says.
    Paused,
    /// The effect failed.
    Failed(PortError),
    /// The owner wants something.
    Owner(Wish),
}

/// What an owner may want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Look for updates now, and retry what waits.
    CheckNow,
    /// Put updates off.
    PostponeUntil(Timestamp),
    /// Take the newest release that may be taken now: neither its rollout nor what the owner said before counts. Hardware,
    /// barriers, floors, withdrawals and failures do.
    AtOnce,
    /// Try every failed release again.
    Retry,
    /// Say that the release on trial works.
    Confirm,
    /// Go back to the release in the other slot. [`crate::revert`] has made the plan.
    Revert(Box<Plan>),
}

/// What is to be done. Each is idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Save the journal. Answer: [`Input::Saved`].
    Save,
    /// Find out what is running, and what the boot loader thinks. Answer: [`Input::Started`].
    LookAround,
    /// Refresh the metadata, read the documents, decide. Answer: [`Input::Checked`].
    Check,
    /// Run the hook, and find out whether there is room to stage. Answer: [`Event::Stages`], [`Event::Streams`].
    Prepare,
    /// Stage the payload from this offset on. Answer: [`Event::Progress`]…, [`Event::Arrived`].
    Download {
        /// In the payload, in bytes.
        from: u64,
    },
    /// Make the target slot unbootable. Answer: [`Event::Claimed`].
    Claim,
    /// Make the target slot ready. Answer: [`Event::Begun`].
    Begin,
    /// Write the image from this offset on, and read it back. Answer: [`Event::Progress`]…, [`Event::Installed`].
    Install {
        /// In the image, in bytes.
        from: u64,
    },
    /// Run the hook, and activate the slot, after reading it back where that wasn't done since the last start.
    /// Answer: [`Event::Activated`].
    Activate {
        /// Boots that it gets.
        tries: u8,
    },
    /// Restart the device. There is no answer.
    Reboot,
    /// Ask for the product's health. Answer: [`Input::Said`].
    AskHealth,
    /// Mark the slot good, then raise the counter. Answer: [`Event::Settled`].
    Settle,
    /// The boot loader fell back although the release was confirmed: mark the slot good, then restart. No answer.
    Reinstate,
    /// Make the running slot unbootable, then restart. No answer.
    FallBack,
    /// Make the slot of the failed release unbootable. Answer: [`Event::Retired`].
    Retire,
}

/// Why to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// To look for updates.
    Check,
    /// Something failed for now.
    Retry,
    /// The product's health is not known yet.
    Health,
    /// The owner has put updates off.
    Postponed,
    /// The release is rolled out in stages, and held here.
    Rollout,
    /// These are quiet hours.
    Quiet,
}

/// The state machine with its journal.
#[derive(Debug)]
pub struct Client {
    journal: Journal,
    settings: Settings,
    booted: Option<Slot>,
    status: Option<BootStatus>,
    /// The journal has changed since it was saved.
    unsaved: bool,
    /// The effect that was handed out and has not been answered.
    under_way: Option<Effect>,
    /// The device is restarting.
    restarting: bool,
    /// Nothing is done before this.
    pause: Option<(Timestamp, Why)>,
    retries: u32,
    next_check: Timestamp,
    /// When a check was answered last, or nobody was there to answer.
    asked: Timestamp,
}

impl Client {
    /// With the journal that was loaded, or [`Journal::new`] on a new device.
    pub fn new(journal: Journal, settings: Settings) -> Self {
        Self {
            journal,
            settings,
            booted: None,
            status: None,
            unsaved: false,
            under_way: None,
            restarting: false,
            pause: None,
            retries: 0,
            next_check: Timestamp::from_unix(i64::MIN),
            asked: Timestamp::from_unix(i64::MIN),
        }
    }

    /// What is remembered.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How far the update has come.
    pub fn state(&self) -> State {
        self.journal.state
    }

    /// What was set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The slot that runs, once it is known.
    pub fn booted(&self) -> Option<Slot> {
        self.booted
    }

    /// What the boot loader thought when the program started, once it is known.
    pub fn boot_status(&self) -> Option<BootStatus> {
        self.status
    }

    /// Whether the journal has changed since it was saved.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    /// Reports up to `sequence` have reached the server.
    pub fn acknowledge(&mut self, sequence: u64) {
        self.journal.reports.acknowledge(sequence);
        self.unsaved = true;
    }

    /// Takes what happened.
    ///
    /// # Errors
    /// [`Illegal`] for what can't happen now; nothing has changed then.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Result<(), Illegal> {
        self.forget_elapsed(now);
        match input {
            Input::Tick => {}
            Input::Saved => self.unsaved = false,
            Input::Started { booted, status } => return self.on_start(booted, status, now),
            Input::Checked(decision, plan) => return self.on_checked(&decision, plan.map(|plan| *plan), now),
            Input::Said(verdict) => return self.on_verdict(&verdict, now),
            Input::Happened(event) => {
                self.happen(event, now)?;
                // Progress comes while the effect goes on.
                if !matches!(event, Event::Progress { .. }) {
                    self.under_way = None;
                    self.retries = 0;
                }
            }
            Input::Paused => self.under_way = None,
            Input::Failed(error) => return self.on_failure(&error, now),
            Input::Owner(wish) => return self.on_wish(wish, now),
        }
        Ok(())
    }

    /// What to do next; `None` while the last effect has not been answered, or nothing is to be done now. Only
    /// [`Effect::Save`] is handed out while another effect goes on.
    pub fn poll_effect(&mut self, now: Timestamp) -> Option<Effect> {
        if self.restarting {
            return None;
        }
        let effect = if self.unsaved {
            // Saving interrupts nothing: the effect under way is handed out no second time.
            return Some(Effect::Save);
        } else if self.under_way.is_some() || self.pause.is_some_and(|(until, _)| until > now) {
            return None;
        } else if self.booted.is_none() {
            Effect::LookAround
        } else {
            let effect = self.wanted(now)?;
            if let Some(end) = self.quiet_until(effect, now) {
                self.pause = Some((end, Why::Quiet));
                return None;
            }
            effect
        };
        self.under_way = Some(effect);
        self.restarting = matches!(effect, Effect::Reboot | Effect::Reinstate | Effect::FallBack);
        Some(effect)
    }

    /// Until when quiet hours put an effect off. What the owner wants at once, or back, waits for nothing; nor does a check, a
    /// trial, or the way back from one.
    fn quiet_until(&self, effect: Effect, now: Timestamp) -> Option<Timestamp> {
        let waits = self.journal.state.waits_for_quiet() && effect != Effect::Check;
        let waits = waits && self.is_update() && self.journal.at_once.is_none();
        self.settings.quiet.until(now).filter(|_| waits)
    }

    /// Drops waits that are over, and those that only a clock that ran ahead can have set: a clock that is put back
    /// must not stop a device for years.
    fn forget_elapsed(&mut self, now: Timestamp) {
        let longest = |why| match why {
            Why::Health => trial::QUESTION_SECONDS,
            Why::Retry => *RETRY_SECONDS.end(),
            Why::Postponed => POSTPONED_SECONDS,
            Why::Rollout => self.check_seconds(),
            Why::Quiet => 86_400,
            Why::Check => i64::MAX,
        };
        let is_over = |(until, why): (Timestamp, Why)| until <= now || until > now.plus_seconds(longest(why));
        self.pause = self.pause.filter(|pause| !is_over(*pause));
        if self.next_check > now.plus_seconds(self.check_seconds()) {
            self.next_check = now;
        }
        if self.asked > now {
            self.asked = Timestamp::from_unix(i64::MIN);
        }
    }

    fn check_seconds(&self) -> i64 {
        self.settings.check_seconds.saturating_add(self.settings.jitter_seconds)
    }

    /// When to come back at the latest, with [`Input::Tick`], and why.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Why)> {
        match self.pause {
            Some(pause) => Some(pause),
            None if self.journal.state == State::Idle => Some((self.next_check, Why::Check)),
            None => None,
        }
    }

    /// The effect that the state asks for.
    fn wanted(&self, now: Timestamp) -> Option<Effect> {
        let plan = self.journal.plan.as_ref();
        let runs_new = plan.is_some_and(|plan| self.booted == Some(plan.slot));
        let check = !self.is_current(now) || now >= self.next_check || self.asks_again(now);
        Some(match self.journal.state {
            State::Idle if now >= self.next_check => Effect::Check,
            State::Idle => return None,
            // Nothing is downloaded, written or activated on the word of metadata that has expired since.
            state if state.is_before_activation() && check && self.is_update() => Effect::Check,
            State::Verified => Effect::Prepare,
            State::Downloading { offset } => Effect::Download { from: offset },
            State::Staged => Effect::Claim,
            State::Claimed => Effect::Begin,
            State::Installing { offset } => Effect::Install { from: offset },
            State::Installed => Effect::Activate { tries: self.settings.tries.max(1) },
            State::Activated { .. } => Effect::Reboot,
            State::Trying => Effect::AskHealth,
            State::Confirmed if runs_new => Effect::Settle,
            State::Confirmed => Effect::Reinstate,
            State::Unhealthy { .. } | State::FellBack { .. } | State::Retiring if runs_new => {
                Effect::FallBack
            }
            State::Unhealthy { .. } | State::FellBack { .. } | State::Retiring => Effect::Retire,
        })
    }

    /// Whether it is time to ask how far the rollout of the release under way is open: a halt stops a download, and an
    /// activation.
    fn asks_again(&self, now: Timestamp) -> bool {
        let is_rolled_out = self.source().is_some_and(|source| source.rollout.is_some());
        let seconds = if self.journal.state == State::Installed { LAST_ASK_SECONDS } else { ASK_SECONDS };
        is_rolled_out && now >= self.asked.plus_seconds(seconds)
    }

    fn source(&self) -> Option<&Source> {
        self.journal.plan.as_ref()?.source.as_ref()
    }

    /// Whether the metadata still vouches for the plan, and the rollout's last status lets the device have it.
    fn is_current(&self, now: Timestamp) -> bool {
        // A clock that was turned back revives nothing: what was signed offline since says how late it is at least.
        let clock = self.journal.known.signed_at.map_or(now, |signed_at| signed_at.max(now));
        self.source().is_none_or(|source| {
            source.expires > clock && source.rollout.is_none_or(|admitted| admitted.is_current(clock))
        })
    }

    /// Whether everything is here that the update needs from now on, is still vouched for, and wanted.
    fn goes_on_alone(&self, now: Timestamp) -> bool {
        let source = self.source();
        let is_here = match self.journal.state {
            State::Staged | State::Claimed | State::Installing { .. } => {
                source.is_some_and(|source| source.staged)
            }
            State::Installed => true,
            _ => false,
        };
        let put_off = self.journal.postponed_until.is_some_and(|until| until > now);
        is_here && self.is_current(now) && !put_off
    }

    /// Whether the plan comes from a channel, and not from the owner who wants the other slot back.
    fn is_update(&self) -> bool {
        self.journal.plan.as_ref().is_some_and(|plan| plan.source.is_some())
    }

    fn on_start(&mut self, booted: Slot, status: BootStatus, now: Timestamp) -> Result<(), Illegal> {
        self.under_way = None;
        (self.booted, self.status) = (Some(booted), Some(status));
        let Some(plan) = &self.journal.plan else { return Ok(()) };
        let slot = plan.slot;
        let mut event = trial::at_start(self.journal.state, slot, booted, status.of(slot));
        if self.settings.restarts && trial::is_fruitless_start(self.journal.state, slot, booted) {
            let restarts = self.journal.restarts.saturating_add(1);
            (self.journal.restarts, self.unsaved) = (restarts, true);
            let given_up = (restarts > self.settings.tries).then_some(FailureCode::DidNotBoot);
            event = event.or(given_up.map(|code| Event::BootedOld { code }));
        }
        event.map_or(Ok(()), |event| self.happen(event, now))?;
        // Each start counts as a question, or a program that dies before the answer would ask for ever.
        if self.journal.state == State::Trying && self.journal.questions >= trial::QUESTIONS {
            return self.happen(Event::Unhealthy { code: FailureCode::Unhealthy }, now);
        }
        Ok(())
    }

    fn on_checked(&mut self, decision: &Decision, plan: Option<Plan>, now: Timestamp) -> Result<(), Illegal> {
        self.under_way = None;
        self.retries = 0;
        (self.next_check, self.asked) = (now.plus_seconds(self.check_seconds()), now);
        self.note_decision(decision, now);
        self.note_at_once(decision);
        if let Decision::Held { told: PassedOver { version: Some(version), reason, .. }, .. } = decision
            && matches!(reason, Reason::Held { why: HoldReason::Postponed, .. })
        {
            self.note_put_off(version, now);
        }
        let before = self.journal.state.is_before_activation() && self.is_update();
        if before && plan.is_some() && self.is_only_unheard_of(decision, now) {
            return Ok(());
        }
        match (plan, &mut self.journal.plan) {
            (Some(new), Some(old)) if before && new.manifest == old.manifest => {
                if let (Some(old), Some(new)) = (&mut old.source, new.source) {
                    (old.expires, old.rollout) = (new.expires, new.rollout);
                    if let Some(full) = &mut old.full {
                        full.expires = new.expires;
                    }
                    self.unsaved = true;
                }
                Ok(())
            }
            (Some(new), Some(_)) if before => {
                self.happen(Event::Dropped, now)?;
                if self.journal.state != State::Idle {
                    // The slot is made unbootable first.
                    self.next_check = now;
                    return Ok(());
                }
                self.begin(Event::Chosen, new, now)
            }
            (Some(new), None) => self.begin(Event::Chosen, new, now),
            (None, Some(_)) if before => self.put_off_or_drop(decision, now),
            // Activated or on trial: that comes to its end first.
            _ => Ok(()),
        }
    }

    /// Whether nothing speaks against what was begun but that its server said nothing this time, while its last word still
    /// counts: then it isn't dropped for another release.
    fn is_only_unheard_of(&self, decision: &Decision, now: Timestamp) -> bool {
        let Some(plan) = &self.journal.plan else { return false };
        let reason = decision.reason_for(&plan.manifest);
        let is_silence = |reason: &Reason| matches!(reason, Reason::Held { why: HoldReason::Rollout { admission, .. }, .. } if admission.is_silence());
        reason.is_some_and(is_silence) && self.is_current(now)
    }

    /// What was begun waits where the owner said so or its rollout holds it, and is dropped for any other reason.
    fn put_off_or_drop(&mut self, decision: &Decision, now: Timestamp) -> Result<(), Illegal> {
        if let Decision::Held { told: PassedOver { reason, .. }, .. } = decision
            && let Reason::Held { until: Some(until), why: HoldReason::Postponed } = reason
        {
            self.pause = Some((*until, Why::Postponed));
            return Ok(());
        }
        let manifest = self.journal.plan.as_ref().map(|plan| plan.manifest);
        match manifest.and_then(|manifest| decision.reason_for(&manifest)) {
            Some(Reason::Held { why: HoldReason::Rollout { admission, .. }, .. }) => {
                self.hold(admission, now);
                Ok(())
            }
            _ => self.happen(Event::Dropped, now),
        }
    }

    /// The rollout holds what was begun: it stays as it is until that ends. Where the server only says nothing, its last word
    /// counts as long as it said it would; where it says "stop", that counts for good, also after a power cut and with
    /// nobody to ask.
    fn hold(&mut self, admission: &Admission, now: Timestamp) {
        if admission.is_silence() && self.is_current(now) {
            return;
        }
        if let Some(source) = self.journal.plan.as_mut().and_then(|plan| plan.source.as_mut()) {
            source.rollout = Some(Admitted::HELD);
            self.unsaved = true;
        }
        let ends = match admission {
            Admission::NotBefore { at, .. } => *at,
            _ => self.next_check,
        };
        self.pause = Some((ends.min(self.next_check), Why::Rollout));
    }

    fn on_verdict(&mut self, verdict: &Verdict, now: Timestamp) -> Result<(), Illegal> {
        self.under_way = None;
        self.journal.questions = self.journal.questions.saturating_add(1);
        self.unsaved = true;
        if let Verdict::Unhealthy(detail) = verdict {
            self.note_trouble(detail);
        }
        match trial::judge(verdict, self.journal.questions) {
            Some(event) => self.happen(event, now),
            None => {
                self.pause = Some((now.plus_seconds(trial::QUESTION_SECONDS), Why::Health));
                Ok(())
            }
        }
    }

    fn on_failure(&mut self, error: &PortError, now: Timestamp) -> Result<(), Illegal> {
        let effect = self.under_way.take();
        self.restarting = false;
        if effect == Some(Effect::AskHealth) {
            return self.on_verdict(&Verdict::NotYet, now);
        }
        if effect == Some(Effect::Check) {
            self.note_no_decision(error, now);
            // Nobody answers, after a restart in the cellar for instance. What has arrived is as good as it was then.
            if error.code == FailureCode::Unreachable && self.goes_on_alone(now) {
                (self.next_check, self.asked) = (now.plus_seconds(*RETRY_SECONDS.end()), now);
                return Ok(());
            }
        }
        if self.delta_ends(effect, error.code) {
            self.note_trouble(&alloc::format!("{error}"));
            return self.happen(Event::DeltaFailed { code: error.code }, now);
        }
        let ends = self.journal.state.is_before_activation()
            && effect != Some(Effect::Check)
            && !self.may_pass(error.code);
        if ends {
            self.note_trouble(&alloc::format!("{error}"));
            return self.happen(Event::Failed { code: error.code }, now);
        }
        let seconds = RETRY_SECONDS.start().saturating_mul(1 << self.retries.min(10));
        self.retries = self.retries.saturating_add(1);
        self.pause = Some((now.plus_seconds(seconds.min(*RETRY_SECONDS.end())), Why::Retry));
        Ok(())
    }

    /// Whether a failure is the delta's, and the full payload may do better. A full disk or a silent network is not.
    fn delta_ends(&mut self, effect: Option<Effect>, code: FailureCode) -> bool {
        use FailureCode as F;
        let plan = self.journal.plan.as_ref();
        let source = self.source().filter(|source| source.delta().is_some());
        let Some(source) = source else { return false };
        let works = match effect {
            Some(Effect::Prepare | Effect::Download { .. }) => true,
            // What was written whole and is read back wrongly was written from right bytes.
            Some(Effect::Install { .. }) => {
                let written = State::Installing { offset: plan.map_or(0, |plan| plan.length) };
                self.journal.state != written
            }
            _ => false,
        };
        let from_staging = source.staged && matches!(self.journal.state, State::Installing { .. });
        match code {
            _ if !works => false,
            F::DeltaSource | F::DeltaMalformed | F::DeltaMemory | F::ImageDigest => true,
            F::PayloadDigest if from_staging => true,
            F::PayloadDigest | F::BadAnswer => {
                self.journal.delta_answers = self.journal.delta_answers.saturating_add(1);
                self.unsaved = true;
                self.journal.delta_answers >= DELTA_ANSWERS
            }
            _ => false,
        }
    }

    /// Whether a failure is one of the moment: tried again from where the update has come to, without being counted.
    fn may_pass(&self, code: FailureCode) -> bool {
        use FailureCode as F;
        let source = self.source();
        let from_network = match self.journal.state {
            State::Installing { .. } => source.is_some_and(|source| !source.staged),
            _ => true,
        };
        match code {
            F::Unreachable | F::BadAnswer | F::Storage | F::BootControl => true,
            // Another answer may be right; what is staged stays wrong.
            F::PayloadDigest => from_network,
            _ => false,
        }
    }

    fn on_wish(&mut self, wish: Wish, now: Timestamp) -> Result<(), Illegal> {
        match wish {
            Wish::CheckNow => {
                self.next_check = now;
                self.pause = self.pause.filter(|(_, why)| *why == Why::Health);
            }
            Wish::PostponeUntil(until) => {
                self.journal.postponed_until = Some(until.min(now.plus_seconds(POSTPONED_SECONDS)));
                (self.next_check, self.unsaved) = (now, true);
                self.pause = self.pause.filter(|(_, why)| *why != Why::Postponed);
            }
            Wish::AtOnce => {
                self.journal.at_once = Some(AtOnce::Next);
                (self.next_check, self.unsaved) = (now, true);
                self.pause = self.pause.filter(|(_, why)| *why == Why::Health);
            }
            Wish::Retry => {
                self.journal.failed.clear();
                self.journal.failed_deltas.clear();
                self.journal.postponed_until = None;
                (self.pause, self.next_check, self.unsaved) = (None, now, true);
            }
            Wish::Confirm => {
                self.happen(Event::Healthy, now)?;
                self.pause = None;
            }
            Wish::Revert(plan) => {
                self.begin(Event::Reverting, *plan, now)?;
                self.pause = None;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
