//! The counts of votes, in memory: kept up with each commit of the fleet's writer, and counted anew from the marks at the start
//! and from time to time, which is also how several front ends agree.

use super::votes::{Mark, Votes};
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::{HardwareName, Sha256Digest};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Marks read at once: the writer may wait that long.
const PAGE: usize = 1000;

/// Votes by hardware revision.
pub type Strata = BTreeMap<HardwareName, Votes>;

/// See the module.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counted: HashMap<Sha256Digest, Strata>,
    recount: Option<Recount>,
}

/// A release that is being counted anew, as far as it has come.
#[derive(Debug)]
struct Recount {
    manifest: Sha256Digest,
    /// The last key that was looked at: what changes up to there is changed here too, what lies behind is yet to be read.
    until: Vec<u8>,
    strata: Strata,
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
        self.lock().counted.get(manifest).cloned()
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
        let begun = Recount { manifest: *manifest, until: manifest.0.to_vec(), strata: Strata::new() };
        self.lock().recount = Some(begun);
        loop {
            match self.lock().page(store, manifest) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    self.lock().recount = None;
                    return Err(error);
                }
            }
            pause();
        }
    }

    /// Forgets the counts of releases that are not on offer.
    pub fn keep(&self, is_offered: impl Fn(&Sha256Digest) -> bool) {
        self.lock().counted.retain(|manifest, _| is_offered(manifest));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The next page of a recount; true at its end.
    fn page(&mut self, store: &dyn Store, manifest: &Sha256Digest) -> Result<bool, StoreError> {
        let Some(recount) = self.recount.as_mut().filter(|recount| recount.manifest == *manifest) else {
            // Another one began meanwhile, and is as good.
            return Ok(true);
        };
        let page = store.scan_prefix(Space::Marks, manifest.as_bytes(), Some(&recount.until), PAGE)?;
        let is_last = page.len() < PAGE;
        for (key, value) in page {
            match Mark::decode(&value) {
                Ok(mark) => recount.strata.entry(mark.hardware).or_default().change(mark.vote, true),
                // It is left for whoever looks at the disk, and counts for nothing.
                Err(error) => tracing::error!(%error, mark = %key.escape_ascii(), "a vote is damaged"),
            }
            recount.until = key;
        }
        if is_last && let Some(recount) = self.recount.take() {
            self.counted.insert(*manifest, recount.strata);
        }
        Ok(is_last)
    }

    fn count(&mut self, change: &Changed) {
        let Ok(manifest) = Mark::manifest(&change.key) else { return };
        let again = self.recount.as_mut();
        let again = again.filter(|it| it.manifest == manifest && change.key <= it.until);
        let strata = self.counted.get_mut(&manifest).into_iter().chain(again.map(|it| &mut it.strata));
        for strata in strata {
            if let Some(before) = &change.before {
                strata.entry(before.hardware.clone()).or_default().change(before.vote, false);
            }
            strata.entry(change.after.hardware.clone()).or_default().change(change.after.vote, true);
        }
    }
}

/// Removes the marks of releases that are offered no more: that is what was promised to whoever had a device erased. True where
/// nothing is left to remove; else it is to be called again.
///
/// # Errors
/// [`StoreError`]
pub fn sweep(store: &dyn Store, is_offered: impl Fn(&Sha256Digest) -> bool) -> Result<bool, StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let Some((key, _)) = store.scan(Space::Marks, after.as_deref(), 1)?.pop() else { return Ok(true) };
        let manifest = Mark::manifest(&key)
            .map_err(|error| StoreError::Corrupt(format!("marks/{}: {error}", key.escape_ascii())))?;
        if is_offered(&manifest) {
            // Behind the last mark that this release can have.
            after = Some([manifest.as_bytes(), [u8::MAX; 17].as_slice()].concat());
            continue;
        }
        let page = store.scan_prefix(Space::Marks, manifest.as_bytes(), None, PAGE)?;
        let batch = page.into_iter().fold(Batch::new(), |batch, (key, _)| batch.remove(Space::Marks, key));
        store.commit(batch)?;
        return Ok(false);
    }
}
