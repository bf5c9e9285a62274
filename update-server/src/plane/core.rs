//! One core of the static plane: a current-thread runtime that accepts, answers and sweeps. Nothing on it blocks but
//! page faults of mapped blobs, which are asked for ahead of time.

use super::connection;
use super::gate::Gate;
use super::maps::Maps;
use super::tally::{Plane, Tally};
use super::{End, Shared};
use crate::site::Site;
use arc_swap::{ArcSwap, Cache};
use perennial_schemas::Timestamp;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::spawn_local;

/// What the connections of one core share.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Rc<Gate>,
    pub(super) site: RefCell<Cache<Arc<ArcSwap<Site>>, Arc<Site>>>,
    pub(super) maps: Maps,
    pub(super) tally: Rc<Tally>,
    /// The time as HTTP writes it, as of the last sweep.
    pub(super) date: RefCell<String>,
    /// The generation that was served at the last sweep.
    generation: Cell<u64>,
}

/// Runs a core until it is told to stop and its answers are given, or their time is over.
pub(super) fn run(shared: &Arc<Shared>, ends: Vec<End>, stop: watch::Receiver<bool>) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let tally = Tally::new(Arc::clone(&shared.metrics), Plane::Static);
    let gate = Gate::new(shared.limits.clone(), Arc::clone(&shared.metrics), tally, Arc::clone(&shared.open));
    let core = Rc::new(Core {
        site: RefCell::new(Cache::new(Arc::clone(&shared.site))),
        maps: Maps::new(shared.blobs.clone()),
        tally: Rc::clone(&gate.tally),
        gate,
        date: RefCell::new(http_date((shared.now)())),
        generation: Cell::default(),
        shared: Arc::clone(shared),
    });
    let connect = {
        let core = Rc::clone(&core);
        move |socket, _, tls, counted| {
            drop(spawn_local(connection::serve(Rc::clone(&core), socket, tls, counted)));
        }
    };
    let result = runtime.block_on(core.gate.serve(ends, stop, connect, || core.swept()));
    // Whatever is still open ends here; its counts are taken last.
    drop(runtime);
    core.tally.flush();
    result
}

impl Core {
    /// Moves the date, and lets go of an old generation's files.
    fn swept(&self) {
        self.date.replace(http_date((self.shared.now)()));
        let generation = self.site.borrow_mut().load().generation;
        if self.generation.replace(generation) != generation {
            self.maps.forget();
        }
    }
}

/// RFC 9110 §5.6.7: `Sat, 21 Nov 2026 22:52:00 GMT`.
fn http_date(now: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let ((year, month, day), since) = (now.date().parts(), now.unix() % 86_400);
    let name = DAYS[(now.unix() / 86_400 % 7) as usize];
    let month = MONTHS[usize::from(month - 1) % 12];
    let (hour, minute, second) = (since / 3600, since / 60 % 60, since % 60);
    format!("{name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        let date = |seconds| http_date(Timestamp::from_unix(seconds));
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(1_795_294_510), "Sat, 21 Nov 2026 20:55:10 GMT");
    }
}
