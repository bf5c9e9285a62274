//! Tables of files that aren't linked yet (`ET_REL`: a kernel's modules): every address counts from a section.
//!
//! Decides which section that is, as far as an entry tells: `.text` is at [`Space::TEXT`], in the only segment of the file,
//! so that the map says where it went. All others are told apart and no more: what is counted from them moves as its
//! neighbours do. Layout: the ELF specification.

use super::field::{Field, What};
use super::tables::{SYMBOL, numbered};
use super::view::View;
use crate::delta::space::Space;

/// Places in sections other than `.text`, all alike.
const PLACES: u64 = 16 << 56;
/// What is added to symbols, and where these are, by the symbol's or section's number.
const ADDENDS: u64 = 17 << 56;
const VALUES: u64 = 18 << 56;
/// The first symbol is that of `.text`: the first section that anything refers to.
const OF_TEXT: u32 = 1;
/// R_X86_64_PC32 and R_X86_64_PLT32 count from the end of an instruction, of 4 bytes more.
const FROM_END: [u32; 2] = [2, 4];
/// Addends as large as this, and negative ones, are no places: what calls a function has -4, which is its beginning.
const LARGE: u32 = 1 << 28;
/// STT_FUNC.
const FUNCTION: u8 = 2;

/// A relocation of `.text`.
pub(super) fn of_text(view: &mut View<'_>, at: usize) {
    let from_end = view.u32(at + 8).is_some_and(|kind| FROM_END.contains(&kind));
    relocation(view, at, Space::TEXT, if from_end { 4 } else { 0 });
}

/// A relocation of another section.
pub(super) fn of_others(view: &mut View<'_>, at: usize) {
    relocation(view, at, PLACES, 0);
}

fn relocation(view: &mut View<'_>, at: usize, places: u64, after: u8) {
    view.add_whole_anywhere(at, Field::counted(places, 0, What::Place));
    numbered(view, at + 12, SYMBOL);
    let (Some(symbol), Some(addend)) = (view.u32(at + 12), view.u32(at + 16)) else { return };
    if (1..LARGE).contains(&addend.wrapping_add(u32::from(after))) {
        let start = if symbol == OF_TEXT { Space::TEXT } else { of_one(ADDENDS, symbol) };
        view.add_whole_anywhere(at + 16, Field::counted(start, after, What::Addend));
    }
}

/// Where what counts from one symbol or section begins.
fn of_one(all: u64, number: u32) -> u64 {
    all.wrapping_add(u64::from(number) << 32)
}

/// A symbol that is defined here.
pub(super) fn symbol(view: &mut View<'_>, at: usize) {
    numbered(view, at, Field::String);
    let (Some(info), Some(section)) = (view.byte(at + 4), view.u16(at + 6)) else { return };
    let (Some(value), Some(size)) = (view.u32(at + 8), view.u32(at + 16)) else { return };
    if section == 0 || section >= 0xff00 {
        return;
    }
    let function = info & 15 == FUNCTION;
    let start = if function { Space::TEXT } else { of_one(VALUES, section.into()) };
    view.add_whole_anywhere(at + 8, Field::counted(start, 0, What::Value));
    if function && size > 0 {
        let start = start.wrapping_add(u64::from(value));
        view.add_whole_anywhere(at + 16, Field::counted(start, 0, What::Size));
    }
}

/// A section's header: where it is in the file, and where it ends.
pub(super) fn header(view: &mut View<'_>, at: usize) {
    let Some(file) = view.space.segments().first().map(|file| file.old_address) else { return };
    let (Some(offset), Some(size)) = (view.u32(at + 24), view.u32(at + 32)) else { return };
    if offset > 0 {
        view.add_whole_anywhere(at + 24, Field::counted(file, 0, What::Offset));
    }
    if size > 0 {
        let start = file.wrapping_add(u64::from(offset));
        view.add_whole_anywhere(at + 32, Field::counted(start, 0, What::Size));
    }
}
