//! What may be published at all, whoever signs it. Checked when a proposal is made, before each signature, and before
//! it is published.

mod documents;
mod promises;
mod releases;
mod roles;

use perennial_schemas::TargetPath;
use perennial_schemas::tuf::TargetFile;

pub(super) use documents::read;
pub use promises::published_support;

use super::{Proposal, ProposalError, Standing};
use crate::repository::Repository;

/// Checks every rule but the digests of large files.
///
/// # Errors
/// [`ProposalError`] with the first rule that is broken.
pub fn check(proposal: &Proposal, repository: &Repository) -> Result<(), ProposalError> {
    let standing = Standing::new(proposal, repository);
    standing.check_days()?;
    roles::check(&standing)?;
    for (role, body) in &proposal.roles {
        promises::check(&standing, role, body.unverified())?;
        releases::check(&standing, role, body.unverified())?;
    }
    Ok(())
}

/// Checks that the target files that a proposal adds or changes are those that it vouches for, to the last byte,
/// whether it brings them along or builds on files that lie in the repository already.
///
/// # Errors
/// [`ProposalError`] with the first that isn't, or is missing.
pub fn check_files(
    proposal: &Proposal,
    repository: &Repository,
    read: &mut dyn FnMut(u64),
) -> Result<(), ProposalError> {
    for (path, target) in new_targets(proposal, repository) {
        let Some(at) = consistent(path, target) else { continue };
        let own = proposal.target_file(&at);
        let file = if crate::files::exists(&own) { own } else { repository.targets_dir().join(&at) };
        let (length, sha256) = crate::files::measure(&file)?;
        read(length);
        documents::compare(path, target, length, sha256)?;
    }
    Ok(())
}

/// The targets that a proposal adds, changes, or brings files for.
pub(super) fn new_targets<'p>(
    proposal: &'p Proposal,
    repository: &'p Repository,
) -> impl Iterator<Item = (&'p String, &'p TargetFile)> {
    let published = move |role| Some(repository.published.as_ref()?.role(role)?.value());
    proposal.roles.iter().flat_map(move |(role, body)| {
        let before = published(role);
        body.unverified().targets.iter().filter(move |(path, target)| {
            let same = before.and_then(|before| before.targets.get(*path)) == Some(*target);
            let brought = || {
                consistent(path, target).is_some_and(|at| crate::files::exists(&proposal.target_file(&at)))
            };
            !same || brought()
        })
    })
}

/// Where a target's file lies, under `targets/`.
pub(super) fn consistent(path: &str, target: &TargetFile) -> Option<String> {
    let path: TargetPath = path.parse().ok()?;
    Some(path.consistent(&target.sha256()?.to_string()))
}
