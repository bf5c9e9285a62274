//! `delta inspect`

use std::path::PathBuf;

use clap::Args;
use perennial_schemas::limits::IMAGE_LENGTH;

use super::super::common::Output;
use super::super::progress::Stages;
use super::super::{CliError, Io};
use super::{about, may_write, read};
use crate::delta::apply::ApplyError;
use crate::delta::inspect::{inspect, picture};
use crate::delta::progress::Progress;
use crate::delta::source::Source;
use crate::files;

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArgs {
    /// The delta.
    #[arg(value_name = "DELTA")]
    delta: PathBuf,
    /// The file that it was made from: then the data frames are looked into as well.
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
    /// Write it as a picture, too: SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Replace the picture where it exists.
    #[arg(long, requires = "svg")]
    force: bool,
    #[command(flatten)]
    output: Output,
}

/// Says what a delta is for, and where its bytes went.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(args: &InspectArgs, io: &mut Io<'_>) -> Result<(), CliError> {
    if let Some(svg) = &args.svg {
        let old = args.old.as_deref().map(|old| ("the file of --old", old));
        let read: Vec<_> = [("DELTA", args.delta.as_path())].into_iter().chain(old).collect();
        may_write(svg, args.force, &read)?;
    }
    let delta = read(&args.delta)?;
    let old = args.old.as_ref().map(|path| files::source(path, IMAGE_LENGTH)).transpose()?;
    let looked = {
        let mut stages = Stages::new(io);
        let mut hear = |told| stages.hear(told);
        inspect(&delta, old.as_ref().map(|old| old as &dyn Source), &Progress::new(&mut hear))
    };
    let inspection = looked.map_err(|e| match (&e, &args.old) {
        (ApplyError::OtherOld, Some(old)) => about(old, e),
        _ => about(&args.delta, e),
    })?;
    if let Some(svg) = &args.svg {
        let name = args.delta.file_name().unwrap_or_default().to_string_lossy();
        files::write(svg, picture::svg(&inspection.picture(&name)).as_bytes())?;
    }
    io.report(args.output.json, &inspection)
}
