//! How large images are matched.

use std::io;

use super::super::apply::{apply, apply_from, prove};
use super::super::inspect::inspect;
use super::super::matching::Match;
use super::super::matching::tests::noise;
use super::super::packing::tests::{image_of, packed, settings};
use super::super::progress::tests::{stages, told};
use super::*;
use perennial_device_core::delta::packing::method::Method;
use perennial_device_core::delta::refs::SectionKind;
use perennial_device_core::delta::space::{Section, Segment, Space};

/// What parts hold may be several times what an image that is read whole has.
#[test]
fn images_that_take_much_are_masked_in_their_place_and_come_back() {
    let old = noise(1 << 20, 1);
    let mut new = old.clone();
    new.splice(300_000..300_000, noise(5_000, 2));
    let mut images = Images { old: Partial::of(old.clone(), Vec::new()), ..Images::whole(&[], &new) };
    let held = partial::held(&old) + partial::held(&new);
    let way = Some(Marks::All);
    assert!(has_room_for_masks(&images, way, held * WHOLE));
    assert!(!has_room_for_masks(&images, way, held * WHOLE - WHOLE));
    assert!(has_room_for_masks(&images, None, 0), "nothing is masked");
    let code = Hint::Raw { kind: SectionKind::Thumb, address: 0x8000 };
    let described = detect::describe(&images.old, &images.new, &code);
    let turned = detect::describe(&images.new, &images.old, &code);
    let marked = mark(&mut old.clone(), &described, Marks::All, &Progress::default());
    assert!(marked.held() > 0, "there is something to mask");
    let progress = Progress::default();
    let of = (&described, &turned, way);
    let pieces = pieces_of_partial(&mut images, of, &matching::Options::default(), &progress).unwrap();
    assert!(images.old.bytes() == old && images.new.bytes() == new);
    let copied = pieces.iter().map(|piece| match piece {
        Piece::Copy(copy) => copy.length,
        Piece::Fill { length, .. } => *length,
    });
    assert!(copied.sum::<u64>() > (1 << 20) - 1_000);
}

/// Of firmware in many sections less is told at a time, until a microcontroller has memory for it.
#[test]
fn a_delta_for_a_microcontroller_needs_no_more_than_one_has() {
    let old = noise(400_000, 3);
    let mut new = old.clone();
    new.iter_mut().step_by(700).for_each(|byte| *byte ^= 1);
    let length = old.len() as u64;
    let (old_length, old_memory) = (length, length);
    let segment = Segment { old_length, old_memory, new_length: length, new_memory: length, ..DATA };
    let sections = |each: u64| {
        let starts = (0..length).step_by(each as usize);
        let kind = SectionKind::Pointers32;
        starts.map(|start| Section { kind, start, length: each.min(length - start), space: 0 }).collect()
    };
    let pieces = |each: u64| {
        let starts = (0..length).step_by(each as usize);
        let copy = |new| Piece::Copy(Match { old: new, new, length: each.min(length - new) });
        starts.map(copy).collect::<Vec<_>>()
    };
    // As it is; in several units; in one step with more sections than there is memory for.
    for (section, piece, units) in [(4_000, 1_000, 1), (200, 1_000, 2), (200, length, 1)] {
        let spaces = vec![Space::new(vec![segment]).unwrap()];
        let described = Described { spaces, sections: sections(section) };
        let mut images = Images::whole(&old, &new);
        let (pieces, cut) = (pieces(piece), Cut::Full);
        let (sizes, frames) =
            coded(&mut images, &|_, _| Ok(()), &pieces, &described, Profile::Mcu, cut, &Progress::default())
                .unwrap();
        let maps = frames.frames.iter().filter(|frame| frame.kind == FrameKind::Map).count();
        assert!(maps >= units && (sizes.sections > 0) == (piece < length), "{maps} maps, {sizes:?}");
        let header = Header {
            profile: Profile::Mcu,
            sizes,
            in_place: None,
            old: identity(&old),
            new: identity(&new),
            layers: Vec::new(),
            frames: frames.frames,
        };
        let mut out = Vec::new();
        apply(&old, &[header.encode(), frames.bytes].concat(), 64 << 10, &mut out).unwrap();
        assert!(out == new);
    }
}

/// What stands in one map needn't be told again in the next one.
#[test]
fn a_map_has_as_many_steps_as_there_is_memory_for_beside_parts() {
    let old = noise(1 << 20, 5);
    let apart = Layers::default();
    // Every second block of eight bytes comes again.
    let new: Vec<u8> = old.chunks(8).step_by(2).flatten().copied().collect();
    let copy = |at: u64| Piece::Copy(Match { old: 16 * at, new: 8 * at, length: 8 });
    let pieces: Vec<Piece> = (0..new.len() as u64 / 8).map(copy).collect();
    assert!(pieces.len() > FEWEST_BESIDE_PARTS);
    let mut images = Images::whole(&old, &new);
    let (described, cut) = (Described::default(), Cut::Between(&apart));
    let (_, frames) =
        coded(&mut images, &|_, _| Ok(()), &pieces, &described, Profile::Linux, cut, &Progress::default())
            .unwrap();
    let maps = frames.frames.iter().filter(|frame| frame.kind == FrameKind::Map).count();
    assert_eq!(maps, 1);
}

const DATA: Segment = Segment {
    old: 0,
    old_length: 0,
    old_address: 0x1000,
    old_memory: 0,
    new: 0,
    new_length: 0,
    new_address: 0x1000,
    new_memory: 0,
    code: false,
};

/// The stages of making a delta and proving it, then those of applying it and looking into it.
fn stages_of(old: &[u8], new: &[u8], settings: &Settings) -> [Vec<Stage>; 3] {
    let (from, to): (&dyn Source, &dyn Source) = (&old, &new);
    let mut made = None;
    let making = told(|progress| {
        let delta = make_from(from, to, settings, progress).unwrap();
        prove(from, to, &delta, progress).unwrap();
        made = Some(delta.bytes);
    });
    let delta = made.unwrap();
    let applying = told(|progress| {
        apply_from(from, &delta, u64::MAX, &mut io::sink(), progress).unwrap();
    });
    let looking = told(|progress| {
        inspect(&delta, None, progress).unwrap();
        inspect(&delta, Some(from), progress).unwrap();
    });
    [making, applying, looking].map(|told| stages(&told))
}

const MATCHED: [Stage; 4] = [Stage::Sorting, Stage::Matching, Stage::Choosing, Stage::Encoding];
const PROVED: [Stage; 2] = [Stage::Reading, Stage::Proving];

#[test]
fn each_stage_is_told_in_its_order_and_to_its_end() {
    let old = noise(3 << 20, 1);
    let mut new = old.clone();
    new.splice(300_000..300_000, noise(5_000, 2));
    let code = Hint::Raw { kind: SectionKind::Thumb, address: 0x8000 };
    let [made, applied, looked] = stages_of(&old, &new, &Settings { code, ..Settings::default() });
    let begun = [Stage::Reading, Stage::Unpacking, Stage::Describing, Stage::Masking];
    assert_eq!(made, [&begun[..], &MATCHED, &PROVED].concat());
    assert_eq!(applied, [Stage::Reading, Stage::Applying]);
    assert_eq!(looked, [Stage::Inspecting, Stage::Reading, Stage::Inspecting]);
}

#[test]
fn each_stage_of_packed_parts_is_told() {
    let block = |content: &[u8]| packed(Method::Zstd(15), content);
    let (old, new) = (image_of(false, &block), image_of(true, &block));
    let [made, ..] = stages_of(&old, &new, &settings(true));
    let layer = [Stage::Unpacking, Stage::Packing, Stage::Unpacking];
    // Parts of parts; then once more as they are.
    let apart = [&layer[..], &layer[1..], &[Stage::Describing]].concat();
    let whole = [&[Stage::Describing][..], &MATCHED].concat();
    assert_eq!(made, [&[Stage::Reading][..], &apart, &MATCHED, &whole, &PROVED].concat());
}

#[test]
fn each_stage_of_large_images_is_told() {
    let old = noise(11 << 20, 3);
    let mut new = old.clone();
    new.splice(300_000..300_000, noise(5_000, 2));
    let mut settings = Settings { code: Hint::None, packing: false, ..Settings::default() };
    settings.matching.memory_limit = 80 << 20;
    let [made, ..] = stages_of(&old, &new, &settings);
    let begun = [Stage::Reading, Stage::Comparing, Stage::Reading, Stage::Describing, Stage::Comparing];
    assert_eq!(made, [&begun[..], &MATCHED, &PROVED].concat());
}

#[test]
fn each_stage_of_a_slot_that_is_rewritten_is_told() {
    let old = noise(100_000, 4);
    let mut new = old.clone();
    new.splice(50_000..50_000, noise(3_000, 5));
    let place = InPlace { sector_bits: 12, sectors: 30 };
    let [made, applied, _] =
        stages_of(&old, &new, &Settings { in_place: Some(place), ..Settings::default() });
    assert_eq!(made[..2], [Stage::Reading, Stage::Describing]);
    assert!(made.ends_with(&[Stage::Encoding, Stage::Reading, Stage::Proving, Stage::Rewriting]), "{made:?}");
    assert_eq!(applied, [Stage::Reading, Stage::Applying, Stage::Rewriting]);
}
