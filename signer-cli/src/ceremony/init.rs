//! The first root of a repository, with its first targets role and snapshot.

use std::collections::BTreeMap;

use perennial_schemas::Timestamp;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::tuf::{Common, Extra, KeyMap, Root, TopRole};

use super::Holders;
use crate::keys::write_public;
use crate::proposal::{Kind, Proposal, ProposalBuilder, ProposalError};
use crate::repository::{Config, Repository, top};

/// Whose keys hold which role.
#[derive(Debug, Clone)]
pub struct Roles {
    /// Who may replace every key.
    pub root: Holders,
    /// Who lets teams in and out.
    pub targets: Holders,
    /// Who signs the consistent set.
    pub snapshot: Holders,
    /// Who says what is the latest: the server's online key, and an offline one.
    pub timestamp: Holders,
}

/// Makes the repository's folder, where there is none, and proposes the first root.
///
/// # Errors
/// [`ProposalError`] where something is published already, or can't be written.
pub fn propose(dir: &std::path::Path, roles: &Roles, now: Timestamp) -> Result<Proposal, ProposalError> {
    let config = dir.join("repository.toml");
    if !crate::files::exists(&config) {
        crate::files::write(&config, Config::default().to_text().as_bytes())?;
    }
    let repository = Repository::open(dir)?;
    if repository.published.is_some() {
        let what = format!("{} has a root already", dir.display());
        return Err(ProposalError::refused(
            what,
            "change it with root add-key, remove-key, threshold or rotate",
        ));
    }
    let mut keys = KeyMap::new();
    let holders = [
        (TopRole::Root, &roles.root),
        (TopRole::Targets, &roles.targets),
        (TopRole::Snapshot, &roles.snapshot),
        (TopRole::Timestamp, &roles.timestamp),
    ];
    let mut named = BTreeMap::new();
    for (role, holders) in holders {
        named.insert(role.as_str().to_owned(), holders.role_keys(&mut keys));
    }
    let expires = now.plus_days(repository.expiry_days(&top(TopRole::Root)));
    let root = Root {
        common: Common::new("root", 1, expires, Some(now)),
        consistent_snapshot: true,
        keys,
        roles: named,
        annulments: Vec::new(),
        extra: Extra::new(),
    };
    let mut builder =
        ProposalBuilder::new(&repository, Kind::RepositoryInit, "", "Make the repository's first root", now);
    builder.first_root(root);
    builder.new_role(&top(TopRole::Targets));
    let proposal = builder.write()?;
    for (_, holders) in holders {
        remember(&repository, &holders.keys)?;
    }
    Ok(proposal)
}

/// Keeps public halves in `keys/`, so that later reviews can name the keys.
///
/// # Errors
/// [`ProposalError`] where they can't be written.
pub fn remember(repository: &Repository, keys: &[KeyFile]) -> Result<(), ProposalError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    for file in keys {
        let name: String = file.label.chars().map(plain).take(40).collect();
        let short: String = file.keyid.as_str().chars().take(8).collect();
        let path = repository.dir().join("keys").join(format!("{name}-{short}.pub.json"));
        if !crate::files::exists(&path) {
            write_public(&path, &file.label, file.key.clone())?;
        }
    }
    Ok(())
}
