//! An image becomes one in which parts are unpacked.
//!
//! Decides nothing. Whatever counts from a place of the image, as inodes do, is read before that.

use std::ops::Range;

use super::find::{Found, Opener};
use crate::delta::detect::{self, Piece};
use crate::delta::partial::{Partial, copy};
use crate::delta::progress::Progress;

/// Which stretches of an image become what, and where its bytes are then.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// What each stretch becomes, ascending: the content of a part, or nothing.
    stretches: Vec<(Range<usize>, Option<Found>)>,
    /// Where stretches end, before and after.
    ends: Vec<(u64, u64)>,
}

impl Change {
    /// Behind the others, a stretch becomes what this part holds, or nothing: where that begins.
    pub(super) fn add(&mut self, stretch: Range<usize>, part: Option<Found>) -> u64 {
        let start = self.place(stretch.start as u64);
        let length = part.as_ref().map_or(0, |part| part.length as u64);
        self.ends.push((stretch.end as u64, start + length));
        self.stretches.push((stretch, part));
        start
    }

    /// Where a place is that lies in no stretch.
    pub(super) fn place(&self, at: u64) -> u64 {
        let before = self.ends.partition_point(|(before, _)| *before <= at).checked_sub(1);
        before.map_or(at, |last| {
            let (before, after) = self.ends[last];
            after + (at - before)
        })
    }

    /// Where the bytes of a file's piece are then; those in a stretch are nowhere.
    fn pieces(&self, piece: Piece) -> impl Iterator<Item = Piece> {
        let (start, end) = (piece.image, piece.image + piece.length);
        let first = self.stretches.partition_point(|(stretch, _)| stretch.end <= start);
        let inside = self.stretches[first..].iter().map(|(stretch, _)| stretch);
        let inside = inside.take_while(move |stretch| stretch.start < end);
        let ends = inside.clone().map(|stretch| stretch.start).chain([end]);
        let starts = std::iter::once(start).chain(inside.map(|stretch| stretch.end));
        starts.zip(ends).filter(|(from, to)| from < to).map(move |(from, to)| Piece {
            file: piece.file + (from - start),
            image: self.place(from as u64) as usize,
            length: to - from,
        })
    }

    /// The image as it is then. The one that it was made of is gone: memory holds no more than one image twice. Its
    /// bytes are added to what `progress` counts.
    pub(super) fn apply(&self, image: Partial<'_>, progress: &Progress<'_>) -> Partial<'static> {
        let old = image.bytes();
        let mut bytes = vec![0; self.place(old.len() as u64) as usize];
        let mut opener = Opener::default();
        let (mut from, mut to) = (0, 0);
        for (stretch, part) in &self.stretches {
            let before = from..stretch.start;
            copy(&old[before.clone()], &mut bytes[to..to + before.len()]);
            progress.more((stretch.end - from) as u64);
            (from, to) = (stretch.end, to + before.len());
            let Some(part) = part else { continue };
            // What was opened once opens again.
            if let Some(content) = opener.content(part.kind, &part.bytes(old), part.length) {
                bytes[to..to + part.length].copy_from_slice(content);
            }
            to += part.length;
        }
        copy(&old[from..], &mut bytes[to..]);
        progress.more((old.len() - from) as u64);
        let missing = image.missing().iter();
        let missing = missing.map(|range| self.place(range.start)..self.place(range.end)).collect();
        let files = detect::find(&image);
        let files = files.iter().filter_map(|file| file.moved(&bytes, |piece| self.pieces(piece))).collect();
        Partial::of(bytes, missing).with(files)
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::super::tests::{gzip, text};
    use super::*;

    #[test]
    fn parts_are_unpacked_and_what_is_around_them_moves() {
        let texts: Vec<Vec<u8>> = (0..5).map(|i| text(i, 2_000 + 700 * i as usize)).collect();
        let between =
            [text(90, 300), vec![0; 20_000], text(91, 9_000), Vec::new(), text(92, 5), text(93, 40)];
        let (mut image, mut expected) = (between[0].clone(), between[0].clone());
        for (number, (text, between)) in texts.iter().zip(&between[1..]).enumerate() {
            let packed = gzip(text);
            // The header isn't the part's.
            image.extend([&packed[..], between].concat());
            expected.extend([&packed[..15], text, between].concat());
            assert!(packed.len() < text.len(), "{number}");
        }
        let all = 0..image.len();
        let found = find::find(&image, std::slice::from_ref(&all), &Progress::default());
        assert_eq!(found.len(), texts.len());
        let mut change = Change::default();
        for part in found {
            let stretch = part.start..part.start + part.packed;
            let start = change.add(stretch, Some(part)) as usize;
            assert!(texts.iter().any(|text| expected[start..].starts_with(text)));
        }
        assert_eq!(change.place(image.len() as u64), expected.len() as u64);
        let missing: Vec<Range<u64>> = std::iter::once(image.len() as u64 - 40..image.len() as u64).collect();
        let after = change.apply(Partial::of(image.clone(), missing), &Progress::default());
        assert!(after.bytes() == expected);
        assert_eq!(after.missing()[0], expected.len() as u64 - 40..expected.len() as u64);
        // A stretch that becomes nothing, behind one that grew.
        let mut change = Change::default();
        let start = 0..400;
        let part = find::find(&image, std::slice::from_ref(&start), &Progress::default()).remove(0);
        let end = part.start + part.packed;
        change.add(part.start..end, Some(part.clone()));
        change.add(end + 10..end + 30, None);
        let kept = [&image[..part.start], &texts[0], &image[end..end + 10], &image[end + 30..]].concat();
        assert!(change.apply(Partial::whole(&image), &Progress::default()).bytes() == kept);
    }
}
