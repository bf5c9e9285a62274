//! Three numbers below 2^40 and a byte in 16 bytes: what a map has thousands of.

/// Numbers are below this.
pub(super) const END: u64 = 1 << 40;

/// See the module's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Packed {
    low: [u32; 3],
    high: [u8; 3],
    pub(super) tag: u8,
}

impl Packed {
    /// Of each number its lowest 40 bits.
    pub(super) fn new(numbers: [u64; 3], tag: u8) -> Self {
        Self { low: numbers.map(|n| n as u32), high: numbers.map(|n| (n >> 32) as u8), tag }
    }

    /// The numbers.
    #[inline]
    pub(super) fn numbers(&self) -> [u64; 3] {
        core::array::from_fn(|i| self.number(i))
    }

    /// One of them.
    #[inline]
    pub(super) fn number(&self, which: usize) -> u64 {
        u64::from(self.high[which]) << 32 | u64::from(self.low[which])
    }
}
