//! What a device knows of its support record besides the record: when it last saw it signed, what it refused since, and
//! what its owner was told.
//!
//! Decides what is told, and that it is told once: a reminder for each promised date, a refusal until a good record
//! follows. Never decides which record counts.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::report::FailureCode;
use perennial_schemas::support::{OnDevice, RefusedRecord, Reminder, State};
use perennial_schemas::{Date, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// Events kept; the oldest goes first. At 700 bytes each they stay under 48 KiB.
pub const SUPPORT_EVENTS: usize = 64;
/// The length of an event's text and of a refusal's reason, in bytes of UTF-8; longer ones are cut.
const TEXT: usize = 600;

/// What is known besides the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watch {
    /// SHA-256 of the record's file.
    sha256: Option<Sha256Digest>,
    /// When the signatures on its role run out.
    expires: Option<Timestamp>,
    /// The day of the last check that found it, by the device's clock.
    seen: Option<Date>,
    /// What the offline signatures of that check say of the time: it is later than this.
    bound: Option<Timestamp>,
    refused: Option<RefusedRecord>,
    /// The promised date that `told` belongs to.
    told_of: Option<Date>,
    told: BTreeSet<SupportNews>,
    last: u64,
    events: Vec<SupportEvent>,
}

/// Something that an owner is told, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportEvent {
    /// Rises by one with each.
    pub sequence: u64,
    /// The device's clock when it was told.
    pub at: Timestamp,
    /// What it is.
    pub support: SupportNews,
    /// The number in reports of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// The same in plain words.
    pub text: String,
}

/// What an owner is told of the support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SupportNews {
    /// Twelve months or less are left.
    TwelveMonths,
    /// Three months or less are left.
    ThreeMonths,
    /// One month or less is left.
    OneMonth,
    /// It is over.
    Over,
    /// The signatures on the record's role have run out.
    Lapsed,
    /// Root has annulled a promise.
    Annulled,
    /// The promised date is later than before.
    Extended,
    /// A record was refused: it promises less, or takes something back.
    Refused,
    /// A good record followed the refused one.
    Restored,
    /// Something that a later version of this program told.
    #[serde(other)]
    Unknown,
}

impl SupportNews {
    /// Whether somebody should look at it.
    pub fn is_alarming(self) -> bool {
        matches!(self, Self::Refused | Self::Lapsed | Self::Over | Self::Annulled)
    }
}

/// What a check found of the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) sha256: Sha256Digest,
    pub(crate) expires: Timestamp,
    pub(crate) bound: Timestamp,
}

impl Watch {
    /// What was told, oldest first.
    pub fn events(&self) -> &[SupportEvent] {
        &self.events
    }

    /// The number of the last event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// SHA-256 of the record's file, where it was noted.
    pub fn sha256(&self) -> Option<Sha256Digest> {
        self.sha256
    }

    /// When the signatures on the record's role run out, as far as is known.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// A record that was offered since, and refused.
    pub fn refused(&self) -> Option<&RefusedRecord> {
        self.refused.as_ref()
    }

    /// The day of the last check that found the record.
    pub fn seen(&self) -> Option<Date> {
        self.seen
    }

    /// Today, never before what offline signatures say: a device without a battery begins in 1970.
    pub fn today(&self, clock: Timestamp) -> Date {
        clock.max(self.bound.unwrap_or(clock)).date()
    }

    /// The record was taken, or is still the one that counts.
    pub(crate) fn take(&mut self, seen: Seen, clock: Timestamp) {
        let Seen { sha256, expires, bound } = seen;
        // A signer's wrong clock is forgotten with the file that it signed: the bound isn't kept for good.
        (self.sha256, self.expires, self.bound) = (Some(sha256), Some(expires), Some(bound));
        self.seen = Some(clock.max(bound).date());
        self.told.remove(&SupportNews::Lapsed);
        if self.refused.take().is_some() {
            let text = "a good support record followed the refused one".to_string();
            self.add(clock, SupportNews::Restored, None, text);
        }
    }

    /// A record was refused. The same refusal is told once.
    pub(crate) fn refuse(&mut self, code: FailureCode, why: &str, clock: Timestamp) {
        let why = cut(why).to_string();
        if self.refused.as_ref().is_some_and(|refused| refused.code == code && refused.why == why) {
            return;
        }
        let since = self.refused.as_ref().map_or(clock, |refused| refused.since);
        self.add(clock, SupportNews::Refused, Some(code), format!("a support record is refused: {why}"));
        self.refused = Some(RefusedRecord { since, code, why });
    }

    /// The promised date rose.
    pub(crate) fn extend(&mut self, from: Date, to: Date, clock: Timestamp) {
        let text = format!("support is promised until {}; it was {}", to.in_words(), from.in_words());
        self.add(clock, SupportNews::Extended, None, text);
    }

    /// Tells what is due, once for each promised date.
    pub(crate) fn tell(&mut self, said: &OnDevice, clock: Timestamp) {
        if self.told_of != Some(said.guaranteed_until) {
            self.told_of = Some(said.guaranteed_until);
            self.told.clear();
        }
        if let Some(reminder) = said.reminder {
            let due = of_reminder(reminder);
            if !self.told.contains(&due) {
                self.add(clock, due, None, said.sentence.clone());
            }
            // Whoever was told of the last month needs no word of the last three, should the clock be set back.
            let order = [Reminder::TwelveMonths, Reminder::ThreeMonths, Reminder::OneMonth, Reminder::Over];
            self.told.extend(order.into_iter().filter(|earlier| *earlier <= reminder).map(of_reminder));
        }
        if said.state == State::Lapsed && self.told.insert(SupportNews::Lapsed) {
            self.add(clock, SupportNews::Lapsed, None, said.sentence.clone());
        }
        if let Some(annulled) = said.annulled
            && self.told.insert(SupportNews::Annulled)
        {
            let (annulled, until) = (annulled.in_words(), said.guaranteed_until.in_words());
            let text = format!(
                "a promise until {annulled} was not the maker's, and its root has annulled it: {until} counts"
            );
            self.add(clock, SupportNews::Annulled, None, text);
        }
    }

    fn add(&mut self, at: Timestamp, support: SupportNews, code: Option<FailureCode>, text: String) {
        self.last += 1;
        let text = cut(&text).to_string();
        self.events.push(SupportEvent { sequence: self.last, at, support, code, text });
        if self.events.len() > SUPPORT_EVENTS {
            self.events.remove(0);
        }
    }
}

fn of_reminder(reminder: Reminder) -> SupportNews {
    match reminder {
        Reminder::TwelveMonths => SupportNews::TwelveMonths,
        Reminder::ThreeMonths => SupportNews::ThreeMonths,
        Reminder::OneMonth => SupportNews::OneMonth,
        Reminder::Over => SupportNews::Over,
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT)]
}
