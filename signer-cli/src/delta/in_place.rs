//! What an image that is rewritten in place can be made of: which old bytes are still there when a frame reads them.
//!
//! Decides where frames end, and which copies are cut shorter or looked for elsewhere. Never decides what may be read: that is
//! the header's floor, by which devices go, too.

use std::ops::Range;

use perennial_schemas::delta::InPlace;

use super::matching::{self, Images, Match, MatchError, Options, Piece};
use super::progress::{Progress, Stage};

/// How a slot is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    place: InPlace,
    old_length: u64,
    new_length: u64,
    /// Bytes that a frame makes.
    frame: u64,
}

/// Frames end at multiples of so many bytes at least: what the smallest chunk of an index vouches for.
const CHUNK: u64 = 4096;
/// A frame makes no more: what it holds fits the format, whatever it is.
const MOST: u64 = 512 * 1024;
/// Shorter stretches are inserted.
const LEAST: u64 = 48;
/// So many stretches are looked for elsewhere, the longest first.
const STRETCHES: usize = 64;

impl Room {
    /// The ways to rewrite a slot that are worth trying: a long frame learns more, and leaves less of the old image to read.
    pub fn choices(place: InPlace, old_length: u64, new_length: u64) -> Vec<Self> {
        let shift = place.shift(old_length);
        let granule = place.sector().max(CHUNK);
        let less = [1, 2, 4, 8].map(|granules| shift.saturating_sub(granules * granule));
        let mut frames: Vec<u64> = less
            .into_iter()
            .chain([shift, shift / 2, shift / 4])
            .map(|frame| frame.min(MOST).min(new_length.next_multiple_of(granule)) / granule * granule)
            .map(|frame| frame.max(granule))
            .collect();
        frames.sort_unstable();
        frames.dedup();
        frames.into_iter().map(|frame| Self { place, old_length, new_length, frame }).collect()
    }

    /// What frames end at multiples of.
    pub fn granule(&self) -> u64 {
        self.place.sector().max(CHUNK)
    }

    /// Where the frame ends that makes this byte of the new image.
    pub fn end(&self, at: u64) -> u64 {
        ((at / self.frame + 1) * self.frame).min(self.new_length)
    }

    /// The first byte of the old image that a frame may read which ends there.
    pub fn floor(&self, end: u64) -> u64 {
        self.place.floor(self.old_length, end)
    }

    /// These pieces, as far as they can be read; what they lose is looked for in what can be.
    ///
    /// # Errors
    /// As [`matching::pieces`].
    pub fn readable(
        &self,
        old: &[u8],
        new: &[u8],
        pieces: &[Piece],
        options: &Options,
        progress: &Progress<'_>,
    ) -> Result<Vec<Piece>, MatchError> {
        let (mut kept, mut lost) = self.cut(pieces);
        lost.sort_unstable_by_key(|stretch| std::cmp::Reverse(stretch.end - stretch.start));
        lost.truncate(STRETCHES);
        progress.begin(Stage::Matching, lost.iter().map(|stretch| stretch.end - stretch.start).sum());
        for stretch in lost {
            progress.go_on()?;
            let floor = self.floor(self.end(stretch.start)).min(self.old_length);
            let there = Images {
                old: &old[floor as usize..],
                new: &new[stretch.start as usize..stretch.end as usize],
                masked: None,
                exact: None,
            };
            let found = matching::pieces(there, options, &Progress::default())?;
            progress.more(stretch.end - stretch.start);
            kept.extend(found.into_iter().map(|piece| match piece {
                Piece::Copy(m) => Piece::Copy(Match { old: m.old + floor, new: m.new + stretch.start, ..m }),
                Piece::Fill { new, length, byte } => Piece::Fill { new: new + stretch.start, length, byte },
            }));
        }
        progress.end();
        kept.sort_unstable_by_key(|piece| match piece {
            Piece::Copy(m) => m.new,
            Piece::Fill { new, .. } => *new,
        });
        Ok(kept)
    }

    /// What can be read, and stretches of what can't.
    fn cut(&self, pieces: &[Piece]) -> (Vec<Piece>, Vec<Range<u64>>) {
        let (mut kept, mut lost): (Vec<Piece>, Vec<Range<u64>>) = (Vec::new(), Vec::new());
        for piece in pieces {
            let Piece::Copy(m) = *piece else {
                kept.push(*piece);
                continue;
            };
            let mut whole: Option<Match> = None;
            let (mut at, end) = (m.new, m.new + m.length);
            while at < end {
                let stop = self.end(at).min(end);
                let old = m.old + (at - m.new);
                let gone = self.floor(self.end(at)).saturating_sub(old).min(stop - at);
                if gone >= LEAST {
                    lost.push(at..at + gone);
                }
                if gone > 0 {
                    kept.extend(whole.take().map(Piece::Copy));
                }
                if gone < stop - at {
                    let begun = whole.map_or(at + gone, |whole| whole.new);
                    whole = Some(Match { old: m.old + (begun - m.new), new: begun, length: stop - begun });
                }
                at = stop;
            }
            kept.extend(whole.map(Piece::Copy));
        }
        (kept, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot of 32 sectors, 25 of them full: seven to spare.
    fn room(frame: u64) -> Room {
        let place = InPlace { sector_bits: 12, sectors: 32 };
        Room { place, old_length: 100_000, new_length: 100_000, frame }
    }

    fn copy(old: u64, new: u64, length: u64) -> Piece {
        Piece::Copy(Match { old, new, length })
    }

    #[test]
    fn what_is_read_a_little_behind_stays_whole() {
        let room = room(6 * 4096);
        let pieces = [copy(0, 100, 50_000), copy(60_000, 50_100, 49_900)];
        assert_eq!(room.cut(&pieces), (pieces.to_vec(), vec![]));
    }

    #[test]
    fn what_was_overwritten_is_cut_off() {
        let room = room(4096);
        // The frame ends at 61,440, and the old image was moved by 28,672 bytes: what is below 32,768 is gone.
        let (kept, lost) = room.cut(&[copy(32_000, 57_344, 2_000), copy(10, 59_344, 1_000)]);
        assert_eq!(kept, [copy(32_768, 58_112, 1_232)]);
        assert_eq!(lost, [57_344..58_112, 59_344..60_344]);
    }

    #[test]
    fn frames_are_whole_sectors_and_chunks() {
        for (sector_bits, sectors) in [(8, 500), (12, 26), (12, 60), (15, 5), (17, 2)] {
            let place = InPlace { sector_bits, sectors };
            for room in Room::choices(place, 100_000, 110_000) {
                assert_eq!(room.frame % room.granule(), 0, "{room:?}");
                assert!(room.frame > 0 && room.granule() >= CHUNK && room.granule() >= place.sector());
            }
        }
    }
}
