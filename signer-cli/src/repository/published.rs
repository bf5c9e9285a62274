//! What is published: one root, one snapshot, and every role that the snapshot names.
//!
//! The newest snapshot counts. One whose keys, or whose targets role's, the root does not name yet is passed over: its
//! publication was cut short before the root, and what was published before still counts. Whatever else is missing or
//! wrong below a well-signed snapshot is an error, so that no lost file takes the repository back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use perennial_schemas::limits::ROOT_LENGTH;
use perennial_schemas::tuf::{
    Authority, Delegations, Key, MetaFile, Role, Root, Snapshot, TargetFile, Targets, TimestampRole, TopRole,
};
use perennial_schemas::{Digest, RoleName, Sha256Digest, Signed};

use super::{RepositoryError, bins, file_name, top};
use crate::crypto::Ring;
use crate::files;

/// A role's file: its text as it lies there, and what it says.
#[derive(Debug, Clone)]
pub struct RoleFile<T> {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// The same, read.
    pub signed: Signed<T>,
}

/// The published state of a repository, verified.
#[derive(Debug, Clone)]
pub struct Published {
    /// The newest root.
    pub root: RoleFile<Root>,
    /// The snapshot that counts; `None` before the first.
    pub snapshot: Option<RoleFile<Snapshot>>,
    /// `targets` and every delegated role that the snapshot names, by name.
    pub roles: BTreeMap<RoleName, RoleFile<Targets>>,
    /// A timestamp signed offline, if there is one.
    pub timestamp: Option<RoleFile<TimestampRole>>,
}

impl<T: Role> RoleFile<T> {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`RepositoryError::Malformed`] with `path`.
    pub fn parse(bytes: Vec<u8>, path: &Path) -> Result<Self, RepositoryError> {
        let malformed = |source| RepositoryError::Malformed { path: path.into(), source };
        let signed = Signed::parse(&bytes).map_err(malformed)?;
        Ok(Self { bytes, signed })
    }

    /// What it says.
    pub fn value(&self) -> &T {
        self.signed.unverified()
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.value().version()
    }

    /// SHA-256 of the file.
    pub fn sha256(&self) -> Sha256Digest {
        Ring.sha256(&self.bytes)
    }
}

impl Published {
    /// Reads `metadata/`, whose file names are `names`; `None` where there is no root.
    pub(super) fn read(dir: &Path, names: &[String]) -> Result<Option<Self>, RepositoryError> {
        let Some(root) = newest_root(dir, names)? else { return Ok(None) };
        let mut versions = versions_of(names, "snapshot");
        versions.reverse();
        let mut passed_over = None;
        for version in versions {
            match read_closure(dir, &root, version) {
                Ok((snapshot, roles)) => {
                    let timestamp = read_timestamp(dir)?;
                    names_nothing_newer(dir, &root, timestamp.as_ref(), version)?;
                    return Ok(Some(Self { root, snapshot: Some(snapshot), roles, timestamp }));
                }
                Err(Unfit::CutShort(e)) => passed_over = passed_over.or(Some(e)),
                Err(Unfit::Wrong(e)) => return Err(e),
            }
        }
        match passed_over {
            Some(e) => Err(e),
            None => Ok(Some(Self { root, snapshot: None, roles: BTreeMap::new(), timestamp: None })),
        }
    }

    /// A role's file.
    pub fn role(&self, name: &RoleName) -> Option<&RoleFile<Targets>> {
        self.roles.get(name)
    }

    /// A role that a key signs, where there is one.
    pub fn signs_as(&self, key: &Key) -> Option<RoleName> {
        let top = TopRole::ALL.into_iter().map(top);
        let mut names = top.chain(self.roles.keys().filter(|name| bins::owner(name).is_none()).cloned());
        names.find(|name| {
            let role = |name: &RoleName| self.role(name).map(RoleFile::value);
            let authority = authority_of(name, self.root.value(), role);
            authority.is_some_and(|authority| authority.keys().any(|(_, one)| one.public() == key.public()))
        })
    }

    /// The targets of a product as devices find them: those of its role and of its bins.
    pub fn targets_of(&self, product: &RoleName) -> BTreeMap<&str, &TargetFile> {
        bins::targets(product, |name| self.role(name).map(RoleFile::value))
    }

    /// The top-level targets role.
    pub fn targets(&self) -> Option<&RoleFile<Targets>> {
        self.roles.get(&top(TopRole::Targets))
    }

    /// Names of the roles that the top-level targets delegates to, in order of precedence: the products.
    pub fn products(&self) -> Vec<&RoleName> {
        let delegations = self.targets().and_then(|targets| targets.value().delegations.as_ref());
        delegations.into_iter().flat_map(|d| d.roles.iter().flatten()).map(|role| &role.name).collect()
    }
}

/// Who may sign for `role`, by the given root and targets roles: root's four by the root, any other by the first role that
/// delegates to it.
pub fn authority_of<'a>(
    role: &'a RoleName,
    root: &'a Root,
    role_of: impl Fn(&RoleName) -> Option<&'a Targets>,
) -> Option<Authority<'a>> {
    if let Some(top) = TopRole::ALL.into_iter().find(|top| top.as_str() == role.as_str()) {
        return Some(root.authority(top));
    }
    delegator_of(role, role_of)?.authority(role)
}

/// The first delegations that name `role`, in the order in which devices search: from targets on, each role before those
/// that it delegates to. What no search reaches delegates to nobody.
pub fn delegator_of<'a>(
    role: &RoleName,
    role_of: impl Fn(&RoleName) -> Option<&'a Targets>,
) -> Option<&'a Delegations> {
    let mut seen = BTreeSet::new();
    let mut next = vec![top(TopRole::Targets)];
    while let Some(name) = next.pop() {
        let Some(delegations) = role_of(&name).and_then(|targets| targets.delegations.as_ref()) else {
            continue;
        };
        if !seen.insert(name) {
            continue;
        }
        if delegations.authority(role).is_some() {
            return Some(delegations);
        }
        next.extend(delegations.roles.iter().flatten().rev().map(|delegation| delegation.name.clone()));
    }
    None
}

/// Versions of a role among file names `N.<role>.json`, ascending.
pub(super) fn versions_of(names: &[String], role: &str) -> Vec<u64> {
    let version =
        |name: &String| name.strip_suffix(".json")?.strip_suffix(role)?.strip_suffix('.')?.parse().ok();
    let mut versions: Vec<u64> = names.iter().filter_map(version).collect();
    versions.sort_unstable();
    versions
}

/// The newest root, by a chain: each version signed by its own keys and by those of the one before (TUF 5.3.4).
fn newest_root(dir: &Path, names: &[String]) -> Result<Option<RoleFile<Root>>, RepositoryError> {
    let mut newest: Option<RoleFile<Root>> = None;
    for version in versions_of(names, "root") {
        let path = dir.join(file_name(&top(TopRole::Root), version));
        let next = RoleFile::<Root>::parse(files::read(&path, ROOT_LENGTH)?, &path)?;
        let untrusted = |why: String| RepositoryError::Untrusted { path: path.clone(), why };
        if next.version() != version {
            return Err(untrusted(format!("it says that it is version {}", next.version())));
        }
        let own = next.value().authority(TopRole::Root);
        next.signed.check(&own, &Ring).map_err(|e| untrusted(e.to_string()))?;
        if let Some(before) = &newest {
            if before.version() + 1 != version {
                return Err(untrusted(format!("version {} is missing", before.version() + 1)));
            }
            let before = before.value().authority(TopRole::Root);
            next.signed
                .check(&before, &Ring)
                .map_err(|e| untrusted(format!("by the keys of the root before it: {e}")))?;
        }
        newest = Some(next);
    }
    Ok(newest)
}

/// Why a snapshot doesn't count.
enum Unfit {
    /// A root that names its keys was to be written after it.
    CutShort(RepositoryError),
    /// Something was lost or changed.
    Wrong(RepositoryError),
}

impl<E: Into<RepositoryError>> From<E> for Unfit {
    fn from(error: E) -> Self {
        Self::Wrong(error.into())
    }
}

type Closure = (RoleFile<Snapshot>, BTreeMap<RoleName, RoleFile<Targets>>);

/// A snapshot with every role that it names, each verified by its delegator's keys where there is a delegator.
fn read_closure(dir: &Path, root: &RoleFile<Root>, version: u64) -> Result<Closure, Unfit> {
    let path = dir.join(file_name(&top(TopRole::Snapshot), version));
    let snapshot = RoleFile::<Snapshot>::parse(files::read(&path, Snapshot::MAX_LENGTH)?, &path)?;
    let authority = root.value().authority(TopRole::Snapshot);
    if let Err(e) = check(&snapshot, &authority, version, &path) {
        let named = |keyid| authority.keys().any(|(id, _)| id == keyid);
        let ours = snapshot.signed.signatures().iter().any(|signature| named(&signature.keyid));
        let damaged = ours && snapshot.signed.good_keys(&authority, &Ring).is_empty();
        let cut_short = !damaged && snapshot.version() == version;
        return Err(if cut_short { Unfit::CutShort(e) } else { Unfit::Wrong(e) });
    }
    let mut roles = BTreeMap::new();
    for (name, meta) in &snapshot.value().meta {
        let role = name.strip_suffix(".json").and_then(|name| name.parse::<RoleName>().ok());
        let role = role.ok_or_else(|| RepositoryError::Untrusted {
            path: path.clone(),
            why: format!("it names {name:?}"),
        })?;
        let file = read_role(dir, &role, meta)?;
        roles.insert(role, file);
    }
    for (role, file) in &roles {
        let authority = authority_of(role, root.value(), |name| roles.get(name).map(RoleFile::value));
        // A role that nobody delegates to any more stays in the snapshot (TUF 5.5.5), and no device asks for it.
        if let Some(authority) = authority {
            let path = dir.join(file_name(role, file.version()));
            let listed = snapshot.value().meta.get(&format!("{role}.json"));
            let exact =
                listed.and_then(|meta| meta.hashes.as_ref()).is_some_and(|h| h.contains_key("sha256"));
            // Vouched for to the last byte, by keys that the root does not name: the root that does is to come.
            let to_come = exact && *role == top(TopRole::Targets);
            let unfit = if to_come { Unfit::CutShort } else { Unfit::Wrong };
            check(file, &authority, file.version(), &path).map_err(unfit)?;
        }
    }
    Ok((snapshot, roles))
}

fn read_role(dir: &Path, role: &RoleName, meta: &MetaFile) -> Result<RoleFile<Targets>, RepositoryError> {
    let path = dir.join(file_name(role, meta.version));
    let bytes = files::read(&path, Targets::MAX_LENGTH)?;
    let untrusted = |why: &str| RepositoryError::Untrusted { path: path.clone(), why: why.into() };
    if meta.length.is_some_and(|length| length != bytes.len() as u64) {
        return Err(untrusted("it has another length than the snapshot says"));
    }
    let digest = meta.hashes.as_ref().and_then(|hashes| hashes.get("sha256"));
    if digest.is_some_and(|digest| *digest != Ring.sha256(&bytes).to_string()) {
        return Err(untrusted("it has another digest than the snapshot says"));
    }
    let file = RoleFile::<Targets>::parse(bytes, &path)?;
    if file.version() == meta.version { Ok(file) } else { Err(untrusted("it says another version")) }
}

fn check<T: Role>(
    file: &RoleFile<T>,
    authority: &Authority<'_>,
    version: u64,
    path: &Path,
) -> Result<(), RepositoryError> {
    let untrusted = |why: String| RepositoryError::Untrusted { path: path.into(), why };
    if file.version() != version {
        return Err(untrusted(format!("it says that it is version {}", file.version())));
    }
    file.signed.check(authority, &Ring).map_err(|e| untrusted(e.to_string()))
}

/// A timestamp is written last: the snapshot that a good one names was there.
fn names_nothing_newer(
    dir: &Path,
    root: &RoleFile<Root>,
    timestamp: Option<&RoleFile<TimestampRole>>,
    newest: u64,
) -> Result<(), RepositoryError> {
    let authority = root.value().authority(TopRole::Timestamp);
    let good = timestamp.filter(|file| file.signed.check(&authority, &Ring).is_ok());
    let named = good.and_then(|file| file.value().snapshot()).map_or(0, |meta| meta.version);
    if named <= newest {
        return Ok(());
    }
    let path = dir.join(file_name(&top(TopRole::Snapshot), named));
    Err(RepositoryError::Untrusted { path, why: "timestamp.json names it, and it is missing".into() })
}

fn read_timestamp(dir: &Path) -> Result<Option<RoleFile<TimestampRole>>, RepositoryError> {
    let path = dir.join("timestamp.json");
    let bytes = files::read_if_there(&path, TimestampRole::MAX_LENGTH)?;
    bytes.map(|bytes| RoleFile::parse(bytes, &path)).transpose()
}
