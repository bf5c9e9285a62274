//! Every reference of a section: the device's recogniser over an image that is there as a whole, block by block.
//!
//! Decides nothing.

use perennial_device_core::delta::refs::{LOOK_AHEAD, LOOK_BEHIND, Reference, Scanner};
use perennial_device_core::delta::space::{Section, Space};

const BLOCK: usize = 1 << 16;

/// Hands on every reference of `section`, whose bytes these are, with the offset of its field in the image. None where the section has no address
/// in `space`.
pub(super) fn references(
    bytes: &[u8],
    section: &Section,
    space: &Space,
    take: &mut dyn FnMut(usize, &Reference),
) {
    let Some(address) = space.old_address(section.start) else { return };
    let end = bytes.len().min(section.length as usize);
    let mut scanner = Scanner::new(section, address);
    let mut found = Vec::with_capacity(BLOCK / 2 + 1);
    for at in (0..end).step_by(BLOCK) {
        let stop = end.min(at + BLOCK);
        let behind = at.min(LOOK_BEHIND);
        let window = &bytes[at - behind..end.min(stop + LOOK_AHEAD)];
        let place = address.wrapping_add(at as u64);
        found.clear();
        scanner.scan(window, behind, behind + stop - at, place, space, &mut found);
        let at = section.start as usize + at;
        found.iter().for_each(|reference| take(at + reference.at as usize, reference));
    }
}
