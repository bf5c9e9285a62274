//! What would change in a targets role: targets, delegations, and what the small files among them say.

use std::collections::{BTreeMap, BTreeSet};

use perennial_schemas::channel::Channel;
use perennial_schemas::release::Release;
use perennial_schemas::support::Support;
use perennial_schemas::tuf::{Delegation, Delegations, TargetFile, Targets};
use perennial_schemas::{RoleName, Timestamp};

use super::{Item, TargetState, rollouts};
use crate::keys::Labels;
use crate::plain;
use crate::proposal::rules::{Family, published_support, read};
use crate::proposal::{ProposalError, Standing};
use crate::repository::bins;
use crate::support::SupportChange;
use crate::support::show::is_lapsed;

pub(super) fn items(
    standing: &Standing<'_>,
    family: &Family<'_>,
    before: Option<&Targets>,
    after: &Targets,
    labels: &Labels,
    now: Timestamp,
) -> Result<Vec<Item>, ProposalError> {
    let mut items = teams(before.and_then(|b| b.delegations.as_ref()), after.delegations.as_ref(), labels);
    let none = BTreeMap::new();
    let (old, published) = (before.map_or(&none, |before| &before.targets), family.before.as_ref());
    let (mut came, mut went) = (0, 0);
    for (path, target) in &after.targets {
        let before = published.and_then(|published| published.get(path.as_str())).copied();
        if before == Some(target) {
            came += usize::from(!old.contains_key(path));
            continue;
        }
        items.push(Item::Target {
            path: path.clone(),
            before: before.map(state),
            after: Some(state(target)),
        });
        items.extend(meaning(standing, &family.role, path, before, target, now)?);
    }
    for (path, target) in old.iter().filter(|(path, _)| !after.targets.contains_key(*path)) {
        match family.after.get(path.as_str()) {
            Some(same) if *same == target => went += 1,
            // Told where it stands now.
            Some(_) => {}
            None => {
                items.push(Item::Target { path: path.clone(), before: Some(state(target)), after: None });
            }
        }
    }
    items.extend((went > 0).then_some(Item::MovedAway { targets: went }));
    items.extend((came > 0).then_some(Item::MovedHere { targets: came }));
    // Channels stand in the product's own role.
    if after.targets.keys().any(|path| path.ends_with(".channel.json")) {
        let consent = rollouts::consent(standing, family, now)?;
        if consent.is_some() && items.is_empty() {
            items.push(Item::SameContent);
        }
        items.extend(consent);
        items.extend(rollouts::at_once(standing, family, now)?);
    }
    Ok(items)
}

/// What a small file says, for the formats that people must understand before they sign.
fn meaning(
    standing: &Standing<'_>,
    role: &RoleName,
    path: &str,
    before: Option<&TargetFile>,
    target: &TargetFile,
    now: Timestamp,
) -> Result<Vec<Item>, ProposalError> {
    if path == format!("{role}/support.json") {
        let before = published_support(standing.repository, role)?.map(|(record, _)| record);
        let record = read::<Support>(Some(standing.proposal), standing.repository, path, target)?;
        let lapsed = is_lapsed(standing.repository, role, now);
        let change = |record: Support| SupportChange::new(before.as_ref(), &record, now.date(), lapsed);
        return Ok(record.map(|record| Item::Support(Box::new(change(record)))).into_iter().collect());
    }
    let (proposal, repository) = (Some(standing.proposal), standing.repository);
    let channel = |target| read::<Channel>(proposal, repository, path, target);
    let lines = if path.ends_with(".release.json") {
        read::<Release>(proposal, repository, path, target)?.map(|release| plain::release(&release))
    } else if path.ends_with(".channel.json") {
        let before = before.map(channel).transpose()?.flatten();
        channel(target)?.map(|channel| plain::channel(before.as_ref(), &channel))
    } else {
        None
    };
    Ok(lines.into_iter().map(|lines| Item::Note { text: lines.join("\n") }).collect())
}

fn teams(before: Option<&Delegations>, after: Option<&Delegations>, labels: &Labels) -> Vec<Item> {
    let roles = |delegations: Option<&Delegations>| -> BTreeMap<RoleName, Delegation> {
        let roles = delegations.into_iter().flat_map(|d| d.roles.iter().flatten());
        roles.map(|role| (role.name.clone(), role.clone())).collect()
    };
    let (old, new) = (roles(before), roles(after));
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, delegation) in &new {
        let was = old.get(name);
        // All bins of a product have the same team: rules have made sure of it.
        if was == Some(delegation) || bins::owner(name).is_some_and(|product| !seen.insert(product)) {
            continue;
        }
        if let Some(product) = bins::owner(name) {
            items.push(Item::Bins {
                product,
                bins: new.len(),
                new: was.is_none(),
                threshold: delegation.threshold,
                keys: delegation.keyids.iter().map(|id| labels.name(id)).collect(),
            });
            continue;
        }
        items.push(Item::Team {
            role: name.clone(),
            new: was.is_none(),
            paths: delegation.paths.clone().or(delegation.path_hash_prefixes.clone()).unwrap_or_default(),
            threshold: delegation.threshold,
            keys: delegation.keyids.iter().map(|id| labels.name(id)).collect(),
        });
    }
    let gone = old.into_keys().filter(|name| !new.contains_key(name));
    items.extend(gone.map(|role| Item::TeamRemoved { role }));
    items
}

fn state(target: &TargetFile) -> TargetState {
    TargetState { length: target.length, sha256: target.hashes.get("sha256").cloned().unwrap_or_default() }
}
