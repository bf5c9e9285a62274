//! What a device remembers of its place in the fleet: one small record beside the journal. Its loss costs an enrolment.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::fleet::{DeviceId, Ticket};
use perennial_schemas::report::{FailureCode, Outcome};
use perennial_schemas::{Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::port::{PortError, Who};
use crate::report::Entry;

const FORMAT: &str = "perennial.fleet-state/1";

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRecord {
    format: String,
    /// Its fleet certificate, while it has one.
    #[serde(default)]
    pub membership: Option<Membership>,
    /// For the next check-in.
    #[serde(default)]
    pub ticket: Option<Ticket>,
    /// The last report that the server has.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// The last check-in that was answered.
    #[serde(default)]
    pub checked_in: Option<Timestamp>,
    /// When the next one is due; `None`: at once.
    #[serde(default)]
    pub check_in_at: Option<Timestamp>,
    /// What the last one said.
    #[serde(default)]
    pub told: String,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u8,
    /// Before this, nothing is tried again.
    #[serde(default)]
    pub again: Option<Timestamp>,
    /// What went wrong last; empty where nothing did.
    #[serde(default)]
    pub trouble: String,
    /// Whether the owner consents to attributes; `None`: as the configuration says.
    #[serde(default)]
    pub consent: Option<bool>,
    /// Why the device says nothing, where it doesn't.
    #[serde(default)]
    pub stopped: Option<Stopped>,
}

/// A fleet certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Who the device is.
    pub device: DeviceId,
    /// SHA-256 over the SubjectPublicKeyInfo of its key.
    pub key: Sha256Digest,
    /// In PEM, the leaf first.
    pub chain: String,
    /// When to ask for the next one.
    pub renew_after: Timestamp,
    /// The server's count of enrolments with the factory certificate.
    pub epoch: u32,
    /// When it was given, by the device's clock.
    pub since: Timestamp,
}

/// A report that the server has, as far as it takes to know it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number.
    pub sequence: u64,
    at: Timestamp,
    manifest: Sha256Digest,
    outcome: Outcome,
}

/// Why a device says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// Its owner wants its records erased, and no answer has said yet that they are.
    Erasing {
        /// Since when, by the device's clock.
        since: Timestamp,
    },
    /// Its owner had its records erased.
    Erased {
        /// When, by the device's clock.
        at: Timestamp,
    },
}

impl Default for FleetRecord {
    fn default() -> Self {
        Self {
            format: FORMAT.into(),
            membership: None,
            ticket: None,
            mark: None,
            checked_in: None,
            check_in_at: None,
            told: String::new(),
            failures: 0,
            again: None,
            trouble: String::new(),
            consent: None,
            stopped: None,
        }
    }
}

impl FleetRecord {
    /// Its bytes.
    ///
    /// # Errors
    /// [`PortError`] never for a record that this program made; the serialiser is fallible.
    pub fn encode(&self) -> Result<Vec<u8>, PortError> {
        let failed = |error: serde_json::Error| {
            PortError::new(FailureCode::Internal, "writing the fleet record", error.to_string())
        };
        serde_json::to_vec(self).map_err(failed)
    }

    /// Reads it; `None` for what isn't one of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.format == FORMAT).then_some(record)
    }
}

impl Membership {
    /// To ask as.
    pub(super) fn who(&self) -> Who<'_> {
        Who::Fleet { key: &self.key, chain: &self.chain }
    }
}

impl Mark {
    pub(super) fn of(entry: &Entry) -> Self {
        Self { sequence: entry.sequence, at: entry.at, manifest: entry.manifest, outcome: entry.outcome }
    }
}
