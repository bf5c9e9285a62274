//! Where a delta's bytes went: by frame, by what was coded, by section of the new image.
//!
//! Runs the device's decoder with a coder that keeps accounts. Without the old image only what stands in the container by
//! itself can be told: header, frames and maps. Decides nothing, and trusts nothing that it reads.

mod elf;
mod ledger;
pub mod picture;
mod report;

use std::cell::RefCell;
use std::collections::BTreeMap;

use perennial_device_core::delta::coder::{Decoder, Subject};
use perennial_device_core::delta::packing::Packing;
use perennial_device_core::delta::unit::{Action, Unit};
use perennial_device_core::delta::walk::{Unknown, Walker};
use perennial_device_core::delta::{DeltaError, OldImage, in_place, memory};
use perennial_schemas::delta::{ContainerError, FrameKind, Header, ImageId, Parts, Profile};
use serde::Serialize;

use ledger::{Charged, Ledger};

/// Slices of the new image in [`Inspection::along`].
const SLICES: u64 = 256;

/// What a delta is for, and where its bytes went.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// `linux` or `mcu`.
    pub profile: &'static str,
    /// Bytes of the delta.
    pub length: u64,
    /// Bytes of memory that a device needs to apply it, as the header declares.
    pub memory: u64,
    /// The slot that it rewrites in place, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place: Option<SlotRow>,
    /// What it is made from.
    pub old: Image,
    /// What it makes.
    pub new: Image,
    /// Bytes of the new image with its packed parts unpacked: what all that follows is about.
    pub unpacked: u64,
    /// Packed parts that are taken apart, in turn.
    pub packings: Vec<PartsRow>,
    /// What the new image is made of, in its bytes.
    pub made_of: MadeOf,
    /// Each frame, in order.
    pub frames: Vec<FrameRow>,
    /// Bytes of the delta by what they tell, the most first.
    pub kinds: Vec<Share>,
    /// Bytes of the delta by section of the new image, the most first; none where it has no sections, or without the old image.
    pub sections: Vec<SectionShare>,
    /// Bytes of the delta for each of equally long slices of the new image; none without the old image.
    pub along: Vec<u64>,
}

/// An image, as a header names it.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    /// Its length in bytes.
    pub length: u64,
    /// The first half of its SHA-256.
    pub sha256_begins: String,
}

/// A slot that is rewritten in place.
#[derive(Debug, Clone, Serialize)]
pub struct SlotRow {
    /// Bytes of a sector.
    pub sector: u64,
    /// Sectors of the slot.
    pub sectors: u32,
    /// Bytes by which the old image is moved up first.
    pub moved: u64,
}

/// Packed parts that are taken apart.
#[derive(Debug, Clone, Serialize)]
pub struct PartsRow {
    /// Parts of the old image.
    pub old_parts: u32,
    /// Parts of the new image.
    pub new_parts: u32,
    /// The highest level of parts that are packed with zstd; 0 for none.
    pub zstd_level: u8,
    /// The version of zstd's library that packs them, as 10507; 0 for none.
    pub zstd_version: u32,
}

/// Bytes of the new image by how they are made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MadeOf {
    /// Copied as they are.
    pub copied: u64,
    /// Copied, predicted and corrected.
    pub patched: u64,
    /// Sent.
    pub inserted: u64,
    /// Runs of one byte.
    pub filled: u64,
    /// Steps in which all that is said.
    pub steps: u64,
}

/// A frame of the container.
#[derive(Debug, Clone, Serialize)]
pub struct FrameRow {
    /// `parts`, `notes`, `map`, `data`, `stored`; `mark` where none of the parts is under way.
    pub kind: &'static str,
    /// Where it begins in the container.
    pub at: u64,
    /// Its bytes there.
    pub length: u64,
    /// The bytes of the new image, unpacked, that it makes.
    pub makes: u64,
}

/// A part of the delta.
#[derive(Debug, Clone, Serialize)]
pub struct Share {
    /// What it tells.
    pub name: String,
    /// Its bytes, rounded.
    pub bytes: u64,
    /// How often something of this kind was coded, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What a section of the new image cost.
#[derive(Debug, Clone, Serialize)]
pub struct SectionShare {
    /// Its name.
    pub name: String,
    /// Where it begins in the new image.
    pub start: u64,
    /// Its length in the new image.
    pub length: u64,
    /// Bytes of the delta, rounded.
    pub bytes: u64,
}

/// Looks into a delta; into its data frames with the old image alone.
///
/// # Errors
/// [`DeltaError`]
pub fn inspect(delta: &[u8], old: Option<&[u8]>) -> Result<Inspection, DeltaError> {
    let header = Header::parse(delta)?;
    let mut reading = Reading::new(&header, old)?;
    for frame in &header.frames {
        reading.frame(delta, frame.kind, frame.length)?;
    }
    Ok(reading.finish(delta.len() as u64))
}

/// Goes over the frames.
struct Reading<'h, 'o> {
    header: &'h Header,
    old: Option<&'o [u8]>,
    unit: Unit,
    walker: Walker,
    packing: Packing,
    ledger: Ledger,
    /// Where the next frame begins in the container, and what is made so far.
    at: u64,
    made: u64,
    new: Vec<u8>,
    frames: Vec<FrameRow>,
    made_of: MadeOf,
    /// Where pieces of the new image end, and what each cost in bits.
    pieces: Vec<(u64, f64)>,
}

impl<'h, 'o> Reading<'h, 'o> {
    fn new(header: &'h Header, old: Option<&'o [u8]>) -> Result<Self, DeltaError> {
        Ok(Self {
            header,
            old,
            unit: Unit::with_room(&header.sizes),
            walker: Walker::new(&header.sizes),
            packing: Packing::new(header)?,
            ledger: Ledger::default(),
            at: header.encoded_length(),
            made: 0,
            new: Vec::new(),
            frames: Vec::with_capacity(header.frames.len()),
            made_of: MadeOf::default(),
            pieces: Vec::new(),
        })
    }

    fn frame(&mut self, delta: &[u8], kind: FrameKind, length: u64) -> Result<(), DeltaError> {
        let range = self.at..self.at + length;
        let inside = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let bytes = inside.and_then(|(from, to)| delta.get(from..to)).ok_or(ContainerError::Directory)?;
        let (name, makes) = match kind {
            FrameKind::Parts => ("parts", 0),
            FrameKind::Notes => ("notes", 0),
            FrameKind::Map => ("map", 0),
            FrameKind::Data(makes) => ("data", makes),
            FrameKind::Stored(makes) => ("stored", makes),
            FrameKind::Mark(_) => ("mark", 0),
        };
        self.frames.push(FrameRow { kind: name, at: self.at, length, makes });
        match (kind, self.old) {
            (FrameKind::Parts, _) => {
                let mut coder = Charged { decoder: Decoder::new(bytes.iter()), ledger: &mut self.ledger };
                self.packing.layer(&mut coder, self.frames.len() - 1, self.header)?;
            }
            (FrameKind::Mark(_) | FrameKind::Notes, _) => {}
            (FrameKind::Map, _) => self.map(bytes)?,
            (FrameKind::Data(makes), Some(old)) => self.data(bytes, makes, old)?,
            (FrameKind::Stored(_), Some(_)) => self.stored(bytes),
            (FrameKind::Data(_) | FrameKind::Stored(_), None) => {}
        }
        self.at = range.end;
        self.made += makes;
        Ok(())
    }

    fn map(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        let mut coder = Charged { decoder: Decoder::new(bytes.iter()), ledger: &mut self.ledger };
        let old_length = self.header.old_length();
        match bytes.is_empty() {
            true => {
                let left = self.header.new_length() - self.made;
                self.walker.copied(&mut self.unit, self.made, left, old_length)?;
            }
            false => self.walker.map(&mut coder, &mut self.unit, &Unit::default(), self.made, old_length)?,
        }
        let made_of = &mut self.made_of;
        made_of.steps += self.unit.steps.len() as u64;
        for step in self.unit.steps.iter() {
            made_of.inserted += step.insert;
            match step.action {
                Action::Copy(_) => made_of.copied += step.length,
                Action::Patch(_) => made_of.patched += step.length,
                Action::Fill(_) => made_of.filled += step.length,
                Action::End => {}
            }
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8], makes: u64, mut old: &[u8]) -> Result<(), DeltaError> {
        let end = self.made + makes;
        self.walker.begin(&self.unit, self.made..end, self.header.floor(end));
        let mut coder = Charged { decoder: Decoder::new(bytes.iter()), ledger: &mut self.ledger };
        let (new, old_length) = (&mut self.new, self.header.old_length());
        let mut nothing = |_: &[u8]| Ok(());
        let image = RefCell::new(&mut old as &mut dyn OldImage);
        let (mut old, _) = self.packing.between(&image, &mut nothing);
        let mut output = |bytes: &[u8]| {
            new.extend_from_slice(bytes);
            Ok(())
        };
        let mut at = self.made;
        while at < end {
            let before = coder.ledger.bits;
            let piece =
                self.walker.piece(&mut coder, &self.unit, &mut old, old_length, &mut Unknown, &mut output)?;
            at += piece.ok_or(DeltaError::Length)?;
            self.pieces.push((at, coder.ledger.bits - before));
        }
        Ok(())
    }

    fn stored(&mut self, bytes: &[u8]) {
        self.new.extend_from_slice(bytes);
        self.pieces.push((self.made + bytes.len() as u64, bytes.len() as f64 * 8.0));
    }

    fn finish(self, length: u64) -> Inspection {
        let header = self.header;
        let image = |id: &ImageId| Image {
            length: id.length,
            sha256_begins: id.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        Inspection {
            profile: match header.profile {
                Profile::Linux => "linux",
                Profile::Mcu => "mcu",
            },
            length,
            memory: match header.in_place {
                None => memory(header),
                Some(_) => in_place::memory(header),
            },
            in_place: header.in_place.map(|place| SlotRow {
                sector: place.sector(),
                sectors: place.sectors,
                moved: place.shift(header.old.length),
            }),
            old: image(&header.old),
            new: image(&header.new),
            unpacked: header.new_length(),
            packings: header.layers.iter().map(row).collect(),
            kinds: self.kinds(),
            sections: self.sections(),
            along: self.along(),
            made_of: self.made_of,
            frames: self.frames,
        }
    }

    /// The ledger's accounts, what the container itself takes, and data frames that weren't looked into.
    fn kinds(&self) -> Vec<Share> {
        let mut by_name: BTreeMap<String, ledger::Entry> = BTreeMap::new();
        for (subject, entry) in &self.ledger.entries {
            let sum = by_name.entry(name_of(*subject)).or_default();
            sum.bits += entry.bits;
            sum.count += entry.count;
        }
        let mut shares: Vec<Share> = by_name
            .into_iter()
            .map(|(name, entry)| Share { name, bytes: rounded(entry.bits), count: Some(entry.count) })
            .collect();
        let closed = |frame: &&FrameRow| self.old.is_none() && frame.kind == "data";
        let sum =
            |of: &dyn Fn(&&FrameRow) -> bool| self.frames.iter().filter(of).map(|frame| frame.length).sum();
        let of = |kind: &'static str| sum(&|frame| frame.kind == kind);
        let unread: u64 = sum(&closed);
        for (name, bytes) in [
            ("header and directory", self.header.encoded_length()),
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

    fn sections(&self) -> Vec<SectionShare> {
        let mut shares: Vec<SectionShare> = Vec::new();
        let mut bits: Vec<f64> = Vec::new();
        for (name, range) in elf::sections(&self.new) {
            shares.push(SectionShare { name, start: range.start, length: range.end - range.start, bytes: 0 });
            bits.push(0.0);
        }
        if shares.is_empty() {
            return shares;
        }
        let mut elsewhere = 0.0;
        for (start, end, cost) in self.spans() {
            // By the middle: a piece is at most a block.
            let middle = start + (end - start) / 2;
            let after = shares.partition_point(|share| share.start <= middle);
            let inside = after.checked_sub(1).filter(|at| middle - shares[*at].start < shares[*at].length);
            match inside {
                Some(at) => bits[at] += cost,
                None => elsewhere += cost,
            }
        }
        for (share, bits) in shares.iter_mut().zip(bits) {
            share.bytes = rounded(bits);
        }
        let named: u64 = shares.iter().map(|share| share.length).sum();
        let length = self.header.new_length().saturating_sub(named);
        shares.push(SectionShare {
            name: "(no section)".into(),
            start: 0,
            length,
            bytes: rounded(elsewhere),
        });
        shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.start.cmp(&b.start)));
        shares
    }

    fn along(&self) -> Vec<u64> {
        if self.pieces.is_empty() {
            return Vec::new();
        }
        let length = self.header.new_length();
        let count = SLICES.min(length);
        let mut bits = vec![0.0; count as usize];
        for (start, end, cost) in self.spans() {
            let slice = |at: u64| (u128::from(at) * u128::from(count) / u128::from(length)) as usize;
            let (first, last) = (slice(start), slice(end - 1));
            for bits in &mut bits[first..=last] {
                *bits += cost / (last - first + 1) as f64;
            }
        }
        bits.into_iter().map(rounded).collect()
    }

    /// Begin, end and bits of every piece of the new image.
    fn spans(&self) -> impl Iterator<Item = (u64, u64, f64)> {
        let starts = std::iter::once(0).chain(self.pieces.iter().map(|(end, _)| *end));
        starts.zip(&self.pieces).map(|(start, (end, bits))| (start, *end, *bits))
    }
}

fn row(parts: &Parts) -> PartsRow {
    let Parts { old_parts, new_parts, zstd_level, zstd_version, .. } = *parts;
    PartsRow { old_parts, new_parts, zstd_level, zstd_version }
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
