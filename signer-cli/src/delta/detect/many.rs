//! Descriptions of many files as one: of those that changed, the largest first, as long as there is room.
//!
//! Decides what is left out, and where a file's addresses and sections stand in the whole image.

use std::borrow::Cow;

use perennial_device_core::delta::refs::SectionKind;
use perennial_device_core::delta::space::{Section, Segment, Space};
use perennial_schemas::delta::SECTIONS;

use super::files::{self, Found, Piece};
use super::partners;
use super::{Described, MOST_SECTIONS, elf};
use crate::delta::partial::Partial;

/// Segments that a description holds at most, all spaces together.
const MOST_SEGMENTS: usize = SECTIONS as usize;

/// What the files in two images are. `None` where either holds none.
pub(super) fn describe(old: &Partial<'_>, new: &Partial<'_>) -> Option<Described> {
    let (of_old, of_new) = (files::find(old), files::find(new));
    let (old, new) = (old.bytes(), new.bytes());
    if of_old.is_empty() || of_new.is_empty() {
        return None;
    }
    let mut pairs = partners::pairs(old, new, &of_old, &of_new);
    pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.old.length.min(pair.new.length)), pair.old.at()));
    let mut parts = Vec::new();
    let (mut sections, mut segments) = (MOST_SECTIONS, MOST_SEGMENTS);
    for pair in pairs {
        let files = (with_rest(old, &of_old, &pair.old), with_rest(new, &of_new, &pair.new));
        let Some((space, read)) = one(&files.0, &files.1) else { continue };
        let left = (sections.checked_sub(read.len()), segments.checked_sub(space.segments().len().max(1)));
        // A smaller one may still fit.
        if let (Some(of_sections), Some(of_segments)) = left {
            (sections, segments) = (of_sections, of_segments);
            parts.push((pair.old.at(), space, read));
        }
    }
    parts.sort_by_key(|(at, ..)| *at);
    let mut all = Described::default();
    for (number, (_, space, sections)) in (0_u16..).zip(parts) {
        all.spaces.push(space);
        all.sections.extend(sections.into_iter().map(|section| Section { space: number, ..section }));
    }
    all.sections.sort_by_key(|section| section.start);
    let mut end = 0;
    all.sections.retain(|section| {
        let free = section.start >= end;
        end = if free { section.start + section.length } else { end };
        free
    });
    Some(all)
}

/// A file, and what stands between it and the next one: a kernel has something there.
fn with_rest<'i>(image: &'i [u8], files: &[Found], file: &Found) -> (Found, Cow<'i, [u8]>) {
    if !file.is_whole() {
        return (file.clone(), file.content(image));
    }
    let next = files.partition_point(|other| other.at() <= file.at());
    let end = files.get(next).map_or(image.len(), Found::at).max(file.at() + file.length);
    (Found::whole(file.at(), end - file.at()), Cow::Borrowed(&image[file.at()..end]))
}

/// The space and the sections of one pair, at its place in the images.
fn one(old: &(Found, Cow<'_, [u8]>), new: &(Found, Cow<'_, [u8]>)) -> Option<(Space, Vec<Section>)> {
    let described = elf::describe(&old.1, &new.1)?.within(old.1.len() as u64, new.1.len() as u64);
    let segments = described.spaces.first()?.segments();
    let mut placed: Vec<Segment> = segments.iter().flat_map(|s| segment(s, &old.0, &new.0)).collect();
    if placed.len() > Space::MOST_SEGMENTS {
        // Small pieces are left out.
        placed.sort_by_key(|s| std::cmp::Reverse(s.old_memory.max(s.new_memory)));
        placed.truncate(Space::MOST_SEGMENTS);
    }
    let space = Space::new(placed)?;
    let sections = described.sections.iter().flat_map(|s| section(s, &old.0));
    let addressed = sections.filter(|section| space.old_address(section.start).is_some());
    Some((space.clone(), addressed.collect()))
}

/// The segments of the pieces that a file's segment is in: those of the old file, and the memory between them, with the
/// pieces of the new one that begin at the same addresses, and the others of the new one.
fn segment(whole: &Segment, old: &Found, new: &Found) -> Vec<Segment> {
    let range = |start: u64, length: u64| start as usize..(start + length) as usize;
    // What has no content is told in the fewest bytes where that would be.
    let nowhere = |file: &Found, at: u64| match file.is_whole() {
        true => (file.at() + file.length.min(at as usize)) as u64,
        false => 0,
    };
    if whole.old_length == 0 && whole.new_length == 0 {
        return vec![Segment { old: nowhere(old, whole.old), new: nowhere(new, whole.new), ..*whole }];
    }
    let mut of_new: Vec<Piece> = new.cut(range(whole.new, whole.new_length)).collect();
    let mut all = Vec::new();
    // Offsets in the segment, up to which the old side is told.
    let mut told = 0;
    let moved = |inside: u64| Segment {
        old_address: whole.old_address + inside,
        new_address: whole.new_address.saturating_add(inside),
        code: whole.code,
        ..Segment::default()
    };
    let memory = |inside: u64, length: u64| Segment { old_memory: length, ..moved(inside) };
    for piece in old.cut(range(whole.old, whole.old_length)) {
        let inside = piece.file as u64 - whole.old;
        if inside > told {
            all.push(memory(told, inside - told));
        }
        let length = piece.length as u64;
        told = inside + length;
        let fellow = of_new.iter().position(|fellow| fellow.file as u64 - whole.new == inside);
        let fellow = fellow.map(|at| of_new.remove(at));
        let of_fellow = fellow.map_or(0, |fellow| fellow.length as u64);
        all.push(Segment {
            old: piece.image as u64,
            old_length: length,
            new: fellow.map_or(nowhere(new, whole.new + inside), |fellow| fellow.image as u64),
            new_length: of_fellow,
            new_memory: of_fellow,
            ..memory(inside, length)
        });
    }
    if whole.old_memory > told {
        // Behind its content a segment's memory begins where the new content ends.
        let end = if told == whole.old_length { whole.new_length } else { told };
        let new_address = whole.new_address.saturating_add(end);
        all.push(Segment { new_address, ..memory(told, whole.old_memory - told) });
    }
    all.extend(of_new.into_iter().map(|piece| {
        let inside = piece.file as u64 - whole.new;
        let length = piece.length as u64;
        Segment {
            new: piece.image as u64,
            new_length: length,
            new_address: whole.new_address.saturating_add(inside),
            new_memory: length,
            code: whole.code,
            ..Segment::default()
        }
    }));
    all
}

/// The sections of the pieces that a file's section is in.
fn section(whole: &Section, file: &Found) -> Vec<Section> {
    let (start, length) = (whole.start as usize, whole.length as usize);
    let entry = match whole.kind {
        SectionKind::Rela64 | SectionKind::Symbols64 => 24,
        SectionKind::Symbols32 => 16,
        SectionKind::SectionHeaders64 => 64,
        // What counts from its section's start can't begin elsewhere.
        SectionKind::FrameHeader => usize::MAX,
        _ => 8,
    };
    let pieces = file.cut(start..start + length).filter_map(|piece| {
        let past = (piece.file - start) % entry;
        let skip = if past == 0 { 0 } else { entry - past };
        let length = piece.length.checked_sub(skip).filter(|length| *length > 0)?;
        Some(Section { start: (piece.image + skip) as u64, length: length as u64, ..*whole })
    });
    pieces.collect()
}
