//! The embedded store on fjall: a write-ahead log with real fdatasync and batches that are atomic across keyspaces.
//! It never answers a commit before it is on the disk.

use super::{Batch, Pair, Space, Store, StoreError};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// 64 MiB of journal (the default is 512): a restart reads the journal back, and must be quick.
const JOURNAL_BYTES: u64 = 64 << 20;
/// 8 MiB of cache: a few records are hot, and the process also serves.
const CACHE_BYTES: u64 = 8 << 20;

/// A store in a folder.
pub struct FjallStore {
    database: Database,
    spaces: [Keyspace; Space::ALL.len()],
    /// One committer at a time, so that conditions and changes are one step.
    committing: Mutex<()>,
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
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()
            .map_err(|error| failed("open", error))?;
        let open = |space: Space| {
            let keyspace = database.keyspace(space.name(), KeyspaceCreateOptions::default);
            keyspace.map_err(|error| failed("open", error))
        };
        let spaces = [
            open(Space::Meta)?,
            open(Space::Generations)?,
            open(Space::Audit)?,
            open(Space::Devices)?,
            open(Space::Reports)?,
            open(Space::Keys)?,
        ];
        Ok(Self { database, spaces, committing: Mutex::new(()) })
    }

    fn space(&self, space: Space) -> &Keyspace {
        let [meta, generations, audit, devices, reports, keys] = &self.spaces;
        match space {
            Space::Meta => meta,
            Space::Generations => generations,
            Space::Audit => audit,
            Space::Devices => devices,
            Space::Reports => reports,
            Space::Keys => keys,
        }
    }
}

impl Store for FjallStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.space(space).get(key).map_err(|error| failed("read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, space: Space, after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let start = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.to_vec()));
        let range = self.space(space).range((start, Bound::<Vec<u8>>::Unbounded));
        range.take(limit).map(pair).collect()
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        self.space(space).last_key_value().map(pair).transpose()
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let _one = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        for (space, key, value) in &batch.expected {
            if self.get(*space, key)? != *value {
                return Err(StoreError::Changed(format!("{}/{}", space.name(), key.escape_ascii())));
            }
        }
        let mut changes = self.database.batch().durability(Some(PersistMode::SyncData));
        for (space, key, value) in batch.puts {
            changes.insert(self.space(space), key, value);
        }
        for (space, key) in batch.removes {
            changes.remove(self.space(space), key);
        }
        changes.commit().map_err(|error| failed("commit", error))
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
