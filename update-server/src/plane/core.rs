//! One core of the static plane: a current-thread runtime that accepts, answers and sweeps. Nothing on it blocks but
//! page faults of mapped blobs, which are asked for ahead of time.

use super::connection;
use super::guard::{Ending, Ticks, Watch};
use super::maps::Maps;
use super::tally::Tally;
use super::{End, Shared};
use crate::metrics::Closed;
use crate::site::Site;
use arc_swap::{ArcSwap, Cache};
use perennial_schemas::Timestamp;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::TlsAcceptor;

/// What the connections of one core share.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) site: RefCell<Cache<Arc<ArcSwap<Site>>, Arc<Site>>>,
    pub(super) maps: Maps,
    pub(super) tally: Rc<Tally>,
    /// The time as HTTP writes it, as of the last sweep.
    pub(super) date: RefCell<String>,
    /// The generation that was served at the last sweep.
    generation: Cell<u64>,
    watches: RefCell<HashMap<u64, Rc<Watch>>>,
    next: Cell<u64>,
}

/// Runs a core until it is told to stop and its answers are given, or their time is over.
pub(super) fn run(shared: &Arc<Shared>, ends: Vec<End>, stop: watch::Receiver<bool>) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let core = Rc::new(Core {
        site: RefCell::new(Cache::new(Arc::clone(&shared.site))),
        maps: Maps::new(shared.blobs.clone()),
        tally: Rc::new(Tally::new(Arc::clone(&shared.metrics))),
        date: RefCell::new(http_date((shared.now)())),
        generation: Cell::default(),
        watches: RefCell::default(),
        next: Cell::default(),
        shared: Arc::clone(shared),
    });
    let result = runtime.block_on(serve(Rc::clone(&core), ends, stop));
    // Whatever is still open ends here; its counts are taken last.
    drop(runtime);
    core.tally.flush();
    result
}

async fn serve(core: Rc<Core>, ends: Vec<End>, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let mut accepting = Vec::new();
    for (listener, tls) in ends {
        let listener = TcpListener::from_std(listener)?;
        accepting.push(spawn_local(accept(Rc::clone(&core), listener, tls.map(TlsAcceptor::from))));
    }
    let ticks = Ticks::new(&core.shared.limits);
    let began = Instant::now();
    let mut interval = tokio::time::interval(ticks.sweep_every());
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => core.sweep(began, &ticks),
            // The sender's end is an end too.
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    let deadline = Instant::now() + core.shared.limits.drain.0;
    core.for_each(|watch| watch.end(Ending::Soon));
    while !core.watches.borrow().is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
        core.sweep(began, &ticks);
    }
    Ok(())
}

async fn accept(core: Rc<Core>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                while core.shared.open.total() >= core.shared.limits.connections {
                    core.make_room();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                let limit = core.shared.limits.connections_per_address;
                let Some(counted) = core.shared.open.enter(peer.ip(), limit) else {
                    core.shared.metrics.closed(Closed::Address);
                    continue;
                };
                // Answers are written whole; waiting for more (Nagle) would only delay them.
                let _ = socket.set_nodelay(true);
                spawn_local(connection::serve(Rc::clone(&core), socket, tls.clone(), counted));
            }
            // The client went away while it waited: no reason to pause.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Core {
    /// Watches a connection until what is returned is dropped.
    pub(super) fn register(self: &Rc<Self>, watch: &Rc<Watch>) -> Registered {
        let id = self.next.get();
        self.next.set(id + 1);
        self.watches.borrow_mut().insert(id, Rc::clone(watch));
        self.shared.metrics.connections.inc();
        Registered { core: Rc::clone(self), id }
    }

    fn for_each(&self, mut what: impl FnMut(&Watch)) {
        // Ending a connection wakes its task, which runs later: nothing changes the map meanwhile.
        self.watches.borrow().values().for_each(|watch| what(watch));
    }

    /// Moves the clock, ends connections that passed a limit, adds up the counts, and lets go of an old generation's files.
    fn sweep(&self, began: Instant, ticks: &Ticks) {
        self.tally.set_now(began.elapsed().as_millis() as u64);
        self.for_each(|watch| {
            if let Some(reason) = watch.overdue(ticks) {
                self.shared.metrics.closed(reason);
                watch.end(Ending::Now);
            }
        });
        self.date.replace(http_date((self.shared.now)()));
        self.tally.flush();
        let generation = self.site.borrow_mut().load().generation;
        if self.generation.replace(generation) != generation {
            self.maps.forget();
        }
    }

    /// Ends the connection of this core that has rested longest, so that idle ones can't keep others out.
    fn make_room(&self) {
        let watches = self.watches.borrow();
        let idle = watches.iter().filter(|(_, watch)| watch.is_idle());
        if let Some((_, watch)) = idle.min_by_key(|(id, watch)| (watch.idle_since(), **id)) {
            self.shared.metrics.closed(Closed::Evicted);
            watch.end(Ending::Now);
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

/// A watched connection.
pub(super) struct Registered {
    core: Rc<Core>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.core.watches.borrow_mut().remove(&self.id);
        self.core.shared.metrics.connections.dec();
    }
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
