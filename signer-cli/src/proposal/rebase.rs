//! Renews a proposal upon what is published now. Its signatures are dropped: what they said is no longer so.

use std::collections::BTreeSet;

use perennial_schemas::tuf::{Role, Root, Targets, TopRole};
use perennial_schemas::{Json, RoleName, Timestamp};
use serde::Serialize;

use super::builder::{Content, ProposalBuilder};
use super::channels::{self, MergedChannel};
use super::merge::{Conflict, merge};
use super::{Base, Proposal, ProposalError};
use crate::files;
use crate::repository::{Repository, RoleFile, file_name, top};

/// Makes a new proposal of what this one changed, upon what is published now, and removes the old one.
///
/// # Errors
/// [`ProposalError`] where both changed the same thing, or where the base is not in this repository.
pub fn rebase(
    proposal: &Proposal,
    repository: &Repository,
    now: Timestamp,
) -> Result<Proposal, ProposalError> {
    super::Standing::new(proposal, repository).check_needed()?;
    let about = &proposal.about;
    let mut builder = ProposalBuilder::new(repository, about.kind, &subject(proposal), &about.summary, now);
    if about.snapshot {
        builder.renew_snapshot();
    }
    builder.lasting(about.snapshot_days, about.timestamp_days);
    if let Some(root) = &proposal.root {
        let role = top(TopRole::Root);
        let theirs = repository.published.as_ref().map(|published| published.root.value());
        let merged = three_way(proposal, repository, &role, theirs, root.unverified())?;
        match theirs {
            Some(_) => builder.edit_root(|root| *root = keep_common(merged, root))?,
            None => builder.first_root(merged),
        }
    }
    let mut replaced = BTreeSet::new();
    for (role, body) in &proposal.roles {
        let theirs = repository.published.as_ref().and_then(|published| published.role(role));
        let theirs = theirs.map(RoleFile::value);
        let mut ours = body.unverified().clone();
        let channels = channels_of(proposal, repository, role, theirs, &mut ours)?;
        let merged = three_way(proposal, repository, role, theirs, &ours)?;
        if theirs.is_none() {
            builder.new_role(role);
        }
        builder.edit_role(role, |targets| {
            let common = targets.common.clone();
            *targets = Targets { common, ..merged };
        })?;
        for channel in channels {
            builder.put_target(role, &channel.path, Content::Bytes(channel.text))?;
            replaced.insert(channel.replaces);
        }
    }
    let files = files::list_all(&proposal.dir.join("targets"))?;
    for path in files.into_iter().filter(|path| !replaced.contains(path)) {
        builder.bring(&path, Content::file(proposal.target_file(&path))?);
    }
    let renewed = builder.write()?;
    files::remove_folder(&proposal.dir)?;
    Ok(renewed)
}

fn keep_common(merged: Root, renewed: &Root) -> Root {
    Root { common: renewed.common.clone(), ..merged }
}

/// Channels that both sides changed are merged by what they say, not as files; in `ours` they then stand as published.
pub(super) fn channels_of(
    proposal: &Proposal,
    repository: &Repository,
    role: &RoleName,
    theirs: Option<&Targets>,
    ours: &mut Targets,
) -> Result<Vec<MergedChannel>, ProposalError> {
    let base = proposal.about.base.get(role).and_then(Option::as_ref);
    let (Some(base), Some(theirs)) = (base, theirs) else { return Ok(Vec::new()) };
    let base = read_base::<Targets>(repository, role, base)?;
    let merged = channels::merge(proposal, repository, &base, theirs, ours)?;
    for channel in &merged {
        let published = theirs.targets.get(channel.path.as_str()).cloned();
        ours.targets.extend(published.map(|published| (channel.path.as_str().to_owned(), published)));
    }
    Ok(merged)
}

/// What the proposal changed in a role since its base, applied to what is published now.
pub(super) fn three_way<T: Role + Serialize + Clone>(
    proposal: &Proposal,
    repository: &Repository,
    role: &RoleName,
    theirs: Option<&T>,
    ours: &T,
) -> Result<T, ProposalError> {
    let base = match proposal.about.base.get(role).and_then(Option::as_ref) {
        Some(base) => Some(read_base::<T>(repository, role, base)?),
        None => None,
    };
    if theirs.is_none() {
        return Ok(ours.clone());
    }
    let (base, theirs, ours) =
        (base.as_ref().map(json).transpose()?, theirs.map(json).transpose()?, json(ours)?);
    if base.is_none() {
        return Err(conflict(role, "somebody else has published it for the first time"));
    }
    match merge("", base.as_ref(), theirs.as_ref(), Some(&ours)) {
        Ok(Some(merged)) => typed(&merged),
        Ok(None) => Err(conflict(role, "it would be empty")),
        Err(Conflict(place)) => Err(conflict(role, &format!("both changed {place}"))),
    }
}

fn conflict(role: &RoleName, why: &str) -> ProposalError {
    ProposalError::refused(
        format!("{role} can't be rebased: {why}"),
        "remove the proposal's folder and propose the change again, upon what is published now",
    )
}

/// A value without what every version has anew.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Json, ProposalError> {
    let text = serde_json::to_vec(value).map_err(shape)?;
    let mut json = Json::parse(&text).map_err(perennial_schemas::FormatError::from)?;
    if let Json::Object(members) = &mut json {
        members.insert("version".into(), Json::Integer(1));
        members.insert("expires".into(), Json::String(Timestamp::EPOCH.to_string()));
        members.remove("signed_at");
    }
    Ok(json)
}

fn typed<T: Role>(json: &Json) -> Result<T, ProposalError> {
    let text = serde_json::to_vec(json).map_err(shape)?;
    serde_json::from_slice(&text).map_err(shape)
}

fn shape(error: serde_json::Error) -> ProposalError {
    perennial_schemas::FormatError::shape("proposal", error.to_string()).into()
}

fn read_base<T: Role + Clone>(
    repository: &Repository,
    role: &RoleName,
    base: &Base,
) -> Result<T, ProposalError> {
    let path = repository.metadata_dir().join(file_name(role, base.version));
    let file = RoleFile::<T>::parse(files::read(&path, T::MAX_LENGTH)?, &path)?;
    if file.sha256() == base.sha256 {
        return Ok(file.value().clone());
    }
    Err(ProposalError::refused(
        format!("the proposal was built on another {role} {} than this repository has", base.version),
        "rebase it in the repository that it was made for",
    ))
}

/// The middle of an id, between the kind and the digits.
fn subject(proposal: &Proposal) -> String {
    let kind = format!("-{}-", proposal.about.kind);
    let after = proposal.id.split_once(&kind).map(|(_, after)| after);
    after.and_then(|after| after.rsplit_once('-')).map(|(subject, _)| subject.to_owned()).unwrap_or_default()
}
