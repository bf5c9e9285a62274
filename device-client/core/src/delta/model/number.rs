//! Numbers of any size: an adaptive number of bits, then the bits, the highest of them adaptive (Elias gamma with a model).

use alloc::vec;
use alloc::vec::Vec;

use super::cell::Cell;
use crate::delta::DeltaError;
use crate::delta::coder::Coder;

/// Cells of the tree that tells the number of bits, 0 to 63.
const TREE: usize = 64;
/// Cells for the bits below the highest one: 7 for each number of bits up to [`WIDE`].
const SHAPE: usize = 7;
const WIDE: usize = 24;

/// A kind of number, in several contexts. What is below the two or three highest bits is thought random.
#[derive(Debug)]
pub struct Number {
    trees: Vec<[Cell; TREE]>,
    shapes: Vec<[Cell; SHAPE]>,
}

impl Number {
    /// With `contexts` contexts, at least 1.
    pub fn new(contexts: usize) -> Self {
        Self { trees: vec![[Cell::NEW; TREE]; contexts], shapes: vec![[Cell::NEW; SHAPE]; WIDE] }
    }

    /// Bytes that `contexts` contexts take.
    pub const fn memory(contexts: usize) -> usize {
        (contexts * TREE + WIDE * SHAPE) * size_of::<Cell>()
    }

    /// Forgets what was learned.
    pub fn reset(&mut self) {
        self.trees.fill([Cell::NEW; TREE]);
        self.shapes.fill([Cell::NEW; SHAPE]);
    }

    /// Codes a number below 2^62.
    ///
    /// # Errors
    /// As [`Coder::bit`].
    pub fn code<C: Coder>(&mut self, coder: &mut C, value: u64, context: usize) -> Result<u64, DeltaError> {
        let above = value.saturating_add(1).min(1 << 62);
        let bits = 63 - above.leading_zeros() as usize;
        let last = self.trees.len() - 1;
        let bits = tree(coder, &mut self.trees[context.min(last)], bits)?;
        let shape = &mut self.shapes[bits.min(WIDE - 1)];
        let mut read = 1_u64;
        let mut node = 1;
        for i in (0..bits).rev() {
            let bit = above >> i & 1 == 1;
            let bit = if node <= SHAPE {
                let bit = shape[node - 1].code(coder, bit)?;
                node = node << 1 | usize::from(bit);
                bit
            } else {
                coder.bit(bit, 1 << 15)?
            };
            read = read << 1 | u64::from(bit);
        }
        Ok(read - 1)
    }

    /// Codes a number of either sign, zero included, as a number with its sign in the lowest bit.
    ///
    /// # Errors
    /// As [`Coder::bit`].
    pub fn signed<C: Coder>(&mut self, coder: &mut C, value: i64, context: usize) -> Result<i64, DeltaError> {
        let folded = (value << 1 ^ value >> 63) as u64;
        let folded = self.code(coder, folded, context)?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }
}

/// Codes 0 to 63 as six decisions, each in the context of those before.
fn tree<C: Coder>(coder: &mut C, cells: &mut [Cell; TREE], value: usize) -> Result<usize, DeltaError> {
    let mut node = 1;
    for i in (0..6).rev() {
        let bit = cells[node].code(coder, value >> i & 1 == 1)?;
        node = node << 1 | usize::from(bit);
    }
    Ok(node - TREE)
}
