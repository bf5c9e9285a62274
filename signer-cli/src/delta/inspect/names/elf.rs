//! Sections of an ELF file, 32 or 64 bits, little-endian.

use super::{Place, bytes, half, long, word};
use crate::delta::source::Source;

/// More sections than this are no help to a reader.
const MOST: u16 = 4_096;
/// A name's length in bytes, at most.
const NAME: u64 = 64;

/// Those with content.
pub(super) fn sections(image: &dyn Source) -> Vec<Place> {
    read(image).unwrap_or_default()
}

fn read(image: &dyn Source) -> Option<Vec<Place>> {
    let header = bytes(image, 0, 64)?;
    let wide = match header.get(..6)? {
        [0x7f, b'E', b'L', b'F', 2, 1] => true,
        [0x7f, b'E', b'L', b'F', 1, 1] => false,
        _ => return None,
    };
    let address =
        |bytes: &[u8], at: usize| if wide { long(bytes, at) } else { word(bytes, at).map(u64::from) };
    // Where the table stands; an entry's length, how many there are, and which of them has the names.
    let [table, size, count, names] = if wide { [0x28, 0x3a, 0x3c, 0x3e] } else { [0x20, 0x2e, 0x30, 0x32] };
    let (table, size) = (address(&header, table)?, half(&header, size)?);
    let (count, names) = (half(&header, count)?.min(MOST), half(&header, names)?);
    let entries = bytes(image, table, usize::from(count) * usize::from(size))?;
    // Name, type, where in the file, how long.
    let entry = |number: u16| {
        let entry = entries.get(usize::from(number) * usize::from(size)..)?;
        let [offset, length] = if wide { [0x18, 0x20] } else { [0x10, 0x14] };
        Some((word(entry, 0)?, word(entry, 4)?, address(entry, offset)?, address(entry, length)?))
    };
    let (_, _, strings, _) = entry(names)?;
    let mut found = Vec::new();
    for number in 0..count {
        let Some((name, kind, offset, length)) = entry(number) else { continue };
        let end = offset.checked_add(length).filter(|end| *end <= image.length());
        // SHT_NULL has no bytes, SHT_NOBITS none in the file.
        let (Some(end), false) = (end, matches!(kind, 0 | 8) || length == 0) else { continue };
        found.push(Place::whole(text(image, strings.checked_add(u64::from(name))?), offset..end));
    }
    Some(found)
}

fn text(image: &dyn Source, at: u64) -> String {
    let length = image.length().saturating_sub(at).min(NAME) as usize;
    let bytes = bytes(image, at, length).unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
