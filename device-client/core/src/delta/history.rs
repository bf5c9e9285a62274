//! Bytes that were sent, to be expected again where the last few of them stood before.

use alloc::vec;
use alloc::vec::Vec;

use super::model::bytes::{Expected, mixed};

/// How many bytes must be the same before one is expected.
const LEAST: usize = 5;

/// A ring of the last bytes, and where each sequence of `LEAST` of them stood last.
#[derive(Debug)]
pub struct History {
    ring: Vec<u8>,
    places: Vec<u32>,
    at: usize,
    last: u64,
    /// Where the expected byte stands, and for how long it went well.
    pointer: Option<usize>,
    length: u32,
}

impl History {
    /// Of 2^`bits` bytes, and as much for the places; of none for 0.
    pub fn new(bits: u8) -> Self {
        let (ring, places) = if bits == 0 { (0, 0) } else { (1 << bits, 1 << (bits - 2)) };
        Self { ring: vec![0; ring], places: vec![u32::MAX; places], at: 0, last: 0, pointer: None, length: 0 }
    }

    /// Bytes that this takes besides itself.
    pub const fn memory(bits: u8) -> usize {
        if bits == 0 { 0 } else { 2 << bits }
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.places.fill(u32::MAX);
        (self.at, self.last, self.pointer, self.length) = (0, 0, None, 0);
    }

    /// What stood behind the last bytes when they were there before.
    pub fn expected(&self) -> Option<Expected> {
        let byte = *self.ring.get(self.pointer?)?;
        Some(Expected { byte, trust: (32 - self.length.leading_zeros()).min(15) as u8 })
    }

    /// A byte was sent.
    pub fn push(&mut self, byte: u8) {
        if self.ring.is_empty() {
            return;
        }
        let mask = self.ring.len() - 1;
        match self.expected() {
            Some(expected) if expected.byte == byte => {
                self.length += 1;
                self.pointer = self.pointer.map(|p| (p + 1) & mask);
            }
            _ => (self.pointer, self.length) = (None, 0),
        }
        self.ring[self.at] = byte;
        self.at = (self.at + 1) & mask;
        self.last = self.last << 8 | u64::from(byte);
        let key = self.last & ((1 << (8 * LEAST)) - 1);
        let slot = mixed(key as u32 ^ (key >> 32) as u32) as usize & (self.places.len() - 1);
        if self.pointer.is_none() {
            let place = self.places[slot] as usize;
            if place < self.ring.len() && place != self.at {
                self.pointer = Some(place);
            }
        }
        self.places[slot] = self.at as u32;
    }
}
