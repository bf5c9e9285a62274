//! What may be published at all, whoever signs it. Checked when a proposal is made, before each signature, and before
//! it is published.

mod bins;
mod documents;
mod family;
mod names;
mod promises;
mod releases;
mod roles;

use perennial_schemas::tuf::TargetFile;
use perennial_schemas::{TargetPath, Timestamp};

pub(super) use documents::read;
pub(super) use family::Family;
pub use promises::{published_releases, published_support};

use super::{Proposal, ProposalError, Standing};
use crate::files;
use crate::repository::Repository;

/// Checks every rule but the digests of large files. `clock` is that of whoever signs: no support record may be dated ahead
/// of it, as whoever carries a draft could write any day into it.
///
/// # Errors
/// [`ProposalError`] with the first rule that is broken.
pub fn check(
    proposal: &Proposal,
    repository: &Repository,
    clock: Option<Timestamp>,
) -> Result<(), ProposalError> {
    let standing = Standing::new(proposal, repository);
    standing.check_days()?;
    roles::check(&standing)?;
    bins::check(&standing)?;
    promises::annulments(&standing)?;
    for family in Family::all(&standing) {
        names::product(&family)?;
        promises::check(&standing, &family, clock)?;
        releases::check(&standing, &family)?;
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
        let (length, sha256) = match files::exists(&own) {
            true => files::measure_foreign(&own)?,
            false => files::measure(&repository.targets_dir().join(&at))?,
        };
        read(length);
        documents::compare(path, target, length, sha256)?;
    }
    Ok(())
}

/// The targets that a proposal adds, changes, or brings files for. One that only moves between the role and the bins of
/// its product is none of them.
pub(super) fn new_targets<'p>(
    proposal: &'p Proposal,
    repository: &'p Repository,
) -> Vec<(&'p String, &'p TargetFile)> {
    let families = Family::all(&Standing::new(proposal, repository));
    let mut new = Vec::new();
    for (role, body) in &proposal.roles {
        let before =
            families.iter().find(|family| family.has(role)).and_then(|family| family.before.as_ref());
        new.extend(body.unverified().targets.iter().filter(|(path, target)| {
            let same = before.and_then(|before| before.get(path.as_str())) == Some(target);
            let brought =
                || consistent(path, target).is_some_and(|at| files::exists(&proposal.target_file(&at)));
            !same || brought()
        }));
    }
    new
}

/// Where a target's file lies, under `targets/`.
pub(super) fn consistent(path: &str, target: &TargetFile) -> Option<String> {
    let path: TargetPath = path.parse().ok()?;
    Some(path.consistent(&target.sha256()?.to_string()))
}
