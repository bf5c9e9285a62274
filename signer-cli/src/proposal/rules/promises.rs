//! What was promised stays promised: support dates, withdrawals, published releases.

use perennial_schemas::channel::Channel;
use perennial_schemas::release::Release;
use perennial_schemas::support::{Support, SupportError};
use perennial_schemas::tuf::TargetFile;
use perennial_schemas::{RoleName, Sha256Digest, Timestamp};

use super::{Family, names, read};
use crate::proposal::{ProposalError, Standing};
use crate::repository::{Repository, bins};
use crate::support::gtins;

/// Checks them for one product.
pub(super) fn check(
    standing: &Standing<'_>,
    family: &Family<'_>,
    clock: Option<Timestamp>,
) -> Result<(), ProposalError> {
    stand_in_their_place(family)?;
    // Whoever was overtaken is told to rebase, by `check_base`, and not that a promise is missing; then this is asked again.
    if !family.moved {
        support(standing, family, clock)?;
    }
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
        if path.ends_with(".channel.json") && !family.moved {
            withdrawals(standing, path, old, new)?;
        }
    }
    Ok(())
}

/// Records, channels and manifests are judged and shown as those of the product under whose name they lie: elsewhere nobody
/// would look at what they say.
fn stand_in_their_place(family: &Family<'_>) -> Result<(), ProposalError> {
    let role = &family.role;
    let own = format!("{role}/");
    let judged = |path: &str| {
        ["/support.json", ".channel.json", ".release.json"].iter().any(|end| path.ends_with(end))
    };
    let before = family.before.as_ref();
    let odd = family.after.iter().find(|(path, target)| {
        let same = before.is_some_and(|before| before.get(*path) == Some(*target));
        !same && judged(path) && !path.starts_with(&own)
    });
    match odd {
        None => Ok(()),
        Some((path, _)) => Err(ProposalError::refused(
            format!("{role} would list {path}, which only the product's own role may"),
            "propose it for the product under whose name it lies",
        )),
    }
}

/// A support promise is only ever extended, and nothing in a new record is dated ahead of the clock.
fn support(
    standing: &Standing<'_>,
    family: &Family<'_>,
    clock: Option<Timestamp>,
) -> Result<(), ProposalError> {
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
            gtins::check(standing.repository, before.as_ref().map(|(before, _)| before), &record)?;
            let old = before.as_ref().map(|(before, _)| before);
            names::cohorts(role, old, &record)?;
            gtins::check_beside(old, &record, || beside(standing, role))?;
            if let Some(clock) = clock {
                record.dated_by(old, clock).map_err(failed)?;
            }
            let Some((before, digest)) = before else { return begins(role, &record) };
            record.may_follow(&before, annulments).map_err(failed)?;
            record.continues(&before, &digest).map_err(failed)
        }
    }
}

/// A product's first record has the first number, and names none before it: a high one would leave none to those that follow.
fn begins(role: &RoleName, record: &Support) -> Result<(), ProposalError> {
    if record.sequence == 1 && record.previous.is_none() {
        return Ok(());
    }
    Err(ProposalError::refused(
        format!("the first support record of {role} would have the number {}", record.sequence),
        "a first record has the number 1, and none before it: propose it again",
    ))
}

/// The support records of other products that the same proposal brings.
fn beside(standing: &Standing<'_>, role: &RoleName) -> Result<Vec<Support>, ProposalError> {
    let others = standing.proposal.roles.iter().filter(|(other, _)| *other != role);
    let records = others.filter_map(|(other, body)| {
        let path = format!("{other}/support.json");
        let target = body.unverified().targets.get(&path)?;
        read::<Support>(Some(standing.proposal), standing.repository, &path, target).transpose()
    });
    records.collect()
}

/// What root has taken back it has taken back for ever, in the same words. What it takes back now, the product's record
/// says, too: else devices would go on believing the promise.
pub(super) fn annulments(standing: &Standing<'_>) -> Result<(), ProposalError> {
    let Some(after) = standing.proposal.root.as_ref().map(|root| &root.unverified().annulments) else {
        return Ok(());
    };
    let before = standing.published().map_or(&[][..], |published| &published.root.value().annulments);
    if !after.starts_with(before) {
        return Err(ProposalError::refused(
            "the root would forget or change a promise that it has annulled",
            "what root took back stays taken back: take a copy of the proposal that you trust",
        ));
    }
    for annulment in &after[before.len()..] {
        let role = RoleName::from(&annulment.product);
        let path = format!("{role}/support.json");
        let target = standing.proposal.roles.get(&role).and_then(|body| body.unverified().targets.get(&path));
        let record =
            target.map(|target| read::<Support>(Some(standing.proposal), standing.repository, &path, target));
        let record = record.transpose()?.flatten();
        if !record.is_some_and(|record| record.annulled.contains(annulment)) {
            let (number, product) = (annulment.promise, &annulment.product);
            return Err(ProposalError::refused(
                format!(
                    "root would annul promise {number} of {product}, and the product's record does not say so"
                ),
                format!("propose both at once: support annul {product} --promise {number} --reason TEXT"),
            ));
        }
    }
    Ok(())
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

/// The manifests of a product's releases as they are published.
///
/// # Errors
/// [`ProposalError`] where one can't be read.
pub fn published_releases(repository: &Repository, role: &RoleName) -> Result<Vec<Release>, ProposalError> {
    let published = repository.published.as_ref();
    let targets = bins::targets(role, |name| Some(published?.role(name)?.value()));
    let manifests = targets.into_iter().filter(|(path, _)| path.ends_with(".release.json"));
    manifests.filter_map(|(path, target)| read(None, repository, path, target).transpose()).collect()
}
