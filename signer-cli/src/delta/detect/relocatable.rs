//! ELF files that aren't linked yet: a kernel's modules.
//!
//! Decides which tables of such a file are read by what. It is one segment, in which `.text` is at [`Space::TEXT`]; all
//! others of its sections begin at address 0, so that what counts from them is told by its likes alone.

use object::elf::{SHT_RELA, SHT_SYMTAB};
use perennial_device_core::delta::refs::SectionKind;
use perennial_device_core::delta::space::{Section, Segment, Space};

use super::Described;
use super::elf::{Elf, Header, btf, counted};

/// What two files for the same machine are.
pub(super) fn describe(of_old: &Elf, of_new: &Elf, code: SectionKind, old: &[u8]) -> Option<Described> {
    if !of_old.long {
        return None;
    }
    let mut segments = vec![file(of_old, of_new)?];
    if let (Some(old), Some(new)) = (symbols(of_old), symbols(of_new)) {
        segments.extend([counted(old.0, new.0, Space::SYMBOLS), counted(old.1, new.1, Space::STRINGS)]);
    }
    Described::of_one(segments, sections(of_old, code, old), old.len() as u64)
}

/// All of the file.
fn file(old: &Elf, new: &Elf) -> Option<Segment> {
    let of = |elf: &Elf| {
        let length = elf.headers.0.checked_add(elf.headers.1)?;
        Some((length, Space::TEXT.checked_sub(text(elf)?.offset)?))
    };
    let ((old_length, old_address), (new_length, new_address)) = (of(old)?, of(new)?);
    Some(Segment {
        old: 0,
        old_length,
        old_address,
        old_memory: old_length,
        new: 0,
        new_length,
        new_address,
        new_memory: new_length,
        code: true,
    })
}

fn text(elf: &Elf) -> Option<&Header> {
    elf.sections.iter().find(|section| section.name == ".text")
}

/// Where the symbols stand, and their names.
fn symbols(elf: &Elf) -> Option<((u64, u64), (u64, u64))> {
    let table = elf.sections.iter().find(|section| section.kind == SHT_SYMTAB)?;
    let names = elf.sections.iter().find(|section| section.name == ".strtab")?;
    Some(((table.offset, table.length), (names.offset, names.length)))
}

fn sections(elf: &Elf, code: SectionKind, file: &[u8]) -> Vec<Section> {
    let section = |kind, start, length| Section { kind, start, length, space: 0 };
    let mut sections = vec![section(SectionKind::LocalHeaders64, elf.headers.0, elf.headers.1)];
    sections.extend(text(elf).map(|text| section(code, text.offset, text.length)));
    for header in &elf.sections {
        let kind = match header.kind {
            SHT_SYMTAB => SectionKind::LocalSymbols64,
            SHT_RELA if header.name == ".rela.text" => SectionKind::TextRelocations64,
            SHT_RELA => SectionKind::Relocations64,
            _ => continue,
        };
        // Tables that follow each other are one: a file has dozens of them.
        match sections.last_mut() {
            Some(last) if last.kind == kind && last.start.checked_add(last.length) == Some(header.offset) => {
                last.length = last.length.saturating_add(header.length);
            }
            _ => sections.push(section(kind, header.offset, header.length)),
        }
    }
    if let Some(types) = btf(elf, file) {
        sections.push(section(SectionKind::MoreTypes, types.records.0, types.records.1));
    }
    sections
}
