//! Tables of finite-state entropy, as RFC 8878 (4.1) describes them.

/// The finest table of sequences: 2^9 states.
const STATES: usize = 1 << 9;
/// Lengths of literals and of matches have codes below 36 and 53, offsets below 32.
const SYMBOLS: usize = 53;

/// What a state means.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    pub symbol: u8,
    /// So many bits are read and added to `next`.
    pub bits: u8,
    pub next: u16,
}

/// A decoding table.
#[derive(Debug)]
pub(super) struct Table {
    pub log: u8,
    states: [State; STATES],
}

impl Table {
    pub(super) const EMPTY: Self = Self { log: 0, states: [State { symbol: 0, bits: 0, next: 0 }; STATES] };

    pub(super) fn state(&self, number: usize) -> State {
        self.states[number & (STATES - 1)]
    }

    /// One symbol for ever.
    pub(super) fn one(&mut self, symbol: u8) {
        self.log = 0;
        self.states[0] = State { symbol, bits: 0, next: 0 };
    }

    /// From how often each symbol comes, -1 for "less than once".
    pub(super) fn spread(&mut self, log: u8, counts: &[i16]) -> Option<()> {
        let size = 1_usize << log;
        if size > STATES || counts.len() > SYMBOLS {
            return None;
        }
        let mut next = [0_u16; SYMBOLS];
        let mut high = size;
        for (symbol, count) in counts.iter().enumerate() {
            next[symbol] = match count {
                -1 => {
                    high = high.checked_sub(1)?;
                    self.states[high].symbol = symbol as u8;
                    1
                }
                count => *count as u16,
            };
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut place = 0;
        for (symbol, count) in counts.iter().enumerate() {
            for _ in 0..(*count).max(0) {
                self.states[place].symbol = symbol as u8;
                place = (place + step) & (size - 1);
                while place >= high {
                    place = (place + step) & (size - 1);
                }
            }
        }
        if place != 0 {
            return None;
        }
        for state in &mut self.states[..size] {
            let next = &mut next[usize::from(state.symbol)];
            let bits = u16::from(log).checked_sub(next.checked_ilog2()? as u16)?;
            state.bits = bits as u8;
            state.next = (*next << bits).checked_sub(size as u16)?;
            *next += 1;
        }
        self.log = log;
        Some(())
    }

    /// Reads a description (RFC 8878, 4.1.1) of at most `most` symbols and 2^`finest` states: how many bytes it has.
    pub(super) fn read(&mut self, bytes: &[u8], most: usize, finest: u8) -> Option<usize> {
        let mut at = 0;
        let log = take(bytes, &mut at, 4)? as u8 + 5;
        if log > finest {
            return None;
        }
        let mut counts = [0_i16; SYMBOLS];
        let mut symbol = 0;
        let mut remaining = (1_i32 << log) + 1;
        let mut threshold = 1_i32 << log;
        let mut bits = u32::from(log) + 1;
        while remaining > 1 {
            let most_here = 2 * threshold - 1 - remaining;
            let low = take(bytes, &mut at, bits - 1)? as i32;
            let count = if low < most_here {
                low
            } else {
                let value = low | (take(bytes, &mut at, 1)? as i32) << (bits - 1);
                if value >= threshold { value - most_here } else { value }
            } - 1;
            remaining -= count.abs();
            *counts.get_mut(symbol).filter(|_| symbol < most)? = count as i16;
            symbol += 1;
            // Behind a symbol that doesn't come: how many more don't, three at a time.
            let mut passed = if count == 0 { 3 } else { 0 };
            while passed == 3 {
                passed = take(bytes, &mut at, 2)?;
                symbol += passed as usize;
            }
            while remaining < threshold && threshold > 1 {
                (bits, threshold) = (bits - 1, threshold >> 1);
            }
        }
        if remaining != 1 || symbol > most {
            return None;
        }
        self.spread(log, &counts[..symbol])?;
        Some(at.div_ceil(8))
    }
}

/// Bits from the lowest of the first byte on.
fn take(bytes: &[u8], at: &mut usize, count: u32) -> Option<u32> {
    let mut value = 0;
    for i in 0..count {
        let byte = *bytes.get(*at / 8)?;
        value |= u32::from(byte >> (*at % 8) & 1) << i;
        *at += 1;
    }
    Some(value)
}

/// A stream that is read from its end (RFC 8878, 4.1).
pub(super) struct Backwards<'b> {
    bytes: &'b [u8],
    /// Bits that are left.
    left: usize,
}

impl<'b> Backwards<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Option<Self> {
        // Above the highest one there is nothing.
        let last = bytes.last()?.checked_ilog2()? as usize;
        Some(Self { bytes, left: 8 * (bytes.len() - 1) + last })
    }

    /// The next bits, the highest first; at most 32.
    pub(super) fn take(&mut self, count: u8) -> Option<u32> {
        let count = usize::from(count);
        self.left = self.left.checked_sub(count)?;
        let (first, shift) = (self.left / 8, self.left % 8);
        let near = self.bytes.get(first..).unwrap_or_default();
        let word = near.iter().take(5).rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        Some((word >> shift & ((1 << count) - 1)) as u32)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }
}
