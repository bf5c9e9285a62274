//! Parts that were packed while a delta was made, so that its proof needn't pack them again.
//!
//! Decides nothing. What a part holds was packed by the device's own code when it was found out how it is packed, and gave the very
//! bytes that the new image has there. By a digest of content, method and note these are taken for what packing gives; anything
//! else is packed. Whatever was wrong with them, the new image's digest tells.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use perennial_device_core::delta::packing::codec::PackedBefore;
use perennial_device_core::delta::packing::method::{Method, Parser};
use perennial_schemas::Sha256Digest;
use perennial_schemas::crypto::{Digest, RunningDigest};

use crate::crypto::Ring;
use crate::delta::source::Source;

/// Packed bytes that are held while a delta is proved; what goes beyond is packed again.
const MOST: u64 = 256 << 20;

/// What stands for a part: the same content, packed by the same method with the same note.
pub(super) type Key = Sha256Digest;

/// Of parts that are packed as a whole; what streams through takes little time.
pub(super) fn key(method: &Method, content: &[u8], note: &[u8]) -> Option<Key> {
    let numbers = match *method {
        Method::Zstd(level) => [0, level],
        Method::ZstdTold(Parser::Linked, level) => [1, level],
        Method::ZstdTold(Parser::Earlier, level) => [2, level],
        Method::Deflate(..) | Method::Same => return None,
    };
    let mut running = Ring.start();
    running.update(&numbers);
    running.update(&(content.len() as u64).to_le_bytes());
    running.update(content);
    running.update(note);
    Some(running.finish())
}

/// Where parts stand in the new image that were packed.
#[derive(Debug, Default)]
pub struct Places(pub(super) Vec<(Key, Range<u64>)>);

impl Places {
    /// Reads what stands there.
    ///
    /// # Errors
    /// As the new image.
    pub fn read(&self, new: &dyn Source) -> io::Result<Box<dyn PackedBefore>> {
        let mut found = Before::default();
        for (key, range) in &self.0 {
            let (start, length) = (found.bytes.len(), (range.end - range.start) as usize);
            if (start + length) as u64 > MOST {
                break;
            }
            found.bytes.resize(start + length, 0);
            new.read_at(range.start, &mut found.bytes[start..])?;
            found.places.insert(*key, start..start + length);
        }
        Ok(Box::new(found))
    }
}

/// Parts that were packed.
#[derive(Default)]
struct Before {
    bytes: Vec<u8>,
    places: HashMap<Key, Range<usize>>,
}

impl PackedBefore for Before {
    fn packed(&mut self, method: &Method, content: &[u8], note: &[u8]) -> Option<&[u8]> {
        let place = self.places.get(&key(method, content, note)?)?;
        self.bytes.get(place.clone())
    }
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Before").field("parts", &self.places.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{image_of, otherwise, packed, settings};
    use super::*;
    use crate::delta::apply::{ApplyError, apply, prove};
    use crate::delta::make::make_from;

    #[test]
    fn a_delta_is_proved_with_what_was_packed_to_make_it_and_with_nothing_else() {
        let ours: &dyn Fn(&[u8]) -> Vec<u8> = &|content| packed(Method::Zstd(15), content);
        for block in [ours, &otherwise] {
            let (old, new) = (image_of(false, block), image_of(true, block));
            let (from, to): (&dyn Source, &dyn Source) = (&&old[..], &&new[..]);
            let made = make_from(from, to, &settings(true), &Default::default()).unwrap();
            assert_eq!(made.packed.0.len(), 3, "of each block that changed");
            assert_eq!(prove(from, to, &made, &Default::default()).unwrap().new.length, new.len() as u64);
            let mut out = Vec::new();
            apply(&old, &made.bytes, u64::MAX, &mut out).unwrap();
            assert!(out == new, "nor does it need them");
            let mut other = new.clone();
            other[made.packed.0[1].1.start as usize + 20] ^= 1;
            let refused = prove(from, &&other[..], &made, &Default::default());
            assert!(matches!(refused, Err(ApplyError::OtherNew)), "{refused:?}");
        }
    }

    #[test]
    fn only_the_same_content_method_and_note_were_packed_before() {
        let (method, frame) = (Method::ZstdTold(Parser::Linked, 15), b"a frame that is packed".as_slice());
        let known = key(&method, b"content", b"note").unwrap();
        let places = Places(vec![(known, 2..7)]);
        let mut before = places.read(&frame).unwrap();
        assert_eq!(before.packed(&method, b"content", b"note"), Some(&frame[2..7]));
        for (method, content, note) in [
            (Method::ZstdTold(Parser::Linked, 16), "content", "note"),
            (Method::Zstd(15), "content", "note"),
            (method, "other", "note"),
            (method, "content", "other"),
            (method, "contentn", "ote"),
        ] {
            assert_eq!(before.packed(&method, content.as_bytes(), note.as_bytes()), None);
        }
        assert_eq!(key(&Method::Same, b"content", b""), None);
    }
}
