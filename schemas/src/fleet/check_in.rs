//! The check-in: what a device runs, and what else its product tells of it where the owner consents.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::line;
use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::{AttributeName, ChannelName, HardwareName, ProductName, Ticket};
use crate::limits::{AGENT_LENGTH, ATTRIBUTE_LENGTH, ATTRIBUTES, CHECK_IN_LENGTH, FLEET_ANSWER_LENGTH};
use crate::time::Timestamp;
use crate::version::ReleaseVersion;

/// What a device runs. Labels aren't in it: they are bound in the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct CheckIn {
    /// `perennial.check-in/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The device's clock.
    pub at: Timestamp,
    /// The product.
    pub product: ProductName,
    /// The hardware revision.
    pub hardware: HardwareName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// The release that runs.
    pub version: ReleaseVersion,
    /// The anti-rollback counter.
    pub security_version: u32,
    /// SHA-256 of the running release's manifest; absent where the device has it from its factory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Sha256Digest>,
    /// The agent's name and version: 1 to 64 bytes.
    pub agent: String,
    /// What else the product tells; empty where the owner does not consent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, String>,
    /// The last ticket that the device was given; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
}

/// The answer to a check-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct CheckedIn {
    /// `perennial.checked-in/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// For the next check-in: kept durably before it is used.
    pub ticket: Ticket,
    /// The highest sequence number of a report of this device and epoch that is durable; 0 where there is none.
    pub acknowledged: u64,
    /// When the server would like to hear of the device again, in seconds: 60 to 2,592,000 (30 days).
    pub next_check_in: u32,
}

impl CheckedIn {
    /// Bounds of `next_check_in`, in seconds. Stops a server from being asked without pause, or a device from never
    /// asking again.
    pub const NEXT: core::ops::RangeInclusive<u32> = 60..=30 * 86_400;

    /// An answer; `next_check_in` in seconds is clamped to its bounds.
    pub fn new(ticket: Ticket, acknowledged: u64, next_check_in: u32) -> Self {
        let next_check_in = next_check_in.clamp(*Self::NEXT.start(), *Self::NEXT.end());
        Self { format: Self::FORMAT.into(), requires: Vec::new(), ticket, acknowledged, next_check_in }
    }
}

impl Document for CheckIn {
    const FORMAT: &'static str = "perennial.check-in/1";
    const WHAT: &'static str = "check-in";
    const MAX_LENGTH: u64 = CHECK_IN_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        ensure(!self.agent.is_empty(), Self::WHAT, || "its agent is empty".into())?;
        line(Self::WHAT, "agent", &self.agent, AGENT_LENGTH)?;
        ensure(self.attributes.len() <= ATTRIBUTES, Self::WHAT, || {
            format!("it has more than {ATTRIBUTES} attributes")
        })?;
        self.attributes.iter().try_for_each(|(name, value)| {
            line(Self::WHAT, &format!("attribute {name}"), value, ATTRIBUTE_LENGTH)
        })
    }
}

impl Document for CheckedIn {
    const FORMAT: &'static str = "perennial.checked-in/1";
    const WHAT: &'static str = "answer to a check-in";
    const MAX_LENGTH: u64 = FLEET_ANSWER_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        ensure(Self::NEXT.contains(&self.next_check_in), Self::WHAT, || {
            format!("its next_check_in is not {} to {} seconds", Self::NEXT.start(), Self::NEXT.end())
        })
    }
}
