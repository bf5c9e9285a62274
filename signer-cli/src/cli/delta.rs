//! `delta make`, `delta apply`, `delta rewrite`, `delta inspect`

mod inspect;
pub(super) mod options;
mod rewrite;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use perennial_device_core::delta::{self, DeltaError};
use perennial_schemas::delta::{ContainerError, Header, LAYOUT};
use perennial_schemas::limits::IMAGE_LENGTH;
use serde::Serialize;

use super::common::Output;
use super::progress::Stages;
use super::{Advise, CliError, Io};
use crate::delta::apply::{self, ApplyError};
use crate::delta::inspect::picture::percent;
use crate::delta::make::{self, MakeError};
use crate::delta::progress::Progress;
use crate::files::{self, FileError, FileSource};
use crate::plain::grouped;
use crate::scratch::Scratch;
use crate::terminal::shell_word;

use options::MakeOptions;

/// Deltas between any two files.
#[derive(Debug, Subcommand)]
pub(super) enum DeltaCommand {
    /// Make what turns one file into another, and prove it by applying it with the device's own code.
    Make(Box<MakeArgs>),
    /// Turn the old file into the new one, with the device's own code.
    Apply(ApplyArgs),
    /// Rewrite one slot in place, in a file, as a boot loader does: with its journal, and power that is cut where you say.
    Rewrite(rewrite::RewriteArgs),
    /// Say what a delta is for, and where its bytes went.
    Inspect(inspect::InspectArgs),
}

#[derive(Debug, Args)]
pub(super) struct MakeArgs {
    /// The file that devices have.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The file that they shall have.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The delta, to be written.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    options: MakeOptions,
    /// Replace OUT where it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The file that the delta was made from.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The delta.
    #[arg(value_name = "DELTA")]
    delta: PathBuf,
    /// The file to write.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Refuse a delta that needs more memory, as a device with so little does: such as 24K or 16M.
    #[arg(long, value_name = "BYTES", value_parser = options::bytes)]
    memory_limit: Option<u64>,
    /// Replace OUT where it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

/// What was made.
#[derive(Debug, Serialize)]
struct MakeReport {
    file: PathBuf,
    length: u64,
    old_length: u64,
    new_length: u64,
    /// Bytes that a device needs to apply it.
    memory: u64,
    frames: usize,
}

/// What was applied.
#[derive(Debug, Serialize)]
struct ApplyReport {
    file: PathBuf,
    length: u64,
}

/// Runs a command on deltas.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(command: DeltaCommand, io: &mut Io<'_>) -> Result<(), CliError> {
    match command {
        DeltaCommand::Make(args) => make(*args, io),
        DeltaCommand::Apply(args) => apply(args, io),
        DeltaCommand::Rewrite(args) => rewrite::run(args, io),
        DeltaCommand::Inspect(args) => inspect::run(&args, io),
    }
}

fn make(args: MakeArgs, io: &mut Io<'_>) -> Result<(), CliError> {
    may_write(&args.out, args.force, &[("OLD", &args.old), ("NEW", &args.new)])?;
    let settings = args.options.settings();
    let (old, new) = (source(&args.old)?, source(&args.new)?);
    // Ctrl-C ends the process: there is nothing to be cleaned up.
    let mut stages = Stages::new(io);
    let mut hear = |told| stages.hear(told);
    let progress = Progress::new(&mut hear);
    let made = make::make_from(&old, &new, &settings, &progress).map_err(|e| match e {
        // Either of them.
        MakeError::Read(_) => CliError::of(&e),
        e => about(&args.new, e),
    })?;
    // Nothing is written that the device's own code has not made the new file of.
    let header = apply::prove(&old, &new, &made, &progress).map_err(|e| about(&args.out, e))?;
    drop(stages);
    let mut scratch = scratch_for(&args.out)?;
    write(&mut scratch, &args.out, &made.bytes)?;
    scratch.keep_as(&args.out, args.force)?;
    let report = MakeReport {
        file: args.out,
        length: made.bytes.len() as u64,
        old_length: header.old.length,
        new_length: header.new.length,
        memory: match header.in_place {
            None => delta::memory(&header),
            Some(_) => delta::in_place::memory(&header),
        },
        frames: header.frames.len(),
    };
    io.report(args.output.json, &report)
}

fn apply(args: ApplyArgs, io: &mut Io<'_>) -> Result<(), CliError> {
    may_write(&args.out, args.force, &[("OLD", &args.old), ("DELTA", &args.delta)])?;
    let (old, delta) = (source(&args.old)?, read(&args.delta)?);
    let mut scratch = scratch_for(&args.out)?;
    let limit = args.memory_limit.unwrap_or(u64::MAX);
    let mut stages = Stages::new(io);
    let header: Header = {
        let mut hear = |told| stages.hear(told);
        let progress = Progress::new(&mut hear);
        let mut out = io::BufWriter::with_capacity(256 * 1024, &mut scratch);
        let made = apply::apply_from(&old, &delta, limit, &mut out, &progress).and_then(|header| {
            out.flush().map_err(ApplyError::Write)?;
            Ok(header)
        });
        made.map_err(|e| about(if matches!(e, ApplyError::Write(_)) { &args.out } else { &args.delta }, e))?
    };
    drop(stages);
    scratch.keep_as(&args.out, args.force)?;
    io.report(args.output.json, &ApplyReport { file: args.out, length: header.new.length })
}

/// An existing file is replaced by request only, and never what is no plain file, or one of those that are `read`.
fn may_write(path: &Path, force: bool, read: &[(&str, &Path)]) -> Result<(), CliError> {
    files::check_replaceable(path)?;
    read.iter().try_for_each(|(name, read)| refuse_same(path, name, read))?;
    if files::exists(path) && !force {
        let what = FileError::Exists { path: path.into() }.to_string();
        return Err(CliError::new(what, "choose another name, or replace it with --force"));
    }
    Ok(())
}

/// Refuses to write over one of the files that are read, which has this `name`.
fn refuse_same(path: &Path, name: &str, read: &Path) -> Result<(), CliError> {
    if !files::is_same(path, read) {
        return Ok(());
    }
    let what = format!("{} is {name}, which would be lost", path.display());
    Err(CliError::new(what, "write to another file"))
}

fn source(path: &Path) -> Result<FileSource, FileError> {
    files::source(path, IMAGE_LENGTH)
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    files::read_plain(path, IMAGE_LENGTH)
}

/// A file in the making beside the place that it will have.
fn scratch_for(path: &Path) -> Result<Scratch, FileError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Scratch::create_in(folder.unwrap_or(Path::new(".")))
}

fn write(scratch: &mut Scratch, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let written = scratch.write_all(bytes);
    written.map_err(|source| FileError::Io { operation: "write", path: path.into(), source })
}

/// What went wrong with which file.
fn about(path: &Path, error: impl Advise + 'static) -> CliError {
    let advised = CliError::of(&error);
    CliError::new(format!("{}: {}", path.display(), advised.what()), advised.hint())
}

impl Advise for MakeError {
    fn advice(&self) -> String {
        match self {
            Self::Empty => "an empty file needs no delta".into(),
            Self::Slot { .. } => {
                "name the whole slot with --in-place, or make it for two slots, without".into()
            }
            Self::Match(_) => "give more with --memory-limit, or make it on a larger machine".into(),
            Self::Code(_) => {
                "try --code none or --without references, and report this with both files".into()
            }
            Self::Read(_) => "check that the files are there, and the permissions".into(),
            Self::Stopped => "begin again".into(),
        }
    }
}

impl Advise for ApplyError {
    fn advice(&self) -> String {
        match self {
            Self::OtherOld => {
                "name the file that the delta was made from; delta inspect tells its digest".into()
            }
            Self::OtherNew => "the delta is damaged, or was made by a faulty tool: take another copy".into(),
            Self::Length { got, expected } if got < expected => "it is cut short: fetch it again".into(),
            Self::Length { .. } => "it was damaged or edited: take another copy".into(),
            Self::Delta(error) => error.advice(),
            Self::Read(_) => "check that both files are there, and their permissions".into(),
            Self::Write(_) => "check the permissions and the free space of the folder".into(),
        }
    }
}

impl Advise for DeltaError {
    fn advice(&self) -> String {
        match self {
            Self::Container(ContainerError::NotADelta) => "name a file that delta make wrote".into(),
            Self::Container(ContainerError::Layout(layout)) if *layout < LAYOUT => {
                "an earlier version made it: make it anew from the same files".into()
            }
            Self::Container(ContainerError::Layout(_) | ContainerError::Profile(_)) => {
                "a later version made it: use that one".into()
            }
            Self::Method { .. } => {
                "make it with a signer that links the same version, or with --without packing".into()
            }
            Self::Slot { .. } => "make it anew for this slot, with --in-place".into(),
            Self::Underway => "go on with that one".into(),
            Self::OtherOld => "take the delta from what it holds".into(),
            Self::Memory { .. } => {
                "allow more with --memory-limit, or make it anew with --profile mcu".into()
            }
            Self::Old(_) | Self::Output(_) => "check the file and its folder".into(),
            _ => "it was damaged or edited: take another copy".into(),
        }
    }
}

impl fmt::Display for MakeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, length, new_length, memory, frames, .. } = self;
        let share = percent(*length, *new_length);
        writeln!(f, "Made {}: {} bytes, {share} of the new file.", file.display(), grouped(*length))?;
        let frames =
            if *frames == 1 { "1 frame".into() } else { format!("{} frames", grouped(*frames as u64)) };
        writeln!(f, "  {frames}; a device needs {} bytes of memory to apply it", grouped(*memory))?;
        writeln!(f, "  proved: the device's own code made the new file of it")?;
        writeln!(f, "Next: perennial-signer delta inspect {}", shell_word(&file.display().to_string()))
    }
}

impl fmt::Display for ApplyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, length } = self;
        writeln!(
            f,
            "Made {} with the device's own code: {} bytes, as the delta says.",
            file.display(),
            grouped(*length)
        )
    }
}
