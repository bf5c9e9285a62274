//! Units that share a support date: those of some batches, markets or years of sale.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Support, text};
use crate::document::{Document as _, FormatError, ensure, ensure_none};
use crate::ident::HardwareName;
use crate::limits::{BATCHES, IMAGES};
use crate::time::Date;

pub use crate::ident::CohortName;

/// Units that share a date. A published cohort only ever grows: else a unit could fall into one with an earlier date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Cohort {
    /// Its name in records, addresses and on devices.
    pub name: CohortName,
    /// What people call it: `Units made in 2026`.
    pub label: String,
    /// How an owner sees that a unit belongs to it.
    pub find: String,
    /// The first day on which a unit of it was placed on the market.
    pub placed_from: Date,
    /// The last such day; absent while it is on sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_until: Option<Date>,
    /// Production batches or ranges of serial numbers, as they are marked; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<String>,
    /// Markets as two letters (ISO 3166-1 alpha-2, or `EU`); empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markets: Vec<String>,
    /// Hardware revisions; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hardware: Vec<HardwareName>,
}

impl Cohort {
    /// Whether units of it are being placed on the market on `today`.
    pub fn is_on_sale(&self, today: Date) -> bool {
        self.placed_from <= today && self.placed_until.is_none_or(|last| today <= last)
    }

    /// Whether a unit could belong to both, as far as days, markets, hardware and batches (as they are written) tell.
    pub(super) fn overlaps(&self, other: &Cohort) -> bool {
        fn share<T: PartialEq>(a: &[T], b: &[T]) -> bool {
            a.is_empty() || b.is_empty() || a.iter().any(|held| b.contains(held))
        }
        let ends_before = |first: &Cohort, second: &Cohort| {
            first.placed_until.is_some_and(|last| last < second.placed_from)
        };
        !ends_before(self, other)
            && !ends_before(other, self)
            && share(&self.markets, &other.markets)
            && share(&self.hardware, &other.hardware)
            && share(&self.batches, &other.batches)
    }

    pub(super) fn validate(&self) -> Result<(), FormatError> {
        let (what, name) = (Support::WHAT, &self.name);
        text(&format!("the label of cohort {name}"), &self.label)?;
        text(&format!("how to find cohort {name}"), &self.find)?;
        let ordered = self.placed_until.is_none_or(|last| self.placed_from <= last);
        ensure(ordered, what, || format!("cohort {name} is sold out before it is sold"))?;
        ensure(self.batches.len() <= BATCHES, what, || {
            format!("cohort {name} has more than {BATCHES} batches")
        })?;
        self.batches.iter().try_for_each(|batch| text("a batch", batch))?;
        ensure(self.hardware.len() <= IMAGES, what, || {
            format!("cohort {name} names more than {IMAGES} revisions")
        })?;
        ensure(self.markets.len() <= 256, what, || format!("cohort {name} names more than 256 markets"))?;
        let known =
            |market: &String| market.len() == 2 && market.bytes().all(|byte| byte.is_ascii_uppercase());
        let odd = self.markets.iter().find(|market| !known(market));
        ensure_none(odd, what, |odd| {
            format!("a market is two capital letters, such as GB or EU, not {odd:?}")
        })
    }
}
