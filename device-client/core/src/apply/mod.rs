//! Installing an image: payload chunks → decompressor or delta → image chunks → slot, in one pass.
//!
//! Decides which bytes are written. A payload chunk is verified before a decompressor sees it, an image chunk before
//! the slot does; a delta reads the old image through that one's index, likewise. Never activates anything.
//!
//! **After a power cut** the pass goes on from the last journalled offset. A zstd frame can't be entered in the
//! middle: its decompressor would need its window, up to 8 MiB, as it was there. So the frame is read again from its
//! beginning and the image chunks that are in the slot already are not written again. From the staging area that costs
//! only time; without one it also costs the download. A plain payload goes on where it stopped. Memory is the same in
//! all cases: one chunk of each (1 MiB at most), the window, both indexes (129 KiB each for 4 GiB in chunks of 1 MiB).
//!
//! **In parts**, so that a halt is heard in between, the same program goes on with the same window, and reads nothing twice.

mod base;
mod delta;
mod writer;

use alloc::vec::Vec;

use perennial_schemas::Digest;
use perennial_schemas::index::Index;
use perennial_schemas::report::FailureCode;

use self::base::BaseImage;
use self::writer::{Shared, Writer};
use crate::download::{Checkpoint, Payload, Place, index};
use crate::plan::{Base, Coding, Plan, Source};
use crate::port::{Decompress, DecompressError, Fetch, IndexOf, PortError, Slots, Staging, Stop};
use crate::vouch::Vouched;

/// What an installation works with.
pub struct Tools<'t> {
    /// Where indexes, and a streamed payload, come from.
    pub fetch: &'t mut dyn Fetch,
    /// Where a staged payload is.
    pub staging: Option<&'t mut (dyn Staging + 't)>,
    /// For compressed payloads.
    pub decompress: &'t mut dyn Decompress,
    /// Where the image goes, and where the image is that a delta starts from.
    pub slots: &'t mut dyn Slots,
    /// The index of what runs, where one was kept: for deltas.
    pub running: Option<Vec<u8>>,
    /// Bytes of memory that a delta may ask for.
    pub delta_memory: u64,
}

/// Where an installation goes on, and how far.
pub struct Part {
    /// In the image: 0, or an offset that was journalled.
    pub from: u64,
    /// Bytes of the payload, at least; without it, to the end. Deltas come whole: a small part of what they make is fetched.
    pub length: Option<u64>,
    /// The part before, where the same program has done it and nothing else since.
    pub before: Option<Paused>,
}

/// How far an installation has come.
pub enum Installed {
    /// The slot holds the whole image. Its index, for keeping.
    Whole(Index),
    /// A part of it.
    Part(Paused),
}

/// What the next part goes on with, beside what the decompressor holds.
pub struct Paused {
    image: Index,
    payload: Index,
    /// In the payload.
    next: u64,
    writer: writer::Paused,
}

/// Decides whether the delta of `source` may be used, before anything of it is written or kept: what runs is compared with
/// the index of the image that the delta starts from, and its header is read.
///
/// Gives the index of what runs, for keeping.
///
/// # Errors
/// [`FailureCode::DeltaSource`], [`FailureCode::DeltaMalformed`], [`FailureCode::DeltaMemory`]; and where a file can't be had.
pub fn examine(
    tools: Tools<'_>,
    plan: &Plan,
    source: &Source,
    crypto: &impl Digest,
) -> Result<Vec<u8>, PortError> {
    let Tools { fetch, slots, running, delta_memory, .. } = tools;
    let Some((base, _)) = source.delta() else { return Err(no_base()) };
    let index_of_base = base_index(fetch, running, base, crypto)?;
    let slots = Shared::new(slots);
    BaseImage::new(&slots, plan.slot.other(), &index_of_base, crypto).compare_all()?;
    let payload_index =
        index(&mut *fetch, None, IndexOf::Payload, &source.payload_index, source.payload_length, crypto)?;
    let place = Place::Network(fetch, &source.payload);
    let mut payload = Payload { place, index: &payload_index, crypto };
    delta::open(&mut payload, plan, base, delta_memory)?;
    Ok(index_of_base.encode(crypto).0)
}

/// Writes a part of the image of `plan` into its slot, or the rest of it.
///
/// # Errors
/// [`PortError`]; what was written before it is journalled, and counts.
pub fn install(
    tools: Tools<'_>,
    plan: &Plan,
    source: &Source,
    part: Part,
    crypto: &impl Digest,
    checkpoint: Checkpoint<'_>,
) -> Result<Installed, PortError> {
    let Tools { fetch, staging, decompress, slots, running, delta_memory } = tools;
    let Part { from, length, before } = part;
    let mut staging = staging.filter(|_| source.staged);
    let mut index_of = |of, file, length| {
        let staging = staging.as_mut().map(|staging| &mut **staging as &mut dyn Staging);
        index(&mut *fetch, staging, of, file, length, crypto)
    };
    let (image, payload_index, before) = match before.filter(|before| before.writer.done == from) {
        Some(Paused { image, payload, next, writer }) => (image, payload, Some((next, writer))),
        None => {
            let image = index_of(IndexOf::Image, &source.image_index, plan.length)?;
            let payload = index_of(IndexOf::Payload, &source.payload_index, source.payload_length)?;
            (image, payload, None)
        }
    };
    let base =
        source.delta().map(|(base, _)| base_index(fetch, running, base, crypto).map(|index| (base, index)));
    let base = base.transpose()?;
    let slots = Shared::new(slots);
    let place = match staging {
        Some(staging) => Place::Staging(staging),
        None => Place::Network(fetch, &source.payload),
    };
    let mut payload = Payload { place, index: &payload_index, crypto };
    // Borrowed for as long as the writer lives, which is shorter.
    let Checkpoint { every, save } = checkpoint;
    let checkpoint = Checkpoint { every, save };
    let new_writer = |start, paused| match paused {
        Some(paused) => Writer::again(&slots, plan.slot, &image, paused, crypto, checkpoint),
        None => Writer::new(&slots, plan.slot, &image, start, from, crypto, checkpoint),
    };
    let (whole, chunk) = (source.payload_length, payload_index.shape().chunk_size());
    let is_plain = source.coding == Coding::Plain;
    let written = match (source.coding, &base) {
        (Coding::Plain | Coding::Zstd, _) => {
            let (start, paused) = match before {
                Some((next, paused)) => (next, Some(paused)),
                None if is_plain => (from / chunk * chunk, None),
                None => {
                    decompress.start().map_err(broken)?;
                    (0, None)
                }
            };
            let mut writer = new_writer(start, paused);
            let end = length.map_or(whole, |length| start.saturating_add(length.max(1)).min(whole));
            let next = (end.div_ceil(chunk) * chunk).min(whole);
            let fed = payload.chunks(start..next, &mut |chunk| match is_plain {
                true => writer.push(chunk.bytes()),
                false => unpack(decompress, chunk, &mut writer),
            });
            if next < whole {
                let writer = writer.pause(fed)?;
                return Ok(Installed::Part(Paused { image, payload: payload_index, next, writer }));
            }
            let ended = match fed {
                Ok(()) if !is_plain => decompress.finish().map_err(broken),
                fed => fed,
            };
            writer.finish(ended)
        }
        (Coding::Delta, Some((base, index))) => {
            let mut delta = delta::open(&mut payload, plan, base, delta_memory)?;
            let mut old = BaseImage::new(&slots, plan.slot.other(), index, crypto);
            let mut writer = new_writer(delta.resume(from).output, None);
            let fed = delta::run(&mut delta, &mut payload, from, &mut old, &mut writer);
            writer.finish(fed)
        }
        (Coding::Delta, None) => Err(no_base()),
    };
    written.map(|()| Installed::Whole(image))
}

/// The index of the image that a delta starts from: the one that was kept, where that is it, or fetched.
fn base_index(
    fetch: &mut dyn Fetch,
    kept: Option<Vec<u8>>,
    base: &Base,
    crypto: &impl Digest,
) -> Result<Index, PortError> {
    let kept = kept.and_then(|bytes| Index::verify(&bytes, &base.index.root, crypto).ok());
    match kept.filter(|index| index.shape().length() == base.length) {
        Some(index) => Ok(index),
        None => index(fetch, None, IndexOf::Image, &base.index, base.length, crypto),
    }
}

fn no_base() -> PortError {
    PortError::new(FailureCode::Internal, "applying the delta", "the plan has no image that it starts from")
}

fn unpack<C: Digest>(
    decompress: &mut dyn Decompress,
    chunk: &Vouched<'_>,
    writer: &mut Writer<'_, '_, C>,
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

#[cfg(test)]
mod tests;
