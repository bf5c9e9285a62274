//! Deflate (RFC 1951) exactly as zlib and GNU gzip write it, byte for byte.
//!
//! Decides nothing of its own: which matches are taken, where blocks end and how they are coded is what those two do at a
//! level (J. Gailly and M. Adler; their algorithm is the same since 1995, and its output with it). Written anew because
//! what a device makes of a delta must not change with the library that a system happens to have: other makes of zlib
//! (zlib-ng, zlib-rs, those of CPU vendors) find other matches. Memory is taken once; content of any length streams through.

mod bits;
mod tree;
mod trees;

use alloc::vec;
use alloc::vec::Vec;

use self::trees::Trees;
use crate::delta::DeltaError;
use crate::delta::walk::Output;

const LEAST_MATCH: usize = 3;
const MOST_MATCH: usize = 258;
/// So many bytes are looked ahead, but for the content's end.
const LOOKAHEAD: usize = MOST_MATCH + LEAST_MATCH + 1;
/// A match of three bytes from farther away is no gain.
const TOO_FAR: usize = 4096;

/// The largest window, the most hashes, the most symbols of a block that any parameters ask for.
const WINDOW: usize = 1 << 15;
const HASHES: usize = 1 << 16;
const SYMBOLS: usize = 1 << 15;

/// Whose deflate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Flavour {
    /// zlib's: squashfs, PNG, jar, most programs.
    Zlib = 0,
    /// GNU gzip's: twice as many symbols in a block, which may also end early where it compresses well.
    Gzip = 1,
}

/// How content is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// Whose.
    pub flavour: Flavour,
    /// 1 to 9.
    pub level: u8,
    /// log2 of the window's bytes: 9 to 15.
    pub window_bits: u8,
    /// zlib's `memLevel`, 1 to 9; 8 for GNU gzip.
    pub memory_level: u8,
}

impl Parameters {
    /// Whether all of them are within their bounds.
    pub fn are_sound(&self) -> bool {
        (1..=9).contains(&self.level)
            && (9..=15).contains(&self.window_bits)
            && (1..=9).contains(&self.memory_level)
    }

    fn hash_bits(&self) -> u32 {
        u32::from(self.memory_level) + 7
    }

    /// Symbols that a block has at most, and one more.
    fn symbols(&self) -> usize {
        match self.flavour {
            Flavour::Zlib => 1 << (self.memory_level + 6),
            Flavour::Gzip => 1 << 15,
        }
    }
}

/// How hard a level looks: zlib's `configuration_table`.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// From this length on, a match before it makes the search shorter.
    good: usize,
    /// No better match is looked for behind one of this length; or, for fast levels, none longer is noted byte by byte.
    lazy: usize,
    /// A match of this length ends the search.
    nice: usize,
    /// Places that are looked at.
    chain: u32,
    /// Whether the next byte's match may be taken instead.
    slow: bool,
}

const fn effort(good: usize, lazy: usize, nice: usize, chain: u32, slow: bool) -> Effort {
    Effort { good, lazy, nice, chain, slow }
}

const EFFORTS: [Effort; 9] = [
    effort(4, 4, 8, 4, false),
    effort(4, 5, 16, 8, false),
    effort(4, 6, 32, 32, false),
    effort(4, 4, 16, 16, true),
    effort(8, 16, 32, 32, true),
    effort(8, 16, 128, 128, true),
    effort(8, 32, 128, 256, true),
    effort(32, 128, 258, 1024, true),
    effort(32, 258, 258, 4096, true),
];

/// Packs one content after another.
#[derive(Debug)]
pub struct Deflater {
    parameters: Parameters,
    effort: Effort,
    /// Two windows' bytes, and what a search may look at behind them.
    window: Vec<u8>,
    /// The last place with a hash, and the one before each place; 0 for none.
    head: Vec<u16>,
    before: Vec<u16>,
    /// Where the next byte stands in the window, how many are there from it on, and where the block began.
    at: usize,
    ahead: usize,
    block: isize,
    length: usize,
    from: usize,
    last_length: usize,
    /// Whether the byte before `at` waits for what the match at `at` says.
    waiting: bool,
    trees: Trees,
}

impl Default for Deflater {
    /// With room for contents that are packed with any parameters.
    fn default() -> Self {
        Self {
            parameters: Parameters { flavour: Flavour::Zlib, level: 6, window_bits: 9, memory_level: 1 },
            effort: EFFORTS[5],
            window: vec![0; 2 * WINDOW + MOST_MATCH],
            head: vec![0; HASHES],
            before: vec![0; WINDOW],
            at: 0,
            ahead: 0,
            block: 0,
            length: 0,
            from: 0,
            last_length: 0,
            waiting: false,
            trees: Trees::new(SYMBOLS),
        }
    }
}

impl Deflater {
    /// Bytes that one takes.
    pub const fn memory() -> usize {
        2 * WINDOW + MOST_MATCH + 2 * HASHES + 2 * WINDOW + Trees::memory(SYMBOLS) + size_of::<Self>()
    }

    /// At a content's beginning. The parameters are sound.
    pub fn begin(&mut self, parameters: &Parameters) {
        self.parameters = *parameters;
        self.effort = EFFORTS[usize::from(parameters.level.clamp(1, 9)) - 1];
        self.head[..1 << parameters.hash_bits()].fill(0);
        (self.at, self.ahead, self.block) = (0, 0, 0);
        (self.length, self.last_length, self.from) = (LEAST_MATCH - 1, LEAST_MATCH - 1, 0);
        self.waiting = false;
        self.trees.begin(parameters.flavour, parameters.level, parameters.symbols());
    }

    /// More of the content.
    ///
    /// # Errors
    /// What `out` says.
    pub fn push(&mut self, mut bytes: &[u8], out: Output<'_>) -> Result<(), DeltaError> {
        while !bytes.is_empty() {
            let mut room = self.room();
            if room == 0 {
                self.slide();
                room = self.room();
            }
            let (taken, rest) = bytes.split_at(room.min(bytes.len()));
            let end = self.at + self.ahead;
            self.window[end..end + taken.len()].copy_from_slice(taken);
            self.ahead += taken.len();
            bytes = rest;
            // As if all of the content were there at once: the window is full before anything is done.
            if self.room() == 0 {
                self.run(false, out)?;
            }
        }
        Ok(())
    }

    /// The content's end.
    ///
    /// # Errors
    /// What `out` says.
    pub fn finish(&mut self, out: Output<'_>) -> Result<(), DeltaError> {
        self.run(true, out)?;
        self.flush(true, out)?;
        self.trees.finish(out)
    }

    fn size(&self) -> usize {
        1 << self.parameters.window_bits
    }

    fn farthest(&self) -> usize {
        self.size() - LOOKAHEAD
    }

    fn room(&self) -> usize {
        2 * self.size() - self.at - self.ahead
    }

    /// The upper half becomes the lower one.
    fn slide(&mut self) {
        let size = self.size();
        self.window.copy_within(size..2 * size, 0);
        self.at -= size;
        self.from = self.from.saturating_sub(size);
        self.block -= size as isize;
        let down = |place: &mut u16| *place = usize::from(*place).saturating_sub(size) as u16;
        self.head[..1 << self.parameters.hash_bits()].iter_mut().for_each(down);
        self.before[..size].iter_mut().for_each(down);
    }

    fn run(&mut self, last: bool, out: Output<'_>) -> Result<(), DeltaError> {
        while self.ahead >= LOOKAHEAD || last && self.ahead > 0 {
            // zlib slides whenever it would read more, even where there is nothing more.
            let zlib = self.parameters.flavour == Flavour::Zlib;
            if self.ahead < LOOKAHEAD && zlib && self.at >= self.size() + self.farthest() {
                self.slide();
            }
            if self.effort.slow { self.slow(out)? } else { self.fast(out)? }
        }
        if last && self.waiting {
            self.trees.literal(self.window[self.at - 1], self.at as isize - self.block);
            self.waiting = false;
        }
        Ok(())
    }

    /// Notes the place, and gives the last one with the same three bytes (or the same hash).
    fn note(&mut self, at: usize) -> usize {
        let bits = self.parameters.hash_bits();
        let shift = bits.div_ceil(LEAST_MATCH as u32);
        let [a, b, c] = [self.window[at], self.window[at + 1], self.window[at + 2]].map(u32::from);
        let hash = (a << (2 * shift) ^ b << shift ^ c) & ((1 << bits) - 1);
        let mask = self.size() - 1;
        let head = core::mem::replace(&mut self.head[hash as usize], at as u16);
        self.before[at & mask] = head;
        usize::from(head)
    }

    /// One step of `deflate_slow`.
    fn slow(&mut self, out: Output<'_>) -> Result<(), DeltaError> {
        let head = if self.ahead >= LEAST_MATCH { self.note(self.at) } else { 0 };
        let last_from = self.from;
        self.last_length = self.length;
        self.length = LEAST_MATCH - 1;
        if head != 0 && self.last_length < self.effort.lazy && self.at - head <= self.farthest() {
            self.length = self.search(head);
            if self.length == LEAST_MATCH && self.at - self.from > TOO_FAR {
                self.length = LEAST_MATCH - 1;
            }
        }
        let there = self.at as isize - self.block;
        let mut full = false;
        if self.last_length >= LEAST_MATCH && self.length <= self.last_length {
            full = self.trees.copy(self.at - 1 - last_from, self.last_length, there);
            let end = self.at + self.ahead;
            self.ahead -= self.last_length - 1;
            for _ in 0..self.last_length - 2 {
                self.at += 1;
                if self.at + LEAST_MATCH <= end {
                    self.note(self.at);
                }
            }
            self.waiting = false;
            self.length = LEAST_MATCH - 1;
            self.at += 1;
            return if full { self.flush(false, out) } else { Ok(()) };
        }
        if self.waiting {
            full = self.trees.literal(self.window[self.at - 1], there);
        }
        self.waiting = true;
        // The block ends before the byte that waits now.
        if full {
            self.flush(false, out)?;
        }
        self.at += 1;
        self.ahead -= 1;
        Ok(())
    }

    /// One step of `deflate_fast`.
    fn fast(&mut self, out: Output<'_>) -> Result<(), DeltaError> {
        let head = if self.ahead >= LEAST_MATCH { self.note(self.at) } else { 0 };
        if head != 0 && self.at - head <= self.farthest() {
            self.last_length = LEAST_MATCH - 1;
            self.length = self.search(head);
        }
        let there = self.at as isize - self.block;
        let full = if self.length < LEAST_MATCH {
            self.ahead -= 1;
            self.at += 1;
            self.trees.literal(self.window[self.at - 1], there)
        } else {
            let full = self.trees.copy(self.at - self.from, self.length, there);
            self.ahead -= self.length;
            let noted = self.length <= self.effort.lazy && self.ahead >= LEAST_MATCH;
            for place in self.at + 1..self.at + if noted { self.length } else { 0 } {
                self.note(place);
            }
            self.at += self.length;
            self.length = 0;
            full
        };
        if full { self.flush(false, out) } else { Ok(()) }
    }

    /// `longest_match`: the longest one that is longer than the last, at most what is ahead. Sets `from`.
    fn search(&mut self, mut place: usize) -> usize {
        let Effort { good, nice, mut chain, .. } = self.effort;
        let mut best = self.last_length;
        if best >= good {
            chain >>= 2;
        }
        let nice = nice.min(self.ahead);
        let limit = self.at.saturating_sub(self.farthest());
        let mask = self.size() - 1;
        let window = &self.window[..];
        let here = &window[self.at..][..MOST_MATCH];
        let mut end = [here[best - 1], here[best]];
        loop {
            let there = &window[place..][..MOST_MATCH];
            if [there[best - 1], there[best]] == end && there[..2] == here[..2] {
                let length = common(here, there);
                if length > best {
                    (self.from, best) = (place, length);
                    if length >= nice {
                        break;
                    }
                    end = [here[best - 1], here[best]];
                }
            }
            place = usize::from(self.before[place & mask]);
            chain -= 1;
            if place <= limit || chain == 0 {
                break;
            }
        }
        best.min(self.ahead)
    }

    /// Writes the block up to here.
    fn flush(&mut self, last: bool, out: Output<'_>) -> Result<(), DeltaError> {
        let end = self.at;
        // Bytes that have left the window can't be stored as they are.
        let start = usize::try_from(self.block).ok();
        let bytes = start.map(|start| &self.window[start..end]);
        let length = (end as isize - self.block) as usize;
        self.block = end as isize;
        self.trees.block(bytes, length, last, out)
    }
}

/// How many bytes are the same at the beginning.
#[inline]
fn common(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return at + differing.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
