//! What was spent, added up: by kind, by file or section, along the new image.

use std::collections::BTreeMap;
use std::ops::Range;

use perennial_device_core::delta::coder::Subject;

use super::ledger;
use super::names::{self, Named, Place};
use super::reading::Reading;
use super::{FrameRow, PlaceShare, Share};

/// Slices of the new image in [`along`].
const SLICES: u64 = 256;

/// The ledger's accounts, what the container itself takes, and data frames that weren't looked into.
pub(super) fn kinds(reading: &Reading<'_, '_>) -> Vec<Share> {
    let mut by_name: BTreeMap<String, ledger::Entry> = BTreeMap::new();
    for (subject, entry) in &reading.ledger.entries {
        let sum = by_name.entry(name_of(*subject)).or_default();
        sum.bits += entry.bits;
        sum.count += entry.count;
    }
    let mut shares: Vec<Share> = by_name
        .into_iter()
        .map(|(name, entry)| Share { name, bytes: rounded(entry.bits), count: Some(entry.count) })
        .collect();
    let closed = |frame: &&FrameRow| reading.old.is_none() && frame.kind == "data";
    let sum =
        |of: &dyn Fn(&&FrameRow) -> bool| reading.frames.iter().filter(of).map(|frame| frame.length).sum();
    let of = |kind: &'static str| sum(&|frame| frame.kind == kind);
    let unread: u64 = sum(&closed);
    for (name, bytes) in [
        ("header and directory", reading.header.encoded_length()),
        ("data frames", unread),
        ("stored as they are", of("stored")),
        ("notes of how parts were packed", of("notes")),
    ] {
        if bytes > 0 {
            shares.push(Share { name: name.into(), bytes, count: None });
        }
    }
    shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    shares
}

/// What each file of the new image cost, or each section.
pub(super) fn places(reading: &Reading<'_, '_>) -> (Vec<PlaceShare>, Vec<PlaceShare>) {
    match reading.new.as_ref().map(|new| names::of(new)) {
        Some(Named::Files(places)) => (by_place(reading, &places, "(no file)"), Vec::new()),
        Some(Named::Sections(places)) => (Vec::new(), by_place(reading, &places, "(no section)")),
        None => (Vec::new(), Vec::new()),
    }
}

fn by_place(reading: &Reading<'_, '_>, places: &[Place], elsewhere: &str) -> Vec<PlaceShare> {
    if places.is_empty() {
        return Vec::new();
    }
    let mut ranges: Vec<(Range<u64>, usize)> = Vec::new();
    for (number, place) in places.iter().enumerate() {
        ranges.extend(place.ranges.iter().map(|range| (range.clone(), number)));
    }
    ranges.sort_by_key(|(range, number)| (range.start, *number));
    let mut bits = vec![0.0; places.len() + 1];
    for piece in &reading.pieces {
        // By the middle: a piece is at most a block.
        let after = ranges.partition_point(|(range, _)| range.start <= piece.middle);
        let inside =
            after.checked_sub(1).map(|before| &ranges[before]).filter(|(range, _)| piece.middle < range.end);
        bits[inside.map_or(places.len(), |(_, number)| *number)] += piece.bits;
    }
    let mut shares: Vec<PlaceShare> = places
        .iter()
        .zip(&bits)
        .map(|(place, bits)| PlaceShare {
            name: place.name.clone(),
            start: place.ranges.iter().map(|range| range.start).min().unwrap_or(0),
            length: place.ranges.iter().map(|range| range.end - range.start).sum(),
            bytes: rounded(*bits),
        })
        .collect();
    let named: u64 = shares.iter().map(|share| share.length).sum();
    shares.push(PlaceShare {
        name: elsewhere.into(),
        start: 0,
        length: reading.header.new.length.saturating_sub(named),
        bytes: rounded(bits[places.len()]),
    });
    shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.start.cmp(&b.start)));
    shares
}

/// What each of equally long slices of the new image, unpacked, cost.
pub(super) fn along(reading: &Reading<'_, '_>) -> Vec<u64> {
    if reading.new.is_none() {
        return Vec::new();
    }
    let length = reading.header.new_length();
    let count = SLICES.min(length);
    let mut bits = vec![0.0; count as usize];
    for piece in &reading.pieces {
        let slice = |at: u64| (u128::from(at) * u128::from(count) / u128::from(length)) as usize;
        let (first, last) = (slice(piece.start), slice(piece.end - 1));
        for bits in &mut bits[first..=last] {
            *bits += piece.bits / (last - first + 1) as f64;
        }
    }
    bits.into_iter().map(rounded).collect()
}

fn rounded(bits: f64) -> u64 {
    (bits / 8.0).round() as u64
}

fn name_of(subject: Subject) -> String {
    match subject {
        Subject::Other => "other".into(),
        Subject::Parts => "packed parts".into(),
        Subject::Layout => "address spaces and sections".into(),
        Subject::Steps => "steps: what comes from where".into(),
        Subject::Inserted => "inserted bytes".into(),
        Subject::Runs => "run lengths of equal bytes".into(),
        Subject::Corrections => "corrected bytes".into(),
        Subject::Flags(field) => format!("hit or miss: {}", field_name(field)),
        Subject::Targets(field) => format!("targets: {}", field_name(field)),
        Subject::Fields(field) => format!("raw fields: {}", field_name(field)),
    }
}

/// What the numbers of `Field::number` stand for.
fn field_name(number: u8) -> &'static str {
    const NAMES: [&str; 38] = [
        "32 bits, relative",
        "32 bits, PC-relative",
        "x86 short jump",
        "FDE to CIE",
        "32 bits, from a table",
        "32-bit pointer",
        "32-bit pointer, signed",
        "64-bit pointer",
        "31 bits, relative",
        "Thumb BL, B.W",
        "Thumb BLX",
        "Thumb B<c>.W",
        "Thumb B",
        "Thumb B<c>",
        "Thumb CBZ",
        "Thumb LDR literal",
        "MOVW, MOVT",
        "ARM B, BL",
        "AArch64 B, BL",
        "AArch64 B.c, CBZ, LDR",
        "AArch64 TBZ",
        "AArch64 ADR",
        "AArch64 ADRP",
        "AArch64 low 12 bits",
        "RISC-V JAL",
        "RISC-V branch",
        "RISC-V AUIPC, LUI",
        "RISC-V low 12 bits",
        "RISC-V C.J, C.JAL",
        "RISC-V C.BEQZ, C.BNEZ",
        "a table's entry",
        "a name",
        "place of a relocation",
        "addend of a relocation",
        "value of a symbol",
        "where something ends",
        "name of a module's type",
        "offset of a section",
    ];
    NAMES.get(usize::from(number)).copied().unwrap_or("another kind")
}
