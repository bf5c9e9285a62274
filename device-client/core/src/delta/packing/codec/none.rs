//! A build without zstd's library.

use crate::delta::DeltaError;
use crate::delta::packing::method::Parser;

/// None.
pub const VERSION: u32 = 0;
pub(super) const UNPACKING: u64 = 0;

pub(super) fn packing(_: u64, _: bool) -> u64 {
    0
}

#[derive(Debug)]
pub(super) struct Unpacker;

impl Unpacker {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn unpack(&mut self, _: &[u8], _: &mut [u8]) -> bool {
        false
    }
}

#[derive(Debug)]
pub(super) struct Packer;

impl Packer {
    pub(super) fn new(_: usize, _: bool) -> Self {
        Self
    }

    pub(super) fn pack(&mut self, _: u8, _: &[u8]) -> Option<&[u8]> {
        None
    }

    pub(super) fn pack_told(&mut self, _: Parser, _: u8, _: &[u8], _: &[u8]) -> Result<&[u8], DeltaError> {
        Err(DeltaError::Parts)
    }
}
