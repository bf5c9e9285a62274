//! What a maker promises, and how root takes a forged promise back.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{CohortName, Support, optional_text, text};
use crate::document::{Document as _, FormatError, ensure};
use crate::ident::ProductName;
use crate::limits::{COHORTS, SUPPORT_DAYS_AHEAD};
use crate::time::{Date, Timestamp};

/// A promise of security updates (or of replacement). Never changed once published. The first for a cohort is the
/// initial one, each later one extends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Promise {
    /// When it was made.
    pub made: Timestamp,
    /// The last day on which security updates are promised (inclusive).
    pub guaranteed_until: Date,
    /// Why this date, in plain words.
    pub reason: String,
    /// The day from which it holds; absent where it holds from the first sale on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// The cohorts that it is made to; empty for every unit, those of later cohorts too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<CohortName>,
    /// The parts that updates cover, in plain words; empty where they cover all of its software.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// What kinds of update are promised; security updates always are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<UpdateKind>,
    /// For a product that can't be updated: the promise is to replace it (EN 303 645 5.3-14 and 5.3-15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
}

/// A kind of update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UpdateKind {
    /// Closes weaknesses.
    Security,
    /// Adds or changes functions.
    Functionality,
}

/// Why a product can't be updated, and what its owner gets instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Replacement {
    /// Why it can't be updated.
    pub rationale: String,
    /// How to cut it off from the network when a weakness becomes known.
    pub isolate: String,
    /// How an owner has it replaced, and at whose cost.
    pub terms: String,
}

/// A promise taken back by root, because a stolen key made it. The same words stand in the root file, which k of n root
/// keys signed, and in the record: there the promise stays visible, and no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Annulment {
    /// Whose promise.
    pub product: ProductName,
    /// Which promise of its record, counted from 1.
    pub promise: u32,
    /// When that promise was made, as it says itself.
    pub made: Timestamp,
    /// The date that it gave.
    pub guaranteed_until: Date,
    /// What happened, in plain words.
    pub reason: String,
    /// When it was annulled.
    pub at: Timestamp,
}

impl Promise {
    /// A promise to every unit of a product.
    pub fn new(made: Timestamp, guaranteed_until: Date, reason: impl Into<String>) -> Self {
        Self {
            made,
            guaranteed_until,
            reason: reason.into(),
            from: None,
            cohorts: Vec::new(),
            components: Vec::new(),
            kinds: Vec::new(),
            replacement: None,
        }
    }

    /// Whether it is made to units of `cohort`; a promise to every unit is made to each cohort.
    pub fn covers(&self, cohort: Option<&CohortName>) -> bool {
        self.cohorts.is_empty() || cohort.is_some_and(|name| self.cohorts.contains(name))
    }

    /// Whether `other` is made to every unit that this one is made to.
    pub(super) fn is_no_wider_than(&self, other: &Promise) -> bool {
        other.cohorts.is_empty()
            || (!self.cohorts.is_empty() && self.cohorts.iter().all(|name| other.cohorts.contains(name)))
    }

    pub(super) fn validate(&self) -> Result<(), FormatError> {
        let (until, made) = (self.guaranteed_until, self.made.date());
        ensure(until.days() - made.days() <= SUPPORT_DAYS_AHEAD, Support::WHAT, || {
            format!("{until} lies more than 25 years after {made}, when it was promised")
        })?;
        text(&format!("the reason for {until}"), &self.reason)?;
        let ordered = self.from.is_none_or(|from| from <= until);
        ensure(ordered, Support::WHAT, || format!("a promise begins after it ends, on {until}"))?;
        ensure(self.cohorts.len() <= COHORTS, Support::WHAT, || {
            format!("a promise names more than {COHORTS} cohorts")
        })?;
        ensure(self.components.len() <= 64, Support::WHAT, || {
            "a promise names more than 64 components".into()
        })?;
        self.components.iter().try_for_each(|component| text("a component", component))?;
        ensure(self.kinds.len() <= 2, Support::WHAT, || "a promise names a kind of update twice".into())?;
        self.replacement.as_ref().map_or(Ok(()), Replacement::validate)
    }
}

impl Replacement {
    fn validate(&self) -> Result<(), FormatError> {
        text("replacement.rationale", &self.rationale)?;
        text("replacement.isolate", &self.isolate)?;
        text("replacement.terms", &self.terms)
    }
}

impl Annulment {
    /// Whether it means this promise of this product.
    pub fn names(&self, product: &ProductName, promise: &Promise) -> bool {
        self.product == *product
            && self.made == promise.made
            && self.guaranteed_until == promise.guaranteed_until
    }

    /// Checks it alone, as it stands in the root file.
    ///
    /// # Errors
    /// [`FormatError::Shape`] with the rule.
    pub fn validate(&self) -> Result<(), FormatError> {
        ensure(self.promise >= 1, Support::WHAT, || "promises are counted from 1".into())?;
        optional_text("the reason of an annulment", &self.reason)?;
        ensure(!self.reason.is_empty(), Support::WHAT, || "an annulment needs a reason".into())
    }
}
