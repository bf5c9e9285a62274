//! Blocks: how often each symbol came, and the codes that follow from it (zlib's `trees.c`).

use alloc::vec::Vec;

use super::Flavour;
use super::bits::Bits;
use crate::delta::DeltaError;
use crate::delta::walk::Output;

const END: usize = 256;
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const LENGTHS: usize = 19;
/// The most nodes of a tree, and one more.
const NODES: usize = 2 * LITERALS + 1;
const LONGEST: usize = 15;

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

/// Bits of the codes that stand in the format, of literals.
const fn fixed_length(symbol: usize) -> u8 {
    match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    }
}

/// One alphabet's tree.
#[derive(Debug)]
struct Tree {
    symbols: usize,
    extra: &'static [u8],
    /// Extra bits begin with this symbol.
    base: usize,
    longest: usize,
    often: [u16; NODES],
    parent: [u16; NODES],
    bits: [u8; NODES],
    code: [u16; LITERALS],
    last: usize,
}

/// What both kinds of codes take, in bits.
#[derive(Debug, Default)]
struct Cost {
    own: u64,
    fixed: u64,
}

impl Tree {
    const fn new(symbols: usize, extra: &'static [u8], base: usize, longest: usize) -> Self {
        let (often, parent, bits) = ([0; NODES], [0; NODES], [0; NODES]);
        Self { symbols, extra, base, longest, often, parent, bits, code: [0; LITERALS], last: 0 }
    }

    fn reset(&mut self) {
        self.often[..self.symbols].fill(0);
    }

    fn extra(&self, symbol: usize) -> u32 {
        symbol.checked_sub(self.base).map_or(0, |at| u32::from(self.extra[at]))
    }

    fn fixed(&self, symbol: usize) -> Option<u8> {
        match self.symbols {
            LITERALS => Some(fixed_length(symbol)),
            DISTANCES => Some(5),
            _ => None,
        }
    }

    /// `build_tree`: Huffman's codes of at most so many bits.
    fn build(&mut self, heap: &mut Heap, cost: &mut Cost) {
        heap.length = 0;
        let mut last = 0;
        for symbol in 0..self.symbols {
            if self.often[symbol] == 0 {
                self.bits[symbol] = 0;
                continue;
            }
            last = symbol;
            heap.length += 1;
            heap.nodes[heap.length] = symbol as u16;
            heap.depth[symbol] = 0;
        }
        let any = heap.length > 0;
        // A tree has two codes at least.
        let mut highest = if any { last as isize } else { -1 };
        while heap.length < 2 {
            let symbol = if highest < 2 {
                highest += 1;
                highest as usize
            } else {
                0
            };
            heap.length += 1;
            heap.nodes[heap.length] = symbol as u16;
            self.often[symbol] = 1;
            heap.depth[symbol] = 0;
            cost.own = cost.own.wrapping_sub(1);
            if let Some(fixed) = self.fixed(symbol) {
                cost.fixed = cost.fixed.wrapping_sub(u64::from(fixed));
            }
        }
        self.last = highest as usize;
        for at in (1..=heap.length / 2).rev() {
            heap.down(&self.often, at);
        }
        let mut node = self.symbols;
        heap.sorted = NODES;
        loop {
            let first = heap.nodes[1];
            heap.nodes[1] = heap.nodes[heap.length];
            heap.length -= 1;
            heap.down(&self.often, 1);
            let second = heap.nodes[1];
            heap.sorted -= 2;
            (heap.nodes[heap.sorted + 1], heap.nodes[heap.sorted]) = (first, second);
            let (a, b) = (usize::from(first), usize::from(second));
            self.often[node] = self.often[a].wrapping_add(self.often[b]);
            heap.depth[node] = heap.depth[a].max(heap.depth[b]).wrapping_add(1);
            (self.parent[a], self.parent[b]) = (node as u16, node as u16);
            heap.nodes[1] = node as u16;
            node += 1;
            heap.down(&self.often, 1);
            if heap.length < 2 {
                break;
            }
        }
        heap.sorted -= 1;
        heap.nodes[heap.sorted] = heap.nodes[1];
        let counts = self.measure(heap, cost);
        self.name(&counts);
    }

    /// `gen_bitlen`: how many bits each code has; none has more than the longest may.
    fn measure(&mut self, heap: &Heap, cost: &mut Cost) -> [u16; LONGEST + 1] {
        let mut counts = [0_u16; LONGEST + 1];
        let mut over = 0_i32;
        let nodes = &heap.nodes[heap.sorted..NODES];
        self.bits[usize::from(nodes[0])] = 0;
        for node in nodes[1..].iter().map(|node| usize::from(*node)) {
            let mut bits = usize::from(self.bits[usize::from(self.parent[node])]) + 1;
            if bits > self.longest {
                bits = self.longest;
                over += 1;
            }
            self.bits[node] = bits as u8;
            if node > self.last {
                continue;
            }
            counts[bits] += 1;
            let (often, extra) = (u64::from(self.often[node]), u64::from(self.extra(node)));
            cost.own = cost.own.wrapping_add(often * (bits as u64 + extra));
            if let Some(fixed) = self.fixed(node) {
                cost.fixed = cost.fixed.wrapping_add(often * (u64::from(fixed) + extra));
            }
        }
        if over == 0 {
            return counts;
        }
        while over > 0 {
            let mut bits = self.longest - 1;
            while counts[bits] == 0 {
                bits -= 1;
            }
            counts[bits] -= 1;
            counts[bits + 1] += 2;
            counts[self.longest] -= 1;
            over -= 2;
        }
        let mut leaves = nodes.iter().rev().map(|node| usize::from(*node)).filter(|node| *node <= self.last);
        for bits in (1..=self.longest).rev() {
            for leaf in leaves.by_ref().take(usize::from(counts[bits])) {
                let often = u64::from(self.often[leaf]);
                let change = (bits as u64).wrapping_sub(u64::from(self.bits[leaf])).wrapping_mul(often);
                cost.own = cost.own.wrapping_add(change);
                self.bits[leaf] = bits as u8;
            }
        }
        counts
    }

    /// `gen_codes`: the codes that these lengths mean, their bits turned around.
    fn name(&mut self, counts: &[u16; LONGEST + 1]) {
        let mut next = [0_u16; LONGEST + 1];
        let mut code = 0_u16;
        for bits in 1..=LONGEST {
            code = code.wrapping_add(counts[bits - 1]) << 1;
            next[bits] = code;
        }
        for symbol in 0..=self.last {
            let bits = usize::from(self.bits[symbol]);
            if bits > 0 {
                self.code[symbol] = next[bits].reverse_bits() >> (16 - bits);
                next[bits] = next[bits].wrapping_add(1);
            }
        }
    }

    /// Run lengths of the codes' lengths (`scan_tree`, `send_tree`): a symbol of the lengths' alphabet, its extra bits.
    fn runs(
        &self,
        told: &mut dyn FnMut(usize, Option<(u32, u32)>) -> Result<(), DeltaError>,
    ) -> Result<(), DeltaError> {
        // Nothing is the length of what is behind the last one.
        let length = |symbol: usize| if symbol > self.last { 255 } else { usize::from(self.bits[symbol]) };
        let (mut before, mut next, mut count) = (usize::MAX, usize::from(self.bits[0]), 0);
        let bounds = |bits: usize, next: usize| match (next, bits == next) {
            (0, _) => (138, 3),
            (_, true) => (6, 3),
            (_, false) => (7, 4),
        };
        let (mut most, mut least) = bounds(usize::MAX, next);
        for symbol in 0..=self.last {
            let bits = next;
            next = length(symbol + 1);
            count += 1;
            if count < most && bits == next {
                continue;
            }
            if count < least {
                for _ in 0..count {
                    told(bits, None)?;
                }
            } else if bits != 0 {
                if bits != before {
                    told(bits, None)?;
                    count -= 1;
                }
                told(16, Some((count as u32 - 3, 2)))?;
            } else if count <= 10 {
                told(17, Some((count as u32 - 3, 3)))?;
            } else {
                told(18, Some((count as u32 - 11, 7)))?;
            }
            (count, before) = (0, bits);
            (most, least) = bounds(bits, next);
        }
        Ok(())
    }
}

/// The nodes that have no parent yet, the rarest first; and those that have, at the end.
#[derive(Debug)]
struct Heap {
    nodes: [u16; NODES + 1],
    depth: [u8; NODES],
    length: usize,
    sorted: usize,
}

impl Heap {
    /// `pqdownheap`
    fn down(&mut self, often: &[u16; NODES], mut at: usize) {
        let node = self.nodes[at];
        let key = |node: u16, depth: &[u8; NODES]| (often[usize::from(node)], depth[usize::from(node)]);
        let own = key(node, &self.depth);
        let mut child = at * 2;
        while child <= self.length {
            let right = child < self.length
                && key(self.nodes[child + 1], &self.depth) <= key(self.nodes[child], &self.depth);
            child += usize::from(right);
            if own <= key(self.nodes[child], &self.depth) {
                break;
            }
            self.nodes[at] = self.nodes[child];
            at = child;
            child *= 2;
        }
        self.nodes[at] = node;
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
            heap: Heap { nodes: [0; NODES + 1], depth: [0; NODES], length: 0, sorted: NODES },
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
