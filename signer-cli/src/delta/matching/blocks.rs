//! Exact copying by blocks: most of a file system's image is the same as before, at its place or elsewhere.
//!
//! Decides which stretches of the new image are copied whole, byte for byte, or filled with one byte, before anything
//! is sorted. Blocks of 4 KiB are looked up: aligned in the old image, at any byte of the new one, by a rolling hash,
//! and compared. The preference is: what continues the copy before; the same place; of
//! several equal blocks the one nearest to where the copy before would go on. A match is then extended by bytes in
//! both directions.

use super::bytes::{along, run_ahead, same_ahead, same_behind, shift, word};
use super::table::{BLOCK, Table, hash, rolled};
use super::{Match, MatchError, Piece};
use crate::delta::progress::{Progress, STRIDE, Stage};

/// Equal blocks that are looked through for the nearest one.
const EQUALS: usize = 32;

/// The old image's blocks by their hash, but for those that are one byte throughout.
struct Blocks<'a> {
    old: &'a [u8],
    table: Table,
}

impl<'a> Blocks<'a> {
    fn of(old: &'a [u8]) -> Self {
        let blocks = (0_u32..).zip(old.chunks_exact(BLOCK)).filter(|(_, block)| !is_run(block));
        Self { old, table: Table::of(blocks.map(|(number, block)| (hash(block), number)).collect()) }
    }

    /// The offset of an old block with these bytes.
    fn find(&self, hash: u64, block: &[u8], expected: usize) -> Option<usize> {
        self.table
            .numbers(hash)
            .take(EQUALS)
            .map(|number| number * BLOCK)
            .filter(|old| self.old[*old..*old + BLOCK] == *block)
            .min_by_key(|old| old.abs_diff(expected))
    }
}

/// The copies and fills of whole blocks, ascending and disjoint in the new image.
pub(super) fn blocks(old: &[u8], new: &[u8], progress: &Progress<'_>) -> Result<Vec<Piece>, MatchError> {
    progress.begin(Stage::Comparing, old.len() as u64 + new.len() as u64);
    let known = Blocks::of(old);
    progress.at(old.len() as u64);
    progress.go_on()?;
    let mut scan = Scan { old, new, pieces: Vec::new(), settled: 0, shift: 0 };
    let mut at = 0;
    let mut told = 0;
    // The hash of new[at..at + BLOCK], where it is known.
    let mut rolling = None;
    while at + BLOCK <= new.len() {
        if at >= told + STRIDE {
            told = at;
            progress.at((old.len() + at) as u64);
            progress.go_on()?;
        }
        if at % BLOCK == 0 && scan.aligned(at) {
            (at, rolling) = (scan.settled, None);
            continue;
        }
        let value = match rolling {
            Some(value) => value,
            None => hash(&new[at..at + BLOCK]),
        };
        if known.table.may_hold(value) {
            let expected = at.saturating_add_signed(scan.shift as isize);
            if let Some(found) = known.find(value, &new[at..at + BLOCK], expected) {
                scan.copy(found, at);
                (at, rolling) = (scan.settled, None);
                continue;
            }
        }
        rolling = new.get(at + BLOCK).map(|byte| rolled(value, new[at], *byte));
        at += 1;
    }
    progress.end();
    Ok(scan.pieces)
}

struct Scan<'a> {
    old: &'a [u8],
    new: &'a [u8],
    pieces: Vec<Piece>,
    /// The end of the last piece.
    settled: usize,
    /// Of the last copy.
    shift: i64,
}

impl Scan<'_> {
    /// Tries what needs no hash at an aligned place.
    fn aligned(&mut self, at: usize) -> bool {
        let block = &self.new[at..at + BLOCK];
        for shift in [self.shift, 0] {
            if let Some(old) = along(at, shift, self.old.len())
                && self.old[old..].starts_with(block)
            {
                self.copy(old, at);
                return true;
            }
        }
        if is_run(block) {
            let before = same_behind(&self.new[self.settled..at], &self.new[self.settled + 1..at + 1]);
            let length = before + run_ahead(&self.new[at..]);
            let piece = Piece::Fill { new: (at - before) as u64, length: length as u64, byte: block[0] };
            self.pieces.push(piece);
            self.settled = at - before + length;
            return true;
        }
        false
    }

    /// Copies what is the same around these places, of which at least a block is.
    fn copy(&mut self, old: usize, new: usize) {
        let before = same_behind(&self.old[..old], &self.new[self.settled..new]);
        let length = before + same_ahead(&self.old[old..], &self.new[new..]);
        self.shift = shift(old, new);
        self.pieces.push(Piece::Copy(Match {
            old: (old - before) as u64,
            new: (new - before) as u64,
            length: length as u64,
        }));
        self.settled = new - before + length;
    }
}

/// Whether a block is one byte throughout. The eight bytes first: most blocks are told by them.
fn is_run(block: &[u8]) -> bool {
    word(block, 0).is_some_and(|word| word == (word & 0xff).wrapping_mul(0x0101_0101_0101_0101))
        && run_ahead(block) == block.len()
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    #[test]
    fn an_inserted_byte_moves_everything_behind_it() {
        let old = noise(64 * BLOCK, 2);
        let mut new = old.clone();
        new.insert(5 * BLOCK + 7, old[5 * BLOCK + 7] ^ 1);
        let pieces = blocks(&old, &new, &Progress::default()).unwrap();
        assert_eq!(
            pieces,
            [
                Piece::Copy(Match { old: 0, new: 0, length: 5 * BLOCK as u64 + 7 }),
                Piece::Copy(Match {
                    old: 5 * BLOCK as u64 + 7,
                    new: 5 * BLOCK as u64 + 8,
                    length: 59 * BLOCK as u64 - 7
                }),
            ]
        );
    }

    #[test]
    fn runs_are_filled_unless_they_continue_a_copy() {
        let mut old = noise(8 * BLOCK, 3);
        old[3 * BLOCK..5 * BLOCK].fill(0);
        let mut new = old.clone();
        let same = blocks(&old, &new, &Progress::default()).unwrap();
        assert_eq!(same, [Piece::Copy(Match { old: 0, new: 0, length: 8 * BLOCK as u64 })]);
        new[6 * BLOCK - 5..7 * BLOCK + 5].fill(0xff);
        let pieces = blocks(&old, &new, &Progress::default()).unwrap();
        assert!(pieces.contains(&Piece::Fill {
            new: 6 * BLOCK as u64 - 5,
            length: BLOCK as u64 + 10,
            byte: 0xff
        }));
        assert_eq!(pieces.len(), 2, "what is left is less than a block");
    }

    #[test]
    fn of_equal_blocks_the_nearest_is_taken() {
        let block = noise(BLOCK, 4);
        let old = [noise(BLOCK, 5), block.clone(), noise(BLOCK, 6), block.clone(), noise(BLOCK, 7)].concat();
        let new = [noise(3 * BLOCK + 100, 8), block].concat();
        let pieces = blocks(&old, &new, &Progress::default()).unwrap();
        assert_eq!(
            pieces,
            [Piece::Copy(Match { old: 3 * BLOCK as u64, new: 3 * BLOCK as u64 + 100, length: BLOCK as u64 })]
        );
    }
}
