//! Rules for keys, versions, delegations and target files.

use std::collections::BTreeSet;

use perennial_schemas::tuf::{Delegation, Role as _, Root, Targets, TopRole, matches_pattern};
use perennial_schemas::{Digest as _, ProductName, RoleName};

use super::consistent;
use crate::crypto::Ring;
use crate::files;
use crate::proposal::{ProposalError, Standing};
use crate::repository::top;

/// Checks them all.
pub(super) fn check(standing: &Standing<'_>) -> Result<(), ProposalError> {
    if !standing.proposal.roles.is_empty() && !standing.proposal.about.snapshot {
        let what = "the proposal changes roles, and brings no snapshot that would make them count";
        return Err(ProposalError::refused(
            what,
            "take a copy of the proposal that you trust, or propose it again",
        ));
    }
    if let Some(root) = &standing.proposal.root {
        let before = standing.published().map(|published| published.root.value());
        version(standing, &top(TopRole::Root), before.map(Root::version), root.unverified().version())?;
        root_can_be_met(root.unverified())?;
    }
    let mut files: BTreeSet<String> =
        files::list_all(&standing.proposal.dir.join("targets"))?.into_iter().collect();
    for (role, body) in &standing.proposal.roles {
        let after = body.unverified();
        let before = standing.published().and_then(|published| published.role(role)).map(|file| file.value());
        version(standing, role, before.map(Targets::version), after.version())?;
        delegations(role, before, after)?;
        targets(standing, role, before, after, &mut files)?;
    }
    match files.first() {
        None => Ok(()),
        Some(file) => Err(ProposalError::refused(
            format!("the proposal brings targets/{file} along, and vouches for no such file"),
            "take a copy of the proposal that you trust",
        )),
    }
}

/// A version follows the published one, so that nothing published is ever replaced. Where somebody else has published
/// meanwhile, `check_base` says so; where a publication was cut short, it may go on.
fn version(
    standing: &Standing<'_>,
    role: &RoleName,
    before: Option<u64>,
    after: u64,
) -> Result<(), ProposalError> {
    let next = before.unwrap_or(0) + 1;
    if after == next || standing.is_published(role) || standing.moved().contains(&role) {
        return Ok(());
    }
    let what = format!("{role} would become version {after}, where {next} is next");
    Err(ProposalError::refused(what, "take a copy of the proposal that you trust, or propose it again"))
}

fn root_can_be_met(root: &Root) -> Result<(), ProposalError> {
    for role in TopRole::ALL {
        let authority = root.authority(role);
        can_be_met(role.as_str(), authority.threshold(), authority.keys().count())?;
    }
    if root.consistent_snapshot {
        return Ok(());
    }
    Err(ProposalError::refused(
        "the root would turn consistent snapshots off",
        "devices need them: leave them on",
    ))
}

fn can_be_met(role: &str, threshold: u32, keys: usize) -> Result<(), ProposalError> {
    if keys as u64 >= u64::from(threshold) {
        return Ok(());
    }
    let what =
        format!("{role} would need {threshold} signatures and has {keys} key(s): nobody could ever sign it");
    Err(ProposalError::refused(what, "give it more keys, or a lower threshold"))
}

/// What targets newly delegates is a product's own folder, ends the search there, and belongs to nobody else.
fn delegations(role: &RoleName, before: Option<&Targets>, after: &Targets) -> Result<(), ProposalError> {
    let Some(delegations) = &after.delegations else { return Ok(()) };
    let roles: Vec<&Delegation> = delegations.roles.iter().flatten().collect();
    let old: Vec<&Delegation> = before
        .and_then(|b| b.delegations.as_ref())
        .into_iter()
        .flat_map(|d| d.roles.iter().flatten())
        .collect();
    for delegation in roles.iter().filter(|delegation| !old.contains(delegation)) {
        let authority = delegations.authority(&delegation.name);
        let keys = authority.map_or(0, |authority| authority.keys().count());
        can_be_met(delegation.name.as_str(), delegation.threshold, keys)?;
        if role.as_str() != TopRole::Targets.as_str() {
            continue;
        }
        product_delegation(delegation)?;
        let inside = format!("{}/x", delegation.name);
        let covers = |other: &&&Delegation| {
            other.name != delegation.name
                && other.paths.iter().flatten().any(|pattern| matches_pattern(pattern, &inside))
        };
        if let Some(other) = roles.iter().find(covers) {
            let what = format!("{} and {} would both be delegated {inside}", other.name, delegation.name);
            return Err(ProposalError::refused(what, "choose another product name"));
        }
    }
    Ok(())
}

fn product_delegation(delegation: &Delegation) -> Result<(), ProposalError> {
    let name = &delegation.name;
    let own = delegation.paths.as_deref() == Some(&[format!("{name}/*")]);
    if own && delegation.terminating && name.as_str().parse::<ProductName>().is_ok() {
        return Ok(());
    }
    Err(ProposalError::refused(
        format!("{name} would be delegated something else than {name}/*, or without ending the search there"),
        "add products with product add",
    ))
}

/// New targets lie where their role may vouch for them, and their files are there with the right length.
fn targets(
    standing: &Standing<'_>,
    role: &RoleName,
    before: Option<&Targets>,
    after: &Targets,
    brought: &mut BTreeSet<String>,
) -> Result<(), ProposalError> {
    let delegators = standing.roles();
    let delegation = delegators
        .values()
        .filter_map(|targets| targets.delegations.as_ref())
        .find_map(|d| d.roles.iter().flatten().find(|delegation| delegation.name == *role));
    for (path, target) in &after.targets {
        let at = consistent(path, target).ok_or_else(|| {
            ProposalError::refused(
                format!("{path:?} is no path that a device would ask for, or has no SHA-256"),
                "propose it again under another name",
            )
        })?;
        let here = brought.remove(&at);
        if before.and_then(|before| before.targets.get(path)) == Some(target) {
            continue;
        }
        let covered =
            delegation.is_none_or(|delegation| delegation.covers(path, &Ring.sha256(path.as_bytes())));
        if !covered {
            let what = format!("{role} would vouch for {path}, which it was not delegated");
            return Err(ProposalError::refused(what, "a product's targets lie under its own name"));
        }
        let file = if here {
            standing.proposal.target_file(&at)
        } else {
            standing.repository.targets_dir().join(&at)
        };
        match files::length(&file)? {
            Some(length) if length == target.length => {}
            Some(_) => {
                return Err(ProposalError::refused(
                    format!("the file of {path} has another length than the proposal says"),
                    "take a copy of the proposal that you trust",
                ));
            }
            None => {
                return Err(ProposalError::refused(
                    format!("the file of {path} is missing: targets/{at}"),
                    "take a whole copy of the proposal, with its folder targets/",
                ));
            }
        }
    }
    Ok(())
}
