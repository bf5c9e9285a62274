//! Reads the parse of a frame (RFC 8878, 3.1.1). Literals are passed over: only how many there are counts.

use super::table::{Backwards, Table};
use super::{End, Match, Parse, REPEATED, repeated};

/// What repeats from block to block.
struct State {
    literal_lengths: Table,
    offsets: Table,
    match_lengths: Table,
    /// The last three offsets.
    repeated: [u32; 3],
    /// Where the content is.
    at: u32,
}

/// The most bytes of a block, unpacked.
const BLOCK: usize = 1 << 17;

pub(super) fn read(frame: &[u8], parse: &mut Parse) -> Option<()> {
    let mut rest = blocks(frame)?;
    let mut state = State {
        literal_lengths: Table::EMPTY,
        offsets: Table::EMPTY,
        match_lengths: Table::EMPTY,
        repeated: REPEATED,
        at: 0,
    };
    loop {
        let (header, after) = rest.split_first_chunk::<3>()?;
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        let stored = if kind == 1 { 1 } else { size };
        let (block, after) = after.split_at_checked(stored)?;
        match kind {
            0 | 1 if size <= BLOCK => state.at += size as u32,
            2 => state.block(block, parse)?,
            _ => return None,
        }
        let matches = parse.matches.len() as u32;
        parse.end(End { matches, at: state.at })?;
        rest = after;
        if is_last {
            return rest.is_empty().then_some(());
        }
    }
}

/// What is behind the header of a frame without dictionary and sum.
fn blocks(frame: &[u8]) -> Option<&[u8]> {
    let rest = frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?;
    let (descriptor, rest) = rest.split_first()?;
    let single = descriptor & 0x20 != 0;
    if descriptor & 0x0f != 0 {
        return None;
    }
    let length = match descriptor >> 6 {
        0 => usize::from(single),
        bits => 1 << bits,
    };
    rest.get(length + usize::from(!single)..)
}

impl State {
    fn block(&mut self, block: &[u8], parse: &mut Parse) -> Option<()> {
        let (literals, rest) = literals(block)?;
        let (count, rest) = match *rest {
            [0, ref rest @ ..] => (0, rest),
            [one @ ..128, ref rest @ ..] => (usize::from(one), rest),
            [one @ ..=254, two, ref rest @ ..] => (usize::from(one - 128) << 8 | usize::from(two), rest),
            [255, one, two, ref rest @ ..] => (usize::from(u16::from_le_bytes([one, two])) + 0x7f00, rest),
            _ => return None,
        };
        let mut left = literals;
        if count == 0 {
            if !rest.is_empty() {
                return None;
            }
        } else {
            let (modes, mut rest) = rest.split_first()?;
            LITERAL_LENGTHS.read(&mut self.literal_lengths, modes >> 6, &mut rest)?;
            OFFSETS.read(&mut self.offsets, modes >> 4 & 3, &mut rest)?;
            MATCH_LENGTHS.read(&mut self.match_lengths, modes >> 2 & 3, &mut rest)?;
            let mut bits = Backwards::new(rest)?;
            let mut states = [0; 3];
            let tables = [&self.literal_lengths, &self.offsets, &self.match_lengths];
            for (state, table) in states.iter_mut().zip(tables) {
                *state = bits.take(table.log)? as usize;
            }
            for number in 0..count {
                let [of_literals, of_offset, of_match] = [
                    self.literal_lengths.state(states[0]),
                    self.offsets.state(states[1]),
                    self.match_lengths.state(states[2]),
                ];
                let offset = (1_u64 << of_offset.symbol) + u64::from(bits.take(of_offset.symbol)?);
                let length = value(of_match.symbol, &MATCHES, &mut bits)?;
                let before = value(of_literals.symbol, &LITERALS, &mut bits)?;
                if number + 1 < count {
                    for (place, state) in [(0, of_literals), (2, of_match), (1, of_offset)] {
                        states[place] = usize::from(state.next) + bits.take(state.bits)? as usize;
                    }
                }
                left = left.checked_sub(before)?;
                let (offset, after) = repeated(u32::try_from(offset).ok()?, before == 0, self.repeated)?;
                self.repeated = after;
                let at = self.at.checked_add(before)?;
                parse.push(Match { at, length, offset })?;
                self.at = at.checked_add(length)?;
            }
            if !bits.is_empty() {
                return None;
            }
        }
        self.at = self.at.checked_add(left)?;
        Some(())
    }
}

/// How many literals a block has, and what is behind them.
fn literals(block: &[u8]) -> Option<(u32, &[u8])> {
    let word = block.iter().take(5).rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let (kind, format) = (word & 3, word >> 2 & 3);
    let bits = |from: u32, count: u32| (word >> from & ((1 << count) - 1)) as usize;
    let (header, made, stored) = match (kind, format) {
        (0 | 1, 0 | 2) => (1, bits(3, 5), None),
        (0 | 1, 1) => (2, bits(4, 12), None),
        (0 | 1, _) => (3, bits(4, 20), None),
        (_, 0 | 1) => (3, bits(4, 10), Some(bits(14, 10))),
        (_, 2) => (4, bits(4, 14), Some(bits(18, 14))),
        (_, _) => (5, bits(4, 18), Some(bits(22, 18))),
    };
    let stored = stored.unwrap_or(if kind == 1 { 1 } else { made });
    (made <= BLOCK).then_some((made as u32, block.get(header + stored..)?))
}

/// How codes of one of three sorts are described.
struct Sort {
    usual_log: u8,
    usual: &'static [i16],
    most: usize,
    finest: u8,
}

impl Sort {
    fn read(&self, table: &mut Table, mode: u8, rest: &mut &[u8]) -> Option<()> {
        match mode {
            0 => table.spread(self.usual_log, self.usual),
            1 => {
                let (symbol, after) = rest.split_first()?;
                *rest = after;
                table.one(Some(*symbol).filter(|symbol| usize::from(*symbol) < self.most)?);
                Some(())
            }
            2 => {
                let read = table.read(rest, self.most, self.finest)?;
                *rest = rest.get(read..)?;
                Some(())
            }
            _ => Some(()),
        }
    }
}

const LITERAL_LENGTHS: Sort = Sort {
    usual_log: 6,
    usual: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1,
        -1, -1, -1,
    ],
    most: 36,
    finest: 9,
};

const MATCH_LENGTHS: Sort = Sort {
    usual_log: 6,
    usual: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    most: 53,
    finest: 9,
};

const OFFSETS: Sort = Sort {
    usual_log: 5,
    usual: &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    most: 32,
    finest: 8,
};

/// Codes from a number on: what the first of them means, and the bits of each behind it (RFC 8878, 3.1.1.3.2.1.1).
pub(super) struct Values {
    pub(super) plain: u8,
    pub(super) base: u32,
    pub(super) bits: &'static [u8],
}

pub(super) const LITERALS: Values =
    Values { plain: 16, base: 0, bits: &[1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16] };

pub(super) const MATCHES: Values = Values {
    plain: 32,
    base: 3,
    bits: &[1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
};

fn value(code: u8, values: &Values, bits: &mut Backwards<'_>) -> Option<u32> {
    let Some(above) = code.checked_sub(values.plain) else { return Some(values.base + u32::from(code)) };
    let (before, own) = values.bits.split_at_checked(usize::from(above))?;
    let first = before.iter().fold(values.base + u32::from(values.plain), |sum, bits| sum + (1 << bits));
    Some(first + bits.take(*own.first()?)?)
}
