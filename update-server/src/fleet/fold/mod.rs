//! What an operation of a device makes of its row: pure functions of the row, the operation and a few facts. They read no
//! clock and no store; what they need to look up is handed in. Every verdict has a reason.

mod check_in;
mod enrol;
mod reports;
#[cfg(test)]
mod tests;

pub(crate) use enrol::Enrol;

use super::authority::made;
use super::bytes::{Decoder, Encoder, Unreadable};
use super::identity::Identity;
use super::releases::Releases;
use super::row::{Credential, Row};
use crate::records::restored::Restored;
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
    /// How often, and when, the records were restored from an older copy.
    pub(crate) restored: Restored,
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
        was_there(row, facts);
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
            let carried = operation.who.is_carried();
            Ok(admit_certificate(row, identity, carried, facts, beside, effects)?.map(|()| row))
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
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<Result<(), RefusalCode>, StoreError> {
    if identity.name.kind == Kind::Factory {
        return Ok(Err(RefusalCode::FactoryOnly));
    }
    if is_revoked(row, facts) {
        return Ok(Err(RefusalCode::Revoked));
    }
    if !is_current(row, identity, carried, facts, beside, effects)? {
        return Ok(Err(RefusalCode::Superseded));
    }
    if identity.expired(facts.now) {
        return Ok(Err(RefusalCode::Expired));
    }
    // The device has the newest one: the one before it is good no longer.
    if row.fleet.as_ref().is_some_and(|newest| newest.serial == identity.serial)
        && let Some(earlier) = row.earlier.take()
    {
        forget(row, &earlier.key, effects);
    }
    Ok(Ok(()))
}

/// Whether a fleet certificate is one that the row knows, or takes up as restored records have forgotten it: once in each life
/// of theirs, before the device has used another one in it. Any other one is noted as a copy's.
fn is_current(
    row: &mut Row,
    identity: &Identity,
    carried: bool,
    facts: &Facts<'_>,
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<bool, StoreError> {
    if row.knows(identity) {
        return Ok(true);
    }
    let forgotten = is_forgotten(row, identity, facts.restored);
    if forgotten && row.used < facts.restored.times {
        // Its time is over: whose it is, nobody needs to know. The device enrols by its factory certificate.
        if identity.expired(facts.now) {
            return Ok(false);
        }
        if take_up(row, identity, beside, effects)? {
            return Ok(true);
        }
    }
    // What was signed before a renewal and brought after it is late, and nobody's copy: the device has it still.
    if forgotten || !carried {
        superseded(row, identity, facts, effects);
    }
    Ok(false)
}

/// Whether a certificate was made after the newest that a row knows and before the records were last restored from an older
/// copy: then they have forgotten it. What was made later they know, and what is dated later a clock that ran ahead made: in
/// a thief's hands it would count for as long. Where the restoration's time isn't known (it was noted by an earlier version),
/// nothing counts as forgotten: such a device enrols anew by itself, and its quarantine is to be lifted.
fn is_forgotten(row: &Row, identity: &Identity, restored: Restored) -> bool {
    // So where the newest was made after that, there is nothing to forget.
    identity.name.kind == Kind::Fleet
        && restored.at.is_some_and(|at| made(identity.not_before) <= at)
        && row.fleet.as_ref().is_some_and(|newest| identity.not_before > newest.not_before)
}

/// Takes up a certificate that restored records have forgotten, unless its key is somebody else's. It may be of another
/// enrolment than they know, in which the numbers of its reports began again: so it begins a new epoch.
fn take_up(
    row: &mut Row,
    identity: &Identity,
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<bool, StoreError> {
    let name = &identity.name;
    let owner = Owner { device: name.device.clone(), kind: Kind::Fleet };
    let others = beside.owner(&identity.key)?.is_some_and(|known| known != owner);
    let Some(epoch) = row.epoch.checked_add(1).filter(|_| !others) else { return Ok(false) };
    (row.epoch, row.last_sequence, row.gaps) = (epoch, 0, 0);
    (row.product, row.hardware) = (name.product.clone(), name.hardware.clone());
    row.labels = name.labels.clone();
    let gone = [row.fleet.replace(Credential::of(identity)), row.earlier.take()];
    for credential in gone.into_iter().flatten() {
        forget(row, &credential.key, effects);
    }
    effects.keys.push((identity.key, Some(owner)));
    Ok(true)
}

/// Notes that the device itself was there, with a certificate that its row knows.
fn was_there(row: &mut Row, facts: &Facts<'_>) {
    row.seen(facts.now);
    row.used = row.used.max(facts.restored.times);
}

/// Notes that a certificate was used that isn't the newest, or that comes after another one was used in its place.
fn superseded(row: &mut Row, identity: &Identity, facts: &Facts<'_>, effects: &mut Effects) {
    let newest = row.fleet.as_ref().map(|newest| newest.not_before);
    odd_by(row, Flag::SupersededCertificate, facts, effects, || {
        let used = format!("a certificate of {} was used", identity.not_before);
        match newest {
            Some(newest) if newest < identity.not_before => {
                format!("{used}, and the newest that these records know is of {newest}")
            }
            Some(newest) => format!("{used}, which the newest one, of {newest}, had taken the place of"),
            None => used,
        }
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
