//! Files of a squashfs image, version 4.0 (the kernel's `Documentation/filesystems/squashfs.rst`), packed by gzip or zstd.

use std::collections::HashMap;
use std::ops::Range;

use perennial_device_core::delta::packing::codec::Unpacker;
use perennial_schemas::delta::Parts;

use super::tree::{Files, Node, Tree};
use super::{LONGEST_NAME, MOST, Place, bytes, half, long, word};
use crate::delta::source::Source;

const MAGIC: &[u8] = b"hsqs";
const SUPERBLOCK: usize = 96;
/// Numbers of the packers that are known here.
const GZIP: u16 = 1;
const ZSTD: u16 = 6;
/// A block of a table, unpacked; the bit of its length that says that it isn't packed.
const BLOCK: usize = 8192;
const AS_IT_IS: u16 = 0x8000;
/// A table, unpacked: of a million files. All of its blocks but the last are full.
const TABLE: usize = 64 << 20;
const BLOCKS: usize = TABLE / BLOCK;
/// The bits of a data block's length.
const LENGTH: u32 = 0x00ff_ffff;
const NO_FRAGMENT: u32 = u32::MAX;

/// Those that have blocks of their own; and the blocks that the ends of files share, as one.
pub(super) fn files(image: &dyn Source) -> Vec<Place> {
    let mut files = Files::new();
    if let Some(mut system) = FileSystem::read(image) {
        if !system.shared.is_empty() {
            let ranges = std::mem::take(&mut system.shared);
            files.found.push(Place { name: "(ends of files)".into(), ranges });
        }
        let root = system.root;
        files.add(&mut system, root);
    }
    files.found
}

struct FileSystem<'i> {
    image: &'i dyn Source,
    block: u64,
    root: u64,
    inodes: Table,
    folders: Table,
    /// Blocks that the ends of files share.
    shared: Vec<Range<u64>>,
    /// Bytes of the table of inodes that are still read as lengths of a file's blocks, and of the other one as a directory: each is
    /// one's alone.
    lengths: usize,
    names: usize,
}

/// Where a directory begins in their table, and how long it is there.
struct Folder {
    start: (u32, u16),
    length: usize,
}

impl<'i> FileSystem<'i> {
    fn read(image: &'i dyn Source) -> Option<Self> {
        let head = bytes(image, 0, SUPERBLOCK)?;
        let packer = half(&head, 20)?;
        if !head.starts_with(MAGIC) || half(&head, 28)? != 4 || !matches!(packer, GZIP | ZSTD) {
            return None;
        }
        let block = u64::from(word(&head, 12)?);
        let tables = [48, 56, 64, 72, 80, 88].map(|at| long(&head, at).unwrap_or(u64::MAX));
        let [inodes, folders, fragments] = [tables[2], tables[3], tables[4]];
        let mut opener = Opener::new(packer);
        let mut table = |start: u64| {
            let after = tables.iter().copied().filter(|other| *other > start).min();
            Table::read(image, start..after.unwrap_or(u64::MAX).min(image.length()), &mut opener)
        };
        let (inodes, folders) = (table(inodes), table(folders));
        let shared = shared(image, fragments, word(&head, 16)?, &mut opener).unwrap_or_default();
        let root = long(&head, 32)?;
        let (lengths, names) = (inodes.bytes.len(), folders.bytes.len());
        (block > 0).then_some(Self { image, block, root, inodes, folders, shared, lengths, names })
    }

    /// What a directory names: references of inodes, and names.
    fn names(&self, folder: &Folder) -> Option<Vec<(u64, Vec<u8>)>> {
        let (block, inside) = folder.start;
        let mut rest = self.folders.from(block, inside)?.get(..folder.length)?;
        let mut found = Vec::new();
        while let (Some(count), Some(inodes)) = (word(rest, 0), word(rest, 4)) {
            rest = rest.get(12..)?;
            for _ in 0..=count {
                let (Some(inside), Some(name)) = (half(rest, 0), half(rest, 6)) else { return Some(found) };
                let end = 8 + usize::from(name) + 1;
                let name = rest.get(8..end)?;
                if found.len() >= MOST {
                    return Some(found);
                }
                if name.len() <= LONGEST_NAME {
                    found.push((u64::from(inodes) << 16 | u64::from(inside), name.to_vec()));
                }
                rest = &rest[end..];
            }
        }
        Some(found)
    }
}

impl Tree for FileSystem<'_> {
    type Folder = Folder;

    /// The inode that a reference names: its block's place in the table, and its place in the block.
    fn node(&mut self, reference: u64) -> Option<Node<Folder>> {
        let inode = self.inodes.from(u32::try_from(reference >> 16).ok()?, (reference & 0xffff) as u16)?;
        let mut file = |start: u64, length: u64, fragment: u32, sizes: usize| {
            let blocks =
                if fragment == NO_FRAGMENT { length.div_ceil(self.block) } else { length / self.block };
            let sizes = inode.get(sizes..)?.get(..usize::try_from(blocks.checked_mul(4)?).ok()?)?;
            self.lengths = self.lengths.checked_sub(sizes.len())?;
            let sizes = sizes.chunks_exact(4).map(|size| u64::from(word(size, 0).unwrap_or(0) & LENGTH));
            let end = start.checked_add(sizes.sum())?;
            let ranges = std::iter::once(start..end).filter(|range| !range.is_empty());
            (end <= self.image.length()).then(|| Node::File(ranges.collect()))
        };
        // Its length counts "." and "..", which aren't there.
        let folder =
            |start, length: usize| Some(Node::Folder(Folder { start, length: length.checked_sub(3)? }));
        match half(inode, 0)? {
            1 => folder((word(inode, 16)?, half(inode, 26)?), half(inode, 24)?.into()),
            8 => folder((word(inode, 24)?, half(inode, 34)?), word(inode, 20)? as usize),
            2 => file(word(inode, 16)?.into(), word(inode, 28)?.into(), word(inode, 20)?, 32),
            9 => file(long(inode, 16)?, long(inode, 24)?, word(inode, 44)?, 56),
            _ => None,
        }
    }

    fn entries(&mut self, folder: Folder) -> Vec<(u64, Vec<u8>)> {
        let Some(left) = self.names.checked_sub(folder.length) else { return Vec::new() };
        self.names = left;
        self.names(&folder).unwrap_or_default()
    }
}

/// Blocks that the ends of files share.
fn shared(image: &dyn Source, table: u64, count: u32, opener: &mut Opener) -> Option<Vec<Range<u64>>> {
    const ENTRY: usize = 16;
    const EACH: usize = BLOCK / ENTRY;
    let mut found = Vec::new();
    let count = (count as usize).min(MOST);
    let blocks = count.div_ceil(EACH);
    for place in bytes(image, table, blocks.checked_mul(8)?)?.chunks_exact(8) {
        let (block, _) = opener.block(image, long(place, 0)?)?;
        let entries = block.chunks_exact(ENTRY).take(count - found.len());
        found.extend(entries.filter_map(|entry| {
            let start = long(entry, 0)?;
            let end = start.checked_add(u64::from(word(entry, 8)? & LENGTH))?;
            (start < end && end <= image.length()).then_some(start..end)
        }));
    }
    Some(found)
}

/// A table, unpacked.
struct Table {
    bytes: Vec<u8>,
    /// Where each of its blocks begins among those bytes, by its place in the packed table.
    blocks: HashMap<u32, usize>,
}

impl Table {
    fn read(image: &dyn Source, range: Range<u64>, opener: &mut Opener) -> Self {
        let mut table = Self { bytes: Vec::new(), blocks: HashMap::new() };
        let mut at = range.start;
        while at < range.end && table.blocks.len() < BLOCKS {
            let Some((block, end)) = opener.block(image, at) else { break };
            let Ok(place) = u32::try_from(at - range.start) else { break };
            table.blocks.insert(place, table.bytes.len());
            table.bytes.extend_from_slice(block);
            at = end;
        }
        table
    }

    fn from(&self, block: u32, inside: u16) -> Option<&[u8]> {
        self.bytes.get(self.blocks.get(&block)? + usize::from(inside)..)
    }
}

/// Unpacks blocks of tables.
struct Opener {
    packer: u16,
    unpacker: Unpacker,
    content: Vec<u8>,
}

impl Opener {
    fn new(packer: u16) -> Self {
        let all = Parts { deflate: true, zstd_level: 1, ..Parts::default() };
        Self { packer, unpacker: Unpacker::new(&all), content: vec![0; BLOCK] }
    }

    /// The block here, and where it ends.
    fn block(&mut self, image: &dyn Source, at: u64) -> Option<(&[u8], u64)> {
        let head = half(&bytes(image, at, 2)?, 0)?;
        let packed = bytes(image, at + 2, usize::from(head & !AS_IT_IS))?;
        let end = at + 2 + packed.len() as u64;
        let length = match self.packer {
            _ if head & AS_IT_IS != 0 => {
                self.content.get_mut(..packed.len())?.copy_from_slice(&packed);
                packed.len()
            }
            GZIP => self.unpacker.inflate(packed.get(2..)?, &mut self.content).ok()?.1,
            _ => zstd::bulk::decompress_to_buffer(&packed, &mut self.content).ok()?,
        };
        Some((&self.content[..length], end))
    }
}
