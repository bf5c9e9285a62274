//! What the suffix array is built over: the old image, or the granules of it that are left.
//!
//! Decides where a place in the text lies in the old image. Granules stay in their order, so that what was together
//! in the old image is together in the text, and a match that crosses from one granule to a strange one is shortened
//! by whoever compares it with the image itself.

use std::borrow::Cow;

/// The old image is taken or left by pieces of this size in bytes.
pub(super) const GRANULE: usize = 4096;
const GRANULE_BITS: u32 = GRANULE.trailing_zeros();

/// Bytes of the old image, to be searched.
pub(super) struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    /// The granules of the old image that the text consists of, ascending; none means all of it.
    granules: Option<Vec<u32>>,
}

impl<'a> Text<'a> {
    /// The whole image, not copied.
    pub(super) fn whole(old: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(old), granules: None }
    }

    /// These granules of it (ascending), copied.
    pub(super) fn of(old: &[u8], granules: Vec<u32>) -> Self {
        let mut bytes = Vec::with_capacity(granules.len() * GRANULE);
        for granule in &granules {
            let from = *granule as usize * GRANULE;
            bytes.extend_from_slice(&old[from..(from + GRANULE).min(old.len())]);
        }
        Self { bytes: Cow::Owned(bytes), granules: Some(granules) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The offset in the old image of what stands at `at` in the text.
    pub(super) fn old(&self, at: usize) -> usize {
        match &self.granules {
            None => at,
            Some(granules) => {
                ((granules[at >> GRANULE_BITS] as usize) << GRANULE_BITS) | (at & (GRANULE - 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_text_is_found_in_the_image() {
        let old: Vec<u8> = (0..10_000_u32).map(|n| (n / 7) as u8).collect();
        let whole = Text::whole(&old);
        assert_eq!(whole.bytes(), old);
        assert_eq!(whole.old(9_999), 9_999);
        let some = Text::of(&old, vec![0, 2]);
        assert_eq!(some.bytes().len(), GRANULE + 10_000 - 2 * GRANULE);
        for (at, byte) in some.bytes().iter().enumerate() {
            assert_eq!(old[some.old(at)], *byte);
        }
        assert_eq!(some.old(GRANULE), 2 * GRANULE);
    }
}
