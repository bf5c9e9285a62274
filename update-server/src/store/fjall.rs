//! The embedded store on fjall: a write-ahead log with real fdatasync and batches that are atomic across keyspaces.
//! It never answers a commit before it is on the disk.

use super::moments::Moments;
use super::reserve::Reserve;
use super::witness::Witness;
use super::{
    Batch, Pair, Room, Settings, Space, Store, StoreError, Visit, bounds, bounds_back, conditions, fits,
    is_empty,
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// 64 MiB of journal (the default is 512): a restart reads the journal back, and must be quick.
const JOURNAL_BYTES: u64 = 64 << 20;

/// The one key of the count.
const COUNT: &[u8] = b"n";

/// A store in a folder.
pub struct FjallStore {
    database: Database,
    /// In the order of [`Space::ALL`].
    spaces: Vec<Keyspace>,
    /// One committer at a time, so that conditions and changes are one step.
    committing: Mutex<(Witness, Moments)>,
    /// The last commit that readers see.
    moment: AtomicU64,
    /// Holds how many commits there were.
    count: Keyspace,
    folder: PathBuf,
    reserve: Reserve,
}

impl std::fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FjallStore")
    }
}

impl FjallStore {
    /// Opens the store in `folder`, made if it isn't there.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it, else [`StoreError::Engine`].
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, StoreError> {
        let database = Database::builder(folder)
            .cache_size(settings.cache)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()
            .map_err(|error| failed("open", error))?;
        let open = |space: Space| {
            let keyspace = database.keyspace(space.name(), KeyspaceCreateOptions::default);
            keyspace.map_err(|error| failed("open", error))
        };
        let spaces = Space::ALL.into_iter().map(open).collect::<Result<_, _>>()?;
        let count = database.keyspace("count", KeyspaceCreateOptions::default);
        let count = count.map_err(|error| failed("open", error))?;
        let inside = count.get(COUNT).map_err(|error| failed("open", error))?;
        let witness = Witness::open(folder, inside.as_deref())?;
        Ok(Self {
            database,
            spaces,
            moment: AtomicU64::new(witness.next() - 1),
            committing: Mutex::new((witness, Moments::new())),
            count,
            folder: folder.into(),
            reserve: Reserve::of(&settings),
        })
    }

    fn space(&self, space: Space) -> &Keyspace {
        &self.spaces[usize::from(space.code())]
    }
}

impl Store for FjallStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.space(space).get(key).map_err(|error| failed("read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let bounds = bounds(prefix, after);
        if is_empty(&bounds) {
            return Ok(Vec::new());
        }
        self.space(space).range(bounds).take(limit).map(pair).collect()
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let bounds = bounds_back(prefix, before);
        if is_empty(&bounds) {
            return Ok(Vec::new());
        }
        self.space(space).range(bounds).rev().take(limit).map(pair).collect()
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        self.space(space).last_key_value().map(pair).transpose()
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let moment = self.database.snapshot();
        for space in Space::ALL {
            for record in moment.iter(self.space(space)) {
                let (key, value) = record.into_inner().map_err(|error| failed("read", error))?;
                if !visit(space, &key, &value) {
                    return Ok(());
                }
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
        let (witness, moments) = &mut *committing;
        conditions(self, &batch, moments)?;
        self.reserve.check(&self.folder, &batch)?;
        let number = witness.next();
        moments.note(&batch, number);
        let mut changes = self.database.batch().durability(Some(PersistMode::SyncData));
        for (space, key, value) in batch.puts.iter() {
            changes.insert(self.space(*space), key.as_slice(), value.as_slice());
        }
        for (space, key) in batch.removes.iter() {
            changes.remove(self.space(*space), key.as_slice());
        }
        changes.insert(&self.count, COUNT, number.to_be_bytes());
        changes.commit().map_err(|error| failed("commit", error))?;
        self.moment.store(number, Ordering::Release);
        witness.acknowledge();
        Ok(())
    }
}

fn pair(guard: fjall::Guard) -> Result<Pair, StoreError> {
    let (key, value) = guard.into_inner().map_err(|error| failed("read", error))?;
    Ok((key.to_vec(), value.to_vec()))
}

fn failed(operation: &'static str, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError::Held,
        fjall::Error::Poisoned => StoreError::Engine {
            operation,
            reason: "an earlier write failed, so nothing more is accepted until a restart".into(),
        },
        fjall::Error::Io(error) => StoreError::Engine { operation, reason: error.to_string() },
        other => StoreError::Engine { operation, reason: other.to_string() },
    }
}
