//! Names for places of an image: files of an archive or of a file system, sections of an ELF file.
//!
//! | module | reads |
//! | --- | --- |
//! | [`elf`] | section headers |
//! | [`tar`] | ustar, pax and GNU archives |
//! | [`cpio`] | archives as kernels unpack them |
//! | [`ext4`] | directories and extents, wherever in the image a file system begins |
//! | [`squashfs`] | version 4, packed by gzip or zstd |
//! | [`erofs`] | files that aren't packed |
//! | [`tree`] | the directories of the last three |
//!
//! Decides nothing. What is none of these has no names; of a damaged one those that were read before the damage.

mod cpio;
mod elf;
mod erofs;
mod ext4;
mod squashfs;
mod tar;
mod tree;

use std::ops::Range;

use crate::delta::source::Source;

/// Places that are named in one image: a distribution's root file system has some ten thousand files.
const MOST: usize = 1 << 17;
/// A path's length in bytes, at most, and a name's in a directory: `PATH_MAX`, `NAME_MAX`.
const LONGEST_PATH: usize = 4096;
const LONGEST_NAME: usize = 255;

/// A file or a section, and where its bytes stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) ranges: Vec<Range<u64>>,
}

impl Place {
    /// In one piece.
    fn whole(name: String, range: Range<u64>) -> Self {
        Self { name, ranges: std::iter::once(range).collect() }
    }
}

/// What has names in an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Sections(Vec<Place>),
    Files(Vec<Place>),
}

/// Everything in an image that has a name.
pub(super) fn of(image: &dyn Source) -> Named {
    let sections = elf::sections(image);
    if !sections.is_empty() {
        return Named::Sections(sections);
    }
    let readers = [tar::files, cpio::files, squashfs::files, erofs::files, ext4::files];
    let found = readers.iter().map(|files| files(image)).find(|files| !files.is_empty());
    Named::Files(found.unwrap_or_default())
}

/// So many bytes of an image, if it has them.
fn bytes(image: &dyn Source, at: u64, count: usize) -> Option<Vec<u8>> {
    let end = at.checked_add(count as u64)?;
    let mut bytes = vec![0; if end <= image.length() { count } else { return None }];
    image.read_at(at, &mut bytes).ok()?;
    Some(bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
