//! Quiet hours as a configuration writes them: `"22:00-06:30"`.

use std::fmt;
use std::str::FromStr;

use perennial_device_core::quiet::Window;
use serde::{Deserialize, Deserializer};

/// A window of the day, in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietWindow(pub Window);

impl FromStr for QuietWindow {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let no = || format!("{text:?} is no window of a day: write it as \"22:00-06:30\"");
        let minute = |text: &str| -> Option<u16> {
            let (hour, minute) = text.split_once(':')?;
            let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let (hour, minute) = Some((hour, minute)).filter(|(a, b)| digits(a) && digits(b))?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = text.split_once('-').ok_or_else(no)?;
        Ok(Self(Window { from: minute(from).ok_or_else(no)?, to: minute(to).ok_or_else(no)? }))
    }
}

impl fmt::Display for QuietWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { from, to } = self.0;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl<'de> Deserialize<'de> for QuietWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_as_they_are_written() {
        for text in ["22:00-06:30", "00:00-23:59"] {
            assert_eq!(text.parse::<QuietWindow>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "22-6",
            "24:00-06:00",
            "22:60-06:00",
            "2:00-06:00",
            "22:00",
            "22:00-06:30-07:00",
            "+2:00-06:00",
        ] {
            assert!(text.parse::<QuietWindow>().is_err(), "{text}");
        }
    }
}
