//! Files of a tar archive (POSIX.1-2024 `pax`, and GNU's long names). The crate `tar` reads headers; records of unbounded length,
//! which it would read whole, are left to this loop.

use tar::{EntryType, Header, PaxExtensions};

use super::{LONGEST_PATH, MOST, Place, bytes};
use crate::delta::source::Source;

const RECORD: u64 = 512;

/// Those that have content, and where that stands.
pub(super) fn files(image: &dyn Source) -> Vec<Place> {
    let mut found = Vec::new();
    let mut at = 0;
    // What a record before a header says of its file.
    let (mut path, mut length) = (None, None);
    while found.len() < MOST {
        let Some(record) = bytes(image, at, RECORD as usize) else { break };
        let header = Header::from_byte_slice(&record);
        let Some(told) = is_sound(header, &record).then(|| header.entry_size().ok()).flatten() else { break };
        let start = at + RECORD;
        let kind = header.entry_type();
        let text =
            || bytes(image, start, usize::try_from(told).ok().filter(|told| *told <= LONGEST_PATH * 2)?);
        let mut size = told;
        match kind {
            EntryType::GNULongName => path = text().map(|text| lossy(text.split(|byte| *byte == 0).next())),
            EntryType::XHeader => (path, length) = text().map_or((None, None), |text| extended(&text)),
            EntryType::XGlobalHeader | EntryType::GNULongLink => {}
            _ => {
                size = length.take().unwrap_or(told);
                let name = path.take().unwrap_or_else(|| lossy(Some(&header.path_bytes())));
                let end = start.checked_add(size).filter(|end| *end <= image.length());
                let Some(end) = end else { break };
                if end > start {
                    found.push(Place::whole(name, start..end));
                }
            }
        }
        let Some(next) = size.checked_next_multiple_of(RECORD).and_then(|size| start.checked_add(size))
        else {
            break;
        };
        at = next;
    }
    found
}

/// Whether a header's sum is right: the field itself counts as blanks.
fn is_sound(header: &Header, record: &[u8]) -> bool {
    let sum: u32 = record
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    header.cksum().is_ok_and(|said| said == sum)
}

/// Path and length that a pax record tells.
fn extended(text: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut path, mut length) = (None, None);
    for told in PaxExtensions::new(text).flatten() {
        match told.key_bytes() {
            b"path" => path = Some(lossy(Some(told.value_bytes()))),
            b"size" => length = told.value().ok().and_then(|value| value.parse().ok()),
            _ => {}
        }
    }
    (path, length)
}

fn lossy(name: Option<&[u8]>) -> String {
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}
