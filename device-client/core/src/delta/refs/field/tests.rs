use proptest::prelude::*;

use super::*;

/// One of each, with the unit that targets are multiples of, and how far they reach either way.
const EACH: [(Field, u64, i64); 37] = [
    (Field::Relative32 { after: 4 }, 1, 1 << 30),
    (Field::Relative8, 1, 100),
    (Field::Back32, 1, 1 << 28),
    (Field::FromStart32 { start: 0x10_0000 }, 1, 1 << 28),
    (Field::Before32 { start: 0x10_0000 }, 1, 1 << 28),
    (Field::Absolute32, 1, 1 << 28),
    (Field::Signed32, 1, 1 << 28),
    (Field::Absolute64, 1, 1 << 28),
    (Field::Relative31, 1, 1 << 28),
    (Field::Thumb24, 2, 1 << 23),
    (Field::ThumbExchange, 4, 1 << 23),
    (Field::Thumb20, 2, 1 << 19),
    (Field::Thumb11, 2, 1 << 10),
    (Field::Thumb8, 2, 200),
    (Field::Thumb6, 2, 100),
    (Field::ThumbLiteral, 4, 1000),
    (Field::ThumbHalf { high: false }, 1, 1 << 28),
    (Field::ThumbHalf { high: true }, 1, 1 << 28),
    (Field::Arm24, 4, 1 << 24),
    (Field::ArmHalf { high: false }, 1, 1 << 28),
    (Field::ArmHalf { high: true }, 1, 1 << 28),
    (Field::Branch26, 4, 1 << 26),
    (Field::Branch19, 4, 1 << 19),
    (Field::Branch14, 4, 1 << 14),
    (Field::Adr, 1, 1 << 19),
    (Field::Adrp, 1, 1 << 29),
    (Field::Low12 { scale: 3 }, 8, 1 << 28),
    (Field::Jal, 2, 1 << 19),
    (Field::RiscvBranch, 2, 1 << 11),
    (Field::RiscvHigh { relative: true }, 1, 1 << 28),
    (Field::RiscvLow { store: false, back: 8 }, 1, 1 << 28),
    (Field::RiscvLow { store: true, back: 0 }, 1, 1 << 28),
    (Field::CompressedJump, 2, 1 << 10),
    (Field::CompressedBranch, 2, 200),
    (Field::Entry { table: Space::SYMBOLS }, 24, 1 << 28),
    (Field::String, 1, 1 << 28),
    (Field::Counted32 { start: 0x10_0000, after: 4, what: What::Addend }, 1, 1 << 28),
];

/// The part of a target that a field holds, in the words of `Field::read`.
fn part(field: Field, place: u64, target: u64) -> u64 {
    match field {
        Field::ThumbHalf { high: false } | Field::ArmHalf { high: false } => target & 0xffff,
        Field::ThumbHalf { high: true } | Field::ArmHalf { high: true } => target & 0xffff_0000,
        Field::Adrp => target & !0xfff,
        Field::Low12 { .. } => target & 0xfff,
        Field::RiscvHigh { .. } => {
            place.wrapping_add(target.wrapping_sub(place).wrapping_add(0x800) & !0xfff)
        }
        Field::RiscvLow { back, .. } => {
            let origin = if back == 0 { 0 } else { place - u64::from(back) };
            origin.wrapping_add(extend(target.wrapping_sub(origin) as u32, 12))
        }
        _ => target,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(number in 0..EACH.len(), bytes in any::<[u8; 8]>(), distance in any::<i32>()) {
        let (field, unit, reach) = EACH[number];
        let place = match field {
            Field::Entry { table } => table,
            Field::String => Space::STRINGS,
            _ => 0x4000_0000,
        };
        let distance = (i64::from(distance) % reach).unsigned_abs();
        let forward = matches!(field, Field::Thumb6 | Field::ThumbLiteral | Field::Entry { .. } | Field::String);
        let first = if matches!(field, Field::Thumb6 | Field::ThumbLiteral) { 4 } else { 0 };
        let target = if forward {
            place + first + distance / unit * unit
        } else if bytes[0] & 1 == 0 && !matches!(field, Field::Back32) {
            place + distance / unit * unit
        } else {
            place - distance / unit * unit
        };
        let mut written = bytes;
        field.write(&mut written, place, target);
        prop_assert_eq!(field.read(&written, place), Some(part(field, place, target)));
        // Bits outside of the mask are as they were; writing what was read changes nothing.
        let mask = field.mask();
        for i in 0..8 {
            prop_assert_eq!(written[i] & !mask[i], bytes[i] & !mask[i]);
        }
        let again = written;
        field.write(&mut written, place, target);
        prop_assert_eq!(written, again);
    }

    #[test]
    fn any_bytes_and_any_addresses_are_taken(
        number in 0..EACH.len(), mut bytes in proptest::collection::vec(any::<u8>(), 0..9), place: u64, target: u64
    ) {
        let field = EACH[number].0;
        field.write(&mut bytes, place, target);
        prop_assert_eq!(field.read(&bytes, place).is_some(), bytes.len() >= field.width());
    }
}

#[test]
fn instructions_are_read_as_assemblers_write_them() {
    // bl 0x1000 from 0x2000; b.w back to itself; beq.w; movw and movt r0, #0x2000_1234.
    assert_eq!(Field::Thumb24.read(&[0xfe, 0xf7, 0xfe, 0xff], 0x2000), Some(0x1000));
    assert_eq!(Field::Thumb24.read(&[0xff, 0xf7, 0xfe, 0xbf], 0x2000), Some(0x2000));
    assert_eq!(Field::ThumbHalf { high: false }.read(&[0x41, 0xf2, 0x34, 0x20], 0), Some(0x1234));
    assert_eq!(Field::ThumbHalf { high: true }.read(&[0xc2, 0xf2, 0x00, 0x00], 0), Some(0x2000_0000));
    // adrp x0, +1 page; add x0, x0, #0x10; ldr x1, [x0, #8]; b +8; cbz x0, +12; tbz w0, #0, -4
    assert_eq!(Field::Adrp.read(&0xb000_0000_u32.to_le_bytes(), 0x1234), Some(0x2000));
    assert_eq!(Field::Low12 { scale: 0 }.read(&0x9100_4000_u32.to_le_bytes(), 0), Some(0x10));
    assert_eq!(Field::Low12 { scale: 3 }.read(&0xf940_0401_u32.to_le_bytes(), 0), Some(8));
    assert_eq!(Field::Branch26.read(&0x1400_0002_u32.to_le_bytes(), 0x1000), Some(0x1008));
    assert_eq!(Field::Branch19.read(&0xb400_0060_u32.to_le_bytes(), 0x1000), Some(0x100c));
    assert_eq!(Field::Branch14.read(&0x3607_ffe0_u32.to_le_bytes(), 0x1000), Some(0xffc));
    // jal ra, +0x800; beq a0, zero, -4; auipc a0, 1; c.j -2; c.beqz a0, +8
    assert_eq!(Field::Jal.read(&0x0010_00ef_u32.to_le_bytes(), 0), Some(0x800));
    assert_eq!(Field::RiscvBranch.read(&0xfe05_0ee3_u32.to_le_bytes(), 0x100), Some(0xfc));
    assert_eq!(Field::RiscvHigh { relative: true }.read(&0x1517_u32.to_le_bytes(), 0x100), Some(0x1100));
    assert_eq!(Field::CompressedJump.read(&0xbffd_u16.to_le_bytes(), 0x100), Some(0xfe));
    assert_eq!(Field::CompressedBranch.read(&0xc501_u16.to_le_bytes(), 0x100), Some(0x108));
}

#[test]
fn the_mask_of_a_branch_leaves_its_opcode() {
    assert_eq!(Field::Thumb24.mask(), [0xff, 0x07, 0xff, 0x2f, 0, 0, 0, 0]);
    assert_eq!(Field::Branch26.mask(), [0xff, 0xff, 0xff, 0x03, 0, 0, 0, 0]);
    assert_eq!(Field::Relative32 { after: 4 }.mask(), [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(Field::CompressedJump.mask(), [0xfc, 0x1f, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn numbers_fit_a_context() {
    assert!(EACH.iter().all(|(field, _, _)| field.number() < 64));
}
