//! Tells people and logs what the agent does, as it does it. It decides nothing.

use std::io::Write;

use perennial_device_core::decide::{Decision, Reason};
use perennial_device_core::machine::{Client, Effect};
use perennial_device_core::plan::Source;
use perennial_device_core::port::PortError;
use perennial_device_core::run::Notice;
use perennial_device_core::session::Checked;
use perennial_device_core::support::{SupportEvent, SupportNews};
use perennial_schemas::report::FailureCode;
use perennial_schemas::{ReleaseVersion, Size, Timestamp};

/// Characters of a progress bar.
const BAR: u64 = 24;
/// Log lines of a progress: one each tenth.
const LOGGED: u64 = 10;

/// Where words go.
pub struct Teller<'t> {
    /// For people; `None` where only the end counts.
    pub words: Option<&'t mut dyn Write>,
    /// For a progress bar; `None` without a terminal.
    pub bar: Option<&'t mut dyn Write>,
    /// The release under way.
    version: Option<ReleaseVersion>,
    slot: Option<perennial_device_core::port::Slot>,
    doing: &'static str,
    /// What is said once the release is really taken: quiet hours may come first.
    taking: Option<String>,
    shown: Option<u64>,
    /// The last check.
    pub last: Option<Last>,
    /// The last failure.
    pub failure: Option<PortError>,
}

/// What the last check came to.
#[derive(Debug, Clone)]
pub struct Last {
    /// The decision.
    pub decision: Decision,
    /// Until when the metadata holds.
    pub valid_until: Option<Timestamp>,
    /// A support record that was refused.
    pub support_refused: Option<String>,
    /// What the rollout's server says against a release that the owner takes at once.
    pub stopped: Option<String>,
}

impl<'t> Teller<'t> {
    /// A teller that says what it hears to `words`, and draws a bar on `bar`.
    pub fn new(words: Option<&'t mut dyn Write>, bar: Option<&'t mut dyn Write>) -> Self {
        Self {
            words,
            bar,
            version: None,
            slot: None,
            doing: "",
            taking: None,
            shown: None,
            last: None,
            failure: None,
        }
    }

    /// Looks at what is under way.
    pub fn look(&mut self, client: &Client) {
        if let Some(plan) = &client.journal().plan {
            (self.version, self.slot) = (Some(plan.version.clone()), Some(plan.slot));
        }
    }

    /// Hears what the core does.
    pub fn hear(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Begins(effect) => self.begins(*effect),
            Notice::Progress { done, total } => self.progress(*done, *total),
            Notice::Checked(checked) => self.checked(checked),
            Notice::Support(event) => self.support(event),
            Notice::DeltaFailed(error) => {
                tracing::warn!(code = error.code.number(), %error, "the delta came to nothing");
                self.say(&format!("The delta can't be used: {error}. The full payload takes its place."));
            }
            Notice::Failed(error) => {
                self.end_bar();
                tracing::warn!(code = error.code.number(), %error, "failed");
                self.failure = Some((*error).clone());
            }
        }
    }

    /// Says a line to people.
    pub fn say(&mut self, line: &str) {
        self.end_bar();
        if let Some(words) = &mut self.words {
            // Words that nobody can take are no reason to stop an installation.
            let _ = writeln!(words, "{line}").and_then(|()| words.flush());
        }
    }

    fn begins(&mut self, effect: Effect) {
        let version = self.version.as_ref().map_or_else(|| "the release".to_owned(), ToString::to_string);
        let slot = self.slot.map_or_else(|| "the other slot".to_owned(), |slot| format!("slot {slot}"));
        tracing::info!(version = self.version.as_ref().map(tracing::field::display), ?effect, "begins");
        match effect {
            Effect::Prepare => {
                if let Some(taking) = self.taking.take() {
                    self.say(&taking);
                }
            }
            Effect::Download { .. } => (self.doing, self.shown) = ("downloading", None),
            Effect::Install { .. } => (self.doing, self.shown) = ("installing", None),
            Effect::Activate { tries } => {
                self.say(&format!(
                    "{version} is in {slot}, read back and right. It gets {tries} boots to prove itself."
                ));
            }
            Effect::Reboot => self.say(&format!("Restarting into {slot}.")),
            Effect::AskHealth => self.say(&format!("{version} is running. Asking whether it works.")),
            Effect::Settle => self.say(&format!("{version} works: confirmed.")),
            Effect::FallBack => self.say(&format!("{version} does not work: going back.")),
            Effect::Retire => {
                self.say(&format!("The old release runs again; {slot} is not booted any more."))
            }
            Effect::Reinstate => self.say(&format!("{version} was confirmed: going back to it.")),
            _ => {}
        }
    }

    fn checked(&mut self, checked: &Checked) {
        tracing::info!(decision = %checked.decision, "checked");
        if let Some(error) = &checked.support_refused {
            tracing::warn!(code = error.code().number(), %error, "a support record is refused");
            self.say(&format!("A support record is refused: {error}."));
        }
        if let Some((version, why)) = &checked.status_refused {
            tracing::warn!(%version, why, "a rollout status is refused");
            self.say(&format!("A rollout status of {version} is refused: {why}."));
        }
        if let Some(version) = &checked.recalled.as_ref().map(|recalled| &recalled.version) {
            tracing::warn!(%version, "the release that runs was withdrawn");
        }
        if checked.withdrawn_left_out > 0 {
            let left_out = checked.withdrawn_left_out;
            tracing::warn!(left_out, "no room to remember more withdrawn releases");
            self.say(&format!(
                "{left_out} withdrawn releases found no room among those that are remembered."
            ));
        }
        if let (Decision::Update { version, passed_over, .. }, Some(plan)) =
            (&checked.decision, &checked.plan)
        {
            (self.version, self.slot) = (Some(version.clone()), Some(plan.slot));
            if let Some(stopped) = &checked.stopped {
                tracing::warn!(%version, stopped, "its owner takes it all the same");
                self.say(&format!("{version} is taken at its owner's word, although {stopped}."));
            }
            for passed in passed_over {
                self.say(&format!("Passed over: {passed}."));
            }
            let size = plan.source.as_ref().map_or(0, |source| source.payload_length);
            let delta = plan.source.as_ref().and_then(Source::delta).map(|(base, full)| {
                format!(" (a delta from {}; {} without it)", base.version, bytes(full.payload_length))
            });
            self.taking = Some(format!(
                "Taking {version}: {} to download{}, {} installed.",
                bytes(size),
                delta.unwrap_or_default(),
                bytes(plan.length)
            ));
        }
        self.last = Some(Last::of(checked));
    }

    fn support(&mut self, event: &SupportEvent) {
        let (news, text) = (event.support, &event.text);
        if news.is_alarming() {
            tracing::warn!(?news, code = event.code.map(|code| code.number()), "{text}");
        } else {
            tracing::info!(?news, "{text}");
        }
        // A refusal is said with the check, each time.
        if news != SupportNews::Refused {
            self.say(&format!("Support: {text}"));
        }
    }

    fn progress(&mut self, done: u64, total: u64) {
        let total = total.max(1);
        let tenth = done.saturating_mul(LOGGED) / total;
        if self.bar.is_none() {
            if self.shown != Some(tenth) {
                self.shown = Some(tenth);
                tracing::info!(done, total, "{}", self.doing);
            }
            return;
        }
        let filled = done.saturating_mul(BAR) / total;
        let hundredth = done.saturating_mul(100) / total;
        if self.shown == Some(hundredth) {
            return;
        }
        self.shown = Some(hundredth);
        let bar: String = (0..BAR).map(|at| if at < filled { '█' } else { '░' }).collect();
        if let Some(out) = &mut self.bar {
            let line =
                format!("\r{:<11} {bar} {hundredth:>3} %  {} of {}  ", self.doing, bytes(done), bytes(total));
            let _ = write!(out, "{line}").and_then(|()| out.flush());
        }
        if done >= total {
            self.end_bar();
        }
    }

    fn end_bar(&mut self) {
        if let (Some(out), Some(_)) = (&mut self.bar, self.shown.take()) {
            let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
        }
    }
}

impl Last {
    /// What a check came to.
    pub fn of(checked: &Checked) -> Self {
        Self {
            decision: checked.decision.clone(),
            valid_until: checked.validity.earliest().map(|(_, until)| until),
            support_refused: checked.support_refused.as_ref().map(ToString::to_string),
            stopped: checked.stopped.clone(),
        }
    }

    /// The number of the reason why nothing is installed, for a refusal.
    pub fn refusal(&self) -> Option<FailureCode> {
        match &self.decision {
            Decision::Refused(passed) => match &passed.reason {
                Reason::Refused(refusal) => Some(refusal.code()),
                Reason::Held { .. } => None,
            },
            _ => None,
        }
    }
}

/// A size for people: `12.3 MB`.
pub fn bytes(count: u64) -> String {
    Size(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn_and_taken_away() {
        let (mut words, mut bar) = (Vec::new(), Vec::new());
        let mut teller = Teller::new(Some(&mut words), Some(&mut bar));
        teller.begins(Effect::Install { from: 0 });
        teller.hear(&Notice::Progress { done: 50_000_000, total: 100_000_000 });
        teller.say("done");
        let bar = String::from_utf8(bar).unwrap();
        assert!(bar.contains("installing  ████████████░░░░░░░░░░░░  50 %  50.0 MB of 100.0 MB"), "{bar}");
        assert!(bar.ends_with("\r\x1b[K"));
        assert_eq!(words, b"done\n");
    }
}
