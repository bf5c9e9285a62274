//! A product: its team, and its support promise.

use std::collections::BTreeMap;
use std::path::Path;

use perennial_schemas::document::Document as _;
use perennial_schemas::limits::SUPPORT_LENGTH;
use perennial_schemas::signed::to_text;
use perennial_schemas::support::{Promise, Support, VulnerabilityContact};
use perennial_schemas::tuf::{Delegation, Delegations, Extra, KeyMap, Targets, TopRole};
use perennial_schemas::{Date, FormatError, ProductName, RoleName, Timestamp};

use super::Holders;
use super::init::remember;
use crate::files;
use crate::proposal::{Content, Kind, Proposal, ProposalBuilder, ProposalError, published_support};
use crate::repository::{Repository, RepositoryError, bins, top};

/// What a maker promises.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The last day on which security updates are promised.
    pub until: Date,
    /// Why this date.
    pub reason: String,
}

/// Reads a contact file: TOML with `contacts`, `acknowledgement_days`, `status_update_days` and perhaps `policy`, or
/// the same as JSON.
///
/// # Errors
/// [`ProposalError`] where it is malformed.
pub fn read_contact(path: &Path) -> Result<VulnerabilityContact, ProposalError> {
    let bytes = files::read(path, SUPPORT_LENGTH)?;
    let malformed = |why: String| ProposalError::Malformed {
        path: path.into(),
        source: FormatError::shape("contact file", why),
    };
    let text = String::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
    let contact: VulnerabilityContact = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?
    } else {
        toml::from_str(&text).map_err(|e| malformed(e.message().into()))?
    };
    contact.validate().map_err(|source| ProposalError::Malformed { path: path.into(), source })?;
    Ok(contact)
}

/// Proposes a new product: targets under `NAME/` belong to its team, and its first promise. A product that was imported
/// without a promise gets its first one, and keeps its team unless there is another; any other without a team belongs to
/// the targets role's keys.
///
/// # Errors
/// [`ProposalError`] where there is such a product already, with a promise.
pub fn add(
    repository: &Repository,
    name: &ProductName,
    terms: &Terms,
    contact: VulnerabilityContact,
    team: Option<&Holders>,
    now: Timestamp,
) -> Result<Proposal, ProposalError> {
    let role = RoleName::from(name);
    let imported = repository.published()?.role(&role).is_some();
    if imported && published_support(repository, &role)?.is_some() {
        let hint =
            format!("product extend {name} makes its support longer, product team {name} changes its team");
        return Err(ProposalError::refused(format!("there is a product {name} already"), hint));
    }
    let record = Support::new(name.clone(), promise(terms, now), contact);
    let summary = format!("Add the product {name}, supported until {}", terms.until);
    let mut builder = ProposalBuilder::new(repository, Kind::ProductAdd, name.as_str(), &summary, now);
    let team = match team {
        None if !imported => Some(Holders::of_targets(repository, None)?),
        team => team.cloned(),
    };
    if !imported {
        builder.new_role(&role);
    }
    put_support(&mut builder, &role, &record)?;
    if let Some(team) = &team {
        delegate(&mut builder, &role, team)?;
    }
    let proposal = builder.write()?;
    remember(repository, team.as_ref().map_or(&[], |team| &team.keys))?;
    Ok(proposal)
}

/// Proposes a longer promise for a product.
///
/// # Errors
/// [`ProposalError`]; an earlier date is refused.
pub fn extend(
    repository: &Repository,
    name: &ProductName,
    terms: &Terms,
    contact: Option<VulnerabilityContact>,
    now: Timestamp,
) -> Result<Proposal, ProposalError> {
    let role = known(repository, name)?;
    let (before, digest) = published_support(repository, &role)?.ok_or_else(|| {
        ProposalError::refused(
            format!("{name} has no support record"),
            "it was imported: add it with product add",
        )
    })?;
    let mut record = before.successor(digest, now);
    record.promises.push(promise(terms, now));
    record.contact = contact.unwrap_or(record.contact);
    record
        .may_follow(&before, &before.annulled)
        .map_err(|source| ProposalError::Support { product: name.to_string(), source })?;
    let summary = format!("Extend the support of {name} until {}", terms.until);
    let mut builder = ProposalBuilder::new(repository, Kind::ProductExtend, name.as_str(), &summary, now);
    put_support(&mut builder, &role, &record)?;
    builder.write()
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
    let delegations = delegations.ok_or_else(|| RepositoryError::NoProduct(name.to_string()))?;
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
        None => Err(RepositoryError::NoProduct(name.to_string()).into()),
    }
}

fn promise(terms: &Terms, now: Timestamp) -> Promise {
    Promise::new(now, terms.until, &terms.reason)
}

fn put_support(
    builder: &mut ProposalBuilder<'_>,
    role: &RoleName,
    record: &Support,
) -> Result<(), ProposalError> {
    record.validate()?;
    let text = to_text(record)?;
    builder.put_target(role, &Support::path(&record.product)?, Content::Bytes(text))
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
