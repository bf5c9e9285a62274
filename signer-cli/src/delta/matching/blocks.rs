//! Exact copying by blocks: most of a file system's image is the same as before, at its place or elsewhere.
//!
//! Decides which stretches of the new image are copied whole, byte for byte, or filled with one byte, before anything
//! is sorted. Blocks of 4 KiB are looked up: aligned in the old image, at any byte of the new one, by a rolling hash
//! (Rabin and Karp, 1987), and compared. The preference is: what continues the copy before; the same place; of
//! several equal blocks the one nearest to where the copy before would go on. A match is then extended by bytes in
//! both directions.

use super::bytes::{along, run_ahead, same_ahead, same_behind, shift, word};
use super::{Match, MatchError, Piece, Watch};

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;
/// Odd, so that no power of it vanishes modulo 2^64.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
/// Equal blocks that are looked through for the nearest one.
const EQUALS: usize = 32;
/// Bytes between two calls of the watch.
const STRIDE: usize = 1 << 20;

/// The hash of a block: the sum of `byte * BASE^(BLOCK - 1 - place)`.
fn hash(block: &[u8]) -> u64 {
    const POWERS: [u64; 4] = [BASE, power(2), power(3), power(4)];
    let (fours, rest) = block.as_chunks::<4>();
    let whole = fours.iter().fold(0_u64, |hash, four| {
        let [a, b, c, d] = four.map(u64::from);
        let inner = a.wrapping_mul(POWERS[2]).wrapping_add(b.wrapping_mul(POWERS[1]));
        hash.wrapping_mul(POWERS[3])
            .wrapping_add(inner.wrapping_add(c.wrapping_mul(POWERS[0])).wrapping_add(d))
    });
    rest.iter().fold(whole, |hash, byte| roll_in(hash, *byte))
}

fn roll_in(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(byte))
}

const fn power(exponent: usize) -> u64 {
    let mut value = 1_u64;
    let mut done = 0;
    while done < exponent {
        value = value.wrapping_mul(BASE);
        done += 1;
    }
    value
}

/// What takes a byte out of a hash that it has stood in for a block's length.
const LEAVING: u64 = power(BLOCK);

/// The old image's blocks by their hash.
struct Blocks<'a> {
    old: &'a [u8],
    /// Hash and number of each block that isn't one byte throughout, sorted.
    known: Vec<(u64, u32)>,
    /// One bit for each of the hashes' possible high bits: most strange hashes are told apart by it alone.
    seen: Vec<u64>,
    bits: u32,
}

impl<'a> Blocks<'a> {
    fn of(old: &'a [u8]) -> Self {
        let mut known = Vec::with_capacity(old.len() / BLOCK);
        for (number, block) in (0_u32..).zip(old.chunks_exact(BLOCK)) {
            if !is_run(block) {
                known.push((hash(block), number));
            }
        }
        known.sort_unstable();
        let bits = (usize::BITS - known.len().leading_zeros() + 6).min(30);
        let mut seen = vec![0; (1_usize << bits).div_ceil(64)];
        for (hash, _) in &known {
            let bit = hash >> (64 - bits);
            seen[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        Self { old, known, seen, bits }
    }

    fn may_hold(&self, hash: u64) -> bool {
        let bit = hash >> (64 - self.bits);
        self.seen[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    /// The offset of an old block with these bytes.
    fn find(&self, hash: u64, block: &[u8], expected: usize) -> Option<usize> {
        let from = self.known.partition_point(|(known, _)| *known < hash);
        self.known[from..]
            .iter()
            .take_while(|(known, _)| *known == hash)
            .take(EQUALS)
            .map(|(_, number)| *number as usize * BLOCK)
            .filter(|old| self.old[*old..*old + BLOCK] == *block)
            .min_by_key(|old| old.abs_diff(expected))
    }
}

/// The copies and fills of whole blocks, ascending and disjoint in the new image.
pub(super) fn blocks(old: &[u8], new: &[u8], watch: &mut Watch<'_>) -> Result<Vec<Piece>, MatchError> {
    let known = Blocks::of(old);
    watch.check()?;
    let mut scan = Scan { old, new, pieces: Vec::new(), settled: 0, shift: 0 };
    let mut at = 0;
    let mut told = 0;
    // The hash of new[at..at + BLOCK], where it is known.
    let mut rolling = None;
    while at + BLOCK <= new.len() {
        if at >= told + STRIDE {
            told = at;
            watch.check()?;
        }
        if at % BLOCK == 0 && scan.aligned(at) {
            (at, rolling) = (scan.settled, None);
            continue;
        }
        let value = match rolling {
            Some(value) => value,
            None => hash(&new[at..at + BLOCK]),
        };
        if known.may_hold(value) {
            let expected = at.saturating_add_signed(scan.shift as isize);
            if let Some(found) = known.find(value, &new[at..at + BLOCK], expected) {
                scan.copy(found, at);
                (at, rolling) = (scan.settled, None);
                continue;
            }
        }
        rolling = new
            .get(at + BLOCK)
            .map(|byte| roll_in(value, *byte).wrapping_sub(u64::from(new[at]).wrapping_mul(LEAVING)));
        at += 1;
    }
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
    use super::super::tests::{noise, watched};
    use super::*;

    #[test]
    fn the_rolled_hash_is_the_hash() {
        let bytes = noise(3 * BLOCK, 1);
        let mut rolled = hash(&bytes[..BLOCK]);
        for at in 1..2 * BLOCK {
            rolled = roll_in(rolled, bytes[at + BLOCK - 1])
                .wrapping_sub(u64::from(bytes[at - 1]).wrapping_mul(LEAVING));
            assert_eq!(rolled, hash(&bytes[at..at + BLOCK]));
        }
    }

    #[test]
    fn an_inserted_byte_moves_everything_behind_it() {
        let old = noise(64 * BLOCK, 2);
        let mut new = old.clone();
        new.insert(5 * BLOCK + 7, old[5 * BLOCK + 7] ^ 1);
        let pieces = watched(|watch| blocks(&old, &new, watch)).unwrap();
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
        let same = watched(|watch| blocks(&old, &new, watch)).unwrap();
        assert_eq!(same, [Piece::Copy(Match { old: 0, new: 0, length: 8 * BLOCK as u64 })]);
        new[6 * BLOCK - 5..7 * BLOCK + 5].fill(0xff);
        let pieces = watched(|watch| blocks(&old, &new, watch)).unwrap();
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
        let pieces = watched(|watch| blocks(&old, &new, watch)).unwrap();
        assert_eq!(
            pieces,
            [Piece::Copy(Match { old: 3 * BLOCK as u64, new: 3 * BLOCK as u64 + 100, length: BLOCK as u64 })]
        );
    }
}
