//! Whether a device's turn has come by what plan, gate and people say now: what it tells counts only then. What was installed
//! while it should have been held is no sample of the fleet, but its failures are as good as any.

use super::offers::Offer;
use super::record::{Record, Resumed, State};
use crate::fleet::row::Row;
use perennial_device_core::crypto::Ring;
use perennial_schemas::fleet::DeviceId;
use perennial_schemas::rollout::{OnDeadline, WHOLE, bucket, catch_up_part};
use perennial_schemas::{HardwareName, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far a rollout is open, as of the last turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// When the plan comes to devices that the gate has not let in; `None` where it has let all in.
    pub until: Option<Timestamp>,
    /// Since when all are held, where they are.
    held: Option<Timestamp>,
    /// Since when devices of these revisions are.
    stopped: BTreeMap<HardwareName, Timestamp>,
    /// Since when nobody is held any more, those included who waited for their part of the catching-up; `None` while it is stopped.
    pub going: Option<Timestamp>,
    /// When those that had been held were let go on.
    resumed: BTreeMap<HardwareName, Timestamp>,
}

/// What a device's word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: it installed at its owner's word before its time.
    NotYet,
    /// It should be held. That it went well says nothing: its owner chose it.
    Held,
    /// It is heard.
    Open,
}

impl Reach {
    /// Of a rollout. `usual` is how long devices may not be heard of: of a shorter hold, most of them never heard.
    pub fn of(record: &Record, offer: &Offer, usual: Duration) -> Self {
        let resumed = record.resumed.iter().filter(|(_, it)| {
            it.at.unix() - it.held_since.unix() >= i64::try_from(usual.as_secs()).unwrap_or(i64::MAX)
        });
        let stopped = matches!(record.state, State::Paused | State::Halted);
        let caught_up = |it: &Resumed| it.at.plus_seconds(offer.plan.catch_up_seconds as i64);
        let going = record.resumed.values().map(caught_up).fold(record.since, Timestamp::max);
        Self {
            until: offer.beyond(record.phase),
            going: (!stopped).then_some(going),
            held: stopped.then(|| record.changed()),
            stopped: record.stopped.iter().map(|(hardware, it)| (hardware.clone(), it.since)).collect(),
            resumed: resumed.map(|(hardware, it)| (hardware.clone(), it.at)).collect(),
        }
    }

    /// Whether it is a device's turn.
    pub fn turn(&self, offer: &Offer, device: &DeviceId, row: &Row, now: Timestamp) -> Turn {
        let Some(planned) = planned(offer, device, row).filter(|planned| *planned <= now) else {
            return Turn::NotYet;
        };
        let deadline = planned.plus_seconds(offer.plan.max_hold_seconds as i64);
        // A fleet's liars could speak before their turn.
        let is_let_in = is_let_in(offer, row, planned, self.until, now);
        if !is_let_in && now < deadline {
            return Turn::NotYet;
        }
        let since = self.held.or_else(|| self.stopped.get(&row.hardware).copied());
        if since.is_none() && is_let_in {
            return if self.catches_up(offer, device, row, planned, now) { Turn::Held } else { Turn::Open };
        }
        let stopped = since.unwrap_or(planned).min(deadline).max(planned);
        let is_released = now >= deadline
            && match offer.plan.on_deadline {
                OnDeadline::Silence => true,
                OnDeadline::Consent => offer.signed_at.is_some_and(|signed| signed > stopped),
            };
        if is_released { Turn::Open } else { Turn::Held }
    }

    /// Whether a device that was held waits for its part of the catching-up.
    fn catches_up(
        &self,
        offer: &Offer,
        device: &DeviceId,
        row: &Row,
        planned: Timestamp,
        now: Timestamp,
    ) -> bool {
        let resumed = self.resumed.get(&row.hardware).filter(|resumed| planned < **resumed);
        resumed.is_some_and(|resumed| {
            let part = u64::from(catch_up_part(&offer.plan.salt, device, &Ring));
            let wait = offer.plan.catch_up_seconds * part / u64::from(WHOLE);
            now < resumed.plus_seconds(wait as i64)
        })
    }
}

/// Whether plan and gate have let a device in by now: early groups as soon as their time comes, as the device itself reckons, and
/// the others up to the time that the gate has come to.
pub fn is_let_in(
    offer: &Offer,
    row: &Row,
    planned: Timestamp,
    until: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let is_early = offer.plan.early_from(&row.labels).is_some_and(|early| early <= now);
    is_early || (planned <= now && until.is_none_or(|until| planned < until))
}

/// When a device's time comes by the plan alone; `None` where it has no part.
pub fn planned(offer: &Offer, device: &DeviceId, row: &Row) -> Option<Timestamp> {
    if !offer.hardware.contains(&row.hardware) || offer.product != row.product {
        return None;
    }
    let turn = offer.plan.opens_for(bucket(&offer.plan.salt, device, &Ring));
    Some(offer.plan.early_from(&row.labels).map_or(turn, |early| early.min(turn)))
}
