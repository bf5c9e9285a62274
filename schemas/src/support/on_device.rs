//! What a device says of its own support: on its screen, in `status`, offline too.
//!
//! Computed from the record that the device verified, for its own cohort. A device that knows of no cohort, or of one
//! that the record lacks, goes by the earliest date of all.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::summary::RecordRef;
use super::{Aftercare, CohortName, Left, Reminder, State, Status, Support};
use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::limits::{DEVICE_SUPPORT_LENGTH, TEXT_LENGTH};
use crate::report::FailureCode;
use crate::time::{Date, Timestamp};

/// A device's support on a day: the file for the product's own screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct OnDevice {
    /// `perennial.device-support/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The day on which it reads so, by the device's clock.
    pub as_of: Date,
    /// What the product is called.
    pub name: String,
    /// The answer in one sentence, in English.
    pub sentence: String,
    /// How things stand.
    pub state: State,
    /// The last day on which updates are (or were) promised to this device.
    pub guaranteed_until: Date,
    /// Days up to and with that one; 0 when it is over.
    pub days_left: u32,
    /// The same in years, months and days.
    pub left: Left,
    /// What the owner is to be reminded of today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder: Option<Reminder>,
    /// When updates really ended, where that was before the promised day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_on: Option<Date>,
    /// A later date that a promise had given which root has annulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annulled: Option<Date>,
    /// The cohort whose date it is; absent where the earliest of all counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<CohortName>,
    /// Which record says so.
    pub record: RecordRef,
    /// The day of the last check that found the record, signed as it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Date>,
    /// A record that was offered since, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedRecord>,
    /// Where to report a security problem.
    pub contacts: Vec<String>,
    /// What to do when support is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aftercare: Option<Aftercare>,
}

/// A record that a device was offered and refused, because it promises less or takes something back. It stays until a
/// good record follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct RefusedRecord {
    /// The device's clock when it was offered first.
    pub since: Timestamp,
    /// Its number in reports.
    pub code: FailureCode,
    /// Why it was refused, in plain words.
    pub why: String,
}

impl OnDevice {
    /// Computes it for a device of `cohort`. `sha256` is the digest of the record's file; `expires` is when the signatures
    /// on its role run out, as far as the device knows.
    pub fn of(
        support: &Support,
        sha256: Sha256Digest,
        cohort: Option<&CohortName>,
        today: Date,
        expires: Option<Timestamp>,
    ) -> Self {
        let expired = expires.map(Timestamp::date).filter(|day| *day < today);
        let cohort = cohort.filter(|name| support.cohort(name).is_some());
        let status = support.status_of_unit(cohort, today, expired.is_some());
        let replaced = support.is_replaced_not_updated();
        let sentence = match expired {
            Some(day) if status.state == State::Lapsed => {
                status.sentence_of_lapsed(support.display_name(), day, replaced)
            }
            _ => status.sentence(support.display_name(), today, replaced),
        };
        Self {
            format: Self::FORMAT.into(),
            requires: Vec::new(),
            as_of: today,
            name: support.display_name().into(),
            sentence,
            state: status.state,
            guaranteed_until: status.until,
            days_left: u32::try_from(status.until.days() - today.days() + 1).unwrap_or(0),
            left: status.left,
            reminder: status.reminder(today),
            ended_on: status.ended_on,
            annulled: status.annulled,
            cohort: cohort.cloned(),
            record: RecordRef {
                product: support.product.clone(),
                sequence: support.sequence,
                sha256,
                updated: support.updated(),
                lapsed: expired.is_some(),
            },
            last_seen: None,
            refused: None,
            contacts: support.contact.contacts.clone(),
            aftercare: support.aftercare.clone(),
        }
    }
}

impl Support {
    /// How things stand on `today` for one unit: of `cohort`, or where that is not known, of whichever fares worst.
    pub fn status_of_unit(&self, cohort: Option<&CohortName>, today: Date, lapsed: bool) -> Status {
        if cohort.is_some_and(|name| self.cohort(name).is_some()) || self.cohorts.is_empty() {
            return self.status(today, cohort, lapsed);
        }
        let each = self.cohorts.iter().map(|cohort| self.status(today, Some(&cohort.name), lapsed));
        let worst = each
            .min_by_key(|status| (status.until.min(status.ended_on.unwrap_or(status.until)), status.until));
        worst.unwrap_or_else(|| self.status(today, None, lapsed))
    }
}

impl Status {
    /// What a device tells its owner on `today`.
    pub fn reminder(&self, today: Date) -> Option<Reminder> {
        match self.state {
            State::EndedEarly | State::Ceased => Some(Reminder::Over),
            _ => Reminder::on(today, self.until),
        }
    }

    /// A device can't tell whether its maker gave up or it was off the network itself.
    fn sentence_of_lapsed(&self, name: &str, expired: Date, replaced: bool) -> String {
        let updates = if replaced { "replacement" } else { "security updates" };
        format!(
            "{name} was promised {updates} until {}. The signature on that promise ran out on {}, and this device has seen \
             no newer one: let it check for updates, and don't count on the promise until it has.",
            self.until.in_words(),
            expired.in_words()
        )
    }
}

impl Document for OnDevice {
    const FORMAT: &'static str = "perennial.device-support/1";
    const WHAT: &'static str = "device's support";
    const MAX_LENGTH: u64 = DEVICE_SUPPORT_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        let left = u32::try_from(self.guaranteed_until.days() - self.as_of.days() + 1).unwrap_or(0);
        ensure(self.days_left == left, what, || format!("days_left is {}, not {left}", self.days_left))?;
        let short = self.refused.as_ref().is_none_or(|refused| refused.why.len() <= TEXT_LENGTH);
        ensure(short, what, || format!("refused.why is longer than {TEXT_LENGTH} bytes"))?;
        self.aftercare.as_ref().map_or(Ok(()), Aftercare::validate)
    }
}
