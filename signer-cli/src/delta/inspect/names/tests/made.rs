//! Small file systems, put together as their formats are described. Each has the files of [`FILES`].

use crate::delta::packing::tests::{gzip, text};

/// Makes what a file holds.
type Content = fn() -> Vec<u8>;

/// Paths, and what they hold.
pub(super) const FILES: [(&str, Content); 2] =
    [("/first", || text(1, 4_600)), ("/folder/second", || gzip(&text(2, 17_800)))];

fn put<const N: usize>(image: &mut [u8], at: usize, bytes: [u8; N]) {
    image[at..at + N].copy_from_slice(&bytes);
}

fn words(image: &mut [u8], at: usize, words: &[(usize, u32)]) {
    words.iter().for_each(|(place, word)| put(image, at + place, word.to_le_bytes()));
}

pub(super) mod ext4 {
    use std::ops::Range;

    use super::{FILES, put, words};

    pub(in super::super) const BLOCK: usize = 1024;
    /// Bytes of an inode; in which block the first one stands, and how many there are.
    const INODE: usize = 128;
    const TABLE: usize = 5;
    const INODES: u32 = 16;
    /// Numbers of inodes, here and below.
    pub(in super::super) const ROOT: u32 = 2;
    pub(in super::super) const FOLDER: u32 = 12;
    pub(in super::super) const FIRST: u32 = 13;
    pub(in super::super) const SECOND: u32 = 14;
    /// The block of extents of the second file.
    const NODE: usize = 10;
    /// The superblock, a group, inodes, two directories and the node.
    pub(in super::super) const DESCRIBED: [Range<usize>; 6] = [
        1024..1024 + 256,
        2 * BLOCK..2 * BLOCK + 64,
        TABLE * BLOCK..TABLE * BLOCK + INODES as usize * INODE,
        8 * BLOCK..8 * BLOCK + 64,
        9 * BLOCK..9 * BLOCK + 64,
        NODE * BLOCK..NODE * BLOCK + 36,
    ];

    /// The first file in two pieces, the second one with a node of extents.
    pub(in super::super) fn image() -> Vec<u8> {
        let mut image = vec![0; 48 * BLOCK];
        let superblock = [(0, INODES), (4, 48), (0x14, 1), (0x28, INODES), (0x38, 0xef53), (0x58, 128)];
        words(&mut image, 1024, &superblock);
        words(&mut image, 2 * BLOCK, &[(8, TABLE as u32)]);
        let [first, second] = FILES.map(|(_, content)| content());
        inode(&mut image, ROOT, 0x41ed, BLOCK as u64, &node(0, &[(0, 1, 8)]));
        inode(&mut image, FOLDER, 0x41ed, BLOCK as u64, &node(0, &[(0, 1, 9)]));
        inode(&mut image, FIRST, 0x81a4, first.len() as u64, &node(0, &[(0, 3, 20), (3, 2, 30)]));
        inode(&mut image, SECOND, 0x81a4, second.len() as u64, &node(1, &[(0, 0, NODE as u32)]));
        let leaf = node(0, &[(0, 2, 35), (2, 4, 40)]);
        image[NODE * BLOCK..][..leaf.len()].copy_from_slice(&leaf);
        directory(&mut image, 8, &[(ROOT, "."), (ROOT, ".."), (FOLDER, "folder"), (FIRST, "first")]);
        directory(&mut image, 9, &[(FOLDER, "."), (ROOT, ".."), (SECOND, "second")]);
        for (content, whole, first, rest) in [(first, 3 * BLOCK, 20, 30), (second, 2 * BLOCK, 35, 40)] {
            image[first * BLOCK..][..whole].copy_from_slice(&content[..whole]);
            image[rest * BLOCK..][..content.len() - whole].copy_from_slice(&content[whole..]);
        }
        image
    }

    /// Of leaves the entries are a block of the file, how many, and where they are; of others a block of the file, 0, and the
    /// node's.
    pub(in super::super) fn node(depth: u16, entries: &[(u32, u16, u32)]) -> Vec<u8> {
        let mut node = vec![0; 12 + 12 * entries.len()];
        let count = entries.len() as u16;
        put(&mut node, 0, 0xf30a_u16.to_le_bytes());
        put(&mut node, 2, count.to_le_bytes());
        put(&mut node, 6, depth.to_le_bytes());
        for (number, (block, length, place)) in entries.iter().enumerate() {
            let at = 12 + 12 * number;
            words(&mut node, at, &[(0, *block), (if depth > 0 { 4 } else { 8 }, *place)]);
            if depth == 0 {
                put(&mut node, at + 4, length.to_le_bytes());
            }
        }
        node
    }

    pub(in super::super) fn inode(image: &mut [u8], number: u32, mode: u16, length: u64, node: &[u8]) {
        let at = TABLE * BLOCK + (number as usize - 1) * INODE;
        put(image, at, mode.to_le_bytes());
        words(image, at, &[(4, length as u32), (0x6c, (length >> 32) as u32), (0x20, 0x8_0000)]);
        image[at + 0x28..][..node.len()].copy_from_slice(node);
    }

    pub(in super::super) fn directory(image: &mut [u8], block: usize, entries: &[(u32, &str)]) {
        let (mut at, end) = (block * BLOCK, (block + 1) * BLOCK);
        for (number, (inode, name)) in entries.iter().enumerate() {
            let last = number + 1 == entries.len();
            let length = if last { end - at } else { (8 + name.len()).next_multiple_of(4) };
            words(image, at, &[(0, *inode), (4, length as u32 | (name.len() as u32) << 16)]);
            image[at + 8..][..name.len()].copy_from_slice(name.as_bytes());
            at += length;
        }
    }
}

pub(super) mod erofs {
    use super::{FILES, put};

    pub(in super::super) const BLOCK: usize = 4096;
    /// Numbers of inodes, here and below: places in the second block, by 32 bytes.
    pub(in super::super) const ROOT: u64 = 0;
    pub(in super::super) const FOLDER: u64 = 5;
    pub(in super::super) const FIRST: u64 = 10;
    pub(in super::super) const SECOND: u64 = 11;
    /// Behind it there is nothing but content.
    pub(in super::super) const DESCRIBED: usize = BLOCK + 512;

    /// The first file in blocks of its own, of the second one the last block behind its inode, as directories are.
    pub(in super::super) fn image() -> Vec<u8> {
        let mut image = vec![0; 5 * BLOCK];
        put(&mut image, 1024, 0xe0f5_e1e2_u32.to_le_bytes());
        put(&mut image, 1024 + 12, [12]);
        put(&mut image, 1024 + 14, (ROOT as u16).to_le_bytes());
        put(&mut image, 1024 + 40, 1_u32.to_le_bytes());
        let [first, second] = FILES.map(|(_, content)| content());
        let top = directory(&[(ROOT, "."), (ROOT, ".."), (FOLDER, "folder"), (FIRST, "first")]);
        let folder = directory(&[(FOLDER, "."), (ROOT, ".."), (SECOND, "second")]);
        inode(&mut image, ROOT, (0x41ed, 2), top.len() as u64, 0, &top);
        inode(&mut image, FOLDER, (0x41ed, 2), folder.len() as u64, 0, &folder);
        inode(&mut image, FIRST, (0x81a4, 0), first.len() as u64, 2, &[]);
        inode(&mut image, SECOND, (0x81a4, 2), second.len() as u64, 4, &second[BLOCK..]);
        image[2 * BLOCK..][..first.len()].copy_from_slice(&first);
        image[4 * BLOCK..].copy_from_slice(&second[..BLOCK]);
        image
    }

    /// A short inode of a mode and a layout, with what stands behind it.
    pub(in super::super) fn inode(
        image: &mut [u8],
        number: u64,
        (mode, layout): (u16, u16),
        length: u64,
        block: u32,
        behind: &[u8],
    ) {
        let at = BLOCK + number as usize * 32;
        put(image, at, (layout << 1).to_le_bytes());
        put(image, at + 4, mode.to_le_bytes());
        put(image, at + 8, (length as u32).to_le_bytes());
        put(image, at + 16, block.to_le_bytes());
        image[at + 32..][..behind.len()].copy_from_slice(behind);
    }

    pub(in super::super) fn directory(entries: &[(u64, &str)]) -> Vec<u8> {
        let mut bytes = vec![0; 12 * entries.len()];
        for (number, (inode, name)) in entries.iter().enumerate() {
            let at = bytes.len() as u16;
            put(&mut bytes, 12 * number, inode.to_le_bytes());
            put(&mut bytes, 12 * number + 8, at.to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }
}

pub(super) mod squashfs {
    use super::{FILES, put, words};
    use crate::delta::packing::tests::gzip;

    pub(in super::super) const BLOCK: usize = 4096;
    const AS_IT_IS: u32 = 1 << 24;

    /// How blocks of tables are packed.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) enum Packing {
        AsTheyAre,
        Gzip,
        Zstd,
    }

    /// Of the first file the end in a shared block; the second one, whose inode is a long one, has all of its own.
    pub(in super::super) fn image(packing: Packing) -> Vec<u8> {
        let [first, second] = FILES.map(|(_, content)| content());
        let content = [&[0; 96], &first[..BLOCK], &second, &first[BLOCK..]].concat();
        let at_second = 96 + BLOCK;
        let at_shared = at_second + second.len();
        let file = [(16, 96), (20, 0), (28, first.len() as u32), (32, BLOCK as u32 | AS_IT_IS)];
        let rest = (second.len() - BLOCK) as u32;
        let long = [
            (16, at_second as u32),
            (24, second.len() as u32),
            (44, u32::MAX),
            (56, BLOCK as u32 | AS_IT_IS),
            (60, rest | AS_IT_IS),
        ];
        // Where inodes stand in their table.
        let [at_file, at_long, at_folder] = [32, 68, 132];
        let top = directory(&[(at_file, "first"), (at_folder, "folder")]);
        let folder = directory(&[(at_long, "second")]);
        let inodes = [
            inode(1, 32, &[(24, top.len() as u32 + 3)]),
            inode(2, 36, &file),
            inode(9, 64, &long),
            inode(8, 40, &[(20, folder.len() as u32 + 3), (32, (top.len() as u32) << 16)]),
        ];
        let mut fragment = vec![0; 16];
        words(&mut fragment, 0, &[(0, at_shared as u32), (8, (first.len() - BLOCK) as u32 | AS_IT_IS)]);
        whole(packing, content, &inodes.concat(), &[top, folder].concat(), &fragment)
    }

    /// Content, which begins behind the superblock, and the tables behind it; the topmost directory is the first inode.
    pub(in super::super) fn whole(
        packing: Packing,
        content: Vec<u8>,
        inodes: &[u8],
        folders: &[u8],
        fragments: &[u8],
    ) -> Vec<u8> {
        let mut image = content;
        image[..4].copy_from_slice(b"hsqs");
        let number = if matches!(packing, Packing::Zstd) { 6 } else { 1 };
        let count = (fragments.len() / 16) as u32;
        words(&mut image, 0, &[(12, BLOCK as u32), (16, count), (20, number), (28, 4)]);
        let mut starts = [u64::MAX; 6];
        let table = |image: &mut Vec<u8>, content: &[u8]| {
            let start = image.len() as u64;
            content.chunks(8192).for_each(|block| image.extend(packed(packing, block)));
            start
        };
        starts[2] = table(&mut image, inodes);
        starts[3] = table(&mut image, folders);
        let block = table(&mut image, fragments);
        starts[4] = image.len() as u64;
        image.extend(block.to_le_bytes());
        starts[0] = image.len() as u64;
        image.extend(block.to_le_bytes());
        for (number, start) in starts.into_iter().enumerate() {
            put(&mut image, 48 + 8 * number, start.to_le_bytes());
        }
        image
    }

    fn packed(packing: Packing, block: &[u8]) -> Vec<u8> {
        let (bit, bytes) = match packing {
            Packing::AsTheyAre => (0x8000, block.to_vec()),
            // The same stream as a gzip member's, which has 15 bytes before it and 8 behind.
            Packing::Gzip => {
                let member = gzip(block);
                (0, [&[0x78, 0xda], &member[15..member.len() - 8], &[0; 4]].concat())
            }
            Packing::Zstd => (0, zstd::bulk::compress(block, 3).unwrap()),
        };
        [&(bytes.len() as u16 | bit).to_le_bytes()[..], &bytes].concat()
    }

    pub(in super::super) fn inode(kind: u32, length: usize, fields: &[(usize, u32)]) -> Vec<u8> {
        let mut inode = vec![0; length];
        words(&mut inode, 0, &[(0, kind)]);
        words(&mut inode, 0, fields);
        inode
    }

    /// Entries by the places of their inodes.
    pub(in super::super) fn directory(entries: &[(u16, &str)]) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        put(&mut bytes, 0, (entries.len() as u32 - 1).to_le_bytes());
        for (inode, name) in entries {
            let fields = [*inode, 0, 0, name.len() as u16 - 1];
            bytes.extend(fields.into_iter().flat_map(u16::to_le_bytes));
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }
}
