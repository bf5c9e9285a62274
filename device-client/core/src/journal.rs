//! The journal: one durable record with everything that changes when an update takes a step.
//!
//! One record, so that one commit moves the state, the failed releases and the reports together: after a power cut
//! they agree. It decides only how long a failed release waits.
//!
//! Two versions of the program take turns at it: the one in a new image, and after a fall-back the one in the old image.
//! So a field that is added has a default, and one that isn't known here is passed over: it is gone with the next save,
//! and its writer begins again without it. Only what an update under way needs before its activation
//! ([`crate::plan::Source`]) is known whole or not at all. What may not be passed over comes with another format.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::ident::CohortName;
use perennial_schemas::report::FailureCode;
use perennial_schemas::{Date, ReleaseVersion, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::machine::{Event, State, next};
use crate::plan::{Glimpse, Plan};
use crate::port::Slot;
use crate::report::Reports;
use crate::trust;

const FORMAT: &str = "perennial.journal/1";

/// Failed releases that are remembered; the oldest is forgotten first. A channel has few that fail.
pub const FAILED_RELEASES: usize = 64;

/// Releases whose deltas failed that are remembered; the oldest is forgotten first.
const FAILED_DELTAS: usize = 16;

/// Seconds until a failed release may be tried again, after its first and second failure. After the third only the
/// owner or a new manifest brings it back.
pub const FAILURE_WAITS: [i64; 2] = [3600, 24 * 3600];
/// Doublings of the first of these waits, up to the last, for failures that are not the release's own: 1, 2, 4, 8, 16 and
/// 24 hours. A disk that stays full, or a hook that stays broken, costs one download a day.
const DOUBLINGS: u8 = 5;

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    format: String,
    /// How far the update has come.
    pub state: State,
    /// The update, while there is one.
    pub plan: Option<Plan>,
    /// What slot A holds.
    pub a: Option<Content>,
    /// What slot B holds.
    pub b: Option<Content>,
    /// Releases that failed here.
    pub failed: Vec<FailedRelease>,
    /// Releases whose deltas failed here: they are taken from their full payloads. Left out where there is none, so that
    /// an agent of before deltas reads the journal, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_deltas: Vec<FailedDelta>,
    /// Until when the owner has put updates off.
    pub postponed_until: Option<Timestamp>,
    /// What happened.
    pub reports: Reports,
    /// The last decision.
    pub said: Option<Said>,
    /// What the other records knew at the last check: taken where one of them is lost.
    #[serde(default)]
    pub known: Known,
    /// The release that was last put off, and since when: its maker may have signed a limit.
    #[serde(default)]
    pub put_off: Option<PutOff>,
    /// What the owner wants at once: neither its rollout, quiet hours nor a postponement counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<AtOnce>,
    /// That the release which runs was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalled: Option<Recalled>,
    /// The last rollout status that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_status: Option<RefusedStatus>,
    /// How often in a row a wrong answer has met a delta in this state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) delta_answers: u8,
    /// How often the program has started in this state and found the old release running.
    #[serde(default)]
    pub(crate) restarts: u8,
    /// How often the product was asked, and the program started, in this trial.
    #[serde(default)]
    pub(crate) questions: u16,
    /// What went wrong with the update under way, for the report that follows.
    pub(crate) trouble: String,
}

/// What a check learnt that must not go with the record that it stands in. At most 66 roles, so it stays under 16 KiB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// The floors of the metadata.
    pub floors: trust::Floors,
    /// The lower bound of the time that the offline signatures give.
    pub signed_at: Option<Timestamp>,
    /// The last day on which security updates are promised.
    pub promised_until: Option<Date>,
    /// The last day for the units of the device's own cohort, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promised_to: Option<PromisedTo>,
}

/// What was promised to the units of one cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromisedTo {
    /// The cohort.
    pub cohort: CohortName,
    /// The last day on which security updates are promised.
    pub until: Date,
}

/// A release that its owner wants at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtOnce {
    /// Whichever the next check finds.
    Next,
    /// The one of this manifest.
    Of(Sha256Digest),
}

/// A release that its owner has put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOff {
    /// The release.
    pub version: ReleaseVersion,
    /// When it would have been installed.
    pub since: Timestamp,
}

/// The length of [`Said::text`], in bytes of UTF-8; a longer one is cut.
pub const SAID_LENGTH: usize = 1024;

/// The last decision, for people who ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Since when it is the same.
    pub since: Timestamp,
    /// What was decided, or why it could not be.
    pub text: String,
    /// The release that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ReleaseVersion>,
    /// What the device waits for.
    #[serde(default)]
    pub waits: Waits,
    /// Until when at most, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a device waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// Nothing.
    #[default]
    Nothing,
    /// A check that somebody answers.
    Check,
    /// Its place in a rollout's plan, or its turn after a hold.
    Turn,
    /// A rollout's server, which holds it back or says nothing.
    Server,
    /// A rollout's signers.
    Signers,
    /// Its owner.
    Owner,
    /// The time until a release that failed here is tried again.
    Failure,
    /// Another release than the one that is offered.
    Release,
    /// The end of quiet hours.
    QuietHours,
    /// Its restart.
    Restart,
    /// The end of a trial.
    Trial,
    /// Something that this version doesn't know.
    #[serde(other)]
    Unknown,
}

/// A release that runs, and was withdrawn since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    /// Its version.
    pub version: ReleaseVersion,
    /// Why, in its maker's words, at most [`crate::report::DETAIL_LENGTH`] bytes; empty where its channel doesn't say it any more.
    pub reason: String,
}

/// A rollout status that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStatus {
    /// The device's clock at the first check that found it.
    pub at: Timestamp,
    /// The release that it was served for.
    pub version: ReleaseVersion,
    /// Why, at most [`crate::report::DETAIL_LENGTH`] bytes.
    pub why: String,
    /// When a check came to no such status any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Timestamp>,
}

/// A release that was confirmed in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its version.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest; `None` for an image from the factory that doesn't know it.
    pub manifest: Option<Sha256Digest>,
    /// Its anti-rollback number.
    pub security_version: u32,
    /// Length and SHA-256 of the image as it was installed; `None` for an image from the factory.
    pub image: Option<(u64, Sha256Digest)>,
}

/// A release that failed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRelease {
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// Its version.
    pub version: ReleaseVersion,
    /// Why it failed last; `None` where the owner went back from it.
    pub code: Option<FailureCode>,
    /// How often it failed in a way that is the release's own fault.
    pub tries: u8,
    /// How often it failed otherwise.
    #[serde(default)]
    pub others: u8,
    /// When it may be tried again; `None`: only when the owner says so.
    pub again: Option<Timestamp>,
}

/// A release whose delta failed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedDelta {
    /// SHA-256 of the release's manifest.
    pub manifest: Sha256Digest,
    /// Its version.
    pub version: ReleaseVersion,
    /// How.
    pub code: FailureCode,
}

/// The bytes are no journal of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal can't be read: {0}")]
pub struct JournalError(String);

impl Journal {
    /// The journal of a device on which nothing has happened, with what the booted slot holds, as far as it is known.
    pub fn new(booted: Slot, content: Option<Content>) -> Self {
        let (a, b) = match booted {
            Slot::A => (content, None),
            Slot::B => (None, content),
        };
        Self {
            format: FORMAT.into(),
            state: State::Idle,
            plan: None,
            a,
            b,
            failed: Vec::new(),
            failed_deltas: Vec::new(),
            postponed_until: None,
            reports: Reports::default(),
            said: None,
            known: Known::default(),
            put_off: None,
            at_once: None,
            recalled: None,
            refused_status: None,
            delta_answers: 0,
            restarts: 0,
            questions: 0,
            trouble: String::new(),
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`JournalError`] never for a journal that this program made; the serialiser is fallible.
    pub fn encode(&self) -> Result<Vec<u8>, JournalError> {
        serde_json::to_vec(self).map_err(|e| JournalError(e.to_string()))
    }

    /// Reads it, as an older or a newer version of this program may have written it. An update that a newer one has
    /// begun, and that can't be gone on with here, is dropped as far as that may still be; one that was activated comes
    /// to its end.
    ///
    /// # Errors
    /// [`JournalError`], also for a state that isn't known here; nothing is installed then.
    pub fn decode(bytes: &[u8]) -> Result<Self, JournalError> {
        let unreadable = |error: serde_json::Error| JournalError(error.to_string());
        let mut journal: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if journal.format != FORMAT {
            return Err(JournalError(alloc::format!("its format is {:?}, not {FORMAT}", journal.format)));
        }
        if (journal.state == State::Idle) != journal.plan.is_none() {
            return Err(JournalError("its state and its plan do not fit".into()));
        }
        let Glimpse { plan } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if plan.is_some_and(|plan| plan.is_foreign()) {
            journal.drop_plan();
        }
        Ok(journal)
    }

    fn drop_plan(&mut self) {
        if let Ok(state) = next(self.state, Event::Dropped) {
            self.state = state;
            self.plan = self.plan.take().filter(|_| state != State::Idle);
        }
    }

    /// What a slot holds, where it is known and was confirmed.
    pub fn content(&self, slot: Slot) -> Option<&Content> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    /// Notes what a slot holds.
    pub(crate) fn set_content(&mut self, slot: Slot, content: Option<Content>) {
        match slot {
            Slot::A => self.a = content,
            Slot::B => self.b = content,
        }
    }

    /// Notes a failure of a release.
    pub(crate) fn note_failure(
        &mut self,
        version: &ReleaseVersion,
        manifest: &Sha256Digest,
        code: FailureCode,
        now: Timestamp,
    ) {
        let before = self.take_failed(manifest);
        let own_fault = is_own_fault(code);
        let (tries, others) = before.map_or((0, 0), |failed| (failed.tries, failed.others));
        let (tries, others) =
            (tries.saturating_add(own_fault.into()), others.saturating_add((!own_fault).into()));
        let again = wait(tries, others).map(|seconds| now.plus_seconds(seconds));
        let (manifest, version) = (*manifest, version.clone());
        self.push_failed(FailedRelease { manifest, version, code: Some(code), tries, others, again });
    }

    /// The owner went back from a release: it comes again only when the owner says so.
    pub(crate) fn note_declined(&mut self, version: &ReleaseVersion, manifest: &Sha256Digest) {
        let (tries, others) =
            self.take_failed(manifest).map_or((0, 0), |failed| (failed.tries, failed.others));
        let (manifest, version) = (*manifest, version.clone());
        self.push_failed(FailedRelease { manifest, version, code: None, tries, others, again: None });
    }

    /// The owner wants a release that failed tried again, or it was confirmed.
    pub(crate) fn take_failed(&mut self, manifest: &Sha256Digest) -> Option<FailedRelease> {
        let at = self.failed.iter().position(|failed| failed.manifest == *manifest)?;
        Some(self.failed.remove(at))
    }

    /// The deltas of a release are of no use here.
    pub(crate) fn note_failed_delta(
        &mut self,
        version: &ReleaseVersion,
        manifest: &Sha256Digest,
        code: FailureCode,
    ) {
        self.forget_failed_delta(manifest);
        if self.failed_deltas.len() >= FAILED_DELTAS {
            self.failed_deltas.remove(0);
        }
        self.failed_deltas.push(FailedDelta { manifest: *manifest, version: version.clone(), code });
    }

    /// The release was confirmed.
    pub(crate) fn forget_failed_delta(&mut self, manifest: &Sha256Digest) {
        self.failed_deltas.retain(|failed| failed.manifest != *manifest);
    }

    fn push_failed(&mut self, failed: FailedRelease) {
        if self.failed.len() >= FAILED_RELEASES {
            self.failed.remove(0);
        }
        self.failed.push(failed);
    }
}

fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// Seconds until a release may be tried again that failed `tries` times by its own fault and `others` times by none of
/// its own; `None`: not by itself.
fn wait(tries: u8, others: u8) -> Option<i64> {
    let [first, last] = FAILURE_WAITS;
    let own = match tries {
        0 => 0,
        1 => first,
        2 => last,
        _ => return None,
    };
    let other = others.checked_sub(1).map_or(0, |others| last.min(first << others.min(DOUBLINGS)));
    Some(own.max(other))
}

/// A trial that failed, or verified bytes that don't make the signed image: trying more often doesn't help.
/// Everything else (no room, a hook, a disk) may be different next time.
fn is_own_fault(code: FailureCode) -> bool {
    use FailureCode as F;
    let trial = matches!(code, F::Unhealthy | F::DidNotBoot | F::UnattributedReset);
    trial || matches!(code, F::Decompression | F::ImageDigest)
}

#[cfg(test)]
mod tests;
