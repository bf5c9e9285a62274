//! Length, whole digest and chunk digests of bytes that pass by.

use perennial_schemas::Sha256Digest;
use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::limits::IMAGE_LENGTH;

use super::ImageError;

/// What is known of an image or a payload once it has passed by.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of the whole.
    pub sha256: Sha256Digest,
    /// Its index.
    pub index: Indexed,
}

/// An index as a file.
#[derive(Debug, Clone)]
pub struct Indexed {
    /// The file's contents.
    pub bytes: Vec<u8>,
    /// SHA-256 of the whole file, for the targets metadata.
    pub sha256: Sha256Digest,
    /// SHA-256 of its root part, for the release manifest.
    pub root: Sha256Digest,
}

/// Takes bytes in, in pieces of any size.
pub struct Indexer<'c, C: Digest> {
    crypto: &'c C,
    chunk_bits: u8,
    whole: C::Running,
    chunk: C::Running,
    /// Bytes in the chunk that is not yet full.
    filled: u64,
    chunks: Vec<Sha256Digest>,
    length: u64,
}

impl<'c, C: Digest> Indexer<'c, C> {
    /// With chunks of 2^`chunk_bits` bytes.
    pub fn new(crypto: &'c C, chunk_bits: u8) -> Self {
        let (whole, chunk) = (crypto.start(), crypto.start());
        Self { crypto, chunk_bits, whole, chunk, filled: 0, chunks: Vec::new(), length: 0 }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.whole.update(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = (1 << self.chunk_bits) - self.filled;
            // At most the length of a slice.
            let (now, later) = rest.split_at(room.min(rest.len() as u64) as usize);
            self.chunk.update(now);
            self.filled += now.len() as u64;
            if self.filled == 1 << self.chunk_bits {
                self.end_chunk();
            }
            rest = later;
        }
    }

    /// Bytes taken in so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What they were. `what` names them in errors.
    ///
    /// # Errors
    /// [`ImageError::Empty`], [`ImageError::TooLong`] and, where the chunks are too small for the length,
    /// [`ImageError::Index`].
    pub fn finish(mut self, what: &'static str) -> Result<Measured, ImageError> {
        if self.length == 0 {
            return Err(ImageError::Empty);
        }
        if self.length > IMAGE_LENGTH {
            return Err(ImageError::TooLong { what, limit: IMAGE_LENGTH });
        }
        if self.filled > 0 {
            self.end_chunk();
        }
        let shape = Shape::new(self.length, self.chunk_bits)?;
        let (bytes, root) = Index::new(shape, self.chunks)?.encode(self.crypto);
        let index = Indexed { sha256: self.crypto.sha256(&bytes), bytes, root };
        Ok(Measured { length: self.length, sha256: self.whole.finish(), index })
    }

    fn end_chunk(&mut self) {
        let full = std::mem::replace(&mut self.chunk, self.crypto.start());
        self.chunks.push(full.finish());
        self.filled = 0;
    }
}
