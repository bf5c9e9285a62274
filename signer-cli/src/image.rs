//! An image is measured, indexed and compressed in one pass over the file (the life of a release, step 1).
//!
//! Decides the chunk size and how the payload is compressed. Reads each byte of the image once and hashes each byte of
//! image and payload once for its whole digest and once for its chunk's; never holds more than a few blocks of either,
//! whatever the image's length. Opens no file: bytes come and go through `Read` and `Write`.

mod compress;
mod indexer;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};

use perennial_schemas::crypto::Digest;
use perennial_schemas::index::{CHUNK_BITS, IndexError};
use perennial_schemas::limits::IMAGE_LENGTH;

pub use compress::{Compression, LEVELS};
pub use indexer::{Indexed, Indexer, Measured};

/// Chunks of an image as long as it can be kept so few: the root of their index, which a device fetches before
/// anything else, then has at most 4 KiB + 32 bytes, and a chunk that was torn costs at most 1/16,384 of the image again.
const CHUNKS_AIMED_AT: u64 = 16_384;
/// log2 of the least chunk size chosen here: below 64 KiB the requests cost more than the chunks.
const LEAST_CHUNK_BITS: u8 = 16;

/// What one pass over an image gave.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The image itself.
    pub image: Measured,
    /// The compressed payload, as it was written.
    pub payload: Measured,
}

/// Why an image can't be released.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is nothing in it.
    #[error("the image is empty")]
    Empty,
    /// Longer than an index can describe.
    #[error("the {what} is longer than the limit of {limit} bytes")]
    TooLong {
        /// `image` or `payload`.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// It became longer or shorter while it was read.
    #[error("the image changed while it was read: it had {expected} bytes, now {got} or more")]
    Changed {
        /// Its length in bytes when the pass began.
        expected: u64,
        /// Bytes read until that was noticed.
        got: u64,
    },
    /// The image can't be read.
    #[error("the image can't be read")]
    Read(#[source] io::Error),
    /// The payload can't be compressed or written.
    #[error("the payload can't be written")]
    Write(#[source] io::Error),
    /// More chunks than an index has room for.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// log2 of the chunk size for something of `length` bytes: the smallest power of two from 64 KiB to 1 MiB with which
/// there are at most 16,384 chunks. Past 16 GiB chunks stay at 1 MiB and become more.
pub fn chunk_bits(length: u64) -> u8 {
    let greatest = *CHUNK_BITS.end();
    (LEAST_CHUNK_BITS..greatest)
        .find(|bits| length.div_ceil(1 << bits) <= CHUNKS_AIMED_AT)
        .unwrap_or(greatest)
}

/// Reads `length` bytes of `image` to its end, writes the compressed payload, and gives length, digest and index of
/// both. Calls `progress` with the bytes read so far, about once a MiB.
///
/// # Errors
/// [`ImageError`]; what was written by then is of no use.
pub fn prepare<C>(
    image: &mut dyn Read,
    length: u64,
    payload: &mut (dyn Write + Send),
    compression: Compression,
    crypto: &C,
    progress: &mut dyn FnMut(u64),
) -> Result<Prepared, ImageError>
where
    C: Digest + Sync,
{
    check_length(length)?;
    // A payload is hardly ever longer than its image, so the image's length chooses for both: the payload's own is known
    // only when it has been written and hashed.
    let bits = chunk_bits(length);
    compress::in_step(payload, length, compression, bits, crypto, |feed| {
        let mut indexer = Indexer::new(crypto, bits);
        read_all(image, length, &mut |block| {
            indexer.update(&block);
            progress(indexer.length());
            feed(block)
        })?;
        indexer.finish("image")
    })
    .map(|(image, payload)| Prepared { image, payload })
}

/// Measures and indexes `length` bytes of `image` without compressing them.
///
/// # Errors
/// [`ImageError`].
pub fn measure<C: Digest>(
    image: &mut dyn Read,
    length: u64,
    crypto: &C,
    progress: &mut dyn FnMut(u64),
) -> Result<Measured, ImageError> {
    check_length(length)?;
    let mut indexer = Indexer::new(crypto, chunk_bits(length));
    read_all(image, length, &mut |block| {
        indexer.update(&block);
        progress(indexer.length());
        Ok(())
    })?;
    indexer.finish("image")
}

fn check_length(length: u64) -> Result<(), ImageError> {
    match length {
        0 => Err(ImageError::Empty),
        1..=IMAGE_LENGTH => Ok(()),
        _ => Err(ImageError::TooLong { what: "image", limit: IMAGE_LENGTH }),
    }
}

/// The size of the blocks in which an image is read, in bytes. Each is a new allocation that goes to the compressor.
const BLOCK: u64 = 1 << 20;

/// Hands `length` bytes on, block by block; one more or one fewer is an error.
fn read_all(
    image: &mut dyn Read,
    length: u64,
    each: &mut dyn FnMut(Vec<u8>) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let mut got = 0;
    loop {
        let mut block = Vec::with_capacity(BLOCK as usize);
        let n = (&mut *image).take(BLOCK).read_to_end(&mut block).map_err(ImageError::Read)? as u64;
        got += n;
        if got > length || (n == 0 && got < length) {
            return Err(ImageError::Changed { expected: length, got });
        }
        if n == 0 {
            return Ok(());
        }
        each(block)?;
    }
}
