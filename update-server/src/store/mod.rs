//! What a store must do for the server: keys and values in a few spaces, read one by one or in order, changed only by
//! atomic, durable batches that can be made conditional. It knows nothing of generations or audits, and it never
//! holds content: that lies in the blobs folder, and the store holds digests.

mod engine;
mod fjall;
mod moments;
#[cfg(feature = "postgres")]
mod postgres;
mod reserve;
mod sled;
#[cfg(test)]
mod tests;
mod witness;

pub use self::engine::{Engine, Settings};
pub use self::fjall::FjallStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
pub use self::reserve::Room;
pub(crate) use self::reserve::{LEAST, make_spare};
pub use self::sled::SledStore;

use self::moments::Moments;
use std::ops::Bound;
use std::sync::Arc;

/// Bytes of a key, of which it has at least one. PostgreSQL's index takes 2,700; ours are shorter than 100.
pub const KEY_LENGTH: usize = 1 << 10;
/// Bytes of a value: a generation of 65,536 files has about 12 MiB.
pub const VALUE_LENGTH: usize = 64 << 20;

/// A part of the store; keys of different spaces never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Single records: which generation is served, the last timestamp.
    Meta,
    /// Generations by number (8 bytes, big-endian).
    Generations,
    /// Audit entries by sequence number (8 bytes, big-endian).
    Audit,
    /// Devices by their id.
    Devices,
    /// What devices reported: id, a zero byte, epoch (4 bytes, big-endian), sequence (8 bytes, big-endian).
    Reports,
    /// Whose a device's public key is, by the SHA-256 of its SubjectPublicKeyInfo.
    Keys,
    /// Rollouts by the SHA-256 of their release's manifest.
    Rollouts,
    /// Votes on releases: the manifest's SHA-256, then 16 bytes of a keyed hash of it and the device's id.
    Marks,
}

impl Space {
    /// All spaces.
    pub const ALL: [Self; 8] = [
        Self::Meta,
        Self::Generations,
        Self::Audit,
        Self::Devices,
        Self::Reports,
        Self::Keys,
        Self::Rollouts,
        Self::Marks,
    ];

    /// The name on disk; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Generations => "generations",
            Self::Audit => "audit",
            Self::Devices => "devices",
            Self::Reports => "reports",
            Self::Keys => "keys",
            Self::Rollouts => "rollouts",
            Self::Marks => "marks",
        }
    }

    /// The number on disk and in tables, its place in [`Self::ALL`]; never changed once released.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A key, and what it is to hold at the moment of the commit.
type Condition = (Space, Vec<u8>, Option<Vec<u8>>);
/// A key, and what it holds then.
type Put = (Space, Vec<u8>, Vec<u8>);

/// Changes that happen together or not at all. A clone shares what is in it.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    pub(crate) expected: Arc<Vec<Condition>>,
    pub(crate) puts: Arc<Vec<Put>>,
    pub(crate) removes: Arc<Vec<(Space, Vec<u8>)>>,
    /// See [`Batch::since`].
    pub(crate) since: Option<u64>,
    /// See [`Batch::urgent`].
    pub(crate) urgent: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The batch is refused unless `key` holds exactly `value` (`None`: isn't there) at the moment of the commit.
    #[must_use]
    pub fn expect(mut self, space: Space, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.expected).push((space, key.into(), value));
        self
    }

    /// Sets a key; of two puts of one key in a batch, the later one counts. No batch puts and removes the same key.
    #[must_use]
    pub fn put(mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.puts).push((space, key.into(), value.into()));
        self
    }

    /// Says when the values that this batch expects were read: each of them after that [`Store::moment`], or put since by a
    /// batch that was committed. An engine that saw nobody write a key since then need not read it once more.
    #[must_use]
    pub fn since(mut self, moment: Option<u64>) -> Self {
        self.since = moment;
        self
    }

    /// It stops something, and may use the reserve for that: what is stopped must not go on because a disk is full.
    #[must_use]
    pub fn urgent(mut self, urgent: bool) -> Self {
        self.urgent = urgent;
        self
    }

    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.removes.is_empty()
    }

    /// Removes a key; one that isn't there is no error.
    #[must_use]
    pub fn remove(mut self, space: Space, key: impl Into<Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.removes).push((space, key.into()));
        self
    }
}

/// A store's refusal or fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error("the store is held by another process")]
    Held,
    /// A condition of the batch wasn't met: somebody else was faster. Nothing was changed.
    #[error("the store changed meanwhile ({0})")]
    Changed(String),
    /// The engine failed; what was committed before is safe, this batch is not committed.
    #[error("the store failed to {operation}: {reason}")]
    Engine {
        /// What was tried.
        operation: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// Too little room is left on the disk; nothing was changed, and reading goes on.
    #[error("the store's disk is full: {0}")]
    Full(String),
    /// A database can't be reached. Whether the batch was committed isn't known: commit it again, or read.
    #[error("the store's database can't be reached: {0}")]
    Unavailable(String),
    /// A copy into this store began and never ended.
    #[error("the store holds a part of what was to be copied into it")]
    Unfinished,
    /// The store's files are damaged: it knows of fewer commits than it acknowledged.
    #[error("the store has lost commits: it acknowledged {acknowledged}, and {left} are left")]
    Forgot {
        /// Commits that it acknowledged.
        acknowledged: u64,
        /// Commits that it knows of.
        left: u64,
    },
    /// A batch that no engine takes.
    #[error("a {what} in the store has at most {limit} bytes")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// The limit in bytes; keys have at least one.
        limit: usize,
    },
    /// The audit isn't the one that somebody has seen.
    #[error("{0}")]
    OtherPast(String),
    /// A record that can't be read: a fault of the disk, or a file of a later version.
    #[error("the store's record {0} can't be read")]
    Corrupt(String),
}

impl StoreError {
    /// What to do about it, where more can be said than the error says.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Full { .. } => Some("make room on that disk; nothing that was acknowledged is lost"),
            Self::Unavailable(_) => {
                Some("look at the database, and at the URL in the file that store.url_file names")
            }
            Self::Unfinished => Some("run the import or the migration again: it begins anew"),
            Self::Forgot { .. } | Self::Corrupt(_) => Some(
                "the disk or its files are damaged: put the store's folder aside and bring back an export (perennial-server store import)",
            ),
            _ => None,
        }
    }
}

/// What looks at records: space, key, value; false ends the walk.
pub type Visit<'a> = dyn FnMut(Space, &[u8], &[u8]) -> bool + 'a;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A durable, ordered map of maps. Calls block; they are made from threads of their own, never from a serving one.
pub trait Store: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError::Engine`].
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The values of many keys, in the order of `keys`.
    ///
    /// # Errors
    /// [`StoreError::Engine`].
    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        keys.iter().map(|key| self.get(space, key)).collect()
    }

    /// Up to `limit` pairs whose keys come after `after`, in the order of the keys (of their bytes).
    ///
    /// # Errors
    /// [`StoreError::Engine`].
    fn scan(&self, space: Space, after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.scan_prefix(space, b"", after, limit)
    }

    /// The same among the keys that begin with `prefix`; `after` is a whole key, and need not begin with it.
    ///
    /// # Errors
    /// [`StoreError::Engine`].
    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError>;

    /// Up to `limit` pairs whose keys begin with `prefix` and come before `before`, the last of them first.
    ///
    /// # Errors
    /// [`StoreError::Engine`].
    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError>;

    /// The pair with the greatest key.
    ///
    /// # Errors
    /// [`StoreError::Engine`].
    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError>;

    /// Shows `visit` every record of every space as of one moment, in the order of [`Space::ALL`] and of the keys, until
    /// it answers false. Writers may have to wait meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Engine`].
    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// How far this store has come, for [`Batch::since`]: what is read from now on is no older than this. `None` where others
    /// may write without this process seeing it. Doesn't wait for a commit that is under way.
    fn moment(&self) -> Option<u64> {
        None
    }

    /// The room on its disk; `None` where that isn't this machine's, or can't be told.
    fn room(&self) -> Option<Room> {
        None
    }

    /// Commits a batch: whole, and on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when a condition isn't met, [`StoreError::Full`] when the disk is full, else
    /// [`StoreError::Engine`]; nothing is changed then.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;
}

/// A store that several parts of the server share.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(space, key)
    }

    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        (**self).get_many(space, keys)
    }

    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        (**self).scan_prefix(space, prefix, after, limit)
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        (**self).scan_back(space, prefix, before, limit)
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        (**self).last(space)
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        (**self).walk(visit)
    }

    fn moment(&self) -> Option<u64> {
        (**self).moment()
    }

    fn room(&self) -> Option<Room> {
        (**self).room()
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        (**self).commit(batch)
    }
}

/// Refuses what not every engine takes. Each engine does so before anything else.
fn fits(batch: &Batch) -> Result<(), StoreError> {
    let keys = batch.puts.iter().map(|(_, key, _)| key).chain(batch.removes.iter().map(|(_, key)| key));
    if keys
        .chain(batch.expected.iter().map(|(_, key, _)| key))
        .any(|key| !(1..=KEY_LENGTH).contains(&key.len()))
    {
        return Err(StoreError::TooLong { what: "key", limit: KEY_LENGTH });
    }
    if batch.puts.iter().any(|(_, _, value)| value.len() > VALUE_LENGTH) {
        return Err(StoreError::TooLong { what: "value", limit: VALUE_LENGTH });
    }
    Ok(())
}

/// The first condition of a batch that isn't met is an error. Called by one committer at a time, whose moments these are.
fn conditions(store: &dyn Store, batch: &Batch, moments: &Moments) -> Result<(), StoreError> {
    for (space, key, value) in batch.expected.iter() {
        let known = batch.since.is_some_and(|since| moments.untouched(*space, key, since));
        if !known && store.get(*space, key)? != *value {
            return Err(changed(*space, key));
        }
    }
    Ok(())
}

fn changed(space: Space, key: &[u8]) -> StoreError {
    StoreError::Changed(format!("{}/{}", space.name(), key.escape_ascii()))
}

/// The keys that begin with `prefix` and come after `after`, as bounds.
fn bounds(prefix: &[u8], after: Option<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = match after {
        Some(key) if key >= prefix => Bound::Excluded(key.to_vec()),
        _ => Bound::Included(prefix.to_vec()),
    };
    // The first key past the prefix: its last byte that can be raised, raised.
    let end = match prefix.iter().rposition(|byte| *byte != u8::MAX) {
        Some(at) => {
            let mut end = prefix[..=at].to_vec();
            end[at] += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    };
    (start, end)
}

/// The keys that begin with `prefix` and come before `before`, as bounds.
fn bounds_back(prefix: &[u8], before: Option<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let (start, end) = bounds(prefix, None);
    match (before, end) {
        (Some(before), Bound::Excluded(end)) => {
            (start, Bound::Excluded(if before < end.as_slice() { before.to_vec() } else { end }))
        }
        (Some(before), _) => (start, Bound::Excluded(before.to_vec())),
        (None, end) => (start, end),
    }
}

/// True where bounds hold no key at all; engines differ in what they make of such bounds.
fn is_empty(bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    match bounds {
        (Bound::Excluded(start) | Bound::Included(start), Bound::Excluded(end)) => start >= end,
        _ => false,
    }
}
