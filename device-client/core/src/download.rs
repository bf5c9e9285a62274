//! Getting a payload: pieces from the network become chunks that its signed index vouches for.
//!
//! Decides which bytes may be kept. Nothing is handed on before its chunk was verified. Never decides what to fetch.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use perennial_schemas::Digest;
use perennial_schemas::index::Index;
use perennial_schemas::limits::INDEX_CHUNKS;
use perennial_schemas::report::FailureCode;

use crate::plan::{IndexFile, Plan, Source};
use crate::port::{Fetch, FetchError, IndexOf, PortError, Staging, Stop};
use crate::vouch::Vouched;

/// Bytes between two points that a download or an installation goes on from after a power cut. A point costs two
/// syncs and a small record; 16 MiB are under two seconds of work.
pub const CHECKPOINT: u64 = 16 * 1024 * 1024;

/// The longest index: 262,144 chunks, 2,048 pages and the header.
pub const INDEX_LENGTH: u64 = 32 + 32 * (INDEX_CHUNKS + INDEX_CHUNKS / 128);

/// Where progress is kept.
pub struct Checkpoint<'p> {
    /// Bytes between two points.
    pub every: u64,
    /// Journals the offset up to which everything is durable.
    pub save: &'p mut dyn FnMut(u64) -> Result<(), PortError>,
}

/// Cuts a stream into chunks and verifies each.
pub struct Chunks<'i, C> {
    index: &'i Index,
    crypto: &'i C,
    number: u64,
    chunk: Vec<u8>,
    /// What a chunk with another digest means.
    code: FailureCode,
}

/// The beginning of a chunk whose stream paused in it: 1 MiB at most.
pub(crate) struct Remainder {
    number: u64,
    chunk: Vec<u8>,
}

impl<'i, C: Digest> Chunks<'i, C> {
    /// Of a stream that begins with chunk `number`.
    pub fn new(index: &'i Index, number: u64, crypto: &'i C, code: FailureCode) -> Self {
        Self { index, crypto, number, chunk: Vec::new(), code }
    }

    /// Takes the next bytes; `each` gets every chunk that is complete, in order, verified.
    ///
    /// # Errors
    /// What `each` says; a chunk with another digest; bytes past the end of what the index describes.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(&Vouched<'_>) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        while !bytes.is_empty() {
            let Some((_, length)) = self.index.shape().chunk(self.number) else {
                let length = self.index.shape().length();
                return Err(self.wrong(format!("there are more than the signed {length} bytes")));
            };
            let missing = usize::try_from(length).unwrap_or(usize::MAX) - self.chunk.len();
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if now.len() == missing {
                let vouched = Vouched::new(self.index, self.number, &self.chunk, self.crypto);
                each(&vouched.map_err(|error| self.wrong(format!("{error}")))?)?;
                self.chunk.clear();
                self.number += 1;
            }
        }
        Ok(())
    }

    /// Goes on with what [`Self::pause`] gave.
    pub(crate) fn again(index: &'i Index, paused: Remainder, crypto: &'i C, code: FailureCode) -> Self {
        let Remainder { number, chunk } = paused;
        Self { index, crypto, number, chunk, code }
    }

    /// The stream goes on later.
    pub(crate) fn pause(self) -> Remainder {
        Remainder { number: self.number, chunk: self.chunk }
    }

    /// The stream has ended, as everything that the index describes does.
    ///
    /// # Errors
    /// Where chunks are missing.
    pub fn finish(self) -> Result<(), PortError> {
        let chunks = self.index.shape().chunks();
        self.finish_at(chunks)
    }

    /// The stream has ended, and was to end before chunk `number`.
    fn finish_at(self, number: u64) -> Result<(), PortError> {
        if self.number == number {
            return Ok(());
        }
        Err(self.wrong(format!("it ends in chunk {} of {number}", self.number)))
    }

    fn wrong(&self, detail: alloc::string::String) -> PortError {
        let what = match self.code {
            FailureCode::ImageDigest => "checking the image",
            _ => "checking the payload",
        };
        PortError::new(self.code, what, detail)
    }
}

/// The index of the image or of the payload of `length` bytes: the one kept in the staging area, where that is right, or
/// fetched and then kept.
///
/// An index has 8 MiB at most; of a 4 GiB image in chunks of 1 MiB, 129 KiB.
///
/// # Errors
/// As [`fetch_index`], and what the staging area says.
pub(crate) fn index(
    fetch: &mut dyn Fetch,
    staging: Option<&mut (dyn Staging + '_)>,
    of: IndexOf,
    file: &IndexFile,
    length: u64,
    crypto: &impl Digest,
) -> Result<Index, PortError> {
    let Some(staging) = staging else { return Ok(fetch_index(fetch, file, length, crypto)?.0) };
    let kept = staging.kept(of).and_then(|bytes| Index::verify(&bytes, &file.root, crypto).ok());
    match kept.filter(|index| index.shape().length() == length) {
        Some(index) => Ok(index),
        None => {
            let (index, bytes) = fetch_index(fetch, file, length, crypto)?;
            staging.keep(of, &bytes)?;
            Ok(index)
        }
    }
}

/// Fetches an index and checks it against its signed root digest. It must describe `length` bytes.
///
/// # Errors
/// [`PortError`] with [`FailureCode::BadAnswer`] where it is another file, or describes another length.
fn fetch_index(
    fetch: &mut dyn Fetch,
    file: &IndexFile,
    length: u64,
    crypto: &impl Digest,
) -> Result<(Index, Vec<u8>), PortError> {
    let wrong = |detail| PortError::new(FailureCode::BadAnswer, format!("reading {}", file.path), detail);
    if file.length > INDEX_LENGTH {
        return Err(wrong(format!("longer than its limit of {INDEX_LENGTH} bytes")));
    }
    let bytes = fetch.target(&file.path, file.length).map_err(|error| failed(&error))?;
    let index = Index::verify(&bytes, &file.root, crypto).map_err(|error| wrong(format!("{error}")))?;
    if index.shape().length() == length {
        return Ok((index, bytes));
    }
    Err(wrong(format!("it describes {} bytes, the manifest says {length}", index.shape().length())))
}

/// Fetches the bytes `part` of the payload of `plan`, and whatever else is in their chunks, into the staging area, with both
/// indexes. It begins at 0, or at an offset that was journalled. Gives the offset up to which everything is there.
///
/// # Errors
/// [`PortError`]; whatever was verified before it is journalled, and counts.
pub fn stage(
    fetch: &mut dyn Fetch,
    staging: &mut dyn Staging,
    plan: &Plan,
    source: &Source,
    part: Range<u64>,
    crypto: &impl Digest,
    checkpoint: Checkpoint<'_>,
) -> Result<u64, PortError> {
    if part.start == 0 {
        staging.clear()?;
    }
    index(fetch, Some(&mut *staging), IndexOf::Image, &source.image_index, plan.length, crypto)?;
    let (file, length) = (&source.payload_index, source.payload_length);
    let index = index(fetch, Some(&mut *staging), IndexOf::Payload, file, length, crypto)?;
    let (mut done, mut synced) = (part.start, part.start);
    let place = Place::Network(fetch, &source.payload);
    let mut payload = Payload { place, index: &index, crypto };
    let outcome = payload.chunks(part, &mut |chunk| {
        staging.write(chunk)?;
        done = chunk.offset() + chunk.bytes().len() as u64;
        if done - synced >= checkpoint.every {
            staging.sync()?;
            (checkpoint.save)(done)?;
            synced = done;
        }
        Ok(())
    });
    // A broken connection costs nothing that has arrived; what has arrived whole has its indexes.
    if done > synced {
        staging.sync()?;
        (checkpoint.save)(done)?;
    }
    outcome.map(|()| done)
}

/// Where a payload is read from, in parts.
pub(crate) struct Payload<'p, C> {
    /// The network, and the payload's path there; without it the staging area.
    pub(crate) place: Place<'p>,
    /// What it must be.
    pub(crate) index: &'p Index,
    /// For the digests.
    pub(crate) crypto: &'p C,
}

/// Where a payload is.
pub(crate) enum Place<'p> {
    /// Wherever files come from, at this path.
    Network(&'p mut dyn Fetch, &'p str),
    /// In the staging area.
    Staging(&'p mut dyn Staging),
}

impl<C: Digest> Payload<'_, C> {
    /// Hands the chunks that hold the bytes `part` to `each`, in order, verified, as they arrive.
    ///
    /// # Errors
    /// What `each` says; [`PortError`] where they can't be had.
    pub(crate) fn chunks(
        &mut self,
        part: Range<u64>,
        each: &mut dyn FnMut(&Vouched<'_>) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let (shape, index, crypto) = (self.index.shape(), self.index, self.crypto);
        let numbers =
            part.start / shape.chunk_size()..part.end.min(shape.length()).div_ceil(shape.chunk_size());
        if numbers.is_empty() {
            return Ok(());
        }
        match &mut self.place {
            Place::Network(fetch, path) => from_network(*fetch, path, index, numbers, crypto, each),
            Place::Staging(staging) => from_staging(*staging, index, numbers, crypto, each),
        }
    }
}

fn from_network<C: Digest>(
    fetch: &mut dyn Fetch,
    path: &str,
    index: &Index,
    numbers: Range<u64>,
    crypto: &C,
    each: &mut dyn FnMut(&Vouched<'_>) -> Result<(), PortError>,
) -> Result<(), PortError> {
    let shape = index.shape();
    let bytes = numbers.start * shape.chunk_size()..shape.length().min(numbers.end * shape.chunk_size());
    let mut chunks = Chunks::new(index, numbers.start, crypto, FailureCode::PayloadDigest);
    let mut trouble = None;
    let fetched = fetch.target_range(path, bytes, &mut |bytes| {
        chunks.push(bytes, each).map_err(|error| {
            trouble = Some(error);
            Stop
        })
    });
    match (trouble, fetched) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(failed(&error)),
        (None, Ok(())) => chunks.finish_at(numbers.end),
    }
}

/// Verified again: what lay on a disk is not trusted.
fn from_staging<C: Digest>(
    staging: &mut dyn Staging,
    index: &Index,
    numbers: Range<u64>,
    crypto: &C,
    each: &mut dyn FnMut(&Vouched<'_>) -> Result<(), PortError>,
) -> Result<(), PortError> {
    let mut buffer = Vec::new();
    for number in numbers {
        let Some((offset, length)) = index.shape().chunk(number) else { return Ok(()) };
        buffer.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        staging.read(offset, &mut buffer)?;
        let vouched = Vouched::new(index, number, &buffer, crypto).map_err(|error| {
            PortError::new(FailureCode::PayloadDigest, "reading the staged payload", format!("{error}"))
        })?;
        each(&vouched)?;
    }
    Ok(())
}

pub(crate) fn failed(error: &FetchError) -> PortError {
    PortError::new(error.code(), "fetching", format!("{error}"))
}
