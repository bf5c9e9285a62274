//! When votes are removed: a month after the last channel stopped offering their release. A release that is taken from its channel
//! by mistake, or for a weekend, is judged by all that was told of it when it comes back. It decides nothing about a rollout.

use super::engine::save;
use super::machine::{Change, SERVER};
use super::offers::Offers;
use super::record::{self, Record, State};
use super::status;
use super::told::common;
use super::votes::Mark;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::{Sha256Digest, Timestamp};

/// For so many days votes stay after their release is offered no more.
pub const KEPT_DAYS: i64 = 30;
/// Marks removed at once.
const PAGE: usize = 1000;

/// Removes a page of votes on what has been offered no more for [`KEPT_DAYS`]: that is what was promised to whoever had a device
/// erased. Before the first of a release goes, its record says so. True where nothing is left to remove; else it is to be
/// called again.
///
/// # Errors
/// [`StoreError`]
pub fn sweep(store: &dyn Store, offers: &Offers, now: Timestamp) -> Result<bool, StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let Some((key, _)) = store.scan(Space::Marks, after.as_deref(), 1)?.pop() else { return Ok(true) };
        // `store check` tells of it.
        let Ok(manifest) = Mark::manifest(&key) else {
            after = Some(key);
            continue;
        };
        let found = match record::one(store, &manifest) {
            // Nobody knows since when it is gone: its votes stay. Whoever reads all records tells of it.
            Err(StoreError::Corrupt(_)) => None,
            other => Some(other?),
        };
        let record = match found {
            Some(record) if !may_be_offered(offers, record.as_ref(), &manifest) => record,
            _ => {
                after = Some(behind(&manifest.0));
                continue;
            }
        };
        if let Some((record, before)) = record {
            if !is_long_gone(&record, now) {
                after = Some(behind(&manifest.0));
                continue;
            }
            if record.emptied.is_none() && save(store, &emptied(&record, now), Some(before), now)?.is_none() {
                // Somebody changed it at this moment: at the next call it is looked at anew.
                return Ok(false);
            }
        }
        let page = store.scan_prefix(Space::Marks, &manifest.0, None, PAGE)?;
        let batch = page.into_iter().fold(Batch::new(), |batch, (key, _)| batch.remove(Space::Marks, key));
        store.commit(batch)?;
        return Ok(false);
    }
}

/// Also where a channel that can't be read might offer it.
fn may_be_offered(offers: &Offers, record: Option<&(Record, Vec<u8>)>, manifest: &Sha256Digest) -> bool {
    let unsure = match record {
        Some((record, _)) => offers.unsure(&record.product, manifest).is_some(),
        None => !offers.damaged.is_empty(),
    };
    unsure || offers.offered.contains_key(manifest)
}

/// Behind the last mark that a release can have.
fn behind(manifest: &[u8]) -> Vec<u8> {
    [manifest, [u8::MAX; 17].as_slice()].concat()
}

/// Nobody turns another key's rollouts to withdrawn: of these, the last status tells until when somebody looked after them.
fn is_long_gone(record: &Record, now: Timestamp) -> bool {
    let said = status::last(record).filter(|_| record.state != State::Withdrawn).map(|last| last.issued);
    said.into_iter().chain([record.since]).all(|at| at.plus_days(KEPT_DAYS) <= now)
}

/// What was set aside goes with the votes that it was a part of.
fn emptied(record: &Record, now: Timestamp) -> Change {
    let mut after = record.clone();
    after.emptied = Some(now);
    after.set_aside.clear();
    let mut detail = common(&after);
    detail.push(("offered_until", record.since.to_string()));
    Change { action: "rollout.votes-removed", by: SERVER.into(), record: after, detail }
}
