//! Mixes predictions: a weighted sum of logits, whose weights learn which of them are right.

use alloc::vec;
use alloc::vec::Vec;

use super::cell::squash;

/// The most predictions of one decision.
pub const INPUTS: usize = 10;

/// Sets of weights, one of which is chosen for each decision.
#[derive(Debug)]
pub struct Mixer {
    weights: Vec<[i32; INPUTS]>,
    inputs: [i32; INPUTS],
    count: usize,
    set: usize,
    one: u32,
}

/// A weight of 1.
const UNIT: i32 = 1 << 16;

impl Mixer {
    /// With `sets` sets of weights.
    pub fn new(sets: usize) -> Self {
        let start = UNIT * 3 / 10;
        Self { weights: vec![[start; INPUTS]; sets], inputs: [0; INPUTS], count: 0, set: 0, one: 0 }
    }

    /// Forgets what was learned.
    pub fn reset(&mut self) {
        self.weights.fill([UNIT * 3 / 10; INPUTS]);
    }

    /// A prediction for the decision to come, as a logit in 1/256. Past [`INPUTS`] they are left out.
    #[inline]
    pub fn add(&mut self, logit: i32) {
        if let Some(input) = self.inputs.get_mut(self.count) {
            *input = logit;
            self.count += 1;
        }
    }

    /// The mixed probability, of 65,536, with the weights of `set`.
    #[inline]
    pub fn mix(&mut self, set: usize) -> u32 {
        self.set = set.min(self.weights.len() - 1);
        let weights = &self.weights[self.set];
        let pairs = self.inputs[..self.count].iter().zip(weights);
        let sum: i64 = pairs.map(|(input, weight)| i64::from(*input) * i64::from(*weight)).sum();
        self.one = squash((sum >> 16) as i32).clamp(16, 65_520);
        self.one
    }

    /// Learns the decision, and is ready for the next one.
    #[inline]
    pub fn learn(&mut self, bit: bool) {
        let error = (if bit { 65_535 } else { 0 }) - self.one as i32;
        for (weight, input) in self.weights[self.set].iter_mut().zip(&self.inputs[..self.count]) {
            let step = (i64::from(*input) * i64::from(error) + (1 << 13)) >> 14;
            *weight = weight.saturating_add(step as i32).clamp(-8 * UNIT, 8 * UNIT);
        }
        self.count = 0;
    }
}
