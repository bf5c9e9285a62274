//! The support record (`support.json`): until when a maker has promised security updates.
//!
//! Promises are only ever added, and each reaches at least as far as the one before: the date can get later, never
//! earlier. [`Support::may_follow`] is the one rule that signer, server and device all apply.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::document::{Document, FormatError, ensure};
use crate::ident::{ProductName, TargetPath};
use crate::limits::{PROMISES, SUPPORT_DAYS_AHEAD, SUPPORT_LENGTH, TEXT_LENGTH};
use crate::time::{Date, Timestamp};

/// The support record of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Support {
    /// `perennial.support/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The product.
    pub product: ProductName,
    /// Promises in the order in which they were made, at least one.
    pub promises: Vec<Promise>,
    /// Where to report a security problem.
    pub contact: VulnerabilityContact,
}

/// A promise of security updates. Never changed once published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Promise {
    /// When it was made.
    pub made: Timestamp,
    /// The last day on which security updates are promised (inclusive).
    pub guaranteed_until: Date,
    /// Why this date, in plain words.
    pub reason: String,
}

/// How to report a security problem, and what the reporter may expect (PSTI Schedule 1, 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct VulnerabilityContact {
    /// `mailto:` or `https://` addresses, at least one.
    pub contacts: Vec<String>,
    /// Days until a report is acknowledged.
    pub acknowledgement_days: u16,
    /// Days between status updates until it is resolved.
    pub status_update_days: u16,
    /// The disclosure policy's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Why one record can't follow another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupportError {
    /// The date would become earlier.
    #[error(
        "security updates were promised until {promised}; this record says {offered}. A promised date can get later, \
         never earlier"
    )]
    Shorter {
        /// The date promised so far.
        promised: Date,
        /// The date that the new record gives.
        offered: Date,
    },
    /// A published promise is missing or was changed.
    #[error("promise {0} of the published record is missing or was changed; promises are only ever added")]
    Rewritten(usize),
    /// Another product's record.
    #[error("the record is for another product")]
    OtherProduct,
}

impl Support {
    /// The last day on which security updates are promised.
    pub fn guaranteed_until(&self) -> Date {
        // Reading refuses a record without promises; one built in memory promises nothing.
        self.promises.iter().map(|promise| promise.guaranteed_until).max().unwrap_or(Date::from_days(0))
    }

    /// Whether this record may be published after `previous`.
    ///
    /// # Errors
    /// [`SupportError`]: a date that would become earlier, a promise changed or left out, another product.
    pub fn may_follow(&self, previous: &Support) -> Result<(), SupportError> {
        if self.product != previous.product {
            return Err(SupportError::OtherProduct);
        }
        let (promised, offered) = (previous.guaranteed_until(), self.guaranteed_until());
        if offered < promised {
            return Err(SupportError::Shorter { promised, offered });
        }
        let kept = self.promises.iter().zip(&previous.promises).take_while(|(new, old)| new == old).count();
        if kept < previous.promises.len() {
            return Err(SupportError::Rewritten(kept + 1));
        }
        Ok(())
    }

    /// The record's own target path.
    ///
    /// # Errors
    /// [`FormatError::Shape`] never for valid names; the type is fallible because paths have a limit.
    pub fn path(product: &ProductName) -> Result<TargetPath, FormatError> {
        format!("{product}/support.json").parse().map_err(|e| FormatError::shape(Self::WHAT, format!("{e}")))
    }
}

impl Document for Support {
    const FORMAT: &'static str = "perennial.support/1";
    const WHAT: &'static str = "support record";
    const MAX_LENGTH: u64 = SUPPORT_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(!self.promises.is_empty(), what, || "it has no promise".into())?;
        ensure(self.promises.len() <= PROMISES, what, || format!("more than {PROMISES} promises"))?;
        self.promises.iter().try_for_each(validate_promise)?;
        for pair in self.promises.windows(2) {
            let later = pair[0].guaranteed_until <= pair[1].guaranteed_until && pair[0].made <= pair[1].made;
            ensure(later, what, || {
                format!("{} comes after {}", pair[1].guaranteed_until, pair[0].guaranteed_until)
            })?;
        }
        self.contact.validate()
    }
}

fn validate_promise(promise: &Promise) -> Result<(), FormatError> {
    let (until, made) = (promise.guaranteed_until, promise.made.date());
    let ahead = until.days() - made.days();
    ensure(ahead <= SUPPORT_DAYS_AHEAD, Support::WHAT, || {
        format!("{until} lies more than 25 years after {made}, when it was promised")
    })?;
    let length = promise.reason.trim().len();
    ensure((1..=TEXT_LENGTH).contains(&length), Support::WHAT, || {
        format!("the reason for {until} is empty or longer than {TEXT_LENGTH} bytes")
    })
}

impl VulnerabilityContact {
    /// Checks the contact alone, as a maker writes it into a file.
    ///
    /// # Errors
    /// [`FormatError::Shape`] with the rule.
    pub fn validate(&self) -> Result<(), FormatError> {
        let what = Support::WHAT;
        ensure((1..=16).contains(&self.contacts.len()), what, || "it needs 1 to 16 contacts".into())?;
        for address in self.contacts.iter().chain(&self.policy) {
            let known = address.starts_with("https://") || address.starts_with("mailto:");
            let plain = address.len() <= 500 && !address.chars().any(|c| c.is_control() || c.is_whitespace());
            ensure(known && plain, what, || {
                format!("{address:?} is neither an https:// nor a mailto: address of at most 500 characters")
            })?;
        }
        let days = 1..=366;
        let both = days.contains(&self.acknowledgement_days) && days.contains(&self.status_update_days);
        ensure(both, what, || "acknowledgement_days and status_update_days are 1 to 366".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn record(dates: &[&str]) -> Support {
        let promise = |date: &&str| Promise {
            made: Timestamp::from_unix(1_800_000_000),
            guaranteed_until: date.parse().unwrap(),
            reason: "why".into(),
        };
        Support {
            format: Support::FORMAT.into(),
            requires: vec![],
            product: "thermostat".parse().unwrap(),
            promises: dates.iter().map(promise).collect(),
            contact: VulnerabilityContact {
                contacts: vec!["mailto:security@example.com".into()],
                acknowledgement_days: 5,
                status_update_days: 14,
                policy: None,
            },
        }
    }

    #[test]
    fn a_shorter_date_never_follows() {
        let published = record(&["2031-06-30"]);
        let shorter = record(&["2031-06-29"]).may_follow(&published).unwrap_err();
        assert!(matches!(shorter, SupportError::Shorter { .. }));
        assert_eq!(record(&["2031-06-30", "2033-06-30"]).may_follow(&published), Ok(()));
        assert_eq!(published.may_follow(&published), Ok(()));
    }

    #[test]
    fn a_published_promise_is_neither_changed_nor_left_out() {
        let published = record(&["2030-06-30", "2031-06-30"]);
        assert_eq!(record(&["2033-06-30"]).may_follow(&published), Err(SupportError::Rewritten(1)));
        let mut reworded = published.clone();
        reworded.promises[1].reason = "another".into();
        assert_eq!(reworded.may_follow(&published), Err(SupportError::Rewritten(2)));
    }

    #[test]
    fn rules_of_the_record() {
        assert!(record(&["2031-06-30"]).validate().is_ok());
        assert!(record(&[]).validate().is_err());
        assert!(record(&["2033-06-30", "2031-06-30"]).validate().is_err());
        assert!(record(&["2053-06-30"]).validate().is_err());
        let mut empty = record(&["2031-06-30"]);
        empty.contact.contacts = vec!["ftp://x".into()];
        assert!(empty.validate().is_err());
    }
}
