//! What may be published at all, whoever signs it. Checked when a proposal is made, before each signature, and before
//! it is published.

use perennial_schemas::document::Document as _;
use perennial_schemas::support::Support;
use perennial_schemas::tuf::Targets;
use perennial_schemas::{RoleName, Signed, TargetPath};

use super::{Proposal, ProposalError};
use crate::files;
use crate::repository::Repository;

/// Checks every rule.
///
/// # Errors
/// [`ProposalError`] with the first rule that is broken.
pub fn check(proposal: &Proposal, repository: &Repository) -> Result<(), ProposalError> {
    for (role, body) in &proposal.roles {
        support(proposal, repository, role, body)?;
    }
    Ok(())
}

/// A support promise is only ever extended.
fn support(
    proposal: &Proposal,
    repository: &Repository,
    role: &RoleName,
    body: &Signed<Targets>,
) -> Result<(), ProposalError> {
    let path = format!("{role}/support.json");
    let before = published_support(repository, role)?;
    let Some(target) = body.unverified().targets.get(&path) else {
        return match before {
            None => Ok(()),
            Some(_) => Err(ProposalError::refused(
                format!("{role} would lose its support record"),
                "what was promised stays published; keep support.json",
            )),
        };
    };
    let Some(consistent) = consistent(&path, target) else { return Ok(()) };
    let Some(bytes) = files::read_if_there(&proposal.target_file(&consistent), Support::MAX_LENGTH)? else {
        return Ok(());
    };
    let record = Support::parse(&bytes)?;
    match before {
        Some(before) => record
            .may_follow(&before)
            .map_err(|source| ProposalError::Support { product: role.to_string(), source }),
        None => Ok(()),
    }
}

/// The support record of a product as it is published.
///
/// # Errors
/// [`ProposalError`] where it can't be read.
pub fn published_support(repository: &Repository, role: &RoleName) -> Result<Option<Support>, ProposalError> {
    let path = format!("{role}/support.json");
    let file = repository.published.as_ref().and_then(|published| published.role(role));
    let target = file.and_then(|file| file.value().targets.get(&path));
    let Some(consistent) = target.and_then(|target| consistent(&path, target)) else { return Ok(None) };
    let bytes = files::read(&repository.targets_dir().join(consistent), Support::MAX_LENGTH)?;
    Ok(Some(Support::parse(&bytes)?))
}

/// Where a target's file lies, under `targets/`.
pub(super) fn consistent(path: &str, target: &perennial_schemas::tuf::TargetFile) -> Option<String> {
    let path: TargetPath = path.parse().ok()?;
    Some(path.consistent(&target.sha256()?.to_string()))
}
