//! When keys were last written, for an engine whose every commit is its own: so that what a batch expects need not be read
//! a second time where nobody wrote it meanwhile. It never says that a key is untouched when it isn't; the other way round it may.

use super::{Batch, Space};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Keys share so many places: half a MiB. Two that meet in one only cost a reading.
const PLACES: usize = 1 << 16;

/// The number of the last commit that wrote one of a place's keys; numbers before the first are 0.
#[derive(Debug)]
pub(super) struct Moments(Box<[u64]>);

impl Moments {
    /// Of a store that was just opened.
    pub(super) fn new() -> Self {
        Self(vec![0; PLACES].into())
    }

    /// Notes that commit `number` writes what is in `batch`; before it is tried, as one that fails may have come half-way.
    pub(super) fn note(&mut self, batch: &Batch, number: u64) {
        for (space, key, _) in batch.puts.iter() {
            self.0[place(*space, key)] = number;
        }
        for (space, key) in batch.removes.iter() {
            self.0[place(*space, key)] = number;
        }
    }

    /// True only where no commit after `since` wrote the key.
    pub(super) fn untouched(&self, space: Space, key: &[u8], since: u64) -> bool {
        self.0[place(space, key)] <= since
    }
}

fn place(space: Space, key: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    (space, key).hash(&mut hasher);
    hasher.finish() as usize % PLACES
}
