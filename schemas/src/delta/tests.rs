use super::*;
use alloc::vec;

fn header() -> Header {
    let sizes = Sizes {
        block_bits: 12,
        context_bits: 16,
        learned_bits: 12,
        history_bits: 0,
        operations: 7,
        sections: 3,
        segments: 2,
    };
    let frame = |kind, length| Frame { kind, length };
    Header {
        profile: Profile::Linux,
        sizes,
        in_place: None,
        old: ImageId { length: 4096, digest: [1; 16] },
        new: ImageId { length: 70_000, digest: [2; 16] },
        layers: Vec::new(),
        frames: vec![
            frame(FrameKind::Map, 90),
            frame(FrameKind::Data(65_536), 300_000),
            frame(FrameKind::Data(4_464), 0),
        ],
    }
}

#[test]
fn a_header_is_read_back() {
    let bytes = header().encode();
    assert_eq!(Header::length(&bytes), Ok(bytes.len()));
    assert_eq!(header().encoded_length(), bytes.len() as u64);
    assert_eq!(Header::parse(&bytes), Ok(header()));
}

#[test]
fn a_header_cut_short_anywhere_is_refused() {
    let bytes = header().encode();
    for cut in 0..bytes.len() {
        assert!(Header::parse(&bytes[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn every_field_out_of_its_bounds_is_refused_with_its_number() {
    let bytes = header().encode();
    // Magic, layout, length of all; flags; lengths of 2 and 3 bytes with their digests; sizes, operations, sections, segments.
    assert_eq!(bytes[8..11], [0, 0x80, 0x20]);
    assert_eq!(bytes[27..30], [0xf0, 0xa2, 0x04]);
    assert_eq!(bytes[46..51], [0xa6, 0x08, 7, 3, 2]);
    for (at, with, number) in [
        (0, &[0_u8][..], 1),
        (4, &[4], 2),
        (4, &[2], 2),
        (7, &[0x7f], 7),
        (5, &[51], 7),
        (5, &[50], 8),
        (8, &[16], 3),
        (8, &[12], 3),
        (8, &[8], 10),
        (8, &[6], 3),
        (46, &[0xab], 4),
        (46, &[0xda], 4),
        (47, &[0x0f], 4),
        (8, &[2], 11),
    ] {
        let mut bytes = bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        assert_eq!(Header::parse(&bytes).map_err(|error| error.number()), Err(number), "{at} {with:?}");
    }
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = header();
        change(&mut header);
        Header::parse(&header.encode()).map_err(|error| error.number())
    };
    assert_eq!(with(&|header| header.old.length = IMAGE_LENGTH + 1), Err(5));
    assert_eq!(with(&|header| header.new.length = IMAGE_LENGTH + 1), Err(5));
    assert_eq!(with(&|header| header.new.length = 0), Err(5));
    assert_eq!(with(&|header| header.new.length = 1), Err(8));
    assert_eq!(with(&|header| header.sizes.operations = OPERATIONS + 1), Err(6));
    assert_eq!(with(&|header| header.sizes.sections = SECTIONS + 1), Err(6));
    assert_eq!(with(&|header| header.sizes.segments = SECTIONS + 1), Err(6));
    assert_eq!(with(&|header| header.frames.clear()), Err(7));
    let most = |header: &mut Header| header.frames = vec![header.frames[0]; FRAMES as usize + 1];
    assert_eq!(with(&most), Err(7));
}

#[test]
fn two_images_that_are_the_same_take_a_digest_and_a_length() {
    for (profile, length, frames) in
        [(Profile::Linux, 300_000_000, 6), (Profile::Mcu, 1, 2), (Profile::Linux, FRAME_OUTPUT, 2)]
    {
        let image = ImageId { length, digest: [7; 16] };
        let header = Header::of_same(profile, image);
        let bytes = header.encode();
        assert!(bytes.len() <= 30, "{}", bytes.len());
        let read = Header::parse(&bytes).unwrap();
        assert_eq!((read.old, read.new, read.profile, read.frames.len()), (image, image, profile, frames));
        assert_eq!(read, header);
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Header::parse(&longer), Ok(header), "what follows is frames");
    }
    let none = Header::of_same(Profile::Linux, ImageId { length: 0, digest: [7; 16] });
    assert_eq!(Header::parse(&none.encode()), Err(ContainerError::Lengths));
}

#[test]
fn a_slot_holds_both_images_and_frames_end_with_its_sectors() {
    let place = InPlace { sector_bits: 12, sectors: 24 };
    let header = Header { profile: Profile::Mcu, in_place: Some(place), ..header() };
    assert_eq!(Header::parse(&header.encode()), Ok(header.clone()));
    // One sector holds the old image: the rest is free.
    assert_eq!(place.shift(4096), 23 << 12);
    assert_eq!([1, 65_536, 70_000, 98_304].map(|end| header.floor(end)), [0, 0, 0, 4096]);
    let wrong = |change: &dyn Fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        Header::parse(&header.encode()).map_err(|error| error.number())
    };
    let slot = |sector_bits, sectors| Some(InPlace { sector_bits, sectors });
    assert_eq!(wrong(&|header| header.profile = Profile::Linux), Err(11));
    assert_eq!(wrong(&|header| header.in_place = slot(12, 17)), Err(11), "the new image takes 18");
    assert_eq!(wrong(&|header| header.old.length = 24 << 12), Err(11), "none is free");
    assert_eq!(wrong(&|header| header.old.length = 0), Err(11));
    assert_eq!(wrong(&|header| header.in_place = slot(17, 24)), Err(11), "a frame ends inside a sector");
    assert_eq!(wrong(&|header| header.in_place = slot(7, 4096)), Err(11));
    assert!(wrong(&|header| header.in_place = slot(16, 2)).is_ok());
}

#[test]
fn a_directory_keeps_to_its_bounds() {
    let with = |frames: &[(FrameKind, u64)]| {
        let frames = frames.iter().map(|(kind, length)| Frame { kind: *kind, length: *length }).collect();
        Header::parse(&Header { frames, ..header() }.encode()).map_err(|error| error.number())
    };
    let (map, all) = ((FrameKind::Map, 1), FrameKind::Data(70_000));
    let mark = (FrameKind::Mark([1, 0]), 0);
    assert!(with(&[map, (all, 1)]).is_ok());
    assert_eq!(with(&[map, (all, 1), mark]), Err(9), "a mark where nothing is taken apart");
    assert_eq!(with(&[(all, 1)]), Err(9), "data before a map");
    assert_eq!(with(&[map, (FrameKind::Data(0), 1)]), Err(9), "nothing made");
    assert_eq!(with(&[map, (all, FRAME_LENGTH + 1)]), Err(9), "a frame too long");
    assert_eq!(with(&[map, (FrameKind::Data(FRAME_OUTPUT + 1), 1)]), Err(9), "a frame that makes too much");
    assert_eq!(with(&[map, (all, 1), (FrameKind::Data(1), 1)]), Err(8), "more than the image");
    assert_eq!(with(&[map]), Err(8), "less than the image");
}

#[test]
fn a_stored_frame_makes_what_it_holds() {
    let stored = |length| Frame { kind: FrameKind::Stored(length), length };
    let data = Frame { kind: FrameKind::Data(10_000), length: 5 };
    let map = Frame { kind: FrameKind::Map, length: 1 };
    let header = Header { frames: vec![map, stored(50_000), data, stored(10_000)], ..header() };
    assert_eq!(Header::parse(&header.encode()), Ok(header.clone()));
    let with = |frames: Vec<Frame>| Header::parse(&Header { frames, ..header.clone() }.encode());
    assert_eq!(with(vec![map, stored(0), data, stored(60_000)]), Err(ContainerError::Frame), "an empty one");
    assert_eq!(with(vec![map, stored(50_000), data]), Err(ContainerError::Directory));
    assert_eq!(with(vec![stored(60_000), map, data]), Err(ContainerError::Frame), "before the map");
    let new = ImageId { length: FRAME_LENGTH + 1, ..header.new };
    let long = Header { new, frames: vec![map, stored(FRAME_LENGTH + 1)], ..header.clone() };
    assert_eq!(Header::parse(&long.encode()), Err(ContainerError::Frame));
}

#[test]
fn parts_are_read_back_and_keep_to_their_bounds() {
    let parts = Parts {
        old_parts: 300,
        new_parts: 400,
        old: 9_000,
        new: 90_000,
        old_packed_most: 3_000,
        old_most: 8_000,
        new_most: 131_072,
        notes: 0,
        same: false,
        held: 0,
        deflate: true,
        zstd_level: 15,
        zstd_version: 10_507,
    };
    let second = Parts { new: 95_000, zstd_level: 0, zstd_version: 0, ..parts };
    let with = |layers: &[Parts], kinds: &[FrameKind]| {
        let frames = kinds.iter().map(|kind| Frame { kind: *kind, length: 0 }).collect();
        let header = Header { layers: layers.to_vec(), frames, ..header() };
        let bytes = header.encode();
        assert_eq!(header.encoded_length(), bytes.len() as u64);
        Header::parse(&bytes).map(|read| assert_eq!(read, header)).map_err(|error| error.number())
    };
    use FrameKind::{Data, Map, Mark};
    let both = [FrameKind::Parts, FrameKind::Parts, Map, Data(60_000), Mark([5, 6]), Data(35_000)];
    assert_eq!(with(&[parts, second], &both), Ok(()));
    let once = |parts: Parts| with(&[parts], &[FrameKind::Parts, Map, Mark([7, 0]), Data(90_000)]);
    assert_eq!(once(parts), Ok(()));
    assert_eq!(once(Parts { old_parts: PARTS + 1, ..parts }), Err(10));
    assert_eq!(once(Parts { new_parts: PARTS + 1, ..parts }), Err(10));
    assert_eq!(once(Parts { old_packed_most: PART_LENGTH + 1, ..parts }), Err(10));
    assert_eq!(once(Parts { old_most: PART_LENGTH + 1, ..parts }), Err(10));
    assert_eq!(once(Parts { new_most: PART_LENGTH + 1, ..parts }), Err(10));
    assert_eq!(once(Parts { zstd_level: 32, ..parts }), Err(10));
    for zstd_level in [0, 15] {
        let (zstd_version, held) = (if zstd_level > 0 { 10_507 } else { 0 }, 300_000);
        assert_eq!(once(Parts { held, zstd_level, zstd_version, ..parts }), Ok(()));
        assert_eq!(once(Parts { held, deflate: false, zstd_level, zstd_version, ..parts }), Ok(()));
    }
    assert_eq!(once(Parts { held: HELD_LENGTH, ..parts }), Ok(()));
    assert_eq!(once(Parts { held: HELD_LENGTH + 1, ..parts }), Err(10));
    let noted = Parts { notes: 5_000, ..parts };
    assert_eq!(once(noted), Ok(()));
    assert_eq!(once(Parts { notes: NOTES_LENGTH, ..parts }), Ok(()));
    assert_eq!(once(Parts { notes: NOTES_LENGTH + 1, ..parts }), Err(10));
    assert_eq!(once(Parts { old: IMAGE_LENGTH + 1, ..parts }), Err(5));
    assert_eq!(once(Parts { new: 90_001, ..parts }), Err(8), "less than the unpacked image");
    assert_eq!(once(Parts { same: true, ..parts }), Ok(()));
    assert_eq!(once(Parts { notes: 1, zstd_level: 0, zstd_version: 0, ..parts }), Err(10), "notes of what?");
    assert_eq!(with(&[parts, Parts { same: true, ..second }], &both), Err(10), "in the image itself alone");
    let with_notes = |parts: Parts, length| {
        let frame = |kind, length| Frame { kind, length };
        let notes = frame(FrameKind::Notes, length);
        let frames = vec![frame(FrameKind::Parts, 0), frame(Map, 0), notes, frame(Data(90_000), 0)];
        let header = Header { layers: vec![parts], frames, ..header() };
        Header::parse(&header.encode()).map(|read| assert_eq!(read, header)).map_err(|error| error.number())
    };
    assert_eq!(with_notes(noted, 9), Ok(()));
    assert_eq!(with_notes(noted, FRAME_LENGTH), Ok(()));
    assert_eq!(with_notes(noted, 0), Err(9), "nothing is noted");
    assert_eq!(with_notes(noted, FRAME_LENGTH + 1), Err(9));
    assert_eq!(with_notes(parts, 9), Err(10), "notes that the header doesn't tell of");
    let after = [Map, FrameKind::Parts, Data(90_000)];
    assert_eq!(with(&[parts], &after), Err(10), "parts behind a map");
    let thrice = [FrameKind::Parts, FrameKind::Parts, FrameKind::Parts, Map, Data(95_000)];
    assert_eq!(with(&[parts, second, second], &thrice), Err(10));
}
