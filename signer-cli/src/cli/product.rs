//! `product add|team|bins`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use perennial_schemas::ProductName;

use super::common::{Output, open_repository, read_keys};
use super::proposal::Made;
use super::{CliError, Io};
use crate::ceremony::Holders;
use crate::ceremony::product;
use crate::repository::Repository;
use crate::support::promise::Terms;
use crate::support::{Day, details};

/// What to do with a product.
#[derive(Debug, Subcommand)]
pub(super) enum ProductCommand {
    /// Propose a new product: its team, and until when it is supported.
    Add {
        /// Its name, such as thermostat.
        name: ProductName,
        #[command(flatten)]
        terms: TermsArgs,
        /// Where to report security problems: a TOML or JSON file with contacts, acknowledgement_days,
        /// status_update_days and perhaps policy.
        #[arg(long, value_name = "FILE")]
        contact: PathBuf,
        /// Maker, model and aftercare: a TOML file. They can be added later: support model.
        #[arg(long, value_name = "FILE")]
        model: Option<PathBuf>,
        #[command(flatten)]
        team: TeamArgs,
        #[command(flatten)]
        output: Output,
    },
    /// Propose another team for a product. What is published stays, signed anew by the new team.
    Team {
        /// The product.
        name: ProductName,
        #[command(flatten)]
        team: TeamArgs,
        #[command(flatten)]
        output: Output,
    },
    /// Propose to spread the files of a product's releases over hashed bins, so that devices load a part of a long list.
    Bins {
        /// The product.
        name: ProductName,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub(super) struct TermsArgs {
    /// The last day on which security updates are guaranteed: YYYY-MM-DD, or YYYY-MM for the last day of the month.
    #[arg(long, value_name = "DATE")]
    support_until: String,
    /// Why this date, in plain words for the public.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For a product that can't be updated: the promise is to replace it. A TOML file with rationale, isolate, terms.
    #[arg(long, value_name = "FILE")]
    replacement: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TeamArgs {
    /// Public halves of the team's keys; without them the targets role's keys.
    #[arg(long, value_name = "PUB", value_delimiter = ',')]
    key: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, value_name = "K")]
    threshold: Option<u32>,
}

pub(super) fn run(command: ProductCommand, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let (repository, _) = open_repository(repo)?;
    let now = io.now();
    let (proposal, remarks, output) = match command {
        ProductCommand::Add { name, terms, contact, model, team, output } => {
            let contact = details::read_contact(&contact)?;
            let details = model.map(|path| details::read(&path)).transpose()?.unwrap_or_default();
            let given = !team.key.is_empty() || team.threshold.is_some();
            let team = given.then(|| team.holders(&repository)).transpose()?;
            let day = Day::of_promise(&terms.support_until, now)?;
            let replacement = terms.replacement.map(|path| details::read_replacement(&path)).transpose()?;
            let terms = Terms { replacement, ..Terms::new(day.last, terms.reason) };
            let proposal = product::add(&repository, &name, &terms, contact, details, team.as_ref(), now)?;
            (proposal, day.remark(), output)
        }
        ProductCommand::Team { name, team, output } => {
            (product::team(&repository, &name, &team.holders(&repository)?, now)?, None, output)
        }
        ProductCommand::Bins { name, output } => (product::split(&repository, &name, now)?, None, output),
    };
    let made = Made::new(repo, &proposal, io)?.remarking(remarks.into_iter().collect());
    io.report(output.json, &made)
}

impl TeamArgs {
    fn holders(&self, repository: &Repository) -> Result<Holders, CliError> {
        if self.key.is_empty() {
            return Ok(Holders::of_targets(repository, self.threshold)?);
        }
        Ok(Holders::new("team", read_keys(&self.key)?, self.threshold)?)
    }
}
