//! What literals and matches cost, by what was written so far.
//!
//! Decides as zstd's optimal parser does, to the unit: a 256th of a bit. Any other rounding is another parse.

use super::levels::Effort;
use crate::delta::packing::parse::frame::{LITERALS, MATCHES, Values};

/// Units of a bit.
const BIT: u32 = 256;
/// Before anything was written: short runs of literals are likely, offsets are in the middle.
const FIRST_LITERALS: [u32; 3] = [4, 2, 1];
const FIRST_OFFSETS: [u32; 12] = [6, 2, 1, 1, 2, 3, 4, 4, 4, 3, 2, 1];
/// How much more often a literal counts than anything else: they adapt faster.
const LITERAL: u32 = 2;

/// How often each symbol of an alphabet was written.
#[derive(Debug)]
struct Counts<const N: usize> {
    of: [u32; N],
    sum: u32,
    /// The weight of the sum.
    whole: u32,
}

impl<const N: usize> Counts<N> {
    const NONE: Self = Self { of: [0; N], sum: 0, whole: 0 };

    fn set(&mut self, count: impl Fn(usize) -> u32) {
        self.of = core::array::from_fn(count);
        self.sum = self.of.iter().sum();
    }

    fn add(&mut self, symbol: usize, times: u32) {
        self.of[symbol] += times;
        self.sum += times;
    }

    /// Shrinks counts that add up to much more than two to the power of `log`, so that what follows weighs more.
    fn shrink(&mut self, log: u32) {
        let factor = self.sum >> log;
        if factor > 1 {
            let of = self.of;
            self.set(|symbol| 1 + (of[symbol] >> factor.ilog2()));
        }
    }
}

/// The prices of one content.
#[derive(Debug)]
pub(super) struct Prices {
    is_fine: bool,
    literals: Counts<256>,
    runs: Counts<36>,
    lengths: Counts<53>,
    offsets: Counts<32>,
    run_codes: [u8; 64],
    length_codes: [u8; 128],
}

impl Prices {
    pub(super) fn new() -> Self {
        Self {
            is_fine: false,
            literals: Counts::NONE,
            runs: Counts::NONE,
            lengths: Counts::NONE,
            offsets: Counts::NONE,
            run_codes: core::array::from_fn(|run| LITERALS.code(run as u32)),
            length_codes: core::array::from_fn(|length| MATCHES.code(MATCHES.base + length as u32)),
        }
    }

    /// Before the content is parsed for the first time.
    pub(super) fn begin(&mut self, effort: Effort, content: &[u8]) {
        self.is_fine = effort != Effort::Rough;
        let mut literals = [0_u32; 256];
        content.iter().for_each(|byte| literals[usize::from(*byte)] += 1);
        self.literals.set(|byte| u32::from(literals[byte] > 0) + (literals[byte] >> 8));
        self.runs.set(|code| FIRST_LITERALS.get(code).copied().unwrap_or(1));
        self.lengths.set(|_| 1);
        self.offsets.set(|code| FIRST_OFFSETS.get(code).copied().unwrap_or(1));
        self.weigh();
    }

    /// Before it is parsed once more.
    pub(super) fn again(&mut self) {
        self.literals.shrink(12);
        self.runs.shrink(11);
        self.lengths.shrink(11);
        self.offsets.shrink(11);
        self.weigh();
    }

    /// Takes the sums for what they are now: single counts change at once, these with each stretch that is decided.
    pub(super) fn weigh(&mut self) {
        self.literals.whole = self.weight(self.literals.sum);
        self.runs.whole = self.weight(self.runs.sum);
        self.lengths.whole = self.weight(self.lengths.sum);
        self.offsets.whole = self.weight(self.offsets.sum);
    }

    /// Literals and a match behind them are written.
    pub(super) fn add(&mut self, literals: &[u8], number: u32, length: u32) {
        literals.iter().for_each(|byte| self.literals.add(usize::from(*byte), LITERAL));
        self.runs.add(self.run_code(literals.len() as u32), 1);
        self.offsets.add(number.ilog2() as usize, 1);
        self.lengths.add(self.length_code(length), 1);
    }

    /// About the logarithm of a count: the fraction by a straight line.
    #[inline]
    fn weight(&self, count: u32) -> u32 {
        let log = (count + 1).ilog2();
        if self.is_fine { log * BIT + (((count + 1) << 8) >> log) } else { log * BIT }
    }

    /// One literal, without the run's length.
    #[inline]
    pub(super) fn literal(&self, byte: u8) -> i32 {
        let whole = self.literals.whole;
        let weight = self.weight(self.literals.of[usize::from(byte)]);
        // A bit at least.
        (whole - weight.min(whole - BIT)) as i32
    }

    /// The length of a run of literals.
    #[inline]
    pub(super) fn run(&self, length: u32) -> i32 {
        let code = self.run_code(length);
        let bits = u32::from(LITERALS.bits_of(code as u8));
        (bits * BIT + self.runs.whole) as i32 - self.weight(self.runs.of[code]) as i32
    }

    /// A match, without the literals before it: `number` is its offset's (RFC 8878, 3.1.1.5).
    #[inline]
    pub(super) fn matched(&self, number: u32, length: u32) -> i32 {
        let code = number.ilog2();
        let mut price =
            (code * BIT + self.offsets.whole) as i32 - self.weight(self.offsets.of[code as usize]) as i32;
        if !self.is_fine && code >= 20 {
            // Far away is slow to unpack.
            price += ((code - 19) * 2 * BIT) as i32;
        }
        let code = self.length_code(length);
        let bits = u32::from(MATCHES.bits_of(code as u8));
        price += (bits * BIT + self.lengths.whole) as i32 - self.weight(self.lengths.of[code]) as i32;
        // Fewer sequences are faster to unpack.
        price + (BIT / 5) as i32
    }

    #[inline]
    fn run_code(&self, length: u32) -> usize {
        match self.run_codes.get(length as usize) {
            Some(code) => usize::from(*code),
            None => length.ilog2() as usize + 19,
        }
    }

    #[inline]
    fn length_code(&self, length: u32) -> usize {
        let above = length - MATCHES.base;
        match self.length_codes.get(above as usize) {
            Some(code) => usize::from(*code),
            None => above.ilog2() as usize + 36,
        }
    }
}

impl Values {
    /// The code of a number.
    fn code(&self, number: u32) -> u8 {
        let mut first = self.base + u32::from(self.plain);
        if number < first {
            return (number - self.base) as u8;
        }
        let above = self.bits.iter().take_while(|bits| {
            first += 1 << **bits;
            first <= number
        });
        self.plain + above.count() as u8
    }

    /// How many bits stand behind a code.
    fn bits_of(&self, code: u8) -> u8 {
        code.checked_sub(self.plain).map_or(0, |above| self.bits[usize::from(above)])
    }
}
