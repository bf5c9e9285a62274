//! The entropy coder of delta frames: a carry-less binary range coder (as in Mahoney's lpaq) with 64 bits of state and 16
//! bits of probability.
//!
//! Decides nothing. Models are written once, over [`Coder`]: the signer's encoder codes the true value with the very
//! functions by which a device decodes it.

use super::DeltaError;

/// What decisions are about, for whoever keeps accounts of what a delta costs. A field's number is `Field::number`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Nothing that was told.
    #[default]
    Other,
    /// Packed parts that are taken apart.
    Parts,
    /// Address spaces and sections.
    Layout,
    /// A step of a unit.
    Steps,
    /// An inserted byte.
    Inserted,
    /// A run length of equal bytes.
    Runs,
    /// A corrected byte that no reference holds.
    Corrections,
    /// Whether a reference of this field was predicted rightly.
    Flags(u8),
    /// How far a target of this field is from where it was predicted.
    Targets(u8),
    /// The bytes of a field that no target explains.
    Fields(u8),
}

/// One end of a stream of binary decisions.
pub trait Coder {
    /// Codes a decision whose probability of being true is `one` / 65,536, `one` in 1..=65,535. An encoder is told `bit`;
    /// a decoder ignores it and returns what was coded. It never fails: whatever a decoder's input holds, or leaves away,
    /// means something.
    fn bit(&mut self, bit: bool, one: u32) -> bool;

    /// What is coded from here on. Says nothing to whoever keeps no accounts.
    #[inline]
    fn about(&mut self, _: Subject) {}

    /// Codes the lowest `count` bits of a value that nothing is known of, highest first.
    fn plain(&mut self, value: u64, count: u32) -> u64 {
        (0..count).rev().fold(0, |read, i| read << 1 | u64::from(self.bit(value >> i & 1 == 1, 1 << 15)))
    }
}

/// Where a decoder's bytes come from.
pub trait Input {
    /// The next byte of the frame; `None` past its end. One that fails ends as well, and tells why by other ways.
    fn next(&mut self) -> Option<u8>;
}

impl Input for core::slice::Iter<'_, u8> {
    #[inline]
    fn next(&mut self) -> Option<u8> {
        Iterator::next(self).copied()
    }
}

/// Reads a frame.
#[derive(Debug)]
pub struct Decoder<I> {
    input: I,
    low: u64,
    high: u64,
    value: u64,
}

impl<I: Input> Decoder<I> {
    /// At a frame's first byte.
    pub fn new(input: I) -> Self {
        let mut decoder = Self { input, low: 0, high: u64::MAX, value: 0 };
        for _ in 0..8 {
            decoder.shift();
        }
        decoder
    }

    /// The frame's content is decoded: nothing may be left of it.
    ///
    /// # Errors
    /// [`DeltaError::FrameLeft`].
    pub fn finish(mut self) -> Result<(), DeltaError> {
        match self.input.next() {
            None => Ok(()),
            Some(_) => Err(DeltaError::FrameLeft),
        }
    }

    /// An encoder leaves zeros away at a frame's end, however many: decisions that all went as expected are such zeros.
    #[inline]
    fn shift(&mut self) {
        self.value = self.value << 8 | u64::from(self.input.next().unwrap_or(0));
    }
}

/// The last value for which a decision is true.
#[inline]
pub fn split(low: u64, high: u64, one: u32) -> u64 {
    let (range, one) = (high - low, u64::from(one));
    low + (range >> 16) * one + (((range & 0xffff) * one) >> 16)
}

impl<I: Input> Coder for Decoder<I> {
    #[inline]
    fn bit(&mut self, _: bool, one: u32) -> bool {
        let middle = split(self.low, self.high, one);
        let bit = self.value <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 56 == 0 {
            self.low <<= 8;
            self.high = self.high << 8 | 0xff;
            self.shift();
        }
        bit
    }
}
