//! An annulment: root takes back a promise that a stolen key made.
//!
//! One proposal holds both halves, since neither counts without the other: the next root file, which k of n root keys
//! sign, and the product's next record, which its team signs. Where the team's own keys are lost, another team comes
//! first, by a proposal of its own: until then the thief could promise anew.

use perennial_schemas::support::{Annulment, CohortName, Support};

use super::Draft;
use super::promise::{Terms, add, check_sales};
use crate::proposal::{Kind, Proposal, ProposalBuilder, ProposalError};

impl Draft<'_> {
    /// Proposes to annul promise `number`, counted from 1. `instead` is promised in the same record to the units for which
    /// nothing would remain, whatever cohorts it names.
    ///
    /// # Errors
    /// [`ProposalError`] where there is no such promise, it is annulled already, none would remain for some unit and
    /// nothing is promised instead, or one remains for every unit and something is.
    pub fn annul(
        self,
        number: u32,
        reason: &str,
        instead: Option<&Terms>,
    ) -> Result<Proposal, ProposalError> {
        let product = &self.product;
        let mut record = self.successor()?;
        let index = (number as usize).checked_sub(1);
        let Some(promise) = index.and_then(|index| record.promises.get(index)) else {
            return Err(ProposalError::refused(
                format!("{product} has no promise {number}"),
                format!("support show {product} counts them: there are {}", record.promises.len()),
            ));
        };
        if record.annulled.iter().any(|annulment| annulment.promise == number) {
            let hint = "nothing has to be done";
            return Err(ProposalError::refused(
                format!("promise {number} of {product} is annulled already"),
                hint,
            ));
        }
        if reason.trim().is_empty() {
            let hint = "tell the public in plain words what happened: --reason TEXT";
            return Err(ProposalError::refused("an annulment needs a reason", hint));
        }
        let annulment = Annulment {
            product: product.clone(),
            promise: number,
            made: promise.made,
            guaranteed_until: promise.guaranteed_until,
            reason: reason.into(),
            at: self.now,
        };
        let summary = format!("Annul promise {number} of {product}, until {}", promise.guaranteed_until);
        record.annulled.push(annulment.clone());
        match (left_without(&record), instead) {
            (None, None) => {}
            (Some(cohorts), Some(terms)) => {
                add(&mut record, &Terms { cohorts, ..terms.clone() }, self.now)?;
            }
            (Some(_), None) => {
                return Err(ProposalError::refused(
                    format!(
                        "promise {number} is the only one to some units of {product}: no date would remain for them"
                    ),
                    "promise in the same step what you stand by: --until DATE --reason-for-date TEXT",
                ));
            }
            (None, Some(_)) => {
                return Err(ProposalError::refused(
                    format!("every unit of {product} has another promise that stands"),
                    "leave --until out; support extend makes a date later",
                ));
            }
        }
        check_sales(&record)?;
        let subject = format!("annul-{product}");
        let mut builder = ProposalBuilder::new(self.repository, Kind::Support, &subject, &summary, self.now);
        builder.edit_root(|root| root.annulments.push(annulment))?;
        self.put(&mut builder, record)?;
        builder.write()
    }
}

/// The cohorts to which nothing is promised any more: none of them where the record has no cohorts and no promise at all.
/// `None` where every unit has one.
fn left_without(record: &Support) -> Option<Vec<CohortName>> {
    let promised = |cohort| record.promises_for(cohort).next().is_some();
    if record.cohorts.is_empty() {
        return (!promised(None)).then(Vec::new);
    }
    let without = record.cohorts.iter().map(|cohort| &cohort.name).filter(|name| !promised(Some(name)));
    let without: Vec<CohortName> = without.cloned().collect();
    (!without.is_empty()).then_some(without)
}
