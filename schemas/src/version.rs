//! Release versions as makers write them, with one order that everybody agrees on.

use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::parsed::parsed;

/// A release version: one to four dot-separated numbers, then perhaps `-` and dot-separated identifiers that make
/// it a pre-release, as in `2.1.0` or `2026.11-rc.1`. At most 64 bytes.
///
/// Ordered by the numbers (missing ones count as 0), then as SemVer 2.0 §11 orders pre-releases. `1.2` and `1.2.0`
/// have the same rank and are not the same version.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReleaseVersion(String);

/// The text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a version is one to four numbers without leading zeros, separated by dots, and perhaps a pre-release, \
     as in 2.1.0 or 2.1.0-rc.1; at most 64 characters"
)]
pub struct NotAVersion;

impl ReleaseVersion {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its place in the order of releases. Equal for `1.2` and `1.2.0`.
    pub fn rank(&self, other: &Self) -> Ordering {
        self.numbers().cmp(&other.numbers()).then_with(|| match (self.pre(), other.pre()) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(ours), Some(theirs)) => {
                ours.split('.').map(Identifier::of).cmp(theirs.split('.').map(Identifier::of))
            }
        })
    }

    fn pre(&self) -> Option<&str> {
        self.0.split_once('-').map(|(_, pre)| pre)
    }

    fn numbers(&self) -> [u64; 4] {
        let core = self.0.split_once('-').map_or(self.0.as_str(), |(core, _)| core);
        let mut numbers = [0; 4];
        for (slot, part) in numbers.iter_mut().zip(core.split('.')) {
            // Checked when the version was made.
            *slot = part.parse().unwrap_or(u64::MAX);
        }
        numbers
    }
}

/// SemVer 2.0 §11.4: numbers below words, numbers by value, words by ASCII.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier<'a> {
    Number(u64),
    Word(&'a str),
}

impl<'a> Identifier<'a> {
    fn of(text: &'a str) -> Self {
        text.parse().map_or(Self::Word(text), Self::Number)
    }
}

fn is_number(text: &str) -> bool {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain && (text == "0" || !text.starts_with('0')) && text.len() <= 18
}

fn is_identifier(text: &str) -> bool {
    let word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    word && (is_number(text) || !text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl FromStr for ReleaseVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let valid = text.len() <= 64
            && core.split('.').count() <= 4
            && core.split('.').all(is_number)
            && pre.is_none_or(|pre| pre.split('.').all(is_identifier));
        if valid { Ok(Self(text.into())) } else { Err(NotAVersion) }
    }
}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By rank; versions of one rank by their text, so that the order is total.
impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank(other).then_with(|| self.0.cmp(&other.0))
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ReleaseVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ReleaseVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

#[cfg(feature = "json-schema")]
impl schemars::JsonSchema for ReleaseVersion {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "ReleaseVersion".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 64,
            "pattern": "^(0|[1-9][0-9]*)(\\.(0|[1-9][0-9]*)){0,3}(-[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_that_of_semver() {
        let sorted = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0.1",
            "1.2",
            "1.10",
            "2026.11.21",
        ];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_missing_number_counts_as_zero() {
        assert_eq!(version("1.2").rank(&version("1.2.0")), Ordering::Equal);
        assert_ne!(version("1.2"), version("1.2.0"));
    }

    #[test]
    fn other_text_is_refused() {
        let long = alloc::format!("1-{}", "a".repeat(64));
        for text in
            ["", "v1", "1.", "01.0", "1.0.0.0.0", "1.0-", "1.0-a..b", "1.0-01", "1.0+b", "1/2", "1.0 ", &long]
        {
            assert_eq!(text.parse::<ReleaseVersion>(), Err(NotAVersion), "{text}");
        }
    }
}
