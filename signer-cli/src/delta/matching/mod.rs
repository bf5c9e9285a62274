//! Matching: which bytes of the new image are copied from where in the old one, and which are a run of one byte.
//!
//! Decides the list of copies and fills from which a delta becomes smallest, by an estimate of what each costs. Reads
//! no file and knows no format: the caller may hand in a second pair of images in which the fields of references are
//! masked out, which is then searched instead.
//!
//! | module | holds |
//! | --- | --- |
//! | `blocks` | of images that are too large to be sorted: exact copies of whole blocks first |
//! | `table` | those blocks by their hash |
//! | `left`, `text` | what is left, and what of it is sorted |
//! | `index` | the longest match of some bytes, by a suffix array |
//! | `seeds` | exact matches, where the copy before does not go on |
//! | `fields` | which bytes are predicted, whatever they were |
//! | `grow` | how far they may reach when single bytes differ |
//! | `choose`, `costs` | the cheapest way through all of them |
//!
//! The same images and options give the same pieces, whatever the number of jobs.

mod blocks;
pub(super) mod bytes;
mod choose;
mod costs;
mod fields;
mod grow;
mod index;
mod left;
mod search;
mod seeds;
mod spread;
pub(super) mod table;
mod text;

#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;

pub use costs::{BIT, Costs};
pub use fields::Fields;
pub use index::IndexError;
pub use search::{exact, pieces};

use super::progress::Stopped;
use crate::plain::grouped;

/// Bytes copied from the old image, some of which may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Offset in the old image.
    pub old: u64,
    /// Offset in the new image.
    pub new: u64,
    /// Bytes.
    pub length: u64,
}

impl Match {
    /// `old - new`.
    fn shift(&self) -> i64 {
        self.old.wrapping_sub(self.new).cast_signed()
    }
}

/// A stretch of the new image that needs not be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Copied from the old image.
    Copy(Match),
    /// A run of one byte.
    Fill {
        /// Offset in the new image.
        new: u64,
        /// Bytes.
        length: u64,
        /// The byte.
        byte: u8,
    },
}

impl Piece {
    /// Its first byte in the new image, and the one behind its last.
    fn span(&self) -> (usize, usize) {
        let (new, length) = match self {
            Self::Copy(Match { new, length, .. }) | Self::Fill { new, length, .. } => (*new, *length),
        };
        // Made from lengths of slices.
        (new as usize, (new + length) as usize)
    }

    /// What it makes of these bytes of the new image, which are some of its own; `None` for none.
    fn part(&self, range: Range<usize>) -> Option<Self> {
        let (start, length) =
            (range.start as u64, range.end.checked_sub(range.start).filter(|length| *length > 0)?);
        Some(match *self {
            Self::Copy(Match { old, new, .. }) => {
                Self::Copy(Match { old: old + (start - new), new: start, length: length as u64 })
            }
            Self::Fill { byte, .. } => Self::Fill { new: start, length: length as u64, byte },
        })
    }
}

/// The images to be matched.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// The old image.
    pub old: &'a [u8],
    /// The new image.
    pub new: &'a [u8],
    /// Exact blocks and fills are found in the images themselves, everything else in these.
    pub masked: Option<Masked<'a>>,
    /// Pieces that are settled, ascending in the new image: neither image needs to hold their bytes. Without them exact blocks
    /// are looked for.
    pub exact: Option<&'a [Piece]>,
}

/// Old and new image once more, with something else in the fields of references.
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a> {
    /// The old image.
    pub old: &'a [u8],
    /// The new image.
    pub new: &'a [u8],
    /// Those fields in the old image: bytes that need not be the same to be copied.
    pub fields: &'a Fields,
}

/// How matches are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// By how many bytes a match must be longer than what the copy before it would give (bsdiff: 8).
    pub least: usize,
    /// Bytes of memory: of what is made from images for all of it, of matching for what it takes beside them.
    pub memory_limit: u64,
    /// Threads.
    pub jobs: usize,
    /// What is weighed against what.
    pub costs: Costs,
}

impl Default for Options {
    fn default() -> Self {
        Self { least: 8, memory_limit: 1 << 30, jobs: 1, costs: Costs::default() }
    }
}

impl From<Stopped> for MatchError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Why there are no matches.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    /// Whoever is told how far it is said so.
    #[error("the search for matches was stopped")]
    Stopped,
    /// The masked images are not the same images.
    #[error("a masked image has {masked} bytes and the image itself {plain}")]
    Masks {
        /// Bytes of the masked image.
        masked: usize,
        /// Bytes of the image.
        plain: usize,
    },
    /// The memory limit leaves no room for an index.
    #[error("matching needs a memory limit of at least {} bytes", grouped(*least))]
    Memory {
        /// The least limit in bytes.
        least: u64,
    },
    /// There is too little memory.
    #[error("the old image can't be indexed")]
    Index(#[from] IndexError),
}
