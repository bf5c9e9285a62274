//! `targets.json` and delegated targets files: what exists, and who else may say so (TUF 4.5).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Common, Delegations, Extra, Role};
use crate::digest::Sha256Digest;
use crate::document::{FormatError, ensure};
use crate::json::Json;
use crate::limits::TARGETS_LENGTH;

/// Digests by algorithm, in hexadecimal digits.
pub type Hashes = BTreeMap<String, String>;

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// The application's own, opaque to TUF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Json>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl TargetFile {
    /// A target of `length` bytes with this digest.
    pub fn new(length: u64, sha256: &Sha256Digest) -> Self {
        let hashes = Hashes::from([("sha256".into(), format!("{sha256}"))]);
        Self { length, hashes, custom: None, extra: Extra::new() }
    }

    /// Its SHA-256, where it has one.
    pub fn sha256(&self) -> Option<Sha256Digest> {
        self.hashes.get("sha256")?.parse().ok()
    }
}

/// The signed part of `targets.json` or of a delegated role's file. Target paths are kept as text: a path that no
/// device could ask for does not make the others unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Targets {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub common: Common,
    /// Targets by path.
    pub targets: BTreeMap<String, TargetFile>,
    /// Who else may vouch for targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Role for Targets {
    const TYPE: &'static str = "targets";
    const WHAT: &'static str = "targets file";
    const MAX_LENGTH: u64 = TARGETS_LENGTH;

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<(), FormatError> {
        self.common.validate(Self::TYPE, Self::WHAT)?;
        for (path, target) in &self.targets {
            validate_hashes(path, &target.hashes, Self::WHAT)?;
        }
        self.delegations.as_ref().map_or(Ok(()), |delegations| delegations.validate(Self::WHAT))
    }
}

/// At least one digest, and none empty: an empty object would vouch for anything.
pub(super) fn validate_hashes(name: &str, hashes: &Hashes, what: &'static str) -> Result<(), FormatError> {
    let some = !hashes.is_empty() && hashes.values().all(|hash| !hash.is_empty());
    ensure(some, what, || format!("{name:?} has no hashes"))
}
