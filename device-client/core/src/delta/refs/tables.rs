//! Tables of ELF files, frames, kernels and programs: entries of fixed size, and records that say their own.
//!
//! Decides which fields of an entry are addresses. Entries are counted from the section's start, so that a stretch may
//! begin anywhere in it. Layouts: the ELF specification and its psABIs, the Linux Standard Base (`.eh_frame`).

use super::view::View;
use super::{Field, SectionKind, relocatable};
use crate::delta::space::Space;

/// R_X86_64_RELATIVE, R_RISCV_RELATIVE, R_AARCH64_RELATIVE, R_X86_64_IRELATIVE, R_AARCH64_IRELATIVE: relocations whose
/// addend is an address. 3 and 8 mean something rarer on the other machines.
const RELATIVE: [u32; 5] = [8, 3, 1027, 37, 1032];
/// An FDE of more bytes than this isn't recognised; the longest of libcrypto has 100.
const LONGEST_FRAME: u32 = 4096;
/// Bytes that entries of one switch table are apart at most.
const FUNCTION: u64 = 1 << 14;
/// The number of a symbol.
pub(super) const SYMBOL: Field = Field::Entry { table: Space::SYMBOLS };
/// Where kernels for x86-64 are linked, and count their symbols from (`kallsyms_relative_base`).
const KERNEL: u64 = 0xffff_ffff_8100_0000;
/// The fields of an FDE lie within as many bytes from its start.
const FRAME_FIELDS: usize = 21;

pub(super) fn scan(view: &mut View<'_>, kind: SectionKind, start: u64) {
    match kind {
        SectionKind::Pointers64 => each(view, start, 8, pointer64),
        SectionKind::Pointers32 => each(view, start, 4, pointer32),
        SectionKind::Rela64 => each(view, start, 24, rela64),
        SectionKind::Rel32 => each(view, start, 8, |view, at| view.add_whole(at, Field::Absolute32)),
        SectionKind::Symbols64 => each(view, start, 24, symbol64),
        SectionKind::Symbols32 => each(view, start, 16, symbol32),
        SectionKind::FrameHeader => each(view, start, 4, |view, at| frame_header(view, at, start)),
        SectionKind::Frame => frames(view),
        SectionKind::Places32 => each(view, start, 4, place32),
        SectionKind::Jumps32 => each(view, start, 4, jump32),
        SectionKind::Places31 => each(view, start, 4, place31),
        SectionKind::Addresses32 => each(view, start, 4, |view, at| view.add_whole(at, Field::Signed32)),
        SectionKind::KernelData64 => each(view, start, 4, kernel_data),
        SectionKind::KernelSymbols => each(view, start, 4, kernel_symbol),
        SectionKind::Indices32 => each(view, start, 4, |view, at| numbered(view, at, SYMBOL)),
        SectionKind::SymbolOrder => each(view, start, 3, |view, at| view.add_whole(at, Field::Rank)),
        SectionKind::SectionHeaders64 => each(view, start, 64, section_header),
        SectionKind::TextRelocations64 => each(view, start, 24, relocatable::of_text),
        SectionKind::Relocations64 => each(view, start, 24, relocatable::of_others),
        SectionKind::LocalSymbols64 => each(view, start, 24, relocatable::symbol),
        SectionKind::LocalHeaders64 => each(view, start, 64, relocatable::header),
        // Code has recognisers of its own.
        _ => {}
    }
}

/// Every entry of `size` bytes that reaches into the block.
fn each(view: &mut View<'_>, start: u64, size: usize, mut entry: impl FnMut(&mut View<'_>, usize)) {
    let past = (view.address(view.from).wrapping_sub(start) % size as u64) as usize;
    // An entry that began before the window has no field left to be read.
    let mut at = if past <= view.from { view.from - past } else { view.from + size - past };
    while at < view.to {
        entry(view, at);
        at += size;
    }
    view.at = view.to;
}

/// Whether a number is an address rather than small.
fn plausible(value: u64) -> bool {
    value > 0x1000
}

fn pointer64(view: &mut View<'_>, at: usize) {
    if let Some(value) = view.u64(at).filter(|value| plausible(*value)) {
        view.add(at, Field::Absolute64, value);
    }
}

fn pointer32(view: &mut View<'_>, at: usize) {
    if let Some(value) = view.u32(at).map(u64::from).filter(|value| plausible(*value)) {
        view.add(at, Field::Absolute32, value);
    }
}

fn rela64(view: &mut View<'_>, at: usize) {
    view.add_whole(at, Field::Absolute64);
    numbered(view, at + 12, SYMBOL);
    if view.u32(at + 8).is_some_and(|kind| RELATIVE.contains(&kind)) {
        view.add_whole(at + 16, Field::Absolute64);
    }
}

/// A number that counts from the start of another table, where 0 stands for none.
pub(super) fn numbered(view: &mut View<'_>, at: usize, field: Field) {
    if view.u32(at).is_some_and(|number| number != 0) {
        view.add_whole(at, field);
    }
}

fn symbol64(view: &mut View<'_>, at: usize) {
    numbered(view, at, Field::String);
    if view.u64(at + 8).is_some_and(|value| value != 0) {
        view.add_whole(at + 8, Field::Absolute64);
    }
}

fn symbol32(view: &mut View<'_>, at: usize) {
    if view.u32(at + 4).is_some_and(|value| value != 0) {
        view.add_whole(at + 4, Field::Absolute32);
    }
}

fn section_header(view: &mut View<'_>, at: usize) {
    if view.u64(at + 16).is_some_and(|value| value != 0) {
        view.add_whole(at + 16, Field::Absolute64);
    }
}

/// `eh_frame_ptr` is relative to itself, `fde_count` no address, the pairs after them count from the start.
fn frame_header(view: &mut View<'_>, at: usize, start: u64) {
    match view.address(at).wrapping_sub(start) {
        4 => view.add_whole(at, Field::Relative32 { after: 0 }),
        0 | 8 => {}
        _ => view.add_whole(at, Field::FromStart32 { start }),
    }
}

fn place32(view: &mut View<'_>, at: usize) {
    if view.u32(at).is_some_and(|value| value > 0x1000) {
        view.add_whole(at, Field::Relative32 { after: 0 });
    }
}

fn place31(view: &mut View<'_>, at: usize) {
    // A description of how to unwind has its highest bit set; 1 stands for a function that can't be.
    if view.u32(at).is_some_and(|value| value >> 31 == 0 && value != 1) {
        view.add_whole(at, Field::Relative31);
    }
}

/// An entry of a switch table: the table counts from its own start, which isn't known here. Counted from the entry
/// instead it is the same distance off at both ends, and moves the same way wherever both ends move as wholes.
fn jump32(view: &mut View<'_>, at: usize) {
    let field = Field::Relative32 { after: 0 };
    let leads = |at: usize| view.target(at, field).filter(|target| view.space.is_code(*target));
    let Some(target) = leads(at).filter(|_| !view.space.is_code(view.address(at))) else { return };
    // Its neighbours lead into the same function; a number that leads into code by chance has no such neighbours.
    let near = |at: usize| leads(at).is_some_and(|other| other.abs_diff(target) < FUNCTION);
    if at.checked_sub(4).is_some_and(near) || near(at + 4) {
        view.add(at, field, target);
    }
}

/// A pointer, or an entry of a table that counts from its own places: `__jump_table` has two that lead into code, then
/// one that leads to data.
fn kernel_data(view: &mut View<'_>, at: usize) {
    if view.address(at).is_multiple_of(8)
        && let Some(value) = view.u64(at).filter(|value| plausible(*value) && view.space.holds(*value))
    {
        view.add(at, Field::Absolute64, value);
        return;
    }
    if view.u32(at).is_none_or(|value| value == 0) {
        return;
    }
    let field = Field::Relative32 { after: 0 };
    let leads = |at: Option<usize>| view.target(at?, field).filter(|target| view.space.is_code(*target));
    let near = |one: u64, other: Option<u64>| other.is_some_and(|other| one.abs_diff(other) < FUNCTION);
    let entry = match leads(Some(at)) {
        Some(here) => near(here, leads(at.checked_sub(4))) || near(here, leads(at.checked_add(4))),
        None => leads(at.checked_sub(4)).is_some_and(|before| near(before, leads(at.checked_sub(8)))),
    };
    if entry {
        view.add_whole(at, field);
    }
}

fn kernel_symbol(view: &mut View<'_>, at: usize) {
    if view.u32(at).is_some_and(|value| value >> 31 != 0) {
        view.add_whole(at, Field::Before32 { start: KERNEL });
    }
}

/// The records of `.eh_frame`, each an FDE or a CIE, found by what they hold: a stretch may begin between them.
fn frames(view: &mut View<'_>) {
    let mut at = view.align(view.at, 4);
    while at < view.to {
        let length = record(view, at);
        if length.is_some() && at + FRAME_FIELDS > view.to {
            // Its fields may begin in the next block: it is read again then.
            break;
        }
        at += length.unwrap_or(4);
    }
    view.at = at;
}

/// The length of the record at `at` in bytes, and its fields added, where there is one.
fn record(view: &mut View<'_>, at: usize) -> Option<usize> {
    let length = view.u32(at).filter(|length| (8..=LONGEST_FRAME).contains(length) && length % 4 == 0)?;
    let all = length as usize + 4;
    let way = view.u32(at + 4)?;
    if way == 0 {
        // A CIE: version 1 or 3, then its augmentation.
        let version = view.byte(at + 8)?;
        return (version == 1 || version == 3).then_some(all);
    }
    let of_cie = view.address(at + 4).wrapping_sub(u64::from(way));
    // The CIE may stand in another piece of the table than this one.
    let inside = way % 4 == 0 && view.space.holds(of_cie);
    let function = view.target(at + 8, Field::Relative32 { after: 0 })?;
    let size = u64::from(view.u32(at + 12)?);
    if !inside || !view.space.is_code(function) || !view.space.is_code(function.wrapping_add(size)) {
        return None;
    }
    view.add(at + 4, Field::Back32, of_cie);
    view.add(at + 8, Field::Relative32 { after: 0 }, function);
    // The function's end is a reference as well: its size changes as its code does.
    view.add(at + 12, Field::FromStart32 { start: function }, function.wrapping_add(size));
    if view.byte(at + 16) == Some(4) && view.u32(at + 17).is_some_and(|way| way != 0) {
        view.add_whole(at + 17, Field::Relative32 { after: 0 });
    }
    Some(all)
}
