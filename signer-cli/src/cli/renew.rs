//! `snapshot` and `archive`

use std::path::Path;

use clap::Args;
use perennial_schemas::ident::ProductName;

use super::common::Output;
use super::proposal::Made;
use super::{CliError, Io};
use crate::release::renew::{self, LONGEST_DAYS};
use crate::repository::Repository;

#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ArchiveArgs {
    /// The product.
    product: ProductName,
    /// How long the signatures shall last, 1 to 3660 days.
    #[arg(long, default_value_t = LONGEST_DAYS, value_parser = clap::value_parser!(u16).range(1..=i64::from(LONGEST_DAYS)))]
    days: u16,
    /// Archive it although releases may still come, and a stolen server could hold devices back for years.
    #[arg(long)]
    before_support_ends: bool,
    #[command(flatten)]
    output: Output,
}

/// Proposes a new snapshot.
///
/// # Errors
/// [`CliError`]
pub(super) fn snapshot(args: &SnapshotArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let proposal = renew::snapshot(&Repository::open(repo)?, io.now())?;
    io.report(args.output.json, &Made::new(repo, &proposal, io)?)
}

/// Proposes signatures for the years after a product's end.
///
/// # Errors
/// [`CliError`]
pub(super) fn archive(args: &ArchiveArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let repository = Repository::open(repo)?;
    let proposal = renew::archive(&repository, &args.product, args.days, args.before_support_ends, io.now())?;
    io.report(args.output.json, &Made::new(repo, &proposal, io)?)
}
