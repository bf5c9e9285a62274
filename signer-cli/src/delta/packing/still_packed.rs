//! Parts of the old image whose packed bytes stand in the new one outside of its own parts.
//!
//! Decides by probes: a few packed bytes from three places of each part, looked up in all of the new image; two of them must be
//! there. Such a part stays packed, or its bytes would be lost to a copy: a file whose last block a file system has moved
//! elsewhere is no part any more, and most of it is still there.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::Proved;
use super::find::Found;
use crate::delta::progress::{Progress, STRIDE, Stage};

/// Bytes of a probe. Packed bytes are as good as random, so that no other ones are the same.
const PROBE: usize = 8;

/// The parts of the old image that the new one doesn't hold packed. `proved` are its own parts, ascending.
pub(super) fn without(
    old: &[u8],
    new: &[u8],
    in_old: Vec<Found>,
    proved: &[Proved],
    progress: &Progress<'_>,
) -> Vec<Found> {
    progress.begin(Stage::Unpacking, new.len() as u64);
    let of = |part: &Found| PLACES.map(|place| probe(old, part, place)).into_iter().flatten();
    let mut probes: HashMap<u64, bool> = in_old.iter().flat_map(of).map(|probe| (probe, false)).collect();
    let kept = Bits::of(probes.keys().copied());
    let mut at = 0;
    let mut look = |stretch: Range<usize>| {
        for start in stretch.clone().step_by(STRIDE) {
            progress.at(start as u64);
            for window in new[start..stretch.end.min(start + STRIDE + PROBE - 1)].windows(PROBE) {
                let word = window.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                if kept.may_hold(word)
                    && let Some(found) = probes.get_mut(&word)
                {
                    *found = true;
                }
            }
        }
    };
    for Proved { part, .. } in proved {
        look(at..part.start);
        at = part.start + part.packed;
    }
    look(at..new.len());
    progress.end();
    let there: HashSet<u64> =
        probes.into_iter().filter_map(|(probe, found)| found.then_some(probe)).collect();
    in_old
        .into_iter()
        .filter(|part| of(part).filter(|probe| there.contains(probe)).count() < ENOUGH)
        .collect()
}

/// Where probes are taken, in quarters of a part: its beginning it may share with many.
const PLACES: [usize; 3] = [1, 2, 3];
/// So many of them are there where the part is.
const ENOUGH: usize = 2;

fn probe(old: &[u8], part: &Found, place: usize) -> Option<u64> {
    let at = part.start + part.packed * place / 4;
    let bytes = old.get(at..at + PROBE)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// A bit for each 16 bits of a probe: most places of an image are passed over with one look.
struct Bits(Vec<u64>);

impl Bits {
    fn of(probes: impl Iterator<Item = u64>) -> Self {
        let mut bits = vec![0; 1 << 10];
        probes.for_each(|probe| bits[(probe & 0xffff) as usize / 64] |= 1 << (probe % 64));
        Self(bits)
    }

    fn may_hold(&self, word: u64) -> bool {
        self.0[(word & 0xffff) as usize / 64] >> (word % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::find::Kind;
    use super::*;

    #[test]
    fn a_part_that_stands_in_the_new_image_as_it_is_stays_packed() {
        let old: Vec<u8> = (0..4_000_u32).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        let part = |start: usize| Found {
            start,
            packed: 1_000,
            rest: 0..0,
            length: 3_000,
            kind: Kind::Zstd,
            digest: start as u64,
            changed: true,
        };
        let new = [&[7; 100], &old[1_200..2_000], &[7; 50], &old[5_000..6_000]].concat();
        let proved = Proved { part: part(950), method: Kind::Zstd.any(), note: Vec::new(), key: None };
        let starts = |proved: &[Proved]| -> Vec<usize> {
            without(&old, &new, vec![part(1_000), part(3_000), part(5_000)], proved, &Progress::default())
                .iter()
                .map(|part| part.start)
                .collect()
        };
        assert_eq!(starts(&[]), [3_000]);
        assert_eq!(starts(&[proved]), [3_000, 5_000], "a part of the new image is no place for packed bytes");
    }
}
