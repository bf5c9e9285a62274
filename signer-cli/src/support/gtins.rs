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
    let old = of(before);
    let new: BTreeSet<Gtin> = of(Some(record)).difference(&old).copied().collect();
    if new.is_empty() {
        return Ok(());
    }
    let published = repository.published.as_ref();
    for role in published.into_iter().flat_map(|published| published.roles.keys()) {
        if role.as_str() == record.product.as_str() {
            continue;
        }
        let Some((other, _)) = published_support(repository, role)? else { continue };
        if let Some(gtin) = of(Some(&other)).intersection(&new).next() {
            return Err(ProposalError::refused(
                format!("the GTIN {} belongs to {} already", gtin.printed(), other.product),
                "each model has a number of its own: look at the box again",
            ));
        }
    }
    Ok(())
}

fn of(record: Option<&Support>) -> BTreeSet<Gtin> {
    record.and_then(|record| record.model.as_ref()).into_iter().flat_map(|model| model.gtins()).collect()
}
