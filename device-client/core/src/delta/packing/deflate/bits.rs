//! Bits into bytes, lowest first.

use alloc::vec::Vec;

use crate::delta::DeltaError;
use crate::delta::walk::Output;

/// Bytes that are handed on at once.
const PIECE: usize = 4096;

#[derive(Debug)]
pub(super) struct Bits {
    value: u64,
    count: u32,
    bytes: Vec<u8>,
}

impl Bits {
    pub(super) fn new() -> Self {
        Self { value: 0, count: 0, bytes: Vec::with_capacity(PIECE + 8) }
    }

    pub(super) const fn memory() -> usize {
        PIECE + 8
    }

    pub(super) fn begin(&mut self) {
        (self.value, self.count) = (0, 0);
        self.bytes.clear();
    }

    /// At most 16 bits.
    #[inline]
    pub(super) fn put(&mut self, value: u32, count: u32, out: Output<'_>) -> Result<(), DeltaError> {
        self.value |= u64::from(value) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.value as u32).to_le_bytes());
            self.value >>= 32;
            self.count -= 32;
            if self.bytes.len() >= PIECE {
                return self.hand_on(out);
            }
        }
        Ok(())
    }

    /// Up to the next whole byte, and everything handed on.
    pub(super) fn align(&mut self, out: Output<'_>) -> Result<(), DeltaError> {
        let whole = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.value.to_le_bytes()[..whole]);
        (self.value, self.count) = (0, 0);
        self.hand_on(out)
    }

    fn hand_on(&mut self, out: Output<'_>) -> Result<(), DeltaError> {
        out(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}
