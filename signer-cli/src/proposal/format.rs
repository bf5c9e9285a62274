//! `proposal.json` and the signature files: written and read by signers only, so their shapes stand here.

use std::collections::BTreeMap;
use std::fmt;

use perennial_schemas::document::{Document, FormatError};
use perennial_schemas::{KeyId, RoleName, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// What a proposal is about. A label for people: what counts is what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The first root of a repository.
    RepositoryInit,
    /// A new product.
    ProductAdd,
    /// A further support record: a promise, a notice, an annulment.
    Support,
    /// Another team for a product.
    ProductTeam,
    /// A product's list of targets, split into bins.
    ProductBins,
    /// Keys or thresholds of the root.
    Root,
    /// A release.
    Release,
    /// What a channel offers.
    Channel,
    /// Renewed consent to a release that is rolled out in stages.
    Affirm,
    /// A release taken back.
    Withdraw,
    /// The same content, signed anew.
    Snapshot,
    /// Everything signed for a long time.
    Archive,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::RepositoryInit => "repository-init",
            Kind::ProductAdd => "product-add",
            Kind::Support => "support",
            Kind::ProductTeam => "product-team",
            Kind::ProductBins => "product-bins",
            Kind::Root => "root",
            Kind::Release => "release",
            Kind::Channel => "channel",
            Kind::Affirm => "affirm",
            Kind::Withdraw => "withdraw",
            Kind::Snapshot => "snapshot",
            Kind::Archive => "archive",
        })
    }
}

/// The published file that a body was built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256Digest,
}

/// `proposal.json`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposalFile {
    /// `perennial.proposal/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// What it is about.
    pub kind: Kind,
    /// One line for people.
    pub summary: String,
    /// When it was made, or last rebased.
    pub created: Timestamp,
    /// For each role that it changes, the published file that it was built on; none for a new role.
    pub base: BTreeMap<RoleName, Option<Base>>,
    /// Whether a new snapshot belongs to it.
    pub snapshot: bool,
    /// Days until the snapshot expires once it is signed.
    pub snapshot_days: u16,
    /// Days until an offline timestamp expires once it is signed.
    pub timestamp_days: u16,
}

impl Document for ProposalFile {
    const FORMAT: &'static str = "perennial.proposal/1";
    const WHAT: &'static str = "proposal";
    const MAX_LENGTH: u64 = 1024 * 1024;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        if self.summary.chars().any(crate::terminal::acts) {
            return Err(FormatError::shape(Self::WHAT, "the summary is not one line of plain text"));
        }
        let days = 1..=3660;
        if days.contains(&self.snapshot_days) && days.contains(&self.timestamp_days) {
            Ok(())
        } else {
            Err(FormatError::shape(Self::WHAT, "snapshot_days and timestamp_days are 1 to 3660"))
        }
    }
}

/// One signature by one key, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureFile {
    /// `perennial.signature/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The role.
    pub role: RoleName,
    /// The version that was signed.
    pub version: u64,
    /// SHA-256 of the canonical form that was signed.
    pub sha256: Sha256Digest,
    /// The key.
    pub keyid: KeyId,
    /// The signature in hexadecimal digits.
    pub sig: String,
    /// When, by the signer's clock.
    pub signed_at: Timestamp,
}

impl Document for SignatureFile {
    const FORMAT: &'static str = "perennial.signature/1";
    const WHAT: &'static str = "signature file";
    const MAX_LENGTH: u64 = 16 * 1024;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        Ok(())
    }
}
