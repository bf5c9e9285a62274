//! `timestamp.json` and `snapshot.json`: which versions belong together now (TUF 4.4, 4.6).

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::targets::{Hashes, validate_hashes};
use super::{Common, Extra, Role};
use crate::document::{FormatError, ensure};
use crate::limits::{SNAPSHOT_LENGTH, TIMESTAMP_LENGTH};

/// What is known of a metadata file beforehand (METAFILES).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct MetaFile {
    /// Its version, at least 1.
    pub version: u64,
    /// Its length in bytes; always written by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests; always written by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The signed part of `timestamp.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct TimestampRole {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub common: Common,
    /// One entry, `snapshot.json`.
    pub meta: BTreeMap<String, MetaFile>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The signed part of `snapshot.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub common: Common,
    /// Every targets file by name, `targets.json` and `<role>.json`.
    pub meta: BTreeMap<String, MetaFile>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl TimestampRole {
    /// What it says of `snapshot.json`. Reading refuses a timestamp without it.
    pub fn snapshot(&self) -> Option<&MetaFile> {
        self.meta.get("snapshot.json")
    }
}

impl Role for TimestampRole {
    const TYPE: &'static str = "timestamp";
    const WHAT: &'static str = "timestamp file";
    const MAX_LENGTH: u64 = TIMESTAMP_LENGTH;

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<(), FormatError> {
        self.common.validate(Self::TYPE, Self::WHAT)?;
        ensure(self.snapshot().is_some(), Self::WHAT, || "\"snapshot.json\" is missing in meta".into())?;
        validate_meta(&self.meta, Self::WHAT)
    }
}

impl Role for Snapshot {
    const TYPE: &'static str = "snapshot";
    const WHAT: &'static str = "snapshot file";
    const MAX_LENGTH: u64 = SNAPSHOT_LENGTH;

    fn common(&self) -> &Common {
        &self.common
    }

    // A snapshot without targets.json is refused where the targets file is asked for: then it is known to be missing.
    fn validate(&self) -> Result<(), FormatError> {
        self.common.validate(Self::TYPE, Self::WHAT)?;
        validate_meta(&self.meta, Self::WHAT)
    }
}

fn validate_meta(meta: &BTreeMap<String, MetaFile>, what: &'static str) -> Result<(), FormatError> {
    for (name, file) in meta {
        ensure(file.version >= 1, what, || alloc::format!("the version of {name} is 0"))?;
        if let Some(hashes) = &file.hashes {
            validate_hashes(name, hashes, what)?;
        }
    }
    Ok(())
}
