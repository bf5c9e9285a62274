//! The four TUF roles and delegations (TUF 1.0.34 §4), as read and as written.
//!
//! Unknown fields are kept, so that whoever edits a file loses nothing; unknown key types and opaque key ids are
//! tolerated. Thresholds, versions and names that the specification excludes are refused when a file is read.

mod delegation;
mod keys;
mod root;
mod snapshot;
mod targets;

pub use delegation::{Delegation, Delegations, SuccinctRoles, matches_pattern};
pub use keys::{Authority, Key, KeyMap, RoleKeys};
pub use root::{Root, TopRole};
pub use snapshot::{MetaFile, Snapshot, TimestampRole};
pub use targets::{Hashes, TargetFile, Targets};

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use serde::de::DeserializeOwned;

use crate::document::{FormatError, ensure};
use crate::json::Json;
use crate::time::Timestamp;

/// Fields that this version does not know, kept for whoever edits the file.
pub type Extra = BTreeMap<String, Json>;

/// What every role's file has.
pub trait Role: DeserializeOwned {
    /// The value of `_type`.
    const TYPE: &'static str;
    /// What people call the file, for messages.
    const WHAT: &'static str;
    /// Limit of the file in bytes.
    const MAX_LENGTH: u64;

    /// The fields that all roles share.
    fn common(&self) -> &Common;

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// [`FormatError::Shape`] with the rule.
    fn validate(&self) -> Result<(), FormatError>;

    /// The file's version, at least 1.
    fn version(&self) -> u64 {
        self.common().version
    }

    /// When it stops being trusted.
    fn expires(&self) -> Timestamp {
        self.common().expires
    }

    /// Whether it is still trusted at `now`: it must expire *after* it (TUF 5.3.10, 5.4.4, 5.5.6, 5.6.5).
    fn is_current(&self, now: Timestamp) -> bool {
        self.common().expires > now
    }
}

/// The fields that all roles share (TUF 4.3).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Common {
    /// The role's type.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The specification's version; 1.x is understood.
    pub spec_version: String,
    /// The file's version, at least 1.
    pub version: u64,
    /// When the file stops being trusted.
    pub expires: Timestamp,
    /// When an offline key holder was asked to sign (ours; covered by the signatures).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
}

impl Common {
    /// The fields of a new file of type `kind`.
    pub fn new(kind: &str, version: u64, expires: Timestamp, signed_at: Option<Timestamp>) -> Self {
        Self { kind: kind.into(), spec_version: SPEC_VERSION.into(), version, expires, signed_at }
    }

    pub(crate) fn validate(&self, kind: &str, what: &'static str) -> Result<(), FormatError> {
        ensure(self.kind == kind, what, || format!("its _type is {:?}, expected {kind:?}", self.kind))?;
        ensure(self.version >= 1, what, || "its version is 0".into())?;
        let mut parts = self.spec_version.split('.');
        let major = parts.next() == Some("1");
        let rest = parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        ensure(major && rest, what, || format!("spec_version is {:?}, only 1.x is known", self.spec_version))
    }
}

/// The version of the specification that we write.
pub const SPEC_VERSION: &str = "1.0.34";
