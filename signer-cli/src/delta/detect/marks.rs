//! Images for matching, in which references stand for what they refer to rather than for where that is.
//!
//! Decides what a reference looks like to whoever compares two images. Addresses differ wherever something moved, so
//! they say nothing; set to zero, every entry of a table is like every other. Here each is a digest of the bytes that it
//! leads to: the same in both images as long as those are the same. Never decides what is sent.

use std::ops::Range;

use perennial_device_core::delta::refs::{Field, Reference, SectionKind};
use perennial_device_core::delta::space::{Section, Segment, Space};

use super::Described;
use super::scan::references;
use crate::delta::matching::Fields;
use crate::delta::partial::copy;
use crate::delta::progress::Progress;

/// Which references show what they lead to. The others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// None: code that calls other functions is the same code.
    None,
    /// Those of tables, and pointers.
    Tables,
    /// Those of code as well, but for short branches: code that calls other functions is other code.
    All,
}

/// Bytes at a target that a mark is a digest of.
const TABLE: usize = 16;
const CODE: usize = 8;
/// Bytes of a text that are looked at.
const TEXT: usize = 64;
/// How often marks are made: a call leads to a stub, which leads to a slot, which a relocation describes by a symbol,
/// which has a name.
const PASSES: usize = 3;
/// Bytes of an `Elf64_Rela`.
const RELOCATION: usize = 24;
/// Bytes of what a relocation fills in.
const SLOT: usize = 8;

/// The image with its references marked, and where they are.
pub fn marked(
    image: &[u8],
    described: &Described,
    marks: Marks,
    progress: &Progress<'_>,
) -> (Vec<u8>, Fields) {
    let mut masked = vec![0; image.len()];
    copy(image, &mut masked);
    let marked = mark(&mut masked, described, marks, progress);
    (masked, marked.fields)
}

/// What an image was before its references were marked.
#[derive(Debug)]
pub struct Marked {
    /// Where they are.
    pub fields: Fields,
    /// The bytes of each section, and of slots elsewhere.
    sections: Vec<(usize, Vec<u8>)>,
    slots: Vec<(usize, [u8; SLOT])>,
}

impl Marked {
    /// Makes the image what it was.
    pub fn restore(self, image: &mut [u8]) {
        for (at, bytes) in self.slots.iter().rev() {
            image[*at..*at + SLOT].copy_from_slice(bytes);
        }
        for (at, bytes) in &self.sections {
            image[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Bytes of memory that this takes, the fields aside.
    pub fn held(&self) -> u64 {
        let sections: usize = self.sections.iter().map(|(_, bytes)| bytes.len()).sum();
        (sections + size_of_val(&self.slots[..])) as u64
    }
}

/// Bytes that are gone over to mark the references of an image.
pub fn work(described: &Described, marks: Marks) -> u64 {
    let of_space = |number: usize| {
        let sections =
            || described.sections.iter().filter(move |section| usize::from(section.space) == number);
        let each: u64 = sections().map(|section| section.length).sum();
        each * if marks == Marks::None { 1 } else { 1 + passes(sections()) as u64 }
    };
    (0..described.spaces.len()).map(of_space).sum()
}

/// Marks the references of an image in its place. The bytes that are gone over are added to what `progress` counts.
pub fn mark(image: &mut [u8], described: &Described, marks: Marks, progress: &Progress<'_>) -> Marked {
    let sections = described.sections.iter().map(|section| {
        let start = section.start as usize;
        let end = (start + section.length as usize).min(image.len());
        (start, image[start.min(end)..end].to_vec())
    });
    let sections = sections.collect();
    let mut marked = Marked { fields: Fields::none_of(image.len()), sections, slots: Vec::new() };
    for (section, (_, bytes)) in described.sections.iter().zip(&marked.sections) {
        each(bytes, section, described, &mut |at, reference, _| {
            write(image, at, reference.field, 0);
            // These hold little else: what they refer to tells which of their entries are the same.
            if !matches!(section.kind, SectionKind::Types | SectionKind::SymbolOrder) {
                marked.fields.add(at, reference.field.width());
            }
        });
        progress.more(section.length);
    }
    if marks == Marks::None {
        return marked;
    }
    for (number, space) in described.spaces.iter().enumerate() {
        let all = described
            .sections
            .iter()
            .zip(&marked.sections)
            .map(|(section, (_, bytes))| (section, &bytes[..]));
        let sections: Vec<(&Section, &[u8])> =
            all.filter(|(section, _)| usize::from(section.space) == number).collect();
        let slots = &mut marked.slots;
        of_space(image, space, &sections, (described, marks), slots, progress);
    }
    marked
}

/// How often the references of a space with these sections are marked.
fn passes<'s>(sections: impl Iterator<Item = &'s Section>) -> usize {
    let passes = |section: &Section| match section.kind {
        SectionKind::Rela64 => PASSES,
        // The order of symbols leads to symbols, and these to functions.
        SectionKind::SymbolOrder => 2,
        _ => 1,
    };
    sections.map(passes).max().unwrap_or(1)
}

/// Marks the references of one space.
fn of_space(
    masked: &mut [u8],
    space: &Space,
    sections: &[(&Section, &[u8])],
    (described, marks): (&Described, Marks),
    before_slots: &mut Vec<(usize, [u8; SLOT])>,
    progress: &Progress<'_>,
) {
    let relocations = || sections.iter().filter(|(section, _)| section.kind == SectionKind::Rela64);
    let passes = passes(sections.iter().map(|(section, _)| *section));
    let mut before = Snapshot::new(space, masked.len());
    for pass in 0..passes {
        before.take(masked);
        for (section, bytes) in sections {
            each(bytes, section, described, &mut |at, reference, space| {
                if shows(section.kind, reference.field, marks) {
                    let bytes = if is_table(section.kind, reference.field) { TABLE } else { CODE };
                    let mark = space.old_offset(reference.target).map(|to| match reference.field {
                        Field::String => before.text(to),
                        _ => before.digest(to, bytes),
                    });
                    write(masked, at, reference.field, mark.unwrap_or(0));
                }
            });
            progress.more(section.length);
        }
        for (section, bytes) in relocations() {
            let before = if pass == 0 { Some(&mut *before_slots) } else { None };
            slots(bytes, masked, section, described, before);
        }
    }
}

/// The bytes of a space as they were before a pass.
struct Snapshot {
    /// Where they stand in the image, ascending and disjoint, and where in `bytes`.
    ranges: Vec<(Range<usize>, usize)>,
    bytes: Vec<u8>,
}

impl Snapshot {
    fn new(space: &Space, length: usize) -> Self {
        let range = |s: &Segment| s.old as usize..length.min((s.old + s.old_length) as usize);
        let mut all: Vec<Range<usize>> =
            space.segments().iter().map(range).filter(|r| !r.is_empty()).collect();
        all.sort_by_key(|range| range.start);
        let mut ranges: Vec<(Range<usize>, usize)> = Vec::new();
        let mut at = 0;
        for range in all {
            match ranges.last_mut() {
                Some((last, start)) if range.start <= last.end => {
                    last.end = last.end.max(range.end);
                    at = *start + last.len();
                }
                _ => {
                    ranges.push((range.clone(), at));
                    at += range.len();
                }
            }
        }
        Self { ranges, bytes: Vec::with_capacity(at) }
    }

    fn take(&mut self, image: &[u8]) {
        self.bytes.clear();
        self.ranges.iter().for_each(|(range, _)| self.bytes.extend_from_slice(&image[range.clone()]));
    }

    /// The digest of so many bytes from `at` on, an offset into the image; fewer where a stretch of the space ends.
    fn digest(&self, at: u64, length: usize) -> u64 {
        let bytes = self.from(at);
        digest(&bytes[..length.min(bytes.len())])
    }

    /// The digest of a text: what follows it is no part of it.
    fn text(&self, at: u64) -> u64 {
        let bytes = self.from(at);
        let bytes = &bytes[..TEXT.min(bytes.len())];
        digest(&bytes[..bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len())])
    }

    fn from(&self, at: u64) -> &[u8] {
        let at = at as usize;
        let after = self.ranges.partition_point(|(range, _)| range.start <= at);
        let Some((range, start)) = after.checked_sub(1).map(|before| &self.ranges[before]) else {
            return &[];
        };
        &self.bytes[(start + (at - range.start)).min(start + range.len())..start + range.len()]
    }
}

fn is_table(kind: SectionKind, field: Field) -> bool {
    let code = kind == SectionKind::X86_64Stubs;
    kind as u8 >= SectionKind::Pointers64 as u8 && !code
        || matches!(field, Field::Absolute32 | Field::Absolute64)
}

fn shows(kind: SectionKind, field: Field, marks: Marks) -> bool {
    // A stub is nothing but what it leads to.
    is_table(kind, field)
        || kind == SectionKind::X86_64Stubs
        || marks == Marks::All && field.is_whole() && !field.is_short()
}

/// What a loader fills in shows what it will be filled with: the relocation but for its place.
fn slots(
    bytes: &[u8],
    masked: &mut [u8],
    section: &Section,
    described: &Described,
    mut before: Option<&mut Vec<(usize, [u8; SLOT])>>,
) {
    each(bytes, section, described, &mut |at, reference, space| {
        let entry = at - section.start as usize;
        let Some(slot) = space.old_offset(reference.target).filter(|_| entry.is_multiple_of(RELOCATION))
        else {
            return;
        };
        let end = masked.len().min(at + RELOCATION);
        let mark = digest(&masked[end.min(at + 8)..end]);
        let slot = slot as usize;
        let there = masked.get(slot..).and_then(|bytes| bytes.first_chunk::<SLOT>());
        let Some(there) = there else { return };
        if let Some(before) = &mut before {
            before.push((slot, *there));
        }
        write(masked, slot, Field::Absolute64, mark);
    });
}

/// Sets the bits of a field to those of `mark`.
fn write(bytes: &mut [u8], at: usize, field: Field, mark: u64) {
    let mask = field.mask();
    let mark = mark.to_le_bytes();
    let room = bytes.len().min(at + field.width());
    for (i, byte) in bytes[at.min(room)..room].iter_mut().enumerate() {
        *byte = *byte & !mask[i] | mark[i] & mask[i];
    }
}

/// FNV-1a with its bits mixed once more, never 0.
fn digest(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    ((hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash >> 29).max(1)
}

/// Every reference of a section, whose bytes these are, with the offset of its field in the image, and the space of both.
fn each(
    bytes: &[u8],
    section: &Section,
    described: &Described,
    take: &mut dyn FnMut(usize, &Reference, &Space),
) {
    let Some(space) = described.spaces.get(usize::from(section.space)) else { return };
    references(bytes, section, space, &mut |at, reference| take(at, reference, space));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two strings and a table of pointers to them, loaded at `address`; `gap` bytes before the strings.
    fn image(address: u64, gap: usize) -> (Vec<u8>, Described) {
        let mut bytes = vec![0; 0x2000];
        let strings = 0x1000 + gap;
        bytes[strings..strings + 16].copy_from_slice(b"one and another\0");
        bytes[strings + 16..strings + 32].copy_from_slice(b"something else.\0");
        for (number, target) in [strings, strings + 16, strings].into_iter().enumerate() {
            bytes[number * 8..][..8].copy_from_slice(&(address + target as u64).to_le_bytes());
        }
        let length = bytes.len() as u64;
        let segment = Segment {
            old_length: length,
            old_address: address,
            old_memory: length,
            new_length: length,
            new_address: address,
            new_memory: length,
            ..Segment::default()
        };
        let section = Section { kind: SectionKind::Pointers64, start: 0, length: 24, space: 0 };
        let described =
            Described { spaces: vec![Space::new(vec![segment]).unwrap()], sections: vec![section] };
        (bytes, described)
    }

    #[test]
    fn a_pointer_looks_the_same_wherever_its_target_went() {
        let (old, new) = (image(0x40_0000, 0), image(0x80_0000, 0x123));
        assert_ne!(old.0[..24], new.0[..24]);
        let [old, new] = [old, new]
            .map(|(bytes, described)| marked(&bytes, &described, Marks::Tables, &Progress::default()).0);
        assert_eq!(old[..24], new[..24]);
        assert_eq!(old[..8], old[16..24]);
        assert_ne!(old[..8], old[8..16]);
    }

    #[test]
    fn what_was_marked_in_its_place_comes_back() {
        let (bytes, described) = image(0x40_0000, 0);
        let mut image = bytes.clone();
        let marked = mark(&mut image, &described, Marks::All, &Progress::default());
        assert_ne!(image, bytes);
        assert_eq!(marked.held(), 24);
        marked.restore(&mut image);
        assert_eq!(image, bytes);
    }

    #[test]
    fn without_marks_references_are_zero() {
        let (bytes, described) = image(0x40_0000, 0);
        let (zero, fields) = marked(&bytes, &described, Marks::None, &Progress::default());
        let mut all = Fields::none_of(bytes.len());
        all.add(0, 24);
        assert_eq!(fields, all);
        assert_eq!(zero[..24], [0; 24]);
        assert_eq!(zero[24..], bytes[24..]);
    }
}
