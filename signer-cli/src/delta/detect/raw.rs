//! Firmware without headers: which machine, and which address it runs at.
//!
//! Decides by votes (see [`vote`]): a machine counts where enough of the calls that its recogniser sees lead to
//! where functions begin. A Cortex-M image says its stack and its handlers in its first words.

use perennial_device_core::delta::refs::SectionKind;
use perennial_device_core::delta::space::{Section, Segment};

use super::{Described, vote};

/// Calls to beginnings of functions that an image has at least.
const FEWEST_CALLS: usize = 32;
/// Of all calls, at least one in so many leads to the beginning of a function.
const RARELY: usize = 4;
/// Pointers that an address needs.
const FEWEST_POINTERS: usize = 16;
/// Memory after an image that its pointers may lead to: variables without content.
const AFTER: u64 = 1 << 20;

/// A stack lower than this isn't believed.
const MEMORY_BEHIND: u64 = 0x1000;

/// Where an image is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) kind: SectionKind,
    pub(super) address: u64,
    /// Memory elsewhere: its first address and its length.
    pub(super) memory: Option<(u64, u64)>,
}

/// What an image is, if it looks like code of a machine.
pub(super) fn guess(image: &[u8]) -> Option<Load> {
    let kinds = [SectionKind::Thumb, SectionKind::Arm, SectionKind::Aarch64, SectionKind::Riscv64];
    let best =
        kinds.into_iter().map(|kind| (vote::calls(image, kind), kind)).max_by_key(|(calls, _)| calls.good);
    let (calls, kind) =
        best.filter(|(calls, _)| calls.good >= FEWEST_CALLS && calls.good * RARELY >= calls.all)?;
    let _ = calls;
    if kind == SectionKind::Thumb
        && let Some(load) = vectors(image)
    {
        return Some(load);
    }
    let kind = if kind == SectionKind::Riscv64 { width(image) } else { kind };
    let address = vote::address(image, kind).filter(|(_, votes)| *votes >= FEWEST_POINTERS);
    Some(Load { kind, address: address.map_or(0, |(address, _)| address), memory: None })
}

/// A Cortex-M image, by its vector table: a stack in memory, then handlers, all odd or empty (ARMv7-M Arm ARM, B1.5.3).
fn vectors(image: &[u8]) -> Option<Load> {
    let word = |at: usize| {
        let chunk = image.get(at * 4..)?.first_chunk()?;
        Some(u64::from(u32::from_le_bytes(*chunk)))
    };
    let stack = word(0)?;
    let handlers: Vec<u64> = (1..16).map(word).collect::<Option<_>>()?;
    let used: Vec<u64> = handlers.into_iter().filter(|handler| *handler != 0).collect();
    let in_memory = (MEMORY_BEHIND..0x6000_0000).contains(&stack) && stack.is_multiple_of(4);
    let (least, most) = (*used.iter().min()?, *used.iter().max()?);
    if !in_memory || used.len() < 3 || !used.iter().all(|handler| handler & 1 != 0) {
        return None;
    }
    let length = image.len() as u64;
    let holds = |base: u64| base <= least && most < base + length;
    let voted = vote::address(image, SectionKind::Thumb);
    let voted = voted.filter(|(base, votes)| *votes >= FEWEST_POINTERS && holds(*base)).map(|(base, _)| base);
    // Flash begins at a round address; the lowest handler is rarely far from it.
    let round = least & !0xffff;
    let address = voted.or_else(|| [0, round].into_iter().find(|base| holds(*base)))?;
    // Memory of its own, or behind the image.
    let start = (stack - 1) & !0xf_ffff;
    let memory = (stack >= 0x1000_0000).then_some((start, stack - start));
    Some(Load { kind: SectionKind::Thumb, address, memory })
}

/// RV32 or RV64, by how functions save their return address: C.SWSP or C.SDSP of ra.
fn width(image: &[u8]) -> SectionKind {
    let saves = |code: u16| {
        image.chunks_exact(2).filter(|half| u16::from_le_bytes([half[0], half[1]]) & 0xe07f == code).count()
    };
    if saves(0xc006) > saves(0xe006) { SectionKind::Riscv32 } else { SectionKind::Riscv64 }
}

/// One space: the image, the memory that follows it, and memory elsewhere.
pub(super) fn describe(old: &[u8], new: &[u8], of_old: &Load, of_new: &Load) -> Option<Described> {
    let (old_length, new_length) = (old.len() as u64, new.len() as u64);
    let image = Segment {
        old: 0,
        old_length,
        old_address: of_old.address,
        old_memory: old_length,
        new: 0,
        new_length,
        new_address: of_new.address,
        new_memory: new_length,
        code: true,
    };
    let memory = |old: (u64, u64), new: (u64, u64)| Segment {
        old: old_length,
        old_length: 0,
        old_address: old.0,
        old_memory: old.1,
        new: new_length,
        new_length: 0,
        new_address: new.0,
        new_memory: new.1,
        code: false,
    };
    let after = match (of_old.memory, of_new.memory) {
        (Some(old), Some(new)) => memory(old, new),
        _ => memory(
            (of_old.address.saturating_add(old_length), AFTER),
            (of_new.address.saturating_add(new_length), AFTER),
        ),
    };
    let section = Section { kind: of_old.kind, start: 0, length: old_length, space: 0 };
    Described::of_one(vec![image, after], vec![section], old_length)
}
