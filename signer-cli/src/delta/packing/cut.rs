//! Packed files in two pieces, as a file system has put them: found, and put into the order in which a device writes them.
//!
//! Decides which of them are left as they are: a device holds the one piece until the place of the other comes, and holds
//! little; and an installation goes on only where nothing is held.

use std::ops::Range;

use perennial_device_core::delta::packing::held::PIECES;
use perennial_device_core::delta::packing::layer::Piece;
use perennial_schemas::delta::HELD_LENGTH;

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
/// can't hold have none.
pub(super) fn places(parts: &[Proved], length: usize) -> (Vec<Stretch>, u32) {
    let mut left = vec![false; parts.len()];
    loop {
        match try_places(parts, &left, length) {
            Ok(places) => return places,
            Err(part) => left[part] = true,
        }
    }
}

/// As [`places`], without those that are `left` out; or the part that is too much.
fn try_places(parts: &[Proved], left: &[bool], length: usize) -> Result<(Vec<Stretch>, u32), usize> {
    let mut places = Vec::with_capacity(parts.len());
    for (part, proved) in parts.iter().enumerate().filter(|(part, _)| !left[*part]) {
        let (front, rest) = (proved.start..proved.start + proved.packed, proved.rest.clone());
        if rest.is_empty() {
            places.push(Stretch { range: front, part, piece: Piece::Whole });
            continue;
        }
        // Which piece is held is told below.
        let is_first = front.start < rest.start;
        let first = if is_first { Piece::Front(front.len() as u32) } else { Piece::Back(rest.len() as u32) };
        let end = front.end.max(rest.end);
        if front.start.abs_diff(rest.start) > APART || end + erofs::BLOCK > length {
            return Err(part);
        }
        let (one, other) = if is_first { (front, rest) } else { (rest, front) };
        places.push(Stretch { range: one, part, piece: first });
        places.push(Stretch { range: other, part, piece: Piece::Rest(0) });
    }
    places.sort_by_key(|place| place.range.start);
    let (mut held, mut bytes, mut most): (Vec<usize>, usize, usize) = (Vec::new(), 0, 0);
    let mut end = 0;
    for place in &mut places {
        let Stretch { range, part, piece } = place;
        if range.start < end {
            return Err(*part);
        }
        end = range.end;
        let all = parts[*part].packed + parts[*part].rest.len();
        let needs = match piece {
            Piece::Whole => continue,
            Piece::Front(_) => all - range.len(),
            Piece::Back(_) => all,
            Piece::Rest(which) => {
                let at = held.iter().position(|held| held == part).ok_or(*part)?;
                held.remove(at);
                (*which, bytes) = (at as u8, bytes - range.len());
                continue;
            }
        };
        if bytes + needs > HELD_LENGTH as usize || held.len() >= PIECES {
            return Err(*part);
        }
        most = most.max(bytes + needs);
        bytes += all - range.len();
        held.push(*part);
    }
    Ok((places, most as u32))
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
