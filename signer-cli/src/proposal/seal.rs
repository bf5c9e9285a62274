//! Makes the files that are published: a body with its signatures, the snapshot that lists them, a timestamp.
//!
//! A role's file is *sealed* when a snapshot is made that lists its length and digest: from then on a further
//! signature, however good, does not change it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_schemas::signed::{Envelope, Signature};
use perennial_schemas::tuf::{Common, Extra, Hashes, MetaFile, Role, Snapshot, TimestampRole, TopRole};
use perennial_schemas::{Digest as _, RoleName, Sha256Digest, Signed, Timestamp};
use serde::Serialize;

use super::builder::unsigned;
use super::{ProposalError, Standing};
use crate::crypto::Ring;
use crate::files;
use crate::repository::{RoleFile, file_name, top};

/// The file of a role as it will be published: the sealed one, or one made of the signatures that are there.
///
/// # Errors
/// [`ProposalError`] where the proposal has no such body.
pub(super) fn role_file(standing: &Standing<'_>, role: &RoleName) -> Result<Vec<u8>, ProposalError> {
    let proposal = standing.proposal;
    match role.as_str() {
        "root" => file_of(standing, role, proposal.root.as_ref()),
        "snapshot" => file_of(standing, role, proposal.snapshot.as_ref()),
        "timestamp" => file_of(standing, role, proposal.timestamp.as_ref()),
        _ => file_of(standing, role, proposal.roles.get(role)),
    }
}

fn file_of<T: Role + Serialize + Clone>(
    standing: &Standing<'_>,
    role: &RoleName,
    body: Option<&Signed<T>>,
) -> Result<Vec<u8>, ProposalError> {
    let body = body.ok_or_else(|| {
        ProposalError::refused(format!("the proposal has no {role} yet"), "see status for who signs next")
    })?;
    let authorities = standing.authorities(role)?;
    let path = sealed_path(standing, role, body.unverified().version());
    if let Some(bytes) = files::read_foreign_if_there(&path, T::MAX_LENGTH)? {
        let sealed = RoleFile::<T>::parse(bytes, &path)?;
        let same = sealed.signed.canonical() == body.canonical();
        if same && authorities.iter().all(|(_, authority)| sealed.signed.check(authority, &Ring).is_ok()) {
            return Ok(sealed.bytes);
        }
    }
    // Good ones alone, and each key id once: some clients refuse a file over a doubled or stray signature.
    let mut signatures: Vec<Signature> = Vec::new();
    for (id, key) in authorities.iter().flat_map(|(_, authority)| authority.keys()) {
        let known = signatures.iter().any(|signature| signature.keyid == *id);
        if let (false, Some(file)) = (known, standing.good_signature(role, id, key)) {
            signatures.push(Signature { keyid: id.clone(), sig: file.sig.clone() });
        }
    }
    signatures.sort_by(|a, b| a.keyid.cmp(&b.keyid));
    let envelope = Envelope { signed: body.unverified(), signatures };
    // In one line: devices load it. `inspect` shows it to people.
    let bytes = serde_json::to_vec(&envelope)
        .map_err(|e| perennial_schemas::FormatError::shape(T::WHAT, e.to_string()))?;
    let again = RoleFile::<T>::parse(bytes, &path)?;
    if again.signed.canonical() != body.canonical() {
        let what = format!("{role} can't be written as it was signed");
        return Err(ProposalError::refused(what, "propose it again with this version of the program"));
    }
    Ok(again.bytes)
}

/// Fixes the files of every role that is signed, before a snapshot lists them.
pub(super) fn seal_roles(standing: &Standing<'_>) -> Result<(), ProposalError> {
    for role in standing.proposal.roles.keys() {
        let bytes = role_file(standing, role)?;
        let version = standing.proposal.roles.get(role).map_or(0, |body| body.unverified().version());
        files::write(&sealed_path(standing, role, version), &bytes)?;
    }
    Ok(())
}

fn sealed_path(standing: &Standing<'_>, role: &RoleName, version: u64) -> PathBuf {
    standing.proposal.dir.join("sealed").join(file_name(role, version))
}

/// What a snapshot lists once this proposal is published. A role that was ever listed stays (TUF 5.5.5).
pub(super) fn snapshot_meta(standing: &Standing<'_>) -> Result<BTreeMap<String, MetaFile>, ProposalError> {
    let published = standing.published().and_then(|published| published.snapshot.as_ref());
    let mut meta = published.map_or_else(BTreeMap::new, |file| file.value().meta.clone());
    for (role, body) in &standing.proposal.roles {
        let bytes = role_file(standing, role)?;
        meta.insert(format!("{role}.json"), meta_file(body.unverified().version(), &bytes));
    }
    Ok(meta)
}

/// A new snapshot body, written into the proposal; signatures of an older one are dropped.
pub(super) fn make_snapshot(
    standing: &Standing<'_>,
    now: Timestamp,
) -> Result<Signed<Snapshot>, ProposalError> {
    let published = standing.published().and_then(|published| published.snapshot.as_ref());
    let version = published.map_or(0, RoleFile::version) + 1;
    let expires = now.plus_days(standing.proposal.about.snapshot_days.into());
    let snapshot = Snapshot {
        common: Common::new("snapshot", version, expires, Some(now)),
        meta: snapshot_meta(standing)?,
        extra: Extra::new(),
    };
    place(standing, &top(TopRole::Snapshot), &snapshot)
}

/// A new timestamp body upon the snapshot that will count. Its version is max(last + 1, Unix seconds), so that several
/// signers and restored backups never look like a rollback.
pub(super) fn make_timestamp(
    standing: &Standing<'_>,
    now: Timestamp,
) -> Result<Signed<TimestampRole>, ProposalError> {
    let published = standing.published();
    let last = standing.last_timestamp();
    let version = (last + 1).max(now.unix().unsigned_abs());
    let expires = now.plus_days(standing.proposal.about.timestamp_days.into());
    let (snapshot, bytes) = match &standing.proposal.snapshot {
        Some(snapshot) => {
            (snapshot.unverified().common.version, role_file(standing, &top(TopRole::Snapshot))?)
        }
        None => {
            let file = published.and_then(|published| published.snapshot.as_ref());
            let file = file.ok_or_else(|| ProposalError::refused("there is no snapshot", "see status"))?;
            (file.version(), file.bytes.clone())
        }
    };
    let timestamp = TimestampRole {
        common: Common::new("timestamp", version, expires, Some(now)),
        meta: BTreeMap::from([("snapshot.json".to_owned(), meta_file(snapshot, &bytes))]),
        extra: Extra::new(),
    };
    place(standing, &top(TopRole::Timestamp), &timestamp)
}

fn place<T: Role + Serialize>(
    standing: &Standing<'_>,
    role: &RoleName,
    body: &T,
) -> Result<Signed<T>, ProposalError> {
    for signature in standing.signatures(role) {
        files::remove(&super::sign::signature_path(standing.proposal, role, &signature.keyid))?;
    }
    let path = standing.proposal.dir.join("metadata").join(format!("{role}.json"));
    let text = unsigned(body)?;
    files::write(&path, &text)?;
    Ok(Signed::parse(&text)?)
}

fn meta_file(version: u64, bytes: &[u8]) -> MetaFile {
    let digest: Sha256Digest = Ring.sha256(bytes);
    let hashes = Hashes::from([("sha256".into(), digest.to_string())]);
    MetaFile { version, length: Some(bytes.len() as u64), hashes: Some(hashes), extra: Extra::new() }
}
