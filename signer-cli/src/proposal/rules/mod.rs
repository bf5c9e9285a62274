//! What may be published at all, whoever signs it. Checked when a proposal is made, before each signature, and before
//! it is published.

mod promises;
mod roles;

use perennial_schemas::TargetPath;
use perennial_schemas::tuf::TargetFile;

pub use promises::published_support;
pub(super) use promises::read;

use super::{Proposal, ProposalError, Standing};
use crate::repository::Repository;

/// Checks every rule but the digests of large files.
///
/// # Errors
/// [`ProposalError`] with the first rule that is broken.
pub fn check(proposal: &Proposal, repository: &Repository) -> Result<(), ProposalError> {
    let standing = Standing::new(proposal, repository);
    roles::check(&standing)?;
    for (role, body) in &proposal.roles {
        promises::check(&standing, role, body.unverified())?;
    }
    Ok(())
}

/// Checks that the target files of a proposal are those that it vouches for, to the last byte.
///
/// # Errors
/// [`ProposalError`] with the first that isn't.
pub fn check_files(proposal: &Proposal, read: &mut dyn FnMut(u64)) -> Result<(), ProposalError> {
    for (path, target) in proposal.roles.values().flat_map(|body| &body.unverified().targets) {
        let Some(file) = consistent(path, target).map(|at| proposal.target_file(&at)) else { continue };
        if !crate::files::exists(&file) {
            continue;
        }
        let (length, sha256) = crate::files::measure(&file)?;
        read(length);
        if (length, Some(sha256)) != (target.length, target.sha256()) {
            return Err(ProposalError::refused(
                format!("the proposal's file for {path} is not the one that it vouches for"),
                "somebody changed it: take a copy of the proposal that you trust",
            ));
        }
    }
    Ok(())
}

/// Where a target's file lies, under `targets/`.
pub(super) fn consistent(path: &str, target: &TargetFile) -> Option<String> {
    let path: TargetPath = path.parse().ok()?;
    Some(path.consistent(&target.sha256()?.to_string()))
}
