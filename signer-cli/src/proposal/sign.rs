//! Adds the signatures of one key to a proposal: a file each, so that copies can be merged.

use std::path::PathBuf;

use perennial_schemas::document::Document as _;
use perennial_schemas::signed::to_text;
use perennial_schemas::tuf::Key;
use perennial_schemas::{Digest as _, KeyId, RoleName, Timestamp};
use serde::Serialize;

use super::standing::top_names;
use super::{Proposal, ProposalError, SignatureFile, Standing, rules, seal};
use crate::crypto::Ring;
use crate::files;
use crate::keys::{SecretKey, shortened};
use crate::repository::Repository;

/// What a key has signed just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// The role.
    pub role: RoleName,
    /// The version.
    pub version: u64,
}

/// Signs everything in the proposal that this key may sign and has not signed yet. Once every role has its signatures
/// and the key may sign snapshots, it makes the snapshot and signs it; after that, and if the key may, a timestamp.
///
/// # Errors
/// [`ProposalError`] where the proposal breaks a rule, was changed, doesn't fit what is published, or asks for nothing
/// of this key. Nothing is signed then.
pub fn sign(
    proposal: &Proposal,
    repository: &Repository,
    key: &SecretKey,
    now: Timestamp,
) -> Result<Vec<Signed>, ProposalError> {
    let mut proposal = as_reviewed(proposal)?;
    let standing = Standing::new(&proposal, repository);
    standing.check_needed()?;
    rules::check(&proposal, repository, Some(now))?;
    standing.check_unchanged()?;
    standing.check_base()?;
    standing.check_made(now)?;
    let public = key.public();
    let mut made = Vec::new();
    for role in
        standing.bodies().into_iter().filter(|role| !matches!(role.as_str(), "snapshot" | "timestamp"))
    {
        made.extend(sign_role(&standing, role, key, &public, now)?);
    }
    proposal.signatures.extend(made.iter().cloned());
    made.extend(sign_snapshot(&mut proposal, repository, key, now)?);
    made.extend(sign_timestamp(&mut proposal, repository, key, now)?);
    if made.is_empty() {
        return Err(nothing_to_sign(&proposal, repository, &public)?);
    }
    let mut done: Vec<Signed> =
        made.into_iter().map(|file| Signed { role: file.role, version: file.version }).collect();
    done.dedup();
    Ok(done)
}

/// The proposal as it lies there now, if it still says what was reviewed. From here on nothing of it is read again: what
/// is signed is what is in memory, whoever writes in the folder meanwhile.
fn as_reviewed(reviewed: &Proposal) -> Result<Proposal, ProposalError> {
    let current = reviewed.again()?;
    let names = top_names();
    let top = [&names.root, &names.snapshot, &names.timestamp];
    let same = |role: &RoleName| current.digest(role) == reviewed.digest(role);
    if current.about == reviewed.about && current.roles.keys().chain(top).all(same) {
        return Ok(current);
    }
    Err(ProposalError::refused(
        format!("{} was changed since it was shown, and nothing was signed", reviewed.id),
        "find out who changed it, and review it again",
    ))
}

/// Where the signature of a key over a role lies.
pub(super) fn signature_path(proposal: &Proposal, role: &RoleName, keyid: &KeyId) -> PathBuf {
    // Ids of other tools are opaque, and may hold what no file name can.
    let plain = keyid.as_str().len() == 64 && keyid.as_str().bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if plain { keyid.to_string() } else { Ring.sha256(keyid.as_str().as_bytes()).to_string() };
    proposal.dir.join("signatures").join(format!("{}.{id}.json", role.file_name()))
}

fn sign_role(
    standing: &Standing<'_>,
    role: &RoleName,
    key: &SecretKey,
    public: &Key,
    now: Timestamp,
) -> Result<Vec<SignatureFile>, ProposalError> {
    let mut made = Vec::new();
    let authorities = standing.authorities_of(role)?;
    for id in authorities
        .iter()
        .flat_map(|authority| authority.keys())
        .filter(|(_, k)| same_key(k, public))
        .map(|(id, _)| id)
    {
        let there = standing.good_signature(role, id, public).is_some();
        let (Some(bytes), Some(sha256), false) =
            (standing.proposal.canonical(role), standing.proposal.digest(role), there)
        else {
            continue;
        };
        let version = standing.proposal.version(role);
        let file = SignatureFile {
            format: SignatureFile::FORMAT.into(),
            requires: Vec::new(),
            role: role.clone(),
            version,
            sha256,
            keyid: id.clone(),
            sig: key.sign(bytes),
            signed_at: now,
        };
        files::write(&signature_path(standing.proposal, role, id), &to_text(&file)?)?;
        made.push(file);
    }
    Ok(made)
}

fn sign_snapshot(
    proposal: &mut Proposal,
    repository: &Repository,
    key: &SecretKey,
    now: Timestamp,
) -> Result<Vec<SignatureFile>, ProposalError> {
    let standing = Standing::new(proposal, repository);
    let role = &top_names().snapshot;
    let public = key.public();
    if !may_sign(&standing, role, &public)? || !proposal.about.snapshot || !standing.roles_are_signed()? {
        return Ok(Vec::new());
    }
    if standing.snapshot_to_sign(now)?.is_none() {
        seal::seal_roles(&standing)?;
        let body = seal::make_snapshot(&standing, now)?;
        proposal.signatures.retain(|file| file.role != *role);
        proposal.snapshot = Some(body);
    }
    let made = sign_role(&Standing::new(proposal, repository), role, key, &public, now)?;
    proposal.signatures.extend(made.iter().cloned());
    Ok(made)
}

fn sign_timestamp(
    proposal: &mut Proposal,
    repository: &Repository,
    key: &SecretKey,
    now: Timestamp,
) -> Result<Vec<SignatureFile>, ProposalError> {
    let standing = Standing::new(proposal, repository);
    let role = &top_names().timestamp;
    let public = key.public();
    let needs = standing.needs()?;
    let others = needs.iter().filter(|need| need.role != *role).all(super::Need::is_met);
    if !may_sign(&standing, role, &public)?
        || !others
        || (proposal.about.snapshot && !standing.snapshot_fits()?)
    {
        return Ok(Vec::new());
    }
    if standing.timestamp_to_sign(now)?.is_none() {
        let body = seal::make_timestamp(&standing, now)?;
        proposal.signatures.retain(|file| file.role != *role);
        proposal.timestamp = Some(body);
    }
    sign_role(&Standing::new(proposal, repository), role, key, &public, now)
}

/// Whether a key is one of those that may sign a role.
fn may_sign<'p>(standing: &Standing<'p>, role: &'p RoleName, public: &Key) -> Result<bool, ProposalError> {
    let authorities = standing.authorities_of(role)?;
    Ok(authorities.iter().any(|authority| authority.keys().any(|(_, key)| same_key(key, public))))
}

/// Whether both are one key: other tools write further fields, or upper-case digits.
fn same_key(one: &Key, other: &Key) -> bool {
    (&one.keytype, &one.scheme) == (&other.keytype, &other.scheme)
        && one.public().eq_ignore_ascii_case(other.public())
}

fn nothing_to_sign(
    proposal: &Proposal,
    repository: &Repository,
    public: &Key,
) -> Result<ProposalError, ProposalError> {
    let standing = Standing::new(proposal, repository);
    let id = public.id(&Ring)?;
    let short = shortened(&id);
    let mut roles = standing.bodies();
    roles.push(&top_names().timestamp);
    let mut named = false;
    for role in roles {
        named |= may_sign(&standing, role, public)?;
    }
    let proposal = &proposal.id;
    Ok(if named {
        ProposalError::refused(
            format!("key {short} has nothing to sign in {proposal} now"),
            format!("perennial-signer status {proposal} shows who signs next"),
        )
    } else {
        ProposalError::refused(
            format!("key {short} has no say in {proposal}"),
            format!("perennial-signer status {proposal} shows whose keys are asked for"),
        )
    })
}
