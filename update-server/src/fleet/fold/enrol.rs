//! Enrolment into a row: a factory certificate begins a new epoch, a fleet certificate renews itself. The caller has made
//! the new certificate already; here is decided whether it counts.

use super::{Beside, Done, Effects, Facts, Owner, Verdict, forget, is_current, is_revoked, was_there};
use crate::fleet::identity::Identity;
use crate::fleet::row::{Credential, Row};
use crate::store::StoreError;
use perennial_schemas::fleet::{Kind, RefusalCode, Ticket};

/// Tickets that may be shown next: renewals in a row whose answers were lost are told from a copy up to this many.
const TICKETS: usize = 8;

/// What an enrolment brings.
#[derive(Debug, Clone)]
pub(crate) struct Enrol {
    /// The new fleet certificate.
    pub(crate) credential: Credential,
    /// For the next check-in.
    pub(crate) ticket: Ticket,
}

pub(super) fn enrol(
    row: &mut Option<Row>,
    identity: &Identity,
    enrol: &Enrol,
    facts: &Facts<'_>,
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<Verdict, StoreError> {
    // A fleet certificate may renew itself late; a factory certificate lasts as long as its maker meant it to.
    if identity.name.kind == Kind::Factory && identity.expired(facts.now) {
        return Ok(Err(RefusalCode::Expired));
    }
    if row.as_ref().is_some_and(|row| is_revoked(row, facts)) {
        return Ok(Err(RefusalCode::Revoked));
    }
    if is_taken(identity, enrol, beside)? {
        return Ok(Err(RefusalCode::KeyShared));
    }
    if identity.name.kind == Kind::Factory {
        return Ok(begin(row, identity, enrol, facts, effects));
    }
    let Some(row) = row.as_mut().filter(|row| !row.lab) else { return Ok(Err(RefusalCode::NotEnrolled)) };
    if !is_current(row, identity, false, facts, beside, effects)? {
        return Ok(Err(RefusalCode::Superseded));
    }
    Ok(Ok(renew(row, identity, enrol, facts, effects)))
}

/// A new key that another device has, or that is a factory key, even the device's own: that one stays unused until the
/// next epoch. And a factory key that another device enrolled with.
fn is_taken(identity: &Identity, enrol: &Enrol, beside: &mut dyn Beside) -> Result<bool, StoreError> {
    let device = &identity.name.device;
    let fresh = beside.owner(&enrol.credential.key)?;
    let factory = identity.name.kind == Kind::Factory;
    let own = if factory { beside.owner(&identity.key)? } else { None };
    Ok(fresh.is_some_and(|owner| owner.device != *device || owner.kind == Kind::Factory)
        || factory && enrol.credential.key == identity.key
        || own.is_some_and(|owner| owner.device != *device || owner.kind == Kind::Fleet))
}

/// A new epoch: whatever the device had before is superseded.
fn begin(
    row: &mut Option<Row>,
    identity: &Identity,
    enrol: &Enrol,
    facts: &Facts<'_>,
    effects: &mut Effects,
) -> Verdict {
    let name = &identity.name;
    // What was told in lab mode under this id was told by anybody.
    let before = row.take().filter(|row| !row.lab);
    let new = || Row::new(name.product.clone(), name.hardware.clone(), false, facts.now);
    let row = row.insert(before.unwrap_or_else(new));
    let Some(epoch) = row.epoch.checked_add(1) else { return Err(RefusalCode::Internal) };
    row.epoch = epoch;
    (row.product, row.hardware) = (name.product.clone(), name.hardware.clone());
    row.labels = name.labels.clone();
    (row.last_sequence, row.gaps) = (0, 0);
    (row.tickets, row.life) = (vec![enrol.ticket.clone()], row.life.max(facts.restored.times));
    let gone = [row.fleet.replace(enrol.credential.clone()), row.earlier.take()];
    row.factory = Some(Credential::of(identity));
    was_there(row, facts);
    for credential in gone.into_iter().flatten() {
        forget(row, &credential.key, effects);
    }
    let owner = |kind| Some(Owner { device: name.device.clone(), kind });
    effects.keys.push((identity.key, owner(Kind::Factory)));
    effects.keys.push((enrol.credential.key, owner(Kind::Fleet)));
    Ok(Done::Enrolled { epoch })
}

/// The same epoch goes on. The certificate that asked stays good until the new one is first used.
fn renew(
    row: &mut Row,
    identity: &Identity,
    enrol: &Enrol,
    facts: &Facts<'_>,
    effects: &mut Effects,
) -> Done {
    let newest = row.fleet.replace(enrol.credential.clone());
    let asked = |credential: &Credential| credential.serial == identity.serial;
    let gone = match newest {
        Some(newest) if asked(&newest) => row.earlier.replace(newest),
        // The answer with the newest was lost.
        newest => newest,
    };
    // Only a check-in shows which ticket the device has: until then it may be any whose answer was lost since.
    let before = std::mem::take(&mut row.tickets);
    row.tickets = std::iter::once(enrol.ticket.clone()).chain(before).take(TICKETS).collect();
    was_there(row, facts);
    if let Some(gone) = gone {
        forget(row, &gone.key, effects);
    }
    let owner = Owner { device: identity.name.device.clone(), kind: Kind::Fleet };
    effects.keys.push((enrol.credential.key, Some(owner)));
    Done::Enrolled { epoch: row.epoch }
}
