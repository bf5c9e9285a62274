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
    /// a decoder ignores it and returns what was coded.
    ///
    /// # Errors
    /// [`DeltaError`] from a decoder whose input can't be read.
    fn bit(&mut self, bit: bool, one: u32) -> Result<bool, DeltaError>;

    /// What is coded from here on. Says nothing to whoever keeps no accounts.
    #[inline]
    fn about(&mut self, _: Subject) {}

    /// Codes the lowest `count` bits of a value that nothing is known of, highest first.
    ///
    /// # Errors
    /// As [`Coder::bit`].
    fn plain(&mut self, value: u64, count: u32) -> Result<u64, DeltaError> {
        (0..count).rev().try_fold(0, |read, i| {
            let bit = self.bit(value >> i & 1 == 1, 1 << 15)?;
            Ok(read << 1 | u64::from(bit))
        })
    }
}

/// Where a decoder's bytes come from.
pub trait Input {
    /// The next byte of the frame; `None` past its end.
    ///
    /// # Errors
    /// [`DeltaError`] where it can't be read.
    fn next(&mut self) -> Result<Option<u8>, DeltaError>;
}

impl Input for core::slice::Iter<'_, u8> {
    fn next(&mut self) -> Result<Option<u8>, DeltaError> {
        Ok(Iterator::next(self).copied())
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
    ///
    /// # Errors
    /// As the input.
    pub fn new(input: I) -> Result<Self, DeltaError> {
        let mut decoder = Self { input, low: 0, high: u64::MAX, value: 0 };
        for _ in 0..8 {
            decoder.shift()?;
        }
        Ok(decoder)
    }

    /// The frame's content is decoded: nothing may be left of it.
    ///
    /// # Errors
    /// [`DeltaError::FrameLeft`], and as the input.
    pub fn finish(mut self) -> Result<(), DeltaError> {
        match self.input.next()? {
            None => Ok(()),
            Some(_) => Err(DeltaError::FrameLeft),
        }
    }

    /// An encoder leaves zeros away at a frame's end, however many: decisions that all went as expected are such zeros.
    fn shift(&mut self) -> Result<(), DeltaError> {
        self.value = self.value << 8 | u64::from(self.input.next()?.unwrap_or(0));
        Ok(())
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
    fn bit(&mut self, _: bool, one: u32) -> Result<bool, DeltaError> {
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
            self.shift()?;
        }
        Ok(bit)
    }
}
