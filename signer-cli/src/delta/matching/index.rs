//! The longest match of some bytes in a text: a suffix array, and a table of where each eight bytes begin in it.
//!
//! A plain binary search through a suffix array misses the cache at each of its steps, two times. Here one line of
//! the table says where the suffixes with the same first bytes begin, and in most cases there is but one of them.
//! The table: suffixes in order, each group of equal keys (the first few bytes) entered once, in buckets of one
//! cache line (Fan, Andersen, Kaminsky: MemC3, 2013, for the idea of marks in the line). A full bucket runs over into
//! the next one.

use libsais::SuffixArrayConstruction;

use super::bytes::{same_ahead, word};
use super::text::Text;
use crate::delta::progress::{Progress, STRIDE, Stage};

/// Groups in a bucket: 12 marks of one byte, 12 numbers of four and a count fill 61 of a line's 64 bytes.
const SLOTS: usize = 12;
/// Groups for which one bucket is made: three quarters of the slots, so that few run over.
const LOAD: usize = 9;
/// Bytes that are compared at most while suffixes are told apart. A longer match is found all the same, only not the
/// longest of several that are longer than this.
const COMPARED: usize = 1024;
/// Suffixes looked at on each side of the longest match, for an equal one that lies nearer to where it is expected.
const EQUALS: usize = 12;
/// Bytes of memory for one byte of text at most: four for the suffix array, 64 for each nine groups, and a copy of the text. One
/// of which each eight bytes are new needs them all; of code it takes seven.
pub(super) const BYTES_PER_BYTE: [usize; 2] = [8, 4 + 64 / LOAD + 2];
/// A suffix array counts in i32.
pub(super) const TEXT_LIMIT: usize = i32::MAX as usize - 64;

/// The suffix array could not be made: there is too little memory.
#[derive(Debug, thiserror::Error)]
#[error("the suffix array of {length} bytes could not be made")]
pub struct IndexError {
    /// Bytes of text.
    length: usize,
    #[source]
    source: libsais::LibsaisError,
}

/// Where bytes were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    /// Offset in the old image.
    pub(super) old: usize,
    /// Bytes that are the same in the text, the least number that is known of.
    pub(super) length: usize,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket {
    /// Seven bits of the key's hash, and whether there is but one suffix with this key.
    marks: [u8; SLOTS],
    count: u8,
    /// The place in the suffix array of the first suffix with this key.
    first: [u32; SLOTS],
}

/// A text that can be searched.
pub(super) struct Index<'t> {
    text: &'t Text<'t>,
    sorted: Vec<i32>,
    buckets: Vec<Bucket>,
    /// The bits of a word that make the key.
    key: u64,
}

impl<'t> Index<'t> {
    /// Sorts the suffixes. `key` is the number of bytes, from 4 to 8, below which nothing is found; `None` where the text, the
    /// suffix array and the table took more than `most` bytes.
    pub(super) fn new(
        text: &'t Text<'t>,
        key: usize,
        most: u64,
        progress: &Progress<'_>,
    ) -> Result<Option<Self>, IndexError> {
        let bytes = text.bytes();
        progress.begin(Stage::Sorting, bytes.len() as u64);
        let sorted = if bytes.is_empty() {
            Vec::new()
        } else {
            SuffixArrayConstruction::for_text(bytes)
                .in_owned_buffer32()
                .single_threaded()
                .run()
                .map_err(|source| IndexError { length: bytes.len(), source })?
                .into_vec()
        };
        let mut index =
            Self { text, sorted, buckets: Vec::new(), key: u64::MAX >> (64 - 8 * key.clamp(4, 8)) };
        let mut groups = 0_usize;
        // Sorting takes about as long as both passes over what it gives.
        let half = bytes.len() as u64 / 2;
        progress.at(half);
        index.groups(|_, _, _| groups += 1, |place| progress.at(half + place / 4));
        let buckets = groups / LOAD + 1;
        let fits = (bytes.len() * 5 + buckets * size_of::<Bucket>()) as u64 <= most;
        if fits {
            index.fill(buckets, |place| progress.at(half + half / 2 + place / 4));
        }
        progress.end();
        Ok(fits.then_some(index))
    }

    fn fill(&mut self, count: usize, at: impl Fn(u64)) {
        let empty = Bucket { marks: [0; SLOTS], count: 0, first: [0; SLOTS] };
        let mut buckets = vec![empty; count];
        let enter = |key, first, single| {
            let (mut at, mark) = place(key, buckets.len());
            while usize::from(buckets[at].count) == SLOTS {
                at = if at + 1 == buckets.len() { 0 } else { at + 1 };
            }
            let bucket = &mut buckets[at];
            let slot = usize::from(bucket.count);
            bucket.marks[slot] = mark | u8::from(single);
            bucket.first[slot] = first;
            bucket.count += 1;
        };
        self.groups(enter, at);
        self.buckets = buckets;
    }

    /// Calls `told` with key, first place and whether it is the only one, for each group. Suffixes of fewer than
    /// eight bytes are in no group; they never stand between two of the same group. `at` hears now and then how far it is.
    fn groups(&self, mut told: impl FnMut(u64, u32, bool), at: impl Fn(u64)) {
        let mut open: Option<(u64, u32, bool)> = None;
        for (place, start) in (0_u32..).zip(&self.sorted) {
            if place.is_multiple_of(STRIDE as u32) {
                at(place.into());
            }
            let Some(word) = word(self.text.bytes(), start.cast_unsigned() as usize) else { continue };
            let key = word & self.key;
            match &mut open {
                Some((before, _, single)) if *before == key => *single = false,
                _ => {
                    if let Some((before, first, single)) = open.replace((key, place, true)) {
                        told(before, first, single);
                    }
                }
            }
        }
        if let Some((before, first, single)) = open {
            told(before, first, single);
        }
    }

    /// The longest match of the start of `pattern`, of at least key bytes; of several equally long ones about the
    /// nearest to `expected` in the old image.
    pub(super) fn longest(&self, pattern: &[u8], expected: usize) -> Option<Hit> {
        let key = word(pattern, 0)? & self.key;
        let (first, single) = self.find(key)?;
        let pattern = &pattern[..pattern.len().min(COMPARED)];
        if single {
            return Some(self.hit(first, self.compare(first, pattern).0));
        }
        // The first suffix that is not less than the pattern, by steps that double and then halve.
        let mut less = None;
        let mut step = 1;
        let mut high = first;
        let mut high_same = 0;
        while high < self.sorted.len() {
            let (same, is_less) = self.compare(high, pattern);
            if !is_less {
                high_same = same;
                break;
            }
            less = Some((high, same));
            high += step;
            step *= 2;
        }
        high = high.min(self.sorted.len());
        while let Some((low, _)) = less
            && high - low > 1
        {
            let middle = low + (high - low) / 2;
            let (same, is_less) = self.compare(middle, pattern);
            if is_less {
                less = Some((middle, same));
            } else {
                (high, high_same) = (middle, same);
            }
        }
        let (best, length) = match less {
            Some((low, low_same)) if low_same > high_same => (low, low_same),
            _ => (high, high_same),
        };
        Some(self.nearest(best, length, pattern, expected))
    }

    fn nearest(&self, best: usize, length: usize, pattern: &[u8], expected: usize) -> Hit {
        let mut hit = self.hit(best, length);
        let mut consider = |place: usize| {
            let at = self.at(place);
            let equal = same_ahead(&self.text.bytes()[at..], &pattern[..length]) == length;
            if equal {
                let old = self.text.old(at);
                if old.abs_diff(expected) < hit.old.abs_diff(expected) {
                    hit.old = old;
                }
            }
            equal
        };
        let before = best.saturating_sub(EQUALS)..best;
        let after = best + 1..(best + 1 + EQUALS).min(self.sorted.len());
        let _ = before.rev().all(&mut consider);
        let _ = { after }.all(&mut consider);
        hit
    }

    fn find(&self, key: u64) -> Option<(usize, bool)> {
        let (mut at, mark) = place(key, self.buckets.len());
        loop {
            let bucket = &self.buckets[at];
            let count = usize::from(bucket.count);
            for slot in 0..count.min(SLOTS) {
                if bucket.marks[slot] & !1 != mark {
                    continue;
                }
                let first = bucket.first[slot] as usize;
                if word(self.text.bytes(), self.at(first)).is_some_and(|word| word & self.key == key) {
                    return Some((first, bucket.marks[slot] & 1 == 1));
                }
            }
            if count < SLOTS {
                return None;
            }
            at = if at + 1 == self.buckets.len() { 0 } else { at + 1 };
        }
    }

    /// How many bytes of the suffix at `place` are the same as the pattern's, and whether the suffix is less.
    fn compare(&self, place: usize, pattern: &[u8]) -> (usize, bool) {
        let suffix = &self.text.bytes()[self.at(place)..];
        let same = same_ahead(suffix, pattern);
        let less = match (suffix.get(same), pattern.get(same)) {
            (Some(a), Some(b)) => a < b,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        (same, less)
    }

    fn hit(&self, place: usize, length: usize) -> Hit {
        Hit { old: self.text.old(self.at(place)), length }
    }

    fn at(&self, place: usize) -> usize {
        self.sorted[place].cast_unsigned() as usize
    }
}

/// Bucket and mark (its lowest bit clear) of a key.
fn place(key: u64, buckets: usize) -> (usize, u8) {
    // Fibonacci hashing, folded once since short keys leave the high bits clear.
    let hash = (key ^ (key >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bucket = (u128::from(hash) * buckets as u128) >> 64;
    // Less than the number of buckets.
    (bucket as usize, (hash as u8) & !1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_slow_search_finds(
            text in proptest::collection::vec(0_u8..3, 0..600),
            pattern in proptest::collection::vec(0_u8..3, 8..40),
            key in 4_usize..9,
            expected in 0_usize..600,
        ) {
            let whole = Text::whole(&text);
            let hit = Index::new(&whole, key, u64::MAX, &Progress::default()).unwrap().unwrap().longest(&pattern, expected);
            // The last seven suffixes of the text are too short for a group.
            let best = (0..text.len().saturating_sub(7)).map(|at| same_ahead(&text[at..], &pattern)).max();
            let best = best.filter(|best| *best >= key);
            prop_assert_eq!(hit.is_some(), best.is_some());
            if let (Some(hit), Some(best)) = (hit, best) {
                prop_assert_eq!(same_ahead(&text[hit.old..], &pattern), hit.length);
                prop_assert!(hit.length >= best);
            }
        }
    }

    #[test]
    fn takes_the_nearest_of_equal_ones() {
        let text = b"needle--|.1needle--|.2needle--|.3".to_vec();
        let whole = Text::whole(&text);
        let index = Index::new(&whole, 8, u64::MAX, &Progress::default()).unwrap().unwrap();
        for (expected, found) in [(0, 0), (10, 11), (16, 11), (17, 22), (99, 22)] {
            assert_eq!(index.longest(b"needle--|.x", expected), Some(Hit { old: found, length: 10 }));
        }
        assert_eq!(index.longest(b"needle--|.2nee", 0), Some(Hit { old: 11, length: 14 }));
        assert_eq!(index.longest(b"nothing at all", 0), None);
    }

    #[test]
    fn finds_in_runs_longer_than_what_is_compared() {
        let text = vec![0; 10_000];
        let whole = Text::whole(&text);
        let index = Index::new(&whole, 8, u64::MAX, &Progress::default()).unwrap().unwrap();
        assert_eq!(index.longest(&text, 0).map(|hit| hit.length), Some(COMPARED));
    }
}
