//! Durations and sizes as a person writes them: `30s`, `12h`, `16KiB`. It never guesses a missing unit.

use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use std::time::Duration;

/// A length of time, written as a whole number and a unit: `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// A span of so many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let number: u64 = number
            .parse()
            .map_err(|_| format!("`{text}` isn't a duration; write it like \"30s\", \"12h\" or \"1d\""))?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(format!("`{text}` has no known unit; durations end in ms, s, m, h or d")),
        };
        let total = number.checked_mul(millis).filter(|total| *total <= 36_525 * 86_400_000);
        total
            .map(|total| Self(Duration::from_millis(total)))
            .ok_or_else(|| format!("`{text}` is more than 100 years"))
    }
}

/// A number of bytes, written as a whole number and a unit: `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let number: u64 = number
            .parse()
            .map_err(|_| format!("`{text}` isn't a size; write it like \"16KiB\" or \"4GiB\""))?;
        let shift = match unit {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(format!("`{text}` has no known unit; sizes end in B, KiB, MiB, GiB or TiB")),
        };
        number
            .checked_mul(1 << shift)
            .filter(|bytes| *bytes <= 1 << 50)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is more than 1024TiB"))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Addresses to listen at. A name is none: it might stand for several, and for others tomorrow.
pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Many(Vec<String>),
        One(String),
    }
    let wrong = serde::de::Error::custom::<String>;
    let many = Written::deserialize(deserializer)
        .map_err(|_| wrong("write addresses in brackets, such as [\"127.0.0.1:8080\"]".into()))?;
    match many {
        Written::One(one) => Err(wrong(format!("write `{one}` in brackets: [\"{one}\"]"))),
        Written::Many(many) => many.iter().map(|text| address(text).map_err(wrong)).collect(),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` isn't an address: write IP:port, such as 127.0.0.1:8080, or [::]:8080 for all")
    })
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_unit_only() {
        assert_eq!(Span::parse("1d"), Ok(Span::seconds(86_400)));
        assert_eq!(Span::parse("250 ms"), Ok(Span(Duration::from_millis(250))));
        assert!(Span::parse("30").is_err());
        assert!(Span::parse("-1s").is_err());
        assert!(Span::parse("99999999999999999999s").is_err());
        assert!(Span::parse("999999999d").is_err());
        assert_eq!(Size::parse("16KiB"), Ok(Size(16_384)));
        assert_eq!(Size::parse("4GiB"), Ok(Size(4 << 30)));
        assert!(Size::parse("4GB").is_err());
        assert!(Size::parse("9999999TiB").is_err());
    }
}
