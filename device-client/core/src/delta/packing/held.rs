//! What is held of parts in two pieces, until the place of the second one comes.
//!
//! Decides that there is never more of it than the header declares, and that each piece is written once.

use alloc::vec::Vec;

use perennial_schemas::delta::Parts;

use super::layer::Piece;
use crate::delta::DeltaError;
use crate::delta::walk::Output;

/// The most pieces that are held at once.
pub const PIECES: usize = 256;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Held {
    /// Pieces, the one that was held first at the front; behind them what comes of the part that is under way.
    bytes: Vec<u8>,
    /// Bytes of each piece.
    lengths: Vec<usize>,
    /// Bytes of the part under way that went out.
    out: usize,
}

impl Held {
    pub(super) fn new(parts: &Parts) -> Self {
        let pieces = if parts.held > 0 { PIECES } else { 0 };
        let bytes = Vec::with_capacity(parts.held as usize);
        Self { bytes, lengths: Vec::with_capacity(pieces), out: 0 }
    }

    /// Bytes that this takes besides itself.
    pub(super) fn memory(parts: &Parts) -> u64 {
        let pieces = if parts.held > 0 { PIECES * size_of::<usize>() } else { 0 };
        u64::from(parts.held) + pieces as u64
    }

    /// Forgets it: something else is going on.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
        self.out = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// More of a part, packed: some goes out, and some is held.
    ///
    /// # Errors
    /// [`DeltaError::Parts`] past what is declared, and what `out` says.
    pub(super) fn push(&mut self, piece: Piece, bytes: &[u8], out: Output<'_>) -> Result<(), DeltaError> {
        let goes = match piece {
            Piece::Whole | Piece::Rest(_) => bytes.len(),
            Piece::Front(front) => (front as usize - self.out).min(bytes.len()),
            Piece::Back(_) => 0,
        };
        let (goes, stays) = bytes.split_at(goes);
        if self.bytes.len() + stays.len() > self.bytes.capacity() {
            return Err(DeltaError::Parts);
        }
        self.bytes.extend_from_slice(stays);
        if goes.is_empty() {
            return Ok(());
        }
        if matches!(piece, Piece::Front(_)) {
            self.out += goes.len();
        }
        out(goes)
    }

    /// The end of a part.
    ///
    /// # Errors
    /// [`DeltaError::Part`] where it is shorter than its piece, [`DeltaError::Parts`] where too many are held, and what `out`
    /// says.
    pub(super) fn finish(&mut self, piece: Piece, out: Output<'_>) -> Result<(), DeltaError> {
        let start: usize = self.lengths.iter().sum();
        let rest = match piece {
            Piece::Whole | Piece::Rest(_) => return Ok(()),
            Piece::Front(front) if self.out < front as usize => return Err(DeltaError::Part),
            Piece::Front(_) => self.bytes.len() - start,
            Piece::Back(back) => {
                let rest = (self.bytes.len() - start).checked_sub(back as usize).ok_or(DeltaError::Part)?;
                out(&self.bytes[start + rest..])?;
                self.bytes.truncate(start + rest);
                rest
            }
        };
        if self.lengths.len() >= PIECES {
            return Err(DeltaError::Parts);
        }
        self.lengths.push(rest);
        self.out = 0;
        Ok(())
    }

    /// The place of a piece that is held, the first being 0: it goes out.
    ///
    /// # Errors
    /// [`DeltaError::Parts`] where none is, and what `out` says.
    pub(super) fn release(&mut self, which: u8, out: Output<'_>) -> Result<(), DeltaError> {
        let which = usize::from(which);
        let length = *self.lengths.get(which).ok_or(DeltaError::Parts)?;
        let start: usize = self.lengths[..which].iter().sum();
        out(&self.bytes[start..start + length])?;
        self.bytes.drain(start..start + length);
        self.lengths.remove(which);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(most: u32) -> Held {
        Held::new(&Parts { held: most, ..Parts::default() })
    }

    /// Packs parts, and releases: what came out, or the error.
    fn run(held: &mut Held, steps: &[(Piece, &[u8])]) -> Result<Vec<u8>, DeltaError> {
        let mut written = Vec::new();
        let mut out = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        for (piece, bytes) in steps {
            if let Piece::Rest(which) = piece {
                held.release(*which, &mut out)?;
                continue;
            }
            bytes.chunks(3).try_for_each(|bytes| held.push(*piece, bytes, &mut out))?;
            held.finish(*piece, &mut out)?;
        }
        Ok(written)
    }

    #[test]
    fn pieces_come_out_in_the_order_in_which_their_places_come() {
        let mut held = held(20);
        let steps = [
            (Piece::Front(4), &b"abcdEFG"[..]),
            (Piece::Whole, b"whole"),
            (Piece::Back(2), b"HIJKlm"),
            (Piece::Front(3), b"xyz"),
            (Piece::Rest(1), b""),
            (Piece::Rest(1), b""),
            (Piece::Front(1), b"nOPQ"),
            (Piece::Rest(0), b""),
        ];
        assert_eq!(run(&mut held, &steps).unwrap(), b"abcdwholelmxyzHIJKnEFG");
        assert!(!held.is_empty());
        assert_eq!(run(&mut held, &[(Piece::Rest(0), b"")]).unwrap(), b"OPQ");
        assert!(held.is_empty());
    }

    #[test]
    fn no_more_is_held_than_is_declared() {
        let run = |steps: &[_]| run(&mut held(4), steps).err();
        assert_eq!(run(&[(Piece::Front(2), b"abCDEF")]), None);
        assert_eq!(run(&[(Piece::Front(2), b"abCDEFG")]), Some(DeltaError::Parts));
        assert_eq!(run(&[(Piece::Back(2), b"ABCde")]), Some(DeltaError::Parts));
        assert_eq!(run(&[(Piece::Front(9), b"abcd")]), Some(DeltaError::Part));
        assert_eq!(run(&[(Piece::Back(4), b"abc")]), Some(DeltaError::Part));
        assert_eq!(run(&[(Piece::Rest(0), b"")]), Some(DeltaError::Parts));
        assert_eq!(run(&[(Piece::Front(1), b"ab"), (Piece::Rest(1), b"")]), Some(DeltaError::Parts));
        assert_eq!(run(&[(Piece::Front(1), &b"a"[..]); PIECES]), None);
        assert_eq!(run(&[(Piece::Front(1), &b"a"[..]); PIECES + 1]), Some(DeltaError::Parts));
        assert_eq!(super::tests::run(&mut held(0), &[(Piece::Whole, b"abc")]).unwrap(), b"abc");
    }
}
