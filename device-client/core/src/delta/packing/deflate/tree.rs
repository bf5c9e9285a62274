//! One alphabet: how often each symbol came, and Huffman's codes that follow from it (zlib's `trees.c`).

use crate::delta::DeltaError;

pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;
pub(super) const LENGTHS: usize = 19;
/// The most nodes of a tree, and one more.
const NODES: usize = 2 * LITERALS + 1;
const LONGEST: usize = 15;

/// One alphabet's tree.
#[derive(Debug)]
pub(super) struct Tree {
    symbols: usize,
    extra: &'static [u8],
    /// Extra bits begin with this symbol.
    base: usize,
    longest: usize,
    pub(super) often: [u16; NODES],
    parent: [u16; NODES],
    pub(super) bits: [u8; NODES],
    pub(super) code: [u16; LITERALS],
    pub(super) last: usize,
}

/// What both kinds of codes take, in bits.
#[derive(Debug, Default)]
pub(super) struct Cost {
    pub(super) own: u64,
    pub(super) fixed: u64,
}

impl Tree {
    pub(super) const fn new(symbols: usize, extra: &'static [u8], base: usize, longest: usize) -> Self {
        let (often, parent, bits) = ([0; NODES], [0; NODES], [0; NODES]);
        Self { symbols, extra, base, longest, often, parent, bits, code: [0; LITERALS], last: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.often[..self.symbols].fill(0);
    }

    pub(super) fn extra(&self, symbol: usize) -> u32 {
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
    pub(super) fn build(&mut self, heap: &mut Heap, cost: &mut Cost) {
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
    pub(super) fn runs(
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
pub(super) struct Heap {
    nodes: [u16; NODES + 1],
    depth: [u8; NODES],
    length: usize,
    sorted: usize,
}

impl Heap {
    pub(super) const fn new() -> Self {
        Self { nodes: [0; NODES + 1], depth: [0; NODES], length: 0, sorted: NODES }
    }

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

/// Bits of the codes that stand in the format, of literals.
const fn fixed_length(symbol: usize) -> u8 {
    match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    }
}
