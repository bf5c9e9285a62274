//! Which reports are votes, and what they change: one vote for each device and release, the worst outcome wins, and only of
//! devices that plan and gate had admitted by then. What was installed while it was held may speak against the release, and not
//! for it. Votes are part of the commit that makes their reports durable.

use super::offers::{Board, Offers};
use super::tallies::{Changed, Tallies};
use super::turn::{Reach, Turn};
use super::votes::{Mark, MarkKey, Vote};
use crate::fleet::desk;
use crate::fleet::event::Event;
use crate::fleet::row::Row;
use crate::fleet::writer::Ahead;
use crate::store::{Batch, Space, StoreError};
use arc_swap::ArcSwap;
use perennial_schemas::fleet::ReportQueue;
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
    /// How far rollouts are open, by manifest.
    pub reached: Reached,
}

/// How far rollouts are open, as of the last turn.
pub type Reached = ArcSwap<BTreeMap<Sha256Digest, Reach>>;

/// The votes of one batch of reports.
pub(crate) struct BallotBox<'b> {
    ballot: &'b Ballot,
    offers: Arc<Offers>,
    now: Timestamp,
    /// By their mark, so that the store is read in the order of the keys.
    cast: BTreeMap<Vec<u8>, Cast>,
}

/// A vote, and whether the device should have been held when it was told.
struct Cast {
    mark: Mark,
    held: bool,
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
            if desk::evidence(&event, row).is_err() {
                continue;
            }
            let reached = self.ballot.reached.load();
            let nowhere = Reach::default();
            let reach = reached.get(&offer.manifest).unwrap_or(&nowhere);
            let turn = reach.turn(offer, &queue.device, row, self.now);
            if turn == Turn::NotYet {
                continue;
            }
            let mark = self.ballot.key.mark(&event.manifest, &queue.device);
            let code = event.failure.filter(|_| vote.is_bad());
            let fresh = || Cast {
                mark: Mark {
                    vote,
                    hardware: row.hardware.clone(),
                    received: self.now,
                    began: self.now,
                    code,
                },
                held: turn == Turn::Held,
            };
            let worst = &mut self.cast.entry(mark).or_insert_with(fresh).mark;
            if vote > worst.vote {
                (worst.vote, worst.code) = (vote, code);
            }
        }
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
        for ((key, Cast { mark, held }), known) in keys.into_iter().zip(cast).zip(known) {
            let before = known.as_deref().map(Mark::decode).transpose().unwrap_or_else(|error| {
                // It counts for nothing, and is written over: reports must not wait for whoever looks at the disk.
                tracing::error!(%error, mark = %key.escape_ascii(), "a vote is damaged");
                None
            });
            let known = before.as_ref().map(|before| before.vote);
            let began = before.as_ref().map_or(mark.began, |before| before.began.min(mark.received));
            let after = Mark { vote: mark.vote.beside(known, held), began, ..mark };
            if known != Some(after.vote) {
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
