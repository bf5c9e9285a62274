//! Packed files in two pieces, as a file system has put them: found, and put into the order in which a device writes them.
//!
//! Decides which of them are left as they are: a device holds the one piece until the place of the other comes, and holds
//! little; and an installation goes on only where nothing is held, with the notes of all that ends up to there.

use std::collections::BTreeMap;
use std::ops::Range;

use perennial_device_core::delta::packing::held::PIECES;
use perennial_device_core::delta::packing::layer::Piece;
use perennial_schemas::delta::{HELD_LENGTH, NOTES_LENGTH};

use super::Proved;
use super::erofs;
use super::find::{Found, Opener};
use crate::delta::partial::Partial;

/// A longer file isn't looked at, packed.
const LONGEST: usize = 512 << 10;
/// The most bytes of an image between both pieces of a part.
const APART: usize = 16 << 20;
/// What gzip's members begin with: the one kind of packed file that is longer than a block in the file systems of systems.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];

/// The gzip files of an image that are in two pieces, ascending; of which nothing is missing.
pub(super) fn find(image: &Partial<'_>) -> Vec<Found> {
    let bytes = image.bytes();
    let there = |range: &Range<usize>| image.holds(&(range.start as u64..range.end as u64));
    let mut opener = Opener::default();
    let cut = erofs::cut_files(bytes, LONGEST, GZIP).into_iter();
    let cut = cut.filter(|cut| there(&cut.front) && there(&cut.rest));
    let mut found: Vec<Found> = cut.filter_map(|cut| opener.of_cut(bytes, &cut)).collect();
    found.sort_by_key(|part| part.start);
    found
}

/// Both lists, ascending, without what lies across something of `whole`.
pub(super) fn merged(whole: Vec<Found>, cut: Vec<Found>) -> Vec<Found> {
    let range = |part: &Found| part.start..part.start + part.packed;
    let lies_across = |range: &Range<usize>| {
        let after = whole.partition_point(|part| part.start < range.end);
        after.checked_sub(1).is_some_and(|last| whole[last].start + whole[last].packed > range.start)
    };
    let cut = cut.into_iter().filter(|part| !lies_across(&range(part)) && !lies_across(&part.rest));
    let cut: Vec<Found> = cut.collect();
    let mut all = [whole, cut].concat();
    all.sort_by_key(|part| part.start);
    all.dedup_by(|part, before| part.start < before.start + before.packed);
    all
}

/// A place of the new image where bytes of a part stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) range: Range<usize>,
    /// The part of the list.
    pub(super) part: usize,
    pub(super) piece: Piece,
}

/// The places of these parts of an image of `length` bytes, ascending, and how many bytes a device holds at most. Parts that it
/// can't hold have none, nor those between whose pieces there are more notes of others than it holds.
pub(super) fn places(parts: &[Proved], length: usize) -> (Vec<Stretch>, u32) {
    let mut places = disjoint(parts, length);
    places.sort_by_key(|place| place.range.start);
    let mut left = vec![false; parts.len()];
    let (mut span, mut most) = (Span::default(), 0);
    for Stretch { range, part, piece } in &mut places {
        let proved = &parts[*part];
        let rest = proved.part.packed + proved.part.rest.len() - range.len();
        match piece {
            Piece::Whole => span.noted += proved.note_length(),
            Piece::Rest(which) => match span.release(*part, range.len()) {
                Some(at) => *which = at,
                None => continue,
            },
            // What stands behind the rest of it is packed last, when all of it is there.
            Piece::Back(back) => left[*part] = !span.hold(*part, rest, *back as usize),
            Piece::Front(_) => left[*part] = !span.hold(*part, rest, 0),
        }
        if span.held.is_empty() {
            // A mark stands where nothing is held.
            match span.noted <= u64::from(NOTES_LENGTH) {
                true => most = span.most.max(most),
                false => span.parts.iter().for_each(|part| left[*part] = true),
            }
            span = Span::default();
        }
    }
    places.retain(|place| !left[place.part]);
    (places, most as u32)
}

/// The pieces of these parts. Those in two pieces have none that are far from each other, too near to the image's end, or in
/// another's place.
fn disjoint(parts: &[Proved], length: usize) -> Vec<Stretch> {
    let whole = parts.iter().map(|proved| &proved.part).filter(|part| part.rest.is_empty());
    let mut taken: BTreeMap<usize, usize> =
        whole.map(|part| (part.start, part.start + part.packed)).collect();
    let mut places = Vec::with_capacity(parts.len());
    for (part, Proved { part: found, .. }) in parts.iter().enumerate() {
        let (front, rest) = (found.start..found.start + found.packed, found.rest.clone());
        if rest.is_empty() {
            places.push(Stretch { range: front, part, piece: Piece::Whole });
            continue;
        }
        let is_near =
            front.start.abs_diff(rest.start) <= APART && front.end.max(rest.end) + erofs::BLOCK <= length;
        let is_taken = |range: &Range<usize>| {
            taken.range(..range.end).next_back().is_some_and(|(_, end)| *end > range.start)
        };
        if !is_near || is_taken(&front) || is_taken(&rest) {
            continue;
        }
        taken.extend([(front.start, front.end), (rest.start, rest.end)]);
        // Which of those that are held it is turns out when its place comes.
        let (one, piece, other) = match front.start < rest.start {
            true => (front.clone(), Piece::Front(front.len() as u32), rest),
            false => (rest.clone(), Piece::Back(rest.len() as u32), front),
        };
        places.push(Stretch { range: one, part, piece });
        places.push(Stretch { range: other, part, piece: Piece::Rest(0) });
    }
    places
}

/// What is held from a place where nothing was to one where nothing is.
#[derive(Default)]
struct Span {
    /// Parts of which something is held.
    held: Vec<usize>,
    /// Bytes of them, now and at most.
    bytes: usize,
    most: usize,
    /// All parts of which something was held.
    parts: Vec<usize>,
    /// Bytes of the notes of others that end there.
    noted: u64,
}

impl Span {
    /// At a part's first piece: whether a device can hold the rest of it, and so much more while it is packed.
    fn hold(&mut self, part: usize, rest: usize, more: usize) -> bool {
        if self.bytes + rest + more > HELD_LENGTH as usize || self.held.len() >= PIECES {
            return false;
        }
        self.most = self.most.max(self.bytes + rest + more);
        self.bytes += rest;
        self.held.push(part);
        self.parts.push(part);
        true
    }

    /// At its second place: which of those held it is, if it is one.
    fn release(&mut self, part: usize, bytes: usize) -> Option<u8> {
        let at = self.held.iter().position(|held| *held == part)?;
        self.held.remove(at);
        self.bytes -= bytes;
        Some(at as u8)
    }
}

/// Where something is held, in the unpacked image: from a part's beginning to the place of its second piece, joined.
pub(super) fn spans(pieces: impl Iterator<Item = (u64, Piece)>) -> Vec<Range<u64>> {
    let (mut spans, mut held, mut start): (Vec<Range<u64>>, usize, u64) = (Vec::new(), 0, 0);
    for (content, piece) in pieces {
        match piece {
            Piece::Whole => {}
            Piece::Front(_) | Piece::Back(_) => {
                start = if held == 0 { content } else { start };
                held += 1;
            }
            Piece::Rest(_) => {
                held = held.saturating_sub(1);
                if held == 0 {
                    spans.push(start..content + 1);
                }
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests;
