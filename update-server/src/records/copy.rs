//! The way of records into an empty store: all of them, compared afterwards, or none that counts. A mark stands in the
//! store from the first batch to the last; a store with the mark isn't used.

use super::archive::{self, ArchiveError};
use super::{Summary, Tally, restored, summary};
use crate::audit::{self, Event};
use crate::blobs::Digest;
use crate::store::{Batch, Space, Store, StoreError};
use std::io::Read;

/// The mark.
const MARK: &[u8] = b"unfinished";
/// Records of a batch, and about so many bytes.
const RECORDS: usize = 2_000;
/// See [`RECORDS`].
const BYTES: usize = 4 << 20;

/// Whether a record is the mark of a copy under way.
pub(super) fn is_mark(space: Space, key: &[u8]) -> bool {
    space == Space::Meta && key == MARK
}

/// Whether a copy into this store began and never ended.
///
/// # Errors
/// As the store says.
pub fn is_unfinished(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.get(Space::Meta, MARK)?.is_some())
}

/// Whether nothing is in the store.
///
/// # Errors
/// As the store says.
pub fn is_empty(store: &dyn Store) -> Result<bool, StoreError> {
    let mut empty = true;
    let mut visit = |_: Space, _: &[u8], _: &[u8]| {
        empty = false;
        false
    };
    store.walk(&mut visit)?;
    Ok(empty)
}

/// Copies everything from one store into an empty one; `event` makes what goes into the audit there.
///
/// # Errors
/// An [`ArchiveError`]; the store stays marked then.
pub fn copy(
    from: &dyn Store,
    to: &dyn Store,
    event: impl FnOnce(&Summary) -> Event,
) -> Result<Summary, ArchiveError> {
    let (mut arriving, mut tally, mut failed) = (Arriving::begin(to)?, Tally::default(), None);
    let mut visit = |space: Space, key: &[u8], value: &[u8]| {
        tally.add(space, key, value);
        failed = arriving.put(space, key.to_vec(), value.to_vec()).err();
        failed.is_none()
    };
    from.walk(&mut visit)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let sent = tally.finish();
    arriving.end(&sent, Batch::new(), &event(&sent))?;
    Ok(sent)
}

/// Reads an export into an empty store; the event is made as with [`copy()`].
///
/// # Errors
/// An [`ArchiveError`]; the store stays marked then.
pub fn import(
    input: &mut dyn Read,
    to: &dyn Store,
    event: impl FnOnce(&Summary, &Digest) -> Event,
) -> Result<(Summary, Digest), ArchiveError> {
    let mut arriving = Arriving::begin(to)?;
    let (sent, digest) = archive::read(input, &mut |space, key, value| arriving.put(space, key, value))?;
    // An export is older than what it is restored for, or nobody would need it.
    arriving.flush()?;
    let event = event(&sent, &digest);
    let restored = restored::once_more(to, Batch::new(), event.at)?;
    arriving.end(&sent, restored, &event)?;
    Ok((sent, digest))
}

/// Removes everything, the mark last.
///
/// # Errors
/// As the store says; the mark is still there then.
pub fn clear(store: &dyn Store) -> Result<(), StoreError> {
    for space in Space::ALL {
        let mut after = None;
        loop {
            let found = store.scan(space, after.as_deref(), RECORDS)?;
            let Some((last, _)) = found.last() else { break };
            after = Some(last.clone());
            let gone = found.into_iter().map(|(key, _)| key).filter(|key| !is_mark(space, key));
            store.commit(gone.fold(Batch::new(), |batch, key| batch.remove(space, key)))?;
        }
    }
    store.commit(Batch::new().remove(Space::Meta, MARK))
}

/// Records on their way into a store.
struct Arriving<'a> {
    store: &'a dyn Store,
    batch: Batch,
    records: usize,
    bytes: usize,
}

impl<'a> Arriving<'a> {
    fn begin(store: &'a dyn Store) -> Result<Self, StoreError> {
        store.commit(Batch::new().expect(Space::Meta, MARK, None).put(Space::Meta, MARK, *b"1"))?;
        Ok(Self { store, batch: Batch::new(), records: 0, bytes: 0 })
    }

    fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        self.records += 1;
        self.bytes += key.len() + value.len();
        self.batch = std::mem::take(&mut self.batch).put(space, key, value);
        if self.records >= RECORDS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        (self.records, self.bytes) = (0, 0);
        self.store.commit(std::mem::take(&mut self.batch))
    }

    /// Compares what arrived with what was sent, and takes the mark away, together with what is put last.
    fn end(mut self, sent: &Summary, last: Batch, event: &Event) -> Result<(), ArchiveError> {
        self.flush()?;
        let arrived = summary(self.store)?;
        if arrived != *sent {
            return Err(ArchiveError::Differs(format!("{} of {} records", arrived.records, sent.records)));
        }
        audit::commit(self.store, &last.remove(Space::Meta, MARK), event)?;
        Ok(())
    }
}
