//! Takes in a repository that tuftool, python-tuf or another tool made: its chain of roots and its metadata as they
//! stand, and its target files under the names that devices ask for. Keys are brought separately.
//!
//! The folder is copied beside its place, verified whole, and then given its name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_schemas::limits::{ROOT_LENGTH, SNAPSHOT_LENGTH, TARGETS_LENGTH, TIMESTAMP_LENGTH};
use perennial_schemas::tuf::{Role, Root, Snapshot, TargetFile, Targets, TimestampRole, TopRole};
use perennial_schemas::{RoleName, TargetPath};
use serde::Serialize;

use crate::files;
use crate::proposal::ProposalError;
use crate::repository::{Config, Repository, RepositoryError, RoleFile, file_name, top};

/// What was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The newest root's version.
    pub root: u64,
    /// Role files.
    pub roles: usize,
    /// Target files.
    pub targets: usize,
    /// Whether its files carry versions and digests in their names; if not, the next root says so.
    pub consistent_snapshot: bool,
}

/// Takes in the metadata of `metadata` and the target files of `targets` into the repository's folder `dir`.
///
/// # Errors
/// [`ProposalError`] where something is published in `dir` already, where a file is missing, or where the whole does
/// not verify. Nothing is taken in then.
pub fn import(dir: &Path, metadata: &Path, targets: &Path) -> Result<Imported, ProposalError> {
    if !files::list(&dir.join("metadata"))?.is_empty() {
        let what = format!("{} has metadata already", dir.display());
        return Err(ProposalError::refused(what, "import into a new folder"));
    }
    let temporary = dir.join(".new-import");
    files::remove_folder(&temporary)?;
    let result = copy(metadata, targets, &temporary);
    let result = result.and_then(|imported| {
        files::rename(&temporary.join("targets"), &dir.join("targets"))?;
        files::rename(&temporary.join("metadata"), &dir.join("metadata"))?;
        let config = dir.join("repository.toml");
        if !files::exists(&config) {
            files::write(&config, Config::default().to_text().as_bytes())?;
        }
        Ok(imported)
    });
    files::remove_folder(&temporary)?;
    result
}

fn copy(metadata: &Path, targets: &Path, to: &Path) -> Result<Imported, ProposalError> {
    let names = files::list(metadata)?;
    let put = |role: &RoleName, version, bytes: &[u8]| {
        files::write(&to.join("metadata").join(file_name(role, version)), bytes)
    };
    let mut root: Option<RoleFile<Root>> = None;
    let is_root = |name: &&String| *name == "root.json" || name.ends_with(".root.json");
    for name in names.iter().filter(is_root) {
        let path = metadata.join(name);
        let file = RoleFile::<Root>::parse(files::read(&path, ROOT_LENGTH)?, &path)?;
        put(&top(TopRole::Root), file.version(), &file.bytes)?;
        if root.as_ref().is_none_or(|root| root.version() < file.version()) {
            root = Some(file);
        }
    }
    let Some(root) = root else {
        let what = format!("there is no root.json in {}", metadata.display());
        return Err(ProposalError::refused(what, "name the folder that holds the metadata files"));
    };
    let snapshot = newest_snapshot(metadata, &names)?;
    put(&top(TopRole::Snapshot), snapshot.version(), &snapshot.bytes)?;
    if names.iter().any(|name| name == "timestamp.json") {
        let path = metadata.join("timestamp.json");
        let timestamp = RoleFile::<TimestampRole>::parse(files::read(&path, TIMESTAMP_LENGTH)?, &path)?;
        put(&top(TopRole::Timestamp), timestamp.version(), &timestamp.bytes)?;
    }
    let mut described = BTreeMap::new();
    for (name, meta) in &snapshot.value().meta {
        let role = name.strip_suffix(".json").and_then(|name| name.parse::<RoleName>().ok());
        let role = role.ok_or_else(|| {
            ProposalError::refused(format!("the snapshot names {name:?}"), "no such role can be")
        })?;
        let file = read_either::<Targets>(metadata, &role, meta.version, TARGETS_LENGTH)?;
        put(&role, file.version(), &file.bytes)?;
        described.extend(file.value().targets.clone());
    }
    files::create_folder(&to.join("targets"))?;
    for (path, target) in &described {
        copy_target(targets, &to.join("targets"), path, target)?;
    }
    let roles = snapshot.value().meta.len();
    let repository = Repository::open(to)?;
    if repository.published()?.snapshot.as_ref().is_none_or(|file| file.version() != snapshot.version()) {
        return Err(RepositoryError::Empty(metadata.into()).into());
    }
    Ok(Imported {
        root: root.version(),
        roles,
        targets: described.len(),
        consistent_snapshot: root.value().consistent_snapshot,
    })
}

/// The snapshot that the timestamp names, or else the newest there is.
fn newest_snapshot(metadata: &Path, names: &[String]) -> Result<RoleFile<Snapshot>, ProposalError> {
    let version = |name: &String| match name.as_str() {
        "snapshot.json" => Some(0),
        _ => name.strip_suffix(".snapshot.json")?.parse::<u64>().ok(),
    };
    let newest = names.iter().filter_map(version).max();
    let newest = newest.ok_or_else(|| {
        let what = format!("there is no snapshot.json in {}", metadata.display());
        ProposalError::refused(what, "name the folder that holds the metadata files")
    })?;
    let role = top(TopRole::Snapshot);
    read_either(metadata, &role, newest, SNAPSHOT_LENGTH)
}

/// `N.<role>.json`, or `<role>.json` where files carry no versions.
fn read_either<T: Role>(
    metadata: &Path,
    role: &RoleName,
    version: u64,
    limit: u64,
) -> Result<RoleFile<T>, ProposalError> {
    let plain = metadata.join(format!("{}.json", role.file_name()));
    let versioned = metadata.join(file_name(role, version));
    let path = if files::exists(&versioned) { versioned } else { plain };
    Ok(RoleFile::parse(files::read(&path, limit)?, &path)?)
}

/// Copies a target file to the name that devices ask for, from whichever of the usual names it has.
fn copy_target(from: &Path, to: &Path, path: &str, target: &TargetFile) -> Result<(), ProposalError> {
    let fail = |why: &str| {
        ProposalError::refused(
            format!("the target {path:?} can't be taken in: {why}"),
            "name the folder with --targets",
        )
    };
    let name: TargetPath = path.parse().map_err(|_| fail("its path is none that a device would ask for"))?;
    let sha256 = target.sha256().ok_or_else(|| fail("it has no SHA-256"))?;
    let mut candidates: Vec<PathBuf> = Vec::new();
    for hash in target.hashes.values() {
        candidates.push(from.join(name.consistent(hash)));
        // tough's spelling of a consistent name puts the digest before the folder.
        candidates.push(from.join(format!("{hash}.{path}")));
        candidates.push(from.join(format!("{hash}.{}", path.replace('/', "%2F"))));
    }
    candidates.push(from.join(path));
    let Some(found) = candidates.iter().find(|path| files::exists(path)) else {
        return Err(fail("its file is missing"));
    };
    if files::measure(found)? != (target.length, sha256) {
        return Err(fail("its file has another length or digest than the metadata say"));
    }
    files::copy(found, &to.join(name.consistent(&sha256.to_string())))?;
    Ok(())
}
