//! The verdict of the device's own core on a repository: the same code that a device runs walks from the trusted root
//! to every target. This module only hands it what it asks for, and notes what it took.

use crate::generation::FileRef;
use perennial_schemas::tuf::{Root, TopRole};
use perennial_schemas::{KeyId, Signed, Timestamp};
use std::collections::BTreeMap;

/// A metadata file that the core took.
#[derive(Debug, Clone)]
pub(crate) struct AcceptedRole {
    /// The role's name.
    pub(crate) name: String,
    /// Its file's name, such as `3.snapshot.json`.
    pub(crate) file: String,
    /// The file as received.
    pub(crate) bytes: Vec<u8>,
    /// When it stops being trusted.
    pub(crate) expires: Timestamp,
}

/// What the core vouches for.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// The trust state afterwards.
    pub(crate) trust: Vec<u8>,
    /// Newest root, snapshot, targets, and every delegated role.
    pub(crate) roles: Vec<AcceptedRole>,
    /// All roots that the chain passed through.
    pub(crate) roots: Vec<AcceptedRole>,
    /// Every target by its path, with the digest and length that its role vouches for.
    pub(crate) targets: BTreeMap<String, FileRef>,
}

/// Hands over a metadata file: its name and the most bytes that it may have.
pub(crate) type Fetch<'a> = &'a dyn Fn(&str, u64) -> Result<Option<Vec<u8>>, String>;

/// Whoever says what may be published: the device's core.
pub(crate) trait Judge: Send + Sync {
    /// Walks the repository, from the stored trust state or the first root, at `now`.
    fn accept(
        &self,
        trust: Option<&[u8]>,
        root: &[u8],
        fetch: Fetch<'_>,
        now: Timestamp,
    ) -> Result<Accepted, String>;
}

/// Whether a root names that key for its timestamp. It decides only who signs the timestamp: the core verifies it.
pub(crate) fn names_timestamp_key(root: Option<&[u8]>, key: &KeyId) -> bool {
    let Some(Ok(root)) = root.map(Signed::<Root>::parse) else { return false };
    let root = root.unverified();
    root.authority(TopRole::Timestamp).threshold() == 1
        && root.roles.get(TopRole::Timestamp.as_str()).is_some_and(|role| role.keyids.contains(key))
}

/// The device's core as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreJudge;

impl Judge for CoreJudge {
    fn accept(&self, _: Option<&[u8]>, _: &[u8], _: Fetch<'_>, _: Timestamp) -> Result<Accepted, String> {
        Err("the device core's checks are not part of this build yet".into())
    }
}
