//! Fields: how an instruction or a table's entry holds the address that it refers to.
//!
//! Decides which bits are the reference and how they encode a target; never what is a reference. Opcode bits stay.

use crate::delta::space::Space;

/// Bytes of an `Elf64_Sym`, and of an `Elf64_Rela`.
const ENTRY: u64 = 24;
/// Bytes of an entry of a kernel's `kallsyms_offsets`.
const RANK: u64 = 4;

/// How a reference's field holds its target. `place` is always the address of the field's first byte. The numbers of
/// [`Field::number`] choose contexts of models, so they are part of the format: append only.
///
/// Encodings are those of the Intel SDM volume 2, the Arm ARM (DDI 0406C and DDI 0487), the RISC-V unprivileged
/// specification, and the ELF and DWARF tables that [`SectionKind`](super::SectionKind) names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the encodings, one line each")]
pub enum Field {
    /// i32, target − (place + after).
    Relative32 { after: u8 },
    /// i8, target − (place + 1): x86's short jumps.
    Relative8,
    /// u32, place − target: an FDE's way to its CIE.
    Back32,
    /// i32, target − start. The start is an address of the old space too: see [`Field::start`].
    FromStart32 { start: u64 },
    /// u32, the target.
    Absolute32,
    /// i32, the target with its sign extended to 64 bits.
    Signed32,
    /// u64, the target.
    Absolute64,
    /// 31 bits, target − place; the highest bit stays (.ARM.exidx).
    Relative31,
    /// BL, B.W: 25 bits.
    Thumb24,
    /// BLX: 25 bits, to A32 code.
    ThumbExchange,
    /// `B<cond>.W`: 21 bits.
    Thumb20,
    /// B: 12 bits.
    Thumb11,
    /// `B<cond>`: 9 bits.
    Thumb8,
    /// CBZ, CBNZ: 7 bits, forward.
    Thumb6,
    /// `LDR Rt, [PC, #imm8 * 4]`.
    ThumbLiteral,
    /// MOVW and MOVT: the lower or higher half of the target.
    ThumbHalf { high: bool },
    /// B, BL: 26 bits.
    Arm24,
    /// MOVW and MOVT of A32.
    ArmHalf { high: bool },
    /// B, BL: 28 bits.
    Branch26,
    /// B.cond, CBZ, LDR literal: 21 bits.
    Branch19,
    /// TBZ: 16 bits.
    Branch14,
    /// ADR: 21 bits.
    Adr,
    /// ADRP: the target's page of 4 KiB.
    Adrp,
    /// ADD, LDR, STR: the lower 12 bits of the target, `scale` of them dropped.
    Low12 { scale: u8 },
    /// JAL: 21 bits.
    Jal,
    /// `B<cond>` of RISC-V: 13 bits.
    RiscvBranch,
    /// AUIPC, or LUI where it isn't relative: the upper 20 bits of the target.
    RiscvHigh { relative: bool },
    /// The lower 12 bits that go with an AUIPC `back` bytes before, or with a LUI where `back` is 0.
    RiscvLow { store: bool, back: u16 },
    /// C.J, C.JAL: 12 bits.
    CompressedJump,
    /// C.BEQZ, C.BNEZ: 9 bits.
    CompressedBranch,
    /// u32, the number of an entry of 24 bytes (`Elf64_Sym`, `Elf64_Rela`), counted from `table`: one of the addresses
    /// that [`Space`] gives to tables whose entries are counted.
    Entry { table: u64 },
    /// i32, start − 1 − target: a kernel's names of symbols.
    Before32 { start: u64 },
    /// u32, a place in a table of strings, counted from [`Space::STRINGS`].
    String,
    /// u24, the first byte the highest, the number of an entry of 4 bytes, counted from [`Space::SYMBOLS`].
    Rank,
    /// i32, target − start − after, of a file that isn't linked. The start is an address of the old space too.
    Counted32 { start: u64, after: u8, what: What },
}

/// What a field of a file that isn't linked tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    /// Where a relocation is made.
    Place,
    /// What is added to its symbol.
    Addend,
    /// Where a symbol is.
    Value,
    /// Where what was told before ends.
    Size,
    /// A type's name.
    Name,
    /// Where a section is in the file.
    Offset,
}

impl Field {
    /// [`Field::Counted32`].
    pub(super) const fn counted(start: u64, after: u8, what: What) -> Self {
        Field::Counted32 { start, after, what }
    }

    /// Its length in bytes: 1 to 4, or 8.
    pub fn width(&self) -> usize {
        match self {
            Field::Relative8 => 1,
            Field::Thumb11
            | Field::Thumb8
            | Field::Thumb6
            | Field::ThumbLiteral
            | Field::CompressedJump
            | Field::CompressedBranch => 2,
            Field::Rank => 3,
            Field::Absolute64 => 8,
            _ => 4,
        }
    }

    /// A small number (below 64), for contexts of models.
    pub fn number(&self) -> u8 {
        match *self {
            Field::Relative32 { after: 0 } => 0,
            Field::Relative32 { .. } => 1,
            Field::Relative8 => 2,
            Field::Back32 => 3,
            Field::FromStart32 { .. } | Field::Before32 { .. } => 4,
            Field::Absolute32 => 5,
            Field::Signed32 => 6,
            Field::Absolute64 => 7,
            Field::Relative31 => 8,
            Field::Thumb24 => 9,
            Field::ThumbExchange => 10,
            Field::Thumb20 => 11,
            Field::Thumb11 => 12,
            Field::Thumb8 => 13,
            Field::Thumb6 => 14,
            Field::ThumbLiteral => 15,
            Field::ThumbHalf { .. } | Field::ArmHalf { .. } => 16,
            Field::Arm24 => 17,
            Field::Branch26 => 18,
            Field::Branch19 => 19,
            Field::Branch14 => 20,
            Field::Adr => 21,
            Field::Adrp => 22,
            Field::Low12 { .. } => 23,
            Field::Jal => 24,
            Field::RiscvBranch => 25,
            Field::RiscvHigh { .. } => 26,
            Field::RiscvLow { .. } => 27,
            Field::CompressedJump => 28,
            Field::CompressedBranch => 29,
            Field::Entry { .. } | Field::Rank => 30,
            Field::String => 31,
            Field::Counted32 { what, .. } => 32 + what as u8,
        }
    }

    /// Whether the field holds the whole target: [`read`](Self::read) gives it then, else a part of it.
    pub fn is_whole(&self) -> bool {
        !matches!(
            self,
            Field::ThumbHalf { .. }
                | Field::ArmHalf { .. }
                | Field::Adrp
                | Field::Low12 { .. }
                | Field::RiscvHigh { .. }
                | Field::RiscvLow { .. }
        )
    }

    /// Whether it leads within a function as a rule: what is near moves along with it.
    pub fn is_short(&self) -> bool {
        matches!(
            self,
            Field::Relative8
                | Field::Thumb11
                | Field::Thumb8
                | Field::Thumb6
                | Field::ThumbLiteral
                | Field::Branch19
                | Field::Branch14
                | Field::RiscvBranch
                | Field::CompressedJump
                | Field::CompressedBranch
        )
    }

    /// The address that the field counts from, where it is one that moves by itself: before the field is written into
    /// new bytes, [`with_start`](Self::with_start) sets where that is now.
    pub fn start(&self) -> Option<u64> {
        match *self {
            Field::FromStart32 { start } | Field::Before32 { start } | Field::Counted32 { start, .. } => {
                Some(start)
            }
            _ => None,
        }
    }

    /// The field with another [`start`](Self::start); any other as it is.
    #[must_use]
    pub fn with_start(self, start: u64) -> Self {
        match self {
            Field::FromStart32 { .. } => Field::FromStart32 { start },
            Field::Before32 { .. } => Field::Before32 { start },
            Field::Counted32 { after, what, .. } => Field::Counted32 { start, after, what },
            other => other,
        }
    }

    /// The bits that belong to the field, as bytes in the order in which they stand; the others are opcode.
    pub fn mask(&self) -> [u8; 8] {
        let mut mask = [0; 8];
        mask[..self.width()].fill(0xff);
        if self.width() == 8 || self.is_plain_word() {
            return mask;
        }
        // The bits that no distance changes are opcode. Bits 22 to 24 alone: in a BL they are mixed with each other.
        let distances = [u32::MAX, 1 << 22, 1 << 23, 1 << 24];
        let bits =
            distances.iter().fold(0, |bits, distance| bits | self.bits(0, *distance) ^ self.bits(0, 0));
        mask[..4].copy_from_slice(&bits.to_le_bytes());
        mask
    }

    /// The target that the field at `place` holds, or the part of it (see [`is_whole`](Self::is_whole)): the page of
    /// an ADRP, the sum of an AUIPC, lower or higher bits alone for the others. `None` where the bytes end too early.
    pub fn read(&self, bytes: &[u8], place: u64) -> Option<u64> {
        let bytes = bytes.get(..self.width())?;
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        let long = u64::from_le_bytes(eight);
        let word = long as u32;
        Some(match *self {
            Field::Relative32 { after } => {
                place.wrapping_add(u64::from(after)).wrapping_add(extend(word, 32))
            }
            Field::Relative8 => place.wrapping_add(1).wrapping_add(extend(word, 8)),
            Field::Back32 => place.wrapping_sub(u64::from(word)),
            Field::FromStart32 { start } => start.wrapping_add(extend(word, 32)),
            Field::Counted32 { start, after, .. } => {
                start.wrapping_add(u64::from(after)).wrapping_add(extend(word, 32))
            }
            Field::Before32 { start } => start.wrapping_sub(1).wrapping_sub(extend(word, 32)),
            Field::Absolute32 => u64::from(word),
            Field::Entry { table } => table.wrapping_add(u64::from(word) * ENTRY),
            Field::String => Space::STRINGS.wrapping_add(u64::from(word)),
            Field::Rank => Space::SYMBOLS.wrapping_add(u64::from(word.swap_bytes() >> 8) * RANK),
            Field::Signed32 => extend(word, 32),
            Field::Absolute64 => long,
            Field::Relative31 => place.wrapping_add(extend(word, 31)),
            _ => self.origin(place).wrapping_add(self.distance(word)),
        })
    }

    /// Sets the field's bits so that it leads from `place` to `target`, modulo its range; opcode bits stay. Does
    /// nothing where the bytes end too early.
    pub fn write(&self, bytes: &mut [u8], place: u64, target: u64) {
        let Some(bytes) = bytes.get_mut(..self.width()) else { return };
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        let word = u64::from_le_bytes(eight) as u32;
        let value = match *self {
            Field::Relative32 { after } => target.wrapping_sub(place).wrapping_sub(u64::from(after)),
            Field::Relative8 => target.wrapping_sub(place).wrapping_sub(1),
            Field::Back32 => place.wrapping_sub(target),
            Field::FromStart32 { start } => target.wrapping_sub(start),
            Field::Counted32 { start, after, .. } => {
                target.wrapping_sub(start).wrapping_sub(u64::from(after))
            }
            Field::Before32 { start } => start.wrapping_sub(1).wrapping_sub(target),
            Field::Absolute32 | Field::Signed32 | Field::Absolute64 => target,
            Field::Entry { table } => target.wrapping_sub(table) / ENTRY,
            Field::String => target.wrapping_sub(Space::STRINGS),
            Field::Rank => u64::from((target.wrapping_sub(Space::SYMBOLS) / RANK) as u32).swap_bytes() >> 40,
            Field::Relative31 => u64::from(word & 1 << 31 | target.wrapping_sub(place) as u32 & !(1 << 31)),
            _ => u64::from(self.bits(word, self.offset(place, target))),
        };
        bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
    }

    /// Whether all its bits are the value.
    fn is_plain_word(&self) -> bool {
        matches!(
            self,
            Field::Relative32 { .. }
                | Field::Relative8
                | Field::Back32
                | Field::FromStart32 { .. }
                | Field::Counted32 { .. }
                | Field::Before32 { .. }
                | Field::Absolute32
                | Field::Signed32
                | Field::Entry { .. }
                | Field::String
                | Field::Rank
        )
    }

    /// What an instruction's distance is counted from.
    fn origin(&self, place: u64) -> u64 {
        match *self {
            Field::Thumb24 | Field::Thumb20 | Field::Thumb11 | Field::Thumb8 | Field::Thumb6 => {
                place.wrapping_add(4)
            }
            Field::ThumbExchange | Field::ThumbLiteral => place.wrapping_add(4) & !3,
            Field::Arm24 => place.wrapping_add(8),
            Field::Adrp => place & !0xfff,
            Field::ThumbHalf { .. } | Field::ArmHalf { .. } | Field::Low12 { .. } => 0,
            Field::RiscvHigh { relative: false } | Field::RiscvLow { back: 0, .. } => 0,
            Field::RiscvLow { back, .. } => place.wrapping_sub(u64::from(back)),
            _ => place,
        }
    }

    /// The distance to write for `target`, its lower 32 bits.
    fn offset(&self, place: u64, target: u64) -> u32 {
        let origin = self.origin(place);
        match self {
            Field::Adrp => ((target & !0xfff).wrapping_sub(origin) >> 12) as u32,
            Field::RiscvHigh { .. } => target.wrapping_sub(origin).wrapping_add(0x800) as u32,
            _ => target.wrapping_sub(origin) as u32,
        }
    }

    /// The distance that an instruction holds, its sign extended.
    fn distance(&self, w: u32) -> u64 {
        // A Thumb-2 instruction is two halfwords, the first one lower.
        let (first, second) = (w & 0xffff, w >> 16);
        match *self {
            Field::Relative31 => extend(w, 31),
            Field::Thumb24 | Field::ThumbExchange => {
                let sign = first >> 10 & 1;
                let (i1, i2) = (!(second >> 13 ^ sign) & 1, !(second >> 11 ^ sign) & 1);
                let high = sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3ff) << 12;
                extend(high | (second & self.thumb_low()) << 1, 25)
            }
            Field::Thumb20 => {
                let high = (first >> 10 & 1) << 20 | (second >> 11 & 1) << 19 | (second >> 13 & 1) << 18;
                extend(high | (first & 0x3f) << 12 | (second & 0x7ff) << 1, 21)
            }
            Field::Thumb11 => extend((w & 0x7ff) << 1, 12),
            Field::Thumb8 => extend((w & 0xff) << 1, 9),
            Field::Thumb6 => u64::from((w >> 9 & 1) << 6 | (w >> 3 & 0x1f) << 1),
            Field::ThumbLiteral => u64::from((w & 0xff) << 2),
            Field::ThumbHalf { high } => {
                let low = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xff;
                half((first & 0xf) << 12 | low, high)
            }
            Field::Arm24 => extend((w & 0xff_ffff) << 2, 26),
            Field::ArmHalf { high } => half((w >> 16 & 0xf) << 12 | w & 0xfff, high),
            Field::Branch26 => extend((w & 0x3ff_ffff) << 2, 28),
            Field::Branch19 => extend((w >> 5 & 0x7_ffff) << 2, 21),
            Field::Branch14 => extend((w >> 5 & 0x3fff) << 2, 16),
            Field::Adr => extend((w >> 5 & 0x7_ffff) << 2 | w >> 29 & 3, 21),
            Field::Adrp => extend((w >> 5 & 0x7_ffff) << 2 | w >> 29 & 3, 21) << 12,
            Field::Low12 { scale } => u64::from((w >> 10) << (scale & 7) & 0xfff),
            Field::Jal => {
                let high = (w >> 31) << 20 | (w >> 12 & 0xff) << 12 | (w >> 20 & 1) << 11;
                extend(high | (w >> 21 & 0x3ff) << 1, 21)
            }
            Field::RiscvBranch => {
                let high = (w >> 31) << 12 | (w >> 7 & 1) << 11 | (w >> 25 & 0x3f) << 5;
                extend(high | (w >> 8 & 0xf) << 1, 13)
            }
            Field::RiscvHigh { .. } => extend(w & 0xffff_f000, 32),
            Field::RiscvLow { store: false, .. } => extend(w >> 20, 12),
            Field::RiscvLow { store: true, .. } => extend((w >> 25) << 5 | w >> 7 & 0x1f, 12),
            Field::CompressedJump => extend(spread(w, &COMPRESSED_JUMP), 12),
            Field::CompressedBranch => extend(spread(w, &COMPRESSED_BRANCH), 9),
            _ => u64::from(w),
        }
    }

    /// The lower bits of a BL. The lowest one of a BLX is opcode: distances to A32 code are multiples of 4.
    fn thumb_low(&self) -> u32 {
        if matches!(self, Field::Thumb24) { 0x7ff } else { 0x7fe }
    }

    /// The instruction `w` with the distance `d` in its field.
    fn bits(&self, w: u32, d: u32) -> u32 {
        match *self {
            Field::Relative31 => w & 1 << 31 | d & !(1 << 31),
            Field::Thumb24 | Field::ThumbExchange => {
                let (sign, i1, i2) = (d >> 24 & 1, d >> 23 & 1, d >> 22 & 1);
                let (j1, j2) = (!(i1 ^ sign) & 1, !(i2 ^ sign) & 1);
                let first = sign << 10 | d >> 12 & 0x3ff;
                let low = self.thumb_low();
                let second = j1 << 13 | j2 << 11 | d >> 1 & low;
                w & !(0x7ff | (0x2800 | low) << 16) | first | second << 16
            }
            Field::Thumb20 => {
                let first = (d >> 20 & 1) << 10 | d >> 12 & 0x3f;
                let second = (d >> 18 & 1) << 13 | (d >> 19 & 1) << 11 | d >> 1 & 0x7ff;
                w & !(0x43f | 0x2fff << 16) | first | second << 16
            }
            Field::Thumb11 => w & !0x7ff | d >> 1 & 0x7ff,
            Field::Thumb8 => w & !0xff | d >> 1 & 0xff,
            Field::Thumb6 => w & !0x2f8 | (d >> 6 & 1) << 9 | (d >> 1 & 0x1f) << 3,
            Field::ThumbLiteral => w & !0xff | d >> 2 & 0xff,
            Field::ThumbHalf { high } => {
                let d = if high { d >> 16 } else { d };
                let (first, second) = ((d >> 11 & 1) << 10 | d >> 12 & 0xf, (d >> 8 & 7) << 12 | d & 0xff);
                w & !(0x40f | 0x70ff << 16) | first | second << 16
            }
            Field::Arm24 => w & !0xff_ffff | d >> 2 & 0xff_ffff,
            Field::ArmHalf { high } => {
                let d = if high { d >> 16 } else { d };
                w & !0xf_0fff | (d >> 12 & 0xf) << 16 | d & 0xfff
            }
            Field::Branch26 => w & !0x3ff_ffff | d >> 2 & 0x3ff_ffff,
            Field::Branch19 => w & !(0x7_ffff << 5) | (d >> 2 & 0x7_ffff) << 5,
            Field::Branch14 => w & !(0x3fff << 5) | (d >> 2 & 0x3fff) << 5,
            Field::Adr | Field::Adrp => {
                w & !(0x7_ffff << 5 | 3 << 29) | (d >> 2 & 0x7_ffff) << 5 | (d & 3) << 29
            }
            Field::Low12 { scale } => {
                let scale = scale & 7;
                w & !(0xfff >> scale << 10) | (d & 0xfff) >> scale << 10
            }
            Field::Jal => {
                let high = (d >> 20 & 1) << 31 | (d >> 12 & 0xff) << 12 | (d >> 11 & 1) << 20;
                w & 0xfff | high | (d >> 1 & 0x3ff) << 21
            }
            Field::RiscvBranch => {
                let high = (d >> 12 & 1) << 31 | (d >> 11 & 1) << 7 | (d >> 5 & 0x3f) << 25;
                w & !0xfe00_0f80 | high | (d >> 1 & 0xf) << 8
            }
            Field::RiscvHigh { .. } => w & 0xfff | d & 0xffff_f000,
            Field::RiscvLow { store: false, .. } => w & 0xf_ffff | d << 20,
            Field::RiscvLow { store: true, .. } => w & !0xfe00_0f80 | (d >> 5 & 0x7f) << 25 | (d & 0x1f) << 7,
            Field::CompressedJump => w & !0x1ffc | gather(d, &COMPRESSED_JUMP),
            Field::CompressedBranch => w & !0x1c7c | gather(d, &COMPRESSED_BRANCH),
            _ => d,
        }
    }
}

/// Bits of compressed distances: (bit of the instruction, bit of the distance), the RISC-V manual's tables of CJ and CB.
const COMPRESSED_JUMP: [(u8, u8); 11] =
    [(12, 11), (11, 4), (10, 9), (9, 8), (8, 10), (7, 6), (6, 7), (5, 3), (4, 2), (3, 1), (2, 5)];
const COMPRESSED_BRANCH: [(u8, u8); 8] = [(12, 8), (11, 4), (10, 3), (6, 7), (5, 6), (4, 2), (3, 1), (2, 5)];

fn spread(w: u32, bits: &[(u8, u8)]) -> u32 {
    bits.iter().fold(0, |d, (of_instruction, of_distance)| d | (w >> of_instruction & 1) << of_distance)
}

fn gather(d: u32, bits: &[(u8, u8)]) -> u32 {
    bits.iter().fold(0, |w, (of_instruction, of_distance)| w | (d >> of_distance & 1) << of_instruction)
}

/// The lowest `bits` (1 to 32) of a value, the highest of them being its sign.
fn extend(value: u32, bits: u32) -> u64 {
    let shift = 32 - bits;
    i64::from((value << shift) as i32 >> shift) as u64
}

fn half(value: u32, high: bool) -> u64 {
    u64::from(if high { value << 16 } else { value })
}

#[cfg(test)]
mod tests;
