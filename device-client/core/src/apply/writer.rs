//! What comes out of a payload becomes chunks of a slot: verified, written, synced, journalled.
//!
//! Decides which bytes of the image are written. Knows nothing of how they were made.

use core::cell::RefCell;

use perennial_schemas::Digest;
use perennial_schemas::index::Index;
use perennial_schemas::report::FailureCode;

use crate::download::{Checkpoint, Chunks, Remainder};
use crate::port::{PortError, Slot, Slots};

/// Both slots: a delta reads one while the other is written.
pub(super) struct Shared<'s>(RefCell<&'s mut dyn Slots>);

impl<'s> Shared<'s> {
    pub(super) fn new(slots: &'s mut dyn Slots) -> Self {
        Self(RefCell::new(slots))
    }

    /// Does `work` on the slots. Nothing that uses them calls what uses them.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut dyn Slots) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        match self.0.try_borrow_mut() {
            Ok(mut slots) => work(&mut **slots),
            Err(_) => Err(PortError::new(FailureCode::Internal, "using the slots", "they are in use")),
        }
    }
}

/// Takes the image as a stream and writes what is missing of it.
pub(super) struct Writer<'w, 's, C> {
    slots: &'w Shared<'s>,
    slot: Slot,
    chunks: Chunks<'w, C>,
    /// Bytes of the stream that lie before the first chunk that is looked at.
    ahead: u64,
    progress: Progress<'w>,
}

/// What a writer that paused goes on with.
pub(super) struct Paused {
    /// Up to here the slot is right, and that is journalled.
    pub(super) done: u64,
    ahead: u64,
    remainder: Remainder,
}

struct Progress<'w> {
    /// Up to here the slot is right already.
    done: u64,
    /// Up to here that is journalled.
    synced: u64,
    checkpoint: Checkpoint<'w>,
}

impl<'w, 's, C: Digest> Writer<'w, 's, C> {
    /// For a stream that begins at offset `start` of the image, of which the slot holds everything before `from`.
    pub(super) fn new(
        slots: &'w Shared<'s>,
        slot: Slot,
        index: &'w Index,
        start: u64,
        from: u64,
        crypto: &'w C,
        checkpoint: Checkpoint<'w>,
    ) -> Self {
        // A stream from the image's beginning is looked at from there: it is verified twice, and written once. Any other
        // from the chunk on that is missing.
        let first = if start == 0 { 0 } else { from / index.shape().chunk_size() };
        let ahead = (first * index.shape().chunk_size()).saturating_sub(start);
        let chunks = Chunks::new(index, first, crypto, FailureCode::ImageDigest);
        Self { slots, slot, chunks, ahead, progress: Progress { done: from, synced: from, checkpoint } }
    }

    /// Goes on where another one paused.
    pub(super) fn again(
        slots: &'w Shared<'s>,
        slot: Slot,
        index: &'w Index,
        paused: Paused,
        crypto: &'w C,
        checkpoint: Checkpoint<'w>,
    ) -> Self {
        let Paused { done, ahead, remainder } = paused;
        let chunks = Chunks::again(index, remainder, crypto, FailureCode::ImageDigest);
        Self { slots, slot, chunks, ahead, progress: Progress { done, synced: done, checkpoint } }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), PortError> {
        let skipped = self.ahead.min(bytes.len() as u64);
        self.ahead -= skipped;
        let Self { slots, slot, chunks, progress, .. } = self;
        chunks.push(&bytes[skipped as usize..], &mut |chunk| {
            let end = chunk.offset() + chunk.bytes().len() as u64;
            if end <= progress.done {
                return Ok(());
            }
            slots.with(|slots| slots.write(*slot, chunk))?;
            progress.done = end;
            if end - progress.synced >= progress.checkpoint.every {
                progress.commit(slots, *slot)?;
            }
            Ok(())
        })
    }

    /// The stream has ended, well or badly: what was written is journalled either way.
    pub(super) fn finish(mut self, ended: Result<(), PortError>) -> Result<(), PortError> {
        self.settle(ended)?;
        self.chunks.finish()
    }

    /// The stream has ended badly, or goes on later.
    pub(super) fn pause(mut self, ended: Result<(), PortError>) -> Result<Paused, PortError> {
        self.settle(ended)?;
        Ok(Paused { done: self.progress.done, ahead: self.ahead, remainder: self.chunks.pause() })
    }

    fn settle(&mut self, ended: Result<(), PortError>) -> Result<(), PortError> {
        if self.progress.done > self.progress.synced {
            self.progress.commit(self.slots, self.slot)?;
        }
        ended
    }
}

impl Progress<'_> {
    fn commit(&mut self, slots: &Shared<'_>, slot: Slot) -> Result<(), PortError> {
        slots.with(|slots| slots.sync(slot))?;
        (self.checkpoint.save)(self.done)?;
        self.synced = self.done;
        Ok(())
    }
}
