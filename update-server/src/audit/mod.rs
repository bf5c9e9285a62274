//! The audit: what was done here, by whom, in a chain of hashes. Each entry names the digest of the one before, so none
//! can be changed or left out without changing the head. It records; it never decides.

mod find;
pub mod why;

pub use self::find::{Filter, Found, entries, first, newest};

use crate::blobs::{Digest, digest_of};
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use perennial_schemas::signed::canonical_of;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What the first entry names as the one before.
const GENESIS: Digest = perennial_schemas::Sha256Digest([0; 32]);
/// Entries read at once.
const PAGE: usize = 1000;

/// What to do about a chain that doesn't hold.
pub(crate) const BROKEN: &str = "keep this state folder as it is and find out who could write to it; updates go on, the audit can't be relied on";

/// One entry, as it is stored: the canonical JSON of these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Counts from 1 without gaps.
    pub sequence: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who: `command`, `server`, or `token:<name>`.
    pub actor: String,
    /// What, as `bundle.ingested`.
    pub action: String,
    /// What more there is to say.
    pub detail: BTreeMap<String, String>,
    /// SHA-256 of the entry before, zeros for the first.
    #[schema(value_type = String)]
    pub previous: Digest,
}

impl Entry {
    /// The chain's end as it was when this entry was the last one.
    ///
    /// # Errors
    /// When it can't be written as it is stored.
    pub fn head(&self) -> Result<Head, StoreError> {
        let value = canonical_of(self).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(Head { sequence: self.sequence, digest: digest_of(&value) })
    }
}

/// The end of the chain: vouches for everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// The last entry's number; 0 for none.
    pub sequence: u64,
    /// Its digest.
    #[schema(value_type = String)]
    pub digest: Digest,
}

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct Event {
    /// See [`Entry::at`].
    pub at: Timestamp,
    /// See [`Entry::actor`].
    pub actor: String,
    /// See [`Entry::action`].
    pub action: &'static str,
    /// See [`Entry::detail`].
    pub detail: BTreeMap<String, String>,
}

impl Event {
    /// An event with its details.
    pub fn new(at: Timestamp, actor: &str, action: &'static str, detail: &[(&str, String)]) -> Self {
        let detail = detail.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { at, actor: actor.into(), action, detail }
    }
}

/// Adds an event's entry to a batch, so that what was done and its record are committed together.
///
/// # Errors
/// [`StoreError`] when the chain's end can't be read. The commit itself fails with [`StoreError::Changed`] when
/// another entry came first.
pub fn record(store: &dyn Store, batch: Batch, event: Event) -> Result<Batch, StoreError> {
    let head = head(store)?;
    let entry = Entry {
        sequence: head
            .sequence
            .checked_add(1)
            .ok_or_else(|| StoreError::Corrupt(format!("audit/{}: no number follows", head.sequence)))?,
        at: event.at,
        actor: event.actor,
        action: event.action.into(),
        detail: event.detail,
        previous: head.digest,
    };
    let key = entry.sequence.to_be_bytes();
    let value = canonical_of(&entry).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(batch.expect(Space::Audit, key, None).put(Space::Audit, key, value))
}

/// How often an entry is tried again that another one was faster than.
const TRIES: usize = 64;

/// Commits a batch with the record of what it does. Where another entry was faster, it is tried again behind that one;
/// a condition of the batch itself that isn't met is the caller's to judge.
///
/// # Errors
/// [`StoreError::Changed`] for a condition of `batch`, else as the store says. Nothing is changed then.
pub fn commit(store: &dyn Store, batch: &Batch, event: &Event) -> Result<Head, StoreError> {
    for _ in 1..TRIES {
        let before = head(store)?;
        match store.commit(record(store, batch.clone(), event.clone())?) {
            Err(StoreError::Changed(_)) if head(store)? != before => {}
            Err(error) => return Err(error),
            Ok(()) => return at(store, before.sequence + 1),
        }
    }
    Err(StoreError::Changed("audit".into()))
}

/// The chain's end as it was when entry `sequence` was the last one.
///
/// # Errors
/// [`StoreError::Corrupt`] when that entry isn't there.
pub fn at(store: &dyn Store, sequence: u64) -> Result<Head, StoreError> {
    let missing = || StoreError::Corrupt(format!("audit/{sequence}: it isn't there"));
    let value = store.get(Space::Audit, &sequence.to_be_bytes())?.ok_or_else(missing)?;
    Ok(Head { sequence, digest: digest_of(&value) })
}

/// The end of the chain.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn head(store: &dyn Store) -> Result<Head, StoreError> {
    match store.last(Space::Audit)? {
        None => Ok(Head { sequence: 0, digest: GENESIS }),
        Some((key, value)) => Ok(Head { sequence: number(&key)?, digest: digest_of(&value) }),
    }
}

/// Walks the whole chain.
///
/// # Errors
/// [`StoreError::Corrupt`] naming the first entry that doesn't follow from the one before.
pub fn verify(store: &dyn Store) -> Result<Head, StoreError> {
    let mut chain = Chain::default();
    loop {
        let after = chain.head().sequence.to_be_bytes();
        let pairs = store.scan(Space::Audit, Some(&after), PAGE)?;
        if pairs.is_empty() {
            return Ok(chain.head());
        }
        for (key, value) in pairs {
            chain.follow(&key, &value)?;
        }
    }
}

/// Walks the whole chain, and compares it with heads that somebody has seen before, such as signers at a review.
///
/// # Errors
/// [`StoreError::Corrupt`] naming the break, [`StoreError::OtherPast`] the first head that the chain doesn't lead through.
pub fn verify_against(store: &dyn Store, seen: &[Head]) -> Result<Head, StoreError> {
    let head = verify(store)?;
    for seen in seen {
        if seen.sequence > head.sequence {
            let (sequence, last) = (seen.sequence, head.sequence);
            return Err(StoreError::OtherPast(format!(
                "entry {sequence} of the audit was seen, and the chain ends at {last}: entries were cut off"
            )));
        }
        let there = if seen.sequence == 0 { Chain::default().head() } else { at(store, seen.sequence)? };
        if there != *seen {
            let sequence = seen.sequence;
            return Err(StoreError::OtherPast(format!(
                "entry {sequence} of the audit was seen with the digest {}, and has {}: the past was rewritten",
                seen.digest, there.digest
            )));
        }
    }
    Ok(head)
}

/// A chain that is walked entry by entry.
#[derive(Debug)]
pub(crate) struct Chain(Head);

impl Default for Chain {
    fn default() -> Self {
        Self(Head { sequence: 0, digest: GENESIS })
    }
}

impl Chain {
    /// The next entry.
    pub(crate) fn follow(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let (head, entry) = (self.0, entry(key, value)?);
        let follows = entry.sequence == head.sequence + 1 && entry.previous == head.digest;
        if !follows || number(key)? != entry.sequence {
            return Err(StoreError::Corrupt(format!("audit/{}: the chain breaks here", head.sequence + 1)));
        }
        self.0 = Head { sequence: entry.sequence, digest: digest_of(value) };
        Ok(())
    }

    /// The last entry that fitted.
    pub(crate) fn head(&self) -> Head {
        self.0
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.sequence, self.digest)
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    /// Reads `SEQUENCE:DIGEST`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` isn't a head: write SEQUENCE:DIGEST, as `audit verify` prints it");
        let (sequence, digest) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self {
            sequence: sequence.parse().map_err(|_| wrong())?,
            digest: digest.parse().map_err(|_| wrong())?,
        })
    }
}

fn entry(key: &[u8], value: &[u8]) -> Result<Entry, StoreError> {
    let number = number(key)?;
    serde_json::from_slice(value).map_err(|error| StoreError::Corrupt(format!("audit/{number}: {error}")))
}

fn number(key: &[u8]) -> Result<u64, StoreError> {
    let bytes = key.try_into().map_err(|_| StoreError::Corrupt(format!("audit/{}", key.escape_ascii())))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FjallStore, Settings};

    fn event(action: &'static str) -> Event {
        Event::new(Timestamp::EPOCH, "command", action, &[("a", "b".into())])
    }

    #[test]
    fn a_changed_entry_or_a_missing_one_breaks_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        assert_eq!(verify(&store).unwrap().sequence, 0);
        for action in ["one", "two", "three"] {
            store.commit(record(&store, Batch::new(), event(action)).unwrap()).unwrap();
        }
        assert_eq!(verify(&store).unwrap(), head(&store).unwrap());
        assert_eq!(entries(&store, 1, 1).unwrap()[0].action, "two");

        let second = store.get(Space::Audit, &2_u64.to_be_bytes()).unwrap().unwrap();
        let changed = String::from_utf8(second).unwrap().replace("two", "owt");
        store.commit(Batch::new().put(Space::Audit, 2_u64.to_be_bytes(), changed)).unwrap();
        assert!(verify(&store).unwrap_err().to_string().contains("audit/3: the chain breaks here"));
    }

    #[test]
    fn two_records_at_once_never_share_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        let first = record(&store, Batch::new(), event("one")).unwrap();
        let second = record(&store, Batch::new(), event("two")).unwrap();
        store.commit(first).unwrap();
        assert!(matches!(store.commit(second), Err(StoreError::Changed(_))));
    }

    #[test]
    fn writers_at_once_all_get_their_entries_and_a_condition_stays_the_callers() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..25).for_each(|_| assert!(commit(&store, &Batch::new(), &event("one")).is_ok()))
                });
            }
        });
        assert_eq!(verify(&store).unwrap().sequence, 100);
        let refused = commit(&store, &Batch::new().expect(Space::Meta, *b"a", Some(vec![])), &event("two"));
        assert!(matches!(refused, Err(StoreError::Changed(key)) if key == "meta/a"));
        assert_eq!(at(&store, 100).unwrap(), head(&store).unwrap());
    }
}
