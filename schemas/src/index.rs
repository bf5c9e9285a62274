//! The index of an image or a payload: a digest for each chunk, in pages under one root digest.
//!
//! ```text
//! root    magic "PRNINDEX"              8 bytes
//!         layout version = 1            u8
//!         log2 of the chunk size        u8      12 (4 KiB) to 20 (1 MiB)
//!         reserved = 0                  6 bytes
//!         length of what is indexed     u64 LE  1 to 2^38
//!         number of chunks              u64 LE  ceil(length / chunk size), at most 262,144
//!         SHA-256 of each page          32 bytes × ceil(chunks / 128)
//! pages   SHA-256 of each chunk         32 bytes × 128 in every page but the last
//! ```
//! The last chunk holds the rest. The root digest is the SHA-256 of the root part; a page is checked against the root,
//! a chunk against its page, so nobody needs to hold more than the root and one page. For 4 GiB in chunks of 1 MiB the
//! whole index has 129 KiB.

use alloc::vec::Vec;

use crate::crypto::Digest;
use crate::digest::Sha256Digest;
use crate::limits::{IMAGE_LENGTH, INDEX_CHUNKS};

/// The bytes of the root before the page digests.
pub const HEADER_LENGTH: usize = 32;
/// Chunk digests in a full page.
pub const PAGE_CHUNKS: u64 = 128;

const MAGIC: &[u8; 8] = b"PRNINDEX";
const LAYOUT: u8 = 1;
/// log2 of the least and the greatest chunk size.
pub const CHUNK_BITS: core::ops::RangeInclusive<u8> = 12..=20;

/// The fixed part of an index: how long, in chunks of which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    length: u64,
    chunk_bits: u8,
}

/// The root of an index that has been checked against its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRoot {
    shape: Shape,
    pages: Vec<Sha256Digest>,
}

/// A whole index: every chunk's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    shape: Shape,
    chunks: Vec<Sha256Digest>,
}

/// Why bytes are no index, or not the one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It does not begin with the magic and layout version.
    #[error("not an index of layout 1")]
    NotAnIndex,
    /// A length or chunk size out of bounds, or the two disagree with the number of chunks.
    #[error("an index of impossible shape: 1 to 2^38 bytes in at most 262,144 chunks of 4 KiB to 1 MiB")]
    Shape,
    /// Fewer or more bytes than the header says.
    #[error("the index is {got} bytes long, its header says {expected}")]
    Length {
        /// Bytes there are.
        got: u64,
        /// Bytes that belong there.
        expected: u64,
    },
    /// The root does not have the digest that was signed.
    #[error("the root of the index does not have the signed digest")]
    RootDigest,
    /// A page does not have the digest that the root gives.
    #[error("page {0} of the index does not have the digest that its root gives")]
    PageDigest(u64),
}

impl Shape {
    /// `length` bytes in chunks of 2^`chunk_bits` bytes.
    ///
    /// # Errors
    /// [`IndexError::Shape`] out of bounds.
    pub fn new(length: u64, chunk_bits: u8) -> Result<Self, IndexError> {
        let shape = Self { length, chunk_bits };
        let possible = (1..=IMAGE_LENGTH).contains(&length) && CHUNK_BITS.contains(&chunk_bits);
        if possible && shape.chunks() <= INDEX_CHUNKS { Ok(shape) } else { Err(IndexError::Shape) }
    }

    /// The length of what is indexed, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The size of every chunk but the last, in bytes.
    pub fn chunk_size(&self) -> u64 {
        1 << self.chunk_bits
    }

    /// The number of chunks, at least 1.
    pub fn chunks(&self) -> u64 {
        self.length.div_ceil(self.chunk_size())
    }

    /// The number of pages, at least 1.
    pub fn pages(&self) -> u64 {
        self.chunks().div_ceil(PAGE_CHUNKS)
    }

    /// Where chunk `number` begins and how long it is, in bytes; `None` past the end.
    pub fn chunk(&self, number: u64) -> Option<(u64, u64)> {
        let start = number.checked_mul(self.chunk_size()).filter(|start| *start < self.length)?;
        Some((start, self.chunk_size().min(self.length - start)))
    }

    /// The length of the root, in bytes.
    pub fn root_length(&self) -> u64 {
        HEADER_LENGTH as u64 + 32 * self.pages()
    }

    /// The length of the whole index, in bytes.
    pub fn index_length(&self) -> u64 {
        self.root_length() + 32 * self.chunks()
    }

    /// Where page `number` begins in the index and how long it is, in bytes; `None` past the end.
    pub fn page(&self, number: u64) -> Option<(u64, u64)> {
        let first = number.checked_mul(PAGE_CHUNKS).filter(|first| *first < self.chunks())?;
        Some((self.root_length() + 32 * first, 32 * PAGE_CHUNKS.min(self.chunks() - first)))
    }

    fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut header = [0; HEADER_LENGTH];
        header[..8].copy_from_slice(MAGIC);
        header[8] = LAYOUT;
        header[9] = self.chunk_bits;
        header[16..24].copy_from_slice(&self.length.to_le_bytes());
        header[24..].copy_from_slice(&self.chunks().to_le_bytes());
        header
    }

    /// Reads the first [`HEADER_LENGTH`] bytes of an index. Nothing is verified by this: it tells how much to read
    /// until the root's digest can be checked.
    ///
    /// # Errors
    /// [`IndexError::NotAnIndex`], [`IndexError::Shape`].
    pub fn decode(header: &[u8; HEADER_LENGTH]) -> Result<Self, IndexError> {
        if &header[..8] != MAGIC || header[8] != LAYOUT || header[10..16] != [0; 6] {
            return Err(IndexError::NotAnIndex);
        }
        let number = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| header[at + i]));
        let shape = Self::new(number(16), header[9])?;
        if shape.chunks() == number(24) { Ok(shape) } else { Err(IndexError::Shape) }
    }
}

impl IndexRoot {
    /// Reads the root part and checks it against the signed digest.
    ///
    /// # Errors
    /// [`IndexError`]; nothing of the root is believed before its digest was right.
    pub fn verify(root: &[u8], digest: &Sha256Digest, crypto: &impl Digest) -> Result<Self, IndexError> {
        if crypto.sha256(root) != *digest {
            return Err(IndexError::RootDigest);
        }
        let header = root.first_chunk().ok_or(IndexError::NotAnIndex)?;
        let shape = Shape::decode(header)?;
        let expected = shape.root_length();
        if root.len() as u64 != expected {
            return Err(IndexError::Length { got: root.len() as u64, expected });
        }
        Ok(Self { shape, pages: digests(&root[HEADER_LENGTH..]) })
    }

    /// The index's shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Checks page `number` and gives the digests of its chunks.
    ///
    /// # Errors
    /// [`IndexError::PageDigest`], also for a page that does not exist.
    pub fn verify_page(
        &self,
        number: u64,
        page: &[u8],
        crypto: &impl Digest,
    ) -> Result<Vec<Sha256Digest>, IndexError> {
        let wrong = IndexError::PageDigest(number);
        let digest = usize::try_from(number).ok().and_then(|n| self.pages.get(n)).ok_or(wrong)?;
        let (_, length) = self.shape.page(number).ok_or(wrong)?;
        if page.len() as u64 == length && crypto.sha256(page) == *digest {
            Ok(digests(page))
        } else {
            Err(wrong)
        }
    }
}

impl Index {
    /// From the digests of all chunks, in order.
    ///
    /// # Errors
    /// [`IndexError::Shape`] where there are more or fewer than the shape has.
    pub fn new(shape: Shape, chunks: Vec<Sha256Digest>) -> Result<Self, IndexError> {
        if chunks.len() as u64 == shape.chunks() {
            Ok(Self { shape, chunks })
        } else {
            Err(IndexError::Shape)
        }
    }

    /// Reads a whole index and checks it against the signed root digest.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn verify(index: &[u8], digest: &Sha256Digest, crypto: &impl Digest) -> Result<Self, IndexError> {
        let header = index.first_chunk().ok_or(IndexError::NotAnIndex)?;
        let shape = Shape::decode(header)?;
        let (got, expected) = (index.len() as u64, shape.index_length());
        if got != expected {
            return Err(IndexError::Length { got, expected });
        }
        // Fits: the length was compared above.
        let (root, pages) = index.split_at(shape.root_length() as usize);
        let root = IndexRoot::verify(root, digest, crypto)?;
        let mut chunks = Vec::with_capacity(pages.len() / 32);
        for (number, page) in pages.chunks(32 * PAGE_CHUNKS as usize).enumerate() {
            chunks.extend(root.verify_page(number as u64, page, crypto)?);
        }
        Ok(Self { shape, chunks })
    }

    /// The index's shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The digest of chunk `number`; `None` past the end.
    pub fn chunk_digest(&self, number: u64) -> Option<&Sha256Digest> {
        self.chunks.get(usize::try_from(number).ok()?)
    }

    /// The index's bytes and its root digest.
    pub fn encode(&self, crypto: &impl Digest) -> (Vec<u8>, Sha256Digest) {
        let pages: Vec<u8> = self.chunks.iter().flat_map(|digest| digest.0).collect();
        let mut bytes = self.shape.encode().to_vec();
        for page in pages.chunks(32 * PAGE_CHUNKS as usize) {
            bytes.extend(crypto.sha256(page).0);
        }
        let root = crypto.sha256(&bytes);
        bytes.extend(pages);
        (bytes, root)
    }
}

/// `bytes` are whole digests: every caller has compared the length before.
fn digests(bytes: &[u8]) -> Vec<Sha256Digest> {
    bytes.as_chunks::<32>().0.iter().map(|digest| Sha256Digest(*digest)).collect()
}

#[cfg(test)]
mod tests;
