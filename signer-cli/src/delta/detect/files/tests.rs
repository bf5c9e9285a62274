use std::collections::BTreeMap;

use perennial_device_core::delta::refs::SectionKind;
use perennial_device_core::delta::space::Section;
use proptest::prelude::*;

use super::super::tests::describe;
use super::super::{Described, Hint};
use super::*;
use crate::delta::packing::take_apart;
use crate::delta::packing::tests::{gzip, text};
use crate::delta::partial::Images;

/// A small library: code that begins with `seed`, a name, and data, which begins on a page of its own.
fn library(seed: u8, name: &str, code: usize) -> Vec<u8> {
    const DATA: usize = 0x3000;
    let mut file = vec![0; DATA + 0x1000];
    for (at, byte) in file[0x1000..0x1000 + code].iter_mut().enumerate() {
        *byte = (at as u8).wrapping_mul(31) ^ seed ^ (at >> 8) as u8;
    }
    file[0x200..0x200 + name.len()].copy_from_slice(name.as_bytes());
    for (at, target) in (DATA..DATA + 0x200).step_by(8).zip((0x1000_u64..).step_by(24)) {
        file[at..at + 8].copy_from_slice(&target.to_le_bytes());
    }
    let names = b"\0.text\0.dynstr\0.data\0.shstrtab\0";
    let of_names = file.len() - 0x700;
    file.truncate(of_names);
    file.extend(names);
    file.resize(file.len().next_multiple_of(8), 0);
    let table = file.len() as u64;
    // Name, type, flags, address (as offset), length.
    let sections = [
        (0, 0, 0, 0, 0),
        (1, 1, 6, 0x1000, code as u64),
        (7, 3, 2, 0x200, 64),
        (15, 1, 3, DATA as u64, 0x200),
        (21, 3, 0, of_names as u64, names.len() as u64),
    ];
    for (name, kind, flags, at, length) in sections {
        let (mut header, allocated) = (vec![0_u8; 64], flags != 0);
        header[..4].copy_from_slice(&u32::to_le_bytes(name));
        header[4..8].copy_from_slice(&u32::to_le_bytes(kind));
        let words = [flags, if allocated { at } else { 0 }, at, length, 0, u64::from(kind != 0)];
        for (word, place) in words.into_iter().zip((8..).step_by(8)) {
            header[place..place + 8].copy_from_slice(&word.to_le_bytes());
        }
        file.extend(header);
    }
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0");
    let halves = [(20, 1), (52, 64), (54, 56), (56, 1), (58, 64), (60, 5), (62, 4)];
    for (at, value) in halves {
        file[at..at + 2].copy_from_slice(&u16::to_le_bytes(value));
    }
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[40..48].copy_from_slice(&table.to_le_bytes());
    let loaded = of_names as u64;
    let load = [1 | 7 << 32, 0, 0, 0, loaded, loaded, 0x1000_u64];
    for (word, place) in load.into_iter().zip((64..).step_by(8)) {
        file[place..place + 8].copy_from_slice(&word.to_le_bytes());
    }
    file
}

/// Files after headers of 512 bytes, at multiples of as much.
fn archive(files: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let (mut image, mut places) = (Vec::new(), Vec::new());
    for file in files {
        image.resize(image.len() + 512, b'h');
        places.push(image.len());
        image.extend_from_slice(file);
        image.resize(image.len().next_multiple_of(512), 0);
    }
    (image, places)
}

/// What addresses mean: for each section its kind and the addresses of its ends, by file.
fn meaning(described: &Described) -> BTreeMap<usize, Vec<(SectionKind, u64, u64)>> {
    let mut all: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for Section { kind, start, length, space } in &described.sections {
        let space = usize::from(*space);
        let address = described.spaces[space].old_address(*start).unwrap();
        all.entry(space).or_default().push((*kind, address, *length));
    }
    all
}

#[test]
fn files_are_found_wherever_they_begin() {
    let (one, other) = (library(1, "one", 0x800), library(2, "other", 0x1000));
    let (mut image, places) = archive(&[&one, b"no such file", &other]);
    let found = find(&Partial::whole(&image));
    assert_eq!(found, [Found::whole(places[0], one.len()), Found::whole(places[2], other.len())]);
    // Bytes that begin so, and are none.
    image[places[0] + 40] = 1;
    assert_eq!(find(&Partial::whole(&image)).len(), 1);
    assert_eq!(find(&Partial::whole(&one[..one.len() - 600])), []);
}

#[test]
fn a_file_is_described_wherever_it_went() {
    let old = [library(1, "one", 0x800), library(2, "other", 0x1000), library(3, "same", 0x900)];
    let new = [library(3, "same", 0x900), library(2, "other", 0x1010), library(1, "one", 0x810)];
    let (old, of_old) = archive(&[&old[0], &old[1], &old[2]]);
    let (new, of_new) = archive(&[&new[0], &new[1], &new[2]]);
    let described = describe(&old, &new, &Hint::Auto);
    assert_eq!(described.spaces.len(), 2, "{described:?}");
    for (space, (old, new)) in described.spaces.iter().zip([(of_old[0], of_new[2]), (of_old[1], of_new[1])]) {
        assert_eq!(space.old_address(old as u64 + 0x1010), Some(0x1010));
        assert_eq!(space.new_address(new as u64 + 0x1010), Some(0x1010));
    }
    let turned = describe(&new, &old, &Hint::Auto);
    assert_eq!(turned.spaces.len(), 2);
}

#[test]
fn a_last_block_that_stands_elsewhere_is_found() {
    let (old, new) = (library(1, "one", 0x800), library(1, "one", 0x820));
    let apart = |file: &[u8], before: usize| {
        let body = file.len() / BLOCK * BLOCK;
        let mut image = vec![0xee; 2 * BLOCK];
        image[before..before + file.len() - body].copy_from_slice(&file[body..]);
        image.extend_from_slice(&file[..body]);
        image.resize(image.len() + BLOCK, 0xdd);
        image
    };
    assert_ne!(old.len() % BLOCK, 0);
    let (old, new) = (apart(&old, 0x60), apart(&new, 0x1020));
    let [file] = &find(&Partial::whole(&old))[..] else { panic!() };
    assert_eq!(file.content(&old)[..], library(1, "one", 0x800));
    let described = describe(&old, &new, &Hint::Auto);
    let kinds: Vec<SectionKind> = described.sections.iter().map(|section| section.kind).collect();
    assert!(kinds.contains(&SectionKind::X86_64) && kinds.contains(&SectionKind::Pointers64), "{kinds:?}");
    assert_eq!(described.spaces[0].new_address(2 * BLOCK as u64 + 0x1234), Some(0x1234));
}

/// An image of headers, and of what may be the last blocks of all of them, has nobody try each with each.
#[test]
fn a_last_block_is_tried_with_so_many_files() {
    let file = library(1, "one", 0x800);
    let body = file.len() / BLOCK * BLOCK;
    // Its only segment is too long.
    let mut other = file[..128].to_vec();
    other[64 + 36] = 1;
    let found = |others: usize| {
        let mut image = vec![0xee; 4 * BLOCK];
        (0..others).for_each(|number| image[number * 128..][..128].copy_from_slice(&other));
        image.extend_from_slice(&file[..body]);
        image.resize(image.len() + BLOCK + 0x60, 0xdd);
        image.extend_from_slice(&file[body..]);
        find(&Partial::whole(&image)).len()
    };
    assert_eq!([0, ALIKE - 1, ALIKE].map(found), [1, 1, 0]);
}

/// An ext4 file system of 64 blocks, its inodes in block 4: one file, of which each piece begins at a block and has so many.
fn file_system(file: &[u8], pieces: &[(u32, u16, u32)]) -> Vec<u8> {
    let mut image = vec![0; 64 * BLOCK];
    let mut set = |at: usize, value: u32| image[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let words = [(0, 32), (4, 64), (0x18, 2), (0x28, 32), (0x38, 0xef53), (0x58, 256)];
    words.into_iter().for_each(|(at, value)| set(1024 + at, value));
    set(BLOCK + 8, 4);
    let inode = 4 * BLOCK + 12 * 256;
    let count = pieces.len() as u32;
    let words = [(0, 0x81ed), (4, file.len() as u32), (0x20, 0x8_0000), (0x28, 0xf30a | count << 16)];
    words.into_iter().for_each(|(at, value)| set(inode + at, value));
    for (entry, (block, length, place)) in (0..).zip(pieces) {
        let at = inode + 0x28 + 12 + entry * 12;
        set(at, *block);
        set(at + 4, u32::from(*length));
        set(at + 8, *place);
    }
    for (block, length, place) in pieces {
        let (from, to) = (*block as usize * BLOCK, *place as usize * BLOCK);
        let end = file.len().min(from + usize::from(*length) * BLOCK);
        image[to..to + end - from].copy_from_slice(&file[from..end]);
    }
    image
}

#[test]
fn a_file_in_pieces_with_a_hole_is_read_by_its_inode() {
    let (old, new) = (library(1, "one", 0x800), library(1, "one", 0x820));
    assert!(old[2 * BLOCK..3 * BLOCK].iter().all(|byte| *byte == 0));
    let of_old = file_system(&old, &[(0, 1, 20), (1, 1, 40), (3, 1, 10)]);
    let of_new = file_system(&new, &[(0, 2, 30), (3, 1, 32)]);
    // In a partition of a disk.
    let of_new = [vec![0x55; 2048], of_new].concat();
    let [file] = &find(&Partial::whole(&of_old))[..] else { panic!() };
    assert_eq!(file.content(&of_old)[..], old);
    let described = describe(&of_old, &of_new, &Hint::Auto);
    let space = &described.spaces[0];
    assert_eq!(space.old_address(40 * BLOCK as u64 + 0x10), Some(0x1010));
    assert_eq!(space.old_address(10 * BLOCK as u64 + 0x10), Some(0x3010));
    assert_eq!(space.new_address(2048 + 31 * BLOCK as u64 + 0x10), Some(0x1010));
    assert_eq!(space.new_address(2048 + 32 * BLOCK as u64 + 0x10), Some(0x3010));
    assert!(space.holds(0x2800), "a hole is memory");
    let kinds = meaning(&described);
    assert!(kinds[&0].contains(&(SectionKind::Pointers64, 0x3000, 0x200)), "{kinds:?}");
}

#[test]
fn a_file_in_pieces_is_known_where_parts_before_and_in_it_are_unpacked() {
    // A file beside it changed that is packed, and one that stands in the library's code.
    let image = |seed: u32, code: usize, pieces: &[(u32, u16, u32)]| {
        let mut file = library(1, "one", code);
        let packed = gzip(&[text(seed, 3_000), text(9, 3_000)].concat());
        file[0x1100..0x1100 + packed.len()].copy_from_slice(&packed);
        let mut image = file_system(&file, pieces);
        image[6 * BLOCK..6 * BLOCK + packed.len()].copy_from_slice(&packed);
        (image, packed.len() - 15)
    };
    let (old, packed) = image(1, 0xe00, &[(0, 1, 20), (1, 1, 40), (3, 1, 32)]);
    let (new, packed_new) = image(2, 0xe10, &[(0, 2, 30), (3, 1, 48)]);
    let apart = take_apart(Images::whole(&old, &new), 1, &Default::default()).unwrap().images;
    assert_eq!(apart.old.bytes().len(), old.len() + 2 * (6_000 - packed));
    let described = super::super::describe(&apart.old, &apart.new, &Hint::Auto);
    let [space] = &described.spaces[..] else { panic!("{described:?}") };
    // By how much what is behind one part has moved, and behind both.
    let (old, new) = ((6_000 - packed) as u64, (6_000 - packed_new) as u64);
    let block = |number: u64| number * BLOCK as u64;
    assert_eq!(space.old_address(block(40) + old + 0x10), Some(0x1010));
    assert_eq!(space.new_address(block(31) + new + 0x10), Some(0x1010));
    assert_eq!(space.old_address(block(40) + 2 * old + 0xd00), Some(0x1d00));
    assert_eq!(space.new_address(block(31) + 2 * new + 0xd00), Some(0x1d00));
    // In the old image the data stand before the code.
    assert_eq!(space.old_address(block(32) + old + 0x10), Some(0x3010));
    assert_eq!(space.new_address(block(48) + 2 * new + 0x10), Some(0x3010));
    assert_eq!(space.old_address(block(40) + old + 0x200), None, "unpacked");
    assert!(space.holds(0x1200), "but memory");
    let kinds = meaning(&described);
    assert!(kinds[&0].contains(&(SectionKind::Pointers64, 0x3000, 0x200)), "{kinds:?}");
}

/// Twelve thousand inodes in a kilobyte of them, which all name the same file.
#[test]
fn a_file_system_costs_no_more_than_it_is_long() {
    let file = library(1, "one", 0x800);
    let mut image = file_system(&file, &[(0, 1, 20), (1, 1, 40), (3, 1, 10)]);
    let inode = image[4 * BLOCK + 12 * 256..][..256].to_vec();
    (0..32).for_each(|number| image[4 * BLOCK + number * 256..][..256].copy_from_slice(&inode));
    for group in 0..3 * BLOCK / 32 {
        image[BLOCK + group * 32 + 8] = 4;
    }
    image[1024..1028].copy_from_slice(&(1_u32 << 22).to_le_bytes());
    let mut count = 0;
    ext4::files(&image, &mut |_, _| count += 1);
    assert_eq!(count, image.len() / 256, "as many inodes as there is room for");
    let bytes: usize = find(&Partial::whole(&image)).iter().map(|file| file.length).sum();
    assert!(bytes > file.len() && bytes <= 2 * image.len(), "{bytes} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is damaged, a description holds for every reader.
    #[test]
    fn damaged_images_are_described_as_something_or_nothing(
        damage in prop::collection::vec((0..64_usize * BLOCK, any::<u8>()), 0..200),
        headers in prop::collection::vec((any::<prop::sample::Index>(), 0..128_usize, any::<u8>()), 0..8),
    ) {
        let (old, new) = (library(1, "one", 0x800), library(1, "one", 0x820));
        let (mut archived, places) = archive(&[&old, &new, &library(7, "another", 0x300)]);
        let mut inodes = file_system(&old, &[(0, 1, 20), (1, 1, 40), (3, 1, 10)]);
        for (at, byte) in damage {
            inodes[at] = byte;
            if let Some(place) = archived.get_mut(at) {
                *place = byte;
            }
        }
        for (which, at, byte) in headers {
            archived[which.get(&places) + at] = byte;
            inodes[20 * BLOCK + at] = byte;
            inodes[4 * BLOCK + 12 * 256 + at] = byte;
            inodes[1024 + at] = byte;
        }
        let (other, _) = archive(&[&library(9, "another", 0x310), &new]);
        for (old, new) in [(&archived, &other), (&other, &archived), (&inodes, &other), (&archived, &inodes)] {
            let described = describe(old, new, &Hint::Auto);
            super::super::tests::assert_sound(&described, old.len() as u64);
        }
    }
}
