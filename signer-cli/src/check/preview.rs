//! What would be published, in memory, with a throwaway root and timestamp around it.
//!
//! Nobody can verify a repository without a timestamp, and the real one is signed by the server, later. So the real
//! root's body is taken, its root and timestamp roles are given a key made for this one check, and a timestamp is signed
//! with it. All other keys, thresholds and files are the real ones. The real chain of roots is verified apart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_schemas::digest::encode_hex;
use perennial_schemas::signed::{Envelope, Signature};
use perennial_schemas::tuf::{
    Common, Extra, Hashes, Key, MetaFile, Role, RoleKeys, Root, Snapshot, TargetFile, Targets, TimestampRole,
    TopRole,
};
use perennial_schemas::{Digest, FormatError, RoleName, Signed, TargetPath, Timestamp};
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::CheckError;
use crate::crypto::Ring;
use crate::repository::{Repository, RepositoryError};
use crate::{bundle, files};

/// What would be published: the files as devices would see them.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// Every root file, oldest first, without a gap.
    pub roots: Vec<Vec<u8>>,
    /// The snapshot file.
    pub snapshot: Vec<u8>,
    /// `targets` and every delegated role that the snapshot names.
    pub roles: BTreeMap<RoleName, Vec<u8>>,
    /// Folders with target files under their consistent names, searched in this order.
    pub folders: Vec<PathBuf>,
}

/// The two files made for one check.
pub(super) struct Rehearsal {
    pub(super) root: Vec<u8>,
    pub(super) timestamp: Vec<u8>,
}

/// How long the throwaway timestamp lasts, in days. It is looked at once, now.
const REHEARSAL_DAYS: i64 = 1;

impl Preview {
    /// What is published now; nothing but the folder where nothing is.
    ///
    /// # Errors
    /// [`RepositoryError`] where a root can't be read.
    pub fn published(repository: &Repository) -> Result<Self, RepositoryError> {
        let empty = Self { folders: vec![repository.targets_dir()], ..Self::default() };
        let Some(published) = &repository.published else { return Ok(empty) };
        let roles = published.roles.iter().map(|(name, file)| (name.clone(), file.bytes.clone()));
        Ok(Self {
            roots: bundle::roots(repository)?,
            snapshot: published.snapshot.as_ref().map(|file| file.bytes.clone()).unwrap_or_default(),
            roles: roles.collect(),
            ..empty
        })
    }

    /// A metadata file by its name: `3.root.json`, `7.snapshot.json`, `4.thermostat.json`.
    pub(super) fn metadata(&self) -> Result<BTreeMap<String, &[u8]>, FormatError> {
        let mut files = BTreeMap::new();
        for root in &self.roots {
            files.insert(format!("{}.root.json", version::<Root>(root)?), root.as_slice());
        }
        let snapshot = version::<Snapshot>(&self.snapshot)?;
        files.insert(format!("{snapshot}.snapshot.json"), self.snapshot.as_slice());
        for (name, file) in &self.roles {
            let version = version::<Targets>(file)?;
            files.insert(format!("{version}.{}.json", name.file_name()), file.as_slice());
        }
        Ok(files)
    }

    /// Every target of every role, with what is said of it.
    pub(super) fn targets(&self) -> Result<BTreeMap<String, TargetFile>, FormatError> {
        let mut all = BTreeMap::new();
        for file in self.roles.values() {
            all.extend(Signed::<Targets>::parse(file)?.unverified().targets.clone());
        }
        Ok(all)
    }

    /// Where a target's file lies.
    pub(super) fn locate(&self, path: &str, target: &TargetFile) -> Result<PathBuf, CheckError> {
        let digest = target.sha256().ok_or_else(|| CheckError::NoDigest { target: path.into() })?;
        let name: TargetPath =
            path.parse().map_err(|e| CheckError::Name { target: path.into(), why: format!("{e}") })?;
        let relative = name.consistent(&digest.to_string());
        let found = self.folders.iter().map(|folder| folder.join(&relative)).find(|path| files::exists(path));
        found.ok_or_else(|| CheckError::Missing {
            target: path.into(),
            file: Path::new("targets").join(relative),
        })
    }

    /// Makes the throwaway root and timestamp.
    pub(super) fn rehearse(&self, now: Timestamp) -> Result<Rehearsal, CheckError> {
        let newest = self.roots.last().ok_or(CheckError::NoRoot)?;
        let mut root = Signed::<Root>::parse(newest)?.unverified().clone();
        let throwaway = Throwaway::new()?;
        let (id, key) = (throwaway.key.id(&Ring)?, throwaway.key.clone());
        root.keys.insert(id.clone(), key);
        for role in [TopRole::Root, TopRole::Timestamp] {
            root.roles.insert(role.as_str().into(), RoleKeys::new(vec![id.clone()], 1));
        }
        let expires = now.plus_days(REHEARSAL_DAYS);
        let timestamp = TimestampRole {
            common: Common::new(TimestampRole::TYPE, 1, expires, None),
            meta: BTreeMap::from([("snapshot.json".into(), describe(&self.snapshot)?)]),
            extra: Extra::new(),
        };
        Ok(Rehearsal { root: throwaway.sign(root)?, timestamp: throwaway.sign(timestamp)? })
    }
}

fn describe(snapshot: &[u8]) -> Result<MetaFile, FormatError> {
    let digest = Ring.sha256(snapshot).to_string();
    Ok(MetaFile {
        version: version::<Snapshot>(snapshot)?,
        length: Some(snapshot.len() as u64),
        hashes: Some(Hashes::from([("sha256".into(), digest)])),
        extra: Extra::new(),
    })
}

fn version<T: Role>(file: &[u8]) -> Result<u64, FormatError> {
    Ok(Signed::<T>::parse(file)?.unverified().version())
}

/// A key that lives for one check.
struct Throwaway {
    pair: Ed25519KeyPair,
    key: Key,
}

impl Throwaway {
    fn new() -> Result<Self, CheckError> {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| CheckError::Random)?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| CheckError::Random)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| CheckError::Random)?;
        Ok(Self { key: Key::ed25519(public), pair })
    }

    fn sign<T: serde::Serialize>(&self, signed: T) -> Result<Vec<u8>, FormatError> {
        let mut envelope = Envelope { signed, signatures: Vec::new() };
        let sig = encode_hex(self.pair.sign(&envelope.canonical()?).as_ref());
        envelope.signatures.push(Signature { keyid: self.key.id(&Ring)?, sig });
        envelope.to_text()
    }
}
