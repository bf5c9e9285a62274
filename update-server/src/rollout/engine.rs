//! The engine: looks at what is offered and what was counted, takes each rollout's next step, records and signs it, and shows
//! the status. It reads no clock and opens no socket: whoever drives it says what time it is. What it decides, the machine
//! decides; what it knows is in the store, so that another may take over at any moment.

use super::ballot::Ballot;
use super::failing::{self, Failing, Found};
use super::figures::Figures;
use super::machine::{Change, Counted, Facts, forgotten, step};
use super::offers::{Offer, Offers};
use super::record::{self, Record, Records, State};
use super::shown::is_shown;
use super::silence::{self, Live, Silence};
use super::status::{Said, StatusError, sign};
use super::sweep::sweep;
use super::tallies::Tallies;
use super::turn::Reach;
use super::watched;
use crate::audit;
use crate::blobs::digest_of;
use crate::keys::OnlineKey;
use crate::records::restored::{self, Restored};
use crate::site::{Caching, Content, Entries, Entry, Kind};
use crate::store::{Batch, Space, Store, StoreError};
use arc_swap::ArcSwap;
use bytes::Bytes;
use perennial_schemas::rollout::RolloutStatus;
use perennial_schemas::{Sha256Digest, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Changes of one rollout in one turn: from scheduled to the first phase there are three.
const STEPS: usize = 8;
/// Pages of votes that a turn counts for the first time: what has more goes on at the next turn, or beside it. Statuses are
/// shown and renewed meanwhile, as they are.
const PAGES: usize = 50;

/// Why a turn came to nothing, for all rollouts or for one.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No status could be signed.
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// What an engine needs.
pub struct Means {
    /// Where everything lies.
    pub store: Arc<dyn Store>,
    /// The rollout key.
    pub key: Box<dyn OnlineKey>,
    /// The votes.
    pub ballot: Arc<Ballot>,
    /// What is told to Prometheus.
    pub figures: Arc<Figures>,
    /// How long a device may be silent before it counts as missing, beside a release's interruption.
    pub silence: Duration,
    /// How long caches may keep a status.
    pub caching: Caching,
}

/// See the module.
pub struct Engine {
    means: Means,
    /// The statuses, by their path on the static plane.
    shown: Arc<ArcSwap<Entries>>,
    /// The states as of the last turn.
    states: Mutex<BTreeMap<Sha256Digest, State>>,
    silent: Mutex<BTreeMap<Sha256Digest, Silence>>,
    failing: Mutex<BTreeMap<Sha256Digest, Found>>,
    /// Statuses of rollouts that were stopped, by their path, until a turn has shown what is said of them now.
    stopped: Mutex<BTreeSet<String>>,
    /// The records that couldn't be read at the last turn.
    damaged: Mutex<BTreeMap<Vec<u8>, String>>,
    /// One turn at a time.
    turn: Mutex<()>,
}

impl Engine {
    /// An engine that has done nothing yet.
    pub fn new(means: Means) -> Self {
        let (shown, states, silent) = (Arc::default(), Mutex::default(), Mutex::default());
        let (failing, damaged, turn) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { means, shown, states, silent, failing, stopped: Mutex::default(), damaged, turn }
    }

    /// The statuses for the static plane.
    pub fn shown(&self) -> Arc<ArcSwap<Entries>> {
        Arc::clone(&self.shown)
    }

    /// Where everything lies.
    pub fn store(&self) -> &dyn Store {
        self.means.store.as_ref()
    }

    /// Learns the states from the records, without a turn: for whoever only looks.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn learn(&self) -> Result<(), StoreError> {
        self.means.ballot.board.refresh()?;
        let records = record::all(self.store())?.whole;
        self.note_reached(records.values().map(|(record, _)| record));
        let states = records.into_iter().map(|(manifest, (record, _))| (manifest, record.state)).collect();
        *self.states.lock().unwrap_or_else(PoisonError::into_inner) = states;
        Ok(())
    }

    /// How many records, channels and manifests couldn't be read at the last turn.
    pub fn unreadable(&self) -> i64 {
        self.means.figures.unreadable.get()
    }

    /// The figures.
    #[cfg(test)]
    pub(super) fn figures(&self) -> &Figures {
        &self.means.figures
    }

    /// The votes.
    pub fn ballot(&self) -> &Arc<Ballot> {
        &self.means.ballot
    }

    /// Takes every step that is due: what was done, in order. A rollout that another front end changed meanwhile is left for
    /// the next turn, and one that fails doesn't hold the others up.
    ///
    /// # Errors
    /// [`EngineError`]: the first; what was recorded until then stays, and statuses stay as they were, but those of what was
    /// stopped meanwhile: devices that see none wait.
    pub fn tick(&self, now: Timestamp) -> Result<Vec<Change>, EngineError> {
        let _one = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.turn(now);
        if done.is_err() {
            self.means.figures.failed.inc();
            self.hide_stopped();
        }
        done
    }

    /// Notes that a rollout was stopped, and is to be shown so at the next turn.
    pub(super) fn note_stopped(&self, record: &Record) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.insert(path(record));
    }

    /// Shows no more what still says that it goes on.
    fn hide_stopped(&self) {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = self.shown.load();
        if stopped.iter().any(|path| shown.contains_key(path.as_str())) {
            let mut left = Entries::clone(&shown);
            left.retain(|path, _| !stopped.contains(&**path));
            self.shown.store(Arc::new(left));
        }
    }

    fn turn(&self, now: Timestamp) -> Result<Vec<Change>, EngineError> {
        let before = self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let offers = self.means.ballot.board.refresh()?;
        if offers.generation.is_none() {
            return Ok(Vec::new());
        }
        let own = &self.means.ballot.own;
        // Of what an older version noted, nobody knows when it was.
        let Restored { times, at: restored_at } = restored::read(self.store())?.by(now);
        let life = restored_at.map_or(0, |_| times);
        let records = record::all(self.means.store.as_ref())?;
        let damaged = self.told(&records, &offers);
        let mut records: BTreeMap<_, _> = records
            .whole
            .into_iter()
            .map(|(manifest, (record, before))| (manifest, (record, Some(before))))
            .collect();
        for offer in offers.offered.values().filter(|offer| offer.key == *own) {
            // How far it is, nobody knows; or somebody may have withdrawn it already.
            if damaged.contains_key(offer.manifest.as_bytes().as_slice())
                || offers.unsure(&offer.product, &offer.manifest).is_some()
            {
                continue;
            }
            // Older records have also forgotten what had begun by the time at which they were brought back.
            let had_begun = restored_at.is_some_and(|at| offer.first() <= at);
            records.entry(offer.manifest).or_insert_with(|| {
                let mut new = Record::new(offer, now);
                new.life = if had_begun { 0 } else { life };
                (new, None)
            });
        }
        let (mut changes, mut failed, mut seen, mut pages) = (Vec::new(), None, Vec::new(), PAGES);
        for (record, before) in records.into_values() {
            // Another server's to steer: its key signs, and its records are in its own store.
            if record.key != *own {
                seen.push((record, Counted::default()));
                continue;
            }
            let as_read = record.clone();
            match self.one(record, before, &offers, life, (now, &mut pages), &mut changes) {
                Ok(Some(pair)) => seen.push(pair),
                // Its status as it was read is still served.
                Ok(None) => seen.push((as_read, Counted::default())),
                Err(error) => {
                    failed = failed.or(Some(error));
                    seen.push((as_read, Counted::default()));
                }
            }
        }
        changes.iter().for_each(|change| self.means.figures.changed(change.action));
        self.means.ballot.tallies.keep(|manifest| offers.offered.contains_key(manifest));
        // Before devices hear of it: their votes count from then on.
        self.note_reached(seen.iter().map(|(record, _)| record));
        self.show(&seen, &offers, now);
        // Those that were stopped since, the next turn shows.
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| !before.contains(path));
        self.means.figures.show(&seen, &offers, own, now);
        let states = seen.iter().map(|(record, _)| (record.manifest, record.state)).collect();
        *self.states.lock().unwrap_or_else(PoisonError::into_inner) = states;
        failed.map_or(Ok(changes), Err)
    }

    /// Says what can't be read, in the log where that is new: those rollouts are passed over. The damaged records.
    fn told(&self, records: &Records, offers: &Offers) -> BTreeMap<Vec<u8>, String> {
        self.means.figures.unreadable.set((records.damaged.len() + offers.damaged.len()) as i64);
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, why) in records.damaged.iter().filter(|(key, _)| !damaged.contains_key(*key)) {
            tracing::error!(why, "a rollout stands still: its record can't be read");
        }
        damaged.clone_from(&records.damaged);
        damaged.clone()
    }

    /// One rollout's steps and status; `None` where somebody else was faster.
    fn one(
        &self,
        mut record: Record,
        mut before: Option<Vec<u8>>,
        offers: &Offers,
        life: u32,
        (now, pages): (Timestamp, &mut usize),
        changes: &mut Vec<Change>,
    ) -> Result<Option<(Record, Counted)>, EngineError> {
        let offer = offers.offered.get(&record.manifest).map(Arc::as_ref);
        let withdrawn = offers.withdrawn_for(&record);
        let unsure = offers.unsure(&record.product, &record.manifest);
        if unsure.is_some() && offer.is_none() && withdrawn.is_none() {
            // Whether it is still offered, nobody knows. What devices were told of it last ends by itself.
            return Ok(Some((record, Counted::default())));
        }
        let tallies = &self.means.ballot.tallies;
        let is_counted = match offer {
            Some(offer) => tallies.count_some(self.store(), &offer.manifest, pages)?,
            None => true,
        };
        let mut counted = match offer.filter(|_| is_counted) {
            Some(offer) => self.counted(offer)?,
            // As they were counted while it was offered, for the audit.
            None => {
                tallies.of(&record.manifest).map_or_else(Counted::default, |votes| Counted::new(votes, None))
            }
        };
        if before.is_none() {
            let detail = vec![
                ("product", record.product.to_string()),
                ("version", record.version.to_string()),
                ("manifest", record.manifest.to_string()),
                ("reason", record.reason.clone()),
            ];
            let by = record.by.clone();
            let change = Change { action: "rollout.scheduled", by, record: record.clone(), detail };
            let Some(saved) = self.save(&change, None, now)? else { return Ok(None) };
            before = Some(saved);
            changes.push(change);
        }
        // Where others tell this store of votes, too, these are the votes that were told to this process.
        let mut is_whole = !self.is_shared();
        for _ in 0..STEPS {
            let may = |change: &Change| {
                // As long as devices hear nothing, the phase isn't watched.
                (!change.is_proved() || watched::is_heard(&record, now))
                    && (unsure.is_none() || !change.opens())
            };
            let facts = Facts { offer, withdrawn, counted: &counted };
            let due = || step(&record, &facts, now).filter(|_| is_counted);
            let change = forgotten(&record, &facts, life, now).or_else(due);
            let Some(change) = change.filter(may) else { break };
            if let Some(offer) = offer.filter(|_| change.is_proved() && !is_whole) {
                tallies.recount(self.store(), &offer.manifest, &|| {})?;
                (counted, is_whole) = (self.counted(offer)?, true);
                continue;
            }
            let Some(saved) = self.save(&change, before.clone(), now)? else { return Ok(None) };
            (record, before) = (change.record.clone(), Some(saved));
            told(&change);
            changes.push(change);
        }
        let signed = self.renew(record, before, offer, now, changes)?;
        Ok(signed.map(|record| (record, counted)))
    }

    /// Commits a change with its entry in the audit: the record as it is stored; `None` where somebody else was faster.
    fn save(
        &self,
        change: &Change,
        before: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        save(self.means.store.as_ref(), change, before, now).map_err(Into::into)
    }

    /// Whether other processes may write votes into the store, which this one counts only when it counts anew.
    pub(super) fn is_shared(&self) -> bool {
        self.store().moment().is_none()
    }

    /// Signs the status where what it has to say changed, or half of its life is over. A status that follows none which still
    /// counts is committed together with that change.
    fn renew(
        &self,
        record: Record,
        before: Option<Vec<u8>>,
        offer: Option<&Offer>,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) -> Result<Option<Record>, EngineError> {
        let said = Said::of(&record, offer);
        // What is withdrawn is said once: the signers' word stays.
        let is_over = record.state == State::Withdrawn && said.is_said_by(&record);
        if is_over || said.is_current(&record, now) {
            return Ok(Some(record));
        }
        let store = self.means.store.as_ref();
        let anew = offer.and_then(|offer| watched::anew(&record, offer, now));
        let record = anew.as_ref().map_or(&record, |change| &change.record);
        let head = audit::head(store)?.to_string();
        let signed = sign(record, &said, self.means.key.as_ref(), &head, now)?;
        let (key, value) = (signed.manifest.0, signed.encode()?);
        let batch = Batch::new().expect(Space::Rollouts, key, before).put(Space::Rollouts, key, value);
        // Devices hear of a halt by it, and without one that is valid they are held.
        let batch = batch.urgent(true);
        let done = match &anew {
            Some(change) => {
                let event = audit::Event::new(now, &change.by, change.action, &change.detail);
                audit::commit(store, &batch, &event).map(drop)
            }
            None => store.commit(batch),
        };
        match done {
            Ok(()) => {
                self.means.figures.signed.inc();
                anew.iter().for_each(told);
                changes.extend(anew);
                Ok(Some(signed))
            }
            Err(StoreError::Changed(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What was counted of a release.
    ///
    /// # Errors
    /// [`StoreError`] when it is counted for the first time, and can't be.
    pub fn counted(&self, offer: &Offer) -> Result<Counted, StoreError> {
        let tallies = &self.means.ballot.tallies;
        let votes = match tallies.of(&offer.manifest) {
            Some(votes) => votes,
            None => {
                tallies.recount(self.means.store.as_ref(), &offer.manifest, &|| {})?;
                tallies.of(&offer.manifest).unwrap_or_default()
            }
        };
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let (codes, young) = (tallies.codes(&offer.manifest), tallies.young(&offer.manifest));
        Ok(Counted { codes, young, ..Counted::new(votes, silent.get(&offer.manifest)) })
    }

    /// What was counted of a release that is offered no more, for as long as its votes are kept. It isn't kept in memory.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn counted_before(&self, record: &Record) -> Result<Counted, StoreError> {
        if record.emptied.is_some() || record.key != self.means.ballot.own {
            return Ok(Counted::default());
        }
        let counts = Tallies::default();
        counts.recount(self.store(), &record.manifest, &|| {})?;
        let votes = counts.of(&record.manifest).unwrap_or_default();
        Ok(Counted { votes, codes: counts.codes(&record.manifest), ..Counted::default() })
    }

    /// Counts the votes that were not counted yet, however many they are.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn count_new(&self, pause: &dyn Fn()) -> Result<(), StoreError> {
        let tallies = &self.means.ballot.tallies;
        let offers = self.means.ballot.board.current();
        let new = offers.offered.values().filter(|offer| offer.key == self.means.ballot.own);
        for offer in new.filter(|offer| tallies.of(&offer.manifest).is_none()) {
            tallies.recount(self.store(), &offer.manifest, pause)?;
        }
        Ok(())
    }

    /// Counts votes anew: those of rollouts that go on, and of all where `all` says so.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn recount(&self, all: bool, pause: &dyn Fn()) -> Result<(), StoreError> {
        let live =
            self.of_state(|state| all || matches!(state, State::Running | State::Paused | State::Halted));
        live.iter().try_for_each(|offer| {
            self.means.ballot.tallies.recount(self.means.store.as_ref(), &offer.manifest, pause)
        })
    }

    /// Looks who fell silent, for rollouts that go on.
    ///
    /// # Errors
    /// [`StoreError`]; what was found before stays.
    pub fn listen(&self, now: Timestamp, pause: &dyn Fn()) -> Result<(), StoreError> {
        let means = &self.means;
        let reached = means.ballot.reached.load();
        let live = self.of_state(|state| matches!(state, State::Running | State::Paused));
        let live = live.into_iter().map(|offer| {
            let reach = reached.get(&offer.manifest);
            let (until, going) = (reach.and_then(|reach| reach.until), reach.and_then(|reach| reach.going));
            Live { offer, until, going }
        });
        let live: Vec<Live> = live.collect();
        let found = silence::look(means.store.as_ref(), &means.ballot, &live, means.silence, now, pause)?;
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        // Of what is halted, who was missed until then is what people want to know.
        let halted = self.of_state(|state| state == State::Halted);
        silent.retain(|manifest, _| halted.iter().any(|offer| offer.manifest == *manifest));
        silent.extend(found);
        Ok(())
    }

    /// Looks on which devices releases failed, where what failed has changed since the last look; once more when a release is
    /// offered no more, for as long as its votes are kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn find_failing(&self, pause: &dyn Fn()) -> Result<(), StoreError> {
        let offers = self.means.ballot.board.current();
        let before = self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut kept, mut wanted) = (BTreeMap::new(), BTreeMap::new());
        for manifest in offers.offered.keys() {
            let codes = self.means.ballot.tallies.codes(manifest);
            match before.get(manifest) {
                _ if codes.is_empty() => {}
                Some(found) if found.codes == codes => {
                    kept.insert(*manifest, Found { is_last: false, ..found.clone() });
                }
                _ => drop(wanted.insert(*manifest, (codes, false))),
            }
        }
        for (record, _) in record::all(self.store())?.whole.values() {
            let (manifest, is_kept) = (record.manifest, record.emptied.is_none());
            if record.state != State::Withdrawn || !is_kept || offers.offered.contains_key(&manifest) {
                continue;
            }
            match before.get(&manifest).filter(|found| found.is_last) {
                Some(found) => drop(kept.insert(manifest, found.clone())),
                None => drop(wanted.insert(manifest, (self.counted_before(record)?.codes, true))),
            }
        }
        let failed = wanted.iter().filter(|(_, (codes, _))| !codes.is_empty());
        let failed: Vec<Sha256Digest> = failed.map(|(manifest, _)| *manifest).collect();
        let mut found = failing::look(self.store(), &self.means.ballot, &failed, pause)?;
        kept.extend(wanted.into_iter().map(|(manifest, (codes, is_last))| {
            let failing = found.remove(&manifest).unwrap_or_default();
            (manifest, Found { codes, is_last, failing })
        }));
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(())
    }

    /// On which devices a release failed, as of the last look.
    pub fn failing(&self, manifest: &Sha256Digest) -> Failing {
        let known = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(manifest).map_or_else(Failing::default, |found| found.failing.clone())
    }

    /// Whether a rollout goes on that nobody has listened for yet: until then it doesn't advance.
    pub fn must_listen(&self) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.of_state(|state| matches!(state, State::Running | State::Paused));
        live.iter().any(|offer| !silent.contains_key(&offer.manifest))
    }

    /// Removes votes on what has been offered no more for long; true where nothing is left to remove.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn sweep(&self, now: Timestamp) -> Result<bool, StoreError> {
        let offers = self.means.ballot.board.refresh()?;
        if offers.generation.is_none() {
            return Ok(true);
        }
        sweep(self.means.store.as_ref(), &offers, now)
    }

    fn of_state(&self, wanted: impl Fn(State) -> bool) -> Vec<Arc<Offer>> {
        let offers = self.means.ballot.board.current();
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let live = states.iter().filter(|(_, state)| wanted(**state));
        live.filter_map(|(manifest, _)| offers.offered.get(manifest).cloned()).collect()
    }

    fn note_reached<'r>(&self, records: impl Iterator<Item = &'r Record>) {
        let offers = self.means.ballot.board.current();
        let reached = records.filter_map(|record| {
            let offer = offers.offered.get(&record.manifest)?;
            Some((record.manifest, Reach::of(record, offer, self.means.silence)))
        });
        self.means.ballot.reached.store(Arc::new(reached.collect()));
    }

    /// Shows the statuses on the static plane, where one has changed.
    fn show(&self, seen: &[(Record, Counted)], offers: &Offers, now: Timestamp) {
        let mut entries = Entries::new();
        // Of two manifests of one version, the one on offer is shown.
        let mut records: Vec<&Record> = seen.iter().map(|(record, _)| record).collect();
        records.sort_by_key(|record| offers.offered.contains_key(&record.manifest));
        for record in records.into_iter().filter(|record| is_shown(record, now)) {
            let path = path(record);
            let bytes = Bytes::from(record.status.clone());
            let (length, digest) = (bytes.len() as u64, digest_of(&bytes));
            let content = Content::Memory(bytes);
            let entry = Entry::new(&path, Kind::Fresh, content, length, &digest, &self.means.caching);
            entries.insert(path.into(), entry);
        }
        let before = self.shown.load();
        let same = before.len() == entries.len()
            && entries.iter().all(|(path, entry)| before.get(path).is_some_and(|it| it.etag == entry.etag));
        if !same {
            self.shown.store(Arc::new(entries));
        }
    }
}

/// Where a status is shown.
fn path(record: &Record) -> String {
    format!("/{}", RolloutStatus::path(&record.product, &record.version))
}

/// Says a change in the log.
fn told(change: &Change) {
    tracing::info!(
        action = change.action,
        product = %change.record.product,
        version = %change.record.version,
        reason = change.reason(),
        "a rollout has changed"
    );
}

/// Commits a change with its entry in the audit: the record as it is stored; `None` where somebody else was faster.
///
/// # Errors
/// [`StoreError`]
pub(super) fn save(
    store: &dyn Store,
    change: &Change,
    before: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (key, value) = (change.record.manifest.0, change.record.encode()?);
    let batch = Batch::new().expect(Space::Rollouts, key, before).put(Space::Rollouts, key, value.clone());
    let batch = batch.urgent(change.stops());
    let event = audit::Event::new(now, &change.by, change.action, &change.detail);
    match audit::commit(store, &batch, &event) {
        Ok(_) => Ok(Some(value)),
        Err(StoreError::Changed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
