//! What copies, fills and insertions cost in a delta, as `choose` weighs them.
//!
//! Estimates in parts of a bit, found by making deltas of many pairs. They decide how small a delta becomes, never
//! whether it is right.

/// Parts that a bit is counted in.
pub const BIT: u32 = 64;

/// Costs, in 64ths of a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// A byte of a copy that is as in the old image.
    pub same: u32,
    /// The first byte after same ones that differs.
    pub wrong: u32,
    /// A byte that differs behind another one.
    pub wrong_on: u32,
    /// A byte that differs in the field of a reference: what it leads to differs, which says little of whether it is
    /// predicted.
    pub field: u32,
    /// An inserted byte.
    pub inserted: u32,
    /// An insertion, whatever its length.
    pub insertion: u32,
    /// A fill, whatever its length.
    pub fill: u32,
    /// A copy that goes on along the shift of the copy before.
    pub copy_on: u32,
    /// A copy along a shift that differs by less than 4096 from the one before.
    pub copy_near: u32,
    /// Any other copy.
    pub copy: u32,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            same: 1,
            wrong: 11 * BIT,
            wrong_on: 6 * BIT,
            field: 3 * BIT,
            inserted: 4 * BIT,
            insertion: 3 * BIT,
            fill: 16 * BIT,
            copy_on: 11 * BIT,
            copy_near: 24 * BIT,
            copy: 34 * BIT,
        }
    }
}

impl Costs {
    /// A copy along `shift` after one along `before`.
    pub(super) fn copy_along(&self, before: i64, shift: i64) -> u64 {
        let cost = match shift.abs_diff(before) {
            0 => self.copy_on,
            1..4096 => self.copy_near,
            _ => self.copy,
        };
        cost.into()
    }
}
