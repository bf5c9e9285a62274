//! Where an ext4 file system keeps its files: blocks without content aren't written, and a file may be in several pieces.
//!
//! Decides nothing: reads inodes with extents (<https://www.kernel.org/doc/html/latest/filesystems/ext4/>), wherever in
//! the image a file system begins. Directories, names and checksums are not looked at. What is damaged gives no files.

use super::files::Piece;
use super::header::{half, word};

/// File systems begin at multiples of this: a disk's sector.
const SECTOR: usize = 512;
/// The superblock's place in a file system, its length, and its magic.
const SUPERBLOCK: usize = 1024;
const SUPERBLOCK_LENGTH: usize = 256;
const MAGIC: u16 = 0xef53;
/// Inodes that are looked at in one file system: 16 for each MiB is the rule, so those of 256 GiB.
const MOST_INODES: u32 = 1 << 22;
/// Pieces of a file, and levels of its tree.
const MOST_PIECES: usize = 4096;
const DEEPEST: u16 = 5;
/// Magic of a node of extents, and the flag of an inode that has them.
const EXTENTS: u16 = 0xf30a;
const HAS_EXTENTS: u32 = 0x8_0000;
/// Type bits of a mode, and those of a file.
const KIND: u16 = 0xf000;
const REGULAR: u16 = 0x8000;
/// A longer extent was reserved but never written.
const WRITTEN: u16 = 0x8000;
/// Group descriptors of 64 bytes, with the high halves of block numbers.
const WIDE: u32 = 0x80;

/// Hands on the pieces and the length of every file in every file system of the image.
pub(super) fn files(image: &[u8], take: &mut dyn FnMut(Vec<Piece>, usize)) {
    let mut at = 0;
    while let Some(superblock) = image.get(at + SUPERBLOCK..at + SUPERBLOCK + SUPERBLOCK_LENGTH) {
        let length = FileSystem::read(&image[at..], superblock).map_or(0, |system| {
            system.files(at, take);
            system.length
        });
        at = (at + length.max(SECTOR)).next_multiple_of(SECTOR);
    }
}

struct FileSystem<'i> {
    /// The image from the file system's start on.
    bytes: &'i [u8],
    length: usize,
    block: usize,
    inodes: u32,
    per_group: u32,
    inode: usize,
    /// Where the group descriptors stand, and how long each is.
    groups: usize,
    group: usize,
}

impl<'i> FileSystem<'i> {
    fn read(bytes: &'i [u8], superblock: &[u8]) -> Option<Self> {
        // Each group may have a copy of it: that of the first says 0.
        let shift = word(superblock, 0x18);
        if half(superblock, 0x38) != MAGIC || half(superblock, 0x5a) != 0 || shift > 6 {
            return None;
        }
        let block = 1024 << shift;
        let wide = word(superblock, 0x60) & WIDE != 0;
        let group = if wide { usize::from(half(superblock, 0xfe)).max(64) } else { 32 };
        let (inodes, per_group, inode) =
            (word(superblock, 0), word(superblock, 0x28), usize::from(half(superblock, 0x58)));
        let length = (word(superblock, 4) as usize).checked_mul(block)?.min(bytes.len());
        let groups = (word(superblock, 0x14) as usize).checked_add(1)?.checked_mul(block)?;
        let sound = per_group > 0 && inodes <= MOST_INODES && (128..=4096).contains(&inode);
        sound.then_some(Self { bytes, length, block, inodes, per_group, inode, groups, group })
    }

    fn files(&self, at: usize, take: &mut dyn FnMut(Vec<Piece>, usize)) {
        for number in 0..self.inodes {
            let Some(inode) = self.inode(number) else { continue };
            let flags = word(inode, 0x20);
            if half(inode, 0) & KIND != REGULAR || flags & HAS_EXTENTS == 0 {
                continue;
            }
            let length = u64::from(word(inode, 4)) | u64::from(word(inode, 0x6c)) << 32;
            let Ok(length) = usize::try_from(length) else { continue };
            let mut pieces = Vec::new();
            if self.extents(&inode[0x28..0x28 + 60], DEEPEST, &mut pieces).is_some() {
                pieces.iter_mut().for_each(|piece: &mut Piece| piece.image = piece.image.saturating_add(at));
                take(joined(pieces, length), length);
            }
        }
    }

    /// The bytes of an inode, by its number less one.
    fn inode(&self, number: u32) -> Option<&'i [u8]> {
        let descriptor = self.groups.checked_add((number / self.per_group) as usize * self.group)?;
        let descriptor = self.bytes.get(descriptor..descriptor.checked_add(self.group)?)?;
        let high = if self.group >= 64 { word(descriptor, 0x28) } else { 0 };
        let table = usize::try_from(u64::from(word(descriptor, 8)) | u64::from(high) << 32).ok()?;
        let inside = (number % self.per_group) as usize * self.inode;
        let start = table.checked_mul(self.block)?.checked_add(inside)?;
        self.bytes.get(start..start.checked_add(self.inode)?)
    }

    /// The extents of a node and of those below it; `None` where something is wrong.
    fn extents(&self, node: &[u8], deepest: u16, pieces: &mut Vec<Piece>) -> Option<()> {
        let (magic, count, depth) = (half(node, 0), usize::from(half(node, 2)), half(node, 6));
        let entries = node.get(12..12 + count * 12)?;
        if magic != EXTENTS || depth > deepest || pieces.len() + count > MOST_PIECES {
            return None;
        }
        for entry in entries.chunks_exact(12) {
            if depth > 0 {
                let place = u64::from(word(entry, 4)) | u64::from(half(entry, 8)) << 32;
                let start = usize::try_from(place).ok()?.checked_mul(self.block)?;
                let below = self.bytes.get(start..start.checked_add(self.block)?)?;
                if half(below, 6) + 1 != depth {
                    return None;
                }
                self.extents(below, depth - 1, pieces)?;
                continue;
            }
            let (length, high) = (half(entry, 4), half(entry, 6));
            if length <= WRITTEN {
                let place = u64::from(word(entry, 8)) | u64::from(high) << 32;
                pieces.push(Piece {
                    file: (word(entry, 0) as usize).checked_mul(self.block)?,
                    image: usize::try_from(place).ok()?.checked_mul(self.block)?,
                    length: usize::from(length) * self.block,
                });
            }
        }
        Some(())
    }
}

/// The pieces of a file of this length, those that follow each other as one.
fn joined(pieces: Vec<Piece>, length: usize) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        let piece = Piece { length: piece.length.min(length.saturating_sub(piece.file)), ..piece };
        match all.last_mut() {
            Some(last)
                if last.file.saturating_add(last.length) == piece.file
                    && last.image.saturating_add(last.length) == piece.image =>
            {
                last.length += piece.length;
            }
            _ if piece.length == 0 => {}
            _ => all.push(piece),
        }
    }
    all
}
