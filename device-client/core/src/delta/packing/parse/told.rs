//! A parse, told by what it has otherwise than another one of the same content: that which the library linked here makes.
//!
//! Decides how a match is told that the other parse doesn't have. Written once, over [`Coder`], as a map is.

use super::{End, LEAST, Match, Parse};
use crate::delta::DeltaError;
use crate::delta::coder::Coder;
use crate::delta::model::cell::Cell;
use crate::delta::model::number::{As, Numbers};

/// What parses are told with: forgotten before each.
#[derive(Debug)]
pub struct Telling {
    numbers: Numbers,
    same: [Cell; SAME],
    ends: Choice,
    offsets: Choice,
    is_over: Cell,
}

/// Contexts of "as the other parse has it".
const SAME: usize = 8 * 4 * 2 * 2;
/// Matches of the other parse that are looked at from where both differ.
const AHEAD: usize = 4;
/// Offsets that are looked at: those of the matches ahead, of the one before, and the last three.
const NEAR: usize = AHEAD + 4;

const START: usize = 0;
const LENGTH: usize = 1;
const OFFSET: usize = 2;
const BLOCK: usize = 3;
const BEHIND: usize = 4;
const KINDS: usize = 5;
const WIDE: usize = 20;

impl Default for Telling {
    fn default() -> Self {
        Self {
            numbers: Numbers::new(KINDS, KINDS, WIDE),
            same: [Cell::NEW; SAME],
            ends: Choice::NEW,
            offsets: Choice::NEW,
            is_over: Cell::NEW,
        }
    }
}

impl Telling {
    /// Bytes that this takes.
    pub const MEMORY: usize = size_of::<Self>() + Numbers::memory(KINDS, KINDS, WIDE);

    /// Codes a parse of a content of `length` bytes: `known` is the truth for an encoder, and empty for a decoder; `parse`
    /// becomes what was coded. `other` is a parse of the same content.
    ///
    /// # Errors
    /// [`DeltaError::Part`] for one that no content has.
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        known: &Parse,
        other: &Parse,
        length: u32,
        parse: &mut Parse,
    ) -> Result<(), DeltaError> {
        self.numbers.reset();
        self.same = [Cell::NEW; SAME];
        (self.ends, self.offsets, self.is_over) = (Choice::NEW, Choice::NEW, Cell::NEW);
        parse.clear();
        self.matches(coder, known, other, length, parse)?;
        self.blocks(coder, known, length, parse)
    }

    fn matches<C: Coder>(
        &mut self,
        coder: &mut C,
        known: &Parse,
        other: &Parse,
        length: u32,
        parse: &mut Parse,
    ) -> Result<(), DeltaError> {
        let (mut at, mut ahead, mut history) = (0, 0, 0);
        let mut last = [1, 4, 8];
        loop {
            let behind = other.matches.get(ahead..).unwrap_or_default();
            ahead += behind.iter().take_while(|found| found.at < at).count();
            let behind = other.matches.get(ahead..).unwrap_or_default();
            let likely = behind.first().copied();
            let next = known.matches.get(parse.matches.len()).copied();
            let same = &mut self.same[likely.map_or(0, |likely| context(likely, at, last[0], history))];
            let is_same = same.code(coder, next == likely);
            history = (history << 1 | usize::from(!is_same)) & 7;
            let found = match (is_same, likely) {
                (true, None) => return Ok(()),
                (true, Some(likely)) => likely,
                (false, _) if self.is_over.code(coder, next.is_none()) => return Ok(()),
                (false, _) => {
                    let before = ahead.checked_sub(1).and_then(|before| other.matches.get(before));
                    let near = Near { ahead: behind, before: before.copied(), last, at };
                    self.other(coder, next.unwrap_or_default(), &near).ok_or(DeltaError::Part)?
                }
            };
            let is_sound = found.at >= at
                && (LEAST..=length).contains(&found.length)
                && (1..=found.at).contains(&found.offset)
                && found.at.checked_add(found.length).is_some_and(|end| end <= length);
            if !is_sound {
                return Err(DeltaError::Part);
            }
            parse.push(found).ok_or(DeltaError::Part)?;
            at = found.end();
            if last[0] != found.offset {
                last = [found.offset, last[0], if last[1] == found.offset { last[2] } else { last[1] }];
            }
        }
    }

    /// A match that the other parse doesn't have here.
    fn other<C: Coder>(&mut self, coder: &mut C, known: Match, near: &Near<'_>) -> Option<Match> {
        let from = near.ahead.first().map_or(near.at, |likely| likely.at);
        let start = i64::from(known.at) - i64::from(from);
        let start = self.numbers.signed(coder, start, as_(START)).checked_add(i64::from(from))?;
        let at = u32::try_from(start).ok()?;
        let ahead = &near.ahead[..near.ahead.len().min(AHEAD)];
        let end = ahead.iter().position(|likely| likely.end() == known.end());
        let length = match ahead.get(self.ends.code(coder, end)) {
            Some(likely) => likely.end().checked_sub(at)?,
            None => {
                let above = u64::from(known.length.saturating_sub(LEAST));
                u32::try_from(self.numbers.code(coder, above, as_(LENGTH))).ok()?.checked_add(LEAST)?
            }
        };
        let offsets = near.offsets();
        let choice = offsets.iter().position(|offset| *offset == Some(known.offset));
        let offset = match offsets.get(self.offsets.code(coder, choice)).copied().flatten() {
            Some(offset) => offset,
            None => u32::try_from(self.numbers.code(coder, u64::from(known.offset), as_(OFFSET))).ok()?,
        };
        Some(Match { at, length, offset })
    }

    /// Where blocks end: behind how many matches, and how many literals.
    fn blocks<C: Coder>(
        &mut self,
        coder: &mut C,
        known: &Parse,
        length: u32,
        parse: &mut Parse,
    ) -> Result<(), DeltaError> {
        let mut before = End::default();
        let mut number = 0;
        while before.at < length {
            let known = known.ends.get(number).copied().unwrap_or_default();
            let told = u64::from(known.matches.saturating_sub(before.matches));
            let matches = u64::from(before.matches) + self.numbers.code(coder, told, as_(BLOCK)).min(1 << 32);
            let matches = usize::try_from(matches).ok().filter(|matches| *matches <= parse.matches.len());
            let matches = matches.ok_or(DeltaError::Part)?;
            let last = parse.matches[..matches].last().map_or(0, Match::end).max(before.at);
            let next = parse.matches.get(matches).map_or(length, |next| next.at);
            // Most often all literals up to the next match, or none.
            let room = u64::from(next.checked_sub(last).ok_or(DeltaError::Part)?);
            let told = u64::from(next.saturating_sub(known.at)).min(room);
            let left = self.numbers.code(coder, told, as_(BEHIND));
            let literals = room.checked_sub(left).ok_or(DeltaError::Part)?;
            before = End { matches: matches as u32, at: last + literals as u32 };
            parse.end(before).ok_or(DeltaError::Part)?;
            number += 1;
        }
        if before.matches as usize == parse.matches.len() { Ok(()) } else { Err(DeltaError::Part) }
    }
}

/// What is near a place at which both parses differ.
struct Near<'n> {
    ahead: &'n [Match],
    before: Option<Match>,
    last: [u32; 3],
    at: u32,
}

impl Near<'_> {
    fn offsets(&self) -> [Option<u32>; NEAR] {
        let mut offsets = [None; NEAR];
        let ahead = self.ahead.iter().take(AHEAD).map(|likely| likely.offset);
        let rest = self.before.map(|before| before.offset).into_iter().chain(self.last);
        for offset in ahead.chain(rest) {
            let free = offsets.iter().position(|known| known.is_none_or(|known| known == offset));
            if let Some(free) = free {
                offsets[free] = Some(offset);
            }
        }
        offsets
    }
}

fn as_(kind: usize) -> As {
    As { kind, context: kind }
}

/// Short matches, and those right behind another one, are where packers differ.
fn context(likely: Match, at: u32, last: u32, history: usize) -> usize {
    let length = match likely.length {
        ..=3 => 0,
        4 => 1,
        5..8 => 2,
        _ => 3,
    };
    ((history * 4 + length) * 2 + usize::from(likely.at == at)) * 2 + usize::from(likely.offset == last)
}

/// One of a few, or none of them.
#[derive(Debug)]
struct Choice([Cell; NEAR]);

impl Choice {
    const NEW: Self = Self([Cell::NEW; NEAR]);

    /// The number of cells for none.
    fn code<C: Coder>(&mut self, coder: &mut C, known: Option<usize>) -> usize {
        let known = known.unwrap_or(NEAR);
        (0..NEAR).find(|i| self.0[*i].code(coder, known == *i)).unwrap_or(NEAR)
    }
}
