//! RV32 and RV64 with compressed instructions, and aligned pointers between.
//!
//! Decides what a halfword is by decoding on from the last one, and which instruction completes the upper half of an
//! address that an earlier one loaded. Encodings: the RISC-V unprivileged specification, chapters 2, 24 and "C".

use super::view::View;
use super::{Field, Half, LOOK_AHEAD, Registers};

/// An instruction that uses an upper half stands at most this many bytes after it.
const REACH: u64 = 256;
/// The registers that a call leaves as they are: s0, s1, s2 to s11.
const KEPT: u32 = 0x0ffc_0300;

/// What an instruction does to registers, as far as pairs need it.
enum Does {
    /// AUIPC, or LUI where it isn't relative.
    High {
        register: usize,
        relative: bool,
    },
    /// Completes the upper half in `base`.
    Low {
        base: usize,
        store: bool,
        written: usize,
    },
    Calls,
    Leaves,
    Writes(usize),
    Nothing,
}

pub(super) fn scan(view: &mut View<'_>, registers: &mut Registers, long: bool) {
    let mut at = view.align(view.at, 2);
    while at < view.to {
        if let Some(pointer) = pointer(view, at, long) {
            view.add(at, if long { Field::Absolute64 } else { Field::Absolute32 }, pointer);
            at += if long { 8 } else { 4 };
            continue;
        }
        let Some(first) = view.u16(at) else { break };
        if first & 3 == 3 {
            if let Some(word) = view.u32(at) {
                wide(view, at, word, registers);
            }
            at += 4;
        } else {
            compressed(view, at, first, long);
            apply(compressed_does(first, long), registers);
            at += 2;
        }
    }
    view.at = at;
}

/// The aligned pointer at a position, if it is one. Of 8 bytes, half would be instructions that are defined as
/// illegal; of 4 bytes, the higher half must be.
fn pointer(view: &View<'_>, at: usize, long: bool) -> Option<u64> {
    let address = view.address(at);
    let value = if long {
        address.is_multiple_of(8).then(|| view.u64(at))??
    } else {
        let word = address.is_multiple_of(4).then(|| view.u32(at))??;
        let high = word >> 16;
        (high & 0xe003 == 0x8000 || high == 0).then_some(u64::from(word))?
    };
    (value >= 0x1000 && view.space.holds(value)).then_some(value)
}

fn wide(view: &mut View<'_>, at: usize, word: u32, registers: &mut Registers) {
    let place = view.address(at);
    match word & 0x7f {
        0x6f => view.add_whole(at, Field::Jal),
        0x63 => view.add_whole(at, Field::RiscvBranch),
        _ => {}
    }
    match does(word) {
        Does::High { register, relative } => {
            let field = Field::RiscvHigh { relative };
            let Some(value) = view.target(at, field) else { return };
            if register != 0 {
                registers.values[register] = Some(Half { value, place, relative });
            }
            if let Some(target) = completed(view, at + 4, register, value) {
                view.add(at, field, target);
            }
        }
        Does::Low { base, store, written } => {
            let low = view.target(at, Field::RiscvLow { store, back: 0 });
            let high = registers.values[base].filter(|high| place.wrapping_sub(high.place) <= REACH);
            if let (Some(high), Some(low)) = (high, low) {
                let back = if high.relative { place.wrapping_sub(high.place) as u16 } else { 0 };
                view.add(at, Field::RiscvLow { store, back }, high.value.wrapping_add(low));
            }
            apply(Does::Writes(written), registers);
        }
        other => apply(other, registers),
    }
}

fn compressed(view: &mut View<'_>, at: usize, code: u16, long: bool) {
    match (code & 3, code >> 13) {
        (1, 5) => view.add_whole(at, Field::CompressedJump),
        (1, 1) if !long => view.add_whole(at, Field::CompressedJump),
        (1, 6 | 7) => view.add_whole(at, Field::CompressedBranch),
        _ => {}
    }
}

/// What an instruction that neither begins nor ends a pair leaves in the registers.
fn apply(does: Does, registers: &mut Registers) {
    match does {
        Does::Calls => {
            for (number, value) in registers.values.iter_mut().enumerate() {
                if KEPT >> number & 1 == 0 {
                    *value = None;
                }
            }
        }
        Does::Leaves => registers.values.fill(None),
        Does::Writes(register) => registers.values[register] = None,
        Does::High { .. } | Does::Low { .. } | Does::Nothing => {}
    }
}

/// The whole address of the first instruction from `at` on that completes the upper half in `register`.
fn completed(view: &View<'_>, mut at: usize, register: usize, high: u64) -> Option<u64> {
    let end = at + LOOK_AHEAD - 8;
    while at < end {
        let first = view.u16(at)?;
        if first & 3 != 3 {
            match compressed_does(first, true) {
                Does::Writes(written) if written == register => return None,
                Does::Calls | Does::Leaves => return None,
                _ => at += 2,
            }
            continue;
        }
        match does(view.u32(at)?) {
            Does::Low { base, store, .. } if base == register => {
                return Some(high.wrapping_add(view.target(at, Field::RiscvLow { store, back: 0 })?));
            }
            Does::High { register: written, .. } | Does::Low { written, .. } | Does::Writes(written)
                if written == register =>
            {
                return None;
            }
            Does::Calls | Does::Leaves => return None,
            _ => at += 4,
        }
    }
    None
}

fn does(word: u32) -> Does {
    let (target, base, function) = ((word >> 7 & 31) as usize, (word >> 15 & 31) as usize, word >> 12 & 7);
    match word & 0x7f {
        0x17 => Does::High { register: target, relative: true },
        0x37 => Does::High { register: target, relative: false },
        // Loads, ADDI, ADDIW.
        0x03 => Does::Low { base, store: false, written: target },
        0x13 | 0x1b if function == 0 => Does::Low { base, store: false, written: target },
        // JALR through the pair's own register, and any other.
        0x67 => Does::Low { base, store: false, written: base },
        // Loads of floats write other registers, stores none.
        0x07 => Does::Low { base, store: false, written: 0 },
        0x23 | 0x27 => Does::Low { base, store: true, written: 0 },
        0x6f if target != 0 => Does::Calls,
        0x6f => Does::Leaves,
        0x63 | 0x0f => Does::Nothing,
        _ => Does::Writes(target),
    }
}

fn compressed_does(code: u16, long: bool) -> Does {
    let whole = usize::from(code >> 7 & 31);
    match (code & 3, code >> 13) {
        (0, 0..=3) => Does::Writes(usize::from(code >> 2 & 7) + 8),
        (1, 1) if !long => Does::Calls,
        (1, 0..=3) => Does::Writes(whole),
        (1, 4) => Does::Writes(usize::from(code >> 7 & 7) + 8),
        (1, 5) => Does::Leaves,
        (2, 0..=3) => Does::Writes(whole),
        (2, 4) if code >> 2 & 31 != 0 => Does::Writes(whole),
        (2, 4) if code >> 12 & 1 != 0 => Does::Calls,
        (2, 4) => Does::Leaves,
        _ => Does::Nothing,
    }
}
