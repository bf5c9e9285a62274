//! `bundle`

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::progress::{Progress, size};
use super::{CliError, Io};
use crate::bundle::Plan;
use crate::proposal::{Proposal, Standing, open_proposals};
use crate::repository::Repository;
use crate::terminal::quoted;

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
    /// Proposals whose change is not in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open_proposals: Vec<String>,
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
        open_proposals: unpublished(&repository)?,
        file: args.out,
    };
    io.report(args.json, &report)
}

/// The open proposals that have something left to publish; one that can't be read is none of what was bundled, either.
fn unpublished(repository: &Repository) -> Result<Vec<String>, CliError> {
    let needed = |proposal: &Proposal| Standing::new(proposal, repository).check_needed().is_ok();
    let open = open_proposals(repository)?.into_iter();
    Ok(open.filter(|(_, read)| read.as_ref().map_or(true, needed)).map(|(id, _)| id).collect())
}

impl fmt::Display for BundleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, length, metadata_files, target_files, snapshot, open_proposals } = self;
        writeln!(f, "Wrote {}: snapshot {snapshot}, {}.", file.display(), size(*length))?;
        writeln!(f, "  {metadata_files} metadata files, {target_files} target files")?;
        match open_proposals.as_slice() {
            [] => {}
            [id] => writeln!(f, "Not in it: proposal {}, not published yet", quoted(id))?,
            several => {
                writeln!(f, "Not in it: proposals {}, not published yet", quoted(&several.join(", ")))?
            }
        }
        writeln!(f, "Next: perennial-server ingest {} --config FILE", file.display())
    }
}
