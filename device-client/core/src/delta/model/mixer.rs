//! Mixes predictions: a weighted sum of logits, whose weights learn which of them are right.
//!
//! Sixteen lanes of 16 bits, no more and no fewer: a compiler makes a handful of vector instructions of them, on every
//! machine that has such, and the sums are the same on those that have none.

use alloc::vec;
use alloc::vec::Vec;

use super::cell::squash;

/// Predictions of one decision; those that aren't there are 0.
pub const LANES: usize = 16;

/// Logits, in 1/256 of a natural one.
pub type Inputs = [i16; LANES];

/// Sets of weights, one of which is chosen for each decision.
#[derive(Debug)]
pub struct Mixer {
    weights: Vec<Inputs>,
}

/// log2 of a weight of 1.
const UNIT: u32 = 13;
/// What every prediction weighs at first: three tenths.
const START: Inputs = [(1 << UNIT) * 3 / 10; LANES];

impl Mixer {
    /// With `sets` sets of weights.
    pub fn new(sets: usize) -> Self {
        Self { weights: vec![START; sets] }
    }

    /// Bytes that this takes besides itself.
    pub const fn memory(sets: usize) -> usize {
        sets * size_of::<Inputs>()
    }

    /// Forgets what was learned.
    pub fn reset(&mut self) {
        self.weights.fill(START);
    }

    /// The mixed probability, of 65,536, with the weights of `set`.
    #[inline]
    pub fn mix(&self, set: usize, inputs: &Inputs) -> u32 {
        let pairs = inputs.iter().zip(&self.weights[set]);
        let sum: i32 = pairs.map(|(input, weight)| i32::from(*input) * i32::from(*weight)).sum();
        squash(sum >> UNIT).clamp(16, 65_520)
    }

    /// Learns the decision that was predicted with this probability.
    #[inline]
    pub fn learn(&mut self, set: usize, inputs: &Inputs, one: u32, bit: bool) {
        // Half of it fits 16 bits.
        let error = (((if bit { 65_535 } else { 0 }) - one as i32) >> 1) as i16;
        for (weight, input) in self.weights[set].iter_mut().zip(inputs) {
            let step = (i32::from(*input) * i32::from(error) + (1 << 15)) >> 16;
            *weight = weight.saturating_add(step as i16);
        }
    }
}
