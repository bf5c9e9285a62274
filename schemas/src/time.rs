//! Points in time and calendar dates, in UTC, as the formats write them. No clock.
//!
//! Civil dates follow the proleptic Gregorian calendar; the day arithmetic is Howard Hinnant's
//! (`days_from_civil`, `civil_from_days`), checked against the `jiff` library by a property test.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::parsed::parsed;

const DAY: i64 = 86_400;
/// 9999-12-31T23:59:59Z: the last moment that four digits of a year can say.
const LAST: i64 = 253_402_300_799;

/// Seconds since 1970-01-01T00:00:00Z, from year 1970 to 9999. In JSON: `YYYY-MM-DDTHH:MM:SSZ` (TUF 4.2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A calendar date. In JSON: `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// The text is no date or time of the form asked for, or there is no such day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// A point in time.
    #[error("a time is written YYYY-MM-DDTHH:MM:SSZ, in UTC, between the years 1970 and 9999")]
    Timestamp,
    /// A calendar date.
    #[error("a date is written YYYY-MM-DD, between the years 1970 and 9999")]
    Date,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// From seconds since 1970, clamped to the years 1970 to 9999.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(0, LAST))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0
    }

    /// Later by `seconds` (earlier, where negative), clamped to the years 1970 to 9999.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Later by `days`, clamped to the years 1970 to 9999.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        self.plus_seconds(days.saturating_mul(DAY))
    }

    /// The day in UTC.
    pub fn date(self) -> Date {
        Date::from_days(self.0 / DAY)
    }
}

impl Date {
    /// From year (1970–9999), month (1–12) and day of the month.
    ///
    /// # Errors
    /// [`TimeError::Date`] where there is no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, TimeError> {
        let real = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        if real { Ok(Self { year, month, day }) } else { Err(TimeError::Date) }
    }

    /// Year, month (1–12), day of the month (1–31).
    pub fn parts(self) -> (u16, u8, u8) {
        (self.year, self.month, self.day)
    }

    /// As people read it, in English: `30 June 2031`. Review, page and device write a promised date this way.
    pub fn in_words(self) -> impl fmt::Display {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        fmt::from_fn(move |f| write!(f, "{} {} {}", self.day, MONTHS[usize::from(self.month - 1)], self.year))
    }

    /// The last day of a month: what a maker means who names a month alone.
    ///
    /// # Errors
    /// [`TimeError::Date`] where there is no such month.
    pub fn end_of_month(year: u16, month: u8) -> Result<Self, TimeError> {
        Self::new(year, month, 1)?;
        Self::new(year, month, days_in_month(year, month))
    }

    /// The same day `months` later (earlier, where negative), or the last of that month where there is no such day; clamped
    /// to the years 1970 to 9999.
    #[must_use]
    pub fn plus_months(self, months: i32) -> Self {
        let all = i64::from(self.year) * 12 + i64::from(self.month - 1) + i64::from(months);
        let (year, month) = (all.div_euclid(12), (all.rem_euclid(12) + 1) as u8);
        match year {
            1970..=9999 => {
                let year = year as u16;
                Self { year, month, day: self.day.min(days_in_month(year, month)) }
            }
            ..1970 => Self::from_days(0),
            _ => Self { year: 9999, month: 12, day: 31 },
        }
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// 00:00:00Z of this day.
    pub fn start(self) -> Timestamp {
        Timestamp(self.days() * DAY)
    }

    /// 23:59:59Z of this day: an end date is inclusive.
    pub fn end(self) -> Timestamp {
        Timestamp(self.days() * DAY + DAY - 1)
    }

    /// The day `days` after 1970-01-01, clamped to the years 1970 to 9999.
    pub fn from_days(days: i64) -> Self {
        let days = days.clamp(0, LAST / DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year: year as u16, month: month as u8, day: day as u8 }
    }
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `text` as a number of exactly as many digits as it is long.
fn digits(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_date(text: &str) -> Option<Date> {
    let (year, month, day) = (text.get(0..4)?, text.get(5..7)?, text.get(8..10)?);
    let shape = text.len() == 10 && text.get(4..5)? == "-" && text.get(7..8)? == "-";
    let date = Date::new(digits(year)?, digits(month)? as u8, digits(day)? as u8).ok()?;
    shape.then_some(date)
}

fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let date = parse_date(text.get(..10)?)?;
    let time = text.get(10..)?;
    let (hour, minute, second) = (time.get(1..3)?, time.get(4..6)?, time.get(7..9)?);
    let (hour, minute, second) = (digits(hour)?, digits(minute)?, digits(second)?);
    let marks: (&str, &str, &str, &str) = (time.get(0..1)?, time.get(3..4)?, time.get(6..7)?, time.get(9..)?);
    let shape = marks == ("T", ":", ":", "Z") && hour < 24 && minute < 60 && second < 60;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    shape.then(|| date.start().plus_seconds(seconds))
}

impl FromStr for Date {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        parse_date(text).ok_or(TimeError::Date)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        parse_timestamp(text).ok_or(TimeError::Timestamp)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.0 % DAY;
        write!(f, "{}T{:02}:{:02}:{:02}Z", self.date(), rest / 3600, rest / 60 % 60, rest % 60)
    }
}

/// The written form is also the debugging form, and the JSON form.
macro_rules! as_text {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer)
            }
        }
        #[cfg(feature = "json-schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> alloc::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
as_text!(Date, "Date", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$");
as_text!(Timestamp, "Timestamp", "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$");

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_jiff(seconds in 0..=LAST) {
            let theirs = jiff::Timestamp::from_second(seconds).unwrap();
            let ours = Timestamp::from_unix(seconds);
            prop_assert_eq!(ours.to_string(), theirs.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            prop_assert_eq!(ours.to_string().parse(), Ok(ours));
            prop_assert_eq!(Date::from_days(ours.date().days()), ours.date());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
            if let Ok(time) = text.parse::<Timestamp>() {
                prop_assert_eq!(time.to_string(), text);
            }
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in
            ["2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "1969-12-31", "2026-1-01", "26-01-01x"]
        {
            assert_eq!(text.parse::<Date>(), Err(TimeError::Date), "{text}");
        }
        assert!("2028-02-29".parse::<Date>().is_ok());
        for text in [
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.0Z",
            "é026-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeError::Timestamp), "{text}");
        }
    }

    #[test]
    fn a_date_is_read_in_words() {
        assert_eq!(Date::new(2031, 6, 30).unwrap().in_words().to_string(), "30 June 2031");
        assert_eq!(Date::new(1970, 1, 1).unwrap().in_words().to_string(), "1 January 1970");
        assert_eq!(Date::new(9999, 12, 31).unwrap().in_words().to_string(), "31 December 9999");
    }

    #[test]
    fn a_month_alone_means_its_last_day() {
        assert_eq!(Date::end_of_month(2028, 2).unwrap().to_string(), "2028-02-29");
        assert!(Date::end_of_month(2028, 13).is_err());
    }

    #[test]
    fn far_times_are_clamped() {
        assert_eq!(Timestamp::from_unix(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::EPOCH.plus_days(i64::MIN), Timestamp::EPOCH);
        assert_eq!(Date::new(2031, 6, 30).unwrap().end().to_string(), "2031-06-30T23:59:59Z");
    }
}
