//! The thread beside the updates in which the fleet plane is told. No step of an update waits for it: a copy of what there
//! is to tell goes in, what was acknowledged comes out.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use perennial_device_core::crypto::Ring;
use perennial_device_core::fleet::Told;
use perennial_device_core::run::Runner;
use perennial_schemas::Timestamp;

use super::{FleetAgent, Snapshot};

/// How often a device that has nothing to tell looks whether its owner wants it otherwise, in seconds.
const LOOK: i64 = 600;

/// The thread, seen from the updates.
pub struct Beside {
    to: Sender<(Snapshot, Timestamp)>,
    from: Receiver<Told>,
    busy: bool,
    /// The last report that was handed over; `None` before the first time.
    last: Option<u64>,
    next: Timestamp,
}

impl Beside {
    /// Starts the thread. It ends with this value, or with the process.
    pub fn start(mut agent: FleetAgent) -> Option<Self> {
        let (to, work) = channel::<(Snapshot, Timestamp)>();
        let (done, from) = channel();
        let thread = std::thread::Builder::new().name("fleet".into()).spawn(move || {
            while let Ok((snapshot, now)) = work.recv() {
                let told = agent.tell(&snapshot, now, false).unwrap_or_else(|problem| {
                    tracing::warn!(%problem, "the fleet plane can't be spoken to");
                    Told::default()
                });
                if done.send(told).is_err() {
                    break;
                }
            }
        });
        match thread {
            Ok(_) => Some(Self { to, from, busy: false, last: None, next: Timestamp::EPOCH }),
            Err(error) => {
                tracing::warn!(%error, "no thread for the fleet plane");
                None
            }
        }
    }

    /// Takes what came out, and hands over what is new. Never waits.
    pub fn turn(&mut self, runner: &mut Runner<'_, Ring>, now: Timestamp) {
        while let Ok(told) = self.from.try_recv() {
            self.take(&told, runner, now);
        }
        let last = runner.client().journal().reports.last();
        if !self.busy && (self.last != Some(last) || self.next <= now) {
            self.last = Some(last);
            self.busy = self.to.send((Snapshot::of(runner), now)).is_ok();
        }
    }

    /// Waits until everything was tried once, but no longer than `patience`: for commands that end.
    pub fn finish(&mut self, runner: &mut Runner<'_, Ring>, now: Timestamp, patience: Duration) {
        // What was handed over before may lack the last reports.
        for _ in 0..2 {
            self.turn(runner, now);
            if !self.busy {
                return;
            }
            match self.from.recv_timeout(patience) {
                Ok(told) => self.take(&told, runner, now),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Seconds until there is something to do here.
    pub fn seconds_left(&self, now: Timestamp) -> i64 {
        (self.next.unix() - now.unix()).max(1)
    }

    fn take(&mut self, told: &Told, runner: &mut Runner<'_, Ring>, now: Timestamp) {
        self.busy = false;
        self.next = told.next.unwrap_or(now.plus_seconds(LOOK)).min(now.plus_days(30));
        if let Some(trouble) = &told.trouble {
            tracing::warn!(%trouble, again = ?told.next, "the fleet plane was not told everything");
        }
        if let Some(epoch) = told.enrolled {
            tracing::info!(epoch, "enrolled");
        }
        if told.sent > 0 || told.checked_in || told.renewed {
            tracing::info!(reports = told.sent, checked_in = told.checked_in, renewed = told.renewed, "told");
        }
        if let Err(error) = runner.acknowledge(told.acknowledged, now) {
            // They are told again, and acknowledged again.
            tracing::warn!(%error, "what was acknowledged can't be noted");
        }
    }
}
