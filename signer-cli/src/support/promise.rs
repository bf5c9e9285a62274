//! Promises: the first of a product or a cohort, and longer ones.

use perennial_schemas::limits::SUPPORT_DAYS_AHEAD;
use perennial_schemas::support::{
    CohortName, Promise, Replacement, Support, SupportError, UpdateKind, VulnerabilityContact,
};
use perennial_schemas::{Date, Timestamp};

use super::Draft;
use crate::proposal::{Proposal, ProposalError};

/// What a maker promises.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The last day.
    pub until: Date,
    /// Why this date.
    pub reason: String,
    /// The day from which it holds; none: from the first sale on.
    pub from: Option<Date>,
    /// To whom; empty for every unit.
    pub cohorts: Vec<CohortName>,
    /// The parts that updates cover; empty for all of its software.
    pub components: Vec<String>,
    /// Whether updates of functions are promised besides.
    pub functionality: bool,
    /// For what can't be updated: the promise is to replace it.
    pub replacement: Option<Replacement>,
}

impl Terms {
    /// A promise of security updates to every unit.
    pub fn new(until: Date, reason: impl Into<String>) -> Self {
        Self {
            until,
            reason: reason.into(),
            from: None,
            cohorts: Vec::new(),
            components: Vec::new(),
            functionality: false,
            replacement: None,
        }
    }

    /// The promise, made `now`.
    ///
    /// # Errors
    /// [`ProposalError`] for a day that is over, one that is too far ahead, or no reason.
    pub fn promise(&self, now: Timestamp) -> Result<Promise, ProposalError> {
        let (until, today) = (self.until, now.date());
        if until < today {
            return Err(ProposalError::refused(
                format!("{until} is over: a promise is about days to come"),
                "give a later date; what owners should know of the past is told by support notice",
            ));
        }
        if until.days() - today.days() > SUPPORT_DAYS_AHEAD {
            let most = today.plus_months(25 * 12);
            return Err(ProposalError::refused(
                format!("{until} lies more than 25 years ahead, and nobody can answer for that"),
                format!("promise {most} at the latest, and extend it when the years have passed"),
            ));
        }
        if self.reason.trim().is_empty() {
            let hint = "tell the public in plain words why it is this date: --reason TEXT";
            return Err(ProposalError::refused("a promise needs a reason", hint));
        }
        let kinds = if self.functionality {
            vec![UpdateKind::Security, UpdateKind::Functionality]
        } else {
            Vec::new()
        };
        Ok(Promise {
            from: self.from,
            cohorts: self.cohorts.clone(),
            components: self.components.clone(),
            kinds,
            replacement: self.replacement.clone(),
            ..Promise::new(now, until, &self.reason)
        })
    }

    fn whom(&self) -> String {
        let names: Vec<&str> = self.cohorts.iter().map(CohortName::as_str).collect();
        if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
    }
}

impl Draft<'_> {
    /// Proposes the first promise: of a product that has no record yet, with a contact, or to cohorts to which none was made.
    ///
    /// # Errors
    /// [`ProposalError`] where there is one already.
    pub fn promise(
        self,
        terms: &Terms,
        contact: Option<VulnerabilityContact>,
    ) -> Result<Proposal, ProposalError> {
        let product = &self.product;
        let summary = format!("Promise to support {product}{} until {}", terms.whom(), terms.until);
        let Some((before, _)) = &self.before else {
            let contact = contact.ok_or_else(|| {
                let hint =
                    "add --contact FILE: where to report security problems, and how soon somebody answers";
                ProposalError::refused(format!("{product} has no contact for security problems yet"), hint)
            })?;
            let record = Support::new(product.clone(), terms.promise(self.now)?, contact);
            return self.propose(record, "promise", &summary);
        };
        check_cohorts(before, &terms.cohorts)?;
        let own = |name: &CohortName| before.promises.iter().any(|promise| promise.cohorts.contains(name));
        let promised = if terms.cohorts.is_empty() {
            Some((before.guaranteed_until(), String::new()))
        } else {
            let name = terms.cohorts.iter().find(|name| own(name));
            name.map(|name| (before.until(Some(name)), format!(" --cohort {name}")))
        };
        if let Some((until, cohort)) = promised {
            return Err(ProposalError::refused(
                format!("{product}{} is promised support until {until} already", terms.whom()),
                format!("support extend {product}{cohort} --until DATE makes it longer"),
            ));
        }
        self.add_promise(terms, contact, "promise", &summary)
    }

    /// Proposes a later date, for every unit or for some cohorts.
    ///
    /// # Errors
    /// [`ProposalError`]; an earlier date is refused.
    pub fn extend(
        self,
        terms: &Terms,
        contact: Option<VulnerabilityContact>,
    ) -> Result<Proposal, ProposalError> {
        let (before, _) = self.published()?;
        check_cohorts(before, &terms.cohorts)?;
        let targets: Vec<Option<&CohortName>> = match terms.cohorts.as_slice() {
            [] if before.cohorts.is_empty() => vec![None],
            [] => before.cohorts.iter().map(|cohort| Some(&cohort.name)).collect(),
            names => names.iter().map(Some).collect(),
        };
        if targets.iter().all(|cohort| before.until(*cohort) == terms.until) {
            return Err(ProposalError::refused(
                format!("{}{} is promised support until {} already", self.product, terms.whom(), terms.until),
                "give a later date to extend it",
            ));
        }
        let whom = terms.whom();
        let summary = format!("Extend the support of {}{whom} until {}", self.product, terms.until);
        self.add_promise(terms, contact, "extend", &summary)
    }

    fn add_promise(
        self,
        terms: &Terms,
        contact: Option<VulnerabilityContact>,
        verb: &str,
        summary: &str,
    ) -> Result<Proposal, ProposalError> {
        let mut record = self.successor()?;
        // Shorter is told as that, whatever else may be wrong with it.
        let failed = |source| ProposalError::Support { product: self.product.to_string(), source };
        no_shorter(&record, terms).map_err(failed)?;
        add(&mut record, terms, self.now)?;
        record.contact = contact.unwrap_or(record.contact);
        check_sales(&record)?;
        self.propose(record, verb, summary)
    }
}

/// Adds a promise to a draft. What a cohort is promised is of the kind of what was promised before: updated, or replaced.
pub(super) fn add(record: &mut Support, terms: &Terms, now: Timestamp) -> Result<(), ProposalError> {
    let mut promise = terms.promise(now)?;
    if promise.replacement.is_none() {
        promise.replacement = record.promises.last().and_then(|last| last.replacement.clone());
    } else if !record.is_replaced_not_updated() {
        return Err(ProposalError::refused(
            format!("{} was promised updates, and can't be made a product that is replaced", record.product),
            "leave --replacement out; what was promised stays promised",
        ));
    }
    record.promises.push(promise);
    Ok(())
}

fn no_shorter(record: &Support, terms: &Terms) -> Result<(), SupportError> {
    let shorter = |promised: Date, cohort: Option<CohortName>| {
        let offered = terms.until;
        if offered < promised { Err(SupportError::Shorter { promised, offered, cohort }) } else { Ok(()) }
    };
    for name in &terms.cohorts {
        shorter(record.until(Some(name)), Some(name.clone()))?;
    }
    if terms.cohorts.is_empty() { shorter(record.guaranteed_until(), None) } else { Ok(()) }
}

/// Refuses names of cohorts that a record lacks.
pub(super) fn check_cohorts(record: &Support, names: &[CohortName]) -> Result<(), ProposalError> {
    let Some(unknown) = names.iter().find(|name| record.cohort(name).is_none()) else { return Ok(()) };
    let known: Vec<&str> = record.cohorts.iter().map(|cohort| cohort.name.as_str()).collect();
    let hint = match known.as_slice() {
        [] => "support cohort adds one; without --cohort it is about every unit".into(),
        known => format!("there are {}", known.join(", ")),
    };
    Err(ProposalError::refused(format!("{} has no cohort {unknown}", record.product), hint))
}

/// Refuses a draft under which units would be sold after the end of their support.
pub(super) fn check_sales(record: &Support) -> Result<(), ProposalError> {
    for cohort in &record.cohorts {
        let until = record.until(Some(&cohort.name));
        let Some(last) = cohort.placed_until.filter(|last| until < *last) else { continue };
        return Err(ProposalError::refused(
            format!(
                "units of cohort {} are sold until {last}, and its support ends before, on {until}",
                cohort.name
            ),
            format!("promise it {last} or later, or stop selling sooner"),
        ));
    }
    Ok(())
}
