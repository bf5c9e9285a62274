//! A64, with aligned pointers of 8 bytes between: tables of relocations and pointers in raw images.
//!
//! Decides what an aligned word is, and which instruction completes the page that an earlier one loaded. Encodings:
//! Arm ARM DDI 0487, C4.

use super::view::View;
use super::{Field, Half, Registers};

/// An instruction that uses a page stands at most this many bytes after the ADRP that loaded it.
const REACH: u64 = 256;
/// How many instructions after an ADRP are looked at for the one that completes it: what the window holds for sure.
const AHEAD: usize = 15;

/// What an instruction of 4 bytes does to registers, as far as pairs need it.
enum Does {
    /// ADRP to this register.
    Page(usize),
    /// Adds lower bits to the page in `base`, or loads or stores there; `written` is overwritten by it.
    Low {
        base: usize,
        field: Field,
        written: Option<usize>,
    },
    /// BL, BLR: registers 0 to 18 are the callee's.
    Calls,
    /// A jump that doesn't come back.
    Leaves,
    /// Overwrites this register.
    Writes(usize),
    Nothing,
}

pub(super) fn scan(view: &mut View<'_>, registers: &mut Registers) {
    let mut at = view.align(view.at, 4);
    while at < view.to {
        if view.address(at).is_multiple_of(8)
            && let Some(value) = view.u64(at)
            && is_pointer(view, value)
        {
            view.add(at, Field::Absolute64, value);
            at += 8;
            continue;
        }
        let Some(word) = view.u32(at) else { break };
        branch(view, at, word);
        pair(view, at, word, registers);
        at += 4;
    }
    view.at = at;
}

/// Whether 8 aligned bytes are a pointer: into the space, and not at its very beginning, where small numbers lead to.
/// No two instructions look like one: half of it would be one of those that are defined never to be used.
pub(super) fn is_pointer(view: &View<'_>, value: u64) -> bool {
    value >= 0x1000 && view.space.holds(value)
}

fn branch(view: &mut View<'_>, at: usize, word: u32) {
    if word & 0x7c00_0000 == 0x1400_0000 {
        view.add_whole(at, Field::Branch26);
    } else if word & 0xff00_0010 == 0x5400_0000
        || word & 0x7e00_0000 == 0x3400_0000
        || word & 0xbf00_0000 == 0x1800_0000
    {
        view.add_whole(at, Field::Branch19);
    } else if word & 0x7e00_0000 == 0x3600_0000 {
        view.add_whole(at, Field::Branch14);
    } else if word & 0x9f00_0000 == 0x1000_0000 {
        view.add_whole(at, Field::Adr);
    }
}

/// Both halves of an address: ADRP, and what completes it.
fn pair(view: &mut View<'_>, at: usize, word: u32, registers: &mut Registers) {
    let place = view.address(at);
    let values = &mut registers.values;
    match does(word) {
        Does::Page(register) => {
            let Some(value) = view.target(at, Field::Adrp) else { return };
            values[register] = Some(Half { value, place, relative: true });
            let target = completed(view, at + 4, register, value).unwrap_or(value);
            view.add(at, Field::Adrp, target);
        }
        Does::Low { base, field, written } => {
            if let Some(page) = values[base].filter(|page| place.wrapping_sub(page.place) <= REACH)
                && let Some(low) = view.target(at, field)
            {
                view.add(at, field, page.value.wrapping_add(low));
            }
            if let Some(register) = written {
                values[register] = None;
            }
        }
        Does::Calls => values[..19].fill(None),
        Does::Leaves => values.fill(None),
        Does::Writes(register) => values[register] = None,
        Does::Nothing => {}
    }
}

/// The whole address of the first instruction from `at` on that completes the page in `register`.
fn completed(view: &View<'_>, at: usize, register: usize, page: u64) -> Option<u64> {
    for at in (at..at + AHEAD * 4).step_by(4) {
        match does(view.u32(at)?) {
            Does::Low { base, field, .. } if base == register => {
                return Some(page.wrapping_add(view.target(at, field)?));
            }
            Does::Low { written: Some(written), .. } if written == register => return None,
            Does::Page(written) | Does::Writes(written) if written == register => return None,
            Does::Calls if register < 19 => return None,
            _ => {}
        }
    }
    None
}

fn does(word: u32) -> Does {
    let (target, base) = ((word & 31) as usize, (word >> 5 & 31) as usize);
    let not_zero = |register: usize| (register != 31).then_some(register);
    if word & 0x9f00_0000 == 0x9000_0000 {
        return Does::Page(target);
    }
    if word & 0x7fc0_0000 == 0x1100_0000 {
        return Does::Low { base, field: Field::Low12 { scale: 0 }, written: not_zero(target) };
    }
    if word & 0x3b00_0000 == 0x3900_0000 {
        // Unsigned offset; the scale is the access's size. With bit 26 it is a vector's, which may be 16 bytes.
        let vector = word >> 26 & 1 != 0;
        let scale = if vector && word >> 23 & 1 != 0 { 4 } else { (word >> 30) as u8 };
        let loads = !vector && word >> 22 & 3 != 0;
        return Does::Low {
            base,
            field: Field::Low12 { scale },
            written: not_zero(target).filter(|_| loads),
        };
    }
    if word & 0xfc00_0000 == 0x9400_0000 || word & 0xffff_fc1f == 0xd63f_0000 {
        return Does::Calls;
    }
    if word & 0xfc00_0000 == 0x1400_0000 || word & 0xff9f_fc1f == 0xd61f_0000 {
        return Does::Leaves;
    }
    let data = word >> 26 & 7 == 4 || word >> 25 & 7 == 5;
    let load = word >> 27 & 1 != 0 && word >> 25 & 1 == 0 && word >> 26 & 1 == 0 && word >> 22 & 1 != 0;
    match not_zero(target) {
        Some(register) if data || load => Does::Writes(register),
        _ => Does::Nothing,
    }
}
