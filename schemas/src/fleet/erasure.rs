//! The receipt of an erasure: what the server held on a device and holds no more, and what it keeps and why.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::line;
use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::DeviceId;
use crate::limits::{FLEET_ANSWER_LENGTH, KEPT, LINE_LENGTH};
use crate::time::Timestamp;

/// The receipt. Afterwards the server doesn't know the device, until it enrols anew with its factory certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Erasure {
    /// `perennial.erasure/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// Whose records they were.
    pub device: DeviceId,
    /// The server's clock.
    pub at: Timestamp,
    /// How many records of which kind are gone.
    pub erased: Erased,
    /// What is kept all the same, and why, in plain words.
    pub kept: Vec<String>,
    /// Where the erasure itself (without the device's name) stands in the audit log.
    pub audit: AuditMark,
}

/// Records that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Erased {
    /// Reports.
    pub reports: u64,
    /// Check-ins: the last one is all that a server keeps.
    pub check_ins: u64,
    /// Attributes.
    pub attributes: u64,
    /// Keys and certificates by which the device was known.
    pub keys: u64,
}

/// An entry of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct AuditMark {
    /// Its number.
    pub sequence: u64,
    /// Its digest, over everything before it.
    pub digest: Sha256Digest,
}

impl Document for Erasure {
    const FORMAT: &'static str = "perennial.erasure/1";
    const WHAT: &'static str = "receipt of an erasure";
    const MAX_LENGTH: u64 = FLEET_ANSWER_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        ensure(self.kept.len() <= KEPT, Self::WHAT, || format!("more than {KEPT} lines of what is kept"))?;
        self.kept.iter().try_for_each(|kept| line(Self::WHAT, "line of what is kept", kept, LINE_LENGTH))
    }
}
