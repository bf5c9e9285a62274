use alloc::vec;

use proptest::prelude::*;

use super::field::What;
use super::*;
use crate::delta::space::Segment;

/// A space of one segment at `address`, with memory after its content.
fn space(address: u64, length: u64) -> Space {
    let segment = Segment {
        old_length: length,
        old_address: address,
        old_memory: length + 0x1000,
        new_length: length,
        new_address: address,
        new_memory: length + 0x1000,
        code: true,
        ..Segment::default()
    };
    Space::new(vec![segment]).unwrap()
}

/// What is found in all of `bytes`, read in blocks of `block` bytes with no more around them than there has to be.
fn found(
    kind: SectionKind,
    bytes: &[u8],
    address: u64,
    block: usize,
    space: &Space,
) -> Vec<(usize, Reference)> {
    let section = Section { kind, start: 0, length: bytes.len() as u64, space: 0 };
    let mut scanner = Scanner::new(&section, address);
    let mut all = Vec::new();
    for start in (0..bytes.len()).step_by(block) {
        let end = bytes.len().min(start + block);
        let (behind, ahead) = (start.saturating_sub(LOOK_BEHIND), bytes.len().min(end + LOOK_AHEAD));
        let mut references = Vec::with_capacity(block / 2 + 1);
        scanner.scan(
            &bytes[behind..ahead],
            start - behind,
            end - behind,
            address + start as u64,
            space,
            &mut references,
        );
        all.extend(references.into_iter().map(|reference| (start + reference.at as usize, reference)));
    }
    all
}

fn places(found: &[(usize, Reference)]) -> Vec<(usize, Field, u64)> {
    found.iter().map(|(at, reference)| (*at, reference.field, reference.target)).collect()
}

/// Bytes of which many look like something: opcodes of every machine, small numbers, addresses.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        any::<[u8; 4]>(),
        Just([0; 4]),
        Just([0xe8, 0x10, 0, 0]),
        Just([0x48, 0x8d, 0x05, 0x20]),
        Just([0x00, 0xf0, 0x02, 0xf8]),
        Just([0x01, 0x48, 0x02, 0x49]),
        Just([0x41, 0xf2, 0x34, 0x20]),
        Just([0xc0, 0xf2, 0x00, 0x00]),
        Just([0x00, 0x00, 0x00, 0x90]),
        Just([0x00, 0x40, 0x00, 0x91]),
        Just([0x17, 0x05, 0x00, 0x00]),
        Just([0x13, 0x05, 0x05, 0x01]),
        Just([0x08, 0x00, 0x00, 0xea]),
        Just([0x14, 0, 0, 0]),
        Just([0x00, 0x11, 0, 0]),
        Just([0x08, 0x12, 0, 0]),
    ];
    proptest::collection::vec(word, 0..150).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the bytes are and wherever the window stands: no panic, ascending, disjoint, in the block, in the
    /// space, and the same again.
    #[test]
    fn any_window_is_read(
        kind in 0..SectionKind::ALL.len(), bytes in likely(), cut in any::<[u16; 4]>(), address in any::<u64>(), near: bool
    ) {
        let kind = SectionKind::ALL[kind];
        let address = if near { address % 0x2000 } else { address };
        let space = space(if near { 0 } else { address & 0xffff_ffff_ffff }, 0x4000);
        let place = |n: u16| usize::from(n) % (bytes.len() + 1);
        let (start, from, to, end) = (place(cut[0]), place(cut[1]), place(cut[2]), place(cut[3]));
        let window = &bytes[start.min(end)..start.max(end)];
        let section = Section { kind, start: 0, length: bytes.len() as u64, space: 0 };
        let mut scanner = Scanner::new(&section, address.wrapping_sub(u64::from(cut[0])));
        let mut twin = scanner.clone();
        for _ in 0..2 {
            let mut references = Vec::with_capacity(bytes.len() / 2 + 2);
            let mut again = references.clone();
            again.reserve_exact(bytes.len() / 2 + 2);
            scanner.scan(window, from, to, address, &space, &mut references);
            twin.scan(window, from, to, address, &space, &mut again);
            prop_assert_eq!(&references, &again);
            let mut free = 0;
            for reference in &references {
                let at = reference.at as usize;
                prop_assert!(at >= free && from + at < to, "{:?}", references);
                prop_assert!(from + at + reference.field.width() <= window.len());
                let told = kind as u8 >= SectionKind::TextRelocations64 as u8;
                prop_assert!(told || space.holds(reference.target), "only its likes tell where it went");
                free = at + reference.field.width();
            }
        }
    }

    /// How long the blocks are makes no difference, as long as each begins where the last one ended.
    #[test]
    fn blocks_of_any_length_find_the_same(kind in 0..SectionKind::ALL.len(), bytes in likely(), block in 1..300_usize) {
        let kind = SectionKind::ALL[kind];
        let space = space(0, 0x4000);
        let whole = found(kind, &bytes, 0x1000, bytes.len().max(1), &space);
        let parts = found(kind, &bytes, 0x1000, block, &space);
        prop_assert_eq!(places(&whole), places(&parts));
    }
}

#[test]
fn no_more_is_found_than_there_is_room_for() {
    let bytes = [0x00, 0x10, 0, 0].repeat(100);
    let section = Section { kind: SectionKind::Addresses32, start: 0, length: 400, space: 0 };
    let mut references = Vec::with_capacity(7);
    let room = references.capacity();
    Scanner::new(&section, 0).scan(&bytes, 0, 400, 0, &space(0, 0x4000), &mut references);
    assert_eq!((references.len(), references.capacity()), (room, room));
}

#[test]
fn what_is_not_linked_counts_from_its_section() {
    // `.text + 0x40 - 4` at 0x12; a symbol's at 0x30, R_X86_64_PLT32; 3 of the fifth symbol.
    let entry = |place: u64, symbol: u64, kind: u64, addend: i64| {
        [place, symbol << 32 | kind, addend.cast_unsigned()].map(u64::to_le_bytes).concat()
    };
    let table = [entry(0x12, 1, 2, 0x3c), entry(0x30, 7, 4, -4), entry(0x38, 5, 1, 3)].concat();
    let space = space(0, 0x4000);
    let relocations = found(SectionKind::TextRelocations64, &table, 0x1000, table.len(), &space);
    let counted = |start, after, what| Field::Counted32 { start, after, what };
    let text = Space::TEXT;
    let of_fifth = (17 << 56) + (5 << 32);
    let expected = vec![
        (0, counted(text, 0, What::Place), text + 0x12),
        (16, counted(text, 4, What::Addend), text + 0x40),
        (24, counted(text, 0, What::Place), text + 0x30),
        (48, counted(text, 0, What::Place), text + 0x38),
        (64, counted(of_fifth, 0, What::Addend), of_fifth + 3),
    ];
    assert_eq!(places(&relocations), expected);
    // A function of 32 bytes at 0x40, its name at 0: in the table there is no other name.
    let symbol = [&[0, 0, 0, 0, 2, 0, 3, 0][..], &0x40_u64.to_le_bytes(), &32_u64.to_le_bytes()].concat();
    let symbols = found(SectionKind::LocalSymbols64, &symbol, 0x1000, 24, &space);
    let start = text + 0x40;
    let expected =
        vec![(8, counted(text, 0, What::Value), start), (16, counted(start, 0, What::Size), start + 32)];
    assert_eq!(places(&symbols), expected);
}

#[test]
fn x86_finds_branches_and_operands() {
    // endbr64; lea rdi, [rip + 0x100]; call +0x10; jne +2; mov dword [rip + 0x20], 7; ret
    let code = [
        0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8d, 0x3d, 0, 1, 0, 0, 0xe8, 0x10, 0, 0, 0, 0x75, 2, 0xc7, 0x05, 0x20,
        0, 0, 0, 7, 0, 0, 0, 0xc3,
    ];
    let found = found(SectionKind::X86_64, &code, 0x1000, code.len(), &space(0x1000, 0x1000));
    let expected = vec![
        (7, Field::Relative32 { after: 4 }, 0x110b),
        (12, Field::Relative32 { after: 4 }, 0x1020),
        (17, Field::Relative8, 0x1014),
        (20, Field::Relative32 { after: 8 }, 0x103c),
    ];
    assert_eq!(places(&found), expected);
}

#[test]
fn absolute_values_count_where_code_is_fixed() {
    // mov edi, 0x401000; mov rax, gs:[0x40]
    let code = [0xbf, 0, 0x10, 0x40, 0, 0x65, 0x48, 0x8b, 0x04, 0x25, 0x40, 0, 0, 0];
    let space = space(0x40_0000, 0x4000);
    assert_eq!(found(SectionKind::X86_64, &code, 0x40_0000, 64, &space), vec![]);
    let found = found(SectionKind::X86_64Fixed, &code, 0x40_0000, 64, &space);
    assert_eq!(places(&found), vec![(1, Field::Signed32, 0x40_1000)]);
}

#[test]
fn thumb_literals_are_found_by_their_loads() {
    // ldr r0, [pc, #4]; bl +0x100; bx lr; .word 0x4010
    let code = [0x01, 0x48, 0x00, 0xf0, 0x80, 0xf8, 0x70, 0x47, 0x10, 0x40, 0, 0];
    let found = found(SectionKind::Thumb, &code, 0x2000, code.len(), &space(0, 0x4000));
    let expected = vec![
        (0, Field::ThumbLiteral, 0x2008),
        (2, Field::Thumb24, 0x2106),
        // Memory after the content: a pointer because it is loaded.
        (8, Field::Absolute32, 0x4010),
    ];
    assert_eq!(places(&found), expected);
}

#[test]
fn both_halves_of_an_a64_address_refer_to_the_whole() {
    // adrp x0, +1 page; mov x1, x2; ldr x3, [x0, #0x18]
    let words = [0xb000_0000_u32, 0xaa02_03e1, 0xf940_0c03];
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let found = found(SectionKind::Aarch64, &code, 0x1000, code.len(), &space(0, 0x4000));
    let expected = vec![(0, Field::Adrp, 0x2018), (8, Field::Low12 { scale: 3 }, 0x2018)];
    assert_eq!(places(&found), expected);
}

#[test]
fn both_halves_of_a_riscv_address_refer_to_the_whole() {
    // auipc a0, 1; c.nop; addi a0, a0, -16; jal ra, +0x800
    let code = [0x17, 0x15, 0, 0, 0x01, 0x00, 0x13, 0x05, 0x05, 0xff, 0xef, 0x00, 0x10, 0x00];
    let found = found(SectionKind::Riscv64, &code, 0x1000, code.len(), &space(0, 0x4000));
    let expected = vec![
        (0, Field::RiscvHigh { relative: true }, 0x1ff0),
        (6, Field::RiscvLow { store: false, back: 6 }, 0x1ff0),
        (10, Field::Jal, 0x180a),
    ];
    assert_eq!(places(&found), expected);
}

#[test]
fn frames_are_recognised_wherever_a_stretch_begins() {
    // A CIE of 12 bytes and two FDEs of 16 and 20 bytes at 0x3000, for functions at 0x1000 and 0x1100.
    let cie = [8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    let fde = |length: u32, way: u32, place: u32, function: u32, size: u32| {
        [length, way, function.wrapping_sub(place), size].map(u32::to_le_bytes).concat()
    };
    let mut bytes = cie.to_vec();
    bytes.extend(fde(12, 16, 0x3014, 0x1000, 0x100));
    bytes.extend(fde(16, 32, 0x3024, 0x1100, 0x80));
    bytes.extend([0; 4]);
    let space = space(0, 0x3000);
    let whole = places(&found(SectionKind::Frame, &bytes, 0x3000, bytes.len(), &space));
    assert_eq!(whole[0], (16, Field::Back32, 0x3000));
    assert_eq!(whole[1], (20, Field::Relative32 { after: 0 }, 0x1000));
    assert_eq!(whole[2], (24, Field::FromStart32 { start: 0x1000 }, 0x1100));
    assert_eq!(whole.len(), 6);
    let section = Section { kind: SectionKind::Frame, start: 0, length: bytes.len() as u64, space: 0 };
    let mut late = Vec::with_capacity(64);
    Scanner::new(&section, 0x3000).scan(&bytes, 28, bytes.len(), 0x3000 + 28, &space, &mut late);
    let late: Vec<_> = late.iter().map(|r| (r.at as usize + 28, r.field, r.target)).collect();
    assert_eq!(late, whole[3..]);
}

#[test]
fn tables_count_from_their_section() {
    let mut rela = 0x2000_u64.to_le_bytes().to_vec();
    rela.extend([8, 0, 0, 0, 0, 0, 0, 0]);
    rela.extend(0x1234_u64.to_le_bytes());
    let space = space(0, 0x4000);
    let expected = vec![(0, Field::Absolute64, 0x2000), (16, Field::Absolute64, 0x1234)];
    assert_eq!(places(&found(SectionKind::Rela64, &rela, 0x500, rela.len(), &space)), expected);
    // The second half alone, as a stretch that begins there.
    let section = Section { kind: SectionKind::Rela64, start: 0, length: 24, space: 0 };
    let mut late = Vec::with_capacity(16);
    Scanner::new(&section, 0x500).scan(&rela, 10, 24, 0x500 + 10, &space, &mut late);
    assert_eq!(late, vec![Reference { at: 6, field: Field::Absolute64, target: 0x1234 }]);
}

#[test]
fn symbols_and_stubs_are_counted_where_their_tables_stand() {
    let table = |address| Segment {
        old_length: 240,
        old_address: address,
        old_memory: 240,
        code: false,
        ..Segment::default()
    };
    let space = Space::new(vec![table(Space::SYMBOLS), table(Space::RELOCATIONS)]).unwrap();
    let mut rela = 0_u64.to_le_bytes().to_vec();
    rela.extend([6, 0, 0, 0, 3, 0, 0, 0]);
    rela.extend(0_u64.to_le_bytes());
    let found_in = |kind, bytes: &[u8]| places(&found(kind, bytes, 0x500, bytes.len(), &space));
    let symbol = (12, Field::Entry { table: Space::SYMBOLS }, Space::SYMBOLS + 72);
    assert_eq!(found_in(SectionKind::Rela64, &rela), vec![symbol]);
    // push 2; then the same as ordinary code, where a number is a number.
    let stub = [0x68, 2, 0, 0, 0];
    let relocation = (1, Field::Entry { table: Space::RELOCATIONS }, Space::RELOCATIONS + 48);
    assert_eq!(found_in(SectionKind::X86_64Stubs, &stub), vec![relocation]);
    assert_eq!(found_in(SectionKind::X86_64, &stub), vec![]);
}

#[test]
fn a_kernels_tables_count_from_their_places() {
    // An entry of __jump_table at 0x3000: code at 0x1000, a label at 0x1010, a key at 0x2000; then a small number.
    let words = [0x1000 - 0x3000_i32, 0x1010 - 0x3004, 0x2000 - 0x3008, -1, 7, 0];
    let bytes = words.map(i32::to_le_bytes).concat();
    let space = space(0, 0x3000);
    let relative = Field::Relative32 { after: 0 };
    let expected = vec![(0, relative, 0x1000), (4, relative, 0x1010), (8, relative, 0x2000)];
    let found = places(&found(SectionKind::KernelData64, &bytes, 0x3000, bytes.len(), &space));
    assert_eq!(found[..3], expected);
}

#[test]
fn a_kernels_symbols_count_back_from_its_base() {
    let base = 0xffff_ffff_8100_0000;
    let bytes = (!0x120_u32).to_le_bytes();
    let found = found(SectionKind::KernelSymbols, &bytes, base + 0x800, 4, &space(base, 0x1000));
    assert_eq!(places(&found), vec![(0, Field::Before32 { start: base }, base + 0x120)]);
}

#[test]
fn an_order_of_symbols_is_read_in_three_bytes() {
    let counted =
        |address, length| Segment { old_address: address, old_memory: length, ..Segment::default() };
    let segments =
        vec![Segment { old_length: 6, ..counted(0x1000, 6) }, counted(Space::SYMBOLS, 4 * 0x2_0000)];
    let space = Space::new(segments).unwrap();
    let mut bytes = [1, 2, 3, 0, 0, 9];
    let found = found(SectionKind::SymbolOrder, &bytes, 0x1000, 4, &space);
    let expected = [(0, 0x1_0203), (3, 9)];
    assert_eq!(places(&found), expected.map(|(at, number)| (at, Field::Rank, Space::SYMBOLS + number * 4)));
    Field::Rank.write(&mut bytes[..3], 0, Space::SYMBOLS + 0x30_2010 * 4);
    assert_eq!(bytes, [0x30, 0x20, 0x10, 0, 0, 9]);
}

#[test]
fn names_and_types_of_btf_are_found_wherever_a_stretch_begins() {
    // Name, what it is, size or type, then entries: an integer, a structure of two members, a pointer to it, a function.
    let words: [u32; 24] = [
        1,
        1 << 24,
        4,
        0x20, // int
        5,
        4 << 24 | 2,
        16,
        9,
        1,
        0,
        11,
        3,
        64, // struct, two members
        0,
        2 << 24,
        2, // pointer
        0,
        13 << 24 | 1,
        1,
        15,
        3, // what takes a pointer and gives an integer
        20,
        12 << 24 | 1,
        4, // its function
    ];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let counted =
        |address, length| Segment { old_address: address, old_memory: length, ..Segment::default() };
    let section = Segment { old_length: 96, ..counted(0x4_0000, 96) };
    let segments = vec![section, counted(Space::TYPES, 24 * 5), counted(Space::STRINGS, 30)];
    let space = Space::new(segments).unwrap();
    let name = |word: usize| (word * 4, Field::String, Space::STRINGS + u64::from(words[word]));
    let refers = |word: usize| {
        (word * 4, Field::Entry { table: Space::TYPES }, Space::TYPES + u64::from(words[word]) * 24)
    };
    let all = [
        name(0),
        name(4),
        name(7),
        refers(8),
        name(10),
        refers(11),
        refers(15),
        refers(18),
        name(19),
        refers(20),
        name(21),
        refers(23),
    ];
    assert_eq!(places(&found(SectionKind::Types, &bytes, 0x4_0000, 96, &space)), all);
    assert_eq!(places(&found(SectionKind::Types, &bytes, 0x4_0000, 20, &space)), all);
    // In the middle of the structure it falls in step with the next record.
    let section = Section { kind: SectionKind::Types, start: 0, length: 96, space: 0 };
    let mut scanner = Scanner::new(&section, 0x4_0000);
    let mut references = Vec::with_capacity(64);
    scanner.scan(&bytes[32..], 0, 64, 0x4_0020, &space, &mut references);
    let rest: Vec<u64> = references.iter().map(|reference| reference.target).collect();
    assert_eq!(rest, all[6..].iter().map(|(_, _, target)| *target).collect::<Vec<_>>());
}

#[test]
fn kinds_have_the_numbers_of_the_format() {
    for kind in SectionKind::ALL {
        assert_eq!(SectionKind::from_number(kind as u8), Some(kind));
    }
    assert_eq!(SectionKind::from_number(99), None);
}
