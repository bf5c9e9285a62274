//! Names for places of an image: the sections of an ELF file, 32 or 64 bits, little-endian. Decides nothing; what is no such
//! file, or a damaged one, has no names.

use std::ops::Range;

/// More sections than this are no help to a reader.
const MOST: usize = 4_096;
/// A name's length in bytes, at most.
const NAME: usize = 64;

/// Sections with content, in the order of their places.
pub(super) fn sections(image: &[u8]) -> Vec<(String, Range<u64>)> {
    let mut found = read(image).unwrap_or_default();
    found.sort_by_key(|(_, range)| (range.start, range.end));
    found
}

fn read(image: &[u8]) -> Option<Vec<(String, Range<u64>)>> {
    let wide = match image.get(..6)? {
        [0x7f, b'E', b'L', b'F', 2, 1] => true,
        [0x7f, b'E', b'L', b'F', 1, 1] => false,
        _ => return None,
    };
    let half =
        |at: usize| Some(u64::from(u16::from_le_bytes(image.get(at..at.checked_add(2)?)?.try_into().ok()?)));
    let word =
        |at: usize| Some(u64::from(u32::from_le_bytes(image.get(at..at.checked_add(4)?)?.try_into().ok()?)));
    let long = |at: usize| Some(u64::from_le_bytes(image.get(at..at.checked_add(8)?)?.try_into().ok()?));
    let address = |at: usize| if wide { long(at) } else { word(at) };
    let (table, size, count, names) = if wide {
        (long(0x28)?, half(0x3a)?, half(0x3c)?, half(0x3e)?)
    } else {
        (word(0x20)?, half(0x2e)?, half(0x30)?, half(0x32)?)
    };
    // Name, type, where in the file, how long.
    let entry = |number: u64| {
        let at = usize::try_from(table.checked_add(number * size)?).ok()?;
        let [offset, length] = if wide { [0x18, 0x20] } else { [0x10, 0x14] };
        Some((word(at)?, word(at + 4)?, address(at + offset)?, address(at + length)?))
    };
    let (_, _, strings, _) = entry(names)?;
    let mut found = Vec::new();
    for number in 0..(count as usize).min(MOST) as u64 {
        let Some((name, kind, offset, length)) = entry(number) else { continue };
        let end = offset.checked_add(length).filter(|end| *end <= image.len() as u64);
        // SHT_NULL has no bytes, SHT_NOBITS none in the file.
        let (Some(end), false) = (end, matches!(kind, 0 | 8) || length == 0) else { continue };
        found.push((text(image, strings.checked_add(name)?), offset..end));
    }
    Some(found)
}

fn text(image: &[u8], at: u64) -> String {
    let from = usize::try_from(at).ok().and_then(|at| image.get(at..)).unwrap_or_default();
    let end = from.iter().take(NAME).position(|byte| *byte == 0).unwrap_or(from.len().min(NAME));
    String::from_utf8_lossy(&from[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_has_a_text_section() {
        let image = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = sections(&image);
        assert!(found.iter().any(|(name, range)| name == ".text" && range.end > range.start), "{found:?}");
        assert!(found.is_sorted_by_key(|(_, range)| range.start));
        // Cut anywhere it is no reason to fail.
        for cut in [0, 5, 6, 63, 64, 4096, image.len() - 1] {
            let _ = sections(&image[..cut]);
        }
    }
}
