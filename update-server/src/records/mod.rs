//! The records as a whole: their export as one file, their way into an empty store, and their check. It moves and reads
//! them; what they mean stays with those who write them.

pub mod archive;
pub mod check;
pub mod copy;
pub mod restored;
#[cfg(test)]
mod tests;

use crate::blobs::{Digest, Hasher};
use crate::store::{Space, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a store holds, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecordsSummary)]
pub struct Summary {
    /// Records in all.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Records by space.
    pub spaces: BTreeMap<String, u64>,
    /// SHA-256 over all of them in order: the same for the same records, whatever engine holds them.
    #[schema(value_type = String)]
    pub contents: Digest,
}

/// Counts records as they come by, in order.
#[derive(Default)]
pub(crate) struct Tally {
    hasher: Hasher,
    counts: [u64; Space::ALL.len()],
    bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.hasher.update(&frame(space, key, value));
        self.hasher.update(key);
        self.hasher.update(value);
        self.counts[usize::from(space.code())] += 1;
        self.bytes += (key.len() + value.len()) as u64;
    }

    pub(crate) fn finish(self) -> Summary {
        let spaces = Space::ALL.iter().map(|space| space.name().to_owned()).zip(self.counts).collect();
        let records = self.counts.iter().sum();
        Summary { records, bytes: self.bytes, spaces, contents: self.hasher.finish() }
    }
}

/// Counts what a store holds, but for the mark of a copy under way.
///
/// # Errors
/// As the store says.
pub fn summary(store: &dyn Store) -> Result<Summary, StoreError> {
    let mut tally = Tally::default();
    let mut visit = |space: Space, key: &[u8], value: &[u8]| {
        if !copy::is_mark(space, key) {
            tally.add(space, key, value);
        }
        true
    };
    store.walk(&mut visit)?;
    Ok(tally.finish())
}

/// What stands before a record: its space, and the lengths of key and value.
fn frame(space: Space, key: &[u8], value: &[u8]) -> [u8; 9] {
    let mut frame = [space.code(); 9];
    frame[1..5].copy_from_slice(&(key.len() as u32).to_be_bytes());
    frame[5..].copy_from_slice(&(value.len() as u32).to_be_bytes());
    frame
}
