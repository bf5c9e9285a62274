//! Thumb-2, with the literal pools and pointers that stand between: ARMv6-M to ARMv8-M, and Thumb code of ARMv7-A.
//!
//! Decides what a halfword is by decoding on from the last one; a word that an earlier instruction loads from is a
//! literal and no code. Encodings: Arm ARM DDI 0406C, A6; DDI 0403, A5.

use super::view::View;
use super::{Field, Half, Registers};

/// How far ahead a literal load reaches: 12 bits of bytes.
const REACH: u64 = 4096;
/// A MOVT stands at most this many halfwords after its MOVW.
const PAIR: usize = 12;

/// Which words ahead are literals: one bit for each of the [`REACH`] bytes' words, by address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pools {
    words: [u64; (REACH / 4 / 64) as usize],
}

impl Pools {
    /// The word at `address` is loaded by the instruction at `place`.
    pub(super) fn mark(&mut self, address: u64, place: u64) {
        let ahead = address.wrapping_sub(place);
        if (1..REACH).contains(&ahead) {
            self.words[Self::word(address)] |= Self::bit(address);
        }
    }

    /// Whether the word that holds `address` is a literal.
    pub(super) fn holds(&self, address: u64) -> bool {
        self.words[Self::word(address)] & Self::bit(address) != 0
    }

    /// The word that holds `address` has been passed.
    pub(super) fn pass(&mut self, address: u64) {
        self.words[Self::word(address)] &= !Self::bit(address);
    }

    fn word(address: u64) -> usize {
        (address / 4 % (REACH / 4) / 64) as usize
    }

    fn bit(address: u64) -> u64 {
        1 << (address / 4 % 64)
    }
}

pub(super) fn scan(view: &mut View<'_>, registers: &mut Registers, pools: &mut Pools) {
    let mut at = view.align(view.at, 2);
    while at < view.to {
        let address = view.address(at);
        let literal = pools.holds(address) && address.is_multiple_of(4);
        pools.pass(address);
        if address.is_multiple_of(4)
            && let Some(word) = view.u32(at)
            && (literal || is_pointer(view, u64::from(word)) && (!is_code(word) || beside(view, at, pools)))
        {
            view.add(at, Field::Absolute32, u64::from(word));
            at += 4;
            continue;
        }
        let Some(first) = view.u16(at) else { break };
        // What runs into a literal is no instruction of 4 bytes, whatever it looks like.
        let into_literal = !address.is_multiple_of(4) && pools.holds(address.wrapping_add(2));
        if into_literal || first >> 11 < 0b11101 {
            short(view, at, first, pools);
            at += 2;
            continue;
        }
        pools.pass(address.wrapping_add(2));
        if let Some(second) = view.u16(at + 2) {
            wide(view, at, first, second, registers, pools);
        }
        at += 4;
    }
    view.at = at;
}

/// Whether an aligned word is a pointer by itself: into content of the space, and not at its very beginning, where
/// small numbers lead to.
pub(super) fn is_pointer(view: &View<'_>, word: u64) -> bool {
    word >= 0x1000
        && view.space.segment(word).is_some_and(|s| {
            let inside = word - s.old_address;
            inside <= s.old_length && (inside >= 0x200 || s.old_address > 0)
        })
}

/// Whether a word that would be a pointer is more likely code: an instruction of 4 bytes or a branch that begins with
/// it, or a return before a halfword of padding.
fn is_code(word: u32) -> bool {
    let first = word & 0xffff;
    first >= 0xe000 || word >> 16 == 0 && (first >> 8 == 0xbd || first == 0x4770)
}

/// Whether a word stands in a table: next to a pointer that can't be code, and that no instruction loads.
fn beside(view: &View<'_>, at: usize, pools: &Pools) -> bool {
    let pointer = |at: usize| {
        view.u32(at).is_some_and(|word| !is_code(word) && is_pointer(view, u64::from(word)))
            && !pools.holds(view.address(at))
    };
    at.checked_sub(4).is_some_and(pointer) || pointer(at + 4)
}

/// An instruction of 2 bytes.
fn short(view: &mut View<'_>, at: usize, code: u16, pools: &mut Pools) {
    match code >> 8 {
        0x48..=0x4f => {
            if let Some(target) = view.target(at, Field::ThumbLiteral) {
                pools.mark(target, view.address(at));
                view.add(at, Field::ThumbLiteral, target);
            }
        }
        0xd0..=0xdd => view.add_whole(at, Field::Thumb8),
        0xe0..=0xe7 => view.add_whole(at, Field::Thumb11),
        0xb1 | 0xb3 | 0xb9 | 0xbb => view.add_whole(at, Field::Thumb6),
        _ => {}
    }
}

/// An instruction of 4 bytes.
fn wide(
    view: &mut View<'_>,
    at: usize,
    first: u16,
    second: u16,
    registers: &mut Registers,
    pools: &mut Pools,
) {
    let address = view.address(at);
    if first & 0xf800 == 0xf000 && second & 0x8000 != 0 {
        match second & 0x5000 {
            0x5000 | 0x1000 => view.add_whole(at, Field::Thumb24),
            0x4000 if second & 1 == 0 => view.add_whole(at, Field::ThumbExchange),
            0x0000 if first >> 7 & 7 != 7 => view.add_whole(at, Field::Thumb20),
            _ => {}
        }
    } else if first & 0xff7f == 0xf85f {
        // LDR.W: forward only, a pool behind has been passed.
        if first & 0x80 != 0 {
            let target = (address.wrapping_add(4) & !3).wrapping_add(u64::from(second & 0xfff));
            pools.mark(target, address);
        }
    } else if let Some((register, high)) = half(first, second) {
        let Some(value) = view.target(at, Field::ThumbHalf { high }) else { return };
        if high {
            let low = registers.values[register].take();
            if let Some(low) = low.filter(|low| address.wrapping_sub(low.place) <= PAIR as u64 * 2) {
                view.add(at, Field::ThumbHalf { high }, value | low.value);
            }
        } else {
            registers.values[register] = Some(Half { value, place: address, relative: false });
            if let Some(target) = higher(view, at + 4, register) {
                view.add(at, Field::ThumbHalf { high }, value | target);
            }
        }
    }
}

/// The register of a MOVW or MOVT, and whether it is the latter.
fn half(first: u16, second: u16) -> Option<(usize, bool)> {
    let register = usize::from(second >> 8 & 15);
    match (first & 0xfbf0, second & 0x8000) {
        (0xf240, 0) => Some((register, false)),
        (0xf2c0, 0) => Some((register, true)),
        _ => None,
    }
}

/// What the MOVT of this register adds, if one follows.
fn higher(view: &View<'_>, mut at: usize, register: usize) -> Option<u64> {
    let end = at + PAIR * 2;
    while at < end {
        let (first, second) = (view.u16(at)?, view.u16(at + 2)?);
        if first >> 11 < 0b11101 {
            at += 2;
            continue;
        }
        match half(first, second) {
            Some((same, true)) if same == register => {
                return view.target(at, Field::ThumbHalf { high: true });
            }
            Some((same, false)) if same == register => return None,
            _ => at += 4,
        }
    }
    None
}
