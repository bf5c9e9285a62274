//! How large a device's tables are.
//!
//! Decides what of its memory goes to which table, so that all of them are within what a profile gives.

use perennial_device_core::delta::unit::{Action, Unit};
use perennial_device_core::delta::{in_place, memory};
use perennial_schemas::delta::{FRAME_LENGTH, Frame, Header, ImageId, OPERATIONS, Profile, Sizes};

use super::super::encode::Cut;
use super::super::packing::Layers;

/// What a microcontroller gives.
pub(super) const MCU: u64 = 64 << 10;

/// What one needs for these frames.
pub(super) fn of_mcu(sizes: &Sizes, frames: &[Frame], cut: Cut<'_>) -> u64 {
    let id = ImageId { length: 1, digest: [0; 16] };
    let (profile, sizes, frames) = (Profile::Mcu, *sizes, frames.to_vec());
    let header = Header { profile, sizes, in_place: None, old: id, new: id, layers: Vec::new(), frames };
    if matches!(cut, Cut::InPlace(_)) { in_place::memory(&header) } else { memory(&header) }
}

/// log2 of the buckets for a unit's bytes: a table that is larger than it will be filled costs a device time alone, one that
/// does not fit its caches most of all. Measured: eight for a byte that is sent, and at most 2^16, cost 0.1 % of the size.
fn contexts(unit: &Unit) -> u8 {
    let (inserted, patched) = unit.steps.iter().fold((0, 0), |(inserted, patched), step| match step.action {
        Action::Patch(_) => (inserted + step.insert, patched + step.length),
        _ => (inserted + step.insert, patched),
    });
    // About one patched byte of 512 is corrected.
    match (inserted + patched / 512).max(1).ilog2() {
        20.. => 17,
        sent => (sent + 3).clamp(12, 16) as u8,
    }
}

/// Smaller tables, where packed parts would take a device past what it gives.
pub(super) fn within_memory(mut sizes: Sizes, layers: Option<&Layers>) -> Sizes {
    let Some(layers) = layers else { return sizes };
    let id = ImageId { length: 1, digest: [0; 16] };
    let layers = layers.0.iter().map(|made| made.parts).collect();
    let (profile, in_place, frames) = (Profile::Linux, None, Vec::new());
    let mut header = Header { profile, sizes, in_place, old: id, new: id, layers, frames };
    while memory(&header) > MEMORY {
        match (sizes.history_bits, sizes.context_bits) {
            (19.., _) => sizes.history_bits -= 1,
            (_, 15..) => sizes.context_bits -= 1,
            // Parts that were packed by another version of zstd take as much as this.
            (17.., _) => sizes.history_bits -= 1,
            _ => break,
        }
        header.sizes = sizes;
    }
    sizes
}

/// What a device gives by default, without the longest frame.
const MEMORY: u64 = (16 << 20) - FRAME_LENGTH;

/// Tables for units.
pub(in crate::delta) fn sizes(profile: Profile, units: &[Unit]) -> Sizes {
    let most = |of: fn(&Unit) -> usize| units.iter().map(of).max().unwrap_or(0);
    let operations = most(|unit| unit.steps.len()).min(OPERATIONS as usize) as u32;
    let sections = most(|unit| unit.sections.len()) as u16;
    let segments = most(|unit| unit.spaces.room()) as u16;
    let context_bits = most(|unit| usize::from(contexts(unit))) as u8;
    let rest = Sizes {
        block_bits: 12,
        context_bits,
        learned_bits: 14,
        history_bits: 20,
        operations,
        sections,
        segments,
    };
    match profile {
        Profile::Linux => rest,
        Profile::Mcu => Sizes { block_bits: 6, context_bits: 8, learned_bits: 6, history_bits: 0, ..rest },
    }
}
