//! The old image, read through its signed index: a chunk is compared before its first byte is used.
//!
//! Decides whether what runs is what a delta starts from. Never writes.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use perennial_schemas::Digest;
use perennial_schemas::index::Index;
use perennial_schemas::report::FailureCode;

use super::writer::Shared;
use crate::delta::{DeltaError, OldImage};
use crate::port::{PortError, Slot};
use crate::vouch::Vouched;

/// Bytes of chunks that are kept, beside one chunk at least: matches lie in a few places at a time.
const CACHE_LENGTH: u64 = 1024 * 1024;

/// The slot that runs, as the image that its index describes.
pub(super) struct BaseImage<'b, 's, C> {
    slots: &'b Shared<'s>,
    slot: Slot,
    index: &'b Index,
    crypto: &'b C,
    /// Chunks that were compared: one bit each. What runs is not written while it runs, and a byte that changed all the same
    /// is found in what is made of it.
    compared: Vec<u64>,
    cache: Vec<Cached>,
    /// Which of them makes room next.
    next: usize,
}

struct Cached {
    number: u64,
    bytes: Vec<u8>,
}

impl<'b, 's, C: Digest> BaseImage<'b, 's, C> {
    pub(super) fn new(slots: &'b Shared<'s>, slot: Slot, index: &'b Index, crypto: &'b C) -> Self {
        let words = index.shape().chunks().div_ceil(64);
        let compared = vec![0; usize::try_from(words).unwrap_or(usize::MAX)];
        Self { slots, slot, index, crypto, compared, cache: Vec::new(), next: 0 }
    }

    /// Compares every chunk, one after the other.
    ///
    /// # Errors
    /// [`PortError`] with [`FailureCode::DeltaSource`] at the first that is another one, or can't be read.
    pub(super) fn compare_all(&mut self) -> Result<(), PortError> {
        (0..self.index.shape().chunks()).try_for_each(|number| self.chunk(number).map(drop))
    }

    /// A chunk's bytes.
    fn chunk(&mut self, number: u64) -> Result<&[u8], PortError> {
        let at = match self.cache.iter().position(|cached| cached.number == number) {
            Some(at) => at,
            None => self.load(number)?,
        };
        Ok(&self.cache[at].bytes)
    }

    fn load(&mut self, number: u64) -> Result<usize, PortError> {
        let shape = self.index.shape();
        let (offset, length) =
            shape.chunk(number).ok_or_else(|| self.wrong(format!("it has no chunk {number}")))?;
        let room = (CACHE_LENGTH / shape.chunk_size()).clamp(1, 16) as usize;
        let at = if self.cache.len() < room {
            self.cache.push(Cached { number, bytes: Vec::new() });
            self.cache.len() - 1
        } else {
            self.next = (self.next + 1) % room;
            self.next
        };
        let mut bytes = core::mem::take(&mut self.cache[at].bytes);
        // Nothing is found here until it was compared.
        self.cache[at].number = u64::MAX;
        bytes.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        let read = self.slots.with(|slots| slots.read(self.slot, offset, &mut bytes));
        read.map_err(|error| self.wrong(format!("{error}")))?;
        if !self.is_compared(number) {
            let vouched = Vouched::new(self.index, number, &bytes, self.crypto);
            vouched.map_err(|error| self.wrong(format!("{error}")))?;
            self.compared[(number / 64) as usize] |= 1 << (number % 64);
        }
        self.cache[at] = Cached { number, bytes };
        Ok(at)
    }

    fn is_compared(&self, number: u64) -> bool {
        self.compared.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn wrong(&self, detail: alloc::string::String) -> PortError {
        let operation = format!("reading slot {}, which the delta starts from", self.slot);
        PortError::new(FailureCode::DeltaSource, operation, detail)
    }
}

impl<C: Digest> OldImage for BaseImage<'_, '_, C> {
    fn read(&mut self, mut offset: u64, mut into: &mut [u8]) -> Result<(), DeltaError> {
        let size = self.index.shape().chunk_size();
        while !into.is_empty() {
            let (number, start) = (offset / size, (offset % size) as usize);
            let chunk = self.chunk(number).map_err(DeltaError::Old)?;
            let bytes = chunk.get(start..).unwrap_or_default();
            let (filled, rest) = into.split_at_mut(bytes.len().min(into.len()));
            if filled.is_empty() {
                return Err(DeltaError::PastOld);
            }
            filled.copy_from_slice(&bytes[..filled.len()]);
            (offset, into) = (offset + filled.len() as u64, rest);
        }
        Ok(())
    }
}
