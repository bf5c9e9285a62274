//! The group commit: one thread takes operations from a bounded queue and folds them into their devices' rows, another one
//! commits rows and events as one durable batch, and only then answers. While a batch is on its way to the disk, the next one
//! gathers, and is folded over what the store will hold then; where the first one isn't committed as it was folded, the second
//! one is folded anew. A batch that fails changes nothing and answers so; nothing is ever acknowledged that isn't on the disk.
//! "Last heard of" alone is written behind.

mod ahead;
mod changes;
mod group;
mod rows;

pub(crate) use ahead::Ahead;

use self::ahead::UnderWay;
use self::group::{Folded, Group};
use self::rows::Rows;
use super::figures::Figures;
use super::fold::{Act, Operation, Verdict};
use super::releases::Shelf;
use super::trust::Trust;
use crate::io::Now;
use crate::records::restored::Restored;
use crate::rollout::ballot::Ballot;
use crate::store::{Batch, Store, StoreError};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::DeviceId;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Reports that are committed together; whoever brings more brings them in parts of this size.
pub(crate) const TOGETHER: usize = 2000;
/// With as many reports, the next batch is folded while the one before is on its way; a smaller one waits for more until that
/// one has come to an end.
const EARLY: usize = 500;
/// How long "last heard of" may be behind.
const BEHIND: Duration = Duration::from_secs(2);
/// Devices that may be behind before they are written early: a MiB or so.
const BEHIND_DEVICES: usize = 16_384;
/// Rows of one commit of "last heard of": where somebody else changes one, no more than these are written again.
const BEHIND_TOGETHER: usize = 1000;
/// How often that is tried before the rest waits for the next time.
const BEHIND_TRIES: usize = 8;

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
    /// How often, and when, the records were restored from an older copy.
    pub(crate) restored: Restored,
}

/// The writer's queue; when the last handle is gone, the thread writes what waits and ends.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Handle>);

struct Handle {
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    figures: Arc<Figures>,
}

/// Whom to answer when all of a job is durable.
type Answer = oneshot::Sender<Result<Vec<Verdict>, Fault>>;

enum Job {
    /// Fold these, commit, and answer.
    Operations(Waiting),
    /// A device was heard of.
    Seen(DeviceId),
    /// The batch that was under way has come to an end: true where it was committed as it was folded.
    Landed(bool),
    /// Nobody is left who could ask.
    End,
}

struct Waiting {
    operations: Vec<Operation>,
    weight: usize,
    answer: Answer,
}

/// Starts the threads; the one that is given ends last.
///
/// # Errors
/// When the system gives none.
pub(crate) fn start(means: Means) -> std::io::Result<(Writer, JoinHandle<()>)> {
    let (jobs, queue) = channel();
    let (flights, ready) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let committer = Committer { means: means.clone(), waiting: Arc::clone(&waiting), jobs: jobs.clone() };
    let committer =
        std::thread::Builder::new().name("fleet-commit".into()).spawn(move || committer.run(&ready))?;
    let handle = Handle { jobs, waiting, limit: means.queue, figures: Arc::clone(&means.figures) };
    let thread = Thread {
        means,
        flights,
        waiting: VecDeque::new(),
        weight: 0,
        next: None,
        flight: None,
        behind: HashMap::new(),
        ending: false,
    };
    let thread = std::thread::Builder::new().name("fleet-writer".into()).spawn(move || {
        thread.run(&queue);
        // One that panicked has said so on its own.
        let _ = committer.join();
    })?;
    Ok((Writer(Arc::new(handle)), thread))
}

impl Writer {
    /// Writes operations down: a verdict for each, in their order, when all of it is durable.
    ///
    /// # Errors
    /// [`Fault`]; nothing of it counts then.
    pub(crate) async fn write(&self, operations: Vec<Operation>) -> Result<Vec<Verdict>, Fault> {
        let Handle { jobs, waiting, limit, figures } = &*self.0;
        let weight: usize = operations.iter().map(weight).sum();
        let before = waiting.fetch_add(weight, Ordering::AcqRel);
        // One job may always wait, however large: else the largest batches could never be written.
        if before > 0 && before + weight > *limit {
            waiting.fetch_sub(weight, Ordering::AcqRel);
            return Err(Fault::Busy);
        }
        figures.waiting.set((before + weight) as i64);
        let (answer, answered) = oneshot::channel();
        let job = Job::Operations(Waiting { operations, weight, answer });
        jobs.send(job).map_err(|_| Fault::Unavailable)?;
        answered.await.unwrap_or(Err(Fault::Unavailable))
    }

    /// Notes that a device was heard of, some time later.
    pub(crate) fn seen(&self, device: &DeviceId) {
        let _ = self.0.jobs.send(Job::Seen(device.clone()));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::End);
    }
}

/// How many reports an operation counts as.
pub(crate) fn weight(operation: &Operation) -> usize {
    match &operation.act {
        Act::Reports(queue) => queue.reports.len(),
        Act::CheckIn(..) | Act::Enrol(_) => 1,
    }
}

/// A group on its way to the disk.
struct Flight {
    group: Group,
    /// As it was folded already; `None`: over the store as it is when its turn comes.
    folded: Option<Result<Folded, StoreError>>,
    began: Instant,
}

/// Commits one group after the other.
struct Committer {
    means: Means,
    waiting: Arc<AtomicUsize>,
    jobs: Sender<Job>,
}

#[expect(clippy::disallowed_methods, reason = "how long a commit takes is measured here")]
impl Committer {
    fn run(self, ready: &Receiver<Flight>) {
        for Flight { group, folded, began } in ready {
            let mut landing = Landing { jobs: &self.jobs, as_folded: false };
            let written = catch_unwind(AssertUnwindSafe(|| group.write(&self.means, folded)));
            let (result, as_folded) = written.unwrap_or_else(|_| {
                // Nobody was told that it is there; whoever asks again finds out.
                tracing::error!("reports can't be written down: that was a fault of this program");
                (Err(Fault::Unavailable), false)
            });
            landing.as_folded = as_folded;
            self.means.figures.commit_seconds.observe(began.elapsed().as_secs_f64());
            let waiting = self.waiting.fetch_sub(group.weight, Ordering::AcqRel) - group.weight;
            self.means.figures.waiting.set(waiting as i64);
            drop(landing);
            group.answer(result);
        }
    }
}

/// Says that a flight has landed, however it ended.
struct Landing<'c> {
    jobs: &'c Sender<Job>,
    as_folded: bool,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::Landed(self.as_folded));
    }
}

struct Thread {
    means: Means,
    flights: Sender<Flight>,
    /// What no group has taken yet.
    waiting: VecDeque<Waiting>,
    /// Reports in it.
    weight: usize,
    /// The next group, folded over what is under way.
    next: Option<Flight>,
    /// Something is under way; and by its keys, where it is known how it was folded.
    flight: Option<Option<UnderWay>>,
    behind: HashMap<DeviceId, Timestamp>,
    ending: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a commit takes, and how long last heard of is behind, is measured here"
)]
impl Thread {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut flushed = Instant::now();
        loop {
            match queue.recv_timeout(BEHIND) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(job) = queue.try_recv() {
                self.take(job);
            }
            self.go_on();
            let idle = self.flight.is_none();
            if self.ending && idle {
                break;
            }
            let late = flushed.elapsed() >= BEHIND || self.behind.len() >= BEHIND_DEVICES;
            if late && !self.behind.is_empty() {
                self.flush();
            }
            if late {
                flushed = Instant::now();
            }
        }
        self.flush();
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Operations(waiting) => {
                self.weight += waiting.weight;
                self.waiting.push_back(waiting);
            }
            Job::Seen(device) => {
                self.behind.insert(device, (self.means.now)());
            }
            Job::Landed(as_folded) => {
                self.flight = None;
                // It was folded over what isn't there.
                if let Some(next) = self.next.as_mut().filter(|_| !as_folded) {
                    next.folded = None;
                }
            }
            Job::End => self.ending = true,
        }
    }

    /// Sends off what may go, and folds ahead what is worth it.
    fn go_on(&mut self) {
        if self.flight.is_none()
            && let Some(mut next) = self.next.take().or_else(|| group(&mut self.waiting, &mut self.weight))
        {
            let Flight { group, folded, .. } = &mut next;
            let folded = &*folded.get_or_insert_with(|| group.fold(&self.means, None));
            let under_way = folded.as_ref().ok().map(|folded| UnderWay::of(&folded.batch));
            if self.flights.send(next).is_ok() {
                self.flight = Some(under_way);
            }
        }
        if self.next.is_none()
            && self.weight >= EARLY
            && let Some(Some(under_way)) = &self.flight
            && let Some(mut next) = group(&mut self.waiting, &mut self.weight)
        {
            next.folded = Some(next.group.fold(&self.means, Some(under_way)));
            self.next = Some(next);
        }
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
            let mut rows = Rows::read(&Ahead::of(store, None), slice.iter().map(|(device, _)| device))?;
            for ((_, at), slot) in slice.iter().zip(rows.each_mut()) {
                if let Some(row) = &mut slot.row {
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

/// A group of what has waited longest.
#[expect(clippy::disallowed_methods, reason = "how long a commit takes is measured here")]
fn group(waiting: &mut VecDeque<Waiting>, weight: &mut usize) -> Option<Flight> {
    let mut group = Group::default();
    while group.weight < TOGETHER
        && let Some(one) = waiting.pop_front()
    {
        *weight -= one.weight;
        group.add(one.operations, one.weight, one.answer);
    }
    (!group.operations.is_empty()).then(|| Flight { group, folded: None, began: Instant::now() })
}
