//! The counts of votes, in memory: kept up with each commit of the fleet's writer, and counted anew from the marks at the start
//! and from time to time, which is also how several front ends agree.

use super::votes::{Mark, Vote, Votes};
use crate::store::{Batch, Space, Store, StoreError};
use perennial_gate::{Recent, Young};
use perennial_schemas::report::FailureCode;
use perennial_schemas::{HardwareName, Sha256Digest};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Marks read at once: the writer may wait that long.
const PAGE: usize = 1000;

/// Votes by hardware revision.
pub type Strata = BTreeMap<HardwareName, Votes>;
/// Devices on which a release failed, by hardware revision and by what failed; `None` where nobody said.
pub type Codes = BTreeMap<(HardwareName, Option<FailureCode>), u64>;

/// See the module.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counted: HashMap<Sha256Digest, Tally>,
    recounts: HashMap<Sha256Digest, Recount>,
}

/// A release that is being counted anew, as far as it has come.
#[derive(Debug)]
struct Recount {
    /// The last key that was looked at: what changes up to there is changed here too, what lies behind is yet to be read.
    until: Vec<u8>,
    tally: Tally,
}

/// What was counted of a release.
#[derive(Debug, Default)]
struct Tally {
    strata: Strata,
    codes: Codes,
    recent: BTreeMap<HardwareName, Recent>,
}

/// A vote that changes.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The mark's key.
    pub(crate) key: Vec<u8>,
    /// The mark as the store has it.
    pub(crate) before: Option<Mark>,
    /// The mark as it will be.
    pub(crate) after: Mark,
}

impl Tallies {
    /// The votes on a release; `None` until it was counted for the first time.
    pub fn of(&self, manifest: &Sha256Digest) -> Option<Strata> {
        self.lock().counted.get(manifest).map(|tally| tally.strata.clone())
    }

    /// What failed on how many devices; none until it was counted.
    pub fn codes(&self, manifest: &Sha256Digest) -> Codes {
        self.lock().counted.get(manifest).map_or_else(Codes::new, |tally| tally.codes.clone())
    }

    /// Who began last, by hardware revision; nobody until it was counted.
    pub fn young(&self, manifest: &Sha256Digest) -> BTreeMap<HardwareName, Young> {
        self.lock().counted.get(manifest).map_or_else(BTreeMap::new, Tally::young)
    }

    /// Commits a batch that holds these changes, and counts them where that succeeds.
    pub(crate) fn commit(
        &self,
        store: &dyn Store,
        batch: Batch,
        changes: &[Changed],
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return store.commit(batch);
        }
        // Held meanwhile, so that no recount reads a mark that isn't counted yet, or counts one twice.
        let mut inner = self.lock();
        store.commit(batch)?;
        changes.iter().for_each(|change| inner.count(change));
        Ok(())
    }

    /// Counts a release's marks anew. `pause` is called after each page.
    ///
    /// # Errors
    /// [`StoreError`]; what was counted before stays.
    pub fn recount(
        &self,
        store: &dyn Store,
        manifest: &Sha256Digest,
        pause: &dyn Fn(),
    ) -> Result<(), StoreError> {
        self.lock().begin(manifest);
        while !self.page(store, manifest)? {
            pause();
        }
        Ok(())
    }

    /// Goes on with counting a release's marks for the first time, for as many pages as `pages` allows, which it uses up: true
    /// where they are counted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn count_some(
        &self,
        store: &dyn Store,
        manifest: &Sha256Digest,
        pages: &mut usize,
    ) -> Result<bool, StoreError> {
        if self.lock().counted.contains_key(manifest) {
            return Ok(true);
        }
        self.lock().begin(manifest);
        while *pages > 0 {
            *pages -= 1;
            if self.page(store, manifest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One page, for whoever counts a release; what was counted until then is given up where it fails.
    fn page(&self, store: &dyn Store, manifest: &Sha256Digest) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        inner.page(store, manifest).inspect_err(|_| drop(inner.recounts.remove(manifest)))
    }

    /// Forgets the counts of releases that are not on offer.
    pub fn keep(&self, is_offered: impl Fn(&Sha256Digest) -> bool) {
        let mut inner = self.lock();
        inner.counted.retain(|manifest, _| is_offered(manifest));
        inner.recounts.retain(|manifest, _| is_offered(manifest));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Begins to count a release, or joins in where somebody counts it already.
    fn begin(&mut self, manifest: &Sha256Digest) {
        let begun = || Recount { until: manifest.0.to_vec(), tally: Tally::default() };
        self.recounts.entry(*manifest).or_insert_with(begun);
    }

    /// The next page of a recount; true at its end.
    fn page(&mut self, store: &dyn Store, manifest: &Sha256Digest) -> Result<bool, StoreError> {
        // Whoever counted along has come to the end.
        let Some(recount) = self.recounts.get_mut(manifest) else { return Ok(true) };
        let page = store.scan_prefix(Space::Marks, manifest.as_bytes(), Some(&recount.until), PAGE)?;
        let is_last = page.len() < PAGE;
        for (key, value) in page {
            match Mark::decode(&value) {
                Ok(mark) => recount.tally.change(mark, true),
                // It is left for whoever looks at the disk, and counts for nothing.
                Err(error) => tracing::error!(%error, mark = %key.escape_ascii(), "a vote is damaged"),
            }
            recount.until = key;
        }
        if is_last && let Some(recount) = self.recounts.remove(manifest) {
            self.counted.insert(*manifest, recount.tally);
        }
        Ok(is_last)
    }

    fn count(&mut self, change: &Changed) {
        let Ok(manifest) = Mark::manifest(&change.key) else { return };
        let again = self.recounts.get_mut(&manifest).filter(|it| change.key <= it.until);
        for tally in self.counted.get_mut(&manifest).into_iter().chain(again.map(|it| &mut it.tally)) {
            if let Some(before) = &change.before {
                tally.change(before.clone(), false);
            }
            tally.change(change.after.clone(), true);
        }
    }
}

impl Tally {
    fn young(&self) -> BTreeMap<HardwareName, Young> {
        let newest = self.recent.values().filter_map(Recent::newest).max().unwrap_or(0);
        self.recent.iter().map(|(hardware, recent)| (hardware.clone(), recent.young(newest))).collect()
    }

    /// Adds a vote, or takes one away.
    fn change(&mut self, Mark { vote, hardware, began, code, .. }: Mark, added: bool) {
        self.strata.entry(hardware.clone()).or_default().change(vote, added);
        if vote != Vote::Held {
            self.recent.entry(hardware.clone()).or_default().change(began.unix(), vote.is_bad(), added);
        }
        if !vote.is_bad() {
            return;
        }
        let key = (hardware, code);
        let count = self.codes.get(&key).copied().unwrap_or(0);
        match if added { count + 1 } else { count.saturating_sub(1) } {
            0 => drop(self.codes.remove(&key)),
            count => drop(self.codes.insert(key, count)),
        }
    }
}
