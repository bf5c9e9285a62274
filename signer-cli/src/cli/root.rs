//! `root show|add-key|remove-key|threshold|rotate`

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use perennial_schemas::RoleName;
use perennial_schemas::tuf::TopRole;
use serde::Serialize;

use super::common::{Output, open_repository, read_keys};
use super::proposal::Made;
use super::{CliError, Io};
use crate::ceremony::root::{self, Change, find_key};
use crate::keys::{Labels, read_public};
use crate::repository::Repository;

/// What to do with the keys of the root's roles and of products' teams.
#[derive(Debug, Subcommand)]
pub(super) enum RootCommand {
    /// List the keys of every role.
    Show {
        #[command(flatten)]
        output: Output,
    },
    /// Propose more keys for a role.
    AddKey {
        /// Public halves.
        #[arg(required = true, value_name = "PUB")]
        keys: Vec<PathBuf>,
        /// root, targets, snapshot, timestamp, or a product.
        #[arg(long)]
        role: RoleName,
        /// How many must sign from then on; without it as before.
        #[arg(long, value_name = "K")]
        threshold: Option<u32>,
        #[command(flatten)]
        output: Output,
    },
    /// Propose to remove a key that was lost or stolen, or whose holder left.
    RemoveKey {
        /// Its label, or the beginning of its key id.
        key: String,
        /// root, targets, snapshot, timestamp, or a product; without it every role that has the key.
        #[arg(long)]
        role: Option<RoleName>,
        /// How many must sign from then on; without it as before.
        #[arg(long, value_name = "K")]
        threshold: Option<u32>,
        #[command(flatten)]
        output: Output,
    },
    /// Propose how many keys of a role must sign.
    Threshold {
        /// How many.
        threshold: u32,
        /// root, targets, snapshot, timestamp, or a product.
        #[arg(long)]
        role: RoleName,
        #[command(flatten)]
        output: Output,
    },
    /// Propose to replace a key by another in every role that has it.
    Rotate {
        /// The label of the key that leaves, or the beginning of its key id.
        old: String,
        /// The public half of the key that comes.
        new: PathBuf,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) fn run(command: RootCommand, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let (repository, labels) = open_repository(repo)?;
    let (change, output) = match command {
        RootCommand::Show { output } => return io.report(output.json, &Holdings::new(&repository, &labels)?),
        RootCommand::AddKey { keys, role, threshold, output } => {
            (Change::Add { role, keys: read_keys(&keys)?, threshold }, output)
        }
        RootCommand::RemoveKey { key, role, threshold, output } => {
            (Change::Remove { role, key: find_key(&repository, &labels, &key)?, threshold }, output)
        }
        RootCommand::Threshold { threshold, role, output } => (Change::Threshold { role, threshold }, output),
        RootCommand::Rotate { old, new, output } => {
            let old = find_key(&repository, &labels, &old)?;
            (Change::Replace { old, new: Box::new(read_public(&new)?) }, output)
        }
    };
    let proposal = root::propose(&repository, &change, &labels, io.now())?;
    {
        let made = Made::new(repo, &proposal, io)?;
        io.report(output.json, &made)
    }
}

#[derive(Serialize)]
struct Holdings {
    roles: Vec<Holding>,
}

#[derive(Serialize)]
struct Holding {
    role: String,
    threshold: u32,
    keys: Vec<HeldKey>,
}

#[derive(Serialize)]
struct HeldKey {
    label: String,
    keyid: String,
}

impl Holdings {
    fn new(repository: &Repository, labels: &Labels) -> Result<Self, CliError> {
        let published = repository.published()?;
        let root = published.root.value();
        let of_root = TopRole::ALL.map(|role| root.authority(role));
        let delegations = published.targets().and_then(|targets| targets.value().delegations.as_ref());
        let products = published.products();
        let teams = products.iter().filter_map(|role| delegations?.authority(role));
        let roles = of_root.into_iter().chain(teams).map(|authority| Holding {
            role: authority.role().into(),
            threshold: authority.threshold(),
            keys: authority
                .keys()
                .map(|(id, _)| HeldKey { label: labels.label(id).into(), keyid: id.to_string() })
                .collect(),
        });
        Ok(Self { roles: roles.collect() })
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for role in &self.roles {
            writeln!(f, "{}: {} of {} keys must sign", role.role, role.threshold, role.keys.len())?;
            role.keys.iter().try_for_each(|key| writeln!(f, "  {}  {}", key.keyid, key.label))?;
        }
        Ok(())
    }
}
