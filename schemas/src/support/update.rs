//! Updates as a product's summary lists them: what each fixed, why it mattered, and whether it was withdrawn. Computed from
//! the signed manifests and channels alone, so that anybody can compute them again.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::channel::{Channel, Withdrawn};
use crate::digest::Sha256Digest;
use crate::release::{Class, FixedVulnerability, Release};
use crate::time::{Date, Timestamp};
use crate::version::ReleaseVersion;

/// Updates in one summary, the newest. A release has notes of up to 16 KiB; most have some hundred bytes.
pub const UPDATES: usize = 20;

/// An update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Its version.
    pub version: ReleaseVersion,
    /// When it was proposed.
    pub published: Timestamp,
    /// What kind of change it is.
    pub class: Class,
    /// What it changes or fixes, in plain words.
    pub what: String,
    /// Why that matters to the owner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Vulnerabilities that it fixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<FixedVulnerability>,
    /// The last day on which its files must still be served.
    pub available_until: Date,
    /// Why it is offered no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

impl Update {
    /// A release, and how it was withdrawn if it was.
    pub fn new(release: &Release, withdrawn: Option<&Withdrawn>) -> Self {
        Self {
            version: release.version.clone(),
            published: release.created,
            class: release.class.clone(),
            what: release.notes.what.clone(),
            why: release.notes.why.clone(),
            fixes: release.fixes.clone(),
            available_until: release.available_until,
            withdrawn: withdrawn.map(|withdrawn| withdrawn.reason.clone()),
        }
    }

    /// The newest of them, at most [`UPDATES`], newest first.
    pub fn newest(mut updates: Vec<Self>) -> Vec<Self> {
        updates.sort_by(|a, b| (b.published, &b.version).cmp(&(a.published, &a.version)));
        updates.truncate(UPDATES);
        updates
    }
}

/// Whether a channel offers the release of that manifest.
pub fn offers(channel: &Channel, manifest: &Sha256Digest) -> bool {
    channel.releases.iter().any(|offered| offered.manifest == *manifest)
}

/// How the release of that manifest was first withdrawn, where any of its product's channels did so.
pub fn withdrawn<'c>(channels: &'c [Channel], manifest: &Sha256Digest) -> Option<&'c Withdrawn> {
    let all = channels.iter().flat_map(|channel| &channel.withdrawn);
    all.filter(|withdrawn| withdrawn.manifest == *manifest).min_by_key(|withdrawn| withdrawn.at)
}
