//! What an operation of a device makes of its row: pure functions of the row, the operation and a few facts. They read no
//! clock and no store; what they need to look up is handed in. Every verdict has a reason.

mod check_in;
mod enrol;
mod reports;
#[cfg(test)]
mod tests;

pub(crate) use enrol::Enrol;

use super::bytes::{Decoder, Encoder, Unreadable};
use super::identity::Identity;
use super::releases::Releases;
use super::row::{Credential, Row};
use crate::store::StoreError;
use perennial_schemas::fleet::{CheckIn, DeviceId, Flag, Flagged, Kind, RefusalCode, ReportQueue, Ticket};
use perennial_schemas::{Sha256Digest, Timestamp};
use std::sync::Arc;

/// Who does something.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// A device, by its verified certificate.
    Device(Arc<Identity>),
    /// A device whose signed queue somebody else brings: it says what the device said once, and not that it is there now.
    /// It may come late, or again.
    Carried(Arc<Identity>),
    /// Whoever says so, in lab mode.
    Lab(DeviceId),
}

/// What they do.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Hands in reports.
    Reports(ReportQueue),
    /// Checks in, and is given that ticket for the next time.
    CheckIn(Box<CheckIn>, Ticket),
    /// Enrols, or renews its certificate.
    Enrol(Box<Enrol>),
}

/// One operation on one device.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) who: Who,
    pub(crate) act: Act,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// Reports up to that sequence number are kept.
    Acknowledged { acknowledged: u64, flagged: Vec<Flagged> },
    /// Reports up to that sequence number were kept before.
    CheckedIn { acknowledged: u64 },
    /// In that epoch.
    Enrolled { epoch: u32 },
}

/// Done, or why not.
pub(crate) type Verdict = Result<Done, RefusalCode>;

/// What folding goes by.
pub(crate) struct Facts<'a> {
    /// The server's clock.
    pub(crate) now: Timestamp,
    /// The releases that it knows.
    pub(crate) releases: &'a Releases,
    /// Whether a factory certificate of that serial number is revoked.
    pub(crate) is_revoked: &'a dyn Fn(&[u8]) -> bool,
    /// What happened before isn't kept any longer.
    pub(crate) oldest: Timestamp,
    /// How often the records were restored from an older copy.
    pub(crate) life: u32,
}

/// Records beside the row that an operation may have to look at.
pub(crate) trait Beside {
    /// The event under a key.
    fn event(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Whose a key is.
    fn owner(&mut self, key: &Sha256Digest) -> Result<Option<Owner>, StoreError>;
}

/// What changes beside the row.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Events that are new, by their key.
    pub(crate) events: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whose keys are now; `None`: nobody's any more.
    pub(crate) keys: Vec<(Sha256Digest, Option<Owner>)>,
    /// What was seen to be odd, for the figures.
    pub(crate) flags: Vec<Flag>,
}

/// Whose a public key is, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) device: DeviceId,
    pub(crate) kind: Kind,
}

impl Who {
    pub(crate) fn device(&self) -> &DeviceId {
        match self {
            Self::Device(identity) | Self::Carried(identity) => &identity.name.device,
            Self::Lab(device) => device,
        }
    }

    fn is_carried(&self) -> bool {
        matches!(self, Self::Carried(_))
    }
}

/// Folds an operation into a row: what the row becomes, what changes beside it, and the verdict. The row may change even
/// when the operation is refused, as what was odd about it is noted.
///
/// # Errors
/// [`StoreError`] when something beside can't be looked at.
pub(crate) fn fold(
    row: &mut Option<Row>,
    operation: &Operation,
    facts: &Facts<'_>,
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<Verdict, StoreError> {
    if let Act::Enrol(enrol) = &operation.act {
        let Who::Device(identity) = &operation.who else { return Ok(Err(RefusalCode::NotOffered)) };
        return enrol::enrol(row, identity, enrol, facts, beside, effects);
    }
    let row = match admit(row, operation, facts, beside, effects)? {
        Ok(row) => row,
        Err(code) => return Ok(Err(code)),
    };
    let carried = operation.who.is_carried();
    if !carried {
        row.seen(facts.now);
    }
    match &operation.act {
        Act::Reports(queue) => reports::take(row, queue, carried, facts, beside, effects).map(Ok),
        Act::CheckIn(said, ticket) => Ok(Ok(check_in::take(row, said, ticket, facts, effects))),
        Act::Enrol(_) => Ok(Err(RefusalCode::Internal)),
    }
}

/// The row of whoever may do more than enrol.
fn admit<'r>(
    row: &'r mut Option<Row>,
    operation: &Operation,
    facts: &Facts<'_>,
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<Result<&'r mut Row, RefusalCode>, StoreError> {
    match &operation.who {
        Who::Device(identity) | Who::Carried(identity) => {
            let Some(row) = row.as_mut().filter(|row| !row.lab) else {
                return Ok(Err(RefusalCode::NotEnrolled));
            };
            remember(row, identity, facts, beside, effects)?;
            let admitted = admit_certificate(row, identity, operation.who.is_carried(), facts, effects);
            Ok(admitted.map(|()| row))
        }
        Who::Lab(_) => Ok(admit_lab(row, operation, facts)),
    }
}

fn admit_lab<'r>(
    row: &'r mut Option<Row>,
    operation: &Operation,
    facts: &Facts<'_>,
) -> Result<&'r mut Row, RefusalCode> {
    let (product, hardware) = match &operation.act {
        Act::Reports(queue) => queue.reports.last().map(|last| (&last.product, &last.hardware)),
        Act::CheckIn(said, _) => Some((&said.product, &said.hardware)),
        Act::Enrol(_) => None,
    }
    .ok_or(RefusalCode::Unacceptable)?;
    let new = || Row::new(product.clone(), hardware.clone(), true, facts.now);
    let row = row.get_or_insert_with(new);
    // Whoever has an identity speaks with it: nobody in a laboratory speaks for them.
    if row.lab { Ok(row) } else { Err(RefusalCode::OtherDevice) }
}

/// Whether a fleet certificate opens more than its own renewal.
fn admit_certificate(
    row: &mut Row,
    identity: &Identity,
    carried: bool,
    facts: &Facts<'_>,
    effects: &mut Effects,
) -> Result<(), RefusalCode> {
    if identity.name.kind == Kind::Factory {
        return Err(RefusalCode::FactoryOnly);
    }
    if is_revoked(row, facts) {
        return Err(RefusalCode::Revoked);
    }
    if !is_current(row, identity) {
        // What was signed before a renewal and brought after it is late, and nobody's copy: the device has it still.
        if !carried {
            superseded(row, identity, facts, effects);
        }
        return Err(RefusalCode::Superseded);
    }
    if identity.expired(facts.now) {
        return Err(RefusalCode::Expired);
    }
    // The device has the newest one: the one before it is good no longer.
    if row.fleet.as_ref().is_some_and(|newest| newest.serial == identity.serial)
        && let Some(earlier) = row.earlier.take()
    {
        forget(row, &earlier.key, effects);
    }
    Ok(())
}

/// Whether a fleet certificate is the newest, or the one before while the newest was never used. Whoever connects with any
/// other has a copy, or a copy was put back.
fn is_current(row: &Row, identity: &Identity) -> bool {
    let mut known = [&row.fleet, &row.earlier].into_iter().flatten();
    known.any(|credential| credential.serial == identity.serial)
}

/// Whether a certificate was given after the newest that a row knows: only records that were restored from an older copy don't
/// know it. Whoever has it, or the one that the row knows, may be the copy; the one that comes later with the other is told.
pub(crate) fn is_forgotten(row: &Row, identity: &Identity, life: u32) -> bool {
    life > 0
        && identity.name.kind == Kind::Fleet
        && row.fleet.as_ref().is_some_and(|newest| identity.not_before > newest.not_before)
}

/// Takes up a certificate that restored records have forgotten. It may be of another enrolment than they know, in which the
/// numbers of its reports began again: so it begins a new epoch.
fn remember(
    row: &mut Row,
    identity: &Identity,
    facts: &Facts<'_>,
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<(), StoreError> {
    if is_revoked(row, facts) || is_current(row, identity) || !is_forgotten(row, identity, facts.life) {
        return Ok(());
    }
    let name = &identity.name;
    let owner = Owner { device: name.device.clone(), kind: Kind::Fleet };
    if beside.owner(&identity.key)?.is_some_and(|known| known != owner) {
        return Ok(());
    }
    let Some(epoch) = row.epoch.checked_add(1) else { return Ok(()) };
    (row.epoch, row.last_sequence, row.gaps) = (epoch, 0, 0);
    (row.product, row.hardware) = (name.product.clone(), name.hardware.clone());
    row.labels = name.labels.clone();
    let gone = [row.fleet.replace(Credential::of(identity)), row.earlier.take()];
    for credential in gone.into_iter().flatten() {
        forget(row, &credential.key, effects);
    }
    effects.keys.push((identity.key, Some(owner)));
    Ok(())
}

/// Notes that a certificate was used that another one has taken the place of.
fn superseded(row: &mut Row, identity: &Identity, facts: &Facts<'_>, effects: &mut Effects) {
    let newest = row.fleet.as_ref().map(|newest| newest.not_before);
    odd_by(row, Flag::SupersededCertificate, facts, effects, || {
        let newest = newest.map_or_else(String::new, |at| format!(", of {at}"));
        format!(
            "a certificate of {} was used, which the newest one{newest} had taken the place of",
            identity.not_before
        )
    });
}

/// By somebody here, or by the maker's list.
fn is_revoked(row: &Row, facts: &Facts<'_>) -> bool {
    row.revoked.is_some() || row.factory.as_ref().is_some_and(|factory| (facts.is_revoked)(&factory.serial))
}

fn odd(row: &mut Row, flag: Flag, facts: &Facts<'_>, effects: &mut Effects) {
    row.flag(flag, facts.now);
    effects.flags.push(flag);
}

/// The same, with what it was seen by.
fn odd_by(
    row: &mut Row,
    flag: Flag,
    facts: &Facts<'_>,
    effects: &mut Effects,
    clue: impl FnOnce() -> String,
) {
    row.flag_with(flag, facts.now, clue);
    effects.flags.push(flag);
}

/// A key by which the device isn't known any more, unless it is one of those that it still has.
fn forget(row: &Row, key: &Sha256Digest, effects: &mut Effects) {
    if row.keys().all(|known| known != key) {
        effects.keys.push((*key, None));
    }
}

impl Owner {
    const VERSION: u8 = 1;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Factory => 0,
            Kind::Fleet => 1,
        };
        Encoder::with_version(Self::VERSION).byte(kind).text(self.device.as_str()).finish()
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Self, Unreadable> {
        let mut from = Decoder::of(record, Self::VERSION)?;
        let kind = if from.byte("kind")? == 0 { Kind::Factory } else { Kind::Fleet };
        let owner = Self { device: from.name("device")?, kind };
        from.end()?;
        Ok(owner)
    }
}
