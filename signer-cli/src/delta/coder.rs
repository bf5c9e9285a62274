//! The encoding end of the device's coder, and one that only counts.

use perennial_device_core::delta::coder::{Coder, split};

/// Writes a frame.
#[derive(Debug)]
pub struct Encoder {
    low: u64,
    high: u64,
    bytes: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { low: 0, high: u64::MAX, bytes: Vec::new() }
    }
}

impl Encoder {
    /// Bytes written so far; up to eight more come at the end.
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The frame. A decoder reads zeros past its end, so they are left away.
    pub fn finish(mut self) -> Vec<u8> {
        // The value between low and high with the most zeros behind it.
        let ends = (0..=8_u32).map(|kept| match kept {
            0 => 0,
            _ => self.high & u64::MAX << (64 - 8 * kept),
        });
        let value = ends.into_iter().find(|value| *value >= self.low).unwrap_or(self.high);
        self.bytes.extend(value.to_be_bytes());
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

impl Coder for Encoder {
    #[inline]
    fn bit(&mut self, bit: bool, one: u32) -> bool {
        let middle = split(self.low, self.high, one);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 56 == 0 {
            self.bytes.push((self.high >> 56) as u8);
            self.low <<= 8;
            self.high = self.high << 8 | 0xff;
        }
        bit
    }
}
