//! Images with `.gz` files in two pieces, as EROFS has them: the last block behind the inode.

use perennial_device_core::delta::packing::codec::Packer;
use perennial_device_core::delta::packing::deflate::{Flavour, Parameters};
use perennial_device_core::delta::packing::method::{Method, Wrapping};
use perennial_schemas::delta::Parts;

use super::Random;
use super::told::text;

const BLOCK: usize = 4096;

/// An old image of so many files, and the new one, in which some say something else. Of some the inode stands before their
/// blocks, of some behind.
pub fn images(files: u32, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let mut images = [superblock(), superblock()];
    for number in 0..files {
        let (length, is_behind, between) =
            (17_000 + random.below(6_000), random.below(2) == 0, random.bytes(BLOCK));
        let mut content = text(random, length);
        for (i, image) in images.iter_mut().enumerate() {
            if i == 1 && number % 3 != 2 {
                content.splice(200..209, *b"is mended");
            }
            let file = gzip(&content);
            let whole = file.len() - file.len() % BLOCK;
            let block = image.len() / BLOCK + usize::from(!is_behind);
            let mut rest = inode(file.len(), block).to_vec();
            rest.extend_from_slice(&file[whole..]);
            rest.resize(rest.len().next_multiple_of(BLOCK), 0);
            let blocks = &file[..whole];
            image.extend(if is_behind { [blocks, &rest].concat() } else { [&rest, blocks].concat() });
            image.extend_from_slice(&between);
        }
    }
    let [old, new] = images;
    (old, new)
}

/// What is looked at of it: magic, and blocks of 4 KiB.
fn superblock() -> Vec<u8> {
    let mut blocks = vec![0; 2 * BLOCK];
    blocks[1024..1028].copy_from_slice(&0xe0f5_e1e2_u32.to_le_bytes());
    blocks[1036] = 12;
    blocks
}

/// A short one of a regular file with its last block inline.
fn inode(size: usize, block: usize) -> [u8; 32] {
    let mut inode = [0; 32];
    inode[0] = 4;
    inode[4..6].copy_from_slice(&0x81a4_u16.to_le_bytes());
    inode[8..12].copy_from_slice(&(size as u32).to_le_bytes());
    inode[16..20].copy_from_slice(&(block as u32).to_le_bytes());
    inode
}

#[expect(clippy::expect_used, reason = "a test's tool: a panic ends it and says why")]
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    let parameters = Parameters { flavour: Flavour::Gzip, level: 9, window_bits: 15, memory_level: 8 };
    let method = Method::Deflate(Wrapping::Gzip, parameters);
    let mut packer = Packer::new(&Parts { deflate: true, ..Parts::default() });
    let mut out = |bytes: &[u8]| {
        file.extend_from_slice(bytes);
        Ok(())
    };
    let packed = packer.begin(&method, &mut out).and_then(|()| packer.push(&method, content, &mut out));
    packed.and_then(|()| packer.finish(&method, &[], &mut out)).expect("a vector takes it");
    file
}
