//! What the law asks a maker to state, and what an owner should do at the end.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Party, Support, optional_text, text};
use crate::document::{Document as _, FormatError, ensure};
use crate::limits::BATCHES;
use crate::time::Date;

/// Statements of compliance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Compliance {
    /// In the order in which they were made. Never changed once published: each keeps the support date that was correct
    /// at first supply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<Statement>,
}

/// A statement of compliance (the UK's SI 2023/1007, Schedule 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Statement {
    /// The product's type (paragraph 2(a)).
    pub product_type: String,
    /// Its batches; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<String>,
    /// Each manufacturer.
    pub manufacturers: Vec<Party>,
    /// Each authorised representative.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub representatives: Vec<Party>,
    /// Which schedule it complies with: 1 (the requirements themselves) or 2 (standards deemed to meet them).
    pub schedule: u8,
    /// Standards relied on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standards: Vec<Standard>,
    /// The support date that was correct when the first unit was supplied.
    pub support_at_first_supply: Date,
    /// Who signed it.
    pub signatory: String,
    /// In what function.
    pub function: String,
    /// Where.
    pub place: String,
    /// When.
    pub date: Date,
}

/// A standard relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Standard {
    /// Its number, such as `ETSI EN 303 645`.
    pub number: String,
    /// Its version.
    pub version: String,
    /// The date of that version.
    pub date: Date,
}

/// What an owner should do when support is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Aftercare {
    /// What still works after the end, and what does not.
    pub after: String,
    /// How to cut it off from the network.
    pub isolate: String,
    /// How to erase what it holds.
    pub wipe: String,
    /// How to dispose of it.
    pub dispose: String,
    /// What replaces it, perhaps at a discount.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replace: String,
}

impl Statement {
    pub(super) fn validate(&self) -> Result<(), FormatError> {
        let what = Support::WHAT;
        text("product_type", &self.product_type)?;
        ensure((1..=32).contains(&self.manufacturers.len()), what, || {
            "a statement of compliance names 1 to 32 manufacturers".into()
        })?;
        ensure(self.representatives.len() <= 32, what, || "more than 32 representatives".into())?;
        self.manufacturers.iter().chain(&self.representatives).try_for_each(Party::validate)?;
        ensure(self.batches.len() <= BATCHES, what, || "a statement names too many batches".into())?;
        self.batches.iter().try_for_each(|batch| text("a batch", batch))?;
        ensure(matches!(self.schedule, 1 | 2), what, || "schedule is 1 or 2 (SI 2023/1007)".into())?;
        ensure(self.standards.len() <= 32, what, || "more than 32 standards".into())?;
        for standard in &self.standards {
            text("a standard's number", &standard.number)?;
            text("a standard's version", &standard.version)?;
        }
        text("signatory", &self.signatory)?;
        text("function", &self.function)?;
        text("place", &self.place)
    }
}

impl Aftercare {
    pub(super) fn validate(&self) -> Result<(), FormatError> {
        text("aftercare.after", &self.after)?;
        text("aftercare.isolate", &self.isolate)?;
        text("aftercare.wipe", &self.wipe)?;
        text("aftercare.dispose", &self.dispose)?;
        optional_text("aftercare.replace", &self.replace)
    }
}
