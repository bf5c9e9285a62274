use perennial_device_core::delta::packing::method::{Method, Parser};

use super::super::find::Kind;
use super::super::tests::{delta, goes_on, gzip, take_apart, text};
use super::*;
use crate::delta::apply::apply;

const BLOCK: usize = erofs::BLOCK;

/// An EROFS image as `mkfs.erofs` lays it out without compression, with nothing in it but what is looked at: the superblock's
/// magic, and of each file its inode with the last block, and the other blocks. Of every other file the inode stands behind them.
fn filesystem(files: &[Vec<u8>]) -> Vec<u8> {
    let mut image = vec![0; 2 * BLOCK];
    image[1024..1028].copy_from_slice(&0xe0f5_e1e2_u32.to_le_bytes());
    image[1036] = 12;
    for (number, file) in files.iter().enumerate() {
        let whole = file.len() - file.len() % BLOCK;
        let is_behind = number % 2 == 1;
        let at = image.len() / BLOCK + usize::from(!is_behind);
        let inode = inode(file.len(), at, number);
        let tail = [&inode[..], &file[whole..]].concat();
        assert!(tail.len() <= BLOCK);
        let tail = [&tail[..], &vec![0; BLOCK - tail.len()]].concat();
        let pieces = if is_behind { [&file[..whole], &tail] } else { [&tail, &file[..whole]] };
        image.extend(pieces.concat());
        image.extend(text(number as u32 + 90, BLOCK));
    }
    image
}

/// A short one, or a long one with extended attributes.
fn inode(size: usize, block: usize, number: usize) -> Vec<u8> {
    let is_long = number % 3 == 2;
    let mut inode = vec![0; if is_long { 64 + 12 + 8 } else { 32 }];
    inode[0] = 4 | u8::from(is_long);
    inode[2] = if is_long { 3 } else { 0 };
    inode[4..6].copy_from_slice(&0x81a4_u16.to_le_bytes());
    inode[8..12].copy_from_slice(&(size as u32).to_le_bytes());
    inode[16..20].copy_from_slice(&(block as u32).to_le_bytes());
    inode
}

/// Gzip files of which each has a short last block.
fn files(changed: bool) -> Vec<Vec<u8>> {
    let file = |number: u32| {
        let mut content = text(number, 18_000 + 1_200 * number as usize);
        if changed && number != 3 {
            content.splice(500..510, *b"mended");
        }
        gzip(&content)
    };
    (1..6).map(file).filter(|file| file.len() > BLOCK && file.len() % BLOCK < 3_900).collect()
}

#[test]
fn files_in_two_pieces_are_found_by_their_inodes() {
    let files = files(false);
    assert!(files.len() >= 4, "{}", files.len());
    let image = filesystem(&files);
    let cut = erofs::cut_files(&image, LONGEST, GZIP);
    let found: Vec<Vec<u8>> =
        cut.iter().map(|cut| [&image[cut.front.clone()], &image[cut.rest.clone()]].concat()).collect();
    assert!(found == files, "{} of {}", found.len(), files.len());
    assert!(erofs::cut_files(&image, LONGEST, b"PK").is_empty(), "none begins like that");
    assert!(erofs::cut_files(&image, BLOCK, GZIP).is_empty(), "none is as short");
    assert!(erofs::cut_files(&image[BLOCK..], LONGEST, GZIP).is_empty(), "no superblock");
    // Cut short, and with inodes that say anything: no file past the end.
    for length in (0..image.len()).step_by(501) {
        let all = erofs::cut_files(&image[..length], LONGEST, GZIP);
        assert!(all.iter().all(|cut| cut.front.end <= length && cut.rest.end <= length));
    }
    let mut wild = image.clone();
    for (number, byte) in wild[2 * BLOCK..].iter_mut().enumerate() {
        *byte = if number % 32 < 8 { *byte } else { ((number * 167) >> 3) as u8 };
    }
    assert!(find(&Partial::whole(&wild)).is_empty());
}

#[test]
fn a_file_that_many_inodes_name_is_unpacked_as_often_as_it_could_be_there() {
    let file = gzip(&text(1, 60_000));
    let mut image = filesystem(std::slice::from_ref(&file));
    let length = image.len() + 8 * BLOCK;
    let inode = inode(file.len(), 3, 0);
    while image.len() + inode.len() <= length {
        image.extend_from_slice(&inode);
    }
    let cut = erofs::cut_files(&image, LONGEST, GZIP);
    let bytes: usize = cut.iter().map(|cut| cut.front.len() + cut.rest.len()).sum();
    assert!(cut.len() > 1 && bytes <= image.len(), "{} of {bytes} bytes", cut.len());
}

#[test]
fn files_in_two_pieces_cost_what_changed_in_them() {
    let (old, new) = (filesystem(&files(false)), filesystem(&files(true)));
    let (apart, whole) = (delta(&old, &new, true), delta(&old, &new, false));
    assert!(apart.len() * 20 < whole.len(), "{} against {}", apart.len(), whole.len());
    let mut out = Vec::new();
    let header = apply(&old, &apart, 16 << 20, &mut out).unwrap();
    assert!(out == new);
    let changed = files(true).len() as u32 - 1;
    assert_eq!(header.layers[0].new_parts, 2 * changed, "each has two places; what is the same stays packed");
    assert!(header.layers[0].held > 0);
    // The last one has nothing behind it that would have its second piece written.
    let end = new.len() - BLOCK;
    assert!(delta(&old, &new[..end], true).len() < whole.len());
    assert!(apply(&old, &delta(&old, &new[..end], true), 16 << 20, &mut Vec::new()).is_ok());
}

#[test]
fn it_goes_on_where_nothing_is_held() {
    let (old, new) = (filesystem(&files(false)), filesystem(&files(true)));
    let places = goes_on(&old, &new, 9_001);
    assert!(places.len() >= 3, "{places:?}");
    let made = &take_apart(&old, &new, 1).unwrap().layers.0[0];
    for place in &places {
        let inside = made.layer.new.iter().zip(&made.packed).filter(|(part, _)| part.length > 0);
        for ((_, first), second) in inside.zip(made.packed.iter().skip(1).step_by(2)) {
            assert!(*place <= first.start || *place >= second.end, "{place} in {first:?} and {second:?}");
        }
    }
}

fn proved(start: usize, packed: usize, rest: Range<usize>) -> Proved {
    let kind = Kind::Gzip { hint: 0 };
    let part = Found { start, packed, rest, length: 2 * packed, kind, digest: 0, changed: true };
    Proved { part, method: kind.any(), note: Vec::new(), key: None }
}

#[test]
fn a_device_is_never_asked_to_hold_too_much() {
    const END: usize = 64 << 20;
    let pieces = |parts: &[Proved]| {
        let (stretches, most) = places(parts, END);
        (stretches.iter().map(|one| (one.part, one.piece)).collect::<Vec<_>>(), most)
    };
    use Piece::{Back, Front, Rest, Whole};
    // Two that cross, and one between them.
    let parts = [proved(100, 50, 300..310), proved(200, 20, 0..0), proved(250, 40, 20..30)];
    let (told, most) = pieces(&parts);
    assert_eq!(told, [(2, Back(10)), (0, Front(50)), (1, Whole), (2, Rest(0)), (0, Rest(0))]);
    assert_eq!(
        most, 50,
        "forty of the third and its last ten while it is packed; then also ten of the first"
    );
    // Too far from each other, too near to the end, in each other's place.
    let far = proved(0, 50, APART + 1..APART + 9);
    let last = proved(END - 2 * BLOCK, 50, END - 40..END);
    let over = proved(1_030, 50, 1_200..1_300);
    let (told, _) = pieces(&[far, proved(1_000, 50, 1_100..1_200), over, last]);
    assert_eq!(told, [(1, Front(50)), (1, Rest(0))]);
    // So much at once that one is left as it is.
    let most = HELD_LENGTH as usize;
    let large = |start: usize, bytes: usize| proved(start, bytes, start - 100..start);
    let (told, held) =
        pieces(&[large(3 << 20, most - 100), large(6 << 20, most - 99), proved(9 << 20, 9, 0..0)]);
    assert_eq!((told, held as usize), (vec![(0, Back(100)), (0, Rest(0)), (2, Whole)], most));
    let many: Vec<Proved> =
        (0..PIECES + 9).map(|i| proved(i * 10, 5, 100_000 + i * 10..100_003 + i * 10)).collect();
    let (told, held) = pieces(&many);
    assert_eq!((told.len(), held as usize), (2 * PIECES, 3 * PIECES));
}

/// A device holds all notes between two marks, and there is none where something is held.
#[test]
fn nothing_is_held_where_there_is_too_much_to_note() {
    let told = |start: usize, note: usize| Proved {
        method: Method::ZstdTold(Parser::Linked, 19),
        note: vec![0; note],
        ..proved(start, 50, 0..0)
    };
    let most = NOTES_LENGTH as usize;
    let pieces = |notes: [usize; 3]| {
        let cut = [proved(100, 50, 900..910), proved(2_000, 20, 2_100..2_130)];
        let [before, one, two] =
            [(10, notes[0]), (200, notes[1]), (300, notes[2])].map(|(at, n)| told(at, n));
        let [first, last] = cut;
        let (stretches, held) = places(&[before, first, one, two, last], 1 << 20);
        (
            stretches.iter().filter(|one| one.piece != Piece::Whole).map(|one| one.part).collect::<Vec<_>>(),
            held,
        )
    };
    // Each stands behind its length: a varint of three bytes.
    assert_eq!(pieces([most, most / 2 - 3, most / 2 - 3]), (vec![1, 1, 4, 4], 30));
    assert_eq!(pieces([0, most / 2 - 3, most / 2 - 2]), (vec![4, 4], 30));
    // Nor so that it costs the square of their number.
    let rest = |at: usize| (1 << 20) + at..(1 << 20) + at + 3;
    let many: Vec<Proved> = (0..20_000).map(|i| proved(i * 10, 5, rest(i * 10))).collect();
    assert_eq!(places(&many, 4 << 20).0.len(), 2 * PIECES);
}

#[test]
fn what_is_said_of_two_pieces_keeps_to_its_bounds() {
    use perennial_device_core::delta::DeltaError;
    use perennial_device_core::delta::coder::Decoder;
    use perennial_device_core::delta::packing::layer::{Layer, OldPart, numbers};
    use perennial_schemas::delta::Parts;

    use crate::delta::coder::Encoder;
    let (old, new) = (filesystem(&files(false)), filesystem(&files(true)));
    let apart = take_apart(&old, &new, 1).unwrap();
    let made = &apart.layers.0[0];
    let length = old.len() as u64;
    let read = |layer: &Layer, parts: &Parts| {
        let roomy = Parts { old_packed_most: 1 << 22, held: 1 << 20, ..made.parts };
        let mut encoder = Encoder::default();
        // What an encoder refuses, too, is bad enough.
        Layer::default().code(&mut encoder, &mut numbers(), layer, &roomy, length)?;
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(bytes.iter());
        let mut read = Layer::default();
        read.code(&mut decoder, &mut numbers(), &Layer::default(), parts, length)?;
        Ok::<_, DeltaError>(read)
    };
    assert_eq!(read(&made.layer, &made.parts).as_ref(), Ok(&made.layer));
    let less = Parts { old_packed_most: made.parts.old_packed_most - 1, ..made.parts };
    assert_eq!(read(&made.layer, &less), Err(DeltaError::Parts));
    let with = |change: &dyn Fn(&mut OldPart)| {
        let mut layer = made.layer.clone();
        change(layer.old.iter_mut().find(|part| part.rest.1 > 0).unwrap());
        read(&layer, &made.parts)
    };
    assert_eq!(with(&|part| part.rest.0 = length - u64::from(part.rest.1) + 1), Err(DeltaError::Parts));
    assert_eq!(with(&|part| part.rest.0 = u64::MAX), Err(DeltaError::Parts));
    assert_eq!(with(&|part| part.rest.1 = u32::MAX), Err(DeltaError::Parts));
    let methods: Vec<Method> = made.layer.methods.clone();
    assert!(!methods.is_empty() && methods.iter().all(|method| matches!(method, Method::Deflate(..))));
}

/// The old image has the file in two pieces, the new one as a whole.
#[test]
fn a_file_that_is_in_one_piece_now_is_made_from_its_two() {
    let (of_old, of_new) = (files(false), files(true));
    let old = filesystem(&of_old[..1]);
    let new = [&filesystem(&[])[..], &of_new[0], &text(77, 3_000)].concat();
    let apart = take_apart(&old, &new, 1).unwrap();
    let made = &apart.layers.0[0];
    assert!(made.layer.old[0].rest.1 > 0 && made.layer.new.iter().all(|part| part.piece == Piece::Whole));
    assert!(made.parts.held > 0);
    let container = delta(&old, &new, true);
    let mut out = Vec::new();
    let header = apply(&old, &container, 16 << 20, &mut out).unwrap();
    assert!(out == new && header.layers.len() == 1, "taken apart it is smaller: {}", container.len());
}
