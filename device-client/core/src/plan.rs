//! The plan of an update: everything that downloading and installing it needs, with nothing left to choose.
//!
//! Holds no policy. A plan is part of the journal, so that an update goes on after a power cut without the network's
//! help; every byte that it leads to is checked against the digests in it.

use alloc::boxed::Box;
use alloc::string::String;

use perennial_schemas::{ReleaseVersion, Sha256Digest, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::port::Slot;
use crate::rollout::Admitted;

/// What is installed, from where, into which slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The release.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// Its anti-rollback number.
    pub security_version: u32,
    /// The slot that it goes into.
    pub slot: Slot,
    /// Length of the image in bytes.
    pub length: u64,
    /// SHA-256 of the whole image.
    pub sha256: Sha256Digest,
    /// How to get it; `None` for a release that is in the slot already, which the owner wants back.
    #[serde(default, deserialize_with = "known_source")]
    pub source: Option<Source>,
}

/// Where an image comes from, and all that matters until it is activated. A program to which a part of it is unknown
/// can't go on with the update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The index of the image: what may be written.
    pub image_index: IndexFile,
    /// The index of the payload: what may be decompressed.
    pub payload_index: IndexFile,
    /// The payload's target path, in its consistent-snapshot spelling.
    pub payload: String,
    /// Its length in bytes.
    pub payload_length: u64,
    /// What it is.
    pub coding: Coding,
    /// For a delta: the image that it starts from, in the other slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// For a delta: the full payload, which is taken where the delta comes to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Box<Source>>,
    /// When the metadata that vouches for all this expires. The download and the activation each begin before it, or
    /// after the metadata was renewed.
    pub expires: Timestamp,
    /// What lets this device have a release that is rolled out in stages: asked again on the way. Not for a release for
    /// everybody, nor for one that the owner wants at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Admitted>,
    /// Whether the payload goes through the staging area. Decided when the download begins.
    #[serde(default)]
    pub staged: bool,
}

/// The image that a delta starts from: what runs while the delta is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its release.
    pub version: ReleaseVersion,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of the whole image.
    pub sha256: Sha256Digest,
    /// Its index: what may be read of it.
    pub index: IndexFile,
}

impl Source {
    /// Whether the rollout held it when it was asked last.
    pub fn is_held(&self) -> bool {
        self.rollout.is_some_and(|admitted| admitted == Admitted::HELD)
    }

    /// The image that a delta starts from, and the payload that takes a delta's place; nothing for a full payload.
    pub fn delta(&self) -> Option<(&Base, &Source)> {
        if self.coding != Coding::Delta {
            return None;
        }
        Some((self.base.as_ref()?, self.full.as_deref()?))
    }
}

/// A file that is an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexFile {
    /// Its target path, in its consistent-snapshot spelling.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its root, as the manifest gives it.
    pub root: Sha256Digest,
}

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// The image itself.
    Plain,
    /// One zstd frame of it.
    Zstd,
    /// A delta from the image that runs.
    Delta,
}

/// What a journal says of its plan's source, before it is taken for known.
#[derive(Deserialize)]
pub(crate) struct Glimpse {
    pub(crate) plan: Option<PlanGlimpse>,
}

/// The same of a plan.
#[derive(Deserialize)]
pub(crate) struct PlanGlimpse {
    #[serde(default)]
    source: Option<AnySource>,
}

impl PlanGlimpse {
    /// Whether the source is one that another version of this program has written, and that isn't known here.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self.source, Some(AnySource::Foreign(_)))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AnySource {
    Known(Box<Source>),
    Foreign(IgnoredAny),
}

fn known_source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Source>, D::Error> {
    Ok(match Option::deserialize(deserializer)? {
        Some(AnySource::Known(source)) => Some(*source),
        Some(AnySource::Foreign(_)) | None => None,
    })
}
