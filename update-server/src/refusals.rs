//! Bundles that were refused: counted by reason for ever, and each with its words in the audit, within bounds. Whoever
//! holds a token could try without end, so each reason has entries of its own to spend: no flood of harmless failures
//! hides the one attempt that matters. It decides nothing about bundles.

use crate::audit::{self, Event};
use crate::ingest::{IngestError, Reason};
use crate::metrics::Metrics;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_device_core::report::plain;
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use utoipa::ToSchema;

const KEY: &[u8] = b"refused";
/// Entries of one reason that may come at once.
const BURST: i64 = 20;
/// After those one in ten minutes: at 17 reasons and 1 KiB an entry 2.5 MB a day while somebody tries without end.
const SECONDS_EACH: i64 = 600;
/// Characters of an error that are kept; it may quote what the sender wrote.
const WORDS: usize = 300;

/// What was refused so far; kept in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// By the word of the reason.
    pub reasons: BTreeMap<String, Tally>,
    /// The last one that stands in the audit.
    pub last: Option<Last>,
    /// The last one of each reason that stands there, by its word: a harmless one doesn't push out what matters.
    #[serde(default)]
    pub lasts: BTreeMap<String, Last>,
}

/// Refusals for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The last one.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A refusal in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Last {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who tried, as the audit calls them.
    pub actor: String,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub error: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    refused: Refused,
    budgets: BTreeMap<Reason, Budget>,
}

/// How many entries a reason has left.
#[derive(Debug, Clone, Copy)]
struct Budget {
    left: i64,
    since: Timestamp,
    /// Refusals that weren't recorded since the last one that was.
    passed_over: u64,
}

impl Refusals {
    /// What the store knows, shown in the figures.
    pub(crate) fn load(store: &dyn Store, metrics: &Metrics) -> Result<Self, StoreError> {
        let refused = refused(store)?;
        for (reason, word) in Reason::ALL {
            if let Some(tally) = refused.reasons.get(word) {
                metrics.refused(reason, tally.count, tally.at);
            }
        }
        Ok(Self(Mutex::new(Inner { refused, budgets: BTreeMap::new() })))
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> Refused {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }

    /// Counts a refusal, and records it while its reason has entries left.
    pub(crate) fn note(
        &self,
        store: &dyn Store,
        metrics: &Metrics,
        error: &IngestError,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reason = error.reason();
        metrics.refused(reason, 1, now);
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { refused, budgets } = &mut *inner;
        let tally =
            refused.reasons.entry(reason.word().into()).or_insert(Tally { count: 0, at: Timestamp::EPOCH });
        (tally.count, tally.at) = (tally.count + 1, now);
        let budget = budgets.entry(reason).or_insert(Budget { left: BURST, since: now, passed_over: 0 });
        let Some(passed_over) = budget.spend(now) else { return Ok(()) };
        // Whatever the sender wrote into it, a terminal can show it.
        let words = plain(&error.to_string(), WORDS);
        let last = Last { at: now, actor: actor.into(), reason: reason.word().into(), error: words };
        let mut detail = vec![("reason", last.reason.clone()), ("error", last.error.clone())];
        if passed_over > 0 {
            detail.push(("before_this_unrecorded", passed_over.to_string()));
        }
        refused.lasts.insert(reason.word().into(), last.clone());
        refused.last = Some(last);
        let value = serde_json::to_vec(&refused).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let batch = Batch::new().put(Space::Meta, KEY, value);
        audit::commit(store, &batch, &Event::new(now, actor, "bundle.refused", &detail)).map(drop)
    }
}

/// What was refused so far, as the store knows it.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn refused(store: &dyn Store) -> Result<Refused, StoreError> {
    let Some(value) = store.get(Space::Meta, KEY)? else { return Ok(Refused::default()) };
    serde_json::from_slice(&value).map_err(|error| StoreError::Corrupt(format!("meta/refused: {error}")))
}

impl Budget {
    /// Takes an entry, if there is one; the number of refusals that had none before it.
    fn spend(&mut self, now: Timestamp) -> Option<u64> {
        // A clock that goes back gives nothing, and takes nothing.
        let earned = (now.unix() - self.since.unix()).max(0) / SECONDS_EACH;
        self.left = (self.left + earned).min(BURST);
        self.since = self.since.plus_seconds(earned * SECONDS_EACH);
        if self.left == 0 {
            self.passed_over += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FjallStore, Settings};

    #[test]
    fn a_flood_of_refusals_fills_no_disk_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        let metrics = Metrics::new().unwrap();
        let refusals = Refusals::load(&store, &metrics).unwrap();
        let now = Timestamp::from_unix(1_800_000_000);
        let note = |error: &IngestError, now| {
            refusals.note(&store, &metrics, error, "token:ci", now).unwrap();
        };
        (0..1000).for_each(|_| note(&IngestError::Trailing, now));
        assert_eq!(audit::head(&store).unwrap().sequence, 20);
        let promise = IngestError::Promise { reason: Reason::SupportShorter, why: "x\u{1b}[2J".repeat(200) };
        note(&promise, now);
        let entry = audit::entries(&store, 20, 9).unwrap().remove(0);
        assert_eq!((entry.action.as_str(), entry.actor.as_str()), ("bundle.refused", "token:ci"));
        assert_eq!(entry.detail["reason"], "support_shorter");
        assert!(entry.detail["error"].starts_with("x\u{fffd}[2Jx") && entry.detail["error"].len() < 1000);
        // Ten minutes later there is room for one more, which says how many had none.
        note(&IngestError::Trailing, now.plus_seconds(600));
        note(&IngestError::Trailing, now.plus_seconds(601));
        let entries = audit::entries(&store, 21, 9).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].detail["before_this_unrecorded"], "980");

        // What was counted survives a restart, as far as the last entry knew it.
        let metrics = Metrics::new().unwrap();
        let again = Refusals::load(&store, &metrics).unwrap().all();
        assert_eq!((again.reasons["damaged"].count, again.reasons["support_shorter"].count), (1001, 1));
        let text = String::from_utf8(metrics.render()).unwrap();
        // The words of the one that matters outlive the harmless ones after it.
        assert_eq!(again.last.unwrap().reason, "damaged");
        assert!(again.lasts["support_shorter"].error.starts_with("x\u{fffd}[2Jx"));
        assert!(text.contains("perennial_ingest_refused_total{reason=\"damaged\"} 1001\n"), "{text}");
        assert!(
            text.contains("perennial_ingest_last_refused_seconds{reason=\"support_shorter\"} 1800000000\n")
        );
        assert!(text.contains("perennial_ingest_refused_total{reason=\"signature\"} 0\n"), "{text}");
    }
}
