//! Where an ext4 file system keeps its files: blocks without content aren't written, and a file may be in several pieces.
//!
//! Decides nothing: reads inodes with extents (<https://www.kernel.org/doc/html/latest/filesystems/ext4/>), wherever in
//! the image a file system begins, and directories where names are asked for. Checksums are not looked at. What is damaged gives
//! no files.

use std::collections::HashSet;

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
const FOLDER: u16 = 0x4000;
/// The inode of the topmost directory.
const ROOT: u32 = 2;
/// `PATH_MAX`, in bytes.
const LONGEST_PATH: usize = 4096;
/// A longer extent was reserved but never written.
const WRITTEN: u16 = 0x8000;
/// Group descriptors of 64 bytes, with the high halves of block numbers.
const WIDE: u32 = 0x80;

/// Hands on the pieces and the length of every file in every file system of the image.
pub(super) fn files(image: &[u8], take: &mut dyn FnMut(Vec<Piece>, usize)) {
    systems(&image, &mut |system| system.files(take));
}

/// Hands on every file system of the image.
pub(in crate::delta) fn systems(image: &dyn Source, take: &mut dyn FnMut(&FileSystem<'_>)) {
    let mut window = Window::new(image);
    let mut at = 0;
    while let Ok(superblock) = window.from((at + SUPERBLOCK) as u64, SUPERBLOCK_LENGTH) {
        let Some(superblock) = superblock.get(..SUPERBLOCK_LENGTH) else { break };
        let length = FileSystem::read(image, at, superblock).map_or(0, |system| {
            take(&system);
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
        let sound = per_group > 0 && inodes <= MOST_INODES && (128..=4096).contains(&inode);
        sound.then_some(Self { image, start, length, block, inodes, per_group, inode, groups, group })
    }

    fn files(&self, take: &mut dyn FnMut(Vec<Piece>, usize)) {
        for number in 1..=self.inodes {
            if let Some(File { kind: REGULAR, pieces, length }) = self.file(number) {
                take(pieces, length);
            }
        }
    }

    /// Hands on the path of every file that a directory names, and its pieces.
    pub(in crate::delta) fn tree(&self, take: &mut dyn FnMut(String, Vec<Piece>)) {
        let mut seen = HashSet::from([ROOT]);
        let mut folders = vec![(ROOT, String::new())];
        // A block is one directory's.
        let mut left = self.length / self.block;
        while let Some((folder, path)) = folders.pop() {
            for (number, name) in self.entries(folder, &mut left) {
                let path = format!("{path}/{name}");
                if matches!(&*name, "." | "..") || path.len() > LONGEST_PATH || !seen.insert(number) {
                    continue;
                }
                match self.file(number) {
                    Some(File { kind: REGULAR, pieces, .. }) => take(path, pieces),
                    Some(File { kind: FOLDER, .. }) => folders.push((number, path)),
                    _ => {}
                }
            }
        }
    }

    /// Inodes and names in a directory, of so many blocks at most. The nodes of its index are entries without an inode, to whoever
    /// reads it from end to end.
    fn entries(&self, folder: u32, left: &mut usize) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        let Some(File { kind: FOLDER, pieces, .. }) = self.file(folder) else { return found };
        let blocks = pieces.iter().flat_map(|piece| {
            (0..piece.length / self.block).map(|block| piece.image - self.start + block * self.block)
        });
        for block in blocks {
            if *left == 0 {
                break;
            }
            *left -= 1;
            let Some(block) = self.bytes(block, self.block) else { continue };
            let mut rest = &block[..];
            while rest.len() >= 8 {
                let (number, length, name) =
                    (word(rest, 0), usize::from(half(rest, 4)), usize::from(rest[6]));
                if let Some(name) = rest.get(8..8 + name).filter(|name| number > 0 && !name.is_empty()) {
                    found.push((number, String::from_utf8_lossy(name).into_owned()));
                }
                rest = rest.get(length.max(8)..).unwrap_or_default();
            }
        }
        found
    }

    /// What an inode with extents is; `None` for one that has none, or is damaged.
    fn file(&self, number: u32) -> Option<File> {
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
        let descriptor = self.bytes(descriptor, self.group)?;
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
                let below = self.bytes(start, self.block)?;
                if half(&below, 6) + 1 != depth {
                    return None;
                }
                self.extents(&below, depth - 1, pieces)?;
                continue;
            }
            let (length, high) = (half(entry, 4), half(entry, 6));
            if length <= WRITTEN {
                let place = u64::from(word(entry, 8)) | u64::from(high) << 32;
                let place = usize::try_from(place).ok()?.checked_mul(self.block)?;
                pieces.push(Piece {
                    file: (word(entry, 0) as usize).checked_mul(self.block)?,
                    image: place.saturating_add(self.start),
                    length: usize::from(length) * self.block,
                });
            }
        }
        Some(())
    }
}

/// What an inode tells.
struct File {
    kind: u16,
    pieces: Vec<Piece>,
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
