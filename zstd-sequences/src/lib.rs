//! Packs a content into a zstd frame by sequences that are given: zstd's entropy coding without its search.
//!
//! Which matches a compressor finds changes with its version; how they are coded has not since zstd 1.5. So whoever knows the
//! sequences of a frame can write it again with another version. The library does that by one function that `zstd-safe`
//! doesn't wrap; this crate is the wrapper, and decides nothing.
#![no_std]
// Everything else of the project forbids it. A call into C can't be had without; `context` holds all of it.
#![deny(unsafe_code)]

extern crate alloc;

mod context;

pub use context::Context;

/// Literals, and a match behind them. One with neither length nor offset ends a block, behind its last literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Sequence {
    /// How far back the match stands, in bytes.
    pub offset: u32,
    /// Bytes before the match that no match holds.
    pub literals: u32,
    /// Bytes of the match, 3 at least.
    pub length: u32,
    repeated: u32,
}

impl Sequence {
    /// A match of `length` bytes, `offset` back, behind so many literals.
    pub fn new(literals: u32, length: u32, offset: u32) -> Self {
        Self { offset, literals, length, repeated: 0 }
    }

    /// The end of a block behind its last literals.
    pub fn end(literals: u32) -> Self {
        Self::new(literals, 0, 0)
    }
}

#[cfg(test)]
mod tests;
