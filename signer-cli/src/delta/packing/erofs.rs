//! Files of an EROFS image whose last block stands elsewhere: behind the inode, where it fits there.
//!
//! Decides which places look like the inode of such a file: an image of which some is missing has no directories to go by. What
//! isn't one is found out by what its file would hold.

use std::ops::Range;

/// Where the superblock begins, and what it begins with.
const SUPERBLOCK: usize = 1024;
const MAGIC: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();
const BLOCK_BITS: u8 = 12;
/// Bytes of a block: images of other ones are passed over.
pub(super) const BLOCK: usize = 1 << BLOCK_BITS;
/// Inodes begin at multiples of this.
const SLOT: usize = 32;
/// The layout of a file whose last block stands behind its inode.
const INLINE: u16 = 2;
/// The bits of a mode that tell the type, and those of a regular file.
const TYPE: u16 = 0xf000;
const REGULAR: u16 = 0x8000;

/// A file in two pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// All blocks but the last.
    pub(super) front: Range<usize>,
    /// The last one, as far as the file goes.
    pub(super) rest: Range<usize>,
}

/// The files of an image that are in two pieces, of up to so many bytes each, and that begin like that.
pub(super) fn cut_files(image: &[u8], most: usize, begins: &[u8]) -> Vec<Cut> {
    let superblock = image.get(SUPERBLOCK..SUPERBLOCK + 128);
    if !superblock.is_some_and(|block| block.starts_with(&MAGIC) && block[12] == BLOCK_BITS) {
        return Vec::new();
    }
    let slots = (0..image.len() / SLOT).map(|slot| slot * SLOT);
    let cut = slots.filter_map(|at| inode(image, at)).filter(|cut| cut.front.len() + cut.rest.len() <= most);
    cut.filter(|cut| image[cut.front.clone()].starts_with(begins)).collect()
}

/// The file of the inode at `at`, if that is one of a file in two pieces.
fn inode(image: &[u8], at: usize) -> Option<Cut> {
    let inode = image.get(at..at + 64)?;
    let short = |at: usize| u16::from_le_bytes([inode[at], inode[at + 1]]);
    let (format, attributes) = (short(0), usize::from(short(2)));
    if short(4) & TYPE != REGULAR || format >> 1 != INLINE {
        return None;
    }
    let number = |at: usize| u32::from_le_bytes([inode[at], inode[at + 1], inode[at + 2], inode[at + 3]]);
    let is_long = format & 1 == 1;
    if is_long && number(12) != 0 {
        return None;
    }
    let (size, block) = (number(8) as usize, number(16) as usize);
    let behind = match attributes {
        0 => 0,
        count => 12 + 4 * (count - 1),
    };
    let rest = at + if is_long { 64 } else { 32 } + behind;
    let rest = rest..rest + size % BLOCK;
    let start = block.checked_mul(BLOCK)?;
    let front = start..start.checked_add(size - size % BLOCK)?;
    let is_one = !front.is_empty() && !rest.is_empty() && front.end <= image.len() && rest.end <= image.len();
    // The last block doesn't lie across two.
    let fits = rest.start / BLOCK == (rest.end - 1) / BLOCK;
    let apart = rest.end <= front.start || front.end <= rest.start;
    (is_one && fits && apart).then_some(Cut { front, rest })
}
