//! How large images are matched.

use super::super::matching::tests::noise;
use super::*;
use perennial_device_core::delta::refs::SectionKind;

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
