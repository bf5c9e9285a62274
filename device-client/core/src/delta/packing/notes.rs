//! What the methods of parts don't say: a frame of notes, kept until the parts end that they are about.
//!
//! Decides that a frame holds no more than the header declares, and that each note is used once, in order.

use alloc::vec::Vec;

use perennial_schemas::delta::Parts;

use crate::delta::DeltaError;
use crate::delta::coder::Input;

/// The notes of one layer's parts, as the last frame told them.
#[derive(Debug)]
pub(super) struct Notes {
    /// Of each its bytes, as a varint, and these.
    bytes: Vec<u8>,
    /// Where the next one begins.
    at: usize,
}

impl Notes {
    pub(super) fn new(parts: &Parts) -> Self {
        Self { bytes: Vec::with_capacity(parts.notes as usize), at: 0 }
    }

    /// Bytes that this takes besides itself.
    pub(super) fn memory(parts: &Parts) -> u64 {
        parts.notes.into()
    }

    /// Forgets them: something else is going on.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.at = 0;
    }

    pub(super) fn is_used(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Takes this layer's notes of a frame.
    ///
    /// # Errors
    /// [`DeltaError::Parts`] where there are fewer bytes than it says, more than were declared, or notes that nobody used.
    pub(super) fn read(&mut self, input: &mut impl Input) -> Result<(), DeltaError> {
        if !self.is_used() {
            return Err(DeltaError::Parts);
        }
        self.clear();
        let length = varint(|| input.next()).filter(|length| *length <= self.bytes.capacity());
        for _ in 0..length.ok_or(DeltaError::Parts)? {
            self.bytes.push(input.next().ok_or(DeltaError::Parts)?);
        }
        Ok(())
    }

    /// The next note.
    ///
    /// # Errors
    /// [`DeltaError::Part`] where there is none.
    pub(super) fn next(&mut self) -> Result<&[u8], DeltaError> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = varint(|| {
            let (first, behind) = rest.split_first()?;
            rest = behind;
            Some(*first)
        });
        let note = length.and_then(|length| rest.get(..length)).ok_or(DeltaError::Part)?;
        self.at = self.bytes.len() - rest.len() + note.len();
        Ok(note)
    }
}

/// A little-endian number of base 128, of at most three bytes.
fn varint(mut next: impl FnMut() -> Option<u8>) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14] {
        let byte = next()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(most: u32) -> Notes {
        Notes::new(&Parts { notes: most, ..Parts::default() })
    }

    #[test]
    fn notes_are_used_once_each_in_order() {
        let mut held = notes(300);
        let long = [7; 200];
        let told = [&[0xce, 1, 2, b'o', b'n', 0, 0xc8, 1][..], &long].concat();
        held.read(&mut told.iter()).unwrap();
        assert_eq!(held.next(), Ok(&b"on"[..]));
        assert_eq!(held.read(&mut told.iter()), Err(DeltaError::Parts), "not all were used");
        assert_eq!(held.next(), Ok(&[][..]));
        assert_eq!(held.next(), Ok(&long[..]));
        assert_eq!(held.next(), Err(DeltaError::Part), "there is none");
        assert!(held.is_used());
        held.read(&mut [0].iter()).unwrap();
        assert_eq!(held.next(), Err(DeltaError::Part));
    }

    #[test]
    fn notes_that_are_cut_short_or_too_long_are_refused() {
        let read = |most, told: &[u8]| notes(most).read(&mut told.iter()).err();
        assert_eq!(read(3, &[3, 2, 8, 9]), None);
        for told in [&[][..], &[3, 2, 8], &[4, 3, 7, 8, 9], &[0x80], &[0x80, 0x80, 0x80, 0], &[0xff; 9]] {
            assert_eq!(read(3, told), Some(DeltaError::Parts), "{told:?}");
        }
        for told in [&[2, 5, 1][..], &[1, 0x80], &[3, 0x80, 0x80, 0x80]] {
            let mut held = notes(9);
            held.read(&mut told.iter()).unwrap();
            assert_eq!(held.next(), Err(DeltaError::Part), "{told:?}");
        }
    }
}
