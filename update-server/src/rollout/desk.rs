//! What people ask of rollouts: which there are, how one is, and to pause, halt or resume one. Each change is recorded with its
//! entry in the audit, under the name of whoever wished it. Through a running server's engine, or one that takes no turns.

use super::engine::{Engine, save};
use super::failing::{self, Lost};
use super::machine::{Change, Counted, Facts, Refused, Wish, wish};
use super::offers::{Damaged, Offer, Offers};
use super::record::{self, Record, Records, State};
use super::status;
use super::superseded;
use super::turn::planned;
use super::view::Rollout;
use crate::audit::why;
use crate::fleet::row::Row;
use crate::records::restored;
use crate::store::{Store, StoreError};
use perennial_device_core::crypto::Ring;
use perennial_schemas::fleet::DeviceId;
use perennial_schemas::report::FailureCode;
use perennial_schemas::rollout::{Admission, Memory, Place, Standing, WHOLE, admit, bucket, catch_up_part};
use perennial_schemas::{Sha256Digest, Timestamp};
use std::sync::Arc;

/// How often a wish is tried again because the engine changed the rollout at that moment.
const TRIES: usize = 16;

/// Why a wish came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none.
    #[error("no rollout of {0} {1} is known")]
    Unknown(String, String),
    /// Another server's.
    #[error("the plan of {0} {1} names another rollout key than this server's")]
    Foreign(String, String),
    /// It isn't granted.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A reason that isn't one.
    #[error("a reason has 1 to {} characters, in one line", why::LENGTH)]
    Why,
}

impl DeskError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(error) => error.hint().unwrap_or("look at the server's log"),
            Self::Unknown(..) => "`perennial-server rollout list` shows those that are",
            Self::Foreign(..) => {
                "only the server with that key can steer it; or have its signers publish it with this server's, STATE/keys/rollout.pub.json"
            }
            Self::Refused(refused) => refused.hint(),
            Self::Why => "say in a few words why; the audit keeps them, and the public status says them",
        }
    }
}

/// All rollouts: those of releases on offer, and those that are over.
///
/// # Errors
/// [`StoreError`]
pub fn list(engine: &Engine, now: Timestamp) -> Result<Vec<Rollout>, StoreError> {
    let offers = engine.ballot().board.refresh()?;
    let records = record::all(engine.store())?;
    let mut shown = Vec::new();
    for (key, why) in &records.damaged {
        let digest = key.as_slice().try_into().map(Sha256Digest).ok();
        let offer = digest.and_then(|digest| offers.offered.get(&digest));
        let name = offer.map(|offer| (&offer.product, Some(&offer.version)));
        shown.push(Rollout::unreadable(name, digest.as_ref(), why));
    }
    for Damaged { product, manifest, why } in &offers.damaged {
        let name = product.as_ref().map(|product| (product, None));
        shown.push(Rollout::unreadable(name, manifest.as_ref(), why));
    }
    let recorded = |offer: &Offer| {
        records.whole.contains_key(&offer.manifest) || records.damage(&offer.manifest).is_some()
    };
    for offer in offers.offered.values().filter(|offer| !recorded(offer)) {
        if offer.key == engine.ballot().own {
            let record = Record::new(offer, now);
            shown.push(Rollout::of(&record, Some(offer), &counted(engine, offer), now));
        } else {
            shown.push(Rollout::foreign(offer, now));
        }
    }
    for (record, _) in records.whole.values() {
        let mut one = one(engine, &offers, record, now);
        one.superseded_by = superseded_by(&offers, &records, record, now);
        shown.push(one);
    }
    shown.sort_by(|one, other| {
        let key =
            |it: &Rollout| (it.product.clone(), it.version.parse::<perennial_schemas::ReleaseVersion>().ok());
        key(one).cmp(&key(other))
    });
    Ok(shown)
}

/// The rollout of a release: the one on offer, where there are several of its version.
///
/// # Errors
/// [`DeskError::Unknown`], [`DeskError::Store`]
pub fn show(engine: &Engine, product: &str, version: &str, now: Timestamp) -> Result<Rollout, DeskError> {
    let all = list(engine, now)?.into_iter();
    let named = all.filter(|it| it.product == product && it.version == version);
    let found = named.max_by_key(|it| (!it.channels.is_empty(), it.since));
    let mut found = found.ok_or_else(|| DeskError::Unknown(product.into(), version.into()))?;
    if found.state == State::Withdrawn.as_str()
        && let Ok(manifest) = found.manifest.parse()
        && let Some((record, _)) = record::one(engine.store(), &manifest)?
    {
        // Votes stay for a month: who looks into it wants to know.
        found.count(&engine.counted_before(&record).unwrap_or_else(|error| uncounted(&error)));
    }
    // What is known of it is shown all the same.
    if let Err(error) = name_devices(engine, &mut found) {
        found.unnamed = Some(error.to_string());
    }
    Ok(found)
}

/// The same where no server looks at devices: they are looked at now, unless there is a reason why that would tell nothing.
///
/// # Errors
/// As [`show`]; where devices can't be looked at, the rest is shown.
pub fn look(
    engine: &Engine,
    product: &str,
    version: &str,
    idle: Option<String>,
    now: Timestamp,
) -> Result<Rollout, DeskError> {
    let unnamed = idle.or_else(|| {
        let listened = engine.listen(now, &|| {});
        let found = engine.count_new(&|| {}).and_then(|()| engine.find_failing(&|| {}));
        listened.and(found).err().map(|error| error.to_string())
    });
    let mut shown = show(engine, product, version, now)?;
    shown.unnamed = unnamed.or(shown.unnamed);
    Ok(shown)
}

/// What was counted, or why it can't be: whoever looks at a rollout, or stops it, goes on without.
fn counted(engine: &Engine, offer: &Offer) -> Counted {
    engine.counted(offer).unwrap_or_else(|error| uncounted(&error))
}

fn uncounted(error: &StoreError) -> Counted {
    Counted { uncounted: Some(error.to_string()), ..Counted::default() }
}

/// Names a few of the devices on which it failed, and of those that fell silent.
fn name_devices(engine: &Engine, shown: &mut Rollout) -> Result<(), StoreError> {
    let Ok(manifest) = shown.manifest.parse::<Sha256Digest>() else { return Ok(()) };
    let failing = engine.failing(&manifest);
    for failures in &mut shown.failures {
        let Ok(hardware) = failures.hardware.parse() else { continue };
        let kind = (hardware, failures.code.map(FailureCode::from));
        failures.newest = failing::named(engine.store(), failing.of(&kind))?;
    }
    let offers = engine.ballot().board.current();
    let Some(offer) = offers.offered.get(&manifest) else { return Ok(()) };
    let counted = counted(engine, offer);
    for (hardware, votes) in counted.votes.iter().filter(|(_, votes)| votes.missing > 0) {
        let newest = failing::named(engine.store(), counted.lost.of(hardware))?;
        shown.lost.push(Lost { hardware: hardware.to_string(), devices: votes.missing, newest });
    }
    Ok(())
}

/// What stands in the place of a rollout that is stopped.
fn superseded_by(offers: &Offers, records: &Records, record: &Record, now: Timestamp) -> Option<String> {
    let is_stopped = matches!(record.state, State::Halted | State::Paused) || !record.stopped.is_empty();
    let offer = offers.offered.get(&record.manifest).filter(|_| is_stopped)?;
    let known = |manifest: &Sha256Digest| records.whole.get(manifest).map(|(record, _)| record);
    superseded::by(offer, offers, &known, now).map(ToString::to_string)
}

/// Grants a person's wish, and records it: the rollout after it.
///
/// # Errors
/// [`DeskError`]; nothing is changed then.
pub fn change(
    engine: &Engine,
    (product, version): (&str, &str),
    what: &Wish,
    (by, why): (&str, &str),
    now: Timestamp,
) -> Result<Rollout, DeskError> {
    if !why::is_reason(why) {
        return Err(DeskError::Why);
    }
    let unknown = || DeskError::Unknown(product.into(), version.into());
    for _ in 0..TRIES {
        let offers = engine.ballot().board.refresh()?;
        let Records { mut whole, damaged } = record::all(engine.store())?;
        let offer = offers.find(product, version);
        if offer.is_some_and(|offer| offer.key != engine.ballot().own) {
            return Err(DeskError::Foreign(product.into(), version.into()));
        }
        let (record, before) = match offer {
            Some(offer) if damaged.contains_key(offer.manifest.as_bytes().as_slice()) => {
                return Err(StoreError::Corrupt(format!("rollouts/{}", offer.manifest)).into());
            }
            // Also one that no turn has recorded yet.
            Some(offer) => match whole.remove(&offer.manifest) {
                Some((record, before)) => (record, Some(before)),
                None => (Record::new(offer, now), None),
            },
            None => {
                let named = |it: &Record| it.product.as_str() == product && it.version.as_str() == version;
                let found = whole.into_values().find(|(record, _)| named(record)).ok_or_else(unknown)?;
                (found.0, Some(found.1))
            }
        };
        let counted = match offer {
            // The evidence has a say in it.
            Some(offer) if matches!(what, Wish::Resume { .. }) => engine.counted(offer)?,
            Some(offer) => counted(engine, offer),
            None => Default::default(),
        };
        let withdrawn = offers.withdrawn_for(&record);
        let facts = Facts { offer: offer.map(Arc::as_ref), withdrawn, counted: &counted };
        let unsure = offers.unsure(&record.product, &record.manifest);
        if let Some(Damaged { why, .. }) = unsure.filter(|_| matches!(what, Wish::Resume { .. })) {
            return Err(StoreError::Corrupt(why.clone()).into());
        }
        let mut change = wish(&record, &facts, what, by, why, now)?;
        if change.record.state != record.state {
            // Somebody has looked since.
            change.record.life = restored::read(engine.store()).map_or(record.life, |it| it.times);
        }
        if save(engine.store(), &change, before, now)?.is_some() {
            if change.stops() {
                engine.note_stopped(&change.record);
            }
            let Change { action, by, .. } = &change;
            tracing::info!(action, by, product, version, reason = change.reason(), "a rollout has changed");
            return Ok(one(engine, &offers, &change.record, now));
        }
    }
    Err(StoreError::Changed("rollouts".into()).into())
}

fn one(engine: &Engine, offers: &Offers, record: &Record, now: Timestamp) -> Rollout {
    let offer = offers.offered.get(&record.manifest);
    if let Some(offer) = offer.filter(|offer| offer.key != engine.ballot().own) {
        return Rollout::foreign(offer, now);
    }
    let offer = offer.filter(|_| record.state != State::Withdrawn);
    let counted = offer.map_or_else(Counted::default, |offer| counted(engine, offer));
    let mut shown = Rollout::of(record, offer.map(Arc::as_ref), &counted, now);
    if let Some(Damaged { why, .. }) = offers.unsure(&record.product, &record.manifest) {
        shown.stands_still(why);
    }
    shown
}

/// Where a device stands in the rollouts of newer releases that its channel offers, one sentence each: by the same function
/// that the device asks. What a device remembers of a hold isn't known here.
///
/// # Errors
/// [`StoreError`]
pub fn places(
    store: &dyn Store,
    offers: &Offers,
    device: &DeviceId,
    row: &Row,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let records = record::all(store)?.whole;
    let mut said = Vec::new();
    for offer in offers.offered.values().filter(|offer| offer.product == row.product) {
        let runs = row.check_in.as_ref();
        let concerns =
            runs.is_none_or(|runs| offer.version > runs.version && offer.channels.contains(&runs.channel));
        if !concerns {
            continue;
        }
        // That the plan leaves it out, `admit` says.
        if offer.plan.takes(&row.hardware) && !offer.hardware.contains(&row.hardware) {
            said.push(format!("{}: it has no image for hardware {}", offer.version, row.hardware));
            continue;
        }
        let last = records.get(&offer.manifest).and_then(|(record, _)| status::last(record));
        let last = last.filter(|last| last.check_current(&offer.plan, 0, now).is_ok());
        let place = Place {
            bucket: bucket(&offer.plan.salt, device, &Ring),
            catch_up_part: catch_up_part(&offer.plan.salt, device, &Ring),
            hardware: &row.hardware,
            labels: &row.labels,
        };
        let standing = Standing { signed_at: offer.signed_at };
        let admission = admit(&offer.plan, last.as_ref(), &place, &Memory::default(), standing, now);
        let planned = planned(offer, device, row).filter(|planned| *planned <= now);
        let catches_up = records.get(&offer.manifest).zip(planned).and_then(|((record, _), planned)| {
            catches_up(record, offer, row, planned, place.catch_up_part).filter(|at| now < *at)
        });
        let planned = planned.map_or(String::new(), |planned| format!(" (its time came at {planned})"));
        said.push(match (&admission, catches_up) {
            (Admission::Now, Some(at)) => format!(
                "{}: the rollout was stopped and goes on; where the device heard that it was held, its turn comes at {at} at the earliest; else it may be installed now{planned}",
                offer.version
            ),
            _ => format!("{}: {admission}{planned}", offer.version),
        });
    }
    Ok(said)
}

/// When a device's turn comes among those that had been held, if its time had come by the end of the hold. It counts from when the
/// device hears of that end, so it is no earlier.
fn catches_up(record: &Record, offer: &Offer, row: &Row, planned: Timestamp, part: u32) -> Option<Timestamp> {
    let resumed = record.resumed.get(&row.hardware).filter(|resumed| planned < resumed.at)?;
    let wait = offer.plan.catch_up_seconds * u64::from(part) / u64::from(WHOLE);
    Some(resumed.at.plus_seconds(wait as i64))
}
