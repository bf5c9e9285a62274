//! An image in the making in which parts are unpacked.
//!
//! Decides nothing.

use std::ops::Range;

use crate::delta::partial::{Partial, copy};

/// See the module's text.
pub(super) struct Unpacked<'i> {
    packed: &'i [u8],
    bytes: Vec<u8>,
    /// How far both are done.
    from: usize,
    to: usize,
}

impl<'i> Unpacked<'i> {
    /// Of this image, with parts of these sizes at most, packed and unpacked.
    pub(super) fn new(packed: &'i [u8], parts: impl Iterator<Item = (usize, usize)>) -> Self {
        // Before anything is known to fail, what isn't a part may be as long as all of it.
        let length = packed.len() + parts.map(|(_, length)| length).sum::<usize>();
        Self { packed, bytes: vec![0; length], from: 0, to: 0 }
    }

    /// Goes on to a place of the packed image, where a part begins: where that is in this one.
    pub(super) fn before(&mut self, place: usize) -> u64 {
        let length = place - self.from;
        copy(&self.packed[self.from..place], &mut self.bytes[self.to..self.to + length]);
        (self.from, self.to) = (place, self.to + length);
        self.to as u64
    }

    /// A part of so many bytes, packed, that holds these.
    pub(super) fn part(&mut self, packed: usize, content: &[u8]) {
        self.bytes[self.to..self.to + content.len()].copy_from_slice(content);
        (self.from, self.to) = (self.from + packed, self.to + content.len());
    }

    /// The rest of it; `missing` is missing of the packed image.
    pub(super) fn finish(mut self, missing: &[Range<u64>], growth: &Growth) -> Partial<'static> {
        self.before(self.packed.len());
        self.bytes.truncate(self.to);
        Partial::of(
            self.bytes,
            missing.iter().map(|range| growth.of(range.start)..growth.of(range.end)).collect(),
        )
    }
}

/// Where places of the packed image, in none of its parts, are in the unpacked one.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Where parts end, in both.
    ends: Vec<(u64, u64)>,
}

impl Growth {
    /// A part ends here.
    pub(super) fn note(&mut self, packed: u64, unpacked: u64) {
        self.ends.push((packed, unpacked));
    }

    pub(super) fn of(&self, at: u64) -> u64 {
        let before = self.ends.partition_point(|(packed, _)| *packed <= at).checked_sub(1);
        before.map_or(at, |before| {
            let (packed, unpacked) = self.ends[before];
            unpacked + (at - packed)
        })
    }
}
