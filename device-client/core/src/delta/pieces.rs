//! Cuts a stretch of a unit into pieces of at most one block, each with the old bytes and the references in it.
//!
//! Decides where pieces end: by the unit's steps, the sections and the block's size alone, so that whoever makes a delta and
//! whoever applies it cut alike. Takes its memory once.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use perennial_schemas::delta::Sizes;

use super::refs::{LOOK_AHEAD, LOOK_BEHIND, Reference, Scanner, SectionKind};
use super::space::Space;
use super::unit::{Action, Unit};
use super::{DeltaError, OldImage};

/// What a piece of the new image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// Sent. The old bytes are those that would follow the last copy.
    Insert,
    /// The old bytes.
    Copy,
    /// The old bytes, with predictions and corrections.
    Patch,
    /// One byte, again and again.
    Fill(u8),
}

/// A piece of the new image.
#[derive(Debug)]
pub struct Piece<'p> {
    /// What it is made of.
    pub making: Making,
    /// Where it begins in the new image.
    pub new: u64,
    /// Its length in bytes.
    pub length: usize,
    /// Where the old bytes begin in the old image.
    pub old: u64,
    /// The old bytes: as many as the piece has; fewer, or none, for an insertion at the old image's end.
    pub bytes: &'p [u8],
    /// The references among them, ascending and disjoint, each wholly inside.
    pub references: &'p [Reference],
    /// What reads these old bytes.
    pub kind: SectionKind,
    /// The space that their addresses belong to.
    pub space: Option<&'p Space>,
}

/// Walks over a unit. See the module's text.
#[derive(Debug)]
pub struct Pieces {
    block: usize,
    window: Vec<u8>,
    found: Vec<Reference>,
    /// Where the next piece begins in the new image, and where the stretch ends.
    new: u64,
    end: u64,
    /// The first byte of the old image that may be read.
    floor: u64,
    /// The step that it lies in, and where that begins in the new image.
    step: usize,
    step_start: u64,
    /// Where the copy before the current step ended in the old image.
    along: u64,
    scanning: Option<Scanning>,
    /// The space that was asked for last, in order to be searched, and its number.
    space: Space,
    loaded: Option<u16>,
}

#[derive(Debug)]
struct Scanning {
    scanner: Scanner,
    section: usize,
    /// Where the last block ended, and where the last piece did: a field may have reached past the block.
    block_end: u64,
    next: u64,
}

/// A stretch of one section, or of none.
struct Stretch {
    section: Option<usize>,
    length: u64,
}

impl Pieces {
    /// With blocks and room of these sizes.
    pub fn new(sizes: &Sizes) -> Self {
        let block = 1 << sizes.block_bits;
        Self {
            block,
            window: vec![0; LOOK_BEHIND + block + LOOK_AHEAD],
            // A field has two bytes or more, but for the one that a short jump has: two of them have four.
            found: Vec::with_capacity(block / 2 + 1),
            new: 0,
            end: 0,
            floor: 0,
            step: 0,
            step_start: 0,
            along: 0,
            scanning: None,
            space: Space::with_room(segments(sizes)),
            loaded: None,
        }
    }

    /// Bytes that this takes besides itself.
    pub(super) fn memory(sizes: &Sizes) -> usize {
        let block = 1 << sizes.block_bits;
        let references = (block / 2 + 1) * size_of::<Reference>();
        LOOK_BEHIND + block + LOOK_AHEAD + references + Space::memory(segments(sizes))
    }

    /// Goes to a stretch of the new image inside the unit, for which nothing before `floor` in the old one is read.
    pub fn seek(&mut self, unit: &Unit, stretch: Range<u64>, floor: u64) {
        let new = stretch.start;
        (self.new, self.end, self.floor) = (new, stretch.end, floor);
        (self.step, self.step_start, self.along) = (0, unit.start, unit.start);
        (self.scanning, self.loaded) = (None, None);
        while let Some(step) = unit.steps.get(self.step) {
            let step_end = self.step_start + step.insert + step.length;
            if new < step_end {
                break;
            }
            self.leave(unit);
        }
    }

    fn leave(&mut self, unit: &Unit) {
        if let Some(step) = unit.steps.get(self.step) {
            if let Some(old) = step.action.old() {
                self.along = old + step.length;
            }
            self.step_start += step.insert + step.length;
            self.step += 1;
        }
        self.scanning = None;
    }

    /// The next piece; `None` at the end of the stretch.
    ///
    /// # Errors
    /// [`DeltaError::Overwritten`] for a copy of what is below the floor; what the old image says.
    pub fn next(
        &mut self,
        unit: &Unit,
        old: &mut dyn OldImage,
        old_length: u64,
    ) -> Result<Option<Piece<'_>>, DeltaError> {
        let (step, inside) = loop {
            let Some(step) = unit.steps.get(self.step) else { return Ok(None) };
            let inside = self.new - self.step_start;
            if self.new >= self.end {
                return Ok(None);
            }
            if inside < step.insert + step.length {
                break (step, inside);
            }
            self.leave(unit);
        };
        if inside < step.insert {
            let length = (step.insert - inside).min(self.end - self.new).min(self.block as u64);
            let from = self.along + inside;
            return self.plain(Making::Insert, from, length, old, old_length).map(Some);
        }
        let inside = inside - step.insert;
        if step.action.old().is_some_and(|from| from + inside < self.floor) {
            return Err(DeltaError::Overwritten);
        }
        let left = (step.length - inside).min(self.end - self.new);
        match step.action {
            Action::End => Ok(None),
            Action::Fill(byte) => {
                self.plain(Making::Fill(byte), 0, left.min(self.block as u64), old, 0).map(Some)
            }
            Action::Copy(from) => {
                let length = left.min(self.block as u64);
                self.plain(Making::Copy, from + inside, length, old, old_length).map(Some)
            }
            Action::Patch(from) => {
                // Past the end of this stretch a field may still belong to the step.
                let whole = step.length - inside;
                self.patch(unit, from + inside, left, whole, old, old_length).map(Some)
            }
        }
    }

    /// A piece without references.
    fn plain(
        &mut self,
        making: Making,
        from: u64,
        length: u64,
        old: &mut dyn OldImage,
        old_length: u64,
    ) -> Result<Piece<'_>, DeltaError> {
        // What is inserted can do without the old bytes there.
        let end = if from < self.floor { 0 } else { old_length };
        let there = end.saturating_sub(from).min(length) as usize;
        let bytes = &mut self.window[..there];
        if there > 0 {
            old.read(from, bytes)?;
        }
        let new = self.new;
        self.new += length;
        self.found.clear();
        Ok(Piece {
            making,
            new,
            length: length as usize,
            old: from,
            bytes: &self.window[..there],
            references: &[],
            kind: SectionKind::Plain,
            space: None,
        })
    }

    /// A piece of a copy with references: one block, or less where a section, the copy or the stretch ends.
    fn patch(
        &mut self,
        unit: &Unit,
        from: u64,
        left: u64,
        whole: u64,
        old: &mut dyn OldImage,
        old_length: u64,
    ) -> Result<Piece<'_>, DeltaError> {
        let stretch = stretch(unit, from, whole);
        let block = stretch.length.min(self.block as u64);
        let Some((section, at)) = stretch.section.and_then(|i| Some((i, unit.sections.get(i)?))) else {
            return self.plain(Making::Patch, from, block.min(left), old, old_length);
        };
        if self.loaded != Some(at.space) {
            self.space.set(unit.spaces.get(usize::from(at.space)));
            self.loaded = Some(at.space);
        }
        let space = &self.space;
        let behind = (from - at.start.max(self.floor)).min(LOOK_BEHIND as u64);
        let ahead = (at.start + at.length - (from + block)).min(LOOK_AHEAD as u64);
        let window = &mut self.window[..(behind + block + ahead) as usize];
        old.read(from - behind, window)?;
        let goes_on = self.scanning.as_ref().is_some_and(|s| s.section == section && s.next == from);
        if !goes_on {
            let address = space.old_address(at.start).unwrap_or(0);
            let scanner = Scanner::new(at, address);
            self.scanning = Some(Scanning { scanner, section, block_end: from, next: from });
        }
        self.found.clear();
        let mut end = from + block;
        if let (Some(scanning), Some(address)) = (&mut self.scanning, space.old_address(from)) {
            // The scanner's blocks follow each other without a gap.
            let back = from - scanning.block_end;
            let (begin, stop) = ((behind - back) as usize, (behind + block) as usize);
            scanning.scanner.scan(window, begin, stop, address.wrapping_sub(back), space, &mut self.found);
            self.found.iter_mut().for_each(|r| r.at = r.at.saturating_sub(back as u32));
            // What does not lie wholly in the stretch is no reference.
            let room = stretch.length.min(block + ahead);
            let reaches = |r: &Reference| u64::from(r.at) + r.field.width() as u64;
            while self.found.last().is_some_and(|r| reaches(r) > room) {
                self.found.pop();
            }
            end = end.max(from + self.found.last().map_or(0, reaches));
            (scanning.block_end, scanning.next) = (from + block, end);
        }
        // A frame may end in the middle of a block: the rest begins anew in the next one.
        let length = (end - from).min(left);
        while self.found.last().is_some_and(|r| u64::from(r.at) + r.field.width() as u64 > length) {
            self.found.pop();
        }
        let new = self.new;
        self.new += length;
        Ok(Piece {
            making: Making::Patch,
            new,
            length: length as usize,
            old: from,
            bytes: &self.window[behind as usize..][..length as usize],
            references: &self.found,
            kind: at.kind,
            space: Some(&self.space),
        })
    }
}

/// Segments of the largest space, at most.
fn segments(sizes: &Sizes) -> usize {
    usize::from(sizes.segments).min(Space::MOST_SEGMENTS)
}

/// What reads the old bytes from `from` on, and how far, `most` at most.
fn stretch(unit: &Unit, from: u64, most: u64) -> Stretch {
    let after = unit.sections.partition_point(|section| section.start <= from);
    let inside = after.checked_sub(1).filter(|i| {
        let section = &unit.sections[*i];
        from - section.start < section.length
    });
    let length = match (inside, unit.sections.get(after)) {
        (Some(i), _) => unit.sections[i].start + unit.sections[i].length - from,
        (None, Some(next)) => next.start - from,
        (None, None) => most,
    };
    Stretch { section: inside, length: length.min(most) }
}
