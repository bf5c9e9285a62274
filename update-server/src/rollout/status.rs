//! The status of a rollout as devices read it: made of the record, signed by the rollout key, kept in the record before it is
//! served. Its number is max(last + 1, Unix seconds), as a timestamp's version is.

use super::offers::Offer;
use super::record::{Record, State};
use crate::keys::OnlineKey;
use perennial_schemas::digest::encode_hex;
use perennial_schemas::document::FormatError;
use perennial_schemas::rollout::{RolloutState, RolloutStatus};
use perennial_schemas::signed::{Envelope, Signature};
use perennial_schemas::tuf::{Common, Role};
use perennial_schemas::{HardwareName, Signed, Timestamp};
use std::collections::BTreeMap;

/// Bytes of a reason in a status: a person may have written more into the audit.
const REASON: usize = 512;
/// Bytes of all reasons of single hardware revisions: with as many names, each escaped to two, a status has its room.
const REASONS: usize = 4096;
/// A status that seems to be of the future was signed before the clock was set back: after so many seconds it is signed anew.
pub(super) const AHEAD: i64 = 60;

/// Why no status could be signed.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The key didn't sign.
    #[error("the rollout key didn't sign: {0}")]
    Key(String),
    /// It can't be written down.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What a status says, apart from its number and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    open: u32,
    state: RolloutState,
    stopped: Vec<HardwareName>,
    since: Timestamp,
    reason: String,
    stopped_reasons: BTreeMap<HardwareName, String>,
}

impl Said {
    /// What the status of a rollout has to say. It is open as far as the phase that evidence has let it into; how far inside of
    /// that, the plan says. Before its first time it is open likewise, so that nobody who asks at that very moment is held.
    pub fn of(record: &Record, offer: Option<&Offer>) -> Self {
        let (state, open) = match record.state {
            State::Scheduled | State::Running | State::Finished => (RolloutState::Running, record.phase),
            State::Paused => (RolloutState::Paused, record.phase),
            State::Halted => (RolloutState::Halted, record.phase),
            State::Withdrawn => (RolloutState::Halted, usize::MAX),
        };
        let phase = offer.and_then(|offer| offer.plan.phases.get(open));
        Self {
            open: phase.map_or(0, |phase| phase.share),
            state,
            stopped: record.stopped.keys().cloned().collect(),
            since: record.changed(),
            reason: cut(&record.reason, REASON),
            stopped_reasons: record
                .stopped
                .iter()
                .map(|(hardware, stopped)| {
                    (hardware.clone(), cut(&stopped.reason, REASONS / record.stopped.len().max(1)))
                })
                .collect(),
        }
    }

    /// Whether the last status says it, however old it is.
    pub fn is_said_by(&self, record: &Record) -> bool {
        last(record).is_some_and(|last| {
            let RolloutStatus { open, state, stopped, since, reason, stopped_reasons, .. } = last;
            *self == Self { open, state, stopped, since, reason, stopped_reasons }
        })
    }

    /// The same, and it is less than half as old as it may get.
    pub fn is_current(&self, record: &Record, now: Timestamp) -> bool {
        let age = last(record).map_or(i64::MAX, |last| now.unix() - last.issued.unix());
        age < record.status_max_age as i64 / 2 && age > -AHEAD && self.is_said_by(record)
    }
}

fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most.min(REASON))].to_owned()
}

/// The last status of a record. Its signature isn't looked at: it was made here, or by another front end.
pub fn last(record: &Record) -> Option<RolloutStatus> {
    let signed = Signed::<RolloutStatus>::parse(record.status.as_bytes()).ok()?;
    Some(signed.unverified().clone())
}

/// Whether the last status lets devices go on where the record has stopped them since, and none was signed that says so.
pub fn is_overtaken(record: &Record) -> bool {
    last(record).is_some_and(|last| {
        let revision = || record.stopped.keys().any(|hardware| !last.stopped.contains(hardware));
        last.state == RolloutState::Running && (record.state.is_stopped() || revision())
    })
}

/// When the last status stops counting.
pub fn expires(record: &Record) -> Option<Timestamp> {
    last(record).map(|last| last.expires())
}

/// Signs the next status: the record with it. `audit` is the head of the audit's chain.
///
/// # Errors
/// [`StatusError`]
pub fn sign(
    record: &Record,
    said: &Said,
    key: &dyn OnlineKey,
    audit: &str,
    now: Timestamp,
) -> Result<Record, StatusError> {
    let expires = now.plus_seconds(record.status_max_age as i64);
    let seconds = |at: Timestamp| u64::try_from(at.unix()).unwrap_or(0);
    // A number further ahead than a status may live was given while the clock was wrong. No device took that status, and none
    // would take one that follows it.
    let last = if record.sequence < seconds(expires) { record.sequence } else { 0 };
    let sequence = last.saturating_add(1).max(seconds(now));
    let status = RolloutStatus {
        common: Common::new(RolloutStatus::TYPE, sequence, expires, None),
        product: record.product.clone(),
        manifest: record.manifest,
        key: record.key.clone(),
        issued: now,
        open: said.open,
        state: said.state,
        stopped: said.stopped.clone(),
        since: said.since,
        reason: said.reason.clone(),
        stopped_reasons: said.stopped_reasons.clone(),
        audit: audit.into(),
    };
    status.validate()?;
    let mut envelope = Envelope { signed: status, signatures: Vec::new() };
    let signature = key.sign(&envelope.canonical()?).map_err(StatusError::Key)?;
    envelope.signatures.push(Signature { keyid: key.keyid().clone(), sig: encode_hex(&signature) });
    let text = String::from_utf8_lossy(&envelope.to_text()?).into_owned();
    let mut after = record.clone();
    (after.sequence, after.status) = (sequence, text);
    Ok(after)
}
