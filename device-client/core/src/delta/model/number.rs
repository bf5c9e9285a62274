//! Numbers of any size: an adaptive number of bits, then the bits, the highest of them adaptive (Elias gamma with a model).

use alloc::vec;
use alloc::vec::Vec;

use super::cell::Cell;
use crate::delta::coder::Coder;

/// Cells of the tree that tells the number of bits: 0 to 30 by itself, more by [`MANY`] and how many more.
const TREE: usize = 32;
const MANY: usize = TREE - 1;
/// Cells for the bits below the highest one: 7 for each number of bits.
const SHAPE: usize = 7;

/// Numbers in several contexts. What is below the three highest bits is thought random.
#[derive(Debug)]
pub struct Numbers {
    trees: Vec<[Cell; TREE]>,
    shapes: Vec<[Cell; SHAPE]>,
    wide: usize,
}

/// What kind of number it is, and the context of its size. Out of bounds the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct As {
    /// Numbers of a kind share what their highest bits look like.
    pub kind: usize,
    /// Which tree of sizes.
    pub context: usize,
}

impl Numbers {
    /// With so many kinds and contexts, at least 1 of each; those of `wide` bits and more are one sort of number.
    pub fn new(kinds: usize, contexts: usize, wide: usize) -> Self {
        let shapes = vec![[Cell::NEW; SHAPE]; kinds * wide];
        Self { trees: vec![[Cell::NEW; TREE]; contexts], shapes, wide }
    }

    /// Bytes that this takes besides itself.
    pub const fn memory(kinds: usize, contexts: usize, wide: usize) -> usize {
        (contexts * TREE + kinds * wide * SHAPE) * size_of::<Cell>()
    }

    /// Forgets what was learned.
    pub fn reset(&mut self) {
        self.trees.fill([Cell::NEW; TREE]);
        self.shapes.fill([Cell::NEW; SHAPE]);
    }

    /// Codes a number.
    pub fn code<C: Coder>(&mut self, coder: &mut C, value: u64, how: As) -> u64 {
        // With one added there is a highest bit to begin with; 2^64 - 1 has 64 behind it.
        let above = value.wrapping_add(1);
        let bits = if above == 0 { 64 } else { 63 - above.leading_zeros() as usize };
        let tree = how.context.min(self.trees.len() - 1);
        let bits = match sized(coder, &mut self.trees[tree], bits.min(MANY)) {
            MANY => (MANY + coder.plain(bits.saturating_sub(MANY) as u64, 6) as usize).min(64),
            few => few,
        };
        let last = self.shapes.len() - 1;
        let shape = &mut self.shapes[(how.kind * self.wide + bits.min(self.wide - 1)).min(last)];
        let mut read = 1_u64;
        let mut node = 1;
        for i in (0..bits & 63).rev() {
            let bit = above >> i & 1 == 1;
            let bit = if node <= SHAPE {
                let bit = shape[node - 1].code(coder, bit);
                node = node << 1 | usize::from(bit);
                bit
            } else {
                coder.bit(bit, 1 << 15)
            };
            read = read << 1 | u64::from(bit);
        }
        if bits == 64 { u64::MAX } else { read - 1 }
    }

    /// Codes a number of either sign, zero included, as a number with its sign in the lowest bit.
    pub fn signed<C: Coder>(&mut self, coder: &mut C, value: i64, how: As) -> i64 {
        let folded = self.code(coder, (value << 1 ^ value >> 63) as u64, how);
        (folded >> 1) as i64 ^ -((folded & 1) as i64)
    }
}

/// Codes 0 to 31 as five decisions, each in the context of those before.
fn sized<C: Coder>(coder: &mut C, cells: &mut [Cell; TREE], value: usize) -> usize {
    let mut node = 1;
    for i in (0..5).rev() {
        let bit = cells[node].code(coder, value >> i & 1 == 1);
        node = node << 1 | usize::from(bit);
    }
    node - TREE
}

#[cfg(test)]
pub(in crate::delta) mod tests {
    use super::*;

    /// Keeps decisions, and gives them back.
    #[derive(Default)]
    pub(in crate::delta) struct Kept {
        pub(in crate::delta) bits: alloc::collections::VecDeque<bool>,
        pub(in crate::delta) reads: bool,
    }

    impl Coder for Kept {
        fn bit(&mut self, bit: bool, one: u32) -> bool {
            assert!((1..=65_535).contains(&one));
            if self.reads {
                return self.bits.pop_front().unwrap();
            }
            self.bits.push_back(bit);
            bit
        }
    }

    #[test]
    fn every_number_comes_back() {
        let edges = [0, 1, 2, 29, 30, 31, 32, 62, 63].map(|bits| 1_u64 << bits);
        let values: Vec<u64> = edges
            .iter()
            .flat_map(|edge| [edge - 1, *edge, edge + 1])
            .chain([u64::MAX, u64::MAX - 1])
            .collect();
        let mut coder = Kept::default();
        for pass in 0..2 {
            let mut numbers = Numbers::new(2, 3, 16);
            coder.reads = pass == 1;
            for (i, value) in values.iter().enumerate() {
                let how = As { kind: i % 3, context: i % 4 };
                let told = if coder.reads { 0 } else { *value };
                assert_eq!(numbers.code(&mut coder, told, how), *value);
                assert_eq!(numbers.signed(&mut coder, told as i64, how), *value as i64);
            }
        }
        assert!(coder.bits.is_empty());
    }
}
