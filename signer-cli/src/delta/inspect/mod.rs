//! Where a delta's bytes went: by frame, by what was coded, by file or section of the new image.
//!
//! | module | holds |
//! | --- | --- |
//! | `reading` | the device's decoder, run with a coder that keeps accounts |
//! | `ledger` | those accounts |
//! | `made` | the new image, as it is made: on the disk, for names to be read from |
//! | `names` | which bytes of an image are a file's, or a section's |
//! | `shares` | the accounts added up: by kind, by place, along the image |
//! | `report`, [`picture`] | an inspection in words, and as SVG |
//!
//! Without the old image only what stands in the container by itself can be told: header, frames and maps. Decides nothing, and
//! trusts nothing that it reads.

mod ledger;
mod made;
mod names;
pub mod picture;
mod reading;
mod report;
mod shares;

use perennial_device_core::delta::{in_place, memory};
use perennial_schemas::delta::{ImageId, Parts, Profile};
use serde::Serialize;

use self::reading::Reading;
use super::apply::{self, ApplyError};
use super::progress::{Progress, Stage};
use super::source::{Source, identity};

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
    /// Bytes of the delta by file of the new image, the most first; none where it holds no files that are known by name, or
    /// without the old image.
    pub files: Vec<PlaceShare>,
    /// The same by section, where the new image is one ELF file.
    pub sections: Vec<PlaceShare>,
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

/// What a file or a section of the new image cost.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceShare {
    /// Its name, or its path.
    pub name: String,
    /// Where it begins in the new image.
    pub start: u64,
    /// Its length in the new image.
    pub length: u64,
    /// Bytes of the delta, rounded.
    pub bytes: u64,
}

/// Looks into a delta; into its data frames with the old image alone. The new one is made on the disk meanwhile, where this machine
/// keeps what is temporary.
///
/// # Errors
/// [`ApplyError`]
pub fn inspect(
    delta: &[u8],
    old: Option<&dyn Source>,
    progress: &Progress<'_>,
) -> Result<Inspection, ApplyError> {
    let header = apply::header(delta)?;
    if let Some(old) = old {
        progress.begin(Stage::Reading, old.length());
        if identity(old, progress).map_err(ApplyError::Read)? != header.old {
            return Err(ApplyError::OtherOld);
        }
        progress.end();
    }
    progress.begin(Stage::Inspecting, header.new_length());
    let mut reading = Reading::new(&header, old)?;
    for frame in 0..header.frames.len() {
        reading.frame(delta, frame, progress)?;
    }
    reading.check()?;
    progress.end();
    Ok(told(reading, delta.len() as u64))
}

/// What was read of a delta of so many bytes.
fn told(reading: Reading<'_, '_>, length: u64) -> Inspection {
    let header = reading.header;
    let image = |id: &ImageId| Image {
        length: id.length,
        sha256_begins: id.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let (files, sections) = shares::places(&reading);
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
        kinds: shares::kinds(&reading),
        files,
        sections,
        along: shares::along(&reading),
        made_of: reading.made_of,
        frames: reading.frames,
    }
}

fn row(parts: &Parts) -> PartsRow {
    let Parts { old_parts, new_parts, zstd_level, zstd_version, .. } = *parts;
    PartsRow { old_parts, new_parts, zstd_level, zstd_version }
}

#[cfg(test)]
mod tests;
