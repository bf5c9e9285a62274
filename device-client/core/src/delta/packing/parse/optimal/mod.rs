//! The parse of zstd 1.5.4 and 1.5.5: which matches these choose at the levels that search for the cheapest way through a block.
//!
//! Decides nothing of its own: what is cheap, and which of two equal ways is taken, is what that parser does (Y. Collet and
//! others; `lib/compress/zstd_opt.c`). Since 1.5.6 ties are broken otherwise, so that a tenth of all matches are others, and what
//! Debian 12 and Ubuntu 24.04 pack is theirs; 1.5.2 differs in one block of ten. Written anew as the library has one version's
//! parser, and a device one library. Where it chose otherwise than it should, a note says so, as for any other parse: never is
//! a wrong byte written.

mod levels;
mod prices;
mod tree;

use alloc::vec;
use alloc::vec::Vec;

use self::levels::{Effort, Level};
use self::prices::Prices;
use self::tree::{Found, READ, Tree};
use super::{End, Match, Parse, REPEATED, repeated};

/// The longest content: a block.
pub const MOST: usize = 1 << 17;
/// Bytes that are looked ahead before it is decided how they are written.
const SPAN: usize = 4096;
/// Half a bit, in the units of prices.
const HALF: i32 = 128;
/// More than any way costs.
const NEVER: i32 = 1 << 30;

/// The cheapest way to a place.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    price: i32,
    /// The number of the offset of the match that ends here, and its length: none, for a literal.
    number: u32,
    length: u32,
    /// Literals before the match; those up to here where none ends here.
    literals: u32,
    /// The last three offsets from here on.
    repeats: [u32; 3],
}

impl Way {
    /// Behind this one a match, and the literals before that.
    fn then(&self, found: &Found, length: u32, price: i32) -> Self {
        let literals = if self.length == 0 { self.literals } else { 0 };
        Self { price, number: found.number, length, literals, repeats: REPEATED }
    }

    /// The offset of its match, and the last three from then on.
    fn offset(&self, repeats: [u32; 3]) -> Option<(u32, [u32; 3])> {
        repeated(self.number, self.literals == 0, repeats).filter(|_| self.length > 0)
    }

    /// The last three offsets from then on.
    fn behind(&self, repeats: [u32; 3]) -> [u32; 3] {
        self.offset(repeats).map_or(repeats, |(_, repeats)| repeats)
    }

    /// Bytes of the match and the literals before it.
    fn bytes(&self) -> usize {
        (self.literals + self.length) as usize
    }
}

/// Parses one content after another.
#[derive(Debug)]
pub struct Optimal {
    tree: Tree,
    prices: Prices,
    ways: Vec<Way>,
    found: Vec<Found>,
    /// Where the steps of the cheapest way end, the last of them first.
    chosen: Vec<u16>,
}

impl Default for Optimal {
    fn default() -> Self {
        Self {
            tree: Tree::new(),
            prices: Prices::new(),
            ways: vec![Way::default(); SPAN + 1],
            found: Vec::with_capacity(SPAN + 8),
            chosen: Vec::with_capacity(SPAN + 1),
        }
    }
}

impl Optimal {
    /// Bytes that it takes.
    pub const MEMORY: usize = size_of::<Self>()
        + Tree::MEMORY
        + (SPAN + 1) * (size_of::<Way>() + size_of::<u16>())
        + (SPAN + 8) * size_of::<Found>();

    #[cfg(test)]
    pub(in crate::delta::packing) fn size(&self) -> usize {
        let (ways, found) =
            (self.ways.capacity() * size_of::<Way>(), self.found.capacity() * size_of::<Found>());
        self.tree.size() + ways + found + self.chosen.capacity() * size_of::<u16>()
    }

    /// The parse of a content at a level, as one block. False where these versions have another parser for it, or it is longer
    /// than [`MOST`], or there is no room for its matches.
    pub fn parse(&mut self, level: u8, content: &[u8], parse: &mut Parse) -> bool {
        let Some(level) = Level::of(level, content.len()) else { return false };
        self.prices.begin(level.effort, content);
        if level.effort == Effort::Twice {
            self.pass(&level, content, &mut |_| Some(()));
            self.prices.again();
        }
        parse.clear();
        let all = self.pass(&level, content, &mut |found| parse.push(found));
        let end = End { matches: parse.matches.len() as u32, at: content.len() as u32 };
        all.and_then(|()| parse.end(end)).is_some()
    }

    fn pass(
        &mut self,
        level: &Level,
        content: &[u8],
        take: &mut dyn FnMut(Match) -> Option<()>,
    ) -> Option<()> {
        self.tree.begin(*level, content.len());
        // Nothing is before the first byte.
        let (mut at, mut anchor, mut repeats) = (1, 0, REPEATED);
        while at + READ < content.len() {
            self.tree.matches(content, at, repeats, at == anchor, &mut self.found);
            if self.found.is_empty() {
                at += 1;
                continue;
            }
            let literals = (at - anchor) as u32;
            self.ways[0] = Way { price: self.prices.run(literals), literals, repeats, ..Way::default() };
            let (last, before) = self.forward(level, content, at);
            self.trace(before);
            repeats = self.ways[0].repeats;
            at = anchor;
            let steps = self.chosen.iter().rev().map(|end| self.ways[usize::from(*end)]);
            for way in steps.chain([last]) {
                let start = at + way.literals as usize;
                at = start + way.length as usize;
                // Literals at the end are no match's yet.
                let Some((offset, after)) = way.offset(repeats) else { break };
                self.prices.add(&content[anchor..start], way.number, way.length);
                take(Match { at: start as u32, length: way.length, offset })?;
                (anchor, repeats) = (at, after);
            }
            self.prices.weigh();
        }
        Some(())
    }

    /// The cheapest ways from `at` on, as far as matches hold them together: the last step of the cheapest one to the end, and how
    /// far on that begins.
    fn forward(&mut self, level: &Level, content: &[u8], at: usize) -> (Way, usize) {
        if let Some(longest) = self.found.last().filter(|longest| longest.length > level.enough) {
            return (self.ways[0].then(longest, longest.length, 0), 0);
        }
        let mut last = self.first(level);
        let mut here = 1;
        while here <= last {
            self.reach(here, content[at + here - 1]);
            if here == last {
                break;
            }
            let way = self.ways[here];
            let is_over = at + here + READ > content.len();
            // Half a bit more isn't worth a search, where it is to be quick.
            let is_plain = level.effort == Effort::Rough && self.ways[here + 1].price <= way.price + HALF;
            if !is_over && !is_plain {
                self.tree.matches(content, at + here, way.repeats, way.length != 0, &mut self.found);
                if let Some(longest) = self.found.last() {
                    if longest.length > level.enough || here + longest.length as usize >= SPAN {
                        let then = way.then(longest, longest.length, 0);
                        return (then, here.saturating_sub(then.literals as usize));
                    }
                    last = self.further(level, here, last);
                }
            }
            here += 1;
        }
        let way = self.ways[last];
        (way, last.saturating_sub(way.bytes()))
    }

    /// The ways by one match from the start: how far they reach.
    fn first(&mut self, level: &Level) -> usize {
        let start = self.ways[0];
        let base = start.price + self.prices.run(0);
        let mut length = 0;
        for found in &self.found {
            while length < found.length {
                length += 1;
                // What is shorter than a match is reached by literals.
                self.ways[length as usize] = match length < level.least {
                    true => Way { price: NEVER, ..Way::default() },
                    false => start.then(found, length, base + self.prices.matched(found.number, length)),
                };
            }
        }
        length as usize
    }

    /// Decides the way to a place: by one more literal, where that is no dearer.
    fn reach(&mut self, here: usize, literal: u8) {
        let before = self.ways[here - 1];
        let run = if before.length == 0 { before.literals + 1 } else { 1 };
        let more = self.prices.literal(literal) + self.prices.run(run) - self.prices.run(run - 1);
        let price = before.price + more;
        let way = self.ways[here];
        self.ways[here] = if price <= way.price {
            Way { price, literals: run, repeats: before.repeats, ..Way::default() }
        } else {
            let from = self.ways[here - way.length as usize].repeats;
            Way { repeats: way.behind(from), ..way }
        };
    }

    /// The ways by the matches that were found here: how far they reach, with those that reach up to `last`.
    fn further(&mut self, level: &Level, here: usize, mut last: usize) -> usize {
        let way = self.ways[here];
        let base = way.price + self.prices.run(0);
        let mut shortest = level.least;
        for found in &self.found {
            for length in (shortest..=found.length).rev() {
                let end = here + length as usize;
                let price = base + self.prices.matched(found.number, length);
                if end > last || price < self.ways[end].price {
                    while last < end {
                        last += 1;
                        self.ways[last].price = NEVER;
                    }
                    self.ways[end] = way.then(found, length, price);
                } else if level.effort == Effort::Rough {
                    break;
                }
            }
            shortest = found.length + 1;
        }
        last
    }

    /// The steps of the cheapest way to a place.
    fn trace(&mut self, mut at: usize) {
        self.chosen.clear();
        while at > 0 {
            self.chosen.push(at as u16);
            at = at.saturating_sub(self.ways[at].bytes());
        }
    }
}

#[cfg(test)]
mod tests;
