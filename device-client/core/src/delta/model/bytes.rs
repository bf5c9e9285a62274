//! Bytes in context: each bit is predicted by what followed the same contexts before, and by bytes that are expected there.

use alloc::vec;
use alloc::vec::Vec;

use super::cell::{Cell, small, stretch};
use super::mixer::{LANES, Mixer};
use crate::delta::coder::Coder;

/// Hashed contexts of a byte.
pub const CONTEXTS: usize = 7;
/// How many bytes may be expected at once.
pub const EXPECTED: usize = 2;
/// Kinds of bytes, which share nothing but the buckets.
pub const KINDS: usize = 2;

/// A byte that is expected, and how well that went of late, 0 to 15.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The byte.
    pub byte: u8,
    /// The higher, the more often it was right.
    pub trust: u8,
}

/// What a byte is predicted by.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Which kind of byte it is, below [`KINDS`].
    pub kind: usize,
    /// Hashes of contexts.
    pub hashes: [u32; CONTEXTS],
    /// Bytes that are expected.
    pub expected: [Option<Expected>; EXPECTED],
}

/// Sixteen cells: a check of the context, and the nodes of four bits. Aligned, so that it and its neighbour, which a search
/// looks at as well, share a line of a cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Bucket([u16; 16]);

impl Bucket {
    const NEW: Self = Self([small::NEW; 16]);
}

/// The model.
#[derive(Debug)]
pub struct Bytes {
    buckets: Vec<Bucket>,
    mixer: Mixer,
    expected: Vec<Cell>,
}

const SETS: usize = KINDS * 8 * 4;

impl Bytes {
    /// Bytes that this takes besides itself.
    pub const fn memory(bits: u8) -> usize {
        let expected = KINDS * EXPECTED * 16 * size_of::<Cell>();
        (size_of::<Bucket>() << bits) + Mixer::memory(SETS) + expected
    }

    /// With 2^`bits` buckets of 32 bytes.
    pub fn new(bits: u8) -> Self {
        Self {
            buckets: vec![Bucket::NEW; 1 << bits],
            mixer: Mixer::new(SETS),
            expected: vec![Cell::NEW; KINDS * EXPECTED * 16],
        }
    }

    /// Forgets what was learned.
    pub fn reset(&mut self) {
        self.buckets.fill(Bucket::NEW);
        self.mixer.reset();
        self.expected.fill(Cell::NEW);
    }

    /// Codes a byte.
    pub fn code<C: Coder>(&mut self, coder: &mut C, byte: u8, context: &Context) -> u8 {
        let high = self.nibble(coder, byte >> 4, 1, context);
        let low = self.nibble(coder, byte & 15, 16 | high, context);
        high << 4 | low
    }

    /// Codes four bits; `before` is 1, or 16 and the byte's first four bits.
    fn nibble<C: Coder>(&mut self, coder: &mut C, nibble: u8, before: u8, context: &Context) -> u8 {
        let more = u32::from(before).wrapping_mul(0x9E37_79B1);
        let mut slots = context.hashes.map(|hash| hash.wrapping_add(more) as usize);
        for slot in &mut slots {
            *slot = self.find(*slot as u32);
        }
        let mut inputs = [0; LANES];
        inputs[CONTEXTS + EXPECTED] = 256;
        let mut node = 1_usize;
        // The byte up to here, with a leading one.
        let mut so_far = u32::from(before);
        for i in (0..4).rev() {
            let left = if before == 1 { 4 + i } else { i };
            for (input, slot) in inputs.iter_mut().zip(slots) {
                *input = stretch(small::one(self.buckets[slot].0[node & 15])) as i16;
            }
            let guesses = context.expected.map(|expected| guess(expected, so_far, left));
            let mut agreed = 0;
            for (which, guess) in guesses.iter().enumerate() {
                inputs[CONTEXTS + which] = 0;
                if let Some((bit, trust)) = guess {
                    let at = (context.kind * EXPECTED + which) * 16 + usize::from(*trust);
                    let logit = stretch(self.expected[at].one() >> 4) as i16;
                    inputs[CONTEXTS + which] = if *bit { logit } else { -logit };
                    agreed |= 1 << which;
                }
            }
            let set = ((context.kind % KINDS) * 8 + left) * 4 + agreed;
            let one = self.mixer.mix(set, &inputs);
            let bit = coder.bit(nibble >> i & 1 == 1, one);
            self.mixer.learn(set, &inputs, one, bit);
            for slot in slots {
                let cell = &mut self.buckets[slot].0[node & 15];
                *cell = small::learn(*cell, bit);
            }
            for (which, guess) in guesses.iter().enumerate() {
                if let Some((guessed, trust)) = guess {
                    let at = (context.kind * EXPECTED + which) * 16 + usize::from(*trust);
                    self.expected[at].learn(*guessed == bit, 127);
                }
            }
            node = node << 1 | usize::from(bit);
            so_far = so_far << 1 | u32::from(bit);
        }
        node as u8 & 15
    }

    /// The bucket of a context: the one that carries its check, or the less used of two, emptied.
    #[inline]
    fn find(&mut self, hash: u32) -> usize {
        let spread = u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let check = (spread >> 32) as u16 | 1;
        let first = (spread >> 48) as usize ^ (spread >> 24) as usize & 0xf_0000;
        let first = first & (self.buckets.len() - 1);
        let second = first ^ 1;
        if self.buckets[first].0[0] == check {
            return first;
        }
        if self.buckets[second].0[0] == check {
            return second;
        }
        let used = |at: usize| small::count(self.buckets[at].0[1]);
        let slot = if used(first) <= used(second) { first } else { second };
        self.buckets[slot] = Bucket::NEW;
        self.buckets[slot].0[0] = check;
        slot
    }
}

/// The next bit of an expected byte, where its bits so far were right.
#[inline]
fn guess(expected: Option<Expected>, so_far: u32, left: usize) -> Option<(bool, u8)> {
    let Expected { byte, trust } = expected?;
    let whole = 0x100 | u32::from(byte);
    (whole >> (left + 1) == so_far).then_some((whole >> left & 1 == 1, trust & 15))
}

/// Spreads a hash's bits (the finisher of MurmurHash3).
#[inline]
pub fn mixed(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85EB_CA6B);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xC2B2_AE35);
    hash ^ hash >> 16
}

/// One hash of a context: its number, and up to seven bytes.
#[inline]
pub fn hashed(number: u32, bytes: u64) -> u32 {
    let word =
        bytes.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(number).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (word >> 32) as u32 ^ word as u32
}
