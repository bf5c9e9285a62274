//! Dates as a maker types them. A promise needs a last day: whatever is none is answered with one that could be meant.

use std::fmt;
use std::str::FromStr;

use perennial_schemas::{Date, Timestamp};
use serde::{Deserialize, Deserializer};

use crate::cli::Advise;

/// A day, or a month that stands for its last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The day, or the last one of the month.
    pub last: Date,
    /// Whether a month alone was given.
    pub is_month: bool,
}

/// What was typed is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct NotADay {
    what: String,
    hint: String,
}

impl Advise for NotADay {
    fn advice(&self) -> String {
        self.hint.clone()
    }
}

const FORM: &str = "write YYYY-MM-DD, or YYYY-MM for the last day of that month";

impl Day {
    /// The first day that it stands for: where something begins with a month, it begins with that day.
    pub fn first(self) -> Date {
        let (year, month, _) = self.last.parts();
        if self.is_month { Date::new(year, month, 1).unwrap_or(self.last) } else { self.last }
    }

    /// Reads the last day of a promise, typed on the day `now`.
    ///
    /// # Errors
    /// [`NotADay`] with advice, also for words such as `lifetime`, `tba` or `5 years`.
    pub fn of_promise(text: &str, now: Timestamp) -> Result<Self, NotADay> {
        let word = text.trim().to_lowercase();
        if let Some(months) = duration(&word) {
            let end = now.date().plus_months(months);
            return Err(NotADay {
                what: format!("{text:?} does not say from when, so nobody could tell when it ends"),
                hint: format!(
                    "name the last day: counted from today that is {end}; counted from the last sale, later"
                ),
            });
        }
        let what = match word.as_str() {
            "lifetime" | "life" | "forever" | "ever" | "indefinitely" | "unlimited" | "perpetual" => {
                "the law asks for an end date, and a lifetime has none that anybody can check"
            }
            "tba" | "tbd" | "tbc" | "unknown" | "none" | "soon" => {
                "a buyer has to know the date before buying, so it can't be announced later"
            }
            _ => return Self::from_str(text),
        };
        let (year, month, _) = now.date().plus_months(60).parts();
        Err(NotADay {
            what: format!("{text:?} is no date: {what}"),
            hint: format!(
                "promise a day that you can keep, such as {year}-{month:02}; it can be extended at any time"
            ),
        })
    }

    /// What a month alone was taken for: `June 2031 was given: its last day, 30 June 2031`.
    pub fn remark(self) -> Option<String> {
        let words = self.last.in_words().to_string();
        let month = words.split_once(' ').map(|(_, month)| month.to_owned())?;
        self.is_month.then(|| format!("{month} was given: its last day, {words}."))
    }
}

impl FromStr for Day {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        if let Ok(last) = text.parse::<Date>() {
            return Ok(Self { last, is_month: false });
        }
        let month = || {
            let (year, month) = text.split_once('-')?;
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if year.len() != 4 || month.len() != 2 || !digits(year) || !digits(month) {
                return None;
            }
            Date::end_of_month(year.parse().ok()?, month.parse().ok()?).ok()
        };
        month()
            .map(|last| Self { last, is_month: true })
            .ok_or_else(|| NotADay { what: format!("{text:?} is no date"), hint: FORM.into() })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.last.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Day {
    /// From a date of TOML, or from a text that may be a month alone.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Date(toml::value::Datetime),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Date(date) => date.to_string(),
        };
        text.parse().map_err(|e: NotADay| serde::de::Error::custom(format!("{}; {}", e.what, e.hint)))
    }
}

/// `5 years`, `60 months`, `5y`: in months.
fn duration(word: &str) -> Option<i32> {
    let word = word.trim_start_matches("for ").trim_start_matches("at least ");
    let digits = word.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = word.split_at(digits);
    let number: i32 = number.parse().ok().filter(|number| (1..=300).contains(number))?;
    let unit = unit.split_whitespace().next()?;
    match unit {
        "year" | "years" | "y" | "yr" | "yrs" => Some(number * 12),
        "month" | "months" | "m" | "mo" => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_month_alone_means_its_last_day_and_says_so() {
        let day = Day::of_promise("2032-02", now()).unwrap();
        assert_eq!(
            (day.last.to_string(), day.first().to_string()),
            ("2032-02-29".into(), "2032-02-01".into())
        );
        assert_eq!(day.remark().unwrap(), "February 2032 was given: its last day, 29 February 2032.");
        let day = Day::of_promise("2031-12-01", now()).unwrap();
        assert_eq!((day.first(), day.remark()), (day.last, None));
    }

    #[test]
    fn what_is_no_date_is_answered_with_one() {
        let advice = |text| {
            let error = Day::of_promise(text, now()).unwrap_err();
            format!("{error} / {}", error.advice())
        };
        assert!(advice("lifetime").contains(
            "a lifetime has none that anybody can check / promise a day that you can keep, such as 2031-11;"
        ));
        assert!(advice("TBA").contains("can't be announced later"));
        assert!(advice("5 years").contains("counted from today that is 2031-11-22"));
        assert!(advice("5 years from launch").contains("does not say from when"));
        assert!(advice("60 months").contains("2031-11-22"));
        for wrong in [
            "2031",
            "2031-13",
            "31-12",
            "2031-1",
            "+203-01",
            "2031-+1",
            "2031-02-30",
            "next year",
            "99999 years",
        ] {
            assert!(advice(wrong).contains("write YYYY-MM-DD"), "{wrong}");
        }
    }
}
