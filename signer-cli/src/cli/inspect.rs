//! `inspect`

use std::path::Path;

use clap::Args;

use super::common::Output;
use super::{CliError, Io};
use crate::files;
use crate::inspect::{InspectError, of_file, of_target};
use crate::repository::Repository;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A file of ours, or a published target such as thermostat/2.1.0.release.json.
    #[arg(value_name = "FILE|TARGET")]
    what: String,
    #[command(flatten)]
    output: Output,
}

/// Shows a file or target in plain words.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(args: &InspectArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let path = Path::new(&args.what);
    let inspected = if files::exists(path) {
        of_file(path)?
    } else {
        // Without a repository the name can only have meant a file.
        let repository = Repository::open(repo).map_err(|_| InspectError::NotFound(args.what.clone()))?;
        of_target(&repository, &args.what)?
    };
    io.report(args.output.json, &inspected)
}
