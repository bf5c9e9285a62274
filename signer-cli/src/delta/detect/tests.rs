use super::*;

pub(super) fn describe(old: &[u8], new: &[u8], hint: &Hint) -> Described {
    super::describe(&Partial::whole(old), &Partial::whole(new), hint)
}

/// What is written into a description must hold for every reader: sorted, disjoint, in the image.
pub(super) fn assert_sound(described: &Described, length: u64) {
    let mut free = 0;
    for section in &described.sections {
        assert!(section.start >= free && section.length > 0, "{described:?}");
        assert!(usize::from(section.space) < described.spaces.len());
        free = section.start + section.length;
    }
    assert!(free <= length);
}

fn own_program() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

#[test]
fn a_program_is_described_by_its_headers() {
    let program = own_program();
    let mut other = program.clone();
    other[program.len() / 2] ^= 1;
    let described = describe(&program, &other, &Hint::Auto);
    assert_sound(&described, program.len() as u64);
    assert_eq!(describe(&program, &program, &Hint::Auto), Described::default(), "nothing changed");
    let [space] = &described.spaces[..] else { panic!("{described:?}") };
    for segment in space.segments() {
        assert_eq!((segment.old, segment.old_address), (segment.new, segment.new_address));
    }
    let kinds: Vec<SectionKind> = described.sections.iter().map(|section| section.kind).collect();
    assert!(kinds.contains(&SectionKind::FrameHeader) && kinds.contains(&SectionKind::Rela64), "{kinds:?}");
}

#[test]
fn a_damaged_program_is_described_as_something_or_nothing() {
    let program = own_program();
    let head = &program[..program.len().min(1 << 20)];
    assert_sound(&describe(head, &program, &Hint::Auto), head.len() as u64);
    let head = &program[..1 << 16];
    // Every byte of the headers, set to what hurts most.
    for at in 0..64 + 56 * 4 {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = head[..4096].to_vec();
            damaged[at] = value;
            assert_sound(&describe(&damaged, head, &Hint::Auto), 4096);
        }
    }
    for end in 0..256 {
        assert_sound(&describe(&program[..end], &program[..end], &Hint::Auto), end as u64);
    }
}

/// A file for x86-64 that isn't linked: code, a relocation of it, symbols, their names, the sections' names.
fn unlinked(code: &[u8]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.text\0.rela.text\0.symtab\0.strtab\0.shstrtab\0";
    let relocation = [1_u64, 1 << 32 | 2, 8].map(u64::to_le_bytes).concat();
    let symbols = [&[0; 24][..], &[0, 0, 0, 0, 3, 0, 1, 0], &[0; 16]].concat();
    let contents: [(u32, u32, &[u8]); 5] =
        [(1, 1, code), (7, 4, &relocation), (18, 2, &symbols), (26, 3, b"\0one\0"), (34, 3, NAMES)];
    let mut file = vec![0; 64];
    let mut headers = vec![0; 64];
    for (name, kind, content) in contents {
        let at = file.len().next_multiple_of(16);
        file.resize(at, 0);
        file.extend(content);
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[8] = if kind == 1 { 6 } else { 0 };
        header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        headers.extend(header);
    }
    let table = file.len().next_multiple_of(16);
    file.resize(table, 0);
    file.extend(headers);
    file[..20].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 62, 0]);
    file[20] = 1;
    file[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    [52, 58, 60, 62].into_iter().zip([64_u16, 64, 6, 5]).for_each(|(at, value)| {
        file[at..at + 2].copy_from_slice(&value.to_le_bytes());
    });
    file
}

#[test]
fn what_is_not_linked_is_described_by_its_tables() {
    let (old, new) = (unlinked(&[0x90; 40]), unlinked(&[0x91; 75]));
    // In an archive, say.
    let images = [[&[7; 512], &old[..]].concat(), [&[8; 1024], &new[..]].concat()];
    let described = describe(&images[0], &images[1], &Hint::Auto);
    assert_sound(&described, images[0].len() as u64);
    let kinds: Vec<SectionKind> = described.sections.iter().map(|section| section.kind).collect();
    let expected = [
        SectionKind::X86_64,
        SectionKind::TextRelocations64,
        SectionKind::LocalSymbols64,
        SectionKind::LocalHeaders64,
    ];
    assert_eq!(kinds, expected);
    let text = described.spaces[0].segments()[0];
    assert_eq!((text.old, text.new), (512, 1024));
    assert_eq!((text.old_address + 64, text.new_address + 64), (Space::TEXT, Space::TEXT));
}

#[test]
fn the_callers_word_counts() {
    let image = vec![0; 4096];
    assert_eq!(describe(&image, &image, &Hint::Auto), Described::default());
    assert_eq!(describe(&own_program(), &image, &Hint::None), Described::default());
    let hint = Hint::Raw { kind: SectionKind::Thumb, address: 0x800_0000 };
    let described = describe(&image, &image, &hint);
    assert_eq!(described.sections[0].kind, SectionKind::Thumb);
    assert_eq!(described.spaces[0].old_address(16), Some(0x800_0010));
}

/// Thumb code as a compiler lays it out: functions that save registers, call each other, and point to strings.
fn firmware(base: u32) -> Vec<u8> {
    const FUNCTIONS: u32 = 200;
    let (start, size) = (0x100, 32);
    let strings = start + FUNCTIONS * size;
    let mut image = vec![0; (strings + FUNCTIONS * 16) as usize];
    let mut words = vec![0x2000_4000];
    words.extend((0..15).map(|number| (base + start + number * size) | 1));
    for (at, word) in words.into_iter().enumerate() {
        image[at * 4..at * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
    for number in 0..FUNCTIONS {
        let at = (start + number * size) as usize;
        let callee = start + number * 7 % FUNCTIONS * size;
        image[at..at + 4].copy_from_slice(&[0x10, 0xb5, 0x03, 0x48]);
        image[at + 4..at + 8].copy_from_slice(&[0, 0xf0, 0, 0xf8]);
        let place = u64::from(base) + at as u64 + 4;
        perennial_device_core::delta::refs::Field::Thumb24.write(
            &mut image[at + 4..at + 8],
            place,
            u64::from(base + callee),
        );
        image[at + 8..at + 10].copy_from_slice(&[0x10, 0xbd]);
        let string = base + strings + number * 16;
        image[at + 16..at + 20].copy_from_slice(&string.to_le_bytes());
        let text = format!("message {number:03}");
        let at = (strings + number * 16) as usize;
        image[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    image
}

#[test]
fn firmware_is_known_by_its_calls_and_its_address_by_its_pointers() {
    for base in [0, 0x800_0000, 0x2_7000] {
        let image = firmware(base);
        let load = raw::guess(&image).unwrap();
        assert_eq!(load.kind, SectionKind::Thumb);
        assert_eq!(load.address, u64::from(base), "{base:x}");
        assert_eq!(load.memory, Some((0x2000_0000, 0x4000)));
    }
}

#[test]
fn firmware_that_moved_is_described_at_both_addresses() {
    let (old, new) = (firmware(0), firmware(0x800_0000));
    let described = describe(&old, &new, &Hint::Auto);
    let segment = described.spaces[0].segments()[0];
    assert_eq!((segment.old_address, segment.new_address), (0, 0x800_0000));
    assert_eq!(describe(&old, &own_program(), &Hint::Auto), Described::default());
}

#[test]
fn noise_is_no_code() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(1 << 18)
    .collect();
    assert_eq!(raw::guess(&noise), None);
}

/// The core's decoder against a whole disassembler, over the code of this very program.
#[test]
#[cfg(target_arch = "x86_64")]
fn lengths_are_those_of_a_disassembler() {
    let program = own_program();
    let described = elf::describe(&program, &program).unwrap();
    let code = described.sections.iter().filter(|section| section.kind == SectionKind::X86_64);
    let (mut all, mut different) = (0, 0);
    for section in code {
        let bytes = &program[section.start as usize..][..section.length as usize];
        let mut decoder = iced_x86::Decoder::new(64, bytes, iced_x86::DecoderOptions::NONE);
        while decoder.can_decode() {
            let at = decoder.position();
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                continue;
            }
            all += 1;
            let length = perennial_device_core::delta::refs::x86_64_length(&bytes[at..]);
            different += usize::from(length != Some(instruction.len()));
        }
    }
    println!("{different} of {all} instructions have another length");
    assert!(all > 100_000 && different * 100_000 <= all, "{different} of {all} instructions differ");
}
