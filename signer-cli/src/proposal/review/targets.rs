//! What would change in a targets role: targets, delegations, and what the small files among them say.

use std::collections::BTreeMap;

use perennial_schemas::RoleName;
use perennial_schemas::channel::Channel;
use perennial_schemas::release::Release;
use perennial_schemas::support::Support;
use perennial_schemas::tuf::{Delegation, Delegations, TargetFile, Targets};

use super::{Item, TargetState};
use crate::keys::Labels;
use crate::plain;
use crate::proposal::rules::{published_support, read};
use crate::proposal::{ProposalError, Standing};

pub(super) fn items(
    standing: &Standing<'_>,
    role: &RoleName,
    before: Option<&Targets>,
    after: &Targets,
    labels: &Labels,
) -> Result<Vec<Item>, ProposalError> {
    let mut items = teams(before.and_then(|b| b.delegations.as_ref()), after.delegations.as_ref(), labels);
    let none = BTreeMap::new();
    let old = before.map_or(&none, |before| &before.targets);
    for (path, target) in &after.targets {
        if old.get(path) == Some(target) {
            continue;
        }
        let (before, after) = (old.get(path).map(state), Some(state(target)));
        items.push(Item::Target { path: path.clone(), before, after });
        items.extend(meaning(standing, role, path, old.get(path), target)?);
    }
    for (path, target) in old.iter().filter(|(path, _)| !after.targets.contains_key(*path)) {
        items.push(Item::Target { path: path.clone(), before: Some(state(target)), after: None });
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
) -> Result<Vec<Item>, ProposalError> {
    if path == format!("{role}/support.json") {
        let before = published_support(standing.repository, role)?.map(|(record, _)| record);
        let record = read::<Support>(Some(standing.proposal), standing.repository, path, target)?;
        return Ok(record.map(|record| support(&record, before.as_ref())).into_iter().collect());
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

fn support(record: &Support, before: Option<&Support>) -> Item {
    let until = record.guaranteed_until();
    Item::Support {
        before: before.map(Support::guaranteed_until),
        until,
        sentence: crate::ceremony::support_sentence(record),
        reason: record.promises.last().map(|promise| promise.reason.clone()).unwrap_or_default(),
        contacts: record.contact.contacts.clone(),
    }
}

fn teams(before: Option<&Delegations>, after: Option<&Delegations>, labels: &Labels) -> Vec<Item> {
    let roles = |delegations: Option<&Delegations>| -> BTreeMap<RoleName, Delegation> {
        let roles = delegations.into_iter().flat_map(|d| d.roles.iter().flatten());
        roles.map(|role| (role.name.clone(), role.clone())).collect()
    };
    let (old, new) = (roles(before), roles(after));
    let mut items = Vec::new();
    for (name, delegation) in &new {
        let was = old.get(name);
        if was == Some(delegation) {
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
