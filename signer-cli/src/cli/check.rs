//! `check`

use std::fmt;
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::common::invocation;
use super::progress::Progress;
use super::{CliError, Io};
use crate::check::{Checked, Extent, Preview, before_publish};
use crate::repository::{Repository, RepositoryError};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Read every target file, make every image from its payload, and expect every role to be current.
    #[arg(long)]
    all: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct CheckReport {
    #[serde(flatten)]
    checked: Checked,
    all: bool,
    #[serde(skip)]
    invocation: String,
}

/// Checks what is published, as `publish` does before it publishes.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(args: &CheckArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let repository = Repository::open(repo)?;
    if repository.published()?.snapshot.is_none() {
        return Err(RepositoryError::Empty(repo.into()).into());
    }
    let preview = Preview::published(&repository)?;
    let extent = if args.all { Extent::All } else { Extent::Documents };
    let bar = Progress::new(io, "reading", 0);
    let checked = before_publish(&preview, &extent, io.now(), &mut |bytes| bar.more(bytes));
    drop(bar);
    let invocation = invocation(repo);
    io.report(args.json, &CheckReport { checked: checked?, all: args.all, invocation })
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { roots, roles, targets, files, releases, expired, unproved } = &self.checked;
        writeln!(f, "A device and tough both accept what is published.")?;
        let many = |number: u64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
        let (roots, roles, targets) = (many(*roots, "root"), many(*roles, "role"), many(*targets, "target"));
        writeln!(f, "  {roots} in the chain, {roles}, {targets}")?;
        let (files, releases) = (many(*files, "file"), many(*releases, "release"));
        writeln!(f, "  {files} read and compared, {releases} made from payloads")?;
        for role in expired {
            writeln!(f, "  warning: {role} has expired, and its devices stand still: renew it")?;
        }
        for delta in unproved {
            writeln!(f, "  warning: {delta}")?;
        }
        if !self.all {
            writeln!(f, "To read payloads, too: {} check --all", self.invocation)?;
        }
        Ok(())
    }
}
