//! ELF files, little-endian, of 32 and 64 bits: what their headers say.
//!
//! Decides which section is read by what, by its type, flags and name; a kernel's tables are known by name alone.
//! Segments of old and new are paired in their order, those without a fellow are left out.

use object::elf::{
    EM_AARCH64, EM_ARM, EM_RISCV, EM_X86_64, ET_DYN, ET_EXEC, ET_REL, PF_X, PT_LOAD, SHF_ALLOC,
    SHF_EXECINSTR, SHF_WRITE, SHT_ARM_EXIDX, SHT_DYNSYM, SHT_GNU_HASH, SHT_HASH, SHT_NOBITS, SHT_REL,
    SHT_RELA, SHT_SYMTAB,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, elf};
use perennial_device_core::delta::refs::SectionKind;
use perennial_device_core::delta::space::{Section, Segment, Space};

use super::kallsyms::{self, Symbols};
use super::{Described, MOST_SECTIONS, relocatable, vote};

/// Sections of a kernel that hold distances from their own places, by the beginnings of their names.
const KERNEL_PLACES: [&str; 16] = [
    "__ksymtab",
    "__ex_table",
    "__bug_table",
    ".altinstructions",
    ".orc_unwind_ip",
    ".orc_header",
    "__jump_table",
    ".smp_locks",
    ".retpoline_sites",
    ".return_sites",
    ".call_sites",
    ".ibt_endbr_seal",
    ".pci_fixup",
    ".initcall",
    "__tracepoints_ptrs",
    ".static_call_sites",
];

/// Bytes of program headers that are read at most: a dozen or so.
const PROGRAM_HEADERS: u64 = 0x300;

/// The sections of a file with content: their names, and that.
pub(super) fn contents(file: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let sections = read(file)?.sections.into_iter().filter(|section| section.kind != SHT_NOBITS);
    let contents = sections.filter_map(|section| {
        let start = usize::try_from(section.offset).ok()?;
        let end = start.checked_add(usize::try_from(section.length).ok()?)?;
        file.get(start..end).filter(|content| !content.is_empty()).map(|content| (section.name, content))
    });
    Some(contents.collect())
}

/// What headers say of one file.
pub(super) struct Elf {
    machine: u16,
    pub(super) long: bool,
    fixed: bool,
    /// Whether it isn't linked yet.
    relocatable: bool,
    loads: Vec<Load>,
    pub(super) sections: Vec<Header>,
    /// Where the section headers stand.
    pub(super) headers: (u64, u64),
    /// Where the dynamic symbols stand, and their strings.
    symbols: Option<((u64, u64), (u64, u64))>,
    /// Where the relocations of the procedure linkage table stand, if its stubs count them.
    stubs: Option<(u64, u64)>,
}

/// A segment that is loaded.
#[derive(Clone, Copy)]
struct Load {
    offset: u64,
    length: u64,
    address: u64,
    memory: u64,
    flags: u32,
}

pub(super) struct Header {
    pub(super) name: String,
    pub(super) kind: u32,
    flags: u64,
    address: u64,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What both files are, if both are programs or libraries for the same machine.
pub(super) fn describe(old: &[u8], new: &[u8]) -> Option<Described> {
    let (of_old, of_new) = (read(old)?, read(new)?);
    let kind = |elf: &Elf| (elf.machine, elf.long, elf.relocatable);
    if kind(&of_old) != kind(&of_new) {
        return None;
    }
    let code = code(&of_old, old)?;
    if of_old.relocatable {
        return relocatable::describe(&of_old, &of_new, code, old);
    }
    let sections = sections(&of_old, code, old);
    let mut segments = if of_old.is_kernel() && of_new.is_kernel() {
        of_sections(&of_old, &of_new)
    } else {
        of_loads(&of_old.loads, &of_new.loads)
    };
    if let (Some(old), Some(new)) = (&of_old.symbols, &of_new.symbols) {
        segments.extend([counted(old.0, new.0, Space::SYMBOLS), counted(old.1, new.1, Space::STRINGS)]);
    }
    if let (Some(old), Some(new)) = (of_old.stubs, of_new.stubs) {
        segments.push(counted(old, new, Space::RELOCATIONS));
    }
    if let (Some(old), Some(new)) = (symbols(&of_old, old), symbols(&of_new, new)) {
        segments.push(counted(old.offsets, new.offsets, Space::SYMBOLS));
    }
    if let (Some(old), Some(new)) = (types(&of_old, old), types(&of_new, new)) {
        segments.push(counted(old.strings, new.strings, Space::STRINGS));
        segments.push(Segment {
            old_address: Space::TYPES,
            old_memory: old.memory(),
            new_address: Space::TYPES,
            new_memory: new.memory(),
            ..Segment::default()
        });
    }
    for section in &sections {
        let inside = |s: &Segment| section.start >= s.old && section.start - s.old < s.old_length;
        if !segments.iter().any(inside) && segments.len() < Space::MOST_SEGMENTS {
            segments.push(elsewhere(section));
        }
    }
    Described::of_one(segments, sections, old.len() as u64)
}

/// A table that others count entries of, by its offset and length in old and new.
pub(super) fn counted(old: (u64, u64), new: (u64, u64), address: u64) -> Segment {
    Segment {
        old: old.0,
        old_length: old.1,
        old_address: address,
        old_memory: old.1,
        new: new.0,
        new_length: new.1,
        new_address: address,
        new_memory: new.1,
        code: false,
    }
}

/// Where sections without an address stand: a recogniser counts from there, and nothing refers to it.
const ELSEWHERE: u64 = 1 << 58;

fn elsewhere(section: &Section) -> Segment {
    let address = ELSEWHERE + (section.start & (ELSEWHERE - 1));
    Segment {
        old: section.start,
        old_length: section.length,
        old_address: address,
        old_memory: section.length,
        new: section.start,
        new_length: 0,
        new_address: address,
        new_memory: 0,
        code: false,
    }
}

/// Where a kernel's symbols stand, if their order does as well.
fn symbols(elf: &Elf, file: &[u8]) -> Option<Symbols> {
    let data = elf.sections.iter().find(|section| section.name == ".rodata" && elf.is_kernel())?;
    kallsyms::find(file, data.offset, data.length)
}

/// Where BTF has its types and their names, by offsets and lengths.
pub(super) struct Types {
    pub(super) records: (u64, u64),
    strings: (u64, u64),
}

impl Types {
    /// Bytes that its types take by their numbers: a record has 12 bytes or more, and the numbers are 24 apart.
    fn memory(&self) -> u64 {
        self.records.1 * 2
    }
}

fn types(elf: &Elf, file: &[u8]) -> Option<Types> {
    if elf.is_kernel() { btf(elf, file) } else { None }
}

/// Where a file's BTF has its types and their names.
pub(super) fn btf(elf: &Elf, file: &[u8]) -> Option<Types> {
    let section = elf.sections.iter().find(|section| section.name == ".BTF")?;
    let start = usize::try_from(section.offset).ok()?;
    let bytes = file.get(start..start.checked_add(usize::try_from(section.length).ok()?)?)?;
    let word = |at: usize| bytes.get(at..)?.first_chunk().map(|word| u64::from(u32::from_le_bytes(*word)));
    // Magic and version, then the lengths of the header, and offset and length of types and strings behind it.
    let known = word(0)? & 0xff_ffff == 0x1_eb9f;
    let [header, records, records_length, strings, strings_length] =
        [word(4)?, word(8)?, word(12)?, word(16)?, word(20)?];
    let inside = |start: u64, length: u64| {
        (header + start + length <= section.length).then_some((section.offset + header + start, length))
    };
    let (records, strings) = (inside(records, records_length)?, inside(strings, strings_length)?);
    known.then_some(Types { records, strings })
}

fn read(file: &[u8]) -> Option<Elf> {
    match file.get(4)? {
        1 => read_class::<elf::FileHeader32<LittleEndian>>(file, false),
        2 => read_class::<elf::FileHeader64<LittleEndian>>(file, true),
        _ => None,
    }
}

fn read_class<F: FileHeader<Endian = LittleEndian>>(file: &[u8], long: bool) -> Option<Elf> {
    let endian = LittleEndian;
    let header = F::parse(file).ok()?;
    let kind = header.e_type(endian);
    if header.is_big_endian() || (![ET_DYN, ET_EXEC, ET_REL].contains(&kind)) {
        return None;
    }
    let loads = header.program_headers(endian, file).ok()?.iter().filter(|p| p.p_type(endian) == PT_LOAD);
    let loads = loads.take(Space::MOST_SEGMENTS / 2).map(|p| Load {
        offset: p.p_offset(endian).into(),
        length: p.p_filesz(endian).into(),
        address: p.p_vaddr(endian).into(),
        memory: p.p_memsz(endian).into(),
        flags: p.p_flags(endian),
    });
    let mut sections = Vec::new();
    // A file without section headers, or with damaged ones, still has its segments.
    if let Ok(table) = header.sections(endian, file) {
        for section in table.iter().take(MOST_SECTIONS) {
            let name = table.section_name(endian, section).unwrap_or_default();
            sections.push(Header {
                name: String::from_utf8_lossy(name).into_owned(),
                kind: section.sh_type(endian),
                flags: section.sh_flags(endian).into(),
                address: section.sh_addr(endian).into(),
                offset: section.sh_offset(endian).into(),
                length: section.sh_size(endian).into(),
            });
        }
    }
    let strings = sections.iter().find(|s| s.name == ".dynstr");
    let symbols = sections.iter().find(|s| s.kind == SHT_DYNSYM && long).zip(strings);
    let symbols =
        symbols.map(|(table, strings)| ((table.offset, table.length), (strings.offset, strings.length)));
    let stubs = sections.iter().find(|s| s.name == ".rela.plt").map(|s| (s.offset, s.length));
    let of_each = u64::from(header.e_shentsize(endian));
    Some(Elf {
        machine: header.e_machine(endian),
        long,
        fixed: kind == ET_EXEC,
        relocatable: kind == ET_REL,
        loads: loads.collect(),
        headers: (header.e_shoff(endian).into(), of_each * sections.len() as u64),
        sections,
        symbols,
        stubs,
    })
}

/// What reads the file's code.
fn code(elf: &Elf, file: &[u8]) -> Option<SectionKind> {
    Some(match (elf.machine, elf.long) {
        (EM_X86_64, true) if elf.fixed => SectionKind::X86_64Fixed,
        (EM_X86_64, true) => SectionKind::X86_64,
        (EM_AARCH64, true) => SectionKind::Aarch64,
        (EM_RISCV, true) => SectionKind::Riscv64,
        (EM_RISCV, false) => SectionKind::Riscv32,
        (EM_ARM, false) => {
            let text = elf.sections.iter().find(|s| s.name == ".text");
            let (start, length) = text.map_or_else(
                || {
                    let load = elf.loads.iter().find(|load| load.flags & PF_X != 0);
                    load.map_or((0, 0), |load| (load.offset, load.length))
                },
                |text| (text.offset, text.length),
            );
            let end = start.saturating_add(length).min(file.len() as u64);
            let bytes = file.get(start as usize..end as usize).unwrap_or_default();
            let [thumb, arm] =
                [SectionKind::Thumb, SectionKind::Arm].map(|kind| vote::calls(bytes, kind).good);
            if thumb >= arm { SectionKind::Thumb } else { SectionKind::Arm }
        }
        _ => return None,
    })
}

impl Elf {
    fn is_kernel(&self) -> bool {
        self.sections.iter().any(|s| s.name == "__ksymtab")
    }
}

/// Pairs the sections of two kernels by their names: more of them, so that what has no match is still near the truth.
fn of_sections(old: &Elf, new: &Elf) -> Vec<Segment> {
    let alloc = |s: &&Header| s.flags & u64::from(SHF_ALLOC) != 0 && s.length > 0;
    let pairs = old.sections.iter().filter(alloc).filter_map(|of_old| {
        let of_new = new.sections.iter().filter(alloc).find(|s| s.name == of_old.name)?;
        let content = |s: &Header| if s.kind == SHT_NOBITS { 0 } else { s.length };
        Some(Segment {
            old: of_old.offset,
            old_length: content(of_old),
            old_address: of_old.address,
            old_memory: of_old.length,
            new: of_new.offset,
            new_length: content(of_new),
            new_address: of_new.address,
            new_memory: of_new.length,
            code: of_old.flags & u64::from(SHF_EXECINSTR) != 0,
        })
    });
    pairs.take(Space::MOST_SEGMENTS - 4).collect()
}

/// Pairs the loads of both: in their order where there are as many, else those of the same flags in their order. Memory
/// without content is a segment of its own, since content before it grows.
fn of_loads(old: &[Load], new: &[Load]) -> Vec<Segment> {
    let mut left: Vec<Load> = new.to_vec();
    let mut segments = Vec::new();
    for load in old {
        let same = |fellow: &Load| old.len() == new.len() || fellow.flags == load.flags;
        let Some(fellow) = left.iter().position(same).map(|at| left.remove(at)) else { continue };
        let content = |load: &Load| load.length.min(load.memory);
        let (of_old, of_new) = (content(load), content(&fellow));
        let segment = Segment {
            old: load.offset,
            old_length: of_old,
            old_address: load.address,
            old_memory: of_old,
            new: fellow.offset,
            new_length: of_new,
            new_address: fellow.address,
            new_memory: of_new,
            code: load.flags & PF_X != 0,
        };
        segments.push(segment);
        if load.memory > of_old {
            segments.push(Segment {
                old: load.offset.saturating_add(of_old),
                old_length: 0,
                old_address: load.address.saturating_add(of_old),
                old_memory: load.memory - of_old,
                new: fellow.offset.saturating_add(of_new),
                new_length: 0,
                new_address: fellow.address.saturating_add(of_new),
                new_memory: fellow.memory.saturating_sub(of_new),
                code: false,
            });
        }
    }
    segments
}

fn sections(elf: &Elf, code: SectionKind, file: &[u8]) -> Vec<Section> {
    let length = file.len() as u64;
    let section = |kind, start, length| Section { kind, start, length, space: 0 };
    if !elf.sections.iter().any(|s| s.flags & u64::from(SHF_ALLOC) != 0) {
        let pointers = if elf.long { SectionKind::Pointers64 } else { SectionKind::Pointers32 };
        let kind = |load: &Load| if load.flags & PF_X != 0 { code } else { pointers };
        return elf.loads.iter().map(|load| section(kind(load), load.offset, load.length)).collect();
    }
    let kernel = elf.is_kernel();
    let mut sections: Vec<Section> = elf
        .sections
        .iter()
        .filter_map(|header| {
            let kind = kind(header, elf, code, kernel)?;
            Some(section(kind, header.offset, header.length))
        })
        .collect();
    if elf.long {
        sections.push(section(SectionKind::SectionHeaders64, elf.headers.0, elf.headers.1));
        // The entry point, and addresses of program headers, which follow the header.
        let first = sections.iter().map(|section| section.start).min().unwrap_or(0);
        sections.push(section(SectionKind::Pointers64, 24, first.saturating_sub(24).min(PROGRAM_HEADERS)));
    }
    if kernel && let Some(symbols) = symbols(elf, file) {
        let order = symbols.order.map(|order| (SectionKind::SymbolOrder, order));
        for (kind, (start, length)) in
            [Some((SectionKind::KernelSymbols, symbols.offsets)), order].into_iter().flatten()
        {
            sections = kallsyms::around(sections, start, length);
            sections.push(section(kind, start, length));
        }
    }
    if let Some(Types { records, .. }) = types(elf, file) {
        sections.push(section(SectionKind::Types, records.0, records.1));
    }
    let hashes = elf.sections.iter().filter(|header| header.kind == SHT_GNU_HASH && elf.long);
    sections.extend(hashes.filter_map(|header| {
        let (start, length) = buckets(file, header.offset)?;
        Some(section(SectionKind::Indices32, start, length))
    }));
    // A compressed kernel image carries the list of its absolute addresses behind itself.
    let end = elf.sections.iter().filter(|s| s.kind != SHT_NOBITS).map(|s| s.offset.saturating_add(s.length));
    let end = end.max().unwrap_or(0).max(elf.headers.0.saturating_add(elf.headers.1));
    if kernel && end < length {
        sections.push(section(SectionKind::Addresses32, end, listed(&file[end as usize..])));
    }
    sections
}

/// Lists of addresses behind a kernel, each between zeros: of 64 bits, of 32, and of those that count from a processor's
/// own data.
const LISTS: usize = 3;

/// Bytes of a kernel's lists of addresses, which all have the same highest bits.
fn listed(bytes: &[u8]) -> u64 {
    let mut zeros = 0;
    let words = bytes.chunks_exact(4).take_while(|word| {
        zeros += usize::from(**word == [0; 4]);
        zeros <= LISTS && (word[3] >> 4 == 8 || **word == [0; 4])
    });
    words.count() as u64 * 4
}

/// Where the buckets of a GNU hash table stand: after four numbers and a filter, each is the number of a symbol.
fn buckets(file: &[u8], table: u64) -> Option<(u64, u64)> {
    let word = |at: u64| {
        let chunk = file.get(usize::try_from(table.checked_add(at)?).ok()?..)?.first_chunk()?;
        Some(u64::from(u32::from_le_bytes(*chunk)))
    };
    Some((table + 16 + word(8)? * 8, word(0)? * 4))
}

/// What reads a section, if anything does.
fn kind(header: &Header, elf: &Elf, code: SectionKind, kernel: bool) -> Option<SectionKind> {
    let (pointers, symbols) = if elf.long {
        (SectionKind::Pointers64, SectionKind::Symbols64)
    } else {
        (SectionKind::Pointers32, SectionKind::Symbols32)
    };
    let name = header.name.as_str();
    if name == ".plt" && code == SectionKind::X86_64 {
        return Some(SectionKind::X86_64Stubs);
    }
    match header.kind {
        SHT_NOBITS => return None,
        SHT_DYNSYM | SHT_SYMTAB => return Some(symbols),
        SHT_RELA if elf.long => return Some(SectionKind::Rela64),
        SHT_REL if !elf.long => return Some(SectionKind::Rel32),
        SHT_HASH if elf.long => return Some(SectionKind::Indices32),
        SHT_ARM_EXIDX if elf.machine == EM_ARM => return Some(SectionKind::Places31),
        _ => {}
    }
    if header.flags & u64::from(SHF_ALLOC) == 0 {
        return None;
    }
    if header.flags & u64::from(SHF_EXECINSTR) != 0 {
        return Some(code);
    }
    let places =
        kernel && name != "__ksymtab_strings" && KERNEL_PLACES.iter().any(|start| name.starts_with(start));
    match name {
        ".eh_frame_hdr" => Some(SectionKind::FrameHeader),
        ".eh_frame" => Some(SectionKind::Frame),
        _ if places => Some(SectionKind::Places32),
        ".rodata" if elf.machine == EM_X86_64 && !elf.fixed => Some(SectionKind::Jumps32),
        // Types and checksums, whose numbers are no addresses.
        ".BTF" | ".BTF_ids" | "__ksymtab_strings" | "__kcrctab" | "__kcrctab_gpl" | ".orc_unwind"
            if kernel =>
        {
            None
        }
        _ if kernel && elf.long => Some(SectionKind::KernelData64),
        _ if elf.fixed => Some(pointers),
        ".relr.dyn" => Some(pointers),
        _ if header.flags & u64::from(SHF_WRITE) != 0 => Some(pointers),
        _ => None,
    }
}
