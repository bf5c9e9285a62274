//! What two images are: address spaces, and the recogniser for each stretch of the old one.
//!
//! Decides by what the bytes say (ELF headers, a vector table, code that calls functions which begin as functions do),
//! or by the caller's word. What it says is a description, no promise: a wrong one makes a delta larger and nothing
//! else. It never fails: what isn't understood is described as nothing.

mod elf;
pub(super) mod ext4;
mod files;
mod header;
mod kallsyms;
mod many;
pub mod marks;
mod partners;
mod raw;
mod relocatable;
mod scan;
mod vote;

use perennial_device_core::delta::refs::SectionKind;
use perennial_device_core::delta::space::{Section, Segment, Space};
use perennial_schemas::delta::SECTIONS;

use super::partial::Partial;

pub use files::{Found, Piece, find};

/// Sections that a description holds at most; those past it are left out, the longest stay.
pub const MOST_SECTIONS: usize = SECTIONS as usize;

/// The address spaces of two images, and the sections of the old one: sorted, disjoint, inside the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// The spaces, which sections name by their number.
    pub spaces: Vec<Space>,
    /// What reads which bytes of the old image.
    pub sections: Vec<Section>,
}

/// What the caller says about the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: look.
    #[default]
    Auto,
    /// No code, or none that should be looked at.
    None,
    /// All of both images is code of this kind, loaded at this address.
    Raw {
        /// What reads it.
        kind: SectionKind,
        /// The address of the first byte.
        address: u64,
    },
}

/// Describes the two images. Offsets are into the whole of them.
pub fn describe(old: &Partial<'_>, new: &Partial<'_>, hint: &Hint) -> Described {
    let files = || many::describe(old, new);
    let (old, new) = (old.bytes(), new.bytes());
    let described = match *hint {
        Hint::None => None,
        Hint::Raw { kind, address } => {
            let load = raw::Load { kind, address, memory: None };
            raw::describe(old, new, &load, &load)
        }
        // A file that is cut off is still known by its beginning.
        Hint::Auto => files().or_else(|| elf::describe(old, new)).or_else(|| {
            let (of_old, of_new) = (raw::guess(old)?, raw::guess(new)?);
            (of_old.kind == of_new.kind).then(|| raw::describe(old, new, &of_old, &of_new))?
        }),
    };
    described.unwrap_or_default().within(old.len() as u64, new.len() as u64)
}

/// Bytes of memory that a segment may take, and how far its address may lie from 0 on either side.
const MOST_MEMORY: u64 = 1 << 40;
const FARTHEST: u64 = 1 << 60;

impl Described {
    /// Without the segments that reach past an image, or lie where no machine has memory: the headers of a damaged file
    /// say anything, and the format holds none of that.
    fn within(mut self, old: u64, new: u64) -> Self {
        let near = |address: u64| address.cast_signed().unsigned_abs() < FARTHEST;
        let sound = |s: &Segment| {
            // No sum overflows: a space refuses such segments.
            s.old + s.old_length <= old
                && s.new + s.new_length <= new
                && s.old_memory.max(s.new_memory) <= MOST_MEMORY
                && near(s.old_address)
                && near(s.new_address)
        };
        for space in &mut self.spaces {
            let segments = space.segments().iter().copied().filter(sound).collect();
            *space = Space::new(segments).unwrap_or_default();
        }
        self
    }

    /// One space with these sections of the old image, whose length is `length`: sorted, cut where they overlap or end
    /// past it, and no more than [`MOST_SECTIONS`].
    fn of_one(segments: Vec<Segment>, mut sections: Vec<Section>, length: u64) -> Option<Self> {
        let spaces = vec![Space::new(segments)?];
        if sections.len() > MOST_SECTIONS {
            sections.sort_by_key(|section| std::cmp::Reverse(section.length));
            sections.truncate(MOST_SECTIONS);
        }
        sections.sort_by_key(|section| section.start);
        let mut free = 0;
        for section in &mut sections {
            let end = section.start.saturating_add(section.length).min(length);
            // A recogniser counts from its section's start: one that begins in another can't be cut there.
            let begins = section.start >= free;
            section.length = if begins { end.saturating_sub(section.start) } else { 0 };
            free = free.max(section.start + section.length);
        }
        sections.retain(|section| section.length > 0);
        (!sections.is_empty()).then_some(Self { spaces, sections })
    }
}

#[cfg(test)]
mod tests;
