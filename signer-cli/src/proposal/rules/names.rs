//! Names under which pages of a support site stand already: a product or a cohort of such a name would hide one for ever.
//! What is published keeps its name.

use perennial_schemas::support::{Cohort, Support};
use perennial_schemas::{ProductName, RoleName};

use super::Family;
use crate::proposal::ProposalError;

/// Refuses a new product of a reserved name.
pub(super) fn product(family: &Family<'_>) -> Result<(), ProposalError> {
    let name = family.role.as_str().parse::<ProductName>().ok();
    match name.filter(|name| family.before.is_none() && name.is_reserved()) {
        None => Ok(()),
        Some(name) => Err(ProposalError::refused(
            format!("no product can be called {name}: /support/{name} is a page of every support site"),
            format!(
                "give it another name, such as {name}-1; these are taken: {}",
                ProductName::RESERVED.join(", ")
            ),
        )),
    }
}

/// Refuses a new cohort of a reserved name.
pub(super) fn cohorts(
    role: &RoleName,
    before: Option<&Support>,
    record: &Support,
) -> Result<(), ProposalError> {
    let old = |cohort: &Cohort| before.is_some_and(|before| before.cohort(&cohort.name).is_some());
    match record.cohorts.iter().find(|cohort| cohort.name.is_reserved() && !old(cohort)) {
        None => Ok(()),
        Some(Cohort { name, .. }) => Err(ProposalError::refused(
            format!("no cohort can be called {name}: /support/{role}/{name} is a page of every product"),
            "name it after its units, such as made-2026",
        )),
    }
}
