//! Seeds: exact matches from which the new image's copies grow.
//!
//! Decides where in the new image the index is asked at all. In the manner of bsdiff (Percival, 2003) a match counts
//! only when it is longer, by `least` bytes, than what the copy before would give in the same place; what that copy
//! continues for a while is passed over without a search.

use std::ops::Range;

use super::bytes::{along, same_ahead, shift};
use super::index::Index;

/// Bytes that are the same along the present shift, past which no other match is looked for.
const CERTAIN: usize = 24;
/// Bytes of a match that are compared with what the present shift would give.
const WEIGHED: usize = 256;

/// An exact match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seed {
    /// Offset in the new image.
    pub(super) new: usize,
    /// Offset in the old image.
    pub(super) old: usize,
    /// Bytes.
    pub(super) length: usize,
}

impl Seed {
    pub(super) fn shift(&self) -> i64 {
        shift(self.old, self.new)
    }
}

/// The images, and what their bytes are looked up in.
pub(super) struct Search<'a> {
    pub(super) old: &'a [u8],
    pub(super) new: &'a [u8],
    pub(super) index: &'a Index<'a>,
    /// By how many bytes a match must be better than its predecessor.
    pub(super) least: usize,
}

impl Search<'_> {
    /// The seeds that begin in `range`, ascending. They may reach past its end. `before` is the shift of the copy
    /// before the range.
    pub(super) fn seeds(&self, range: Range<usize>, before: i64) -> Vec<Seed> {
        let mut found = Vec::new();
        let mut present = before;
        let mut at = range.start;
        while at < range.end {
            let here = along(at, present, self.old.len());
            let run = here.map_or(0, |old| same_ahead(&self.old[old..], &self.new[at..]));
            if let Some(old) = here
                && run >= CERTAIN
            {
                found.push(Seed { new: at, old, length: run });
                at += run;
                continue;
            }
            let expected = usize::try_from(shift(at, 0).saturating_add(present)).unwrap_or(0);
            match self.better(at, expected, run) {
                Some(seed) => {
                    present = seed.shift();
                    at += seed.length;
                    found.push(seed);
                }
                None => at += 1,
            }
        }
        found
    }

    /// The longest match at `at`, if it is better than what is `expected` there, of which the first `run` bytes are
    /// the same.
    fn better(&self, at: usize, expected: usize, run: usize) -> Option<Seed> {
        let hit = self.index.longest(&self.new[at..], expected)?;
        if hit.length <= run + self.least {
            return None;
        }
        // In the image it may be longer than in the text, or (over a joint of the text) shorter.
        let length = same_ahead(&self.old[hit.old..], &self.new[at..]);
        let weighed = length.min(WEIGHED);
        let same = self.old.get(expected..).map_or(0, |old| {
            old.iter().zip(&self.new[at..at + weighed]).filter(|(old, new)| old == new).count()
        });
        (weighed > same + self.least).then_some(Seed { new: at, old: hit.old, length })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::super::text::Text;
    use super::*;

    fn seeds(old: &[u8], new: &[u8]) -> Vec<Seed> {
        let text = Text::whole(old);
        let index = Index::new(&text, 8, u64::MAX, &Default::default()).unwrap().unwrap();
        Search { old, new, index: &index, least: 8 }.seeds(0..new.len(), 0)
    }

    #[test]
    fn a_copy_is_followed_over_single_changes() {
        let old = noise(10_000, 1);
        let mut new = old.clone();
        for at in (50..10_000).step_by(50) {
            new[at] ^= 1;
        }
        let seeds = seeds(&old, &new);
        assert!(seeds.iter().all(|seed| seed.shift() == 0), "{seeds:?}");
        assert!(seeds.iter().map(|seed| seed.length).sum::<usize>() > 9_700);
    }

    #[test]
    fn moved_parts_are_found_where_they_went() {
        let old = noise(10_000, 2);
        let new = [&old[6_000..], &old[..6_000]].concat();
        assert_eq!(
            seeds(&old, &new),
            [Seed { new: 0, old: 6_000, length: 4_000 }, Seed { new: 4_000, old: 0, length: 6_000 }]
        );
    }

    #[test]
    fn nothing_is_found_in_strange_or_empty_images() {
        assert_eq!(seeds(&noise(10_000, 3), &noise(10_000, 4)), []);
        assert_eq!(seeds(&[], &noise(100, 4)), []);
        assert_eq!(seeds(&noise(100, 4), &[]), []);
    }
}
