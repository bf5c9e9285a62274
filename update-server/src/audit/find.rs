//! Entries of the audit that somebody looks for: of a time, an actor or a kind. It changes nothing, and checks no chain.

use super::{Entry, PAGE, entry, number};
use crate::store::{Pair, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Entries that are looked at for one answer: some ten milliseconds' work, whoever asks for what there isn't.
const LOOKED: usize = 10 * PAGE;

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before then.
    pub since: Option<Timestamp>,
    /// By whom: `command`, `server`, `token:NAME`, or `token` for all of them.
    pub actor: Option<String>,
    /// What: `device.revoked`, or `device` for all that was done to devices.
    pub action: Option<String>,
}

/// What was found of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Entries)]
pub struct Found {
    /// In the order in which they were made.
    pub entries: Vec<Entry>,
    /// Where there may be more: the number to go on after; of the newest, before.
    pub next: Option<u64>,
}

/// Up to `limit` entries after number `after`.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn entries(store: &dyn Store, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
    first(store, &Filter::default(), after, limit).map(|found| found.entries)
}

/// The first `limit` of the entries that are wanted after number `after`, among `LOOKED`.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn first(store: &dyn Store, filter: &Filter, after: u64, limit: usize) -> Result<Found, StoreError> {
    let mut after = after.to_be_bytes().to_vec();
    gather(filter, limit, |size| {
        let page = store.scan(Space::Audit, Some(&after), size)?;
        if let Some((key, _)) = page.last() {
            after.clone_from(key);
        }
        Ok(page)
    })
}

/// The newest `limit` of the entries that are wanted, of those before number `before`, among `LOOKED`.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn newest(
    store: &dyn Store,
    filter: &Filter,
    before: Option<u64>,
    limit: usize,
) -> Result<Found, StoreError> {
    let mut before = before.map(|before| before.to_be_bytes().to_vec());
    let mut found = gather(filter, limit, |size| {
        let page = store.scan_back(Space::Audit, b"", before.as_deref(), size)?;
        if let Some((key, _)) = page.last() {
            before = Some(key.clone());
        }
        Ok(page)
    })?;
    found.entries.reverse();
    Ok(found)
}

fn gather(
    filter: &Filter,
    limit: usize,
    mut page: impl FnMut(usize) -> Result<Vec<Pair>, StoreError>,
) -> Result<Found, StoreError> {
    // Where every entry is wanted, no more are read.
    let size = if *filter == Filter::default() { limit.clamp(1, PAGE) } else { PAGE };
    let (mut found, mut looked) = (Found::default(), 0);
    while found.entries.len() < limit {
        let pairs = page(size)?;
        let whole = pairs.len() < size;
        for (key, value) in pairs {
            let entry = entry(&key, &value)?;
            looked += 1;
            if filter.takes(&entry) {
                found.entries.push(entry);
            }
            if found.entries.len() == limit || looked == LOOKED {
                found.next = Some(number(&key)?);
                return Ok(found);
            }
        }
        if whole {
            break;
        }
    }
    Ok(found)
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
    use crate::audit::{Event, GENESIS, record};
    use crate::store::{Batch, FjallStore, Settings};
    use perennial_schemas::signed::canonical_of;

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
        let numbers = |found: Found| found.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>();
        let all = Filter::default();
        assert_eq!(numbers(first(&store, &all, 2_998, 10).unwrap()), [2_999, 3_000]);
        assert_eq!(numbers(newest(&store, &all, None, 2).unwrap()), [2_999, 3_000]);
        assert_eq!(numbers(newest(&store, &all, Some(3), 10).unwrap()), [1, 2]);
        assert_eq!(newest(&store, &all, None, 0).unwrap(), Found::default());
        let count = |filter: &Filter| first(&store, filter, 0, 10_000).unwrap().entries.len();
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
    /// Looks for the first of a kind after `after` among 12,000 entries of which one is of it, and counts pages.
    fn look(after: u64, limit: usize, action: Option<&str>) -> (Found, usize) {
        let (mut after, mut pages) = (after, 0);
        let pair = |sequence: u64| {
            let action = if sequence == 11_000 { "device.revoked" } else { "token.created" };
            let (at, actor, action) = (Timestamp::EPOCH, "command".into(), action.into());
            let (detail, previous) = (Default::default(), GENESIS);
            let entry = Entry { sequence, at, actor, action, detail, previous };
            (sequence.to_be_bytes().to_vec(), canonical_of(&entry).unwrap())
        };
        let filter = Filter { action: action.map(str::to_owned), ..Filter::default() };
        let found = gather(&filter, limit, |size| {
            pages += 1;
            let page = (after + 1..=12_000).take(size).map(pair).collect::<Vec<_>>();
            after += page.len() as u64;
            Ok(page)
        });
        (found.unwrap(), pages)
    }

    #[test]
    fn whoever_looks_for_little_reads_whole_pages_and_goes_on_after_so_many_entries() {
        let revoked = Some("device.revoked");
        let (found, pages) = look(0, 1, revoked);
        assert_eq!((found, pages), (Found { entries: vec![], next: Some(10_000) }, 10));
        let (found, pages) = look(10_000, 1, revoked);
        assert_eq!((found.entries[0].sequence, found.next, pages), (11_000, Some(11_000), 1));
        let (found, pages) = look(11_000, 1, revoked);
        assert_eq!((found, pages), (Found::default(), 2));
        // Where everything is wanted, no more is read.
        let (found, pages) = look(0, 3, None);
        assert_eq!((found.entries.len(), found.next, pages), (3, Some(3), 1));
    }
}
