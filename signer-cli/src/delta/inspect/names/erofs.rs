//! Files of an EROFS image (the kernel's `fs/erofs/erofs_fs.h`) that aren't packed.

use std::ops::Range;

use super::tree::{Files, Node, Tree};
use super::{LONGEST_NAME, MOST, Place, bytes, half, long, word};
use crate::delta::packing::erofs::{Inode, MAGIC, REGULAR, SUPERBLOCK, TYPE};
use crate::delta::source::Source;

/// Inodes begin at multiples of this.
const SLOT: u64 = 32;
/// The type of a directory, by its mode.
const FOLDER: u16 = 0x4000;
/// Bytes of a directory's entry, before the names.
const ENTRY: usize = 12;

/// Those that have content, and where that stands.
pub(super) fn files(image: &dyn Source) -> Vec<Place> {
    let mut files = Files::new();
    if let Some(mut system) = FileSystem::read(image) {
        let root = system.root;
        files.add(&mut system, root);
    }
    files.found
}

struct FileSystem<'i> {
    image: &'i dyn Source,
    /// Bytes of a block; where inodes begin; the number of the topmost directory's.
    block: u64,
    inodes: u64,
    root: u64,
    /// Bytes that are still read as a directory's: each is one's alone.
    left: u64,
}

impl<'i> FileSystem<'i> {
    fn read(image: &'i dyn Source) -> Option<Self> {
        let head = bytes(image, SUPERBLOCK as u64, 128)?;
        let bits = head[12];
        if !head.starts_with(&MAGIC) || !(9..=16).contains(&bits) {
            return None;
        }
        let (block, root) = (1 << bits, half(&head, 14)?.into());
        let inodes = u64::from(word(&head, 40)?) * block;
        Some(Self { image, block, inodes, root, left: image.length() })
    }

    /// The type of an inode, and where its bytes stand; nowhere, if it is packed.
    fn file(&self, number: u64) -> Option<(u16, Vec<Range<u64>>)> {
        let at = self.inodes.checked_add(number.checked_mul(SLOT)?)?;
        let inode = Inode::read(bytes(self.image, at, 64)?.first_chunk()?);
        let behind = match inode.layout {
            Inode::PLAIN => 0,
            Inode::INLINE => inode.size % self.block,
            _ => return Some((inode.mode & TYPE, Vec::new())),
        };
        let (start, rest) = (u64::from(inode.block) * self.block, at + inode.length);
        let both = [start..start.checked_add(inode.size - behind)?, rest..rest + behind];
        let ranges = both.into_iter().filter(|range| !range.is_empty() && range.end <= self.image.length());
        Some((inode.mode & TYPE, ranges.collect()))
    }
}

impl Tree for FileSystem<'_> {
    type Folder = Vec<Range<u64>>;

    fn node(&mut self, number: u64) -> Option<Node<Vec<Range<u64>>>> {
        match self.file(number)? {
            (REGULAR, ranges) => Some(Node::File(ranges)),
            (FOLDER, ranges) => Some(Node::Folder(ranges)),
            _ => None,
        }
    }

    fn entries(&mut self, folder: Vec<Range<u64>>) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        for range in folder {
            let mut at = range.start;
            while at < range.end && found.len() < MOST {
                let length = self.block.min(range.end - at);
                let Some(left) = self.left.checked_sub(length) else { return found };
                self.left = left;
                let block = bytes(self.image, at, length as usize).unwrap_or_default();
                found.extend(of_block(&block).unwrap_or_default());
                at += length;
            }
        }
        found.truncate(MOST);
        found
    }
}

/// A block of a directory: entries, then their names, each to where the next one begins.
fn of_block(block: &[u8]) -> Option<Vec<(u64, Vec<u8>)>> {
    let name_at = |entry: usize| half(block, entry * ENTRY + 8).map(usize::from);
    let count = name_at(0)? / ENTRY;
    let mut found = Vec::new();
    for entry in 0..count {
        let end = if entry + 1 < count { name_at(entry + 1)? } else { block.len() };
        let name = block.get(name_at(entry)?..end)?;
        let name = name.split(|byte| *byte == 0).next()?;
        if name.len() <= LONGEST_NAME {
            found.push((long(block, entry * ENTRY)?, name.to_vec()));
        }
    }
    Some(found)
}
