//! What one core counts by itself: plain cells, added to the shared figures at each sweep. So a request touches no
//! memory that another core writes to. It also holds the core's coarse clock.

use crate::metrics::Metrics;
use prometheus::local::LocalHistogram;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds since the core began, as of its last sweep.
pub(crate) type Tick = u64;

/// Whose figures are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plane {
    /// Everybody's.
    Static,
    /// That of devices with an identity.
    Fleet,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tally {
    shared: Arc<Metrics>,
    plane: Plane,
    tick: Cell<Tick>,
    answers: [Cell<u64>; 6],
    not_modified: Cell<u64>,
    sent: Cell<u64>,
    received: Cell<u64>,
    seconds: LocalHistogram,
}

impl Tally {
    pub(crate) fn new(shared: Arc<Metrics>, plane: Plane) -> Self {
        let seconds = match plane {
            Plane::Static => shared.seconds.local(),
            Plane::Fleet => shared.fleet.seconds.local(),
        };
        Self {
            shared,
            plane,
            seconds,
            tick: Cell::default(),
            answers: Default::default(),
            not_modified: Cell::default(),
            sent: Cell::default(),
            received: Cell::default(),
        }
    }

    pub(crate) fn now(&self) -> Tick {
        self.tick.get()
    }

    pub(crate) fn set_now(&self, tick: Tick) {
        self.tick.set(tick);
    }

    pub(crate) fn answered(&self, status: u16) {
        if status == 304 {
            add(&self.not_modified, 1);
        }
        if let Some(class) = self.answers.get(usize::from(status / 100)) {
            add(class, 1);
        }
    }

    pub(crate) fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.sent, bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.received, bytes as u64);
    }

    /// Adds everything to the shared figures.
    pub(crate) fn flush(&self) {
        for (class, count) in self.answers.iter().enumerate() {
            match self.plane {
                Plane::Static => self.shared.answered_class(class, count.take()),
                Plane::Fleet => self.shared.fleet.answered_class(class, count.take()),
            }
        }
        self.shared.not_modified.inc_by(self.not_modified.take());
        self.shared.sent.inc_by(self.sent.take());
        self.shared.received.inc_by(self.received.take());
        self.seconds.flush();
    }
}

fn add(cell: &Cell<u64>, more: u64) {
    cell.set(cell.get() + more);
}
