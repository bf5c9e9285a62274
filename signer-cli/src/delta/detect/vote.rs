//! Votes on bytes without headers: whether they are code of a machine, and at which address they were linked.
//!
//! Decides nothing: counts what fits. Calls of real code lead to where functions begin as compilers begin them; pointers
//! of real images, less the right address, lead to such places and to the beginnings of strings.

use std::collections::HashMap;

use perennial_device_core::delta::refs::{Field, Reference, SectionKind};
use perennial_device_core::delta::space::{Section, Segment, Space};

use super::scan;

/// Bytes that are looked at: what a machine is shows in far fewer.
const MOST_BYTES: usize = 8 << 20;
/// Pointers and places that vote, the first of each: their product is the work.
const MOST_POINTERS: usize = 4096;
const MOST_PLACES: usize = 16384;
/// Images are linked at multiples of this.
const ALIGNMENT: u64 = 0x100;

/// The calls that a recogniser sees in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// Those that lead to where a function begins.
    pub(super) good: usize,
    /// Those that lead into the bytes at all.
    pub(super) all: usize,
}

/// How many calls a recogniser sees in these bytes.
pub(super) fn calls(bytes: &[u8], kind: SectionKind) -> Calls {
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    // An address at which no number among the code looks like a pointer.
    let base = 1 << 40;
    let mut calls = Calls::default();
    for (at, reference) in references(bytes, kind, base) {
        let offset = reference.target.wrapping_sub(base) as usize;
        if is_call(bytes, at, reference.field) && offset < bytes.len() {
            calls.all += 1;
            calls.good += usize::from(begins(bytes, offset, kind));
        }
    }
    calls
}

/// Whether a branch remembers where it came from.
fn is_call(bytes: &[u8], at: usize, field: Field) -> bool {
    let word = word(bytes, at);
    match field {
        Field::Thumb24 => word >> 30 & 1 != 0,
        Field::ThumbExchange => true,
        Field::Arm24 => word >> 24 & 1 != 0,
        Field::Branch26 => word >> 31 != 0,
        Field::Jal => word >> 7 & 31 == 1,
        _ => false,
    }
}

/// The instruction of 4 bytes at an offset, 0 past the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// Every reference in these bytes, with the offset of its field, if they are code of one kind loaded at `address`.
pub(super) fn references(bytes: &[u8], kind: SectionKind, address: u64) -> Vec<(usize, Reference)> {
    let length = bytes.len() as u64;
    let segment = Segment {
        old_length: length,
        old_address: address,
        old_memory: length,
        new_length: length,
        new_address: address,
        new_memory: length,
        code: true,
        ..Segment::default()
    };
    let Some(space) = Space::new(vec![segment]) else { return Vec::new() };
    let section = Section { kind, start: 0, length, space: 0 };
    let mut all = Vec::new();
    scan::references(bytes, &section, &space, &mut |at, reference| all.push((at, *reference)));
    all
}

/// The address at which most pointers lead to beginnings of functions or strings, with the number of those that do.
pub(super) fn address(bytes: &[u8], kind: SectionKind) -> Option<(u64, usize)> {
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    let pointers = pointers(bytes, kind);
    let places = places(bytes, kind);
    let mut votes: HashMap<u64, usize> = HashMap::new();
    for pointer in &pointers {
        for place in &places {
            let base = pointer.wrapping_sub(*place);
            if base.is_multiple_of(ALIGNMENT) && base <= *pointer {
                *votes.entry(base).or_default() += 1;
            }
        }
    }
    votes.into_iter().max_by_key(|(base, votes)| (*votes, std::cmp::Reverse(*base)))
}

/// Aligned words that may be pointers, each once, with the bit that tells Thumb code taken away.
fn pointers(bytes: &[u8], kind: SectionKind) -> Vec<u64> {
    let long = matches!(kind, SectionKind::Aarch64 | SectionKind::Riscv64);
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let values = bytes.chunks_exact(if long { 8 } else { 4 }).map(word);
    // Neither small numbers nor, among 4 bytes, most instructions.
    let plausible = |value: &u64| {
        *value >= 0x1000 && value >> 56 != 0xe1 && (!long || value >> 48 == 0 || value >> 40 == 0xff_ffff)
    };
    let mut seen: Vec<u64> = values.filter(plausible).collect();
    seen.sort_unstable();
    seen.dedup();
    // Values with many neighbours first: pointers crowd, instructions scatter.
    let crowd = |at: usize| seen[at] >> 20;
    let mut crowds: HashMap<u64, usize> = HashMap::new();
    for at in 0..seen.len() {
        *crowds.entry(crowd(at)).or_default() += 1;
    }
    let mut order: Vec<u64> = seen.clone();
    order.sort_by_key(|value| (std::cmp::Reverse(crowds.get(&(value >> 20)).copied()), *value));
    order.truncate(MOST_POINTERS);
    order
}

/// Offsets of beginnings: of functions, as pointers to them are written, and of strings.
fn places(bytes: &[u8], kind: SectionKind) -> Vec<u64> {
    let thumb = u64::from(kind == SectionKind::Thumb);
    let mut places = Vec::new();
    for at in (0..bytes.len()).step_by(2) {
        if begins(bytes, at, kind) {
            places.push(at as u64 | thumb);
        }
        if places.len() >= MOST_PLACES / 2 {
            break;
        }
    }
    for at in 1..bytes.len().saturating_sub(8) {
        if bytes[at - 1] == 0 && bytes[at..at + 6].iter().all(|byte| (0x20..0x7f).contains(byte)) {
            places.push(at as u64);
        }
        if places.len() >= MOST_PLACES {
            break;
        }
    }
    places
}

/// Whether a function begins here as compilers begin them: by saving registers or making room on the stack.
pub(super) fn begins(bytes: &[u8], at: usize, kind: SectionKind) -> bool {
    let word = word(bytes, at);
    let half = word as u16;
    match kind {
        SectionKind::Thumb => half & 0xff00 == 0xb500 || half == 0xe92d || word == 0x8004_f84d,
        SectionKind::Arm => word >> 16 == 0xe92d || word & 0xffff_0fff == 0xe52d_0004,
        SectionKind::Aarch64 => {
            word & 0xffc0_03e0 == 0xa980_03e0
                || word & 0xff80_03ff == 0xd100_03ff
                || word == 0xd503_233f
                || word == 0xd503_245f
        }
        SectionKind::Riscv64 | SectionKind::Riscv32 => {
            half & 0xff83 == 0x1101 || half & 0xff83 == 0x7101 || word & 0x800f_ffff == 0x8001_0113
        }
        _ => false,
    }
}
