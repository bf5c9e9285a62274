//! Reads the small target files that people are shown and rules look into. What is read is what the role vouches for,
//! to the last byte, wherever it lies: a file's name proves nothing.

use perennial_schemas::document::Document;
use perennial_schemas::tuf::TargetFile;
use perennial_schemas::{Digest as _, Sha256Digest};

use super::consistent;
use crate::crypto::Ring;
use crate::files;
use crate::proposal::{Proposal, ProposalError};
use crate::repository::Repository;

/// A small target file of the proposal, or else of what is published; `None` where neither has it.
///
/// # Errors
/// [`ProposalError`] where the file is not the one that `target` describes, or is malformed.
pub(in crate::proposal) fn read<T: Document>(
    proposal: Option<&Proposal>,
    repository: &Repository,
    path: &str,
    target: &TargetFile,
) -> Result<Option<T>, ProposalError> {
    let Some(at) = consistent(path, target) else { return Ok(None) };
    let own =
        proposal.map(|proposal| files::read_foreign_if_there(&proposal.target_file(&at), T::MAX_LENGTH));
    let bytes = match own.transpose()?.flatten() {
        Some(bytes) => Some(bytes),
        None => files::read_if_there(&repository.targets_dir().join(&at), T::MAX_LENGTH)?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    compare(path, target, bytes.len() as u64, Ring.sha256(&bytes))?;
    Ok(Some(T::parse(&bytes)?))
}

/// Refuses a file that is not the one that a role vouches for.
pub(super) fn compare(
    path: &str,
    target: &TargetFile,
    length: u64,
    sha256: Sha256Digest,
) -> Result<(), ProposalError> {
    if (length, Some(sha256)) == (target.length, target.sha256()) {
        return Ok(());
    }
    Err(ProposalError::refused(
        format!("the file for {path} is not the one that is vouched for"),
        "somebody changed it: take a copy of the proposal and of the repository that you trust",
    ))
}
