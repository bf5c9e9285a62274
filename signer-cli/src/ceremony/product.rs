//! A product: its team, and its first support record.

use std::collections::BTreeMap;

use perennial_schemas::support::{Support, VulnerabilityContact};
use perennial_schemas::tuf::{Delegation, Delegations, Extra, KeyMap, Targets, TopRole};
use perennial_schemas::{ProductName, RoleName, Timestamp};

use super::Holders;
use super::init::remember;
use crate::proposal::{
    Kind, Proposal, ProposalBuilder, ProposalError, adding, no_product, published_support,
};
use crate::repository::{Repository, bins, top};
use crate::support::details::Details;
use crate::support::draft::put_record;
use crate::support::promise::Terms;
use crate::terminal::shell_word;

/// Proposes a new product: targets under `NAME/` belong to its team, and its first promise. A product that was imported
/// without a promise gets its first one, and keeps its team unless there is another; any other without a team belongs to
/// the targets role's keys.
///
/// # Errors
/// [`ProposalError`] where there is such a product already, with a promise, or an open proposal adds it.
pub fn add(
    repository: &Repository,
    name: &ProductName,
    terms: &Terms,
    contact: VulnerabilityContact,
    details: Details,
    team: Option<&Holders>,
    now: Timestamp,
) -> Result<Proposal, ProposalError> {
    let role = RoleName::from(name);
    let imported = repository.published()?.role(&role).is_some();
    if imported && published_support(repository, &role)?.is_some() {
        let hint =
            format!("support extend {name} makes its support longer, product team {name} changes its team");
        return Err(ProposalError::refused(format!("there is a product {name} already"), hint));
    }
    if let Some(Proposal { id, dir, .. }) = adding(repository, &role)? {
        let dir = shell_word(&dir.display().to_string());
        return Err(ProposalError::refused(
            format!("the proposal {id}, which adds {name}, exists already"),
            format!(
                "go on with that one: perennial-signer sign {id} --key FILE; or remove its folder first: rm -r {dir}"
            ),
        ));
    }
    let mut record = Support::new(name.clone(), terms.promise(now)?, contact);
    (record.maker, record.model, record.aftercare) = (details.maker, details.model, details.aftercare);
    let record = record.seal();
    let summary = format!("Add the product {name}, supported until {}", terms.until);
    let mut builder = ProposalBuilder::new(repository, Kind::ProductAdd, name.as_str(), &summary, now);
    let team = match team {
        None if !imported => Some(Holders::of_targets(repository, None)?),
        team => team.cloned(),
    };
    if !imported {
        builder.new_role(&role);
    }
    put_record(&mut builder, &role, &record, None)?;
    if let Some(team) = &team {
        delegate(&mut builder, &role, team)?;
    }
    let proposal = builder.write()?;
    remember(repository, team.as_ref().map_or(&[], |team| &team.keys))?;
    Ok(proposal)
}

/// Proposes another team for a product: what it published stays, signed anew by the new team.
///
/// # Errors
/// [`ProposalError`]
pub fn team(
    repository: &Repository,
    name: &ProductName,
    team: &Holders,
    now: Timestamp,
) -> Result<Proposal, ProposalError> {
    let role = known(repository, name)?;
    let summary = format!("Hand {name} over to another team");
    let mut builder = ProposalBuilder::new(repository, Kind::ProductTeam, name.as_str(), &summary, now);
    delegate(&mut builder, &role, team)?;
    let proposal = builder.write()?;
    remember(repository, &team.keys)?;
    Ok(proposal)
}

/// Proposes to spread the files of a product's releases over hashed bins, so that devices load a part of a long list.
/// What is published stays, under the same names.
///
/// # Errors
/// [`ProposalError`] where the product has bins, or delegates to other roles.
pub fn split(repository: &Repository, name: &ProductName, now: Timestamp) -> Result<Proposal, ProposalError> {
    let role = known(repository, name)?;
    let published = repository.published()?;
    let own = published.role(&role).map(|file| file.value());
    if own.is_some_and(|own| bins::are_in(name, own)) {
        return Err(ProposalError::refused(format!("{name} has bins already"), "nothing has to be done"));
    }
    if own.is_some_and(|own| own.delegations.is_some()) {
        let what = format!("{name} delegates to roles of its own, which bins can't stand beside");
        return Err(ProposalError::refused(what, "make the next model a product of its own"));
    }
    let delegations = published.targets().and_then(|targets| bins::delegations(name, targets.value()));
    let delegations = delegations.ok_or_else(|| no_product(repository, &role))?;
    let summary = format!("Spread the files of {name} over {} bins", bins::BINS);
    let mut builder = ProposalBuilder::new(repository, Kind::ProductBins, name.as_str(), &summary, now);
    builder.edit_role(&role, |own| own.delegations = Some(delegations))?;
    builder.write()
}

/// The role of a product that is published.
///
/// # Errors
/// [`ProposalError`] where there is none.
pub fn known(repository: &Repository, name: &ProductName) -> Result<RoleName, ProposalError> {
    let role = RoleName::from(name);
    match repository.published()?.role(&role) {
        Some(_) => Ok(role),
        None => Err(no_product(repository, &role)),
    }
}

/// Delegates `NAME/*` to a team: terminating, and disjoint from every other product's by its name.
fn delegate(builder: &mut ProposalBuilder<'_>, role: &RoleName, team: &Holders) -> Result<(), ProposalError> {
    let delegation = Delegation {
        name: role.clone(),
        keyids: team.keyids(),
        threshold: team.threshold,
        terminating: true,
        paths: Some(vec![format!("{role}/*")]),
        path_hash_prefixes: None,
        extra: Extra::new(),
    };
    builder.edit_role(&top(TopRole::Targets), |targets| place(targets, delegation, team))
}

fn place(targets: &mut Targets, delegation: Delegation, team: &Holders) {
    let empty = || Delegations {
        keys: KeyMap::new(),
        roles: Some(Vec::new()),
        succinct_roles: None,
        extra: BTreeMap::new(),
    };
    let delegations = targets.delegations.get_or_insert_with(empty);
    delegations.keys.extend(team.keys.iter().map(|file| (file.keyid.clone(), file.key.clone())));
    let roles = delegations.roles.get_or_insert_default();
    match roles.iter_mut().find(|role| role.name == delegation.name) {
        Some(role) => *role = delegation,
        None => roles.push(delegation),
    }
    let roles = delegations.roles.as_deref().unwrap_or_default();
    let keys = &mut delegations.keys;
    keys.retain(|id, _| roles.iter().any(|role| role.keyids.contains(id)));
}
