//! References: which fields of machine code and its tables hold an address, and how.
//!
//! | module | reads |
//! | --- | --- |
//! | `field` | nothing: how a field holds its target |
//! | `x86`, `thumb`, `arm`, `aarch64`, `riscv` | machine code, with the pointers that stand in it |
//! | `tables` | relocations, symbols, frames, pointers |
//! | `relocatable` | the same of files that aren't linked yet: a kernel's modules |
//! | `types` | BTF |
//! | `view` | nothing: the window of old bytes, and what is found in it |
//!
//! Decides which old bytes are taken for references, from old bytes alone and the same way in the maker of a delta and
//! in the device. Whatever it guesses wrongly costs bytes, never correctness: it never writes, never fails, never
//! allocates and never panics, whatever the bytes are.

mod aarch64;
mod arm;
mod field;
mod relocatable;
mod riscv;
mod tables;
mod thumb;
mod types;
mod view;
mod x86;

use alloc::vec::Vec;

pub use field::Field;
use view::View;
pub use x86::length as x86_64_length;

use super::space::{Section, Space};

/// Old bytes that should stand before a block, where the section has so many: enough to get in step with code of
/// variable length, and for an entry of a table that began earlier.
pub const LOOK_BEHIND: usize = 64;
/// Old bytes that should stand after a block, where the section has so many: for the second halves of pairs.
pub const LOOK_AHEAD: usize = 64;

/// What reads a section. The numbers are part of the format: append only.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Nothing reads it.
    Plain = 0,
    /// x86-64 that is linked to run anywhere.
    X86_64 = 1,
    /// Thumb-2, with literal pools and pointers between.
    Thumb = 2,
    /// A32, with literal pools and pointers between.
    Arm = 3,
    /// A64, with aligned pointers of 8 bytes between.
    Aarch64 = 4,
    /// RV64 with C, with aligned pointers of 8 bytes between.
    Riscv64 = 5,
    /// RV32 with C, with aligned pointers of 4 bytes between.
    Riscv32 = 6,
    /// x86-64 that is linked to a fixed address: absolute values of 32 bits as well. Kernels, programs that aren't PIE.
    X86_64Fixed = 7,
    /// Aligned pointers of 8 bytes among other data.
    Pointers64 = 16,
    /// Aligned pointers of 4 bytes among other data.
    Pointers32 = 17,
    /// `Elf64_Rela`: `r_offset`, the symbol's number, and `r_addend` where the relocation is relative.
    Rela64 = 18,
    /// `Elf32_Rel`: `r_offset`.
    Rel32 = 19,
    /// `Elf64_Sym`: `st_name` and `st_value`.
    Symbols64 = 20,
    /// `Elf32_Sym`: `st_value`.
    Symbols32 = 21,
    /// `.eh_frame_hdr`: the sorted table's entries count from the section's start.
    FrameHeader = 22,
    /// `.eh_frame`: each FDE's CIE, function, and data for its language. Records are recognised by what they hold.
    Frame = 23,
    /// Aligned i32, each relative to its own place: a kernel's tables.
    Places32 = 24,
    /// Aligned i32 that lead into code, each relative to its table's start: switch tables among read-only data.
    Jumps32 = 25,
    /// `.ARM.exidx`: 31 bits, relative to their own place.
    Places31 = 26,
    /// Aligned i32, each an address with its sign extended: a kernel's list of relocations.
    Addresses32 = 27,
    /// `Elf64_Shdr`: `sh_addr`.
    SectionHeaders64 = 28,
    /// Aligned u32, each the number of a symbol: hash tables.
    Indices32 = 29,
    /// x86-64 stubs of a procedure linkage table: each pushes the number of its relocation.
    X86_64Stubs = 30,
    /// A kernel's data: aligned pointers of 8 bytes, and pairs of i32 that lead into code from their own places.
    KernelData64 = 31,
    /// A kernel's `kallsyms_offsets`: each as far before its base as the symbol is after it, less one.
    KernelSymbols = 32,
    /// The types of BTF: places of names, counted from [`Space::STRINGS`], and numbers of types, from [`Space::TYPES`].
    Types = 33,
    /// A kernel's `kallsyms_seqs_of_names`: numbers of symbols of 3 bytes each, in the order of the names.
    SymbolOrder = 34,
    /// Relocations of `.text` in a file that isn't linked: `r_offset` counts from [`Space::TEXT`].
    TextRelocations64 = 35,
    /// Those of other sections there.
    Relocations64 = 36,
    /// Symbols there: functions, but for few, count from [`Space::TEXT`].
    LocalSymbols64 = 37,
    /// Section headers there: `sh_offset` and `sh_size`.
    LocalHeaders64 = 38,
    /// The types of a module's BTF, which go on behind the kernel's.
    MoreTypes = 39,
}

impl SectionKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 32] = [
        Self::Plain,
        Self::X86_64,
        Self::Thumb,
        Self::Arm,
        Self::Aarch64,
        Self::Riscv64,
        Self::Riscv32,
        Self::X86_64Fixed,
        Self::Pointers64,
        Self::Pointers32,
        Self::Rela64,
        Self::Rel32,
        Self::Symbols64,
        Self::Symbols32,
        Self::FrameHeader,
        Self::Frame,
        Self::Places32,
        Self::Jumps32,
        Self::Places31,
        Self::Addresses32,
        Self::SectionHeaders64,
        Self::Indices32,
        Self::X86_64Stubs,
        Self::KernelData64,
        Self::KernelSymbols,
        Self::Types,
        Self::SymbolOrder,
        Self::TextRelocations64,
        Self::Relocations64,
        Self::LocalSymbols64,
        Self::LocalHeaders64,
        Self::MoreTypes,
    ];

    /// The kind with this number in the format; `None` for a number that isn't given out.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A field of the old bytes, and what it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where its field begins, in bytes from the block's start. The field may end past the block.
    pub at: u32,
    /// How it holds the target.
    pub field: Field,
    /// The whole target, an address of the old space; for half of a pair what the pair as a whole refers to.
    pub target: u64,
}

/// Recognises references in one stretch of a section of old bytes, block by block, without allocating.
#[derive(Clone, Debug)]
pub struct Scanner {
    kind: SectionKind,
    /// The section's address, which tables count their entries from.
    start: u64,
    /// Where the last block ended, if there was one: a block that begins there goes on with what is known.
    end: Option<u64>,
    /// Where decoding goes on.
    next: u64,
    /// Where the last field ended: the next one begins there or later.
    free: u64,
    /// What earlier instructions left in registers, by the register's number.
    registers: Registers,
    /// Words ahead that earlier instructions load from, counted from `next`.
    pools: thumb::Pools,
    /// What is left of the last record, from `next` on.
    rest: types::Rest,
}

/// The halves of addresses that wait for their other halves.
#[derive(Clone, Copy, Debug, Default)]
struct Registers {
    values: [Option<Half>; 32],
}

/// One half of an address, and the place of the instruction that loaded it.
#[derive(Clone, Copy, Debug)]
struct Half {
    value: u64,
    place: u64,
    /// Whether it counts from that place.
    relative: bool,
}

impl Scanner {
    /// For a stretch of `section`, whose first byte has this address in the old space.
    pub fn new(section: &Section, address_of_section: u64) -> Self {
        Self {
            kind: section.kind,
            start: address_of_section,
            end: None,
            next: 0,
            free: 0,
            registers: Registers::default(),
            pools: thumb::Pools::default(),
            rest: types::Rest::default(),
        }
    }

    /// Adds the references whose field begins in the block to `found`, ascending and disjoint, never past its
    /// capacity: one for 2 bytes of the block, and one more, is room enough.
    ///
    /// `window` holds old bytes of the section, its part `from..to` is the block and `address` that of
    /// `window[from]`; up to [`LOOK_BEHIND`] bytes stand before it and up to [`LOOK_AHEAD`] after it (fewer at the
    /// section's ends alone). A block that follows the last one goes on where that one ended, any other begins anew. Only
    /// what refers to an address of `space` is a reference.
    pub fn scan(
        &mut self,
        window: &[u8],
        from: usize,
        to: usize,
        address: u64,
        space: &Space,
        found: &mut Vec<Reference>,
    ) {
        let to = to.min(window.len());
        if from >= to || self.kind == SectionKind::Plain {
            return;
        }
        let base = address.wrapping_sub(from as u64);
        if self.end != Some(address) {
            self.next = base;
            self.free = address;
            self.registers = Registers::default();
            self.pools = thumb::Pools::default();
            self.rest = types::Rest::default();
        }
        self.end = Some(base.wrapping_add(to as u64));
        // It goes on a few bytes before this block, in it, or past it: within a record of a table. What lies before
        // the window can't be read any more.
        let behind = from.min(LOOK_BEHIND);
        let reach = self.next.wrapping_sub(address.wrapping_sub(behind as u64));
        let at = from - behind + usize::try_from(reach).ok().filter(|reach| *reach < 1 << 30).unwrap_or(0);
        let mut view = View { bytes: window, base, from, to, at, free: self.free, space, found };
        match self.kind {
            SectionKind::Plain => {}
            SectionKind::X86_64 => x86::scan(&mut view, x86::Code::Anywhere),
            SectionKind::X86_64Fixed => x86::scan(&mut view, x86::Code::Fixed),
            SectionKind::X86_64Stubs => x86::scan(&mut view, x86::Code::Stubs),
            SectionKind::Thumb => thumb::scan(&mut view, &mut self.registers, &mut self.pools),
            SectionKind::Arm => arm::scan(&mut view, &mut self.registers, &mut self.pools),
            SectionKind::Aarch64 => aarch64::scan(&mut view, &mut self.registers),
            SectionKind::Riscv64 => riscv::scan(&mut view, &mut self.registers, true),
            SectionKind::Riscv32 => riscv::scan(&mut view, &mut self.registers, false),
            SectionKind::Types => types::scan(&mut view, self.start, &mut self.rest, types::KERNEL),
            SectionKind::MoreTypes => types::scan(&mut view, self.start, &mut self.rest, types::MODULE),
            table => tables::scan(&mut view, table, self.start),
        }
        self.next = view.address(view.at);
        self.free = view.free;
    }
}

#[cfg(test)]
mod tests;
