//! Headers of ELF files, as far as they tell where a file ends.
//!
//! Decides which bytes are such a header: all of its numbers add up, and so do the section headers, where it says that they
//! are, with the names of sections.

use std::ops::Range;

use object::elf::{EM_AARCH64, EM_ARM, EM_RISCV, EM_X86_64, ET_DYN, ET_EXEC, ET_REL, SHT_NOBITS, SHT_STRTAB};

use super::files::Found;

/// Sections of a file, at most; of a kernel about 60.
const MOST_SECTIONS: u64 = 4096;
/// Segments of a file, at most: a dozen or so.
const MOST_SEGMENTS: u64 = 256;

/// What the first bytes of a file say.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Whether it is one of 64 bits.
    pub(super) long: bool,
    /// Where the section headers stand, how many there are and which of them describes their names.
    pub(super) table: u64,
    count: u64,
    names: u64,
    /// Where the segments end.
    loaded: u64,
}

impl Header {
    /// The header that these bytes begin with.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        let long = match file.get(4..7)? {
            [1, 1, 1] => false,
            [2, 1, 1] => true,
            _ => return None,
        };
        let head = file.get(..if long { 64 } else { 52 })?;
        let [kind, machine] = [16, 18].map(|at| half(head, at));
        let known = [ET_EXEC, ET_DYN, ET_REL].contains(&kind)
            && [EM_X86_64, EM_AARCH64, EM_ARM, EM_RISCV].contains(&machine)
            && word(head, 20) == 1;
        // From the length of the header on: program headers, then section headers.
        let at = if long { 52 } else { 40 };
        let [own, segment, segments, section, sections, names] =
            [0, 2, 4, 6, 8, 10].map(|step| u64::from(half(head, at + step)));
        let (wide, tall, full) = if long { (56, 64, 64) } else { (32, 40, 52) };
        let sized = own == full && (segments == 0 || segment == wide) && (sections == 0 || section == tall);
        let (first, table) = if long {
            (self::long(head, 32), self::long(head, 40))
        } else {
            (word(head, 28).into(), word(head, 32).into())
        };
        let few = segments <= MOST_SEGMENTS && sections <= MOST_SECTIONS;
        let adds_up = known && sized && few && (sections == 0 || names < sections);
        if !adds_up {
            return None;
        }
        let mut loaded = 0;
        for number in 0..segments {
            let start = usize::try_from(first.checked_add(number * wide)?).ok()?;
            let entry = file.get(start..start.checked_add(wide as usize)?)?;
            let (offset, length) = if long {
                (self::long(entry, 8), self::long(entry, 32))
            } else {
                (word(entry, 4).into(), word(entry, 16).into())
            };
            loaded = loaded.max(offset.checked_add(length)?);
        }
        Some(Self { long, table, count: sections, names, loaded })
    }

    /// Bytes of a section header.
    fn entry(&self) -> usize {
        if self.long { 64 } else { 40 }
    }

    /// Where the section headers stand.
    pub(super) fn headers(&self) -> Option<Range<usize>> {
        let start = usize::try_from(self.table).ok()?;
        Some(start..start.checked_add(self.count as usize * self.entry())?)
    }

    /// The length of the file that `room` begins with, if that has room for all of it.
    pub(super) fn length(&self, image: &[u8], room: &Found) -> Option<usize> {
        let loaded = usize::try_from(self.loaded).ok()?;
        let length = match self.count {
            0 => loaded,
            _ => loaded.max(self.headers()?.end).max(self.sections(image, room)?),
        };
        (length > 0 && length <= room.length).then_some(length)
    }

    /// Where the last section ends, if there are section headers: the first is empty, one describes the names of all, and
    /// each has a name there.
    fn sections(&self, image: &[u8], file: &Found) -> Option<usize> {
        let table = file.part(image, self.headers()?)?;
        let entries = || table.chunks_exact(self.entry());
        let range = |entry: &[u8]| {
            let (offset, length) = if self.long {
                (long(entry, 24), long(entry, 32))
            } else {
                (word(entry, 16).into(), word(entry, 20).into())
            };
            let start = usize::try_from(offset).ok()?;
            Some(start..start.checked_add(usize::try_from(length).ok()?)?)
        };
        let of_names = entries().nth(self.names as usize)?;
        let names = file.part(image, range(of_names)?)?;
        let empty = entries().next()?.iter().all(|byte| *byte == 0);
        if !empty || word(of_names, 4) != SHT_STRTAB || names.first() != Some(&0) || names.last() != Some(&0)
        {
            return None;
        }
        let mut end = 0;
        for entry in entries() {
            if word(entry, 0) as usize >= names.len() {
                return None;
            }
            if word(entry, 4) != SHT_NOBITS {
                end = end.max(range(entry)?.end);
            }
        }
        Some(end)
    }
}

// The callers have checked the lengths.
pub(super) fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
