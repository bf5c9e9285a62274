//! `bundle`

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::progress::{Progress, size};
use super::{CliError, Io};
use crate::bundle::Plan;
use crate::repository::Repository;

#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// The file to write.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct BundleReport {
    file: PathBuf,
    length: u64,
    metadata_files: u64,
    target_files: u64,
    snapshot: u64,
}

/// Writes what is published into one file for a server.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(args: BundleArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let repository = Repository::open(repo)?;
    let plan = Plan::new(&repository)?;
    let bar = Progress::new(io, "bundle", plan.header().contents_length());
    let length = plan.write(&args.out, &mut |bytes| bar.more(bytes));
    drop(bar);
    let files = &plan.header().files;
    let metadata_files =
        files.iter().filter(|file| file.path.as_str().starts_with("metadata/")).count() as u64;
    let report = BundleReport {
        length: length?,
        metadata_files,
        target_files: files.len() as u64 - metadata_files,
        snapshot: repository.published()?.snapshot.as_ref().map_or(0, |snapshot| snapshot.version()),
        file: args.out,
    };
    io.report(args.json, &report)
}

impl fmt::Display for BundleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, length, metadata_files, target_files, snapshot } = self;
        writeln!(f, "Wrote {}: snapshot {snapshot}, {}.", file.display(), size(*length))?;
        writeln!(f, "  {metadata_files} metadata files, {target_files} target files")?;
        writeln!(f, "Next: perennial-server ingest {}", file.display())
    }
}
