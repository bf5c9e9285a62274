//! Entries of the audit that somebody looks for: of a time, an actor or a kind. It changes nothing, and checks no chain.

use super::{Entry, PAGE, entry};
use crate::store::{Pair, Space, Store, StoreError};
use perennial_schemas::Timestamp;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before then.
    pub since: Option<Timestamp>,
    /// By whom: `command`, `server`, `token:NAME`, or `token` for all of them.
    pub actor: Option<String>,
    /// What: `device.revoked`, or `device` for all that was done to devices.
    pub action: Option<String>,
}

/// Up to `limit` entries after number `after`.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn entries(store: &dyn Store, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
    first(store, &Filter::default(), after, limit)
}

/// The first `limit` of the entries that are wanted after number `after`.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn first(store: &dyn Store, filter: &Filter, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
    let mut after = after.to_be_bytes().to_vec();
    gather(filter, limit, || {
        let page = store.scan(Space::Audit, Some(&after), PAGE.min(limit.max(1)))?;
        if let Some((key, _)) = page.last() {
            after.clone_from(key);
        }
        Ok(page)
    })
}

/// The newest `limit` of the entries that are wanted, of those before number `before`; in the order in which they were made.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn newest(
    store: &dyn Store,
    filter: &Filter,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let mut before = before.map(|before| before.to_be_bytes().to_vec());
    let mut found = gather(filter, limit, || {
        let page = store.scan_back(Space::Audit, b"", before.as_deref(), PAGE.min(limit.max(1)))?;
        if let Some((key, _)) = page.last() {
            before = Some(key.clone());
        }
        Ok(page)
    })?;
    found.reverse();
    Ok(found)
}

fn gather(
    filter: &Filter,
    limit: usize,
    mut page: impl FnMut() -> Result<Vec<Pair>, StoreError>,
) -> Result<Vec<Entry>, StoreError> {
    let mut found = Vec::new();
    loop {
        let pairs = page()?;
        if pairs.is_empty() {
            return Ok(found);
        }
        for (key, value) in pairs {
            if found.len() == limit {
                return Ok(found);
            }
            let entry = entry(&key, &value)?;
            if filter.takes(&entry) {
                found.push(entry);
            }
        }
    }
}

impl Filter {
    /// Clocks may go back, so every entry is looked at.
    fn takes(&self, entry: &Entry) -> bool {
        let is = |text: &str, wanted: &Option<String>, end: char| {
            wanted.as_deref().is_none_or(|wanted| {
                text.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(end))
            })
        };
        self.since.is_none_or(|since| entry.at >= since)
            && is(&entry.actor, &self.actor, ':')
            && is(&entry.action, &self.action, '.')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, record};
    use crate::store::{Batch, FjallStore, Settings};

    #[test]
    fn entries_are_found_by_time_actor_and_kind_from_either_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        let actions = ["device.revoked", "device.lifted", "devices.odd", "token.created"];
        for number in 0..3_000_i64 {
            let actor = ["command", "token:ci", "token:cis"][number as usize % 3];
            let action = actions[number as usize % 4];
            let event = Event::new(Timestamp::from_unix(number), actor, action, &[]);
            store.commit(record(&store, Batch::new(), event).unwrap()).unwrap();
        }
        let numbers = |found: Vec<Entry>| found.iter().map(|entry| entry.sequence).collect::<Vec<_>>();
        let all = Filter::default();
        assert_eq!(numbers(first(&store, &all, 2_998, 10).unwrap()), [2_999, 3_000]);
        assert_eq!(numbers(newest(&store, &all, None, 2).unwrap()), [2_999, 3_000]);
        assert_eq!(numbers(newest(&store, &all, Some(3), 10).unwrap()), [1, 2]);
        assert_eq!(newest(&store, &all, None, 0).unwrap(), []);
        let count = |filter: &Filter| first(&store, filter, 0, 10_000).unwrap().len();
        let actor = |actor: &str| Filter { actor: Some(actor.into()), ..Filter::default() };
        let kind = |kind: &str| Filter { action: Some(kind.into()), ..Filter::default() };
        assert_eq!(
            [count(&actor("token")), count(&actor("token:ci")), count(&actor("tok"))],
            [2_000, 1_000, 0]
        );
        assert_eq!(
            [count(&kind("device")), count(&kind("device.lifted")), count(&kind("odd"))],
            [1_500, 750, 0]
        );
        let late = Filter { since: Some(Timestamp::from_unix(2_990)), ..kind("token") };
        assert_eq!(numbers(first(&store, &late, 0, 10).unwrap()), [2_992, 2_996, 3_000]);
        assert_eq!(numbers(newest(&store, &late, Some(3_000), 1).unwrap()), [2_996]);
    }
}
