//! The embedded store on sled 0.34.7, with the rules that make that version safe. Each has a cause that was seen:
//!
//! 1. The version is pinned; its successors in the making lost acknowledged batches.
//! 2. `flush` doesn't outlive a power cut on Linux, as it calls `sync_file_range`: the file is synced here as well, and so
//!    are the blobs, files beside it for what is too large for a page, which sled never syncs at all.
//! 3. A snapshot that was being written at a kill makes every later open fail: it is removed first, under a lock of our own.
//! 4. `flush_every_ms` is set: without it, room is never reclaimed.
//! 5. One committer at a time, one tree, a byte for the space before each key; never called from a serving thread.
//! 6. The cache is bounded. An error at opening means: restore from an export.
//!
//! It never answers a commit before it is on the disk, and never again after a commit failed half-way.

use super::moments::Moments;
use super::reserve::Reserve;
use super::witness::Witness;
use super::{
    Batch, Pair, Room, Settings, Space, Store, StoreError, Visit, bounds, bounds_back, conditions, fits,
    is_empty,
};
use crate::disk::{self, DiskError};
use sled::{Db, IVec, Mode};
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Rule 4; a commit waits for its own flush in any case.
const FLUSH_EVERY_MS: u64 = 250;

/// How long sled's own lock may outlive the store that had it: a thread of a busy machine gets a turn within that.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// The key under which commits are counted, past every space.
const COUNT: &[u8] = &[u8::MAX];

/// A store in a folder.
pub struct SledStore {
    database: Db,
    committing: Mutex<Committing>,
    /// The last commit that readers see.
    moment: AtomicU64,
    folder: PathBuf,
    reserve: Reserve,
    _lock: Lock,
}

/// Our own lock, given up explicitly: a program that this process has just started still shares its open files.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// What the committer knows.
struct Committing {
    /// sled's log, opened apart: syncing any descriptor of a file syncs the file.
    log: File,
    /// Blobs that are on the disk for good.
    blobs: BTreeSet<String>,
    /// A commit failed half-way: whether it is on the disk can only a restart tell.
    failed: bool,
    witness: Witness,
    moments: Moments,
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SledStore")
    }
}

impl SledStore {
    /// Opens the store in `folder`, made if it isn't there.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it, else [`StoreError::Engine`].
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, StoreError> {
        let broken = |error: DiskError| engine("open", &error);
        disk::create_folder(folder).map_err(broken)?;
        let lock = disk::open_lock(&folder.join("lock")).map_err(broken)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Held),
            Err(TryLockError::Error(error)) => return Err(engine("lock", &error)),
        }
        for (name, _) in disk::list(folder).map_err(broken)? {
            if name.starts_with("snap.") && name.ends_with(".generating") {
                disk::remove(&folder.join(name)).map_err(broken)?;
            }
        }
        let config = sled::Config::new()
            .path(folder)
            .mode(Mode::HighThroughput)
            .cache_capacity(settings.cache)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        // sled meets some damage with a panic, which would end a command without its two lines.
        let opened = catch_unwind(AssertUnwindSafe(|| open_patiently(&config)));
        let database = opened.map_err(|_| StoreError::Corrupt("sled/db".into()))??;
        let log = disk::open(&folder.join("db")).map_err(broken)?;
        let inside = database.get(COUNT).map_err(|error| failed("open", error))?;
        let witness = Witness::open(folder, inside.as_deref())?;
        let moment = AtomicU64::new(witness.next() - 1);
        let moments = Moments::new();
        let committing =
            Mutex::new(Committing { log, blobs: BTreeSet::new(), failed: false, witness, moments });
        let (folder, reserve) = (folder.into(), Reserve::of(&settings));
        Ok(Self { database, committing, moment, folder, reserve, _lock: Lock(lock) })
    }

    fn range(&self, space: Space, prefix: &[u8], after: Option<&[u8]>) -> Option<sled::Iter> {
        let after = after.map(|key| full(space, key));
        let bounds = bounds(&full(space, prefix), after.as_deref());
        (!is_empty(&bounds)).then(|| self.database.range::<Vec<u8>, (Bound<Vec<u8>>, Bound<Vec<u8>>)>(bounds))
    }
}

impl Store for SledStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.database.get(full(space, key)).map_err(|error| failed("read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let Some(range) = self.range(space, prefix, after) else { return Ok(Vec::new()) };
        range.take(limit).map(|found| pair(found).map(|(_, key, value)| (key, value.to_vec()))).collect()
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let before = before.map(|key| full(space, key));
        let bounds = bounds_back(&full(space, prefix), before.as_deref());
        if is_empty(&bounds) {
            return Ok(Vec::new());
        }
        let range = self.database.range::<Vec<u8>, (Bound<Vec<u8>>, Bound<Vec<u8>>)>(bounds).rev();
        range.take(limit).map(|found| pair(found).map(|(_, key, value)| (key, value.to_vec()))).collect()
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        let Some(mut range) = self.range(space, b"", None) else { return Ok(None) };
        range.next_back().map(|found| pair(found).map(|(_, key, value)| (key, value.to_vec()))).transpose()
    }

    /// Writers wait until the walk has ended: sled can't show a moment that has passed.
    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let _one = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        for found in self.database.range(..COUNT) {
            let (space, key, value) = pair(found)?;
            if !visit(space, &key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn moment(&self) -> Option<u64> {
        Some(self.moment.load(Ordering::Acquire))
    }

    fn room(&self) -> Option<Room> {
        self.reserve.room(&self.folder)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        fits(&batch)?;
        let mut committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        if committing.failed {
            let reason = "an earlier write failed, so nothing more is accepted until a restart";
            return Err(StoreError::Engine { operation: "commit", reason: reason.into() });
        }
        conditions(self, &batch, &committing.moments)?;
        self.reserve.check(&self.folder, &batch)?;
        let number = committing.witness.next();
        committing.moments.note(&batch, number);
        let mut changes = sled::Batch::default();
        for (space, key, value) in batch.puts.iter() {
            changes.insert(full(*space, key), value.as_slice());
        }
        for (space, key) in batch.removes.iter() {
            changes.remove(full(*space, key));
        }
        changes.insert(COUNT, &number.to_be_bytes());
        committing.failed = true;
        self.database.apply_batch(changes).map_err(|error| failed("commit", error))?;
        self.database.flush().map_err(|error| failed("commit", error))?;
        committing.sync(&self.folder.join("blobs"))?;
        committing.failed = false;
        self.moment.store(number, Ordering::Release);
        committing.witness.acknowledge();
        Ok(())
    }
}

impl Committing {
    /// Rule 2: blobs first, as the log names them.
    fn sync(&mut self, folder: &Path) -> Result<(), StoreError> {
        let broken = |error: DiskError| engine("commit", &error);
        let there: BTreeSet<String> =
            disk::list(folder).map_err(broken)?.into_iter().map(|(name, _)| name).collect();
        let mut new = false;
        for name in there.difference(&self.blobs) {
            match disk::sync_file(&folder.join(name)) {
                // sled's own thread removes blobs that nothing names any more.
                Err(error) if error.is_not_found() => {}
                result => result.map_err(broken)?,
            }
            new = true;
        }
        if new {
            disk::sync_folder(folder).map_err(broken)?;
        }
        self.blobs = there;
        self.log.sync_data().map_err(|error| engine("commit", &error))
    }
}

/// Opens sled, for whoever has our own lock. sled's lock may be taken still: a thread of its pool that has told a committer
/// that a write is done holds the file until it is scheduled again, and closing a store waits for none of them. Nobody else
/// can hold it for long.
fn open_patiently(config: &sled::Config) -> Result<Db, StoreError> {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        match config.open().map_err(|error| failed("open", error)) {
            Err(StoreError::Held) => std::thread::sleep(PAUSE),
            result => return result,
        }
    }
    config.open().map_err(|error| failed("open", error))
}

/// A key as sled has it: the space's number before it.
fn full(space: Space, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(key.len() + 1);
    full.push(space.code());
    full.extend_from_slice(key);
    full
}

fn pair(found: sled::Result<(IVec, IVec)>) -> Result<(Space, Vec<u8>, IVec), StoreError> {
    let (full, value) = found.map_err(|error| failed("read", error))?;
    let space = full.split_first().and_then(|(code, key)| {
        Some((Space::ALL.into_iter().find(|space| space.code() == *code)?, key.to_vec()))
    });
    let (space, key) = space.ok_or_else(|| StoreError::Corrupt(full.escape_ascii().to_string()))?;
    Ok((space, key, value))
}

fn failed(operation: &'static str, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => StoreError::Held,
        sled::Error::Io(error) => engine(operation, &error),
        other => engine(operation, &other),
    }
}

fn engine(operation: &'static str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Engine { operation, reason: error.to_string() }
}
