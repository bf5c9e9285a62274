//! The support record (`support.json`): until when a maker has promised security updates, for whom, and what came of it.
//!
//! What was published in it stays: promises, notices and statements are only ever added, and no unit's date ever gets
//! earlier. [`Support::may_follow`] is the one rule that signer, server and device all apply; a status is computed from
//! the record and a day, never stored ([`status`]).
//!
//! | module | holds |
//! | --- | --- |
//! | [`identity`], [`gtin`] | the maker, and the product as it is marked on the box |
//! | [`cohort`] | units that share a date, and how an owner finds their own |
//! | [`promise`], [`notice`] | what was promised, taken back by root, and told since |
//! | [`contact`], [`compliance`] | where to report, and the statements that the law asks for |
//! | [`follow`] | what may follow what |
//! | [`status`], [`words`] | supported, ends soon, ended; and how English says so |
//! | [`summary`] | the record on a day, as pages and feeds render it |
//! | [`update`] | the updates that a product got, as they stand beside it |
//! | [`on_device`] | the same on a device, for its own cohort |

pub mod cohort;
pub mod compliance;
pub mod contact;
pub mod follow;
pub mod gtin;
pub mod identity;
pub mod notice;
pub mod on_device;
pub mod promise;
pub mod status;
pub mod summary;
pub mod update;
pub mod words;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure, ensure_none};
use crate::ident::{ProductName, TargetPath};
use crate::limits::{ANNULMENTS, COHORTS, NOTICES, PROMISES, STATEMENTS, SUPPORT_LENGTH, TEXT_LENGTH};
use crate::time::{Date, Timestamp};

pub use cohort::{Cohort, CohortName};
pub use compliance::{Aftercare, Compliance, Standard, Statement};
pub use contact::VulnerabilityContact;
pub use follow::SupportError;
pub use gtin::Gtin;
pub use identity::{HardwareRevision, Identifier, Maker, Model, Party};
pub use notice::{Notice, NoticeKind, OpenVulnerability};
pub use on_device::{OnDevice, RefusedRecord};
pub use promise::{Annulment, Promise, Replacement, UpdateKind};
pub use status::{Left, Reminder, State, Status};
pub use summary::Summary;
pub use update::Update;

/// Promises that are bound to cohorts: a reader that took them for everybody's would name a date that is too late.
const COHORTS_FEATURE: &str = "cohorts";
/// A promise to replace units, which is none of updates.
const REPLACEMENT_FEATURE: &str = "replacement";
/// A promise that root has annulled.
const ANNULMENT_FEATURE: &str = "annulment";

/// The support record of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Support {
    /// `perennial.support/1`.
    pub format: String,
    /// Features that a reader must know: `cohorts`, `replacement`, `annulment`, where the record uses them.
    pub requires: Vec<String>,
    /// The product.
    pub product: ProductName,
    /// 1 for the first record of a product, and one more for each that follows.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub sequence: u64,
    /// SHA-256 of the record before; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Sha256Digest>,
    /// When this record was drafted. Absent in a first record: then its first promise says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<Maker>,
    /// What it is called and how it is marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Units with dates of their own. Where there is none, all units share one date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// Promises in the order in which they were made, at least one.
    pub promises: Vec<Promise>,
    /// Promises that root has annulled, as the root file says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annulled: Vec<Annulment>,
    /// What was told since, in the order in which it was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// Where to report a security problem.
    pub contact: VulnerabilityContact,
    /// What to do when support is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aftercare: Option<Aftercare>,
    /// What the law asks a maker to state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance>,
}

fn first() -> u64 {
    1
}

fn is_first(sequence: &u64) -> bool {
    *sequence == 1
}

impl Support {
    /// The first record of a product: one promise for all its units, and a contact. The rest can be added later.
    pub fn new(product: ProductName, promise: Promise, contact: VulnerabilityContact) -> Self {
        Self {
            format: Self::FORMAT.into(),
            requires: Vec::new(),
            product,
            sequence: 1,
            previous: None,
            updated: None,
            maker: None,
            model: None,
            cohorts: Vec::new(),
            promises: alloc::vec![promise],
            annulled: Vec::new(),
            notices: Vec::new(),
            contact,
            aftercare: None,
            compliance: None,
        }
    }

    /// A draft of the record that follows this one, whose file has the digest `own`: the same but for its place in the
    /// chain. [`Support::seal`] it after the last change.
    #[must_use]
    pub fn successor(&self, own: Sha256Digest, now: Timestamp) -> Self {
        let sequence = self.sequence.saturating_add(1);
        Self { sequence, previous: Some(own), updated: Some(now), ..self.clone() }
    }

    /// Writes into `requires` what the record uses.
    #[must_use]
    pub fn seal(mut self) -> Self {
        self.requires = self.needs().into_iter().map(String::from).collect();
        self
    }

    /// When the record last changed.
    pub fn updated(&self) -> Timestamp {
        let made =
            self.promises.iter().map(|promise| promise.made).chain(self.notices.iter().map(|n| n.made));
        self.updated.or(made.max()).unwrap_or(Timestamp::EPOCH)
    }

    /// What people call the product: its model's name, or the name of its role.
    pub fn display_name(&self) -> &str {
        self.model.as_ref().map_or(self.product.as_str(), |model| &model.name)
    }

    /// Whether units are replaced and never updated: then every date is that of a replacement promise.
    pub fn is_replaced_not_updated(&self) -> bool {
        self.promises.iter().any(|promise| promise.replacement.is_some())
    }

    /// The record's own target path.
    ///
    /// # Errors
    /// [`FormatError::Shape`] never for valid names; the type is fallible because paths have a limit.
    pub fn path(product: &ProductName) -> Result<TargetPath, FormatError> {
        format!("{product}/support.json").parse().map_err(|e| FormatError::shape(Self::WHAT, format!("{e}")))
    }

    fn needs(&self) -> Vec<&'static str> {
        let uses = [
            (COHORTS_FEATURE, self.promises.iter().any(|promise| !promise.cohorts.is_empty())),
            (REPLACEMENT_FEATURE, self.is_replaced_not_updated()),
            (ANNULMENT_FEATURE, !self.annulled.is_empty()),
        ];
        uses.into_iter().filter(|(_, used)| *used).map(|(feature, _)| feature).collect()
    }
}

/// # Dates
///
/// A promise that root has annulled does not count in any of them.
impl Support {
    /// The last day on which security updates are promised to units of `cohort`. Without a cohort, or with one that the
    /// record does not know, the earliest of all units.
    pub fn until(&self, cohort: Option<&CohortName>) -> Date {
        match cohort.filter(|name| self.cohort(name).is_some()) {
            Some(name) => self.until_of(Some(name)),
            None if self.cohorts.is_empty() => self.until_of(None),
            None => self.earliest(self.cohorts.iter()),
        }
    }

    /// The date that every unit has at least: what a device without a cohort goes by.
    pub fn guaranteed_until(&self) -> Date {
        self.until(None)
    }

    /// The last day on which updates are promised to any unit: until then somebody may need every security release.
    pub fn latest_until(&self) -> Date {
        let cohorts = self.cohorts.iter().map(|cohort| self.until_of(Some(&cohort.name)));
        cohorts.max().unwrap_or_else(|| self.guaranteed_until())
    }

    /// The date of a model's page and label: the earliest among the cohorts on sale on `today`, or among all of them
    /// where none is.
    pub fn until_on_sale(&self, today: Date) -> Date {
        let mut on_sale = self.cohorts.iter().filter(|cohort| cohort.is_on_sale(today)).peekable();
        if on_sale.peek().is_some() { self.earliest(on_sale) } else { self.guaranteed_until() }
    }

    /// The cohort of this name.
    pub fn cohort(&self, name: &CohortName) -> Option<&Cohort> {
        self.cohorts.iter().find(|cohort| cohort.name == *name)
    }

    /// Whether the promise at `index` (from 0) was annulled by root.
    pub fn is_annulled(&self, index: usize) -> bool {
        self.annulled.iter().any(|annulment| annulment.promise as usize == index + 1)
    }

    /// The promises that count for a cohort, or for all units where the record has none.
    pub fn promises_for<'a>(&'a self, cohort: Option<&'a CohortName>) -> impl Iterator<Item = &'a Promise> {
        let standing = self.promises.iter().enumerate().filter(|(index, _)| !self.is_annulled(*index));
        standing.map(|(_, promise)| promise).filter(move |promise| promise.covers(cohort))
    }

    fn until_of(&self, cohort: Option<&CohortName>) -> Date {
        // Reading refuses a record with a cohort that nothing is promised to; one built in memory promises nothing.
        self.promises_for(cohort).map(|promise| promise.guaranteed_until).max().unwrap_or(Date::from_days(0))
    }

    fn earliest<'a>(&self, cohorts: impl Iterator<Item = &'a Cohort>) -> Date {
        cohorts.map(|cohort| self.until_of(Some(&cohort.name))).min().unwrap_or(Date::from_days(0))
    }
}

impl Document for Support {
    const FORMAT: &'static str = "perennial.support/1";
    const WHAT: &'static str = "support record";
    const MAX_LENGTH: u64 = SUPPORT_LENGTH;
    const KNOWN: &'static [&'static str] = &[COHORTS_FEATURE, REPLACEMENT_FEATURE, ANNULMENT_FEATURE];

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        for need in self.needs() {
            ensure(self.requires.iter().any(|named| named == need), what, || {
                format!("it uses {need:?} and does not say so in \"requires\"")
            })?;
        }
        ensure((self.sequence == 1) == self.previous.is_none(), what, || {
            "the first record has no \"previous\", every other has one".into()
        })?;
        ensure(self.sequence >= 1, what, || "sequence is 0; it starts at 1".into())?;
        self.maker.as_ref().map_or(Ok(()), Maker::validate)?;
        self.model.as_ref().map_or(Ok(()), Model::validate)?;
        self.validate_cohorts()?;
        self.validate_annulments()?;
        self.validate_promises()?;
        self.validate_notices()?;
        self.contact.validate()?;
        self.aftercare.as_ref().map_or(Ok(()), Aftercare::validate)?;
        self.validate_statements()
    }
}

impl Support {
    fn validate_cohorts(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(self.cohorts.len() <= COHORTS, what, || format!("more than {COHORTS} cohorts"))?;
        let mut seen = BTreeSet::new();
        for cohort in &self.cohorts {
            cohort.validate()?;
            ensure(seen.insert(&cohort.name), what, || format!("two cohorts are named {}", cohort.name))?;
            let promised = self.promises_for(Some(&cohort.name)).next().is_some();
            ensure(promised, what, || format!("nothing is promised to cohort {}", cohort.name))?;
            let until = self.until_of(Some(&cohort.name));
            if let Some(last) = cohort.placed_until {
                ensure(until >= last, what, || {
                    format!(
                        "cohort {} is sold until {last}, and its support ends before, on {until}",
                        cohort.name
                    )
                })?;
            }
        }
        Ok(())
    }

    fn validate_promises(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(!self.promises.is_empty(), what, || "it has no promise".into())?;
        let standing = (0..self.promises.len()).filter(|index| !self.is_annulled(*index)).count();
        ensure(standing <= PROMISES, what, || format!("more than {PROMISES} promises"))?;
        let replaced = self.is_replaced_not_updated();
        for (index, promise) in self.promises.iter().enumerate() {
            promise.validate()?;
            ensure(promise.replacement.is_some() == replaced, what, || {
                "a product is either updated or replaced: its promises are all of one kind".into()
            })?;
            let unknown = promise.cohorts.iter().find(|name| self.cohort(name).is_none());
            ensure_none(unknown, what, |name| {
                format!("a promise names the cohort {name}, which the record lacks")
            })?;
            for (earlier, before) in self.promises[..index].iter().enumerate() {
                // A date that a thief made up orders nothing.
                ensure(before.made <= promise.made || self.is_annulled(earlier), what, || {
                    format!("the promise of {} stands before that of {}", before.made, promise.made)
                })?;
                let (sooner, later) = (promise.guaranteed_until, before.guaranteed_until);
                let shortens =
                    sooner < later && promise.is_no_wider_than(before) && !self.is_annulled(earlier);
                ensure(!shortens, what, || format!("{sooner} comes after {later}"))?;
            }
        }
        Ok(())
    }

    fn validate_annulments(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(self.annulled.len() <= ANNULMENTS, what, || format!("more than {ANNULMENTS} annulments"))?;
        for annulment in &self.annulled {
            annulment.validate()?;
            let named =
                (annulment.promise as usize).checked_sub(1).and_then(|index| self.promises.get(index));
            let fits = named.is_some_and(|promise| annulment.names(&self.product, promise));
            ensure(fits, what, || format!("it annuls promise {}, which reads otherwise", annulment.promise))?;
        }
        let remains =
            self.annulled.is_empty() || !self.cohorts.is_empty() || self.promises_for(None).next().is_some();
        ensure(remains, what, || "the only promise can't be annulled: no date would remain".into())
    }

    fn validate_notices(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(self.notices.len() <= NOTICES, what, || format!("more than {NOTICES} notices"))?;
        for notice in &self.notices {
            notice.validate()?;
            let unknown = notice.cohorts.iter().find(|name| self.cohort(name).is_none());
            ensure_none(unknown, what, |name| {
                format!("a notice names the cohort {name}, which the record lacks")
            })?;
        }
        Ok(())
    }

    fn validate_statements(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        let statements = self.compliance.iter().flat_map(|compliance| &compliance.statements);
        ensure(statements.clone().count() <= STATEMENTS, what, || {
            format!("more than {STATEMENTS} statements")
        })?;
        for statement in statements {
            statement.validate()?;
            let date = statement.support_at_first_supply;
            ensure(self.promises.iter().any(|promise| promise.guaranteed_until == date), what, || {
                format!("a statement of compliance says {date}, which was never promised")
            })?;
        }
        Ok(())
    }
}

/// A text that people read: not empty, within the limit.
fn text(what: &str, value: &str) -> Result<(), FormatError> {
    let length = value.trim().len();
    ensure((1..=TEXT_LENGTH).contains(&length), Support::WHAT, || {
        format!("{what} is empty or longer than {TEXT_LENGTH} bytes")
    })
}

/// The same, where it may also be missing.
fn optional_text(what: &str, value: &str) -> Result<(), FormatError> {
    if value.is_empty() { Ok(()) } else { text(what, value) }
}

/// An address on the web.
fn web_address(what: &str, value: &str) -> Result<(), FormatError> {
    let plain = value.len() <= 500 && !value.chars().any(|c| c.is_control() || c.is_whitespace());
    ensure(value.starts_with("https://") && plain, Support::WHAT, || {
        format!("{what}: {value:?} is no https:// address of at most 500 characters")
    })
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
