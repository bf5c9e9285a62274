//! Parts that stay as the old image has them, as whoever makes deltas up may tell them.

use alloc::vec;

use perennial_schemas::delta::{ImageId, Parts, Profile, Sizes};

use super::layer::{METHODS, NewPart, OldPart, Piece};
use super::method::Method;
use super::*;
use crate::delta::model::number::tests::Kept;

const OLD: [u8; 4096] = {
    let mut bytes = [0; 4096];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at * 7 % 251) as u8;
        at += 1;
    }
    bytes
};

/// A part of the old image, packed.
fn part(start: u64, packed: u32) -> OldPart {
    OldPart { start, content: start, packed, length: 30, ..OldPart::default() }
}

/// A part of the new image that is that one.
fn same(content: u64, length: u64, old: u32) -> NewPart {
    NewPart { content, length, old, ..NewPart::default() }
}

fn layer(old: &[OldPart], new: &[NewPart]) -> Layer {
    Layer { methods: vec![Method::Same], old: old.to_vec(), new: new.to_vec() }
}

/// What comes out where `content` goes in, for a new image of so many bytes; and how it ended.
fn made(layer: Layer, held: u32, content: &[u8], length: u64) -> (Vec<u8>, Result<(), DeltaError>) {
    let parts = Parts { same: true, held, ..Parts::default() };
    let id = |length| ImageId { length, digest: [0; 16] };
    let sizes = Sizes {
        block_bits: 6,
        context_bits: 6,
        learned_bits: 4,
        history_bits: 0,
        operations: 1,
        sections: 0,
        segments: 0,
    };
    let kinds = [FrameKind::Parts, FrameKind::Map, FrameKind::Data(content.len() as u64)];
    let header = Header {
        profile: Profile::Linux,
        sizes,
        in_place: None,
        old: id(OLD.len() as u64),
        new: id(length),
        layers: vec![parts],
        frames: kinds.map(|kind| Frame { kind, length: 1 }).to_vec(),
    };
    let mut packing = Packing::new(&header).unwrap();
    (packing.layers[0], packing.told) = (layer, 1);
    packing.begin(2, 0, &header).unwrap();
    let mut out = Vec::new();
    let mut old = &OLD[..];
    let image = RefCell::new(&mut old as &mut dyn OldImage);
    let mut take = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        Ok(())
    };
    let (_, mut write) = packing.between(&image, &mut take);
    let ended = content.chunks(7).try_for_each(&mut write);
    drop(write);
    (out, ended.and_then(|()| packing.done(2, &header)))
}

#[test]
fn a_part_that_stays_as_it_is_is_copied_whatever_goes_in() {
    let layer = layer(&[part(10, 500), part(3_000, 40)], &[same(3, 30, 1), same(40, 0, 0), same(41, 2, 0)]);
    let (out, ended) = made(layer, 0, &[9; 50], 1_068);
    let expected = [&[9; 3][..], &OLD[3_000..3_040], &[9; 7], &OLD[10..510], &[9], &OLD[10..510], &[9; 7]];
    assert!(out[..] == expected.concat()[..1_058], "{}", out.len());
    assert_eq!(ended, Ok(()));
}

/// A part without content costs a delta next to nothing, and brings in 4 KiB each time: never more than the image has.
#[test]
fn no_more_comes_out_than_the_image_has() {
    let many: Vec<NewPart> = (0..50_000).map(|_| same(1, 0, 0)).collect();
    for length in [1, 4_097, 10_000] {
        let (out, ended) = made(layer(&[part(0, 4_096)], &many), 0, &[9; 2], length);
        assert_eq!(ended, Err(DeltaError::Length), "{length}");
        assert!(out.len() as u64 <= length, "{} of {length}", out.len());
    }
}

#[test]
fn nothing_is_read_past_the_old_image() {
    for old in [part(4_000, 97), part(4_096, 1), part(1 << 38, 1 << 22)] {
        let (out, ended) = made(layer(&[old], &[same(0, 1, 0)]), 0, &[9], 1 << 30);
        assert_eq!((out.len(), ended), (0, Err(DeltaError::PastOld)), "{old:?}");
    }
    let (_, ended) = made(layer(&[part(0, 9)], &[same(0, 1, 1)]), 0, &[9], 1 << 30);
    assert_eq!(ended, Err(DeltaError::Parts), "there is no such part");
}

#[test]
fn no_more_of_it_is_held_than_is_declared() {
    let pieces = |piece, packed, held| {
        let rest = NewPart { content: 2, piece: Piece::Rest(0), ..NewPart::default() };
        let new = [NewPart { piece, ..same(0, 1, 0) }, rest];
        made(layer(&[part(100, packed)], &new), held, &[9; 3], 1 << 30)
    };
    let (out, ended) = pieces(Piece::Front(15), 20, 5);
    assert_eq!((&out[..], ended), (&[&OLD[100..115], &[9], &OLD[115..120], &[9]].concat()[..], Ok(())));
    let (out, ended) = pieces(Piece::Back(5), 20, 20);
    assert_eq!((&out[..], ended), (&[&OLD[115..120], &[9], &OLD[100..115], &[9]].concat()[..], Ok(())));
    let refused = |piece, packed, held| pieces(piece, packed, held).1;
    assert_eq!(refused(Piece::Front(15), 20, 4), Err(DeltaError::Parts));
    assert_eq!(refused(Piece::Back(5), 3_900, 3_899), Err(DeltaError::Parts));
    assert_eq!(refused(Piece::Front(21), 20, 5), Err(DeltaError::Part), "shorter than its piece");
}

/// What a decoder says to a frame that tells this.
fn told(known: &Layer, parts: &Parts, old_length: u64) -> Result<Layer, DeltaError> {
    let mut coder = Kept::default();
    let mut read = Layer::default();
    let mut code = |coder: &mut Kept, known: &Layer| {
        // Where both refuse it, what was told up to there is all that a decoder hears.
        read.code(coder, &mut numbers(), known, parts, old_length)
    };
    let written = code(&mut coder, known);
    coder.reads = true;
    assert_eq!(code(&mut coder, &Layer::default()), written);
    written.map(|()| read)
}

#[test]
fn a_frame_that_names_what_is_not_there_is_refused() {
    let known = layer(&[part(10, 500), OldPart { content: 50, ..part(520, 40) }], &[same(3, 30, 1)]);
    let parts = Parts {
        old_parts: 2,
        new_parts: 1,
        old: 4_096 - 540 + 60,
        new: 50,
        old_packed_most: 500,
        old_most: 30,
        same: true,
        ..Parts::default()
    };
    assert_eq!(told(&known, &parts, 4_096).as_ref(), Ok(&known));
    let refused =
        |known: &Layer, parts: Parts| assert_eq!(told(known, &parts, 4_096), Err(DeltaError::Parts));
    refused(&known, Parts { same: false, ..parts });
    for old in [2, 65_536, u32::MAX] {
        refused(&layer(&known.old, &[same(3, 30, old)]), parts);
    }
    refused(&layer(&[], &known.new), Parts { old_parts: 0, old: 4_096, ..parts });
    refused(&layer(&known.old, &[same(u64::MAX, 30, 1)]), parts);
    refused(&layer(&known.old, &[same(3, u64::MAX - 2, 1)]), parts);
    refused(&layer(&known.old, &[NewPart { method: 1, ..same(3, 30, 1) }]), parts);
    refused(&layer(&[part(10, 500), part(4_057, 40)], &known.new), parts);
    refused(&Layer { methods: vec![Method::Same; METHODS + 1], ..known.clone() }, parts);
    // No level belongs to it.
    let mut coder = Kept::default();
    coder.plain(10, 4);
    coder.plain(3, 5);
    coder.reads = true;
    assert_eq!(Method::code(&mut coder, None), Err(DeltaError::Parts));
}
