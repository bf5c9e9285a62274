//! Which notes stand in one frame: those of the parts that end between two marks.
//!
//! Decides how far a stretch without a mark may reach, as a device holds all of its notes.

use perennial_schemas::delta::{LAYERS, NOTES_LENGTH};

use super::Layers;

/// A place of the new image where no part is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// In the image with every part unpacked.
    pub at: u64,
    /// In the image itself, and in what the first layer makes it of.
    pub written: [u64; LAYERS],
}

/// A note as it stands in a frame, behind its length.
pub(super) fn entry(note: &[u8]) -> Vec<u8> {
    let mut entry = varint(note.len() as u64);
    entry.extend_from_slice(note);
    entry
}

impl Layers {
    /// What a frame of notes holds for the parts that end between these places; nothing where none of them has one.
    pub fn notes(&self, from: &Place, to: &Place) -> Vec<u8> {
        let mut frame = Vec::new();
        let mut any = false;
        for (number, made) in self.0.iter().enumerate().filter(|(_, made)| made.parts.notes > 0) {
            let [first, end] = [from, to].map(|place| self.parts_before(number, place));
            let notes = &made.notes[first..end];
            let length = notes.iter().map(|note| note.len() as u64).sum();
            any |= length > 0;
            frame.extend(varint(length));
            notes.iter().for_each(|note| frame.extend_from_slice(note));
        }
        if any { frame } else { Vec::new() }
    }

    /// The last place up to `most` where no part is under way, and between which and `marked` no layer has more notes than a
    /// device holds; where that is not behind `at`, the first one behind it. None where that is behind `most`, and where `most` is
    /// `end`: there a stretch ends anyway.
    pub fn reach(&self, marked: &Place, at: u64, most: u64, end: u64) -> Option<u64> {
        let fits = |place: u64| self.notes_since(marked, &self.mark(place)) <= u64::from(NOTES_LENGTH);
        if most == end && fits(end) {
            return None;
        }
        let clean = self.mark(if fits(most) { most } else { last(at, most, fits) }).at;
        if clean > at {
            return Some(clean);
        }
        let first = last(at, most, |place| self.mark(place).at <= at) + 1;
        (first <= most).then(|| self.mark(first).at)
    }

    /// Whether frames can be cut so that a device always holds the notes of what it makes.
    pub(super) fn notes_are_held(&self) -> bool {
        let Some(made) = self.0.last() else { return true };
        let (mut marked, end) = (Place::default(), made.parts.new);
        while marked.at < end {
            let next = self.mark(self.reach(&marked, marked.at, end, end).unwrap_or(end));
            if self.notes_since(&marked, &next) > u64::from(NOTES_LENGTH) {
                return false;
            }
            marked = next;
        }
        true
    }

    /// The notes between two places of the layer that has most of them, in bytes.
    fn notes_since(&self, from: &Place, to: &Place) -> u64 {
        let most = self.0.iter().enumerate().map(|(number, made)| {
            let [from, to] = [from, to].map(|place| match self.parts_before(number, place) {
                0 => 0,
                count => made.noted[count - 1],
            });
            to - from
        });
        most.max().unwrap_or(0)
    }

    /// How many parts of a layer end at or before a place where none is under way.
    fn parts_before(&self, layer: usize, place: &Place) -> usize {
        let unpacked = if layer + 1 == self.0.len() { place.at } else { place.written[layer + 1] };
        self.0[layer].layer.new.partition_point(|part| part.content + part.length <= unpacked)
    }
}

/// The last place from `from` to `to` where it `holds`, which it does up to some place; `from` where it never does.
fn last(from: u64, to: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut holding, mut end) = (from, to + 1);
    while end - holding > 1 {
        let middle = holding + (end - holding) / 2;
        if holds(middle) { holding = middle } else { end = middle }
    }
    holding
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
