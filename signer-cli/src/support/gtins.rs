//! A number under a bar code belongs to one product: two that claim it would answer one buyer with two dates.

use std::collections::BTreeSet;

use perennial_schemas::support::{Gtin, Support};

use crate::proposal::{ProposalError, published_support};
use crate::repository::Repository;

/// Refuses a record with a GTIN that another product of the repository has. Reads the others' records only where this one
/// brings a number that `before` had not.
///
/// # Errors
/// [`ProposalError::Refused`] with the number and the other product.
pub fn check(
    repository: &Repository,
    before: Option<&Support>,
    record: &Support,
) -> Result<(), ProposalError> {
    let new = news(before, record);
    if new.is_empty() {
        return Ok(());
    }
    let published = repository.published.as_ref();
    for role in published.into_iter().flat_map(|published| published.roles.keys()) {
        if role.as_str() == record.product.as_str() {
            continue;
        }
        let Some((other, _)) = published_support(repository, role)? else { continue };
        check_one(&new, &other)?;
    }
    Ok(())
}

/// Refuses a record that brings a GTIN which one of `others` has, those published together with it: read only where it
/// brings one.
///
/// # Errors
/// [`ProposalError::Refused`] with the number and the other product.
pub fn check_beside(
    before: Option<&Support>,
    record: &Support,
    others: impl FnOnce() -> Result<Vec<Support>, ProposalError>,
) -> Result<(), ProposalError> {
    let new = news(before, record);
    if new.is_empty() { Ok(()) } else { others()?.iter().try_for_each(|other| check_one(&new, other)) }
}

fn check_one(new: &BTreeSet<Gtin>, other: &Support) -> Result<(), ProposalError> {
    match of(Some(other)).intersection(new).next() {
        None => Ok(()),
        Some(gtin) => Err(ProposalError::refused(
            format!("the GTIN {} belongs to {} already", gtin.printed(), other.product),
            "each model has a number of its own: look at the box again",
        )),
    }
}

/// The numbers that a record brings.
fn news(before: Option<&Support>, record: &Support) -> BTreeSet<Gtin> {
    of(Some(record)).difference(&of(before)).copied().collect()
}

fn of(record: Option<&Support>) -> BTreeSet<Gtin> {
    record.and_then(|record| record.model.as_ref()).into_iter().flat_map(|model| model.gtins()).collect()
}
