//! The group commit: one thread takes operations from a bounded queue, folds them into their devices' rows, commits rows
//! and events as one durable batch, and only then answers. A batch that fails changes nothing and answers so; nothing is
//! ever acknowledged that isn't on the disk. "Last heard of" alone is written behind.

use super::event::Event;
use super::figures::Figures;
use super::fold::{Act, Beside, Effects, Facts, Operation, Owner, Verdict, fold};
use super::releases::Shelf;
use super::row::Row;
use super::trust::Trust;
use crate::io::Now;
use crate::rollout::ballot::{self, Ballot};
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Sha256Digest;
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, RefusalCode};
use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Reports that are committed together; whoever brings more brings them in parts of this size.
pub(crate) const TOGETHER: usize = 2000;
/// How long the first operation of a batch waits for others, where others were there the last time.
const GATHER: Duration = Duration::from_millis(5);
/// How long "last heard of" may be behind.
const BEHIND: Duration = Duration::from_secs(2);
/// Devices that may be behind before they are written early: a MiB or so.
const BEHIND_DEVICES: usize = 16_384;
/// Rows of one commit of "last heard of": where somebody else changes one, no more than these are written again.
const BEHIND_TOGETHER: usize = 1000;
/// How often that is tried before the rest waits for the next time.
const BEHIND_TRIES: usize = 8;
/// How often a batch is tried again because somebody else changed one of its records.
const TRIES: usize = 64;

/// Why operations were not written down. None of them counts then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// More waits than may wait.
    #[error("more is being written down already than may wait")]
    Busy,
    /// The store failed.
    #[error("the store can't be reached")]
    Unavailable,
    /// The disk is full, or what is left is kept for other things.
    #[error("the server's disk is full")]
    Full,
}

/// What the writer needs beside the store.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) releases: Arc<Shelf>,
    pub(crate) trust: Option<Arc<Trust>>,
    /// Where votes on releases are taken.
    pub(crate) ballot: Arc<Ballot>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) now: Now,
    /// Reports that may wait.
    pub(crate) queue: usize,
    /// How long reports are kept.
    pub(crate) keep: Duration,
}

/// The writer's queue; when the last handle is gone, the thread writes what waits and ends.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    figures: Arc<Figures>,
}

/// Whom to answer when all of a job is durable.
type Answer = oneshot::Sender<Result<Vec<Verdict>, Fault>>;

enum Job {
    /// Fold these, commit, and answer.
    Operations { operations: Vec<Operation>, weight: usize, answer: Answer },
    /// A device was heard of.
    Seen(DeviceId),
}

/// Starts the thread.
///
/// # Errors
/// When the system gives none.
pub(crate) fn start(means: Means) -> std::io::Result<(Writer, JoinHandle<()>)> {
    let (jobs, queue) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let writer = Writer {
        jobs,
        waiting: Arc::clone(&waiting),
        limit: means.queue,
        figures: Arc::clone(&means.figures),
    };
    let thread = Thread { means, waiting, behind: HashMap::new() };
    let thread = std::thread::Builder::new().name("fleet-writer".into()).spawn(move || thread.run(&queue))?;
    Ok((writer, thread))
}

impl Writer {
    /// Writes operations down: a verdict for each, in their order, when all of it is durable.
    ///
    /// # Errors
    /// [`Fault`]; nothing of it counts then.
    pub(crate) async fn write(&self, operations: Vec<Operation>) -> Result<Vec<Verdict>, Fault> {
        let weight: usize = operations.iter().map(weight).sum();
        let before = self.waiting.fetch_add(weight, Ordering::AcqRel);
        // One job may always wait, however large: else the largest batches could never be written.
        if before > 0 && before + weight > self.limit {
            self.waiting.fetch_sub(weight, Ordering::AcqRel);
            return Err(Fault::Busy);
        }
        self.figures.waiting.set((before + weight) as i64);
        let (answer, answered) = oneshot::channel();
        let job = Job::Operations { operations, weight, answer };
        self.jobs.send(job).map_err(|_| Fault::Unavailable)?;
        answered.await.unwrap_or(Err(Fault::Unavailable))
    }

    /// Notes that a device was heard of, some time later.
    pub(crate) fn seen(&self, device: &DeviceId) {
        let _ = self.jobs.send(Job::Seen(device.clone()));
    }
}

/// How many reports an operation counts as.
pub(crate) fn weight(operation: &Operation) -> usize {
    match &operation.act {
        Act::Reports(queue) => queue.reports.len(),
        Act::CheckIn(..) | Act::Enrol(_) => 1,
    }
}

struct Thread {
    means: Means,
    waiting: Arc<AtomicUsize>,
    behind: HashMap<DeviceId, Timestamp>,
}

/// Jobs that are written together.
#[derive(Default)]
struct Gathered {
    operations: Vec<Operation>,
    /// How many operations each job has, and whom to answer.
    answers: Vec<(usize, Answer)>,
    weight: usize,
}

impl Gathered {
    fn add(&mut self, job: Job, behind: &mut HashMap<DeviceId, Timestamp>, now: &Now) {
        match job {
            Job::Operations { operations, weight, answer } => {
                self.answers.push((operations.len(), answer));
                self.operations.extend(operations);
                self.weight += weight;
            }
            Job::Seen(device) => {
                behind.insert(device, now());
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a batch gathers, and how long a commit takes, is measured here"
)]
impl Thread {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut several = false;
        let mut flushed = Instant::now();
        loop {
            let first = match queue.recv_timeout(BEHIND) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(first) = first {
                let gathered = self.gather(first, queue, several);
                several = gathered.answers.len() > 1;
                if !gathered.operations.is_empty() {
                    self.serve(gathered);
                }
            }
            if flushed.elapsed() >= BEHIND || self.behind.len() >= BEHIND_DEVICES {
                self.flush();
                flushed = Instant::now();
            }
        }
        self.flush();
    }

    /// What waits already; and what comes within a moment, where that is worth waiting for.
    fn gather(&mut self, first: Job, queue: &Receiver<Job>, several: bool) -> Gathered {
        let mut gathered = Gathered::default();
        gathered.add(first, &mut self.behind, &self.means.now);
        let until = Instant::now() + GATHER;
        while gathered.weight < TOGETHER {
            let next = match queue.try_recv() {
                Ok(job) => job,
                Err(_) if !several => break,
                Err(_) => match queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(job) => job,
                    Err(_) => break,
                },
            };
            gathered.add(next, &mut self.behind, &self.means.now);
        }
        gathered
    }

    fn serve(&mut self, gathered: Gathered) {
        let began = Instant::now();
        let result = self.write(&gathered.operations);
        self.means.figures.commit_seconds.observe(began.elapsed().as_secs_f64());
        let waiting = self.waiting.fetch_sub(gathered.weight, Ordering::AcqRel) - gathered.weight;
        self.means.figures.waiting.set(waiting as i64);
        let mut verdicts = match result {
            Ok(verdicts) => Ok(verdicts.into_iter()),
            Err(fault) => Err(fault),
        };
        for (count, answer) in gathered.answers {
            // Whoever went away meanwhile asks again, and is told again.
            let _ = answer.send(match &mut verdicts {
                Ok(verdicts) => Ok(verdicts.by_ref().take(count).collect()),
                Err(fault) => Err(*fault),
            });
        }
    }

    fn write(&self, operations: &[Operation]) -> Result<Vec<Verdict>, Fault> {
        for _ in 0..TRIES {
            match self.attempt(operations) {
                Ok(verdicts) => return Ok(verdicts),
                // Another front end, or a command, was faster with one of the rows: fold again.
                Err(StoreError::Changed(_)) => {}
                Err(error @ StoreError::Full { .. }) => {
                    tracing::error!(%error, "reports can't be written down: the disk is full");
                    return Err(Fault::Full);
                }
                Err(error) => {
                    tracing::error!(%error, "reports can't be written down");
                    self.means.figures.commits_failed.inc();
                    return Err(Fault::Unavailable);
                }
            }
        }
        tracing::error!("reports can't be written down: their rows change all the time");
        Err(Fault::Unavailable)
    }

    /// Reads the rows, folds, commits.
    fn attempt(&self, operations: &[Operation]) -> Result<Vec<Verdict>, StoreError> {
        let means = &self.means;
        let now = (means.now)();
        let releases = means.releases.current();
        let revoked = |serial: &[u8]| means.trust.as_ref().is_some_and(|trust| trust.is_revoked(serial));
        let facts = Facts {
            now,
            releases: &releases,
            is_revoked: &revoked,
            oldest: now.plus_seconds(-(means.keep.as_secs() as i64)),
        };
        let mut rows = Rows::read(means.store.as_ref(), operations.iter().map(|one| one.who.device()))?;
        let mut batch = Changes::new(means.store.as_ref());
        batch.prefetch(operations, &rows)?;
        let mut verdicts = Vec::with_capacity(operations.len());
        let mut flags = Vec::new();
        let mut votes = means.ballot.open(now);
        for operation in operations {
            let Some(slot) = rows.of(operation.who.device()) else {
                verdicts.push(Err(RefusalCode::Internal));
                continue;
            };
            let mut effects = Effects::default();
            match fold(&mut slot.row, operation, &facts, &mut batch, &mut effects) {
                Ok(verdict) => verdicts.push(verdict),
                // One record beside a row is damaged: folding looks before it changes anything, so this operation alone
                // is refused.
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::error!(%error, device = %operation.who.device(), "what a device did can't be judged");
                    verdicts.push(Err(RefusalCode::Internal));
                    continue;
                }
                Err(error) => return Err(error),
            }
            flags.append(&mut effects.flags);
            if let (Some(votes), Act::Reports(queue), Some(row)) = (&mut votes, &operation.act, &slot.row) {
                votes.take(row, queue, &effects.events);
            }
            batch.take(effects)?;
        }
        let events = batch.events.len();
        let votes = votes.map_or_else(|| Ok(Vec::new()), |votes| votes.close(means.store.as_ref()))?;
        let batch = ballot::put(rows.into_batch(batch.into_batch()), &votes);
        if !batch.is_empty() {
            means.ballot.tallies.commit(means.store.as_ref(), batch, &votes)?;
        }
        means.figures.committed(events, &verdicts, &flags);
        Ok(verdicts)
    }

    /// Writes "last heard of", some rows at a time.
    fn flush(&mut self) {
        let mut due: Vec<(DeviceId, Timestamp)> =
            self.behind.iter().map(|(device, at)| (device.clone(), *at)).collect();
        due.sort_unstable();
        for slice in due.chunks(BEHIND_TOGETHER) {
            match self.flush_slice(slice) {
                Ok(()) => slice.iter().for_each(|(device, _)| {
                    self.behind.remove(device);
                }),
                Err(error) => {
                    tracing::warn!(%error, "when devices were last heard of can't be written down");
                    // It is no more than a hint: rather lost than without end in memory.
                    if self.behind.len() >= BEHIND_DEVICES {
                        self.behind.clear();
                    }
                    return;
                }
            }
        }
    }

    fn flush_slice(&self, slice: &[(DeviceId, Timestamp)]) -> Result<(), StoreError> {
        let store = self.means.store.as_ref();
        let mut tried = 0;
        loop {
            let mut rows = Rows::read(store, slice.iter().map(|(device, _)| device))?;
            for (device, at) in slice {
                if let Some(Slot { row: Some(row), .. }) = rows.of(device) {
                    row.seen(*at);
                }
            }
            let batch = rows.into_batch(Batch::new());
            let written = if batch.is_empty() { Ok(()) } else { store.commit(batch) };
            tried += 1;
            // Another front end was faster with one of them: the others count all the same.
            if !matches!(written, Err(StoreError::Changed(_))) || tried == BEHIND_TRIES {
                return written;
            }
        }
    }
}

/// The rows of a batch.
struct Rows(HashMap<DeviceId, Slot>);

struct Slot {
    /// As it was read.
    before: Option<Vec<u8>>,
    row: Option<Row>,
    /// It can't be read, and is left as it is.
    corrupt: bool,
}

impl Rows {
    fn read<'d>(store: &dyn Store, devices: impl Iterator<Item = &'d DeviceId>) -> Result<Self, StoreError> {
        let mut devices: Vec<&DeviceId> = devices.collect();
        devices.sort_unstable();
        devices.dedup();
        let keys: Vec<Vec<u8>> = devices.iter().map(|device| device.as_str().into()).collect();
        let records = store.get_many(Space::Devices, &keys)?;
        let slots = devices.into_iter().zip(records).map(|(device, before)| {
            let (row, corrupt) = match before.as_deref().map(Row::decode) {
                None => (None, false),
                Some(Ok(row)) => (Some(row), false),
                Some(Err(error)) => {
                    tracing::error!(%error, %device, "a device's row is damaged");
                    (None, true)
                }
            };
            (device.clone(), Slot { before, row, corrupt })
        });
        Ok(Self(slots.collect()))
    }

    fn of(&mut self, device: &DeviceId) -> Option<&mut Slot> {
        self.0.get_mut(device).filter(|slot| !slot.corrupt)
    }

    /// Puts every row that changed, on the condition that nobody else changed it.
    fn into_batch(self, mut batch: Batch) -> Batch {
        // In the order of the keys, near to one another in the store: the searches of a tree are what a commit costs.
        let mut slots: Vec<_> = self.0.into_iter().collect();
        slots.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (device, slot) in slots {
            let after = slot.row.map(|row| row.encode());
            if let Some(after) = after
                && slot.before.as_ref() != Some(&after)
            {
                let key = device.as_str();
                batch = batch.expect(Space::Devices, key, slot.before).put(Space::Devices, key, after);
            }
        }
        batch
    }
}

/// What changes beside the rows, over what the store holds.
struct Changes<'s> {
    store: &'s dyn Store,
    /// What was read in one go, as folding will most likely look at it.
    known: HashMap<Vec<u8>, Option<Vec<u8>>>,
    events: HashMap<Vec<u8>, Vec<u8>>,
    keys: HashMap<Sha256Digest, Held>,
}

/// Whose a key is.
struct Held {
    /// As the store holds it.
    before: Option<Vec<u8>>,
    /// As it is to be; not where `before` is damaged.
    after: Option<Owner>,
    /// `before` can't be read, and nobody wrote over it yet.
    damaged: bool,
}

impl<'s> Changes<'s> {
    fn new(store: &'s dyn Store) -> Self {
        Self { store, known: HashMap::new(), events: HashMap::new(), keys: HashMap::new() }
    }

    /// Reads at once the events that were sent before, as far as the rows tell.
    fn prefetch(&mut self, operations: &[Operation], rows: &Rows) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        for operation in operations {
            let row = rows.0.get(operation.who.device()).and_then(|slot| slot.row.as_ref());
            if let (Act::Reports(queue), Some(row)) = (&operation.act, row) {
                let before = queue.reports.iter().filter(|report| report.sequence <= row.last_sequence);
                keys.extend(before.map(|report| Event::key(&queue.device, row.epoch, report.sequence)));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        if !keys.is_empty() {
            let events = self.store.get_many(Space::Reports, &keys)?;
            self.known = keys.into_iter().zip(events).collect();
        }
        Ok(())
    }

    fn take(&mut self, effects: Effects) -> Result<(), StoreError> {
        self.events.extend(effects.events);
        for (key, owner) in effects.keys {
            let held = self.look(&key)?;
            (held.after, held.damaged) = (owner, false);
        }
        Ok(())
    }

    fn look(&mut self, key: &Sha256Digest) -> Result<&mut Held, StoreError> {
        Ok(match self.keys.entry(*key) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(new) => {
                let before = self.store.get(Space::Keys, key.as_bytes())?;
                let (after, damaged) = match before.as_deref().map(Owner::decode) {
                    None => (None, false),
                    Some(Ok(owner)) => (Some(owner), false),
                    Some(Err(_)) => (None, true),
                };
                new.insert(Held { before, after, damaged })
            }
        })
    }

    fn into_batch(self) -> Batch {
        let mut batch = Batch::new();
        let mut events: Vec<_> = self.events.into_iter().collect();
        events.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (key, record) in events {
            batch = batch.put(Space::Reports, key, record);
        }
        for (key, Held { before, after, damaged }) in self.keys {
            let after = after.map(|owner| owner.encode());
            if damaged || before == after {
                continue;
            }
            batch = batch.expect(Space::Keys, *key.as_bytes(), before);
            batch = match after {
                Some(after) => batch.put(Space::Keys, *key.as_bytes(), after),
                None => batch.remove(Space::Keys, *key.as_bytes()),
            };
        }
        batch
    }
}

impl Beside for Changes<'_> {
    fn event(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(event) = self.events.get(key) {
            return Ok(Some(event.clone()));
        }
        match self.known.get(key) {
            Some(known) => Ok(known.clone()),
            None => self.store.get(Space::Reports, key),
        }
    }

    fn owner(&mut self, key: &Sha256Digest) -> Result<Option<Owner>, StoreError> {
        match self.look(key)? {
            Held { damaged: true, .. } => Err(StoreError::Corrupt(format!("keys/{key}"))),
            held => Ok(held.after.clone()),
        }
    }
}
