//! What was promised stays promised: support dates, withdrawals, published releases.

use perennial_schemas::channel::Channel;
use perennial_schemas::support::{Support, SupportError};
use perennial_schemas::tuf::TargetFile;
use perennial_schemas::{RoleName, Sha256Digest};

use super::{Family, read};
use crate::proposal::{ProposalError, Standing};
use crate::repository::Repository;

/// Checks them for one product.
pub(super) fn check(standing: &Standing<'_>, family: &Family<'_>) -> Result<(), ProposalError> {
    support(standing, family)?;
    for (path, old) in family.before.iter().flatten() {
        let new = family.after.get(path).copied();
        if new == Some(*old) {
            continue;
        }
        if path.ends_with(".release.json") && new.is_some() {
            return Err(ProposalError::refused(
                format!("{path} is published and would change"),
                "a published release never changes: propose one with another version",
            ));
        }
        if path.ends_with(".channel.json") {
            withdrawals(standing, path, old, new)?;
        }
    }
    Ok(())
}

/// A support promise is only ever extended.
fn support(standing: &Standing<'_>, family: &Family<'_>) -> Result<(), ProposalError> {
    let role = &family.role;
    let path = format!("{role}/support.json");
    let before = published_support(standing.repository, role)?;
    let failed = |source| ProposalError::Support { product: role.to_string(), source };
    match (before, family.after.get(path.as_str())) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(ProposalError::refused(
            format!("{role} would lose its support record"),
            "what was promised stays published; keep support.json",
        )),
        (before, Some(target)) => {
            let Some(record) = read::<Support>(Some(standing.proposal), standing.repository, &path, target)?
            else {
                return Ok(());
            };
            if record.product.as_str() != role.as_str() {
                return Err(failed(SupportError::OtherProduct));
            }
            let annulments = &standing.root()?.annulments;
            record.is_backed_by(annulments).map_err(failed)?;
            let Some((before, digest)) = before else { return Ok(()) };
            record.may_follow(&before, annulments).map_err(failed)?;
            record.continues(&before, &digest).map_err(failed)
        }
    }
}

/// What devices were told to refuse they are told for ever.
fn withdrawals(
    standing: &Standing<'_>,
    path: &str,
    old: &TargetFile,
    new: Option<&TargetFile>,
) -> Result<(), ProposalError> {
    let read = |target| read::<Channel>(Some(standing.proposal), standing.repository, path, target);
    let old = read(old)?.ok_or_else(|| {
        ProposalError::refused(
            format!("the published file of {path} is missing, and with it what was withdrawn"),
            "restore the folder targets/ from a copy that you trust",
        )
    })?;
    let new = new.map(read).transpose()?.flatten();
    let kept =
        |digest| new.as_ref().is_some_and(|new| new.withdrawn.iter().any(|entry| entry.manifest == digest));
    match old.withdrawn.iter().find(|entry| !kept(entry.manifest)) {
        None => Ok(()),
        Some(entry) => Err(ProposalError::refused(
            format!("{path} would forget that {} was withdrawn", entry.version),
            "a withdrawn release stays withdrawn: propose a new version instead",
        )),
    }
}

/// The support record of a product as it is published, and the digest of its file.
///
/// # Errors
/// [`ProposalError`] where it can't be read.
pub fn published_support(
    repository: &Repository,
    role: &RoleName,
) -> Result<Option<(Support, Sha256Digest)>, ProposalError> {
    let path = format!("{role}/support.json");
    let file = repository.published.as_ref().and_then(|published| published.role(role));
    let target = file.and_then(|file| file.value().targets.get(&path));
    let Some(target) = target else { return Ok(None) };
    let record = read::<Support>(None, repository, &path, target)?;
    record.zip(target.sha256()).map(Some).ok_or_else(|| {
        ProposalError::refused(
            format!("the published file of {path} is missing"),
            "restore the folder targets/ from a copy that you trust",
        )
    })
}
