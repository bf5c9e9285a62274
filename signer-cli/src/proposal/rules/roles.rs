//! Rules for keys, versions, delegations and target files.

use std::collections::BTreeSet;

use perennial_schemas::tuf::{Delegation, Key, KeyMap, Role as _, Root, Targets, TopRole, matches_pattern};
use perennial_schemas::{Digest as _, KeyId, ProductName, RoleName};

use super::consistent;
use crate::crypto::Ring;
use crate::files;
use crate::proposal::{ProposalError, Standing};
use crate::repository::{bins, delegator_of, top};

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
        keys_have_their_ids(&top(TopRole::Root), before.map(|before| &before.keys), &root.unverified().keys)?;
        root_can_be_met(root.unverified())?;
    }
    let mut files: BTreeSet<String> =
        files::list_all(&standing.proposal.dir.join("targets"))?.into_iter().collect();
    for (role, body) in &standing.proposal.roles {
        let after = body.unverified();
        let before = standing.published().and_then(|published| published.role(role)).map(|file| file.value());
        version(standing, role, before.map(Targets::version), after.version())?;
        delegations(standing, role, before, after)?;
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

/// What targets newly delegates is a product's own folder, ends the search there, and belongs to nobody else; what a team
/// delegates further stays inside that folder.
fn delegations(
    standing: &Standing<'_>,
    role: &RoleName,
    before: Option<&Targets>,
    after: &Targets,
) -> Result<(), ProposalError> {
    let Some(delegations) = &after.delegations else { return Ok(()) };
    let old = before.and_then(|before| before.delegations.as_ref());
    // Nobody is shown whose keys they have, nor are they kept inside a folder. What other tools published stays.
    let succinct = delegations.succinct_roles.as_ref();
    if succinct.is_some() && succinct != old.and_then(|old| old.succinct_roles.as_ref()) {
        return Err(ProposalError::refused(
            format!("{role} would delegate to succinct roles"),
            "delegate to roles by name; product bins spreads a long list over bins",
        ));
    }
    // Bins have rules of their own, and keys that targets names.
    if role.as_str().parse().is_ok_and(|product| bins::are_in(&product, after)) {
        return Ok(());
    }
    keys_have_their_ids(role, old.map(|old| &old.keys), &delegations.keys)?;
    let roles: Vec<&Delegation> = delegations.roles.iter().flatten().collect();
    let old: Vec<&Delegation> = old.into_iter().flat_map(|d| d.roles.iter().flatten()).collect();
    for delegation in roles.iter().filter(|delegation| !old.contains(delegation)) {
        let authority = delegations.authority(&delegation.name);
        let keys = authority.map_or(0, |authority| authority.keys().count());
        can_be_met(delegation.name.as_str(), delegation.threshold, keys)?;
        if role.as_str() != TopRole::Targets.as_str() {
            inner_delegation(standing, role, delegation)?;
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

/// People know keys by their ids, so another key never comes under an id that they know. Other tools make ids as they
/// like: what they published stays.
pub(super) fn keys_have_their_ids(
    role: &RoleName,
    before: Option<&KeyMap>,
    after: &KeyMap,
) -> Result<(), ProposalError> {
    let known = |id: &KeyId, key: &Key| before.is_some_and(|before| before.get(id) == Some(key));
    for (id, key) in after.iter().filter(|(id, key)| !known(id, key)) {
        if key.id(&Ring).ok().as_ref() != Some(id) {
            let what = format!("{role} would list another key under the id {id}");
            return Err(ProposalError::refused(what, "take a copy of the proposal that you trust"));
        }
    }
    Ok(())
}

/// A team's own delegations: under its own folder, and to a role that nobody else delegates to.
fn inner_delegation(
    standing: &Standing<'_>,
    role: &RoleName,
    delegation: &Delegation,
) -> Result<(), ProposalError> {
    let name = &delegation.name;
    let own = format!("{role}/");
    let mut paths = delegation.paths.iter().flatten();
    if delegation.paths.is_none() || !paths.all(|pattern| pattern.starts_with(&own)) {
        return Err(ProposalError::refused(
            format!("{role} would delegate to {name} what doesn't lie under {own}"),
            "a product's targets lie under its own name",
        ));
    }
    let roles = standing.roles();
    let delegates = |targets: &&Targets| {
        targets.delegations.as_ref().is_some_and(|delegations| delegations.authority(name).is_some())
    };
    let other = roles.iter().find(|(other, targets)| **other != role && delegates(targets));
    let top = TopRole::ALL.into_iter().any(|top| top.as_str() == name.as_str());
    if other.is_none() && !top && bins::owner(name).is_none() {
        return Ok(());
    }
    let what = format!("{role} would delegate to {name}, a role that isn't its own");
    Err(ProposalError::refused(what, "choose another name for the role"))
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

/// Whatever targets lists itself is found before what it delegates, and would stand in a product's place.
fn leaves_products_alone(before: Option<&Targets>, after: &Targets) -> Result<(), ProposalError> {
    fn delegations(targets: Option<&Targets>) -> impl Iterator<Item = &Delegation> + Clone {
        let delegations = targets.and_then(|targets| targets.delegations.as_ref());
        delegations.into_iter().flat_map(|delegations| delegations.roles.iter().flatten())
    }
    let old: BTreeSet<&RoleName> = delegations(before).map(|old| &old.name).collect();
    for (path, target) in &after.targets {
        let stays = before.is_some_and(|before| before.targets.get(path) == Some(target));
        let digest = Ring.sha256(path.as_bytes());
        let covers = |d: &&Delegation| d.covers(path, &digest) && !(stays && old.contains(&d.name));
        if let Some(product) = delegations(Some(after)).find(covers) {
            let what = format!("targets would list {path} itself, in the place of {}", product.name);
            return Err(ProposalError::refused(what, "a product's targets are listed by its own role"));
        }
    }
    Ok(())
}

/// New targets lie where their role may vouch for them, and their files are there with the right length.
fn targets(
    standing: &Standing<'_>,
    role: &RoleName,
    before: Option<&Targets>,
    after: &Targets,
    brought: &mut BTreeSet<String>,
) -> Result<(), ProposalError> {
    let roles = standing.roles();
    let delegation = delegator_of(role, |name| roles.get(name).copied())
        .and_then(|d| d.roles.iter().flatten().find(|delegation| delegation.name == *role));
    if role.as_str() == TopRole::Targets.as_str() {
        leaves_products_alone(before, after)?;
    }
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
