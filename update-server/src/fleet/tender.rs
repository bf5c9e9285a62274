//! Looks after the fleet plane while it runs: reads the device CA's files again, counts the devices, and sweeps what is past
//! its time. It answers nobody.

use super::Plane;
use super::authority::{Authority, AuthorityError};
use super::sweep::sweep;
use crate::config::fleet::Keep;
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
/// Between two sweeps; the first comes an hour after the start.
const SWEEP: Duration = Duration::from_secs(86_400);
const FIRST_SWEEP: Duration = Duration::from_secs(3600);
/// Between two pages of a sweep.
const BREATH: Duration = Duration::from_millis(20);

/// How it looks after what.
pub(super) struct Duties {
    pub(super) plane: Arc<Plane>,
    /// The enrolment key and its certificate.
    pub(super) enrolment: Option<(PathBuf, PathBuf)>,
    /// How often files are looked at.
    pub(super) reload: Duration,
    pub(super) keep: Keep,
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
        loop {
            let now = Instant::now();
            if now >= reload {
                duties.reload();
                reload = now + duties.reload;
            }
            if now >= count {
                duties.count();
                count = Instant::now() + COUNT.max(now.elapsed() * COUNT_FACTOR);
            }
            if now >= sweep {
                duties.sweep(&stop);
                sweep = now + SWEEP;
            }
            tokio::select! {
                () = sleep(TICK) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    });
}

impl Duties {
    fn reload(&self) {
        let fleet = &self.plane.fleet;
        let Some(trust) = &fleet.trust else { return };
        match trust.reload(false) {
            Ok(true) => tracing::info!("the device CA's files were read again"),
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

    fn count(&self) {
        match super::desk::count(self.plane.fleet.store.as_ref()) {
            Ok(counted) => self.plane.counted(counted),
            Err(error) => tracing::warn!(%error, "the devices can't be counted"),
        }
    }

    fn sweep(&self, stop: &watch::Receiver<bool>) {
        let fleet = &self.plane.fleet;
        // At shutdown the rest is left for the next time: there is no reason to breathe then.
        let pause = || {
            if !*stop.borrow() {
                std::thread::sleep(BREATH);
            }
        };
        match sweep(fleet.store.as_ref(), &self.keep, (fleet.now)(), &pause) {
            Ok(swept) => {
                tracing::info!(
                    swept.reports,
                    swept.devices,
                    "what devices told is kept no longer than promised"
                );
            }
            Err(error) => tracing::error!(%error, "old reports can't be removed"),
        }
    }
}
