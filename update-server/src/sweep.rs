//! Keeps the disk in bounds: generations that are long past are forgotten, and content that no remaining one names is
//! removed. It never touches what is served, what the generation before serves on, or a file inside the time for which
//! a release promised it, and it removes no file that isn't a blob.
//!
//! First one durable commit forgets the generations and writes the audit entry, then files are removed one by one. A
//! kill in between leaves files that nothing names: the next sweep finds them, as it finds what a killed ingest left.
//! Nobody takes a bundle in meanwhile. A stream that is under way goes on: its file is mapped, and a mapping outlives
//! the name.

use crate::audit::{self, Event};
use crate::blobs::Digest;
use crate::disk::{self, DiskError};
use crate::generation::{self, Generation};
use crate::ingest::lost;
use crate::state::Held;
use crate::steady;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::{ProductName, Timestamp};
use std::collections::BTreeSet;

/// Why nothing, or not everything, was removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store failed, or a generation in it can't be read; nothing was removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob can't be looked at or removed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// The generations that were forgotten.
    pub generations: Vec<u64>,
    /// Blobs that were removed.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the blobs that stay.
    pub kept: u64,
}

/// Forgets all but the last `keep` generations (0: none), and removes content that no remaining one names.
///
/// # Errors
/// A [`SweepError`]. What is served is whole whatever happens.
pub fn sweep(held: &Held, keep: u64, now: Timestamp) -> Result<Swept, SweepError> {
    let Some(served) = generation::served(&held.store)? else { return Ok(Swept::default()) };
    // What a release promised until then, a clock that leaps doesn't end.
    let by = steady::doubt(&held.store, now)?.unwrap_or(now);
    let (mut swept, mut wanted) = (Swept::default(), BTreeSet::new());
    let mut after = None;
    while let Some(past) = generation::next(&held.store, after)? {
        after = Some(past.number);
        if keep > 0
            && past.number.saturating_add(keep) <= served.generation.number
            && !promised(held, &past, &served.generation, by)
        {
            swept.generations.push(past.number);
        } else {
            wanted.extend(past.files.values().map(|file| file.sha256));
        }
    }
    let blobs = held.state.blobs();
    let mut unwanted = Vec::new();
    for (name, length) in disk::list(blobs.folder())? {
        let Ok(digest) = name.parse::<Digest>() else { continue };
        if wanted.contains(&digest) {
            swept.kept += length;
        } else {
            (swept.blobs, swept.bytes) = (swept.blobs + 1, swept.bytes + length);
            unwanted.push(digest);
        }
    }
    if unwanted.is_empty() && swept.generations.is_empty() {
        return Ok(swept);
    }
    forget(&held.store, &swept, served.generation.number, now)?;
    for digest in unwanted {
        disk::remove(&blobs.path(&digest))?;
    }
    Ok(swept)
}

/// Whether a past generation names a file that a release promised for longer, and that isn't served any more. Ingest
/// refuses what would come to that; after a wrong clock, or a mistake of ours, the file still stays.
fn promised(held: &Held, past: &Generation, served: &Generation, now: Timestamp) -> bool {
    let blobs = held.state.blobs();
    let read = |name: &str, digest: &Digest| crate::ingest::read(&blobs, name, digest);
    let supported = |product: &ProductName| crate::ingest::supported_until(&blobs, served, product);
    match lost(&past.files, &served.files, &read, &supported, now) {
        Ok(None) => false,
        Ok(Some(lost)) => {
            tracing::warn!(
                generation = past.number,
                lost = lost.target,
                "kept: a promised file is only there"
            );
            true
        }
        Err(error) => {
            tracing::warn!(generation = past.number, %error, "kept: what it promised can't be read");
            true
        }
    }
}

fn forget(store: &dyn Store, swept: &Swept, served: u64, now: Timestamp) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    for number in &swept.generations {
        batch = batch.remove(Space::Generations, number.to_be_bytes());
    }
    let numbers: Vec<String> = swept.generations.iter().map(u64::to_string).collect();
    let detail = [
        ("generations", numbers.join(" ")),
        ("served", served.to_string()),
        ("blobs", swept.blobs.to_string()),
        ("bytes", swept.bytes.to_string()),
    ];
    audit::commit(store, &batch, &Event::new(now, "server", "content.swept", &detail)).map(drop)
}
