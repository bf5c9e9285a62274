//! What is kept no longer: reports past their time, and devices that nothing was heard of for years. What is revoked stays.

use super::desk::id;
use super::erase::erase_while;
use super::event::Event;
use super::row::Row;
use crate::config::fleet::Keep;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use std::time::Duration;

/// Records looked at, and removed, in one step.
const PAGE: usize = 1000;
/// Devices erased in one step: each is a commit of its own.
const ERASED: u64 = 16;

/// In [`Space::Meta`]: when the last sweep ended, in seconds since 1970: 8 bytes, big-endian.
const SWEPT: &[u8] = b"swept";
/// Seconds between two sweeps.
const EVERY: i64 = 86_400;

/// Whether a sweep is due at `now`: the store says when the last one ended, since a server may be started anew each hour.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn is_due(store: &dyn Store, now: Timestamp) -> Result<bool, StoreError> {
    let last =
        store.get(Space::Meta, SWEPT)?.and_then(|value| Some(i64::from_be_bytes(value.try_into().ok()?)));
    // One that ended in the future did so by another clock.
    Ok(last.is_none_or(|last| !(last..last.saturating_add(EVERY)).contains(&now.unix())))
}

/// Notes that a sweep ended at `now`.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn note(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    store.commit(Batch::new().put(Space::Meta, SWEPT, now.unix().to_be_bytes()))
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) reports: u64,
    pub(crate) devices: u64,
}

/// A sweep on its way, in short steps: whoever takes them may do other things between, or stop; the next sweep goes on.
#[derive(Debug)]
pub(crate) struct Sweep {
    keep: Keep,
    space: Space,
    after: Option<Vec<u8>>,
    pub(crate) swept: Swept,
}

impl Sweep {
    /// One that has removed nothing yet.
    pub(crate) fn new(keep: &Keep) -> Self {
        Self { keep: keep.clone(), space: Space::Reports, after: None, swept: Swept::default() }
    }

    /// Removes a little more of what is past its time at `now`; true at the end. Nothing more is begun once `stopped` holds.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed until then is gone.
    pub(crate) fn step(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        stopped: &dyn Fn() -> bool,
    ) -> Result<bool, StoreError> {
        let page = store.scan(self.space, self.after.as_deref(), PAGE)?;
        if page.is_empty() {
            let over = self.space == Space::Devices;
            (self.space, self.after) = (Space::Devices, None);
            return Ok(over);
        }
        if self.space == Space::Reports {
            let oldest = before(now, self.keep.reports.0);
            // One that can't be read is left for whoever looks at the disk.
            let over = |value: &[u8]| Event::received(value).is_ok_and(|received| received < oldest);
            let mut batch = Batch::new();
            for (key, _) in page.iter().filter(|(_, value)| over(value)) {
                batch = batch.remove(Space::Reports, key.as_slice());
                self.swept.reports += 1;
            }
            if !batch.is_empty() {
                store.commit(batch)?;
            }
            self.after = page.into_iter().next_back().map(|(key, _)| key);
            return Ok(false);
        }
        let oldest = before(now, self.keep.devices.0);
        // One that was heard of before it was first heard of was heard of while the clock was wrong.
        let silent = |row: &Row| row.last_seen.max(row.first_seen) < oldest && row.revoked.is_none();
        let mut erased = 0;
        for (key, value) in page {
            if stopped() || erased == ERASED {
                break;
            }
            let device = id(&key).filter(|_| Row::decode(&value).is_ok_and(|row| silent(&row)));
            if let Some(device) = device {
                // Looked at again: it may have been heard of since the page was read.
                let still = |row: Option<&Row>| row.is_some_and(silent) && !stopped();
                if erase_while(store, &device, "server", now, &still)?.is_some() {
                    self.swept.devices += 1;
                }
                erased += 1;
            }
            self.after = Some(key);
        }
        Ok(false)
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    now.plus_seconds(-(span.as_secs() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FjallStore, Settings};

    #[test]
    fn a_sweep_is_due_once_a_day_whoever_asks() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        let now = Timestamp::from_unix(1_800_000_000);
        let due = |after| is_due(&store, now.plus_seconds(after)).unwrap();
        assert!(due(0));
        note(&store, now).unwrap();
        assert!(!due(0) && !due(EVERY - 1));
        assert!(due(EVERY));
        // A clock that went back.
        assert!(due(-1));
    }
}
