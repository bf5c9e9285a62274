//! Other keys: added, removed, replaced, and how many of them must sign; for the root's roles and for products' teams.
//!
//! Every role whose published file its changed keys no longer vouch for is signed anew in the same proposal, so that
//! nothing is left behind that devices would refuse.

use std::collections::BTreeSet;

use perennial_schemas::key_file::KeyFile;
use perennial_schemas::tuf::{Delegation, Root, Targets, TopRole};
use perennial_schemas::{KeyId, RoleName, Timestamp};

use super::init::remember;
use crate::keys::Labels;
use crate::proposal::{Kind, Proposal, ProposalBuilder, ProposalError};
use crate::repository::{Published, Repository, top};

/// A change of keys.
#[derive(Debug, Clone)]
pub enum Change {
    /// More keys for one role.
    Add {
        /// A role of the root, or a product.
        role: RoleName,
        /// The keys.
        keys: Vec<KeyFile>,
        /// How many must sign from then on; none: as before.
        threshold: Option<u32>,
    },
    /// A key leaves one role, or all of them.
    Remove {
        /// A role of the root, or a product; none: every role that has the key.
        role: Option<RoleName>,
        /// The key.
        key: KeyId,
        /// How many must sign from then on; none: as before.
        threshold: Option<u32>,
    },
    /// How many keys of a role must sign.
    Threshold {
        /// A role of the root, or a product.
        role: RoleName,
        /// How many.
        threshold: u32,
    },
    /// A key is replaced by another wherever it stands.
    Replace {
        /// The key that leaves.
        old: KeyId,
        /// The key that comes.
        new: Box<KeyFile>,
    },
}

/// Proposes a change of keys.
///
/// # Errors
/// [`ProposalError`] where there is no such role or key, where nothing would change, or where fewer keys would be left
/// than must sign.
pub fn propose(
    repository: &Repository,
    change: &Change,
    labels: &Labels,
    now: Timestamp,
) -> Result<Proposal, ProposalError> {
    let published = repository.published()?;
    let new_keys: &[KeyFile] = match change {
        Change::Add { keys, .. } => keys,
        Change::Replace { new, .. } => std::slice::from_ref(new),
        _ => &[],
    };
    let (subject, summary) = describe(change, labels);
    let mut builder = ProposalBuilder::new(repository, Kind::Root, &subject, &summary, now);
    let mut changed = 0;
    for role in TopRole::ALL.map(top) {
        let Some(old) = published.root.value().roles.get(role.as_str()) else { continue };
        let Some(new) = changed_keys(change, &role, &old.keyids, old.threshold)? else { continue };
        builder.edit_root(|root| apply_to_root(root, &role, new, new_keys))?;
        changed += 1;
    }
    for team in teams(published) {
        let Some(new) = changed_keys(change, &team.name, &team.keyids, team.threshold)? else { continue };
        let targets = top(TopRole::Targets);
        builder.edit_role(&targets, |targets| apply_to_team(targets, &team.name, new, new_keys))?;
        changed += 1;
    }
    if changed == 0 {
        return Err(nothing(change, published, labels));
    }
    let proposal = builder.write()?;
    remember(repository, new_keys)?;
    Ok(proposal)
}

/// The key that a person means: a label, or the beginning of a key id of at least 6 characters.
///
/// # Errors
/// [`ProposalError`] where none or several fit.
pub fn find_key(repository: &Repository, labels: &Labels, wanted: &str) -> Result<KeyId, ProposalError> {
    let published = repository.published()?;
    let of_root = published.root.value().roles.values().flat_map(|role| &role.keyids);
    let of_teams = teams(published).flat_map(|team| &team.keyids);
    let ids: BTreeSet<&KeyId> = of_root.chain(of_teams).collect();
    let fits = |id: &KeyId| {
        let beginning = wanted.len() >= 6 && id.as_str().starts_with(wanted);
        beginning || labels.label(id) == wanted
    };
    let fitting: Vec<&&KeyId> = ids.iter().filter(|id| fits(id)).collect();
    match fitting.as_slice() {
        [id] => Ok((**id).clone()),
        [] => Err(ProposalError::refused(
            format!("no role has a key {wanted:?}"),
            "give a label, or the beginning of a key id (6 characters or more); root show lists them",
        )),
        _ => Err(ProposalError::refused(
            format!("several keys are called {wanted:?}"),
            "give more of the key id; root show lists them",
        )),
    }
}

fn teams(published: &Published) -> impl Iterator<Item = &Delegation> {
    let delegations = published.targets().and_then(|targets| targets.value().delegations.as_ref());
    delegations.into_iter().flat_map(|delegations| delegations.roles.iter().flatten())
}

type KeyIds = (Vec<KeyId>, u32);

/// A role's keys after the change; `None` where it stays as it is.
fn changed_keys(
    change: &Change,
    role: &RoleName,
    old: &[KeyId],
    old_threshold: u32,
) -> Result<Option<KeyIds>, ProposalError> {
    let mut ids = old.to_vec();
    let mut threshold = old_threshold;
    match change {
        Change::Add { role: wanted, keys, threshold: new } if wanted == role => {
            ids.extend(keys.iter().map(|key| key.keyid.clone()).filter(|id| !old.contains(id)));
            threshold = new.unwrap_or(threshold);
        }
        Change::Remove { role: wanted, key, threshold: new }
            if wanted.as_ref().is_none_or(|wanted| wanted == role) =>
        {
            ids.retain(|id| id != key);
            if ids.len() < old.len() {
                threshold = new.unwrap_or(threshold);
            }
        }
        Change::Threshold { role: wanted, threshold: new } if wanted == role => threshold = *new,
        Change::Replace { old, new } if ids.contains(old) => {
            ids.retain(|id| id != old && *id != new.keyid);
            ids.push(new.keyid.clone());
        }
        _ => {}
    }
    if ids == old && threshold == old_threshold {
        return Ok(None);
    }
    if threshold == 0 || ids.len() < threshold as usize {
        let hint = match change {
            Change::Threshold { .. } => format!("choose a threshold from 1 to {}", ids.len()),
            _ if ids.is_empty() => format!("add another key first: root add-key --role {role}"),
            _ => format!("add another key first, or give --threshold from 1 to {}", ids.len()),
        };
        return Err(ProposalError::refused(
            format!("{role} would have {} key(s), of which {threshold} must sign", ids.len()),
            hint,
        ));
    }
    Ok(Some((ids, threshold)))
}

fn apply_to_root(root: &mut Root, role: &RoleName, (keyids, threshold): KeyIds, new: &[KeyFile]) {
    if let Some(keys) = root.roles.get_mut(role.as_str()) {
        (keys.keyids, keys.threshold) = (keyids, threshold);
    }
    root.keys.extend(new.iter().map(|file| (file.keyid.clone(), file.key.clone())));
    let roles = &root.roles;
    root.keys.retain(|id, _| roles.values().any(|role| role.keyids.contains(id)));
}

fn apply_to_team(targets: &mut Targets, role: &RoleName, (keyids, threshold): KeyIds, new: &[KeyFile]) {
    let Some(delegations) = &mut targets.delegations else { return };
    let roles = delegations.roles.get_or_insert_default();
    if let Some(team) = roles.iter_mut().find(|team| team.name == *role) {
        (team.keyids, team.threshold) = (keyids, threshold);
    }
    delegations.keys.extend(new.iter().map(|file| (file.keyid.clone(), file.key.clone())));
    let roles = delegations.roles.as_deref().unwrap_or_default();
    delegations.keys.retain(|id, _| roles.iter().any(|team| team.keyids.contains(id)));
}

fn describe(change: &Change, labels: &Labels) -> (String, String) {
    match change {
        Change::Add { role, keys, .. } => {
            let names: Vec<&str> = keys.iter().map(|key| key.label.as_str()).collect();
            ("add-key".into(), format!("Let {} sign for {role}", names.join(" and ")))
        }
        Change::Remove { role: Some(role), key, .. } => {
            ("remove-key".into(), format!("Take {} out of {role}", labels.name(key)))
        }
        Change::Remove { key, .. } => {
            ("remove-key".into(), format!("Take {} out of every role", labels.name(key)))
        }
        Change::Threshold { role, threshold } => {
            ("threshold".into(), format!("Have {threshold} key(s) sign for {role}"))
        }
        Change::Replace { old, new } => {
            ("rotate".into(), format!("Replace {} by {}", labels.name(old), new.label))
        }
    }
}

fn nothing(change: &Change, published: &Published, labels: &Labels) -> ProposalError {
    let wanted = match change {
        Change::Add { role, .. }
        | Change::Threshold { role, .. }
        | Change::Remove { role: Some(role), .. } => role,
        Change::Remove { key, .. } | Change::Replace { old: key, .. } => {
            let what = format!("no role has {}", labels.name(key));
            return ProposalError::refused(what, "root show lists the keys of every role");
        }
    };
    let known = published.root.value().roles.contains_key(wanted.as_str())
        || teams(published).any(|team| team.name == *wanted);
    if known {
        ProposalError::refused("this would change nothing", "root show lists the keys of every role")
    } else {
        let hint = "it is root, targets, snapshot, timestamp or a product; root show lists them";
        ProposalError::refused(format!("there is no role {wanted}"), hint)
    }
}
