//! How large images are matched.

use super::super::matching::tests::noise;
use super::*;
use crate::delta::apply::apply;
use crate::delta::matching::Match;
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
    let marked = mark(&mut old.clone(), &described, Marks::All);
    assert!(marked.held() > 0, "there is something to mask");
    let (stop, mut told) = (AtomicBool::new(false), |_| ControlFlow::Continue(()));
    let mut watch = Watch::new(&mut told, &stop);
    let of = (&described, &turned, way);
    let pieces = pieces_of_partial(&mut images, of, &matching::Options::default(), &mut watch).unwrap();
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
            coded(&mut images, &|_, _| Ok(()), &pieces, &described, Profile::Mcu, cut, &mut |_| true)
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
