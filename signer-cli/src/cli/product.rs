//! `product add|extend|team|bins`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use perennial_schemas::{Date, ProductName};

use super::common::{Output, open_repository, parse_date, read_keys};
use super::proposal::Made;
use super::{CliError, Io};
use crate::ceremony::Holders;
use crate::ceremony::product::{self, Terms};
use crate::repository::Repository;

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
        #[command(flatten)]
        team: TeamArgs,
        #[command(flatten)]
        output: Output,
    },
    /// Propose a longer support period.
    Extend {
        /// The product.
        name: ProductName,
        #[command(flatten)]
        terms: TermsArgs,
        /// Another contact for security problems.
        #[arg(long, value_name = "FILE")]
        contact: Option<PathBuf>,
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
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    support_until: Date,
    /// Why this date, in plain words for the public.
    #[arg(long, value_name = "TEXT")]
    reason: String,
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
    let (proposal, output) = match command {
        ProductCommand::Add { name, terms, contact, team, output } => {
            let contact = product::read_contact(&contact)?;
            let given = !team.key.is_empty() || team.threshold.is_some();
            let team = given.then(|| team.holders(&repository)).transpose()?;
            (product::add(&repository, &name, &terms.terms(), contact, team.as_ref(), now)?, output)
        }
        ProductCommand::Extend { name, terms, contact, output } => {
            let contact = contact.map(|path| product::read_contact(&path)).transpose()?;
            (product::extend(&repository, &name, &terms.terms(), contact, now)?, output)
        }
        ProductCommand::Team { name, team, output } => {
            (product::team(&repository, &name, &team.holders(&repository)?, now)?, output)
        }
        ProductCommand::Bins { name, output } => (product::split(&repository, &name, now)?, output),
    };
    {
        let made = Made::new(repo, &proposal, io)?;
        io.report(output.json, &made)
    }
}

impl TermsArgs {
    fn terms(self) -> Terms {
        Terms { until: self.support_until, reason: self.reason }
    }
}

impl TeamArgs {
    fn holders(&self, repository: &Repository) -> Result<Holders, CliError> {
        if self.key.is_empty() {
            return Ok(Holders::of_targets(repository, self.threshold)?);
        }
        Ok(Holders::new("team", read_keys(&self.key)?, self.threshold)?)
    }
}
