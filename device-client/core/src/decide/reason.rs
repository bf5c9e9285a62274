//! Decisions and their reasons. The same values feed the log, `status` and the report.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use perennial_schemas::report::FailureCode;
use perennial_schemas::rollout::{Admission, Hold};
use perennial_schemas::{HardwareName, ReleaseVersion, Sha256Digest, Timestamp};

use crate::journal::Waits;
use crate::rollout::Admitted;

/// What is done about updates now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing newer is offered to this hardware.
    UpToDate {
        /// Newer ones, which are for other hardware.
        passed_over: Vec<PassedOver>,
    },
    /// This release is installed.
    Update {
        /// The release.
        version: ReleaseVersion,
        /// SHA-256 of its manifest.
        manifest: Sha256Digest,
        /// Newer ones that may not be installed.
        passed_over: Vec<PassedOver>,
        /// What lets this device have it, where it is rolled out in stages and the owner doesn't want it at once.
        admitted: Option<Admitted>,
    },
    /// There is one, and it has to wait.
    Held {
        /// The newest that waits.
        told: PassedOver,
        /// All that were looked at, newest first.
        passed_over: Vec<PassedOver>,
    },
    /// There is one, and it may not be installed.
    Refused(PassedOver),
}

/// A release that is not installed, and why. Without a version the reason concerns the whole channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The release.
    pub version: Option<ReleaseVersion>,
    /// SHA-256 of its manifest.
    pub manifest: Option<Sha256Digest>,
    /// Why.
    pub reason: Reason,
}

/// Why a release is not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It has to wait.
    Held {
        /// Until when; `None`: until the owner says so.
        until: Option<Timestamp>,
        /// Why.
        why: HoldReason,
    },
    /// It may not be installed.
    Refused(
        /// Why.
        Refusal,
    ),
}

/// Why a release has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldReason {
    /// The owner has put updates off.
    Postponed,
    /// It failed here not long ago.
    FailedBefore {
        /// How.
        code: FailureCode,
    },
    /// It failed here as often as a release may.
    FailedTooOften {
        /// How, the last time.
        code: FailureCode,
        /// How often.
        tries: u8,
    },
    /// The owner went back from it.
    GoneBackFrom,
    /// It is rolled out in stages.
    Rollout {
        /// What it waits for: mostly its turn, or its server, and in the end its signers.
        admission: Admission,
        /// Why it is stopped, as its server signed it, without anything that a terminal would obey; empty where it isn't, or
        /// doesn't say.
        words: String,
    },
}

/// Why a release may not be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The channel file is another product's or channel's.
    OtherChannel,
    /// The manifest is another release's than the channel says.
    OtherRelease,
    /// The manifest can't be read here.
    Unreadable {
        /// Requires something unknown, or malformed.
        code: FailureCode,
        /// How.
        detail: String,
    },
    /// Its maker has withdrawn it, now or once.
    Withdrawn,
    /// It would undo a security update.
    BelowCounter {
        /// The release's number.
        security_version: u32,
        /// The device's counter.
        counter: u32,
    },
    /// Another release has to come first.
    Barrier {
        /// The least version that may go on.
        minimum: ReleaseVersion,
    },
    /// Its rollout leaves this hardware out.
    NotRolledOut {
        /// The hardware.
        hardware: HardwareName,
    },
    /// It has no image for this hardware.
    NoImage {
        /// The hardware.
        hardware: HardwareName,
    },
    /// Its image doesn't fit.
    NoRoom {
        /// The image's length in bytes.
        length: u64,
        /// The slot's capacity in bytes.
        capacity: u64,
    },
    /// No payload in an encoding that is known here.
    NoPayload,
}

impl Decision {
    /// Why this release is passed over, where it is.
    pub fn reason_for(&self, manifest: &Sha256Digest) -> Option<&Reason> {
        let passed_over = match self {
            Self::UpToDate { passed_over }
            | Self::Update { passed_over, .. }
            | Self::Held { passed_over, .. } => passed_over.as_slice(),
            Self::Refused(refused) => core::slice::from_ref(refused),
        };
        passed_over
            .iter()
            .find(|passed| passed.manifest.as_ref() == Some(manifest))
            .map(|passed| &passed.reason)
    }
}

impl Decision {
    /// The release that it is about, what the device waits for, and until when at most where that is known.
    pub fn waits(&self) -> (Option<ReleaseVersion>, Waits, Option<Timestamp>) {
        match self {
            Self::UpToDate { .. } => (None, Waits::Nothing, None),
            Self::Update { version, .. } => (Some(version.clone()), Waits::Nothing, None),
            Self::Held { told: passed, .. } | Self::Refused(passed) => {
                let (waits, until) = passed.reason.waits();
                (passed.version.clone(), waits, until)
            }
        }
    }
}

impl Reason {
    fn waits(&self) -> (Waits, Option<Timestamp>) {
        let Self::Held { until, why } = self else { return (Waits::Release, None) };
        let waits = match why {
            HoldReason::Postponed | HoldReason::FailedTooOften { .. } | HoldReason::GoneBackFrom => {
                Waits::Owner
            }
            HoldReason::FailedBefore { .. } => Waits::Failure,
            HoldReason::Rollout { admission: Admission::Held { hold: Hold::NoConsent, .. }, .. } => {
                Waits::Signers
            }
            HoldReason::Rollout { admission: Admission::Held { .. }, .. } => Waits::Server,
            HoldReason::Rollout { .. } => Waits::Turn,
        };
        (waits, *until)
    }

    pub(super) fn no(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl PassedOver {
    /// It is for other hardware than this device's, which is no fault.
    pub(super) fn is_for_others(&self) -> bool {
        matches!(self.reason, Reason::Refused(Refusal::NoImage { .. } | Refusal::NotRolledOut { .. }))
    }
}

impl Refusal {
    /// Its number in reports.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::OtherChannel | Self::OtherRelease => FailureCode::Inconsistent,
            Self::Unreadable { code, .. } => *code,
            Self::Withdrawn => FailureCode::Withdrawn,
            Self::BelowCounter { .. } => FailureCode::SecurityVersion,
            Self::Barrier { .. } => FailureCode::Barrier,
            Self::NotRolledOut { .. } | Self::NoImage { .. } => FailureCode::WrongHardware,
            Self::NoRoom { .. } => FailureCode::NoRoom,
            Self::NoPayload => FailureCode::RequirementUnknown,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate { passed_over } => {
                f.write_str("up to date")?;
                match passed_over.first() {
                    Some(PassedOver { version: Some(version), reason: Reason::Refused(refusal), .. }) => {
                        write!(f, "; {version} is passed over: {refusal}")
                    }
                    _ => Ok(()),
                }
            }
            Self::Update { version, .. } => write!(f, "{version} is to be installed"),
            Self::Held { told, .. } => write!(f, "{told}"),
            Self::Refused(refused) => write!(f, "{refused}"),
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{version} {}", self.reason),
            None => write!(f, "the channel {}", self.reason),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { why: why @ HoldReason::Rollout { .. }, .. } => write!(f, "waits: {why}"),
            Self::Held { until: Some(until), why } => write!(f, "waits until {until}: {why}"),
            Self::Held { until: None, why } => write!(f, "waits for the owner: {why}"),
            Self::Refused(refusal) => write!(f, "is refused: {refusal}"),
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postponed => f.write_str("the owner has put updates off"),
            Self::FailedBefore { code } => write!(f, "it failed here before (code {})", code.number()),
            Self::FailedTooOften { code, tries } => {
                write!(f, "it failed here {tries} times (code {})", code.number())
            }
            Self::GoneBackFrom => f.write_str("the owner went back from it"),
            Self::Rollout { admission, words } if words.is_empty() => write!(f, "{admission}"),
            Self::Rollout { admission, words } => write!(f, "{admission}; its server says: “{words}”"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherChannel => f.write_str("it is for another product or channel"),
            Self::OtherRelease => f.write_str("its manifest names another product or version"),
            Self::Unreadable { detail, .. } => f.write_str(detail),
            Self::Withdrawn => f.write_str("its maker has withdrawn it"),
            Self::BelowCounter { security_version, counter } => write!(
                f,
                "its security version is {security_version}, and this device has confirmed {counter} already"
            ),
            Self::Barrier { minimum } => write!(f, "{minimum} or a later release has to be installed first"),
            Self::NotRolledOut { hardware } => write!(f, "its rollout leaves hardware {hardware} out"),
            Self::NoImage { hardware } => write!(f, "it has no image for hardware {hardware}"),
            Self::NoRoom { length, capacity } => {
                write!(f, "its image has {length} bytes, and {capacity} fit into a slot")
            }
            Self::NoPayload => f.write_str("it comes in no encoding that this agent knows"),
        }
    }
}
