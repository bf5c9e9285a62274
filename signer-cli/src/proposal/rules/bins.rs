//! A product's bins are all there, are its own team's, and stand in the place of its role for the files of releases and
//! for nothing else; no bin is ever given up.

use perennial_schemas::tuf::TopRole;
use perennial_schemas::{ProductName, RoleName};

use crate::proposal::{ProposalError, Standing};
use crate::repository::{bins, top};

/// Checks every product whose role, bins or team the proposal changes.
pub(super) fn check(standing: &Standing<'_>) -> Result<(), ProposalError> {
    // Whoever was overtaken, perhaps by a split, is told to rebase, by `check_base`; then this is asked again.
    if !standing.moved().is_empty() {
        return Ok(());
    }
    let proposed = &standing.proposal.roles;
    let all = proposed.contains_key(&top(TopRole::Targets));
    let roles = standing.roles();
    for product in roles.keys().filter_map(|role| role.as_str().parse::<ProductName>().ok()) {
        let role = RoleName::from(&product);
        if all || proposed.keys().any(|changed| bins::family(changed) == role) {
            product_bins(standing, &product, &role)?;
        }
    }
    Ok(())
}

fn product_bins(
    standing: &Standing<'_>,
    product: &ProductName,
    role: &RoleName,
) -> Result<(), ProposalError> {
    let roles = standing.roles();
    let (Some(own), Some(targets)) = (roles.get(role), roles.get(&top(TopRole::Targets))) else {
        return Ok(());
    };
    if !bins::are_in(product, own) {
        let published = standing.published().and_then(|published| published.role(role));
        if published.is_some_and(|file| bins::are_in(product, file.value())) {
            return refused(format!("{role} would give up its bins"));
        }
        return Ok(());
    }
    // A product that nobody delegates to any more reaches no device.
    let Some(delegations) = bins::delegations(product, targets) else { return Ok(()) };
    if own.delegations.as_ref() != Some(&delegations) {
        return refused(format!("{role} would delegate to bins that are not those of its team"));
    }
    if let Some(path) = own.targets.keys().find(|path| bins::takes(product, path)) {
        return refused(format!("{role} would list {path} itself, in the place of its bin"));
    }
    for bin in bins::all(product) {
        let Some(targets) = roles.get(&bin) else {
            return refused(format!("{role} would delegate to {bin}, which is not there"));
        };
        let strange = |path: &&String| !bins::takes(product, path) || bins::of_path(product, path) != bin;
        if let Some(path) = targets.targets.keys().find(strange) {
            return refused(format!("{bin} would list {path}, which does not belong there"));
        }
    }
    Ok(())
}

fn refused(what: String) -> Result<(), ProposalError> {
    Err(ProposalError::refused(what, "take a copy of the proposal that you trust, or propose it again"))
}
