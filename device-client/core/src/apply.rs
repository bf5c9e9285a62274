//! Installing an image: payload chunks → decompressor → image chunks → slot, in one pass.
//!
//! Decides which bytes are written. A payload chunk is verified before a decompressor sees it, an image chunk before
//! the slot does. Never activates anything.
//!
//! **After a power cut** the pass goes on from the last journalled offset. A zstd frame can't be entered in the
//! middle: its decompressor would need its window, up to 8 MiB, as it was there. So the frame is read again from its
//! beginning and the image chunks that are in the slot already are not written again. From the staging area that costs
//! only time; without one it also costs the download. A plain payload goes on where it stopped. Memory is the same in
//! all cases: one chunk of each (1 MiB at most), the window, both indexes (129 KiB each for 4 GiB in chunks of 1 MiB).

use perennial_schemas::Digest;
use perennial_schemas::index::Index;
use perennial_schemas::report::FailureCode;

use crate::download::{Checkpoint, Chunks, index, payload_from_network, payload_from_staging};
use crate::plan::{Coding, Plan, Source};
use crate::port::{Decompress, DecompressError, Fetch, IndexOf, PortError, Slot, Slots, Staging, Stop};
use crate::vouch::Vouched;

/// What an installation works with.
pub struct Tools<'t> {
    /// Where indexes, and a streamed payload, come from.
    pub fetch: &'t mut dyn Fetch,
    /// Where a staged payload is.
    pub staging: Option<&'t mut (dyn Staging + 't)>,
    /// For compressed payloads.
    pub decompress: &'t mut dyn Decompress,
    /// Where the image goes.
    pub slots: &'t mut dyn Slots,
}

/// Writes the image of `plan` into its slot, from offset `from` on: 0, or an offset that was journalled.
///
/// # Errors
/// [`PortError`]; what was written before it is journalled, and counts.
pub fn install(
    tools: Tools<'_>,
    plan: &Plan,
    source: &Source,
    from: u64,
    crypto: &impl Digest,
    checkpoint: Checkpoint<'_>,
) -> Result<(), PortError> {
    let Tools { fetch, staging, decompress, slots } = tools;
    let mut staging = staging.filter(|_| source.staged);
    let mut index_of = |of, file, length| {
        let staging = staging.as_mut().map(|staging| &mut **staging as &mut dyn Staging);
        index(&mut *fetch, staging, of, file, length, crypto)
    };
    let image = index_of(IndexOf::Image, &source.image_index, plan.length)?;
    let payload = index_of(IndexOf::Payload, &source.payload_index, source.payload_length)?;
    let start = match source.coding {
        Coding::Plain => from / payload.shape().chunk_size() * payload.shape().chunk_size(),
        Coding::Zstd => 0,
    };
    let Checkpoint { every, save } = checkpoint;
    let checkpoint = Checkpoint { every, save };
    let mut writer = Writer::new(slots, plan.slot, &image, start, from, crypto, checkpoint);
    if source.coding == Coding::Zstd {
        decompress.start().map_err(broken)?;
    }
    let mut each = |chunk: &Vouched<'_>| match source.coding {
        Coding::Plain => writer.push(chunk.bytes()),
        Coding::Zstd => unpack(decompress, chunk, &mut writer),
    };
    let fed = match staging {
        Some(staging) => payload_from_staging(staging, &payload, start, crypto, &mut each),
        None => payload_from_network(fetch, source, &payload, start, crypto, &mut each),
    };
    let ended = fed.and_then(|()| match source.coding {
        Coding::Plain => Ok(()),
        Coding::Zstd => decompress.finish().map_err(broken),
    });
    writer.finish(ended)
}

fn unpack<C: Digest>(
    decompress: &mut dyn Decompress,
    chunk: &Vouched<'_>,
    writer: &mut Writer<'_, C>,
) -> Result<(), PortError> {
    let mut trouble = None;
    let pushed = decompress.push(chunk, &mut |bytes| {
        writer.push(bytes).map_err(|error| {
            trouble = Some(error);
            Stop
        })
    });
    match (trouble, pushed) {
        (Some(error), _) => Err(error),
        (None, pushed) => pushed.map_err(broken),
    }
}

fn broken(error: DecompressError) -> PortError {
    PortError::new(FailureCode::Decompression, "unpacking", alloc::format!("{error}"))
}

/// Takes the image as a stream and writes what is missing of it.
struct Writer<'w, C> {
    slots: &'w mut dyn Slots,
    slot: Slot,
    chunks: Chunks<'w, C>,
    /// Bytes of the stream that lie before the first chunk that is looked at.
    ahead: u64,
    progress: Progress<'w>,
}

struct Progress<'w> {
    /// Up to here the slot is right already.
    done: u64,
    /// Up to here that is journalled.
    synced: u64,
    checkpoint: Checkpoint<'w>,
}

impl<'w, C: Digest> Writer<'w, C> {
    /// For a stream that begins at offset `start` of the image, of which the slot holds everything before `from`.
    fn new(
        slots: &'w mut dyn Slots,
        slot: Slot,
        index: &'w Index,
        start: u64,
        from: u64,
        crypto: &'w C,
        checkpoint: Checkpoint<'w>,
    ) -> Self {
        // A compressed stream is looked at from its beginning: it is verified twice, and written once. A plain one
        // from the chunk on that is missing.
        let first = if start == 0 { 0 } else { from / index.shape().chunk_size() };
        let ahead = (first * index.shape().chunk_size()).saturating_sub(start);
        let chunks = Chunks::new(index, first, crypto, FailureCode::ImageDigest);
        Self { slots, slot, chunks, ahead, progress: Progress { done: from, synced: from, checkpoint } }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), PortError> {
        let skipped = self.ahead.min(bytes.len() as u64);
        self.ahead -= skipped;
        let Self { slots, slot, chunks, progress, .. } = self;
        chunks.push(&bytes[skipped as usize..], &mut |chunk| {
            let end = chunk.offset() + chunk.bytes().len() as u64;
            if end <= progress.done {
                return Ok(());
            }
            slots.write(*slot, chunk)?;
            progress.done = end;
            if end - progress.synced >= progress.checkpoint.every {
                progress.commit(*slots, *slot)?;
            }
            Ok(())
        })
    }

    /// The stream has ended, well or badly: what was written is journalled either way.
    fn finish(mut self, ended: Result<(), PortError>) -> Result<(), PortError> {
        if self.progress.done > self.progress.synced {
            self.progress.commit(self.slots, self.slot)?;
        }
        ended?;
        self.chunks.finish()
    }
}

impl Progress<'_> {
    fn commit(&mut self, slots: &mut dyn Slots, slot: Slot) -> Result<(), PortError> {
        slots.sync(slot)?;
        (self.checkpoint.save)(self.done)?;
        self.synced = self.done;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
