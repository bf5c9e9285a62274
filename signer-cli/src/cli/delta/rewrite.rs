//! `delta rewrite`: one slot in a file, rewritten in place.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use perennial_device_core::port::JOURNAL_SECTORS;
use perennial_schemas::delta::InPlace;
use serde::Serialize;

use super::super::common::Output;
use super::super::progress::Stages;
use super::super::{CliError, Io};
use super::{about, read, refuse_same, source};
use crate::delta::apply;
use crate::delta::progress::Progress;
use crate::delta::slot_file::FileFlash;
use crate::files;
use crate::plain::grouped;

#[derive(Debug, Args)]
pub(in crate::cli) struct RewriteArgs {
    /// The file that the delta was made from.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// A delta that was made with --in-place.
    #[arg(value_name = "DELTA")]
    delta: PathBuf,
    /// The slot, with its journal in SLOT.journal beside it. Where it isn't there it is made, and holds OLD.
    #[arg(value_name = "SLOT")]
    slot: PathBuf,
    /// Cut power in the midst of this operation: a sector that is erased, or a line that is written, counted from one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cut_at: Option<u64>,
    #[command(flatten)]
    output: Output,
}

/// What was rewritten.
#[derive(Debug, Serialize)]
struct RewriteReport {
    slot: PathBuf,
    /// Bytes of the new image.
    length: u64,
    /// Sectors erased and lines written.
    operations: u64,
    /// Whether it was begun before.
    resumed: bool,
}

pub(super) fn run(args: RewriteArgs, io: &mut Io<'_>) -> Result<(), CliError> {
    for (name, read) in [("OLD", &args.old), ("DELTA", &args.delta)] {
        for written in [&args.slot, &journal(&args.slot)] {
            refuse_same(written, name, read)?;
        }
    }
    let (old, delta) = (source(&args.old)?, read(&args.delta)?);
    let mut stages = Stages::new(io);
    let mut hear = |told| stages.hear(told);
    let progress = Progress::new(&mut hear);
    let mut new = Vec::new();
    let header = apply::apply_from(&old, &delta, u64::MAX, &mut new, &progress)
        .map_err(|error| about(&args.delta, error))?;
    let place = header.in_place.ok_or_else(|| {
        let what = format!("{} is made for two slots", args.delta.display());
        CliError::new(what, "make one for this slot, with delta make --in-place SECTORSxSIZE")
    })?;
    let resumed = files::exists(&args.slot);
    if !resumed {
        prepare(&args.slot, place, &read(&args.old)?)?;
    }
    let (slot, journal) =
        (files::open_for_update(&args.slot)?, files::open_for_update(&journal(&args.slot))?);
    let mut flash = FileFlash::new(place, slot, journal, args.cut_at);
    let rewritten = flash.rewrite(&header, &delta, &new, &progress);
    drop(stages);
    match rewritten {
        Ok(()) => {}
        Err(_) if flash.is_cut() => {
            let what = format!("power was cut in operation {}", grouped(flash.operations()));
            return Err(CliError::new(
                what,
                "give it power again: the same command without --cut-at goes on",
            ));
        }
        Err(error) => return Err(about(&args.slot, apply::ApplyError::Delta(error))),
    }
    let (length, operations) = (header.new.length, flash.operations());
    io.report(args.output.json, &RewriteReport { slot: args.slot, length, operations, resumed })
}

/// A slot that holds the old image, and a journal that nothing was ever written to.
fn prepare(slot: &Path, place: InPlace, old: &[u8]) -> Result<(), CliError> {
    let mut bytes = old.to_vec();
    bytes.resize((place.sector() * u64::from(place.sectors)) as usize, 0xff);
    files::write(&journal(slot), &vec![0xff; place.sector() as usize * JOURNAL_SECTORS as usize])?;
    files::write(slot, &bytes)?;
    Ok(())
}

fn journal(slot: &Path) -> PathBuf {
    let mut name = slot.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

impl fmt::Display for RewriteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, length, operations, resumed } = self;
        let went_on = if *resumed { ", from where it was" } else { "" };
        let (length, operations) = (grouped(*length), grouped(*operations));
        writeln!(
            f,
            "Rewrote {} in place{went_on}: it holds the new image of {length} bytes.",
            slot.display()
        )?;
        writeln!(f, "  {operations} sectors erased or lines written, with the device's own code")
    }
}
