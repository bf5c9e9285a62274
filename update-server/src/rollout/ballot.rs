//! Which reports are votes, and what they change: one vote for each device and release, the worst outcome wins, and only of
//! devices that plan and gate had admitted by then. Votes are part of the commit that makes their reports durable.

use super::offers::{Board, Offer, Offers};
use super::tallies::{Changed, Tallies};
use super::votes::{Mark, MarkKey, Vote};
use crate::fleet::desk;
use crate::fleet::event::Event;
use crate::fleet::row::Row;
use crate::fleet::writer::Ahead;
use crate::store::{Batch, Space, StoreError};
use arc_swap::ArcSwap;
use perennial_device_core::crypto::Ring;
use perennial_schemas::fleet::{DeviceId, ReportQueue};
use perennial_schemas::rollout::bucket;
use perennial_schemas::{KeyId, Sha256Digest, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where votes are taken.
#[derive(Debug)]
pub struct Ballot {
    /// What may be voted on.
    pub board: Arc<Board>,
    /// The rollout key of this server: other plans are another server's to steer.
    pub own: KeyId,
    /// How marks are named.
    pub key: MarkKey,
    /// The counts.
    pub tallies: Arc<Tallies>,
    /// When the plan comes to devices that the gate has not let in, by manifest; `None` where it has let all in.
    pub reached: Reached,
}

/// How far gates have opened rollouts, as of the last turn.
pub type Reached = ArcSwap<BTreeMap<Sha256Digest, Option<Timestamp>>>;

/// The votes of one batch of reports.
pub(crate) struct BallotBox<'b> {
    ballot: &'b Ballot,
    offers: Arc<Offers>,
    now: Timestamp,
    /// By their mark, so that the store is read in the order of the keys.
    cast: BTreeMap<Vec<u8>, Mark>,
}

impl Ballot {
    /// A box for a batch; `None` while there is nothing to vote on, which is looked up once for a batch.
    pub(crate) fn open(&self, now: Timestamp) -> Option<BallotBox<'_>> {
        let offers = self.board.current();
        let any = offers.offered.values().any(|offer| offer.key == self.own);
        any.then(|| BallotBox { ballot: self, offers, now, cast: BTreeMap::new() })
    }
}

impl BallotBox<'_> {
    /// Takes the votes among a device's reports that are new. `row` is as it is after them: who is quarantined by them has no
    /// vote.
    pub(crate) fn take(&mut self, row: &Row, queue: &ReportQueue, events: &[(Vec<u8>, Vec<u8>)]) {
        if !queue.reports.iter().any(|report| self.offers.offered.contains_key(&report.manifest)) {
            return;
        }
        for (_, record) in events {
            let Ok(event) = Event::decode(record) else { continue };
            let Some(offer) = self.offers.offered.get(&event.manifest) else { continue };
            let Some(vote) = Vote::of(event.outcome).filter(|_| offer.key == self.ballot.own) else {
                continue;
            };
            if desk::evidence(&event, row).is_err() || !self.admitted(offer, &queue.device, row) {
                continue;
            }
            let mark = self.ballot.key.mark(&event.manifest, &queue.device);
            let cast = Mark { vote, hardware: row.hardware.clone(), received: self.now };
            let worst = self.cast.entry(mark).or_insert_with(|| cast.clone());
            if worst.vote < vote {
                *worst = cast;
            }
        }
    }

    /// Whether a device may have the release by now: plan and gate admit it, or it has been held for as long as may be. Who
    /// installs at its owner's word before its time has no vote: such devices are no fair sample, and a fleet's liars could
    /// speak before their turn.
    fn admitted(&self, offer: &Offer, device: &DeviceId, row: &Row) -> bool {
        let Some(planned) = planned(offer, device, row).filter(|planned| *planned <= self.now) else {
            return false;
        };
        let until = self.ballot.reached.load().get(&offer.manifest).copied().flatten();
        let held = planned.plus_seconds(offer.plan.max_hold_seconds as i64);
        until.is_none_or(|until| planned < until || held <= self.now)
    }

    /// What the votes change, over what the store holds, or will hold: an outcome that isn't worse than the one that is known
    /// changes nothing.
    pub(crate) fn close(self, ahead: &Ahead<'_>) -> Result<Vec<Changed>, StoreError> {
        if self.cast.is_empty() {
            return Ok(Vec::new());
        }
        let (keys, cast): (Vec<_>, Vec<_>) = self.cast.into_iter().unzip();
        let known = ahead.get_many(Space::Marks, &keys)?;
        let mut changes = Vec::new();
        for ((key, after), known) in keys.into_iter().zip(cast).zip(known) {
            let before = known.as_deref().map(Mark::decode).transpose().unwrap_or_else(|error| {
                // It counts for nothing, and is written over: reports must not wait for whoever looks at the disk.
                tracing::error!(%error, mark = %key.escape_ascii(), "a vote is damaged");
                None
            });
            if before.as_ref().is_none_or(|before| before.vote < after.vote) {
                changes.push(Changed { key, before, after });
            }
        }
        Ok(changes)
    }
}

/// Puts the marks. They need no condition of their own: a device's vote changes together with its row, and that has one.
pub(crate) fn put(batch: Batch, changes: &[Changed]) -> Batch {
    let put = |batch: Batch, change: &Changed| {
        batch.put(Space::Marks, change.key.as_slice(), change.after.encode())
    };
    changes.iter().fold(batch, put)
}

/// When a device's time comes by the plan alone; `None` where it has no part.
pub fn planned(offer: &Offer, device: &DeviceId, row: &Row) -> Option<Timestamp> {
    if !offer.hardware.contains(&row.hardware) || offer.product != row.product {
        return None;
    }
    let turn = offer.plan.opens_for(bucket(&offer.plan.salt, device, &Ring));
    Some(offer.plan.early_from(&row.labels).map_or(turn, |early| early.min(turn)))
}
