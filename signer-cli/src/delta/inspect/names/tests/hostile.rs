//! File systems that are damaged, and such that were made to cost whoever reads them: no reader comes to harm, and each does as
//! much work as the image is long.

use std::cell::Cell;
use std::io;

use super::made::squashfs::Packing;
use super::made::{FILES, erofs, ext4, squashfs};
use super::tree::{Files, Node, Tree};
use super::*;
use crate::delta::apply::apply;
use crate::delta::make::{Settings, make};

/// An image that counts what is read of it.
struct Counted<'i> {
    image: &'i [u8],
    read: Cell<u64>,
}

impl Source for Counted<'_> {
    fn length(&self) -> u64 {
        self.image.length()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        // That something is read costs as much as some bytes do.
        self.read.set(self.read.get() + 64 + into.len() as u64);
        self.image.read_at(at, into)
    }
}

/// The files that are named in an image, which was read so often at most, whose ranges lie in it, and whose names are short.
fn named(image: &[u8]) -> Vec<Place> {
    let counted = Counted { image, read: Cell::new(0) };
    let (Named::Files(places) | Named::Sections(places)) = of(&counted);
    let read = counted.read.get();
    assert!(read <= 32 * image.len() as u64 + (1 << 20), "{read} bytes read of {}", image.len());
    for place in &places {
        assert!(place.ranges.iter().all(|range| range.start < range.end && range.end <= image.length()));
    }
    let pieces: usize = places.iter().map(|place| place.ranges.len()).sum();
    assert!(pieces <= MOST + image.len() / 8, "{pieces} pieces");
    let names: usize = places.iter().map(|place| place.name.len()).sum();
    assert!(places.len() <= MOST && names <= 32 << 20, "{names} bytes of {} names", places.len());
    places
}

/// What describes the files in each kind of image, by where it stands.
fn images() -> Vec<(Vec<u8>, Vec<Range<usize>>)> {
    let mut all = vec![
        (ext4::image(), ext4::DESCRIBED.to_vec()),
        (erofs::image(), vec![1024..1024 + 128, erofs::BLOCK..erofs::DESCRIBED]),
    ];
    for packing in [Packing::AsTheyAre, Packing::Gzip, Packing::Zstd] {
        let image = squashfs::image(packing);
        let tables = u64::from_le_bytes(image[64..72].try_into().unwrap()) as usize;
        all.push((image.clone(), vec![0..96, tables..image.len()]));
    }
    all
}

#[test]
fn files_of_small_file_systems_are_named_and_have_their_content() {
    let expected = FILES.map(|(name, content)| (name.to_owned(), content()));
    for (image, _) in images() {
        let mut found = contents(&image, &named(&image));
        found.sort();
        if image.starts_with(b"hsqs") {
            let first = &expected[0].1;
            let cut = first.len() - squashfs::BLOCK;
            assert_eq!(found[0], ("(ends of files)".into(), first[squashfs::BLOCK..].to_vec()));
            found[1].1.extend_from_slice(&first[first.len() - cut..]);
            found.remove(0);
        }
        assert!(found == expected, "{:?}", named(&image));
    }
}

/// Calls `look` with an image that is cut at each of these places, and such of which each place has other bytes.
fn damaged(image: &[u8], described: &[Range<usize>], step: usize, look: &mut dyn FnMut(&[u8])) {
    let mut random = fastrand::Rng::with_seed(20);
    let mut image = image.to_vec();
    for at in described.iter().cloned().flatten().step_by(step) {
        look(&image[..at]);
        let other = random.u8(..);
        for (length, value) in [(1, other), (1, 0xff), (2, 0xff), (4, 0), (4, other), (8, 0xff), (8, 0x7f)] {
            let range = at..(at + length).min(image.len());
            let before = image[range.clone()].to_vec();
            image[range.clone()].fill(value);
            look(&image);
            image[range].copy_from_slice(&before);
        }
    }
}

#[test]
fn damage_and_cuts_anywhere_do_no_harm_to_who_reads_names() {
    for (image, described) in images() {
        damaged(&image, &described, 1, &mut |image| drop(named(image)));
    }
}

/// Many at once: one damage alone seldom leads to the next.
#[test]
fn much_damage_does_no_harm_to_who_reads_names() {
    let mut random = fastrand::Rng::with_seed(21);
    for (image, described) in images() {
        let places: Vec<usize> = described.into_iter().flatten().collect();
        for _ in 0..400 {
            let mut image = image.clone();
            for _ in 0..random.usize(2..40) {
                let value = [0, 1, 0xff, random.u8(..)][random.usize(..4)];
                image[places[random.usize(..places.len())]] = value;
            }
            named(&image);
        }
    }
}

/// What is made of an image that is damaged, or of another one to that, is what it should be.
#[test]
fn damage_does_no_harm_to_who_makes_a_delta() {
    for (image, described) in images() {
        let mut number = 0;
        let step = described.iter().map(Range::len).sum::<usize>() / 2 + 1;
        damaged(&image, &described, step, &mut |damaged| {
            number += 1;
            let (old, new) = if number % 2 == 0 { (&image[..], damaged) } else { (damaged, &image[..]) };
            let delta = make(old, new, &Settings::default(), &Default::default()).unwrap();
            let mut out = Vec::new();
            apply(old, &delta, u64::MAX, &mut out).unwrap();
            assert!(out == new);
        });
    }
}

#[test]
fn a_directory_that_contains_itself_is_gone_through_once() {
    let mut in_blocks = ext4::image();
    let entries =
        [(ext4::ROOT, "up"), (ext4::FOLDER, "again"), (ext4::SECOND, "second"), (ext4::SECOND, "2")];
    ext4::directory(&mut in_blocks, 9, &entries);
    let mut inline = erofs::image();
    let entries = [(erofs::ROOT, "up"), (erofs::FOLDER, "again"), (erofs::SECOND, "second")];
    let folder = erofs::directory(&entries);
    erofs::inode(&mut inline, erofs::FOLDER, (0x41ed, 2), folder.len() as u64, 0, &folder);
    for image in [in_blocks, inline] {
        let mut names: Vec<String> = named(&image).into_iter().map(|place| place.name).collect();
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name));
    }
    // Its table ends with a directory that is named twice in it.
    let top = squashfs::directory(&[(32, "again"), (0, "up"), (72, "file"), (32, "twice")]);
    let inodes = [
        squashfs::inode(1, 32, &[(24, top.len() as u32 + 3)]),
        squashfs::inode(8, 40, &[(20, top.len() as u32 + 3)]),
        squashfs::inode(2, 40, &[(16, 96), (28, 5_000), (32, 1_000)]),
    ];
    let folders = [top, vec![0; 40_000]].concat();
    let image = squashfs::whole(Packing::AsTheyAre, vec![0; 9_000], &inodes.concat(), &folders, &[]);
    let names: Vec<String> = named(&image).into_iter().map(|place| place.name).collect();
    assert_eq!(names, ["/file"]);
}

/// The lengths of directories count three bytes each that aren't in their table.
#[test]
fn the_last_directory_of_a_squashfs_is_read() {
    let folders = [
        squashfs::directory(&[(32, "a")]),
        squashfs::directory(&[(72, "b")]),
        squashfs::directory(&[(112, "file")]),
    ];
    let [one, two, three] = folders.each_ref().map(|folder| folder.len() as u32);
    let inodes = [
        squashfs::inode(1, 32, &[(24, one + 3)]),
        squashfs::inode(8, 40, &[(20, two + 3), (32, one << 16)]),
        squashfs::inode(8, 40, &[(20, three + 3), (32, (one + two) << 16)]),
        squashfs::inode(2, 40, &[(16, 96), (28, 5_000), (32, 1_000)]),
    ];
    let image = squashfs::whole(Packing::AsTheyAre, vec![0; 9_000], &inodes.concat(), &folders.concat(), &[]);
    let names: Vec<String> = named(&image).into_iter().map(|place| place.name).collect();
    assert_eq!(names, ["/a/b/file"]);
}

#[test]
fn a_file_of_more_bytes_than_there_are_is_none() {
    for length in [1 << 60, u64::MAX, 1 << 40, u64::from(u32::MAX)] {
        let mut image = ext4::image();
        ext4::inode(&mut image, ext4::FIRST, 0x81a4, length, &ext4::node(0, &[(0, 0x8000, 20)]));
        assert_eq!(named(&image).len(), 1);
        let mut image = erofs::image();
        erofs::inode(&mut image, erofs::FIRST, (0x81a4, 0), length, 2, &[]);
        // A long inode has the upper half here: the next one begins there.
        let at = erofs::BLOCK + 32 * erofs::FIRST as usize;
        image[at] |= 1;
        image[at + 12..at + 16].copy_from_slice(&((length >> 32) as u32).to_le_bytes());
        named(&image);
        let top = squashfs::directory(&[(32, "file")]);
        let (low, high) = (length as u32, (length >> 32) as u32);
        let inodes = [
            squashfs::inode(1, 32, &[(24, top.len() as u32 + 3)]),
            squashfs::inode(9, 60, &[(16, 96), (24, low), (28, high), (44, u32::MAX), (56, 1_000)]),
        ];
        for block in [4096, 1, 0, u32::MAX] {
            let mut image = squashfs::whole(Packing::AsTheyAre, vec![0; 9_000], &inodes.concat(), &top, &[]);
            image[12..16].copy_from_slice(&u32::to_le_bytes(block));
            assert!(named(&image).len() <= 1);
        }
    }
}

/// Four levels, of which each node names the next one as often as it can.
#[test]
fn nodes_of_extents_are_each_one_files() {
    let mut image = ext4::image();
    let many = |depth, below| ext4::node(depth, &[(0, 1, below); 84]);
    for (block, node) in [(43, many(3, 44)), (44, many(2, 45)), (45, many(1, 46)), (46, ext4::node(0, &[]))] {
        image[block * ext4::BLOCK..][..node.len()].copy_from_slice(&node);
    }
    let top = ext4::node(4, &[(0, 0, 43); 4]);
    ext4::inode(&mut image, ext4::SECOND, 0x81a4, 1 << 20, &top);
    assert_eq!(named(&image).len(), 1);
    // One that is its own.
    let own = ext4::node(0xffff, &[(0, 0, 43); 84]);
    image[43 * ext4::BLOCK..][..own.len()].copy_from_slice(&own);
    assert_eq!(named(&image).len(), 1);
}

#[test]
fn blocks_of_directories_are_each_one_directorys() {
    let mut image = ext4::image();
    let many = ext4::node(0, &[(0, 40, 8); 84]);
    image[43 * ext4::BLOCK..][..many.len()].copy_from_slice(&many);
    ext4::inode(&mut image, ext4::FOLDER, 0x41ed, 1 << 30, &ext4::node(1, &[(0, 0, 43)]));
    // No block is left for the node of the other file.
    assert_eq!(named(&image).len(), 1);
    let mut image = erofs::image();
    let all = image.len() as u64;
    let folders: Vec<String> = (1..120).map(|number| format!("{number}")).collect();
    let entries: Vec<(u64, &str)> = (1..).zip(folders.iter().map(String::as_str)).collect();
    let top = erofs::directory(&entries);
    image[2 * erofs::BLOCK..][..top.len()].copy_from_slice(&top);
    erofs::inode(&mut image, erofs::ROOT, (0x41ed, 0), top.len() as u64, 2, &[]);
    (1..120).for_each(|number| erofs::inode(&mut image, number, (0x41ed, 0), all, 0, &[]));
    assert_eq!(named(&image), []);
}

#[test]
fn a_sector_is_one_file_systems() {
    let small = ext4::image();
    let mut image = vec![0; 256 << 10];
    for at in (0..image.len() - 512).step_by(512) {
        image[at..at + 256].copy_from_slice(&small[1024..1024 + 256]);
        // One block, and four million inodes.
        image[at..at + 8].copy_from_slice(&[0, 0, 64, 0, 1, 0, 0, 0]);
    }
    assert_eq!(named(&image), []);
}

#[test]
fn blocks_of_a_squashfs_are_each_one_files_or_one_tables() {
    // Each inode says that all behind it are lengths of its blocks.
    let mut inodes = squashfs::inode(1, 32, &[]);
    let entries: Vec<(u16, String)> = (1..128).map(|number| (32 * number, format!("{number}"))).collect();
    for number in 1..128_u32 {
        inodes.extend(squashfs::inode(2, 32, &[(16, 96), (28, (127 - number) * 8)]));
    }
    let entries: Vec<(u16, &str)> = entries.iter().map(|(inode, name)| (*inode, name.as_str())).collect();
    let top = squashfs::directory(&entries);
    inodes[24..26].copy_from_slice(&(top.len() as u16 + 3).to_le_bytes());
    let mut image = squashfs::whole(Packing::AsTheyAre, vec![0; 1 << 20], &inodes, &top, &[]);
    image[12..16].copy_from_slice(&[1, 0, 0, 0]);
    assert!(matches!(named(&image).len(), 1..=4), "{:?}", named(&image).len());
    // One block of shared blocks is named often.
    let fragment: Vec<u8> =
        std::iter::repeat_n([96, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0], 512).flatten().collect();
    let mut image = squashfs::whole(Packing::AsTheyAre, vec![0; 4096], &[0; 32], &[0; 32], &fragment);
    let place = image[80..88].to_vec();
    let table = u64::from_le_bytes(place.try_into().unwrap()) as usize;
    let block = image[table..table + 8].to_vec();
    (0..8192).for_each(|_| image.extend_from_slice(&block));
    image[16..20].copy_from_slice(&[0xff; 4]);
    named(&image);
    image[16..20].copy_from_slice(&(8192_u32 * 512).to_le_bytes());
    let [shared] = &named(&image)[..] else { panic!() };
    assert_eq!(shared.ranges.len(), MOST);
    // Empty blocks without end, of both tables.
    let mut image = squashfs::whole(Packing::AsTheyAre, vec![0; 96], &[], &[], &[]);
    let place = (image.len() as u64).to_le_bytes();
    image.extend([0x00, 0x80].repeat(1 << 19));
    let tables = [[0xff; 8], [0xff; 8], place, place, [0xff; 8], [0xff; 8]];
    image[48..96].copy_from_slice(&tables.concat());
    assert_eq!(named(&image), []);
}

/// Directories that name a thousand others each, and files.
struct Endless(u64);

impl Tree for Endless {
    type Folder = ();

    fn node(&mut self, number: u64) -> Option<Node<()>> {
        Some(if number.is_multiple_of(2) { Node::Folder(()) } else { Node::File(vec![0..1, 2..3]) })
    }

    fn entries(&mut self, (): ()) -> Vec<(u64, Vec<u8>)> {
        (0..1000)
            .map(|_| {
                self.0 += 1;
                (self.0, vec![b'n'; 100])
            })
            .collect()
    }
}

#[test]
fn what_names_without_end_is_named_as_far_as_there_is_room() {
    let mut files = Files::new();
    files.add(&mut Endless(0), 0);
    files.add(&mut Endless(0), 0);
    let names: usize = files.found.iter().map(|place| place.name.len()).sum();
    assert!(files.found.len() > 1_000 && files.found.len() < MOST);
    assert!(names <= 32 << 20 && files.found.iter().all(|place| place.name.len() <= LONGEST_PATH));
}
