//! Files of cpio archives, one behind the other, as kernels unpack them (the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

use super::{LONGEST_PATH, MOST, Place, bytes};
use crate::delta::source::Source;

const HEADER: usize = 110;
const MAGICS: [&[u8]; 2] = [b"070701", b"070702"];
/// The fields of a header, eight digits each, that are read: how long the content is, and the name with its NUL.
const LENGTH: usize = 6;
const NAME: usize = 11;
const LAST: &str = "TRAILER!!!";
/// Zeros between two archives, at most.
const PADDING: u64 = 4096;

/// Those that have content, and where that stands.
pub(super) fn files(image: &dyn Source) -> Vec<Place> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < MOST {
        let Some((place, end)) = file(image, at) else { break };
        at = if place.name == LAST { next_archive(image, end) } else { end };
        if place.ranges.iter().any(|range| !range.is_empty()) {
            found.push(place);
        }
    }
    found
}

/// The file whose header stands here, and where the next one would.
fn file(image: &dyn Source, at: u64) -> Option<(Place, u64)> {
    let header = bytes(image, at, HEADER)?;
    if !MAGICS.contains(&&header[..6]) {
        return None;
    }
    let field = |number: usize| {
        let digits = std::str::from_utf8(&header[6 + 8 * number..14 + 8 * number]).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (length, name) = (u64::from(field(LENGTH)?), field(NAME)? as usize);
    let name = bytes(image, at + HEADER as u64, Some(name).filter(|name| *name <= LONGEST_PATH)?)?;
    // Both are padded to four bytes, counted from the archive's start.
    let start = (at + (HEADER + name.len()) as u64).next_multiple_of(4);
    let end = start.checked_add(length).filter(|end| *end <= image.length())?;
    let name = name.strip_suffix(&[0]).unwrap_or(&name);
    let place = Place::whole(String::from_utf8_lossy(name).into_owned(), start..end);
    Some((place, end.next_multiple_of(4)))
}

fn next_archive(image: &dyn Source, at: u64) -> u64 {
    let length = image.length().saturating_sub(at).min(PADDING) as usize;
    let zeros = bytes(image, at, length).unwrap_or_default();
    at + zeros.iter().take_while(|byte| **byte == 0).count() as u64
}
