//! The rollout status: how far a rollout is open now, signed by the server's rollout key. It can only lower what the plan
//! allows.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Plan, WHOLE};
use crate::crypto::Crypto;
use crate::digest::Sha256Digest;
use crate::document::{FormatError, ensure};
use crate::ident::{HardwareName, KeyId, ProductName};
use crate::limits::{IMAGES, ROLLOUT_STATUS_LENGTH, TEXT_LENGTH};
use crate::signed::{Signed, ThresholdError, Verified};
use crate::time::Timestamp;
use crate::tuf::{Authority, Common, KeyMap, Role};
use crate::version::ReleaseVersion;

/// How far a release's rollout is open.
///
/// Its type is its own, so that no status passes for TUF metadata, nor the other way about. `version` in [`Common`] is the
/// status' sequence number: it rises with each one of a manifest and a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct RolloutStatus {
    /// Type, sequence number, expiry.
    #[serde(flatten)]
    pub common: Common,
    /// The product.
    pub product: ProductName,
    /// SHA-256 of the release's manifest.
    pub manifest: Sha256Digest,
    /// The rollout key, as the plan names it.
    pub key: KeyId,
    /// When it was signed.
    pub issued: Timestamp,
    /// The open share, in parts per million: the lower one of this and the plan's counts. Early groups are open while it
    /// runs.
    pub open: u32,
    /// Running or not.
    pub state: RolloutState,
    /// Hardware revisions for which it is halted while it goes on for others, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<HardwareName>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// Why, in plain words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it is halted for single hardware revisions, in plain words, for some or all of `stopped`: beside `reason`, which is of
    /// the rollout as a whole. A reader that doesn't know it passes it over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stopped_reasons: BTreeMap<HardwareName, String>,
    /// The server's audit log as of this status: `SEQUENCE:SHA-256`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub audit: String,
}

/// Whether a rollout goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// It goes on.
    Running,
    /// A person has stopped it for now.
    Paused,
    /// Evidence, or a person, has stopped it.
    Halted,
    /// One that this version does not know: nobody is admitted by it.
    #[serde(other)]
    Unknown,
}

/// Why a status doesn't count. A rollout without one is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusRefused {
    /// The rollout key hasn't signed it.
    #[error("the rollout key of the plan hasn't signed it: {0}")]
    Signature(#[from] ThresholdError),
    /// It is about another release.
    #[error("it is the status of another release")]
    OtherRelease,
    /// It is past its expiry.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// It claims to be valid for longer than the plan allows.
    #[error("it claims to be valid for longer than its plan allows")]
    TooLong,
    /// It claims to be of the future.
    #[error("it is dated {0}, which is in the future")]
    Future(Timestamp),
    /// Its number is of the future, and would outlive every later one.
    #[error("its number {0} is far ahead of its date")]
    Ahead(u64),
    /// A later one was seen.
    #[error("number {seen} was seen, and this is number {number}")]
    Older {
        /// Its sequence number.
        number: u64,
        /// The greatest seen.
        seen: u64,
    },
    /// The key's id can't be made.
    #[error(transparent)]
    Key(#[from] FormatError),
}

impl RolloutStatus {
    /// Where a server's static plane has it, beside `metadata/` and `targets/`.
    pub fn path(product: &ProductName, version: &ReleaseVersion) -> String {
        format!("rollouts/{product}/{version}.json")
    }

    /// Why it is stopped for devices of a hardware revision, in its server's words; empty where it isn't, or they don't say.
    pub fn stopped_by(&self, hardware: &HardwareName) -> &str {
        match self.state {
            RolloutState::Paused | RolloutState::Halted => &self.reason,
            _ => self.stopped_reasons.get(hardware).map_or("", String::as_str),
        }
    }

    /// The proof that the plan's rollout key has signed a status of this release.
    ///
    /// # Errors
    /// [`StatusRefused`]; whether it is current is asked apart, by [`Self::check_current`].
    pub fn verify(
        signed: Signed<Self>,
        plan: &Plan,
        product: &ProductName,
        manifest: &Sha256Digest,
        crypto: &impl Crypto,
    ) -> Result<Verified<Self>, StatusRefused> {
        let id = plan.key.id(crypto)?;
        let keys = KeyMap::from([(id.clone(), plan.key.clone())]);
        let ids = [id];
        let status = signed.verify(&Authority::new("rollout", &keys, &ids, 1), crypto)?;
        let fits = status.product == *product && status.manifest == *manifest && status.key == ids[0];
        if fits { Ok(status) } else { Err(StatusRefused::OtherRelease) }
    }

    /// Whether it counts at `now`, where `seen` is the greatest sequence number seen of this manifest and key.
    ///
    /// # Errors
    /// [`StatusRefused`].
    pub fn check_current(&self, plan: &Plan, seen: u64, now: Timestamp) -> Result<(), StatusRefused> {
        let age = plan.status_max_age_seconds as i64;
        if self.version() < seen {
            return Err(StatusRefused::Older { number: self.version(), seen });
        }
        if self.expires() > self.issued.plus_seconds(age) {
            return Err(StatusRefused::TooLong);
        }
        // A device's clock may be slow by as much as a status may be old.
        if self.issued > now.plus_seconds(age) {
            return Err(StatusRefused::Future(self.issued));
        }
        // Numbers are Unix seconds, or one more than the last. One of 2099 would shut out all that follow whoever stole the key.
        let newest = self.issued.plus_seconds(age).unix();
        if i64::try_from(self.version()).map_or(true, |number| number > newest) {
            return Err(StatusRefused::Ahead(self.version()));
        }
        if self.is_current(now) { Ok(()) } else { Err(StatusRefused::Expired(self.expires())) }
    }
}

impl Role for RolloutStatus {
    const TYPE: &'static str = "perennial-rollout-status";
    const WHAT: &'static str = "rollout status";
    const MAX_LENGTH: u64 = ROLLOUT_STATUS_LENGTH;

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<(), FormatError> {
        self.common.validate(Self::TYPE, Self::WHAT)?;
        ensure(self.open <= WHOLE, Self::WHAT, || format!("it opens for more than {WHOLE} in a million"))?;
        ensure(self.expires() > self.issued, Self::WHAT, || "it expires before it is issued".into())?;
        let ordered = self.stopped.windows(2).all(|pair| pair[0] < pair[1]);
        ensure(ordered && self.stopped.len() <= IMAGES, Self::WHAT, || {
            format!("it stops hardware revisions twice, out of order, or more than {IMAGES}")
        })?;
        let named = self.stopped_reasons.keys().all(|hardware| self.stopped.contains(hardware));
        ensure(named, Self::WHAT, || {
            "it says why it is halted for hardware that it isn't halted for".into()
        })?;
        let words: usize = self.stopped_reasons.values().map(String::len).sum();
        ensure(words <= TEXT_LENGTH, Self::WHAT, || {
            format!("its reasons of single hardware revisions are longer than {TEXT_LENGTH} bytes together")
        })?;
        let texts = [&self.reason, &self.audit];
        ensure(texts.iter().all(|text| text.len() <= TEXT_LENGTH), Self::WHAT, || {
            format!("a text is longer than {TEXT_LENGTH} bytes")
        })
    }
}
