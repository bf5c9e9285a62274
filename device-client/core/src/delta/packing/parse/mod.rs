//! The parse of a zstd frame: which matches its packer chose. That is what changes with a packer's version; how a parse is
//! written has not changed for years.
//!
//! | module | holds |
//! | --- | --- |
//! | `frame` | reads the parse of a frame |
//! | `table` | the tables of finite-state entropy that this takes |
//! | [`optimal`] | the parse of an earlier version of the library |
//! | [`told`] | a parse, told by what it has otherwise than another one |
//!
//! Decides nothing about bytes: a parse that is told wrongly makes another frame, which the image's index finds.

mod frame;
pub mod optimal;
mod table;
pub mod told;

use alloc::vec::Vec;

/// So many bytes of a match at least.
const LEAST: u32 = 3;

/// The last three offsets before the first match.
const REPEATED: [u32; 3] = [1, 4, 8];

/// What an offset's number means, and the last three offsets from then on (RFC 8878, 3.1.1.5). `None` for an offset of none.
fn repeated(number: u32, is_behind_match: bool, last: [u32; 3]) -> Option<(u32, [u32; 3])> {
    let [one, two, three] = last;
    let (offset, last) = match number.checked_sub(3) {
        Some(new @ 1..) => (new, [new, one, two]),
        _ => match number.checked_sub(u32::from(!is_behind_match))? {
            0 => (one, last),
            1 => (two, [two, one, three]),
            2 => (three, [three, one, two]),
            _ => (one.checked_sub(1)?, [one.checked_sub(1)?, one, two]),
        },
    };
    (offset > 0).then_some((offset, last))
}

/// A match: what stands at `at` in the content stands `offset` before, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Match {
    /// Where it begins in the content.
    pub at: u32,
    /// Its bytes.
    pub length: u32,
    /// How far back it stands, in bytes.
    pub offset: u32,
}

impl Match {
    /// Where it ends in the content.
    pub fn end(&self) -> u32 {
        self.at + self.length
    }
}

/// Where a block of the frame ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// So many matches are before it.
    pub matches: u32,
    /// Where in the content.
    pub at: u32,
}

/// A parse: matches that ascend and don't overlap, and the ends of blocks, the last of which is the content's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parse {
    /// The matches.
    pub matches: Vec<Match>,
    /// The ends of blocks.
    pub ends: Vec<End>,
}

/// The most blocks of a frame that is taken apart: packers of 128 KiB make up to some 200 of it.
pub const ENDS: usize = 1024;

impl Parse {
    /// With room for every parse of a content of at most so many bytes.
    pub fn with_room(content: usize) -> Self {
        Self { matches: Vec::with_capacity(most_matches(content)), ends: Vec::with_capacity(ENDS) }
    }

    /// Bytes that this takes besides itself.
    pub fn memory(content: usize) -> usize {
        most_matches(content) * size_of::<Match>() + ENDS * size_of::<End>()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.matches.capacity() * size_of::<Match>() + self.ends.capacity() * size_of::<End>()
    }

    /// Reads the parse of a frame whose content has `length` bytes. `None` where it has another length, a dictionary or a sum, or
    /// is no frame.
    pub fn read(&mut self, frame: &[u8], length: u32) -> Option<()> {
        self.clear();
        frame::read(frame, self)?;
        (self.ends.last()?.at == length).then_some(())
    }

    fn clear(&mut self) {
        self.matches.clear();
        self.ends.clear();
    }

    /// Each block's matches, with the literals before each and the literals behind the last one.
    pub fn blocks(&self) -> impl Iterator<Item = (&[Match], End, End)> {
        let mut before = End::default();
        self.ends.iter().map(move |end| {
            let start = core::mem::replace(&mut before, *end);
            let matches = self.matches.get(start.matches as usize..end.matches as usize);
            (matches.unwrap_or_default(), start, *end)
        })
    }

    fn push(&mut self, found: Match) -> Option<()> {
        (self.matches.len() < self.matches.capacity()).then(|| self.matches.push(found))
    }

    fn end(&mut self, end: End) -> Option<()> {
        (self.ends.len() < self.ends.capacity()).then(|| self.ends.push(end))
    }
}

/// The most matches of a content.
pub const fn most_matches(content: usize) -> usize {
    content / LEAST as usize + 1
}
