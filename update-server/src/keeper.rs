//! The one that keeps the state: takes bundles in, keeps the timestamp fresh, and shows the result to the static plane.
//! One change at a time; a reader never waits for one. It serves nothing itself.

use crate::audit;
use crate::config::Config;
use crate::disk::DiskError;
use crate::fleet::status::Summary;
use crate::freshness::{self, FreshnessError};
use crate::generation::{self, Served};
use crate::ingest::accept::Judge;
use crate::ingest::{Ingest, IngestError, Outcome, Prepared};
use crate::io::Now;
use crate::keys::OnlineKey;
use crate::metrics::Metrics;
use crate::readiness::{Part, Readiness};
use crate::refusals::Refusals;
use crate::rollout::view::Rollout;
use crate::site::{Caching, Site, build};
use crate::state::{Held, State};
use crate::status::{Facts, Ingesting, Running, Status};
use crate::store::{Store, StoreError, make_spare};
use crate::support::Face;
use crate::support::feeds::contacts;
use crate::sweep::{Swept, sweep};
use arc_swap::ArcSwap;
use perennial_schemas::Timestamp;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What can go wrong while the state is kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob can't be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// No timestamp could be signed.
    #[error(transparent)]
    Freshness(#[from] FreshnessError),
}

/// How the state is kept.
pub(crate) struct Rules {
    pub(crate) caching: Caching,
    pub(crate) validity: Duration,
    pub(crate) renew_after: Duration,
    pub(crate) bundle: u64,
    pub(crate) keep: u64,
    pub(crate) face: Face,
}

impl Rules {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            caching: Caching::new(config.cache.fresh.0, config.cache.missing.0),
            validity: config.timestamp.validity.0,
            renew_after: config.renew_after(),
            bundle: config.limits.bundle.0,
            keep: config.keep.generations,
            face: Face::of(config),
        }
    }
}

/// See the module.
pub(crate) struct Keeper {
    held: Held,
    key: Box<dyn OnlineKey>,
    judge: Box<dyn Judge>,
    rules: Rules,
    now: Now,
    /// Held while a bundle is taken in, which lasts as long as its sender takes.
    ingesting: Mutex<()>,
    /// Who sends that bundle, and since when.
    sender: Mutex<Option<Ingesting>>,
    /// What is served; held by whoever changes it, for as long as a commit takes.
    served: Mutex<Option<Served>>,
    refusals: Refusals,
    /// What is wrong with the audit's chain, as of the start.
    broken: Option<String>,
    /// The generation that was served at the last sweep.
    swept: Mutex<Option<u64>>,
    pub(crate) site: Arc<ArcSwap<Site>>,
    pub(crate) ready: Arc<Readiness>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Keeper {
    /// Takes over a held state, and shows what it serves.
    pub(crate) fn new(
        held: Held,
        key: Box<dyn OnlineKey>,
        judge: Box<dyn Judge>,
        rules: Rules,
        now: Now,
        metrics: Arc<Metrics>,
    ) -> Result<Self, KeeperError> {
        let site = Arc::new(ArcSwap::from_pointee(Site::empty(&rules.caching)));
        let served = Mutex::new(None);
        let ingesting = Mutex::new(());
        let refusals = Refusals::load(&held.store, &metrics)?;
        let broken = audit::verify(&held.store).err().map(|error| error.to_string());
        let (ready, swept, sender) = (Arc::default(), Mutex::default(), Mutex::default());
        let keeper = Self {
            held,
            key,
            judge,
            rules,
            now,
            ingesting,
            sender,
            served,
            refusals,
            broken,
            swept,
            site,
            ready,
            metrics,
        };
        keeper.show(&mut keeper.lock())?;
        if let Some(error) = &keeper.broken {
            // Updates go on; whoever looks at the audit must know.
            tracing::error!(error, "the audit chain is broken");
        }
        Ok(keeper)
    }

    /// Takes a bundle in, and serves it. The timestamp of what is served is renewed meanwhile.
    pub(crate) fn ingest(&self, bundle: &mut dyn Read, actor: &str) -> Result<Outcome, IngestError> {
        let _one = self.ingesting.lock().unwrap_or_else(PoisonError::into_inner);
        self.set_sender(Some(Ingesting { actor: actor.into(), since: (self.now)() }));
        let outcome = self.take_in(bundle, actor);
        self.set_sender(None);
        match &outcome {
            Ok(outcome) => {
                self.metrics.ingested.inc();
                tracing::info!(?outcome, actor, "a bundle was taken in");
            }
            Err(error) => {
                let reason = error.reason().word();
                tracing::warn!(%error, reason, actor, "a bundle was refused");
                let noted = self.refusals.note(&self.held.store, &self.metrics, error, actor, (self.now)());
                if let Err(error) = noted {
                    tracing::error!(%error, "the refusal can't be recorded");
                }
            }
        }
        outcome
    }

    fn take_in(&self, bundle: &mut dyn Read, actor: &str) -> Result<Outcome, IngestError> {
        let ingest = Ingest {
            held: &self.held,
            key: self.key.as_ref(),
            judge: self.judge.as_ref(),
            now: (self.now)(),
            validity: self.rules.validity,
            limit: self.rules.bundle,
            actor,
        };
        let prepared = match ingest.prepare(bundle)? {
            Prepared::Unchanged(outcome) => return Ok(outcome),
            Prepared::New(prepared) => prepared,
        };
        let mut served = self.lock();
        let outcome = ingest.commit(*prepared, (self.now)())?;
        // It is committed: what is shown now is the new generation, or, should a blob be unreadable, the old.
        self.show(&mut served).map_err(|error| match error {
            KeeperError::Store(error) => IngestError::Store(error),
            KeeperError::Disk(error) => IngestError::Disk(error),
            KeeperError::Freshness(error) => IngestError::Freshness(error),
        })?;
        Ok(outcome)
    }

    /// Looks after what time changes: renews the timestamp when it is due, and tells how long everything lasts.
    pub(crate) fn tend(&self) {
        self.note_room();
        let mut served = self.lock();
        let now = (self.now)();
        if let Some(current) = served.as_ref() {
            self.note_expiries(current, now);
            let renewed = self.renew(current, now);
            match renewed {
                Ok(None) => {}
                Ok(Some(renewed)) => *served = Some(renewed),
                Err(error) => {
                    self.metrics.renewals_failed.inc();
                    tracing::error!(%error, "the timestamp can't be renewed");
                    self.ready.fails(Part::Timestamp, format!("the timestamp can't be renewed: {error}"));
                    // Should the store have taken it and only the showing have failed, the store is right.
                    let _ = self.show(&mut served);
                }
            }
        }
    }

    /// Sweeps the disk when another generation is served than at the last sweep. Where a bundle is being taken in, the
    /// next call does it.
    pub(crate) fn tidy(&self) {
        let number = self.served().map(|served| served.generation.number);
        let mut last = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if number.is_none() || *last == number {
            return;
        }
        let Ok(_one) = self.ingesting.try_lock() else { return };
        match sweep(&self.held, self.rules.keep, (self.now)()) {
            Ok(swept) => {
                *last = number;
                self.metrics.blob_bytes.set(swept.kept as i64);
                self.metrics.swept.inc_by(swept.bytes);
                if swept != (Swept { kept: swept.kept, ..Swept::default() }) {
                    tracing::info!(generations = ?swept.generations, blobs = swept.blobs, bytes = swept.bytes, "old content was removed");
                }
            }
            Err(error) => tracing::error!(%error, "old content can't be removed"),
        }
    }

    /// How the server is, which was started at `started`.
    pub(crate) fn status(
        &self,
        started: Timestamp,
        certificate_expires: Option<Timestamp>,
        fleet: Option<Summary>,
        rollouts: Vec<Rollout>,
    ) -> Result<Status, StoreError> {
        let served = self.served();
        let classes = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map(str::to_owned);
        let running = Running {
            started,
            not_modified: self.metrics.not_modified.get(),
            answers: classes.into_iter().zip(self.metrics.answers()).skip(2).collect(),
            connections: self.metrics.connections.get(),
            sent_bytes: self.metrics.sent.get(),
            blob_bytes: self.metrics.blob_bytes.get(),
            certificate_expires,
            ingesting: self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        let facts = Facts {
            store: &self.held.store,
            served: served.as_ref(),
            refused: self.refusals.all(),
            audit: self.broken.clone(),
            running: Some((running, self.ready.check())),
            fleet,
            rollouts,
            now: (self.now)(),
        };
        facts.status()
    }

    fn set_sender(&self, sender: Option<Ingesting>) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    /// What is served, for the admin listener and for exports.
    pub(crate) fn served(&self) -> Option<Served> {
        self.lock().clone()
    }

    /// Where everything lies.
    pub(crate) fn place(&self) -> &State {
        &self.held.state
    }

    /// The store, for reading.
    pub(crate) fn store(&self) -> &dyn Store {
        &self.held.store
    }

    fn lock(&self) -> MutexGuard<'_, Option<Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, served: &mut Option<Served>) -> Result<(), KeeperError> {
        *served = generation::served(&self.held.store)?;
        let Some(current) = served.as_ref() else { return Ok(()) };
        let number = current.generation.number;
        let previous = if number > 1 { generation::numbered(&self.held.store, number - 1)? } else { None };
        let now = (self.now)();
        let blobs = self.held.state.blobs();
        let (before, rules) = (self.site.load(), &self.rules);
        let site = build::site(current, previous.as_ref(), &before, &blobs, &rules.caching, &rules.face)?;
        self.site.store(Arc::new(site));
        self.metrics.generation.set(number as i64);
        self.note_expiries(current, now);
        self.ready.works(Part::Generation);
        Ok(())
    }

    /// The served state with a new timestamp, if one is due.
    fn renew(&self, served: &Served, now: Timestamp) -> Result<Option<Served>, KeeperError> {
        let (last, snapshot) = freshness::read(&served.timestamp)?;
        let left = last.expires.unix() - now.unix();
        if served.generation.offline_timestamp {
            match left {
                ..=0 => self.ready.fails(Part::Timestamp, "the offline timestamp has expired"),
                _ => self.ready.works(Part::Timestamp),
            }
            return Ok(None);
        }
        let (validity, renew_after) =
            (self.rules.validity.as_secs() as i64, self.rules.renew_after.as_secs() as i64);
        let fresh_enough = validity - renew_after < left && left <= validity;
        if fresh_enough {
            self.ready.works(Part::Timestamp);
            return Ok(None);
        }
        let fresh = freshness::sign(self.key.as_ref(), &snapshot, last.version, now, self.rules.validity)?;
        self.held.store.commit(generation::refresh(served, &fresh.bytes))?;
        let renewed = Served { generation: served.generation.clone(), timestamp: fresh.bytes };
        let site = build::with_fresh(&self.site.load(), &renewed, &self.rules.caching);
        self.site.store(Arc::new(site));
        self.ready.works(Part::Timestamp);
        self.metrics.renewals.inc();
        tracing::info!(version = fresh.version, expires = %fresh.expires, "the timestamp was renewed");
        Ok(Some(renewed))
    }

    fn note_room(&self) {
        if let Some(room) = self.held.store.room() {
            self.metrics.store_free.set(room.free.min(i64::MAX as u64) as i64);
            self.metrics.store_reserve.set(room.reserve.min(i64::MAX as u64) as i64);
            if let Err(error) = make_spare(&self.held.state.spare(), room) {
                tracing::debug!(%error, "there is no spare file");
            }
        }
    }

    fn note_expiries(&self, served: &Served, now: Timestamp) {
        let timestamp = freshness::read(&served.timestamp).map(|(fresh, _)| fresh.expires).ok();
        let ends = contacts::ends(&served.generation, now);
        for (name, expires) in ends.into_iter().chain(timestamp.map(|expires| ("timestamp".into(), expires)))
        {
            let days = (expires.unix() - now.unix()) as f64 / 86_400.0;
            self.metrics.expiry_days.with_label_values(&[&name]).set(days);
        }
    }
}
