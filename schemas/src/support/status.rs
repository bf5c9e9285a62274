//! A product's standing on a day: one pure function of record and calendar. Never stored.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{CohortName, NoticeKind, Support};
use crate::time::Date;

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// More than twelve months are left.
    Supported,
    /// Twelve months or less are left.
    EndsSoon,
    /// The promised date is over.
    Ended,
    /// Updates ended before the promised date; the maker said so.
    EndedEarly,
    /// The record's own signatures have run out: nobody renews what was promised.
    Lapsed,
    /// The maker has ceased.
    Ceased,
}

/// A product's standing on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How things stand.
    pub state: State,
    /// The last day on which updates are (or were) promised.
    pub until: Date,
    /// What is left of it.
    pub left: Left,
    /// The day on which updates really ended, where that was before `until`, or since when the maker has ceased.
    pub ended_on: Option<Date>,
    /// A later date that a promise had given which root has annulled.
    pub annulled: Option<Date>,
}

/// Calendar time up to and with a day: whole years, whole months, days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Left {
    /// Whole years.
    pub years: u16,
    /// Whole months besides, 0 to 11.
    pub months: u8,
    /// Days besides, 0 to 30.
    pub days: u8,
}

/// When a device tells its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reminder {
    /// Twelve months or less are left.
    TwelveMonths,
    /// Three months or less are left.
    ThreeMonths,
    /// One month or less is left.
    OneMonth,
    /// Support is over.
    Over,
}

impl Support {
    /// How things stand on `today` for units of `cohort`; without one, for a model as it is sold
    /// ([`Support::until_on_sale`]). `lapsed` says whether the signatures on the record's own
    /// role have expired, or on one above it.
    pub fn status(&self, today: Date, cohort: Option<&CohortName>, lapsed: bool) -> Status {
        let until = if cohort.is_some() { self.until(cohort) } else { self.until_on_sale(today) };
        let (mut early, mut ceased) = (None, None);
        // Whoever promises again after such a notice takes it back: it stays in the history, and counts no more.
        let latest = self.promises_for(cohort).map(|promise| promise.made).max();
        let stands = |notice: &&super::Notice| latest.is_none_or(|latest| latest <= notice.made);
        for notice in self.notices.iter().filter(|notice| notice.concerns(cohort)).filter(stands) {
            match notice.kind {
                NoticeKind::EndedEarly { on } if on < until && on < today => early = Some(on),
                NoticeKind::Ceased { on } if on <= today => ceased = Some(on),
                _ => {}
            }
        }
        let state = match () {
            () if ceased.is_some() => State::Ceased,
            () if early.is_some() => State::EndedEarly,
            () if until < today => State::Ended,
            () if lapsed => State::Lapsed,
            () if Reminder::on(today, until).is_some() => State::EndsSoon,
            () => State::Supported,
        };
        let covered = |promise: &super::Promise| cohort.is_none() || promise.covers(cohort);
        let annulled =
            self.promises.iter().enumerate().filter(|(i, promise)| self.is_annulled(*i) && covered(promise));
        let annulled =
            annulled.map(|(_, promise)| promise.guaranteed_until).max().filter(|date| *date > until);
        Status { state, until, left: Left::between(today, until), ended_on: ceased.or(early), annulled }
    }
}

impl State {
    /// Whether updates can be counted on today.
    pub fn is_supported(self) -> bool {
        matches!(self, State::Supported | State::EndsSoon)
    }

    /// As it is written in JSON and style sheets.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Supported => "supported",
            State::EndsSoon => "ends-soon",
            State::Ended => "ended",
            State::EndedEarly => "ended-early",
            State::Lapsed => "lapsed",
            State::Ceased => "ceased",
        }
    }
}

impl Left {
    /// Calendar time from `today` to `until`; nothing where that day is over. On the last day itself it is zero as well.
    pub fn between(today: Date, until: Date) -> Self {
        let mut months = 0_u32;
        if until <= today {
            return Self { years: 0, months: 0, days: 0 };
        }
        let ((from_year, from_month, _), (year, month, _)) = (today.parts(), until.parts());
        let apart = (i32::from(year) - i32::from(from_year)) * 12 + i32::from(month) - i32::from(from_month);
        months += apart.max(0) as u32;
        if today.plus_months(months as i32) > until {
            months -= 1;
        }
        let days = until.days() - today.plus_months(months as i32).days();
        Self { years: (months / 12) as u16, months: (months % 12) as u8, days: days as u8 }
    }
}

impl fmt::Display for Left {
    /// In English: `4 years and 7 months`; days only where less than three months are left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, count: u16, unit: &str| {
            write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
        };
        let (months, days) = (u16::from(self.months), u16::from(self.days));
        let parts = match (self.years, months) {
            (0, 0..3) => [(months, "month"), (days, "day")],
            (years, _) => [(years, "year"), (months, "month")],
        };
        match parts.map(|(count, _)| count) {
            [0, _] => part(f, parts[1].0, parts[1].1),
            [_, 0] => part(f, parts[0].0, parts[0].1),
            [_, _] => {
                part(f, parts[0].0, parts[0].1)?;
                f.write_str(" and ")?;
                part(f, parts[1].0, parts[1].1)
            }
        }
    }
}

impl Reminder {
    /// What is due on `today`; nothing where more than twelve months are left.
    pub fn on(today: Date, until: Date) -> Option<Self> {
        match () {
            () if today > until => Some(Self::Over),
            () if today.plus_months(1) >= until => Some(Self::OneMonth),
            () if today.plus_months(3) >= until => Some(Self::ThreeMonths),
            () if today.plus_months(12) >= until => Some(Self::TwelveMonths),
            () => None,
        }
    }
}
