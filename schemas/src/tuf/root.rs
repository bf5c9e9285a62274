//! `root.json`: which keys count (TUF 4.3).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::keys::{validate_keys, validate_role};
use super::{Authority, Common, Extra, KeyMap, Role, RoleKeys};
use crate::document::{FormatError, ensure};
use crate::limits::{ANNULMENTS, ROOT_LENGTH};
use crate::support::Annulment;

/// The signed part of `root.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Root {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub common: Common,
    /// Whether file names carry versions and hashes. Absent means no.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// Every key that a role names.
    pub keys: KeyMap,
    /// Keys and thresholds by role.
    pub roles: BTreeMap<String, RoleKeys>,
    /// Support promises that a stolen key made, taken back. A field of ours, which other clients pass over: nothing is signed
    /// by more holders, or reaches every device more surely, than this file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annulments: Vec<Annulment>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The four roles that root names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopRole {
    /// Which keys count.
    Root,
    /// What is the latest.
    Timestamp,
    /// One consistent set.
    Snapshot,
    /// Who is responsible for which product.
    Targets,
}

impl TopRole {
    /// All four, in the order in which a client meets them.
    pub const ALL: [TopRole; 4] = [TopRole::Root, TopRole::Timestamp, TopRole::Snapshot, TopRole::Targets];

    /// The name in `roles` and in file names.
    pub fn as_str(self) -> &'static str {
        match self {
            TopRole::Root => "root",
            TopRole::Timestamp => "timestamp",
            TopRole::Snapshot => "snapshot",
            TopRole::Targets => "targets",
        }
    }
}

impl fmt::Display for TopRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Root {
    /// The keys and threshold of a top-level role.
    pub fn authority(&self, role: TopRole) -> Authority<'_> {
        match self.roles.get(role.as_str()) {
            Some(keys) => Authority::new(role.as_str(), &self.keys, &keys.keyids, keys.threshold),
            // Reading a root refuses one without its four roles; one built in memory verifies nothing.
            None => Authority::new(role.as_str(), &self.keys, &[], u32::MAX),
        }
    }
}

impl Role for Root {
    const TYPE: &'static str = "root";
    const WHAT: &'static str = "root file";
    const MAX_LENGTH: u64 = ROOT_LENGTH;

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<(), FormatError> {
        self.common.validate(Self::TYPE, Self::WHAT)?;
        validate_keys(&self.keys, Self::WHAT)?;
        ensure(self.annulments.len() <= ANNULMENTS, Self::WHAT, || {
            format!("more than {ANNULMENTS} annulments")
        })?;
        self.annulments.iter().try_for_each(Annulment::validate)?;
        for role in TopRole::ALL {
            ensure(self.roles.contains_key(role.as_str()), Self::WHAT, || {
                format!("the role {role} is missing")
            })?;
        }
        self.roles
            .iter()
            .try_for_each(|(name, role)| validate_role(name, &role.keyids, role.threshold, Self::WHAT))
    }
}
