//! How a delta is to be made, as options of a command.

use std::num::NonZero;
use std::thread;

use clap::{Args, ValueEnum};
use perennial_device_core::delta::refs::SectionKind;
use perennial_schemas::delta::{InPlace, Profile};
use perennial_schemas::limits::IMAGE_LENGTH;

use crate::delta::detect::Hint;
use crate::delta::make::Settings;
use crate::delta::matching;
use crate::plain::grouped;

/// Shared by every command that makes deltas.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct MakeOptions {
    /// What kind of device applies it.
    #[arg(long, value_enum, default_value_t)]
    profile: ProfileName,
    /// Rewrite the one slot of a microcontroller in place: its sectors and their size, such as 64x4K. One sector must be free
    /// beside the old file, some more make the delta smaller. Implies --profile mcu.
    #[arg(long, value_name = "SECTORS", value_parser = slot)]
    in_place: Option<InPlace>,
    /// The machine code in the files: auto, none, or what a raw firmware holds and the address that it runs at, such as
    /// thumb@0x08000000 (also arm, aarch64, riscv32, riscv64, x86-64).
    #[arg(long, value_name = "CODE", default_value = "auto", value_parser = code)]
    code: Hint,
    /// Threads, 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// The memory to make it in, such as 512M or 4G: with less, less of large files is read at once, and the delta is a little
    /// larger. What must be looked at may take more.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1G")]
    memory_limit: u64,
    /// Leave a transform out, to see what it gains. May be repeated.
    #[arg(long, value_name = "TRANSFORM", value_enum, value_delimiter = ',')]
    without: Vec<Transform>,
}

/// The memory to make it in where none is named: 1G.
const USUAL_LIMIT: u64 = 1 << 30;

/// What kind of device applies it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ProfileName {
    /// One with an operating system: some MiB of memory.
    #[default]
    Linux,
    /// A microcontroller: some KiB of memory, the old image read in place.
    Mcu,
}

/// What can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transform {
    /// The prediction of references in machine code and its tables.
    References,
    /// Matching with the references masked out.
    Masks,
    /// Taking compressed parts apart: zlib, gzip, zstd.
    Packing,
}

impl MakeOptions {
    /// An option that was given, if any was that says something else than usual.
    pub(in crate::cli) fn given(&self) -> Option<&'static str> {
        let options = [
            (self.in_place.is_some(), "--in-place"),
            (self.profile != ProfileName::default(), "--profile"),
            (self.code != Hint::Auto, "--code"),
            (self.jobs != 0, "--jobs"),
            (self.memory_limit != USUAL_LIMIT, "--memory-limit"),
            (!self.without.is_empty(), "--without"),
        ];
        options.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    /// The same for whoever makes deltas.
    pub(in crate::cli) fn settings(&self) -> Settings {
        let with = |transform| !self.without.contains(&transform);
        Settings {
            profile: match self.profile {
                ProfileName::Linux => Profile::Linux,
                ProfileName::Mcu => Profile::Mcu,
            },
            in_place: self.in_place,
            code: self.code,
            references: with(Transform::References),
            masks: with(Transform::Masks),
            packing: with(Transform::Packing),
            matching: matching::Options {
                jobs: match self.jobs {
                    0 => thread::available_parallelism().map_or(1, NonZero::get),
                    jobs => jobs,
                },
                memory_limit: self.memory_limit,
                ..matching::Options::default()
            },
        }
    }
}

/// `512M`, `4G`, or plain bytes; a unit is a power of 1024, however it is written.
pub(in crate::cli) fn bytes(text: &str) -> Result<u64, String> {
    let form = || format!("{text:?} is no size: write bytes, or a number with K, M or G, such as 512M");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(form()),
    };
    let number: u64 = digits.parse().map_err(|_| form())?;
    number.checked_mul(1 << shift).ok_or_else(form)
}

/// `64x4K`
fn slot(text: &str) -> Result<InPlace, String> {
    let form = || {
        format!(
            "{text:?} is no slot: write its sectors and their size, a power of two from 256 to 1M, such as 64x4K"
        )
    };
    let (sectors, size) = text.split_once('x').ok_or_else(form)?;
    let (sectors, size) = (sectors.parse().map_err(|_| form())?, bytes(size)?);
    if !size.is_power_of_two() || !(256..=1 << 20).contains(&size) {
        return Err(form());
    }
    let place = InPlace { sector_bits: size.ilog2() as u8, sectors };
    if u64::from(sectors) << place.sector_bits > IMAGE_LENGTH {
        return Err(format!(
            "{text} is larger than an image can be, which is {} bytes",
            grouped(IMAGE_LENGTH)
        ));
    }
    Ok(place)
}

/// `auto`, `none`, `thumb@0x08000000`
fn code(text: &str) -> Result<Hint, String> {
    let form = || {
        format!(
            "{text:?} is no kind of code: write auto, none, or thumb, arm, aarch64, riscv32, riscv64 or x86-64 with @ and the \
             address that the image runs at, such as thumb@0x08000000"
        )
    };
    match text {
        "auto" => return Ok(Hint::Auto),
        "none" => return Ok(Hint::None),
        _ => {}
    }
    let (kind, address) = text.split_once('@').ok_or_else(form)?;
    let kind = match kind {
        "thumb" => SectionKind::Thumb,
        "arm" => SectionKind::Arm,
        "aarch64" => SectionKind::Aarch64,
        "riscv32" => SectionKind::Riscv32,
        "riscv64" => SectionKind::Riscv64,
        "x86-64" => SectionKind::X86_64,
        _ => return Err(form()),
    };
    let address = match address.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => address.parse(),
    };
    Ok(Hint::Raw { kind, address: address.map_err(|_| form())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots() {
        assert_eq!(slot("64x4K"), Ok(InPlace { sector_bits: 12, sectors: 64 }));
        assert_eq!(slot("3x256"), Ok(InPlace { sector_bits: 8, sectors: 3 }));
        for wrong in ["64", "x4K", "64x", "64x3K", "64x128", "64x2M", "-1x4K"] {
            assert!(slot(wrong).is_err(), "{wrong}");
        }
        let large = slot("4294967295x1M").unwrap_err();
        assert!(large.contains("is larger than an image can be"), "{large}");
    }

    #[test]
    fn sizes_of_memory() {
        let table = [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("64K", Some(65_536)),
            ("512M", Some(512 << 20)),
            ("2GiB", Some(2 << 30)),
            ("1g", Some(1 << 30)),
            ("1m", Some(1 << 20)),
            ("1k", Some(1 << 10)),
            ("1GB", Some(1 << 30)),
            ("1mib", Some(1 << 20)),
            ("1iB", None),
            ("1Mi", None),
            ("1KBB", None),
            ("1X", None),
            ("M", None),
            ("", None),
            ("99999999999G", None),
        ];
        for (text, expected) in table {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn kinds_of_code() {
        let raw = |kind, address| Some(Hint::Raw { kind, address });
        let table = [
            ("auto", Some(Hint::Auto)),
            ("none", Some(Hint::None)),
            ("thumb@0x08000000", raw(SectionKind::Thumb, 0x0800_0000)),
            ("riscv64@64", raw(SectionKind::Riscv64, 64)),
            ("thumb", None),
            ("thumb@", None),
            ("thumb@0xfg", None),
            ("z80@0", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(code(text).ok(), expected, "{text}");
        }
    }
}
