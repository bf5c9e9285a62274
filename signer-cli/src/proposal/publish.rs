//! Publishes a proposal: only new files, each written whole; the snapshot makes them count.
//!
//! Order: target files, roles, snapshot, root, timestamp. Cut short before the snapshot, what was published before
//! still counts; cut short after it, publishing once more writes the rest.

use std::collections::BTreeSet;

use perennial_schemas::limits::ROOT_LENGTH;
use perennial_schemas::tuf::{Role as _, Root, Snapshot, Targets, TopRole};
use perennial_schemas::{RoleName, Signed, Timestamp};
use serde::Serialize;

use super::{Proposal, ProposalError, Standing, rules, seal};
use crate::check::Preview;
use crate::crypto::Ring;
use crate::files;
use crate::repository::{Repository, RoleFile, authority_of, file_name};

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedFiles {
    /// The proposal.
    pub id: String,
    /// Metadata files, in the order in which they were written.
    pub metadata: Vec<String>,
    /// Target files, by consistent path.
    pub targets: Vec<String>,
}

/// A proposal with every signature, fit to be published.
#[derive(Debug)]
pub struct Sealed<'p> {
    proposal: &'p Proposal,
    repository: &'p Repository,
    metadata: Vec<(RoleName, String, Vec<u8>)>,
    targets: Vec<String>,
}

/// Checks that a proposal may be published now.
///
/// # Errors
/// [`ProposalError`] where signatures are missing, what is published has moved, something says that it was made later than `now`,
/// or a rule is broken.
pub fn seal<'p>(
    proposal: &'p Proposal,
    repository: &'p Repository,
    now: Timestamp,
) -> Result<Sealed<'p>, ProposalError> {
    let standing = Standing::new(proposal, repository);
    standing.check_needed()?;
    rules::check(proposal, repository, None)?;
    standing.check_unchanged()?;
    standing.check_base()?;
    standing.check_made(now)?;
    standing.check_snapshot_made(now)?;
    if !standing.is_ready()? {
        let id = &proposal.id;
        return Err(ProposalError::refused(
            format!("{id} can't be published yet: {}", missing(&standing)?),
            format!("perennial-signer status {id} shows who signs next"),
        ));
    }
    let mut roles = standing.bodies();
    roles.sort_by_key(|role| place(role));
    let metadata = roles
        .into_iter()
        .map(|role| {
            let name = file_name(role, proposal.version(role));
            Ok((role.clone(), name, seal::role_file(&standing, role)?))
        })
        .collect::<Result<Vec<(RoleName, String, Vec<u8>)>, ProposalError>>()?;
    for (role, name, bytes) in &metadata {
        replaces_nothing(&standing, role, name, bytes)?;
    }
    Ok(Sealed { proposal, repository, metadata, targets: files::list_all(&proposal.dir.join("targets"))? })
}

impl Sealed<'_> {
    /// The repository as it would stand.
    ///
    /// # Errors
    /// [`ProposalError`] where a published file can't be read.
    pub fn preview(&self) -> Result<Preview, ProposalError> {
        let mut preview = Preview::published(self.repository)?;
        for (role, _, bytes) in &self.metadata {
            match role.as_str() {
                "root" => preview.roots.push(bytes.clone()),
                "snapshot" => preview.snapshot.clone_from(bytes),
                "timestamp" => {}
                _ => drop(preview.roles.insert(role.clone(), bytes.clone())),
            }
        }
        preview.folders.insert(0, self.proposal.dir.join("targets"));
        Ok(preview)
    }

    /// The paths of the targets that the proposal adds, changes, or brings files for.
    pub fn new_paths(&self) -> BTreeSet<String> {
        rules::new_targets(self.proposal, self.repository).into_iter().map(|(path, _)| path.clone()).collect()
    }
}

/// Writes a proposal's files to their places and removes the proposal.
///
/// # Errors
/// [`ProposalError`] where a file can't be written; what was published before counts still, and publishing once more
/// goes on.
pub fn publish(sealed: &Sealed<'_>) -> Result<PublishedFiles, ProposalError> {
    let Sealed { proposal, repository, metadata, targets } = sealed;
    for path in targets {
        let to = repository.targets_dir().join(path);
        let from = proposal.target_file(path);
        // An earlier attempt may have been cut short while it was written: its name alone proves nothing.
        let there = files::exists(&to) && files::measure(&to)? == files::measure_foreign(&from)?;
        if !there {
            files::put_unflushed(&to, &mut files::open_foreign(&from)?)?;
        }
    }
    if !targets.is_empty() {
        files::flush(repository.dir())?;
    }
    for (_, name, bytes) in metadata {
        files::write(&repository.metadata_dir().join(name), bytes)?;
    }
    files::remove_folder(&proposal.dir)?;
    Ok(PublishedFiles {
        id: proposal.id.clone(),
        metadata: metadata.iter().map(|(_, name, _)| name.clone()).collect(),
        targets: targets.clone(),
    })
}

/// Refuses to write over a metadata file that devices may have seen: a lost snapshot makes what it named look unpublished.
/// What nobody could have believed, left by a publication that was cut short, is replaced.
fn replaces_nothing(
    standing: &Standing<'_>,
    role: &RoleName,
    name: &str,
    bytes: &[u8],
) -> Result<(), ProposalError> {
    let path = standing.repository.metadata_dir().join(name);
    if role.as_str() == TopRole::Timestamp.as_str() {
        return Ok(());
    }
    let old =
        match files::read_if_there(&path, ROOT_LENGTH.max(Targets::MAX_LENGTH).max(Snapshot::MAX_LENGTH))? {
            Some(old) if old != bytes => old,
            _ => return Ok(()),
        };
    let Some(published) = standing.published() else { return Ok(()) };
    let authority = authority_of(role, published.root.value(), |name| Some(published.role(name)?.value()));
    let Some(authority) = authority else { return Ok(()) };
    let good = match role.as_str() {
        "root" => Signed::<Root>::parse(&old).is_ok_and(|file| file.check(&authority, &Ring).is_ok()),
        "snapshot" => Signed::<Snapshot>::parse(&old).is_ok_and(|file| file.check(&authority, &Ring).is_ok()),
        _ => Signed::<Targets>::parse(&old).is_ok_and(|file| file.check(&authority, &Ring).is_ok()),
    };
    let version = match role.as_str() {
        "root" => published.root.version(),
        "snapshot" => published.snapshot.as_ref().map_or(0, RoleFile::version),
        _ => published.role(role).map_or(0, RoleFile::version),
    };
    if !good && standing.proposal.version(role) > version {
        return Ok(());
    }
    Err(ProposalError::refused(
        format!("metadata/{name} is there already, and says something else"),
        "a newer snapshot was lost, or another publication was cut short: restore the folder metadata/ from a copy that \
         you trust, or publish the other proposal first",
    ))
}

/// The order in which roles are written.
fn place(role: &RoleName) -> u8 {
    match role.as_str() {
        "snapshot" => 1,
        "root" => 2,
        "timestamp" => 3,
        _ => 0,
    }
}

fn missing(standing: &Standing<'_>) -> Result<String, ProposalError> {
    let needs = standing.needs()?;
    let one = |(name, need): (String, &super::Need)| {
        let by = need.by.map(|by| format!(" by {by}")).unwrap_or_default();
        let signatures = if need.missing() == 1 { "signature" } else { "signatures" };
        format!("{name}{by} needs {} more {signatures}", need.missing())
    };
    let missing = super::Need::together(&needs).filter(|(_, need)| !need.is_met()).map(one);
    let missing: Vec<String> = missing.collect();
    Ok(if missing.is_empty() { "the snapshot has to be signed anew".into() } else { missing.join(", ") })
}
