//! A32, with the literal pools and pointers that stand between.
//!
//! Decides what an aligned word is; a word that an earlier instruction loads from is a literal. Encodings: Arm ARM
//! DDI 0406C, A5.

use super::thumb::{Pools, is_pointer};
use super::view::View;
use super::{Field, Half, Registers};

/// A MOVT stands at most this many instructions after its MOVW.
const PAIR: usize = 8;

pub(super) fn scan(view: &mut View<'_>, registers: &mut Registers, pools: &mut Pools) {
    let mut at = view.align(view.at, 4);
    while at < view.to {
        let Some(word) = view.u32(at) else { break };
        let address = view.address(at);
        let literal = pools.holds(address);
        pools.pass(address);
        if literal || is_pointer(view, u64::from(word)) {
            view.add(at, Field::Absolute32, u64::from(word));
        } else if word >> 28 != 15 {
            instruction(view, at, word, registers, pools);
        }
        at += 4;
    }
    view.at = at;
}

fn instruction(view: &mut View<'_>, at: usize, word: u32, registers: &mut Registers, pools: &mut Pools) {
    let address = view.address(at);
    if word & 0x0e00_0000 == 0x0a00_0000 {
        view.add_whole(at, Field::Arm24);
    } else if word & 0x0f7f_0000 == 0x051f_0000 {
        // LDR from the pool: forward only, a pool behind has been passed.
        if word & 0x0080_0000 != 0 {
            pools.mark(address.wrapping_add(8).wrapping_add(u64::from(word & 0xfff)), address);
        }
    } else if let Some((register, high)) = half(word) {
        let Some(value) = view.target(at, Field::ArmHalf { high }) else { return };
        if high {
            let low = registers.values[register].take();
            if let Some(low) = low.filter(|low| address.wrapping_sub(low.place) <= PAIR as u64 * 4) {
                view.add(at, Field::ArmHalf { high }, value | low.value);
            }
        } else {
            registers.values[register] = Some(Half { value, place: address, relative: false });
            if let Some(target) = higher(view, at + 4, register) {
                view.add(at, Field::ArmHalf { high }, value | target);
            }
        }
    }
}

/// The register of a MOVW or MOVT, and whether it is the latter.
fn half(word: u32) -> Option<(usize, bool)> {
    let register = (word >> 12 & 15) as usize;
    match word & 0x0ff0_0000 {
        0x0300_0000 => Some((register, false)),
        0x0340_0000 => Some((register, true)),
        _ => None,
    }
}

/// What the MOVT of this register adds, if one follows.
fn higher(view: &View<'_>, at: usize, register: usize) -> Option<u64> {
    for at in (at..at + PAIR * 4).step_by(4) {
        match half(view.u32(at)?) {
            Some((same, true)) if same == register => return view.target(at, Field::ArmHalf { high: true }),
            Some((same, false)) if same == register => return None,
            _ => {}
        }
    }
    None
}
