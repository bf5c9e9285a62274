//! x86-64: where an instruction ends, and which of its bytes are an address.
//!
//! Decides lengths for 64-bit mode as the opcode maps of the Intel SDM, volume 2, appendix A give them; never what an
//! instruction does. Where bytes are no instruction it goes on at the next byte, and falls in step again within a few.

use super::Field;
use super::view::View;
use crate::delta::space::Space;

/// What follows an opcode: bits, of which an opcode may have several.
const MODRM: u8 = 1;
/// An immediate of 1 byte.
const BYTE: u8 = 2;
/// An immediate of 2 bytes.
const WORD: u8 = 4;
/// An immediate of 4 bytes, or of 2 with the prefix 66.
const FULL: u8 = 8;
/// The immediate is a distance, and no prefix shortens it.
const NEAR: u8 = 16;
/// No instruction in 64-bit mode, or a prefix, which is dealt with before.
const NONE: u8 = 32;
/// An address of 8 bytes.
const FAR: u8 = 64;

/// PUSH of an immediate of 4 bytes.
const PUSH: u8 = 0x68;
/// The longest instruction that a processor takes, in bytes.
const LONGEST: usize = 15;

/// An instruction's length, and where its address-sized parts stand, in bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Instruction {
    length: u8,
    /// A displacement of 4 bytes.
    displacement: Option<u8>,
    /// Whether it counts from the instruction's end.
    relative: bool,
    /// Whether it counts from the processor's own segment, GS or FS.
    own: bool,
    /// An immediate of 1, 4 or 8 bytes.
    immediate: Option<(u8, u8)>,
    /// Whether that is a branch's distance.
    branch: bool,
}

/// The length in bytes of the instruction that begins here, in 64-bit mode; `None` where there is none, or its end
/// lies past these bytes.
pub fn length(bytes: &[u8]) -> Option<usize> {
    decode(bytes).map(|instruction| usize::from(instruction.length))
}

/// What else than branches and RIP-relative operands refers to something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Nothing: code that runs anywhere.
    Anywhere,
    /// Absolute values of 32 and 64 bits: code that is linked to its addresses.
    Fixed,
    /// What is pushed: the number of a stub's relocation.
    Stubs,
}

/// Adds the references of a block.
pub(super) fn scan(view: &mut View<'_>, code: Code) {
    let mut at = view.at;
    while at < view.to {
        let Some(instruction) = view.bytes.get(at..).and_then(decode) else {
            at += 1;
            continue;
        };
        fields(view, at, &instruction, code);
        let end = at + usize::from(instruction.length);
        if end > view.to {
            // Fields of it may begin in the next block: it is decoded again then.
            break;
        }
        at = end;
    }
    view.at = at;
}

fn fields(view: &mut View<'_>, at: usize, instruction: &Instruction, code: Code) {
    let fixed = code == Code::Fixed;
    let after = |part: u8| instruction.length - part;
    if let Some(part) = instruction.displacement {
        let position = at + usize::from(part);
        if instruction.relative {
            view.add_whole(position, Field::Relative32 { after: after(part) });
        } else if fixed {
            absolute(view, position, Field::Signed32, instruction.own);
        }
    }
    if let Some((part, size)) = instruction.immediate {
        let position = at + usize::from(part);
        match size {
            4 if instruction.branch => view.add_whole(position, Field::Relative32 { after: after(part) }),
            1 if instruction.branch => view.add_whole(position, Field::Relative8),
            4 if code == Code::Stubs && view.byte(at) == Some(PUSH) => {
                view.add_whole(position, Field::Entry { table: Space::RELOCATIONS });
            }
            4 if fixed => absolute(view, position, Field::Signed32, false),
            8 if fixed => absolute(view, position, Field::Absolute64, false),
            _ => {}
        }
    }
}

/// An absolute value is an address only where it is no small number; a processor's own data begins at 0.
fn absolute(view: &mut View<'_>, position: usize, field: Field, own: bool) {
    if let Some(target) = view.target(position, field).filter(|target| own || *target >= 0x1_0000) {
        view.add(position, field, target);
    }
}

/// Prefixes before an opcode.
#[derive(Clone, Copy, Default)]
struct Prefixes {
    operand: bool,
    address: bool,
    own: bool,
    wide: bool,
}

fn decode(bytes: &[u8]) -> Option<Instruction> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let mut prefixes = Prefixes::default();
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0x66 => prefixes.operand = true,
            0x67 => prefixes.address = true,
            0x64 | 0x65 => prefixes.own = true,
            0x26 | 0x2e | 0x36 | 0x3e | 0xf0 | 0xf2 | 0xf3 => {}
            _ => break,
        }
        at += 1;
    }
    let mut opcode = *bytes.get(at)?;
    if opcode & 0xf0 == 0x40 {
        prefixes.wide = opcode & 8 != 0;
        at += 1;
        opcode = *bytes.get(at)?;
    }
    let (follows, at) = match opcode {
        0x0f => match *bytes.get(at + 1)? {
            0x38 => (MODRM, at + 3),
            0x3a => (MODRM | BYTE, at + 3),
            second => (TWO[usize::from(second)], at + 2),
        },
        0xc5 => (vector(1, *bytes.get(at + 2)?), at + 3),
        0xc4 => (vector(bytes.get(at + 1)? & 31, *bytes.get(at + 3)?), at + 4),
        // XOP where its map says so, else POP.
        0x8f if bytes.get(at + 1)? & 31 >= 8 => (xop(bytes.get(at + 1)? & 31), at + 4),
        0x62 => (vector(bytes.get(at + 1)? & 7, *bytes.get(at + 4)?), at + 5),
        _ => (ONE[usize::from(opcode)], at + 1),
    };
    if follows & NONE != 0 {
        return None;
    }
    // MOV to and from control registers names registers alone, whatever its mode says.
    let moves_control = matches!(bytes.get(..at)?, [.., 0x0f, 0x20..=0x23]);
    let mut instruction = Instruction { own: prefixes.own, ..Instruction::default() };
    let mut end = at;
    if follows & MODRM != 0 {
        end = operand(bytes, at, moves_control, &mut instruction)?;
    }
    let size = immediate(bytes, opcode, at, follows, prefixes);
    if size > 0 {
        instruction.immediate = Some((end as u8, size as u8));
        instruction.branch = follows & NEAR != 0;
        end += size;
    }
    instruction.length = end as u8;
    (end <= bytes.len()).then_some(instruction)
}

/// The end of a ModRM byte with its SIB and displacement.
fn operand(bytes: &[u8], at: usize, register: bool, instruction: &mut Instruction) -> Option<usize> {
    let modrm = *bytes.get(at)?;
    let (mode, base) = (if register { 3 } else { modrm >> 6 }, modrm & 7);
    if mode == 3 {
        return Some(at + 1);
    }
    let sib = base == 4;
    let end = at + 1 + usize::from(sib);
    let long = match mode {
        0 if sib => bytes.get(at + 1)? & 7 == 5,
        0 => base == 5,
        1 => return Some(end + 1),
        _ => true,
    };
    if long {
        instruction.displacement = Some(end as u8);
        instruction.relative = mode == 0 && !sib;
    }
    Some(end + if long { 4 } else { 0 })
}

/// The bytes of the immediate. `at` is the position of the ModRM byte, where there is one.
fn immediate(bytes: &[u8], opcode: u8, at: usize, follows: u8, prefixes: Prefixes) -> usize {
    let full = if prefixes.operand && !prefixes.wide && follows & NEAR == 0 { 2 } else { 4 };
    match opcode {
        // TEST has an immediate, the rest of its group none.
        0xf6 | 0xf7 if bytes.get(at).is_none_or(|modrm| modrm >> 3 & 7 > 1) => 0,
        0xf6 => 1,
        0xf7 => full,
        0xb8..=0xbf if prefixes.wide => 8,
        _ => {
            let far = if prefixes.address { 4 } else { 8 };
            usize::from(follows & BYTE != 0)
                + 2 * usize::from(follows & WORD != 0)
                + full * usize::from(follows & FULL != 0)
                + far * usize::from(follows & FAR != 0)
        }
    }
}

/// What follows an opcode of these maps of VEX and EVEX.
fn vector(map: u8, opcode: u8) -> u8 {
    match (map, opcode) {
        (1, 0x77) => 0,
        (1, 0x70..=0x73 | 0xc2 | 0xc4..=0xc6) | (3, _) => MODRM | BYTE,
        (1 | 2 | 5 | 6, _) => MODRM,
        _ => NONE,
    }
}

/// What follows an opcode of AMD's maps.
fn xop(map: u8) -> u8 {
    match map {
        8 => MODRM | BYTE,
        9 => MODRM,
        10 => MODRM | FULL | NEAR,
        _ => NONE,
    }
}

/// What follows each opcode of 1 byte.
static ONE: [u8; 256] = table(false);
/// What follows each second byte after 0F.
static TWO: [u8; 256] = table(true);

const fn table(second: bool) -> [u8; 256] {
    let mut table = [0; 256];
    let mut opcode = 0;
    while opcode < 256 {
        table[opcode] = if second { two(opcode as u8) } else { one(opcode as u8) };
        opcode += 1;
    }
    table
}

const fn one(opcode: u8) -> u8 {
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => MODRM,
            4 => BYTE,
            5 => FULL,
            _ => NONE,
        },
        0x40..=0x4f | 0x60..=0x62 | 0x64..=0x67 | 0x82 | 0x9a | 0xc4 | 0xc5 | 0xce | 0xd4..=0xd6 | 0xea => {
            NONE
        }
        0xf0 | 0xf2 | 0xf3 => NONE,
        0x68 | 0xa9 => FULL,
        0x69 | 0x81 | 0xc7 => MODRM | FULL,
        0x6a | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xe4..=0xe7 => BYTE,
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => MODRM | BYTE,
        0x70..=0x7f | 0xe0..=0xe3 | 0xeb => BYTE | NEAR,
        0x63 | 0x84..=0x8f | 0xd0..=0xd3 | 0xd8..=0xdf | 0xf6 | 0xf7 | 0xfe | 0xff => MODRM,
        0xa0..=0xa3 => FAR,
        0xb8..=0xbf => FULL,
        0xc2 | 0xca => WORD,
        0xc8 => WORD | BYTE,
        0xe8 | 0xe9 => FULL | NEAR,
        _ => 0,
    }
}

const fn two(opcode: u8) -> u8 {
    match opcode {
        0x04 | 0x0a | 0x0c | 0x24..=0x27 | 0x36 | 0x38..=0x3f | 0x7a | 0x7b | 0xa6 | 0xa7 => NONE,
        0x05..=0x09 | 0x0b | 0x0e | 0x30..=0x37 | 0x77 | 0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf => 0,
        0x0f | 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => MODRM | BYTE,
        0x80..=0x8f => FULL | NEAR,
        _ => MODRM,
    }
}

#[cfg(test)]
mod tests;
