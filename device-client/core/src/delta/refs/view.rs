//! The window of old bytes that a recogniser looks at, and the references that it adds.
//!
//! Decides what may be added: fields that begin in the block, ascending, disjoint, with a target in the space, and no
//! more than there is room for. Every reading of bytes is checked here, so that no recogniser can panic on any.

use alloc::vec::Vec;

use super::{Field, Reference};
use crate::delta::space::Space;

/// A window of old bytes with the block in it. Positions are indices into the window.
pub(super) struct View<'w> {
    pub(super) bytes: &'w [u8],
    /// The address of `bytes[0]`.
    pub(super) base: u64,
    /// The block.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Where the recogniser begins, and where the next block's is to go on.
    pub(super) at: usize,
    /// The address from which fields may begin.
    pub(super) free: u64,
    pub(super) space: &'w Space,
    pub(super) found: &'w mut Vec<Reference>,
}

impl View<'_> {
    /// The address of a position.
    pub(super) fn address(&self, position: usize) -> u64 {
        self.base.wrapping_add(position as u64)
    }

    /// The first position from `position` on whose address is a multiple of `alignment`, a power of 2.
    pub(super) fn align(&self, position: usize, alignment: u64) -> usize {
        let past = self.address(position) & (alignment - 1);
        if past == 0 { position } else { position + (alignment - past) as usize }
    }

    pub(super) fn byte(&self, position: usize) -> Option<u8> {
        self.bytes.get(position).copied()
    }

    pub(super) fn u16(&self, position: usize) -> Option<u16> {
        Some(u16::from_le_bytes(*self.bytes.get(position..)?.first_chunk()?))
    }

    pub(super) fn u32(&self, position: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes.get(position..)?.first_chunk()?))
    }

    pub(super) fn u64(&self, position: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*self.bytes.get(position..)?.first_chunk()?))
    }

    /// The target of a field that holds the whole of it.
    pub(super) fn target(&self, position: usize, field: Field) -> Option<u64> {
        field.read(self.bytes.get(position..)?, self.address(position))
    }

    /// Adds a field at `position` that refers to `target`, if it is a reference of this block.
    pub(super) fn add(&mut self, position: usize, field: Field, target: u64) {
        if self.space.holds(target) {
            self.add_anywhere(position, field, target);
        }
    }

    /// The same wherever the target is: for what no segment tells, and only its likes do.
    pub(super) fn add_anywhere(&mut self, position: usize, field: Field, target: u64) {
        let address = self.address(position);
        let follows = address.wrapping_sub(self.free) <= u64::MAX / 2;
        let inside = (self.from..self.to).contains(&position) && position + field.width() <= self.bytes.len();
        if inside && follows && self.found.len() < self.found.capacity() {
            self.free = address.wrapping_add(field.width() as u64);
            self.found.push(Reference { at: (position - self.from) as u32, field, target });
        }
    }

    /// Adds a field that holds the whole of its target, wherever that is.
    pub(super) fn add_whole_anywhere(&mut self, position: usize, field: Field) {
        if let Some(target) = self.target(position, field) {
            self.add_anywhere(position, field, target);
        }
    }

    /// Adds a field that holds the whole of its target.
    pub(super) fn add_whole(&mut self, position: usize, field: Field) {
        if let Some(target) = self.target(position, field) {
            self.add(position, field, target);
        }
    }
}
