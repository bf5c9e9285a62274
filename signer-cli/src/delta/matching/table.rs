//! Blocks of an image by a rolling hash (Rabin and Karp, 1987).
//!
//! Decides nothing: equal hashes say that bytes should be compared.

/// Bytes of a block.
pub(in crate::delta) const BLOCK: usize = 4096;
/// Odd, so that no power of it vanishes modulo 2^64.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a block: the sum of `byte * BASE^(BLOCK - 1 - place)`.
pub(in crate::delta) fn hash(block: &[u8]) -> u64 {
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

/// The hash one byte further on: without `first`, with `last`.
#[inline]
pub(in crate::delta) fn rolled(hash: u64, first: u8, last: u8) -> u64 {
    roll_in(hash, last).wrapping_sub(u64::from(first).wrapping_mul(LEAVING))
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

/// The blocks of an image by their hash.
pub(in crate::delta) struct Table {
    /// Hash and number of each block, sorted.
    known: Vec<(u64, u32)>,
    /// One bit for each of the hashes' possible high bits: most strange hashes are told apart by it alone.
    seen: Vec<u64>,
    bits: u32,
}

impl Table {
    /// Of these blocks, by hash and number.
    pub(in crate::delta) fn of(mut known: Vec<(u64, u32)>) -> Self {
        known.sort_unstable();
        let bits = (usize::BITS - known.len().leading_zeros() + 6).min(30);
        let mut seen = vec![0; (1_usize << bits).div_ceil(64)];
        for (hash, _) in &known {
            let bit = hash >> (64 - bits);
            seen[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        Self { known, seen, bits }
    }

    #[inline]
    pub(in crate::delta) fn may_hold(&self, hash: u64) -> bool {
        let bit = hash >> (64 - self.bits);
        self.seen[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    /// The numbers of the blocks with this hash.
    pub(in crate::delta) fn numbers(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let from = self.known.partition_point(|(known, _)| *known < hash);
        let equal = self.known[from..].iter().take_while(move |(known, _)| *known == hash);
        equal.map(|(_, number)| *number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    #[test]
    fn the_rolled_hash_is_the_hash() {
        let bytes = noise(3 * BLOCK, 1);
        let mut value = hash(&bytes[..BLOCK]);
        for at in 1..2 * BLOCK {
            value = rolled(value, bytes[at - 1], bytes[at + BLOCK - 1]);
            assert_eq!(value, hash(&bytes[at..at + BLOCK]));
        }
    }
}
