//! The channel (`<channel>.channel.json`): which releases a product offers, and which it has withdrawn.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::{ChannelName, ProductName, TargetPath};
use crate::limits::{CHANNEL_LENGTH, CHANNEL_RELEASES, TEXT_LENGTH};
use crate::time::Timestamp;
use crate::version::ReleaseVersion;

/// A release channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Channel {
    /// `perennial.channel/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The product.
    pub product: ProductName,
    /// The channel's name.
    pub channel: ChannelName,
    /// What it offers, in any order; a device takes the highest version that it may.
    pub releases: Vec<Offered>,
    /// What it offers no more. An entry stays for ever.
    pub withdrawn: Vec<Withdrawn>,
}

/// A release on offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Offered {
    /// Its version.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
}

/// A release that no device may install any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Withdrawn {
    /// Its version.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest. A device remembers it for good.
    pub manifest: Sha256Digest,
    /// Why, in plain words.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

impl Channel {
    /// A channel that offers nothing yet.
    pub fn new(product: ProductName, channel: ChannelName) -> Self {
        let format = Self::FORMAT.into();
        Self { format, requires: Vec::new(), product, channel, releases: Vec::new(), withdrawn: Vec::new() }
    }

    /// The channel's own target path.
    ///
    /// # Errors
    /// [`FormatError::Shape`] never for valid names; the type is fallible because paths have a limit.
    pub fn path(product: &ProductName, channel: &ChannelName) -> Result<TargetPath, FormatError> {
        let path = format!("{product}/{channel}.channel.json");
        path.parse().map_err(|e| FormatError::shape(Self::WHAT, format!("{e}")))
    }
}

impl Document for Channel {
    const FORMAT: &'static str = "perennial.channel/1";
    const WHAT: &'static str = "channel";
    const MAX_LENGTH: u64 = CHANNEL_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        let count = self.releases.len() + self.withdrawn.len();
        ensure(count <= CHANNEL_RELEASES, what, || format!("more than {CHANNEL_RELEASES} releases"))?;
        let mut versions = BTreeSet::new();
        for offered in &self.releases {
            let once = versions.insert(&offered.version);
            ensure(once, what, || format!("{} stands twice", offered.version))?;
        }
        for withdrawn in &self.withdrawn {
            let offered = self.releases.iter().any(|offered| offered.manifest == withdrawn.manifest);
            ensure(!offered, what, || format!("{} is both offered and withdrawn", withdrawn.version))?;
            let length = withdrawn.reason.trim().len();
            ensure((1..=TEXT_LENGTH).contains(&length), what, || {
                format!(
                    "the reason for withdrawing {} is empty or longer than {TEXT_LENGTH} bytes",
                    withdrawn.version
                )
            })?;
        }
        Ok(())
    }
}
