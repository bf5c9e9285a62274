//! Where an ext4 file system keeps its files: blocks without content aren't written, and a file may be in several pieces.
//!
//! Decides nothing: reads inodes with extents (<https://www.kernel.org/doc/html/latest/filesystems/ext4/>), wherever in
//! the image a file system begins, and directories where names are asked for. Checksums are not looked at. What is damaged gives
//! no files, and costs no more than what is sound: each inode and each block is read as one thing's, whatever refers to it.

use super::files::Piece;
use super::header::{half, word};
use crate::delta::source::{Source, Window};

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
/// Type bits of a mode, those of a file, and of a directory.
const KIND: u16 = 0xf000;
const REGULAR: u16 = 0x8000;
pub(in crate::delta) const FOLDER: u16 = 0x4000;
/// The inode of the topmost directory.
pub(in crate::delta) const ROOT: u32 = 2;
/// A longer extent was reserved but never written.
const WRITTEN: u16 = 0x8000;
/// Group descriptors of 64 bytes, with the high halves of block numbers.
const WIDE: u32 = 0x80;

/// Hands on the pieces and the length of every file in every file system of the image.
pub(super) fn files(image: &[u8], take: &mut dyn FnMut(Vec<Piece>, usize)) {
    systems(&image, &mut |system| system.files(take));
}

/// Hands on every file system of the image.
pub(in crate::delta) fn systems(image: &dyn Source, take: &mut dyn FnMut(&mut FileSystem<'_>)) {
    let mut window = Window::new(image);
    let mut at = 0;
    while let Ok(superblock) = window.from((at + SUPERBLOCK) as u64, SUPERBLOCK_LENGTH) {
        let Some(superblock) = superblock.get(..SUPERBLOCK_LENGTH) else { break };
        let length = FileSystem::read(image, at, superblock).map_or(0, |mut system| {
            take(&mut system);
            system.length
        });
        at = (at + length.max(SECTOR)).next_multiple_of(SECTOR);
    }
}

/// A file system in an image.
pub(in crate::delta) struct FileSystem<'i> {
    image: &'i dyn Source,
    /// Where it begins in the image, and how long it is there.
    start: usize,
    length: usize,
    block: usize,
    inodes: u32,
    per_group: u32,
    inode: usize,
    /// Where the group descriptors stand, and how long each is.
    groups: usize,
    group: usize,
    /// Blocks that are still read as a directory's, or as a node of extents.
    left: usize,
}

impl<'i> FileSystem<'i> {
    fn read(image: &'i dyn Source, start: usize, superblock: &[u8]) -> Option<Self> {
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
        let there = usize::try_from(image.length()).ok()?.checked_sub(start)?;
        let length = (word(superblock, 4) as usize).checked_mul(block)?.min(there);
        let groups = (word(superblock, 0x14) as usize).checked_add(1)?.checked_mul(block)?;
        if per_group == 0 || inodes > MOST_INODES || !(128..=4096).contains(&inode) {
            return None;
        }
        let inodes = inodes.min(u32::try_from(length / inode).unwrap_or(u32::MAX));
        let left = length / block;
        Some(Self { image, start, length, block, inodes, per_group, inode, groups, group, left })
    }

    fn files(&mut self, take: &mut dyn FnMut(Vec<Piece>, usize)) {
        for number in 1..=self.inodes {
            if let Some(File { kind: REGULAR, pieces, length }) = self.file(number) {
                take(pieces, length);
            }
        }
    }

    /// Inodes and names in a directory of these pieces, so many at most. The nodes of its index are entries without an inode, to
    /// whoever reads it from end to end.
    pub(in crate::delta) fn entries(&mut self, pieces: &[Piece], most: usize) -> Vec<(u32, Vec<u8>)> {
        let mut found = Vec::new();
        let (block, start) = (self.block, self.start);
        let places = pieces.iter().flat_map(|piece| {
            (0..piece.length / block).map(move |number| piece.image - start + number * block)
        });
        for place in places {
            let Some(left) = self.left.checked_sub(1) else { break };
            self.left = left;
            let Some(bytes) = self.bytes(place, block) else { continue };
            let mut rest = &bytes[..];
            while rest.len() >= 8 && found.len() < most {
                let (number, length, name) =
                    (word(rest, 0), usize::from(half(rest, 4)), usize::from(rest[6]));
                // That of 64 KiB has another number; behind what is damaged there is nothing.
                let length = if length >= 8 && length % 4 == 0 { length.min(rest.len()) } else { rest.len() };
                if let Some(name) = rest[..length].get(8..8 + name).filter(|_| number > 0) {
                    found.push((number, name.to_vec()));
                }
                rest = &rest[length..];
            }
        }
        found
    }

    /// What an inode with extents is; `None` for one that has none, or is damaged.
    pub(in crate::delta) fn file(&mut self, number: u32) -> Option<File> {
        let inode = self.inode(number)?;
        let kind = half(&inode, 0) & KIND;
        if !matches!(kind, REGULAR | FOLDER) || word(&inode, 0x20) & HAS_EXTENTS == 0 {
            return None;
        }
        let length = u64::from(word(&inode, 4)) | u64::from(word(&inode, 0x6c)) << 32;
        let length = usize::try_from(length).ok()?;
        let mut pieces = Vec::new();
        self.extents(&inode[0x28..0x28 + 60], DEEPEST, &mut pieces)?;
        Some(File { kind, pieces: joined(pieces, length), length })
    }

    /// The bytes of an inode.
    fn inode(&self, number: u32) -> Option<Vec<u8>> {
        let number = number.checked_sub(1).filter(|number| *number < self.inodes)?;
        let descriptor = self.groups.checked_add((number / self.per_group) as usize * self.group)?;
        let descriptor = self.bytes(descriptor, self.group.min(64))?;
        let high = if self.group >= 64 { word(&descriptor, 0x28) } else { 0 };
        let table = usize::try_from(u64::from(word(&descriptor, 8)) | u64::from(high) << 32).ok()?;
        let inside = (number % self.per_group) as usize * self.inode;
        self.bytes(table.checked_mul(self.block)?.checked_add(inside)?, self.inode)
    }

    /// So many bytes at a place in the file system.
    fn bytes(&self, at: usize, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.image.read_at(self.start.checked_add(at)? as u64, &mut bytes).ok()?;
        Some(bytes)
    }

    /// The extents of a node and of those below it; `None` where something is wrong.
    fn extents(&mut self, node: &[u8], deepest: u16, pieces: &mut Vec<Piece>) -> Option<()> {
        let (magic, count, depth) = (half(node, 0), usize::from(half(node, 2)), half(node, 6));
        let entries = node.get(12..12 + count * 12)?;
        if magic != EXTENTS || depth > deepest || pieces.len() + count > MOST_PIECES {
            return None;
        }
        for entry in entries.chunks_exact(12) {
            if depth > 0 {
                let place = u64::from(word(entry, 4)) | u64::from(half(entry, 8)) << 32;
                let start = usize::try_from(place).ok()?.checked_mul(self.block)?;
                self.left = self.left.checked_sub(1)?;
                let below = self.bytes(start, self.block)?;
                if half(&below, 6) != depth - 1 {
                    return None;
                }
                self.extents(&below, depth - 1, pieces)?;
                continue;
            }
            let (length, high) = (half(entry, 4), half(entry, 6));
            if length <= WRITTEN {
                let place = u64::from(word(entry, 8)) | u64::from(high) << 32;
                let image = usize::try_from(place).ok()?.checked_mul(self.block)?.checked_add(self.start)?;
                let length = usize::from(length) * self.block;
                image.checked_add(length).filter(|end| *end as u64 <= self.image.length())?;
                let file = (word(entry, 0) as usize).checked_mul(self.block)?;
                pieces.push(Piece { file, image, length });
            }
        }
        Some(())
    }
}

/// What an inode tells.
pub(in crate::delta) struct File {
    /// Whether it is a file or a directory.
    pub(in crate::delta) kind: u16,
    /// Where its bytes stand: all in the image.
    pub(in crate::delta) pieces: Vec<Piece>,
    length: usize,
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
