//! Candidates: stretches of the new image that might be copied along one shift, grown from seeds.
//!
//! Decides how far a copy may reach when single bytes of it differ: in both directions while the sum of +1 for each
//! same byte and -1 for each other one stays near its best (bsdiff's score; the drop is BLAST's, Altschul 1990).
//! Candidates overlap. Which of them is taken from where to where, `choose` decides.

use std::ops::Range;

use super::Masked;
use super::bytes::{along, same_ahead, same_behind};
use super::seeds::Seed;

/// How far below its best the score may fall before the growth ends.
const DROP: usize = 28;
/// How often a byte that may differ counts as much as one that may not.
const WHOLE: usize = 8;
/// Bytes that a copy grows by at most, beyond its seed, in one direction. The next seed of the same shift goes on.
const REACH: usize = 1 << 16;
/// Candidates before a seed that are looked through for one of the same shift.
const RECENT: usize = 24;

/// Bytes `from..to` of the new image, which may be copied from `shift` further on in the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) shift: i64,
}

/// The candidates within `range`, by their start. Seeds come in ascending order; those of length 0 grow, too.
pub(super) fn grow(
    images: &Masked<'_>,
    range: Range<usize>,
    seeds: impl Iterator<Item = Seed>,
) -> Vec<Candidate> {
    let mut grown: Vec<Candidate> = Vec::new();
    for seed in seeds {
        let shift = seed.shift();
        let to = (seed.new + seed.length).min(range.end);
        let from = seed.new.max(range.start);
        if from > to || from >= range.end && seed.length > 0 {
            continue;
        }
        let known = grown.iter_mut().rev().take(RECENT).find(|known| known.shift == shift);
        match known {
            Some(known) if known.to >= to => {}
            Some(known) if known.to >= from => known.to = ahead(images, to, range.end, shift),
            known => {
                let least = known.map_or(range.start, |known| known.to);
                let candidate = Candidate {
                    from: behind(images, from, least, shift),
                    to: ahead(images, to, range.end, shift),
                    shift,
                };
                if candidate.from < candidate.to {
                    grown.push(candidate);
                }
            }
        }
    }
    grown.sort_unstable();
    grown
}

/// How far a copy that is sure until `at` reaches, at most to `end`.
fn ahead(images: &Masked<'_>, at: usize, end: usize, shift: i64) -> usize {
    let Masked { old, new, fields } = images;
    let Some(start) = along(at, shift, old.len()) else { return at };
    let length = (end - at).min(REACH).min(old.len() - start);
    let same = |done| same_ahead(&old[start + done..start + length], &new[at + done..at + length]);
    at + reach(length, same, |done| fields.has(start + done))
}

/// From where a copy that is sure from `at` on may begin, at least at `least`.
fn behind(images: &Masked<'_>, at: usize, least: usize, shift: i64) -> usize {
    let Masked { old, new, fields } = images;
    // One byte before: the place itself may be the end of the old image.
    let Some(last) = at.checked_sub(1).and_then(|before| along(before, shift, old.len())) else { return at };
    let end = last + 1;
    let length = (at - least).min(REACH).min(end);
    let same = |done| same_behind(&old[end - length..end - done], &new[at - length..at - done]);
    at - reach(length, same, |done| fields.has(last - done))
}

/// Where the best score is reached. `same` tells how many bytes after the first so many are the same, `free` whether the
/// next one may differ.
fn reach(length: usize, same: impl Fn(usize) -> usize, free: impl Fn(usize) -> bool) -> usize {
    // `below`: how far the score is below its best.
    let (mut done, mut best, mut below) = (0, 0, 0_usize);
    while done < length && below <= DROP * WHOLE {
        let run = same(done);
        done += run;
        if run * WHOLE > below {
            best = done;
        }
        if done == length {
            break;
        }
        below = below.saturating_sub(run * WHOLE) + if free(done) { 1 } else { WHOLE };
        done += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::super::tests::noise;
    use super::*;

    #[test]
    fn a_seed_grows_over_changed_bytes_until_nothing_is_the_same() {
        let old = noise(1_000, 1);
        let mut new = noise(1_000, 2);
        new[200..800].copy_from_slice(&old[100..700]);
        for at in (200..800).step_by(20) {
            new[at] ^= 1;
        }
        let seed = Seed { new: 501, old: 401, length: 19 };
        let fields = Fields::default();
        let images = Masked { old: &old, new: &new, fields: &fields };
        let grown = grow(&images, 0..1_000, [seed, seed].into_iter());
        assert_eq!(grown.len(), 1);
        assert_eq!(grown[0].shift, -100);
        assert!((199..=201).contains(&grown[0].from) && (799..=802).contains(&grown[0].to), "{grown:?}");
        let inside = grow(&images, 305..600, [seed].into_iter());
        assert_eq!(inside, [Candidate { from: 305, to: 600, shift: -100 }]);
    }

    #[test]
    fn growth_stays_inside_both_images() {
        let same = vec![5; 100];
        let fields = Fields::default();
        let images = Masked { old: &same, new: &same, fields: &fields };
        for (new, old) in [(0, 0), (0, 99), (99, 0), (50, 99), (100, 100)] {
            let grown = grow(&images, 0..100, [Seed { new, old, length: 0 }].into_iter());
            for candidate in grown {
                assert!(candidate.to <= 100);
                assert!(along(candidate.from, candidate.shift, 100).is_some());
                assert!(along(candidate.to - 1, candidate.shift, 100).is_some());
            }
        }
    }
}
