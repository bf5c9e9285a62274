//! The report: what a device says of a release, with failure codes that are only ever added to.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::{DeviceId, HardwareName, ProductName};
use crate::limits::{REPORT_LENGTH, TEXT_LENGTH};
use crate::time::Timestamp;
use crate::version::ReleaseVersion;

/// One report of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// `perennial.report/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The device.
    pub device: DeviceId,
    /// Rises by one with each report of the device, from 1.
    pub sequence: u64,
    /// The device's clock when it happened.
    pub at: Timestamp,
    /// The product.
    pub product: ProductName,
    /// The hardware revision.
    pub hardware: HardwareName,
    /// The release that it is about.
    pub version: ReleaseVersion,
    /// SHA-256 of that release's manifest.
    pub manifest: Sha256Digest,
    /// What happened.
    pub outcome: Outcome,
    /// What failed, for outcomes `failed`, `rolled-back` and `delta-failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureCode>,
    /// A short text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What happened to a release on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The download began.
    Started,
    /// It is in a slot, read back and right.
    Installed,
    /// It booted and was healthy.
    Confirmed,
    /// It was not installed.
    Failed,
    /// It was tried, and the device went back.
    RolledBack,
    /// A delta came to nothing, and the release goes on with its full payload: no failure of the release.
    DeltaFailed,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

macro_rules! failure_codes {
    ($(#[doc = $doc:literal] $name:ident = $number:literal,)*) => {
        /// What failed. Numbers are only ever added: 1xx trust, 2xx decision, 3xx download, 4xx installation, 5xx trial,
        /// 9xx the device itself. In JSON: the number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FailureCode {
            $(#[doc = $doc] $name,)*
            /// A number that this version does not know.
            Unknown(u16),
        }

        impl FailureCode {
            /// Every code that this version knows.
            pub const ALL: &[FailureCode] = &[$(FailureCode::$name,)*];

            /// The code's number.
            pub fn number(self) -> u16 {
                match self {
                    $(FailureCode::$name => $number,)*
                    FailureCode::Unknown(number) => number,
                }
            }

            /// What it means, for people: a sentence with its full stop.
            pub fn text(self) -> &'static str {
                match self {
                    $(FailureCode::$name => $doc.trim_ascii(),)*
                    FailureCode::Unknown(_) => "A code that this version does not know.",
                }
            }
        }

        impl From<u16> for FailureCode {
            fn from(number: u16) -> Self {
                match number {
                    $($number => FailureCode::$name,)*
                    _ => FailureCode::Unknown(number),
                }
            }
        }
    };
}

failure_codes! {
    /// Metadata without enough good signatures.
    Signature = 101,
    /// Metadata older than what is trusted.
    Rollback = 102,
    /// Metadata past its expiry.
    Expired = 103,
    /// Metadata that doesn't fit together.
    Inconsistent = 104,
    /// Metadata or documents that can't be read.
    Malformed = 105,
    /// The trust state can't be read.
    TrustStateLost = 106,
    /// No image for this hardware.
    WrongHardware = 201,
    /// Below the anti-rollback counter.
    SecurityVersion = 202,
    /// A barrier was not passed.
    Barrier = 203,
    /// Withdrawn by its maker.
    Withdrawn = 204,
    /// It requires a feature that this agent does not know.
    RequirementUnknown = 205,
    /// The support date would become earlier.
    SupportShorter = 206,
    /// The server can't be reached.
    Unreachable = 301,
    /// The server answers wrongly.
    BadAnswer = 302,
    /// A chunk of the payload has another digest.
    PayloadDigest = 303,
    /// The payload can't be decompressed.
    Decompression = 401,
    /// A chunk of the image has another digest.
    ImageDigest = 402,
    /// The slot is too small.
    NoRoom = 403,
    /// Writing or reading back failed.
    SlotIo = 404,
    /// The boot loader's state can't be changed.
    BootControl = 405,
    /// A hook of the product refused.
    Hook = 406,
    /// The image that a delta starts from is not in the running slot as it was signed.
    DeltaSource = 407,
    /// A delta that can't be applied.
    DeltaMalformed = 408,
    /// A delta that wants more memory than this device gives.
    DeltaMemory = 409,
    /// It booted and was not healthy.
    Unhealthy = 501,
    /// It did not boot: the boot loader fell back.
    DidNotBoot = 502,
    /// A reset that nobody can attribute.
    UnattributedReset = 503,
    /// The device's storage failed.
    Storage = 901,
    /// A defect of this program.
    Internal = 999,
}

impl Serialize for FailureCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

impl<'de> Deserialize<'de> for FailureCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u16::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(feature = "json-schema")]
impl schemars::JsonSchema for FailureCode {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "FailureCode".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let known: Vec<u16> = Self::ALL.iter().map(|code| code.number()).collect();
        schemars::json_schema!({ "type": "integer", "minimum": 100, "maximum": 999, "examples": known })
    }
}

impl Document for Report {
    const FORMAT: &'static str = "perennial.report/1";
    const WHAT: &'static str = "report";
    const MAX_LENGTH: u64 = REPORT_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        ensure(self.sequence >= 1, Self::WHAT, || "its sequence is 0".into())?;
        ensure(self.detail.len() <= TEXT_LENGTH, Self::WHAT, || {
            alloc::format!("its detail is longer than {TEXT_LENGTH} bytes")
        })?;
        let failed = matches!(self.outcome, Outcome::Failed | Outcome::RolledBack | Outcome::DeltaFailed);
        let known = self.outcome != Outcome::Unknown;
        ensure(!known || failed == self.failure.is_some(), Self::WHAT, || {
            "a failure belongs to the outcomes failed, rolled-back and delta-failed, and to no other".into()
        })
    }
}

impl Report {
    /// The checks of [`Document::parse`] for one that stands inside another document.
    ///
    /// # Errors
    /// [`FormatError`]: another format, a requirement unknown here, or a rule of [`Document::validate`].
    pub(crate) fn validate_within(&self) -> Result<(), FormatError> {
        ensure(self.format == Self::FORMAT, Self::WHAT, || {
            alloc::format!("its format is not {:?}", Self::FORMAT)
        })?;
        if let Some(feature) = self.requires.iter().find(|feature| !Self::KNOWN.contains(&feature.as_str())) {
            let feature = crate::document::abridged(feature.clone());
            return Err(FormatError::Requires { what: Self::WHAT, feature });
        }
        self.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_read_back() {
        for (i, code) in FailureCode::ALL.iter().enumerate() {
            assert_eq!(FailureCode::from(code.number()), *code);
            assert!(FailureCode::ALL[..i].iter().all(|other| other.number() != code.number()));
        }
        assert_eq!(FailureCode::from(777), FailureCode::Unknown(777));
    }

    #[test]
    fn every_code_has_a_sentence() {
        assert_eq!(FailureCode::Unhealthy.text(), "It booted and was not healthy.");
        for code in FailureCode::ALL.iter().chain(&[FailureCode::Unknown(777)]) {
            assert!(code.text().ends_with('.') && !code.text().contains('\n'), "{code:?}");
        }
    }
}
