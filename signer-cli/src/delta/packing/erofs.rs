//! Files of an EROFS image whose last block stands elsewhere: behind the inode, where it fits there.
//!
//! Decides which places look like the inode of such a file: an image of which some is missing has no directories to go by. What
//! isn't one is found out by what its file would hold.

use std::ops::Range;

/// Where the superblock begins, and what it begins with.
pub(in crate::delta) const SUPERBLOCK: usize = 1024;
pub(in crate::delta) const MAGIC: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();
const BLOCK_BITS: u8 = 12;
/// Bytes of a block: images of other ones are passed over.
pub(super) const BLOCK: usize = 1 << BLOCK_BITS;
/// Inodes begin at multiples of this.
const SLOT: usize = 32;
/// The bits of a mode that tell the type, and those of a regular file.
pub(in crate::delta) const TYPE: u16 = 0xf000;
pub(in crate::delta) const REGULAR: u16 = 0x8000;

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
    let length = |cut: &Cut| cut.front.len() + cut.rest.len();
    let cut = slots.filter_map(|at| inode(image, at)).filter(|cut| length(cut) <= most);
    let mut cut: Vec<Cut> = cut.filter(|cut| image[cut.front.clone()].starts_with(begins)).collect();
    // A byte is one file's: whoever unpacks them all does as much work as the image is long.
    let mut left = image.len();
    cut.retain(|cut| {
        let after = left.checked_sub(length(cut));
        left = after.unwrap_or(left);
        after.is_some()
    });
    cut
}

/// What an inode says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delta) struct Inode {
    pub(in crate::delta) mode: u16,
    pub(in crate::delta) layout: u16,
    /// How long the file is.
    pub(in crate::delta) size: u64,
    /// The number of its first block.
    pub(in crate::delta) block: u32,
    /// Bytes of the inode with its attributes: what of a file stands behind it, stands there.
    pub(in crate::delta) length: u64,
}

impl Inode {
    /// All blocks together.
    pub(in crate::delta) const PLAIN: u16 = 0;
    /// The last block behind the inode.
    pub(in crate::delta) const INLINE: u16 = 2;

    /// Of its first 64 bytes.
    pub(in crate::delta) fn read(inode: &[u8; 64]) -> Self {
        let short = |at: usize| u16::from_le_bytes([inode[at], inode[at + 1]]);
        let number = |at: usize| u32::from_le_bytes([inode[at], inode[at + 1], inode[at + 2], inode[at + 3]]);
        let (format, attributes) = (short(0), u64::from(short(2)));
        let is_long = format & 1 == 1;
        let high = if is_long { u64::from(number(12)) } else { 0 };
        let behind = if attributes == 0 { 0 } else { 12 + 4 * (attributes - 1) };
        Self {
            mode: short(4),
            layout: format >> 1 & 7,
            size: high << 32 | u64::from(number(8)),
            block: number(16),
            length: if is_long { 64 } else { 32 } + behind,
        }
    }
}

/// The file of the inode at `at`, if that is one of a file in two pieces.
fn inode(image: &[u8], at: usize) -> Option<Cut> {
    let inode = Inode::read(image.get(at..)?.first_chunk()?);
    if inode.mode & TYPE != REGULAR || inode.layout != Inode::INLINE {
        return None;
    }
    let (size, rest) = (usize::try_from(inode.size).ok()?, at + inode.length as usize);
    let rest = rest..rest + size % BLOCK;
    let start = (inode.block as usize).checked_mul(BLOCK)?;
    let front = start..start.checked_add(size - size % BLOCK)?;
    let is_one = !front.is_empty() && !rest.is_empty() && front.end <= image.len() && rest.end <= image.len();
    // The last block doesn't lie across two.
    let fits = rest.start / BLOCK == (rest.end - 1) / BLOCK;
    let apart = rest.end <= front.start || front.end <= rest.start;
    (is_one && fits && apart).then_some(Cut { front, rest })
}
