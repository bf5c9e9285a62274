//! Blocks: which of the three ways is the shortest, and how it is written (zlib's `trees.c`).

use alloc::vec::Vec;

use super::Flavour;
use super::bits::Bits;
use super::tree::{Cost, DISTANCES, Heap, LENGTHS, LITERALS, Tree};
use crate::delta::DeltaError;
use crate::delta::walk::Output;

const END: usize = 256;

const LITERAL_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_EXTRA: [u8; DISTANCES] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const LENGTH_EXTRA: [u8; LENGTHS] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7];
const ORDER: [usize; LENGTHS] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The code of each length less 3, and the first length of each code.
static LENGTH_CODES: ([u8; 256], [u8; 29]) = {
    let (mut codes, mut bases) = ([0; 256], [0; 29]);
    let (mut code, mut length) = (0, 0);
    while code < 28 {
        bases[code] = length as u8;
        let mut n = 0;
        while n < 1 << LITERAL_EXTRA[code] && length < 256 {
            codes[length] = code as u8;
            length += 1;
            n += 1;
        }
        code += 1;
    }
    // The longest has a code of its own.
    codes[255] = 28;
    bases[28] = 255;
    (codes, bases)
};

/// The code of a distance less 1: two bits of it behind the highest.
#[inline]
fn distance_code(distance: usize) -> usize {
    match distance {
        0..4 => distance,
        _ => {
            let bits = distance.ilog2() as usize;
            2 * bits + (distance >> (bits - 1) & 1)
        }
    }
}

#[inline]
fn distance_base(code: usize) -> usize {
    match code {
        0..4 => code,
        _ => (2 + (code & 1)) << (code / 2 - 1),
    }
}

/// The block in the making.
#[derive(Debug)]
pub(super) struct Trees {
    literals: Tree,
    distances: Tree,
    lengths: Tree,
    heap: Heap,
    /// Distance, 0 for a literal, above the literal or the length less 3.
    symbols: Vec<u32>,
    copies: usize,
    full: usize,
    /// GNU gzip's way of ending a block early.
    truncates: bool,
    bits: Bits,
}

impl Trees {
    pub(super) fn new(symbols: usize) -> Self {
        Self {
            literals: Tree::new(LITERALS, &LITERAL_EXTRA, END + 1, 15),
            distances: Tree::new(DISTANCES, &DISTANCE_EXTRA, 0, 15),
            lengths: Tree::new(LENGTHS, &LENGTH_EXTRA, 0, 7),
            heap: Heap::new(),
            symbols: Vec::with_capacity(symbols),
            copies: 0,
            full: symbols,
            truncates: false,
            bits: Bits::new(),
        }
    }

    pub(super) const fn memory(symbols: usize) -> usize {
        symbols * size_of::<u32>() + Bits::memory()
    }

    pub(super) fn begin(&mut self, flavour: Flavour, level: u8, symbols: usize) {
        self.truncates = flavour == Flavour::Gzip && level > 2;
        self.full = symbols - 1;
        self.bits.begin();
        self.clear();
    }

    fn clear(&mut self) {
        self.literals.reset();
        self.distances.reset();
        self.lengths.reset();
        self.literals.often[END] = 1;
        self.symbols.clear();
        self.copies = 0;
    }

    /// A byte; says whether the block is full, of which `there` bytes came before.
    pub(super) fn literal(&mut self, byte: u8, there: isize) -> bool {
        self.symbols.push(u32::from(byte));
        self.literals.often[usize::from(byte)] += 1;
        self.is_full(there)
    }

    /// A match; says whether the block is full, of which `there` bytes came before.
    pub(super) fn copy(&mut self, distance: usize, length: usize, there: isize) -> bool {
        let length = length - 3;
        self.symbols.push((distance as u32) << 8 | length as u32);
        self.copies += 1;
        self.literals.often[END + 1 + usize::from(LENGTH_CODES.0[length])] += 1;
        self.distances.often[distance_code(distance - 1)] += 1;
        self.is_full(there)
    }

    fn is_full(&self, there: isize) -> bool {
        let count = self.symbols.len();
        if self.truncates && count & 0xfff == 0 {
            let pairs = self.distances.often.iter().zip(DISTANCE_EXTRA);
            let distances: u64 = pairs.map(|(often, extra)| u64::from(*often) * (5 + u64::from(extra))).sum();
            let bytes = (count as u64 * 8 + distances) >> 3;
            if self.copies < count / 2 && bytes < there as u64 / 2 {
                return true;
            }
        }
        count == self.full
    }

    /// `_tr_flush_block`: the block in the shortest of the three ways. `bytes` are what it holds, where they are still there.
    pub(super) fn block(
        &mut self,
        bytes: Option<&[u8]>,
        length: usize,
        last: bool,
        out: Output<'_>,
    ) -> Result<(), DeltaError> {
        let mut cost = Cost::default();
        self.literals.build(&mut self.heap, &mut cost);
        self.distances.build(&mut self.heap, &mut cost);
        let ranks = self.describe(&mut cost)?;
        let own = cost.own.wrapping_add(3 + 7) >> 3;
        let fixed = cost.fixed.wrapping_add(3 + 7) >> 3;
        let shortest = own.min(fixed);
        let last = u32::from(last);
        match bytes {
            Some(bytes) if length as u64 + 4 <= shortest => self.store(bytes, last, out)?,
            _ if fixed == shortest => {
                self.bits.put(1 << 1 | last, 3, out)?;
                self.name_fixed();
                self.symbols(out)?;
            }
            _ => {
                self.bits.put(2 << 1 | last, 3, out)?;
                self.tell(ranks, out)?;
                self.symbols(out)?;
            }
        }
        self.clear();
        Ok(())
    }

    /// The last block was written.
    pub(super) fn finish(&mut self, out: Output<'_>) -> Result<(), DeltaError> {
        self.bits.align(out)
    }

    fn store(&mut self, bytes: &[u8], last: u32, out: Output<'_>) -> Result<(), DeltaError> {
        self.bits.put(last, 3, out)?;
        self.bits.align(out)?;
        let length = bytes.len() as u16;
        self.bits.put(u32::from(length), 16, out)?;
        self.bits.put(u32::from(!length), 16, out)?;
        self.bits.align(out)?;
        out(bytes)
    }

    /// `build_bl_tree`: the code that the codes' lengths are told in; how many of its own lengths are.
    fn describe(&mut self, cost: &mut Cost) -> Result<usize, DeltaError> {
        let Self { literals, distances, lengths, heap, .. } = self;
        for tree in [&*literals, &*distances] {
            tree.runs(&mut |symbol, _| {
                lengths.often[symbol] += 1;
                Ok(())
            })?;
        }
        let mut own = Cost::default();
        lengths.build(heap, &mut own);
        let ranks = (3..LENGTHS).rev().find(|rank| lengths.bits[ORDER[*rank]] != 0).unwrap_or(2) + 1;
        cost.own = cost.own.wrapping_add(own.own).wrapping_add(3 * ranks as u64 + 5 + 5 + 4);
        Ok(ranks)
    }

    fn tell(&mut self, ranks: usize, out: Output<'_>) -> Result<(), DeltaError> {
        let Self { literals, distances, lengths, bits, .. } = self;
        bits.put(literals.last as u32 + 1 - 257, 5, out)?;
        bits.put(distances.last as u32, 5, out)?;
        bits.put(ranks as u32 - 4, 4, out)?;
        for symbol in &ORDER[..ranks] {
            bits.put(u32::from(lengths.bits[*symbol]), 3, out)?;
        }
        for tree in [&*literals, &*distances] {
            tree.runs(&mut |symbol, extra| {
                bits.put(u32::from(lengths.code[symbol]), u32::from(lengths.bits[symbol]), out)?;
                match extra {
                    Some((value, count)) => bits.put(value, count, out),
                    None => Ok(()),
                }
            })?;
        }
        Ok(())
    }

    /// The codes that stand in the format instead of the block's own.
    fn name_fixed(&mut self) {
        for symbol in 0..LITERALS {
            let (bits, code) = match symbol {
                0..144 => (8, 0x30 + symbol),
                144..256 => (9, 0x190 + symbol - 144),
                256..280 => (7, symbol - 256),
                _ => (8, 0xc0 + symbol - 280),
            };
            self.literals.bits[symbol] = bits;
            self.literals.code[symbol] = (code as u16).reverse_bits() >> (16 - u32::from(bits));
        }
        for symbol in 0..DISTANCES {
            self.distances.bits[symbol] = 5;
            self.distances.code[symbol] = (symbol as u16).reverse_bits() >> 11;
        }
    }

    /// `compress_block`
    fn symbols(&mut self, out: Output<'_>) -> Result<(), DeltaError> {
        let Self { literals, distances, symbols, bits, .. } = self;
        let mut put = |tree: &Tree, symbol: usize, rest: usize| {
            bits.put(u32::from(tree.code[symbol]), u32::from(tree.bits[symbol]), out)?;
            match tree.extra(symbol) {
                0 => Ok(()),
                extra => bits.put(rest as u32, extra, out),
            }
        };
        for symbol in symbols.iter().map(|symbol| *symbol as usize) {
            let (distance, low) = (symbol >> 8, symbol & 255);
            if distance == 0 {
                put(literals, low, 0)?;
                continue;
            }
            let code = usize::from(LENGTH_CODES.0[low]);
            put(literals, END + 1 + code, low - usize::from(LENGTH_CODES.1[code]))?;
            let code = distance_code(distance - 1);
            put(distances, code, distance - 1 - distance_base(code))?;
        }
        put(literals, END, 0)
    }
}
