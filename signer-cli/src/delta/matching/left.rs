//! What exact copying left of both images.
//!
//! Decides which granules of the old image are worth sorting: those that no exact copy used, and the used ones around
//! which something is missing in the new image. Sorts them into windows where they are too many at once.

use std::ops::Range;

use super::bytes::along;
use super::text::GRANULE;
use super::{Match, Piece};

/// Used bytes of the old image that are sorted all the same, on the far side of each border of a copy.
const AROUND: usize = 16 << 10;

/// A stretch of the new image that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) range: Range<usize>,
    /// The shift of the last copy before it, or 0.
    pub(super) before: i64,
    /// The shift of the first copy behind it, or that before it.
    pub(super) after: i64,
}

/// The stretches between pieces.
pub(super) fn stretches(pieces: &[Piece], length: usize) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    // Stretches from this one on wait for the shift behind them.
    let mut waiting = 0;
    let (mut at, mut before) = (0, 0);
    for piece in pieces {
        let (new, end) = piece.span();
        if at < new {
            found.push(Stretch { range: at..new, before, after: before });
        }
        at = end;
        if let Piece::Copy(copied) = piece {
            before = copied.shift();
            for stretch in &mut found[waiting..] {
                stretch.after = before;
            }
            waiting = found.len();
        }
    }
    if at < length {
        found.push(Stretch { range: at..length, before, after: before });
    }
    found
}

/// The granules of the old image that are to be searched, ascending.
pub(super) fn granules(old_length: usize, pieces: &[Piece], stretches: &[Stretch]) -> Vec<u32> {
    let mut wanted = vec![true; old_length.div_ceil(GRANULE)];
    for piece in pieces {
        if let Piece::Copy(Match { old, length, .. }) = piece {
            let (from, to) = (*old as usize, (*old + *length) as usize);
            let whole = from.div_ceil(GRANULE)..to / GRANULE;
            wanted[whole.start.min(whole.end)..whole.end].fill(false);
        }
    }
    for stretch in stretches {
        let Range { start, end } = stretch.range;
        let ahead = start..end.min(start + AROUND);
        let back = start.max(end.saturating_sub(AROUND))..end;
        for (range, shift) in [(ahead, stretch.before), (back, stretch.after)] {
            if let Some(from) = along(range.start, shift, old_length) {
                let to = (from + range.len()).min(old_length);
                wanted[from / GRANULE..to.div_ceil(GRANULE)].fill(true);
            }
        }
    }
    (0_u32..).zip(wanted).filter_map(|(granule, wanted)| wanted.then_some(granule)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_pieces_is_left() {
        let pieces = [
            Piece::Fill { new: 10, length: 10, byte: 0 },
            Piece::Copy(Match { old: 25, new: 20, length: 10 }),
            Piece::Fill { new: 40, length: 10, byte: 0 },
            Piece::Copy(Match { old: 67, new: 60, length: 10 }),
        ];
        let found = stretches(&pieces, 80);
        let expected = [(0..10, 0, 5), (30..40, 5, 7), (50..60, 5, 7), (70..80, 7, 7)];
        assert_eq!(found, expected.map(|(range, before, after)| Stretch { range, before, after }));
        assert_eq!(stretches(&[], 0), []);
    }

    #[test]
    fn used_granules_are_left_out_unless_they_lie_around_a_gap() {
        let granule = GRANULE as u64;
        let pieces = [Piece::Copy(Match { old: granule, new: 0, length: 100 * granule })];
        let old_length = 102 * GRANULE + 5;
        assert_eq!(granules(old_length, &pieces, &[]), [0, 101, 102]);
        let gap = Stretch { range: 49 * GRANULE..50 * GRANULE, before: 4096, after: 4096 };
        assert_eq!(granules(old_length, &pieces, &[gap]), [0, 50, 101, 102]);
    }
}
