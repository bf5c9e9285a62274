//! Images with the fields of their references set to zero, so that code that only moved is the same.

use perennial_device_core::delta::refs::{LOOK_AHEAD, LOOK_BEHIND, Reference, Scanner};
use perennial_device_core::delta::space::{Section, Space};

use super::detect::{self, Described, Hint};

/// Both images, masked. The new one is described the other way around: it is read as if it were the old one.
pub fn masked(old: &[u8], new: &[u8], described: &Described, hint: &Hint) -> (Vec<u8>, Vec<u8>) {
    let turned = detect::describe(new, old, hint);
    (mask(old, described), mask(new, &turned))
}

fn mask(image: &[u8], described: &Described) -> Vec<u8> {
    let mut masked = image.to_vec();
    for section in &described.sections {
        let Some(space) = described.spaces.get(usize::from(section.space)) else { continue };
        each(image, section, space, &mut |at, reference| {
            let field = reference.field.mask();
            for (byte, bits) in masked[at..].iter_mut().zip(&field[..reference.field.width()]) {
                *byte &= !bits;
            }
        });
    }
    masked
}

const BLOCK: usize = 1 << 16;

/// Every reference of a section, with its offset in the image.
pub fn each(image: &[u8], section: &Section, space: &Space, take: &mut dyn FnMut(usize, &Reference)) {
    let start = section.start as usize;
    let end = (start + section.length as usize).min(image.len());
    let Some(address) = space.old_address(section.start) else { return };
    let mut scanner = Scanner::new(section, address);
    let mut found = Vec::with_capacity(BLOCK);
    let mut at = start;
    while at < end {
        let stop = end.min(at + BLOCK);
        let behind = (at - start).min(LOOK_BEHIND);
        let window = &image[at - behind..end.min(stop + LOOK_AHEAD)];
        found.clear();
        let place = address.wrapping_add((at - start) as u64);
        scanner.scan(window, behind, behind + stop - at, place, space, &mut found);
        for reference in &found {
            let field = at + reference.at as usize;
            if field + reference.field.width() <= end {
                take(field, reference);
            }
        }
        at = stop;
    }
}
