//! Looks after the fleet plane while it runs: reads the maker's files again, counts the devices, and sweeps what is past
//! its time, in short steps, between which it looks at what else is due, and whether to stop. It answers nobody.

use super::Plane;
use super::authority::{Authority, AuthorityError};
use super::count::Count;
use super::lists;
use super::releases::Shelf;
use super::sweep::{self, Sweep};
use super::trust::Trust;
use crate::config::fleet::Keep;
use crate::steady::Steady;
use crate::store::{Store, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_secs(1);
/// Between two counts of the devices: so long at least, and a hundred times as long as the last one took.
const COUNT: Duration = Duration::from_secs(10);
const COUNT_FACTOR: u32 = 100;
/// Between two looks at whether a sweep is due; the first comes shortly after the start.
const SWEEP: Duration = Duration::from_secs(600);
const FIRST_SWEEP: Duration = Duration::from_secs(5);
/// Between two looks at whether the clock holds.
const LOOK: Duration = Duration::from_secs(60);
/// Between two steps of a count or a sweep, so that devices don't wait for either.
const BREATH: Duration = Duration::from_millis(20);

/// How it looks after what.
pub(super) struct Duties {
    pub(super) plane: Arc<Plane>,
    /// The enrolment key and its certificate.
    pub(super) enrolment: Option<(PathBuf, PathBuf)>,
    /// How often files are looked at.
    pub(super) reload: Duration,
    pub(super) keep: Keep,
    /// What is known of releases.
    pub(super) releases: Arc<Shelf>,
}

/// Runs until told to stop.
pub(super) fn run(duties: &Duties, mut stop: watch::Receiver<bool>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "nobody looks after the fleet plane"),
    };
    runtime.block_on(async {
        let began = Instant::now();
        let (mut reload, mut count, mut sweep) = (began + duties.reload, began, began + FIRST_SWEEP);
        let mut chores = Chores::of(Steady::new(Arc::clone(&duties.plane.fleet.now)));
        loop {
            let now = Instant::now();
            if now >= reload || duties.plane.is_to_reload() {
                duties.reload();
                reload = now + duties.reload;
            }
            if now >= count && chores.counting.is_none() {
                chores.counting = Some((Count::new(duties.plane.by_maker()), Duration::ZERO));
            }
            if now >= sweep {
                chores.begin_sweep(duties);
                sweep = now + SWEEP;
            }
            if let Some(took) = chores.count(duties) {
                count = Instant::now() + COUNT.max(took * COUNT_FACTOR);
            }
            chores.sweep(duties, &|| *stop.borrow());
            let pause = if chores.counting.is_some() || chores.sweeping.is_some() { BREATH } else { TICK };
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    });
}

/// What takes many steps, where it is under way.
struct Chores {
    /// With the time that its steps took.
    counting: Option<(Count, Duration)>,
    sweeping: Option<Sweep>,
    /// The time by which it removes.
    steady: Steady,
    /// When that was last looked at.
    looked: Option<Instant>,
}

impl Chores {
    fn of(steady: Steady) -> Self {
        Self { counting: None, sweeping: None, steady, looked: None }
    }

    /// A step of the count; at its end, how long it took in all.
    fn count(&mut self, duties: &Duties) -> Option<Duration> {
        let (count, took) = self.counting.as_mut()?;
        let began = Instant::now();
        let step = count.step(duties.store());
        *took += began.elapsed();
        if matches!(step, Ok(false)) {
            return None;
        }
        let (count, took) = self.counting.take()?;
        match step {
            Ok(_) => duties.plane.counted(count.counted),
            Err(error) => tracing::warn!(%error, "the devices can't be counted"),
        }
        Some(took)
    }

    /// Begins a sweep where one is due and none is under way.
    fn begin_sweep(&mut self, duties: &Duties) {
        let now = (duties.plane.fleet.now)();
        match sweep::is_due(duties.store(), now) {
            Ok(true) if self.sweeping.is_none() => self.sweeping = Some(Sweep::new(&duties.keep)),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "nobody knows whether old reports are to be removed"),
        }
    }

    /// A step of the sweep.
    fn sweep(&mut self, duties: &Duties, stopped: &dyn Fn() -> bool) {
        // Also where nothing is swept: only a clock that is looked at is seen to hold.
        if self.sweeping.is_none() && self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let now = self.steady.now(duties.store());
        let Some(sweep) = &mut self.sweeping else { return };
        let step: Result<bool, StoreError> = now.and_then(|now| sweep.step(duties.store(), now, stopped));
        let step = step.and_then(|over| {
            let noted = if over { sweep::note(duties.store(), (duties.plane.fleet.now)()) } else { Ok(()) };
            noted.map(|()| over)
        });
        match step {
            Ok(false) => return,
            Ok(true) => {
                let swept = sweep.swept;
                tracing::info!(
                    swept.reports,
                    swept.devices,
                    "what devices told is kept no longer than promised"
                );
            }
            Err(error) => tracing::error!(%error, "old reports can't be removed"),
        }
        self.sweeping = None;
    }
}

impl Duties {
    fn reload(&self) {
        let fleet = &self.plane.fleet;
        self.releases.again();
        fleet.figures.releases_unreadable.set(self.releases.current().unreadable() as i64);
        match fleet.weak.reload() {
            Ok(true) => tracing::info!("the list of serial numbers was read again; they are being tried"),
            Ok(false) => {}
            Err(error) => {
                fleet.figures.reloads_failed.inc();
                tracing::error!(%error, "the list of serial numbers can't be read again; the one before stays");
            }
        }
        let Some(trust) = &fleet.trust else { return };
        match trust.reload(false) {
            Ok(true) => {
                tracing::info!("the device CA's files were read again");
                remember(trust, self.store());
            }
            Ok(false) => {}
            Err(error) => {
                fleet.figures.reloads_failed.inc();
                tracing::error!(%error, "the device CA's files can't be read again; what was read before stays");
            }
        }
        fleet.figures.revocations.set(trust.revocations().0 as i64);
        let Some((key, certificate)) = &self.enrolment else { return };
        match Authority::load(key, certificate, trust) {
            Ok(authority) => fleet.authority.store(Arc::new(Some(authority))),
            Err(error @ AuthorityError::Revoked(_)) => {
                fleet.authority.store(Arc::new(None));
                tracing::error!(%error, "no device can enrol until there is another enrolment certificate");
            }
            Err(error) => {
                fleet.figures.reloads_failed.inc();
                tracing::error!(%error, "the enrolment certificate can't be read again; the one before stays");
            }
        }
    }

    fn store(&self) -> &dyn Store {
        self.plane.fleet.store.as_ref()
    }
}

/// Notes which revocation lists are in use, and which were before.
pub(super) fn remember(trust: &Trust, store: &dyn Store) {
    let known = lists::keep(store, &trust.numbers()).and_then(|()| lists::kept(store));
    match known {
        Ok(kept) => trust.remembers(kept),
        Err(error) => tracing::warn!(%error, "which revocation lists were in use isn't known"),
    }
}
