//! zstd's library, as it is linked here.

use alloc::vec;
use alloc::vec::Vec;

use zstd_safe::{CCtx, DCtx, compress_bound};

/// The version whose output this is: 10507 for 1.5.7.
pub const VERSION: u32 = zstd_safe::VERSION_NUMBER;

/// Bytes that unpacking takes beside both buffers.
pub(super) const UNPACKING: u64 = 160 * 1024;

/// Bytes that packing takes for a content of at most so many bytes, at any level: tables for twice as many places, sequences
/// and literals of a block, prices.
pub(super) fn packing(most: u64) -> u64 {
    let bits = most.next_power_of_two().trailing_zeros().max(17);
    let hashes = if bits > 17 { bits + 1 } else { bits };
    (4 << (bits + 1)) + (4 << hashes) + (4 << 17) + 1_100_000 + compress_bound(most as usize) as u64
}

pub(super) struct Unpacker(DCtx<'static>);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(DCtx::create())
    }

    pub(super) fn unpack(&mut self, packed: &[u8], into: &mut [u8]) -> bool {
        let length = into.len();
        self.0.decompress(into, packed) == Ok(length)
    }
}

pub(super) struct Packer {
    context: CCtx<'static>,
    packed: Vec<u8>,
}

impl Packer {
    pub(super) fn new(most: usize) -> Self {
        Self { context: CCtx::create(), packed: vec![0; compress_bound(most)] }
    }

    pub(super) fn pack(&mut self, level: u8, content: &[u8]) -> Option<&[u8]> {
        let length = self.context.compress(&mut self.packed[..], content, i32::from(level)).ok()?;
        self.packed.get(..length)
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        (self.context.sizeof() + self.packed.len()) as u64
    }
}

impl core::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Unpacker")
    }
}

impl core::fmt::Debug for Packer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Packer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_takes_no_more_than_is_declared() {
        for bits in [10, 15, 17, 18, 20] {
            let most = 1_usize << bits;
            let mut state = 1_u32;
            let content: Vec<u8> = (0..most)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 28) as u8
                })
                .collect();
            let mut packer = Packer::new(most);
            for level in 1..=22 {
                assert!(packer.pack(level, &content).is_some());
                let (size, declared) = (packer.size(), packing(most as u64));
                assert!(size <= declared, "{size} of {declared} at level {level} for {most}");
            }
        }
    }
}
