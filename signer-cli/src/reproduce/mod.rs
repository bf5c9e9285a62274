//! Images made from their payloads as a device makes them, with its own code where it has its own.
//!
//! Each payload chunk is compared with the payload's index before a decompressor or a delta's decoder sees it, each chunk
//! of what comes out with the image's index. Bounded memory: a chunk of each and the window, or a delta's tables and frame.

mod delta;
mod old;

pub use delta::{OldFile, delta};
pub use old::{Missing, Places, image_of, place, read_index, source_image};

use std::io::{self, Read, Write};

use perennial_schemas::Sha256Digest;
use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::delta::ImageId;
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::limits::INDEX_CHUNKS;
use perennial_schemas::release::{Encoding, IndexRef};

use crate::crypto::Ring;

/// The longest index: header, page digests and chunk digests.
pub const INDEX_LENGTH: u64 = 32 + 32 * (INDEX_CHUNKS / 128) + 32 * INDEX_CHUNKS;

/// log2 of the greatest window, 8 MiB: what a device has.
const WINDOW_BITS: u32 = 23;

/// A full payload, unpacked.
///
/// # Errors
/// [`io::Error`]: another window, chunks that are not what their indexes say, bytes behind the frame.
pub fn full(encoding: &Encoding, mut chunks: Chunks<'_, '_>, made: &mut Made<'_, '_>) -> io::Result<()> {
    match encoding {
        Encoding::Plain => io::copy(&mut chunks, made).map(drop),
        Encoding::Zstd => zstd(chunks, made),
        _ => Err(io::Error::other("it is no full payload")),
    }
}

/// An image as a delta's header names it.
pub fn identity(length: u64, sha256: &Sha256Digest) -> ImageId {
    ImageId { length, digest: std::array::from_fn(|i| sha256.0[i]) }
}

fn zstd(chunks: Chunks<'_, '_>, made: &mut Made<'_, '_>) -> io::Result<()> {
    let mut decoder = zstd::stream::Decoder::new(chunks)?.single_frame();
    decoder.window_log_max(WINDOW_BITS)?;
    io::copy(&mut decoder, made)?;
    let mut rest = decoder.finish();
    match io::copy(&mut rest, &mut io::sink())? {
        0 => Ok(()),
        more => Err(io::Error::other(format!("{more} bytes stand after the end of its one frame"))),
    }
}

/// An index that is what the manifest names, for `length` bytes.
///
/// # Errors
/// What it is instead, in words.
pub fn index(bytes: &[u8], named: &IndexRef, length: u64) -> Result<Index, String> {
    let read = Index::verify(bytes, &named.root, &Ring).map_err(|e| format!("{}: {e}", named.target))?;
    match read.shape().length() {
        same if same == length => Ok(read),
        other => Err(format!("{} is for {other} bytes, the manifest says {length}", named.target)),
    }
}

/// A payload's bytes, each chunk compared with the index before it is handed on.
pub struct Chunks<'i, 'p> {
    file: Box<dyn io::BufRead + 'i>,
    index: &'i Index,
    next: u64,
    chunk: Vec<u8>,
    taken: usize,
    progress: &'p mut dyn FnMut(u64),
}

impl<'i, 'p> Chunks<'i, 'p> {
    /// Of a file that `index` describes; `progress` hears how many bytes were read since it was called last.
    pub fn new(file: impl io::BufRead + 'i, index: &'i Index, progress: &'p mut dyn FnMut(u64)) -> Self {
        Self { file: Box::new(file), index, next: 0, chunk: Vec::new(), taken: 0, progress }
    }

    fn advance(&mut self) -> io::Result<()> {
        (self.chunk, self.taken) = (Vec::new(), 0);
        let shape: Shape = self.index.shape();
        let Some((_, length)) = shape.chunk(self.next) else { return Ok(()) };
        (&mut self.file).take(length).read_to_end(&mut self.chunk)?;
        if self.index.chunk_digest(self.next) != Some(&Ring.sha256(&self.chunk)) {
            return Err(io::Error::other(format!("chunk {} is not what its index says", self.next)));
        }
        (self.progress)(self.chunk.len() as u64);
        self.next += 1;
        Ok(())
    }
}

impl Read for Chunks<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len() {
            self.advance()?;
        }
        let n = (&self.chunk[self.taken..]).read(out)?;
        self.taken += n;
        Ok(n)
    }
}

impl io::BufRead for Chunks<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.chunk.len() {
            self.advance()?;
        }
        Ok(&self.chunk[self.taken..])
    }

    fn consume(&mut self, n: usize) {
        self.taken += n;
    }
}

/// What comes out, compared with the image's index chunk by chunk.
pub struct Made<'i, 'o> {
    index: &'i Index,
    out: &'o mut dyn Write,
    whole: <Ring as Digest>::Running,
    chunk: <Ring as Digest>::Running,
    filled: u64,
    number: u64,
    length: u64,
}

impl<'i, 'o> Made<'i, 'o> {
    /// Of an image that `index` describes; it is written to `out` as it comes, and good only once all of it was.
    pub fn new(index: &'i Index, out: &'o mut dyn Write) -> Self {
        let (whole, chunk) = (Ring.start(), Ring.start());
        Self { index, out, whole, chunk, filled: 0, number: 0, length: 0 }
    }

    /// Length and SHA-256 of what came.
    ///
    /// # Errors
    /// Where it ends in the middle of a chunk.
    pub fn finish(self) -> io::Result<(u64, Sha256Digest)> {
        if self.filled > 0 {
            return Err(io::Error::other("the image ends in the middle of a chunk"));
        }
        Ok((self.length, self.whole.finish()))
    }
}

impl Write for Made<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let too_long = || io::Error::other("it makes more bytes than the image's index has");
        let (_, length) = self.index.shape().chunk(self.number).ok_or_else(too_long)?;
        // At most the length of a slice.
        let n = (length - self.filled).min(bytes.len() as u64) as usize;
        self.out.write_all(&bytes[..n])?;
        self.whole.update(&bytes[..n]);
        self.chunk.update(&bytes[..n]);
        self.length += n as u64;
        self.filled += n as u64;
        if self.filled == length {
            let chunk = std::mem::replace(&mut self.chunk, Ring.start()).finish();
            if self.index.chunk_digest(self.number) != Some(&chunk) {
                let what = format!("chunk {} of the image is not what its index says", self.number);
                return Err(io::Error::other(what));
            }
            (self.filled, self.number) = (0, self.number + 1);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
