//! The release manifest (`<version>.release.json`): what a release is, for which hardware, and how to check each byte.
//!
//! The manifest is a TUF target; whoever reads one has verified its digest against the product's signed role.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::{HardwareName, ProductName, TargetPath};
use crate::limits::{
    IMAGE_LENGTH, IMAGES, PAYLOADS, RELEASE_LENGTH, SECURITY_VERSION_STEP, TEXT_LENGTH, VULNERABILITIES,
};
use crate::rollout::Plan;
use crate::time::{Date, Timestamp};
use crate::version::ReleaseVersion;

/// What a release with a rollout plan requires of its reader.
pub const ROLLOUT_FEATURE: &str = "rollout";

/// A release manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Release {
    /// `perennial.release/1`.
    pub format: String,
    /// Features that a reader must know, or refuse the release.
    pub requires: Vec<String>,
    /// The product.
    pub product: ProductName,
    /// The release's version.
    pub version: ReleaseVersion,
    /// The anti-rollback number: a device never goes below the highest that it has confirmed. Starts at 1 and rises
    /// by at most 16 from release to release.
    pub security_version: u32,
    /// What kind of change it is.
    pub class: Class,
    /// When it was proposed.
    pub created: Timestamp,
    /// What it means, in plain words.
    pub notes: Notes,
    /// Vulnerabilities that it fixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<FixedVulnerability>,
    /// A device below this version must pass through another release first (a barrier).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_version: Option<ReleaseVersion>,
    /// For how many days an owner may put it off, from the day on which the device would have installed it; 0: not at
    /// all. Without it, as often as the owner says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postponable_days: Option<u16>,
    /// The bill of materials, a target of the same product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<TargetPath>,
    /// Who may have it from when on, and what stops that; without it everybody may at once. `requires` holds
    /// [`ROLLOUT_FEATURE`] exactly where it is there, so that no reader ever ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Plan>,
    /// Addresses of advisories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<String>,
    /// What the signer's scan for secrets found in the images, and why it was let through; absent where it found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_let_through: Option<SecretsLetThrough>,
    /// The last day on which its files must still be served.
    pub available_until: Date,
    /// One image for each kind of hardware.
    pub images: Vec<Image>,
}

/// A false alarm of the signer's scan, with the name of whoever signs the release on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct SecretsLetThrough {
    /// Why it is no secret, in plain words.
    pub reason: String,
    /// What was found and where, at least one and at most 64; never the secret itself.
    pub found: Vec<String>,
}

/// What kind of change a release is (CRA Annex I: security apart from functionality where feasible).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Class {
    /// Security fixes alone.
    Security,
    /// New or changed functions alone.
    Functionality,
    /// Both.
    Combined {
        /// Why they could not be kept apart, in plain words.
        reason: String,
    },
}

/// What a release means to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Notes {
    /// What it changes or fixes, in plain words.
    pub what: String,
    /// Why that matters to the owner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How long the device can't be used while it installs, in seconds; 0 where it can be used all the time but for a
    /// restart.
    #[serde(default)]
    pub interruption_seconds: u32,
}

/// A vulnerability that a release fixes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct FixedVulnerability {
    /// Such as `CVE-2026-12345`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The day on which it became publicly known; absent where it was not before this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosed: Option<Date>,
}

/// CVSS's qualitative severity ratings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// CVSS 0.1 to 3.9.
    Low,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 9.0 to 10.0.
    Critical,
}

/// The image for some hardware revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Image {
    /// The hardware revisions that it is for. A revision has one image in a release.
    pub hardware: Vec<HardwareName>,
    /// Its length in bytes, as installed.
    pub length: u64,
    /// SHA-256 of the whole image, for people and other tools; devices check chunks by the index.
    pub sha256: Sha256Digest,
    /// The index of the image: what may be written into a slot.
    pub index: IndexRef,
    /// Ways to get it, at least a full one.
    pub payloads: Vec<Payload>,
}

/// Where an index is, and its root digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct IndexRef {
    /// The target.
    pub target: TargetPath,
    /// SHA-256 of the index's root ([`crate::index`]).
    pub root: Sha256Digest,
}

/// One way to get an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Payload {
    /// How the image is made from it. A device ignores encodings that it does not know.
    pub encoding: Encoding,
    /// The target.
    pub target: TargetPath,
    /// Its length in bytes, as downloaded.
    pub length: u64,
    /// The index of the payload: what may reach a decompressor.
    pub index: IndexRef,
    /// The image that a delta starts from: there for deltas, and for nothing else that this version knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<DeltaSource>,
}

/// The image that a delta starts from, as its own release's manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct DeltaSource {
    /// Its release: for people, and for a device whose image came from the factory.
    pub version: ReleaseVersion,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of the whole image.
    pub sha256: Sha256Digest,
    /// Its index: a device reads its old image through that.
    pub index: IndexRef,
}

/// How an image is made from a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(from = "String", into = "String")]
#[cfg_attr(feature = "json-schema", schemars(with = "String"))]
pub enum Encoding {
    /// The image itself.
    Plain,
    /// One zstd frame with a window of at most 8 MiB.
    Zstd,
    /// A delta from [`Payload::source`].
    Delta,
    /// Another, that this version does not know.
    Unknown(String),
}

impl From<String> for Encoding {
    fn from(text: String) -> Self {
        match text.as_str() {
            "plain" => Self::Plain,
            "zstd" => Self::Zstd,
            "delta" => Self::Delta,
            _ => Self::Unknown(text),
        }
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Plain => "plain".into(),
            Encoding::Zstd => "zstd".into(),
            Encoding::Delta => "delta".into(),
            Encoding::Unknown(text) => text,
        }
    }
}

impl Release {
    /// The image for a hardware revision.
    pub fn image_for(&self, hardware: &HardwareName) -> Option<&Image> {
        self.images.iter().find(|image| image.hardware.contains(hardware))
    }

    /// Every target that the manifest names, in order; the indexes that deltas start from are those of earlier releases.
    pub fn targets(&self) -> Vec<&TargetPath> {
        let mut targets: Vec<&TargetPath> = self.sbom.iter().collect();
        for image in &self.images {
            targets.push(&image.index.target);
            for payload in &image.payloads {
                targets.extend([&payload.target, &payload.index.target]);
                targets.extend(payload.source.iter().map(|source| &source.index.target));
            }
        }
        targets
    }

    /// The manifest's own target path.
    ///
    /// # Errors
    /// [`FormatError::Shape`] where it is too long.
    pub fn path(product: &ProductName, version: &ReleaseVersion) -> Result<TargetPath, FormatError> {
        let path = format!("{product}/{version}.release.json");
        path.parse().map_err(|e| FormatError::shape(Self::WHAT, format!("{e}")))
    }

    /// Whether `security_version` may follow `previous`: never lower, at most 16 higher.
    pub fn security_version_may_follow(&self, previous: u32) -> bool {
        (previous..=previous.saturating_add(SECURITY_VERSION_STEP)).contains(&self.security_version)
    }
}

impl Document for Release {
    const FORMAT: &'static str = "perennial.release/1";
    const WHAT: &'static str = "release manifest";
    const MAX_LENGTH: u64 = RELEASE_LENGTH;
    const KNOWN: &'static [&'static str] = &[ROLLOUT_FEATURE];

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(self.security_version >= 1, what, || "security_version is 0; it starts at 1".into())?;
        self.validate_texts()?;
        ensure(self.fixes.len() <= VULNERABILITIES, what, || format!("more than {VULNERABILITIES} fixes"))?;
        ensure(!self.images.is_empty(), what, || "it has no image".into())?;
        ensure(self.images.len() <= IMAGES, what, || format!("more than {IMAGES} images"))?;
        let mut seen = BTreeSet::new();
        for hardware in self.images.iter().flat_map(|image| &image.hardware) {
            ensure(seen.insert(hardware), what, || format!("two images for hardware {hardware}"))?;
        }
        self.images.iter().try_for_each(Image::validate)?;
        self.validate_rollout()?;
        let folder = format!("{}/", self.product);
        for target in self.targets() {
            ensure(target.split().0 == folder, what, || format!("{target} is not directly under {folder}"))?;
        }
        Ok(())
    }
}

impl Release {
    fn validate_rollout(&self) -> Result<(), FormatError> {
        let required = self.requires.iter().any(|feature| feature == ROLLOUT_FEATURE);
        ensure(required == self.rollout.is_some(), Self::WHAT, || {
            format!("a release requires {ROLLOUT_FEATURE:?} exactly where it has a rollout plan")
        })?;
        let Some(plan) = &self.rollout else { return Ok(()) };
        plan.validate()?;
        let stranger = plan.hardware.iter().flatten().find(|hardware| self.image_for(hardware).is_none());
        stranger.map_or(Ok(()), |hardware| {
            Err(FormatError::shape(
                Self::WHAT,
                format!("its rollout plan names hardware {hardware}, for which it has no image"),
            ))
        })
    }

    fn validate_texts(&self) -> Result<(), FormatError> {
        let reason = match &self.class {
            Class::Combined { reason } => reason.as_str(),
            _ => "-",
        };
        ensure(!reason.trim().is_empty(), Self::WHAT, || "a combined release needs a reason".into())?;
        ensure(!self.notes.what.trim().is_empty(), Self::WHAT, || "notes.what is empty".into())?;
        let ids = self.fixes.iter().map(|fix| fix.id.as_str());
        let texts = [reason, &self.notes.what, &self.notes.why].into_iter();
        let all = texts.chain(ids).chain(self.advisories.iter().map(String::as_str));
        ensure(self.advisories.len() <= VULNERABILITIES, Self::WHAT, || {
            format!("more than {VULNERABILITIES} advisories")
        })?;
        let found = self.secrets_let_through.as_ref();
        if let Some(SecretsLetThrough { reason, found }) = found {
            let told = !reason.trim().is_empty() && (1..=64).contains(&found.len());
            ensure(told, Self::WHAT, || "secrets_let_through needs a reason and 1 to 64 findings".into())?;
        }
        let found = found.into_iter().flat_map(|known| known.found.iter().chain([&known.reason]));
        for text in all.chain(found.map(String::as_str)) {
            ensure(text.len() <= TEXT_LENGTH, Self::WHAT, || {
                format!("a text is longer than {TEXT_LENGTH} bytes")
            })?;
        }
        Ok(())
    }
}

impl Image {
    fn validate(&self) -> Result<(), FormatError> {
        let what = Release::WHAT;
        ensure(!self.hardware.is_empty(), what, || "an image names no hardware".into())?;
        let length = (1..=IMAGE_LENGTH).contains(&self.length);
        ensure(length, what, || format!("an image is not 1 to {IMAGE_LENGTH} bytes long"))?;
        ensure(self.payloads.len() <= PAYLOADS, what, || format!("more than {PAYLOADS} payloads"))?;
        let full = self.payloads.iter().any(|p| matches!(p.encoding, Encoding::Plain | Encoding::Zstd));
        ensure(full, what, || format!("{} has no full payload", self.index.target))?;
        for payload in &self.payloads {
            let length = (1..=IMAGE_LENGTH).contains(&payload.length);
            ensure(length, what, || format!("{} is not 1 to {IMAGE_LENGTH} bytes long", payload.target))?;
            let plain = payload.encoding != Encoding::Plain || payload.length == self.length;
            ensure(plain, what, || format!("{} is plain and not as long as the image", payload.target))?;
            payload.validate_source(self)?;
        }
        Ok(())
    }
}

impl Payload {
    /// An encoding of the future may start from another image, too, and says so as it likes.
    fn validate_source(&self, image: &Image) -> Result<(), FormatError> {
        let (what, target) = (Release::WHAT, &self.target);
        let Some(source) = &self.source else {
            return ensure(self.encoding != Encoding::Delta, what, || {
                format!("{target} is a delta without its source")
            });
        };
        let full = matches!(self.encoding, Encoding::Plain | Encoding::Zstd);
        ensure(!full, what, || format!("{target} is a full payload, and names a source"))?;
        let length = (1..=IMAGE_LENGTH).contains(&source.length);
        ensure(length, what, || format!("the source of {target} is not 1 to {IMAGE_LENGTH} bytes long"))?;
        ensure(source.sha256 != image.sha256, what, || {
            format!("{target} starts from the image that it makes")
        })
    }
}
