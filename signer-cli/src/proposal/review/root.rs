//! What would change in the root: keys and thresholds of each role, and promises taken back.

use std::collections::BTreeSet;

use perennial_schemas::KeyId;
use perennial_schemas::tuf::{RoleKeys, Root};

use super::Item;
use crate::keys::Labels;

pub(super) fn items(before: Option<&Root>, after: &Root, labels: &Labels) -> Vec<Item> {
    let mut items = Vec::new();
    for (role, keys) in &after.roles {
        let old = before.and_then(|before| before.roles.get(role));
        if old.is_none() {
            items.push(Item::RoleKeys {
                role: role.clone(),
                threshold: keys.threshold,
                keys: keys.keyids.iter().map(|id| labels.name(id)).collect(),
            });
            continue;
        }
        let (now, then) = (ids(Some(keys)), ids(old));
        for id in now.difference(&then) {
            items.push(Item::KeyAdded { role: role.clone(), key: labels.name(id) });
        }
        for id in then.difference(&now) {
            items.push(Item::KeyRemoved { role: role.clone(), key: labels.name(id) });
        }
        let from = old.map(|old| old.threshold);
        if from != Some(keys.threshold) || then.len() != now.len() {
            items.push(Item::Threshold { role: role.clone(), from, to: keys.threshold, keys: now.len() });
        }
    }
    let known = before.map_or(0, |before| before.annulments.len());
    items.extend(after.annulments.iter().skip(known).map(|annulment| Item::Annulment {
        product: annulment.product.clone(),
        promise: annulment.promise,
        until: annulment.guaranteed_until,
        reason: annulment.reason.clone(),
    }));
    items
}

fn ids(keys: Option<&RoleKeys>) -> BTreeSet<&KeyId> {
    keys.into_iter().flat_map(|keys| &keys.keyids).collect()
}
