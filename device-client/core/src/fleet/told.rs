//! What goes into telling, what comes out of it, and why it may come to nothing.

use alloc::collections::BTreeMap;
use alloc::string::String;

use perennial_schemas::fleet::{AttributeName, Refusal, RefusalCode};
use perennial_schemas::{FormatError, ReleaseVersion, Sha256Digest, Timestamp};

use crate::journal::Content;
use crate::port::{Identity, LinkError, PortError};
use crate::report::Entry;

/// What there is to tell.
#[derive(Debug, Clone)]
pub struct Facts<'f> {
    /// What the device is, and which channel it follows.
    pub identity: &'f Identity,
    /// The release that runs, where it is known; without it, nothing but reports is told.
    pub running: Option<Running>,
    /// The agent's name and version.
    pub agent: &'f str,
    /// What else the product tells. The caller leaves them out where the owner doesn't consent.
    pub attributes: &'f BTreeMap<AttributeName, String>,
    /// The journal's reports.
    pub history: &'f [Entry],
    /// The sequence number of the journal's last report; 0 before the first.
    pub last: u64,
    /// Everything up to this number is acknowledged, as far as the journal knows.
    pub acknowledged: u64,
    /// Chance, in parts per million.
    pub chance: u32,
}

/// The release that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its version.
    pub version: ReleaseVersion,
    /// The anti-rollback counter.
    pub security_version: u32,
    /// SHA-256 of its manifest, where it is known.
    pub manifest: Option<Sha256Digest>,
}

impl From<&Content> for Running {
    fn from(content: &Content) -> Self {
        Self {
            version: content.version.clone(),
            security_version: content.security_version,
            manifest: content.manifest,
        }
    }
}

/// What came of telling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Every report up to this one is durable at the server; 0 where none is known to be.
    pub acknowledged: u64,
    /// Reports that were sent and acknowledged now.
    pub sent: usize,
    /// Whether a check-in was answered now.
    pub checked_in: bool,
    /// The epoch of an enrolment with the factory certificate, where there was one now.
    pub enrolled: Option<u32>,
    /// Whether the fleet certificate was renewed now.
    pub renewed: bool,
    /// When to tell again, if nothing happens before; `None`: not by itself.
    pub next: Option<Timestamp>,
    /// What went wrong.
    pub trouble: Option<FleetError>,
}

/// Why the fleet plane could not be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// This device has no factory certificate.
    #[error("this device has no factory certificate")]
    NoIdentity,
    /// It has no fleet certificate, and none was asked for.
    #[error("this device is not enrolled")]
    NotEnrolled,
    /// The owner had its records erased.
    #[error("this device's records were erased at its owner's wish, and it stays silent")]
    Silent,
    /// No answer.
    #[error("the fleet server does not answer: {0}")]
    Link(#[from] LinkError),
    /// The server said no.
    #[error("the fleet server refuses ({code}): {error}", code = .refusal.code, error = .refusal.error)]
    Refused {
        /// What it said.
        refusal: Refusal,
        /// How long it asks to wait, in seconds.
        retry_after: Option<u32>,
    },
    /// The server's answer is none.
    #[error("the fleet server answers {status} with what can't be used: {why}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        why: String,
    },
    /// The device's own storage.
    #[error(transparent)]
    Port(#[from] PortError),
    /// What is to be told breaks a rule of its format.
    #[error("what is to be told can't be written: {0}")]
    Format(#[from] FormatError),
    /// The journal lost reports that the server has acknowledged.
    #[error("the journal has lost reports that the server holds: a new beginning is needed")]
    JournalLost,
}

impl FleetError {
    pub(super) fn code(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.code),
            _ => None,
        }
    }
}
