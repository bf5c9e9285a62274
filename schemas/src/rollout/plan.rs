//! The rollout plan, a part of the release manifest: who may have a release from when on, and what may slow that down.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::WHOLE;
use crate::digest::{decode_hex, encode_hex};
use crate::document::{FormatError, ensure};
use crate::ident::{HardwareName, Label};
use crate::limits::{EARLY_GROUPS, IMAGES, LABELS, ROLLOUT_DAYS, ROLLOUT_PHASES};
use crate::time::Timestamp;
use crate::tuf::Key;

const WHAT: &str = "rollout plan";
const DAY: u64 = 86_400;

/// The plan of a release's rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// Makes the order of devices this release's own.
    pub salt: Salt,
    /// The online key that signs the status of this rollout.
    pub key: Key,
    /// The steps, with rising times and shares; the last one opens for all.
    pub phases: Vec<Phase>,
    /// Groups that come earlier than their bucket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub early: Vec<EarlyGroup>,
    /// The hardware revisions that take part; without it, all that the release has an image for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Vec<HardwareName>>,
    /// When evidence halts or advances it.
    pub gate: Gate,
    /// How long past its planned time a device may be held back, in seconds.
    pub max_hold_seconds: u64,
    /// What opens it then.
    pub on_deadline: OnDeadline,
    /// The time over which devices that were held come back once the hold has ended, in seconds.
    pub catch_up_seconds: u64,
    /// The longest that a status may be valid, in seconds.
    pub status_max_age_seconds: u64,
}

/// A step of the rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Phase {
    /// The share of the fleet that is open at its end, the phases before it included, in parts per million.
    pub share: u32,
    /// When it begins.
    pub not_before: Timestamp,
    /// How it opens.
    pub spread: Spread,
}

/// How a phase opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// For all of its share at its beginning.
    AtOnce,
    /// Evenly until the next phase begins. The last phase can't.
    Linear,
}

/// Devices that come early, whatever their bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct EarlyGroup {
    /// A device is in it that bears one of these labels.
    pub labels: Vec<Label>,
    /// From when on.
    pub not_before: Timestamp,
}

/// When evidence halts the rollout, and when it lets it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Gate {
    /// The greatest rate of failures that is good enough, in parts per million.
    pub ceiling_ppm: u32,
    /// The greatest chance that a release at the ceiling is halted, over the whole rollout, in parts per million.
    pub alpha_ppm: u32,
    /// The greatest chance that a release above the ceiling is let go on from a phase, in parts per million.
    pub beta_ppm: u32,
    /// The least number of devices that must have told how it went before the next phase.
    pub least_sample: u32,
    /// The least time that a phase is watched, in seconds.
    pub least_soak_seconds: u64,
}

/// What lets a device go that was held for `max_hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadline {
    /// The signers, who have signed the product's role again after the hold began, and still offer the release.
    Consent,
    /// Time alone: for releases whose absence is worse than their failure.
    Silence,
}

impl Plan {
    /// The planned open share at a time, in parts per million. It never falls as time goes on.
    pub fn share_at(&self, now: Timestamp) -> u32 {
        let mut before = 0;
        for (i, phase) in self.phases.iter().enumerate() {
            if now < phase.not_before {
                return before;
            }
            if let Some(end) = self.end_of(i).filter(|end| now < *end) {
                let (passed, all) = (span(phase.not_before, now), span(phase.not_before, end));
                return before + (u64::from(phase.share - before) * passed / all) as u32;
            }
            before = phase.share;
        }
        before
    }

    /// The first moment at which [`Self::share_at`] is above `bucket`.
    pub fn opens_for(&self, bucket: u32) -> Timestamp {
        let mut before = 0;
        for (i, phase) in self.phases.iter().enumerate() {
            if bucket < phase.share {
                let Some(end) = self.end_of(i) else { return phase.not_before };
                let (step, width) = (u64::from(bucket - before) + 1, u64::from(phase.share - before));
                let wait = (step * span(phase.not_before, end)).div_ceil(width);
                // A span has at most `ROLLOUT_DAYS`.
                return phase.not_before.plus_seconds(wait as i64);
            }
            before = phase.share;
        }
        // A bucket lies below the whole, and the last phase opens that.
        self.phases.last().map_or(Timestamp::EPOCH, |phase| phase.not_before)
    }

    /// From when on a group of these labels comes early, if it does.
    pub fn early_from(&self, labels: &BTreeSet<Label>) -> Option<Timestamp> {
        let groups =
            self.early.iter().filter(|group| group.labels.iter().any(|label| labels.contains(label)));
        groups.map(|group| group.not_before).min()
    }

    /// Whether a hardware revision takes part.
    pub fn takes(&self, hardware: &HardwareName) -> bool {
        self.hardware.as_ref().is_none_or(|list| list.contains(hardware))
    }

    /// When a linear phase ends; `None` for one that opens at once.
    fn end_of(&self, phase: usize) -> Option<Timestamp> {
        let linear = self.phases[phase].spread == Spread::Linear;
        self.phases.get(phase + 1).filter(|_| linear).map(|next| next.not_before)
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// [`FormatError::Shape`] with the rule.
    pub fn validate(&self) -> Result<(), FormatError> {
        ensure((1..=ROLLOUT_PHASES).contains(&self.phases.len()), WHAT, || {
            format!("it has not 1 to {ROLLOUT_PHASES} phases")
        })?;
        for pair in self.phases.windows(2) {
            let later = pair[0].not_before < pair[1].not_before && pair[0].share <= pair[1].share;
            ensure(later, WHAT, || {
                "a phase begins no later than the one before, or has a smaller share".into()
            })?;
        }
        let (first, last) = (&self.phases[0], &self.phases[self.phases.len() - 1]);
        ensure(first.share > 0, WHAT, || "the first phase opens for nobody".into())?;
        ensure(last.share == WHOLE, WHAT, || {
            format!("the last phase opens for {} and not for all", last.share)
        })?;
        ensure(last.spread == Spread::AtOnce, WHAT, || {
            "the last phase is linear: linear phases last until the next one begins".into()
        })?;
        let days = span(first.not_before, last.not_before) / DAY;
        ensure(days <= ROLLOUT_DAYS, WHAT, || format!("it takes {days} days, and may take {ROLLOUT_DAYS}"))?;
        self.validate_groups(first.not_before, last.not_before)?;
        self.gate.validate()?;
        self.validate_times()
    }

    fn validate_groups(&self, first: Timestamp, last: Timestamp) -> Result<(), FormatError> {
        ensure(self.early.len() <= EARLY_GROUPS, WHAT, || format!("more than {EARLY_GROUPS} early groups"))?;
        for group in &self.early {
            ensure((1..=LABELS).contains(&group.labels.len()), WHAT, || {
                format!("an early group has not 1 to {LABELS} labels")
            })?;
            let days = span(group.not_before, first) / DAY;
            ensure(group.not_before <= last && days <= ROLLOUT_DAYS, WHAT, || {
                format!(
                    "an early group begins after the last phase, or more than {ROLLOUT_DAYS} days before the first"
                )
            })?;
        }
        let hardware = self.hardware.as_ref().map_or(1, Vec::len);
        ensure((1..=IMAGES).contains(&hardware), WHAT, || {
            format!("it names not 1 to {IMAGES} hardware revisions")
        })
    }

    fn validate_times(&self) -> Result<(), FormatError> {
        let bounds = [
            ("max_hold_seconds", self.max_hold_seconds, 3600, ROLLOUT_DAYS * DAY),
            ("catch_up_seconds", self.catch_up_seconds, 0, 30 * DAY),
            ("status_max_age_seconds", self.status_max_age_seconds, 60, 30 * DAY),
        ];
        bounds.into_iter().try_for_each(|(name, value, least, most)| {
            ensure((least..=most).contains(&value), WHAT, || {
                format!("{name} is {value}, and lies between {least} and {most}")
            })
        })
    }
}

impl Gate {
    fn validate(&self) -> Result<(), FormatError> {
        let bounds = [
            ("gate.ceiling_ppm", self.ceiling_ppm, 1, WHOLE / 2),
            ("gate.alpha_ppm", self.alpha_ppm, 1, WHOLE / 2),
            ("gate.beta_ppm", self.beta_ppm, 1, WHOLE / 2),
            ("gate.least_sample", self.least_sample, 0, u32::MAX),
        ];
        for (name, value, least, most) in bounds {
            ensure((least..=most).contains(&value), WHAT, || {
                format!("{name} is {value}, and lies between {least} and {most}")
            })?;
        }
        ensure(self.least_soak_seconds <= ROLLOUT_DAYS * DAY, WHAT, || {
            format!("gate.least_soak_seconds is more than {ROLLOUT_DAYS} days")
        })
    }
}

/// Seconds from one time to another; 0 where it is not later.
fn span(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.unix() - from.unix()).unwrap_or(0)
}

/// Random bytes that make the order of devices a release's own: 16 to 64. In JSON: lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(Vec<u8>);

/// The text is no salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a salt is 32 to 128 lower-case hexadecimal digits")]
pub struct NotASalt;

impl Salt {
    /// From its bytes.
    ///
    /// # Errors
    /// [`NotASalt`] for fewer than 16 or more than 64.
    pub fn new(bytes: Vec<u8>) -> Result<Self, NotASalt> {
        if (16..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(NotASalt) }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Salt {
    type Err = NotASalt;
    fn from_str(text: &str) -> Result<Self, NotASalt> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NotASalt);
        }
        Self::new(decode_hex(text).ok_or(NotASalt)?)
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({self})")
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "json-schema")]
impl schemars::JsonSchema for Salt {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Salt".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^([0-9a-f]{2}){16,64}$" })
    }
}
