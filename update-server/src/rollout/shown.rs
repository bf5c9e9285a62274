//! Which of the statuses that were signed are shown: to devices, and in an export.

use super::record::{self, Record, State};
use super::status::{expires, is_overtaken};
use super::watched::is_heard;
use crate::store::{Store, StoreError};
use perennial_schemas::Timestamp;
use perennial_schemas::rollout::RolloutStatus;
use std::collections::BTreeMap;

/// A status is served for as long as it is valid: also that of a release that is withdrawn, so that a device which hasn't heard
/// of that yet is held. Not one that lets devices go on with what was stopped since: without any they wait.
pub(super) fn is_shown(record: &Record, now: Timestamp) -> bool {
    is_heard(record, now) && !is_overtaken(record)
}

/// The statuses for an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statuses {
    /// Those that count, by their path beside `metadata/` and `targets/`.
    pub current: BTreeMap<String, String>,
    /// Since when others don't count any more, by that path, of rollouts that aren't withdrawn: nobody looked after them since.
    pub expired: BTreeMap<String, Timestamp>,
}

/// The statuses as of `now`. A record that can't be read has none.
///
/// # Errors
/// [`StoreError`]
pub fn statuses(store: &dyn Store, now: Timestamp) -> Result<Statuses, StoreError> {
    let whole = record::all(store)?.whole;
    let mut records: Vec<Record> = whole.into_values().map(|(record, _)| record).collect();
    records.sort_by_key(|record| record.state != State::Withdrawn);
    let mut statuses = Statuses::default();
    for record in records {
        let path = RolloutStatus::path(&record.product, &record.version);
        let expires = expires(&record);
        if is_shown(&record, now) {
            statuses.expired.remove(&path);
            statuses.current.insert(path, record.status);
        } else if let Some(expired) = expires.filter(|at| *at <= now && record.state != State::Withdrawn)
            && !statuses.current.contains_key(&path)
        {
            statuses.expired.insert(path, expired);
        }
    }
    Ok(statuses)
}
