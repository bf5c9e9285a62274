//! The record as it reads on a day: what a page's JSON says, and what anybody can compute again from the signed record.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Cohort, CohortName, Left, State, Status, Support};
use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::ProductName;
use crate::limits::SUPPORT_LENGTH;
use crate::time::{Date, Timestamp};

/// A support record as it reads on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// `perennial.support-summary/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The day on which it reads so.
    pub as_of: Date,
    /// Which record says so.
    pub record: RecordRef,
    /// The answer in one sentence, in English.
    pub sentence: String,
    /// The model as it is sold: the earliest date among the cohorts on sale.
    #[serde(flatten)]
    pub standing: Standing,
    /// Each cohort by itself; empty where all units share one date.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cohorts: BTreeMap<CohortName, Standing>,
    /// The whole record.
    pub support: Support,
}

/// Which record a rendered thing came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct RecordRef {
    /// The product.
    pub product: ProductName,
    /// Its number.
    pub sequence: u64,
    /// SHA-256 of its file.
    pub sha256: Sha256Digest,
    /// When it last changed.
    pub updated: Timestamp,
    /// Whether signatures have expired without which it can't be verified.
    pub lapsed: bool,
}

/// How things stand for a model or a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Standing {
    /// How things stand.
    pub state: State,
    /// The last day on which updates are (or were) promised.
    pub guaranteed_until: Date,
    /// What is left of it.
    pub left: Left,
    /// Whether units are being placed on the market.
    pub on_sale: bool,
    /// When updates really ended, where that was before the promised day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_on: Option<Date>,
    /// A later date that a promise had given which root has annulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annulled: Option<Date>,
}

impl Standing {
    fn new(status: Status, on_sale: bool) -> Self {
        let Status { state, until, left, ended_on, annulled } = status;
        Self { state, guaranteed_until: until, left, on_sale, ended_on, annulled }
    }
}

impl Summary {
    /// Computes it. `sha256` is the digest of the record's file.
    pub fn of(support: &Support, sha256: Sha256Digest, as_of: Date, lapsed: bool) -> Self {
        let on_sale = |cohort: &Cohort| cohort.is_on_sale(as_of);
        let standing = |cohort: &Cohort| {
            Standing::new(support.status(as_of, Some(&cohort.name), lapsed), on_sale(cohort))
        };
        let any = support.cohorts.is_empty() || support.cohorts.iter().any(on_sale);
        Self {
            format: Self::FORMAT.into(),
            requires: Vec::new(),
            as_of,
            record: RecordRef {
                product: support.product.clone(),
                sequence: support.sequence,
                sha256,
                updated: support.updated(),
                lapsed,
            },
            sentence: support.sentence(as_of, lapsed),
            standing: Standing::new(support.status(as_of, None, lapsed), any),
            cohorts: support.cohorts.iter().map(|cohort| (cohort.name.clone(), standing(cohort))).collect(),
            support: support.clone(),
        }
    }
}

impl Document for Summary {
    const FORMAT: &'static str = "perennial.support-summary/1";
    const WHAT: &'static str = "support summary";
    const MAX_LENGTH: u64 = 2 * SUPPORT_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    /// Whether it says what its own record says on that day. The sentence may be worded otherwise: by a newer program.
    fn validate(&self) -> Result<(), FormatError> {
        self.support.validate()?;
        let own = Self::of(&self.support, self.record.sha256, self.as_of, self.record.lapsed);
        let own = Self { sentence: self.sentence.clone(), ..own };
        ensure(own == *self, Self::WHAT, || "it says something else than the record in it".into())
    }
}
