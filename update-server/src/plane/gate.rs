//! How one core takes connections, whatever they speak: within the limits in all and by address, each watched, swept for
//! what it takes too long over, and drained at the end. It reads nothing of what they say.

use super::guard::{Ending, Ticks, Watch};
use super::tally::Tally;
use super::{Count, Counted, End};
use crate::config::Limits;
use crate::metrics::{Closed, Metrics};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::TlsAcceptor;

/// Connections that give way at once.
const TOGETHER: usize = 64;

/// See the module.
pub(crate) struct Gate {
    limits: Limits,
    metrics: Arc<Metrics>,
    pub(crate) tally: Rc<Tally>,
    /// Open connections of all cores.
    open: Arc<Count>,
    watches: RefCell<HashMap<u64, Rc<Watch>>>,
    next: Cell<u64>,
}

impl Gate {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>, tally: Tally, open: Arc<Count>) -> Rc<Self> {
        let (watches, next) = (RefCell::default(), Cell::default());
        Rc::new(Self { limits, metrics, tally: Rc::new(tally), open, watches, next })
    }

    /// Takes connections until told to stop, and then lets them finish for as long as `limits.drain`. `connect` spawns what
    /// serves a connection; `swept` is called after each sweep.
    pub(crate) async fn serve(
        self: &Rc<Self>,
        ends: Vec<End>,
        mut stop: watch::Receiver<bool>,
        connect: impl Fn(TcpStream, SocketAddr, Option<TlsAcceptor>, Counted) + Clone + 'static,
        swept: impl Fn(),
    ) -> io::Result<()> {
        let mut accepting = Vec::new();
        for (listener, tls) in ends {
            let listener = TcpListener::from_std(listener)?;
            let (gate, connect, tls) = (Rc::clone(self), connect.clone(), tls.map(TlsAcceptor::from));
            accepting.push(spawn_local(async move { gate.accept(listener, tls, connect).await }));
        }
        let ticks = Ticks::new(&self.limits);
        let began = Instant::now();
        let mut interval = tokio::time::interval(ticks.sweep_every());
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {
                    self.sweep(began, &ticks);
                    swept();
                }
                // The sender's end is an end too.
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        let deadline = Instant::now() + self.limits.drain.0;
        self.for_each(|watch| watch.end(Ending::Soon));
        while !self.watches.borrow().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.sweep(began, &ticks);
        }
        Ok(())
    }

    async fn accept(
        &self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        connect: impl Fn(TcpStream, SocketAddr, Option<TlsAcceptor>, Counted),
    ) {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    while self.open.total() >= self.limits.connections {
                        self.make_room();
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    let limit = self.limits.connections_per_address;
                    let Some(counted) = self.open.enter(peer.ip(), limit) else {
                        self.metrics.closed(Closed::Address);
                        continue;
                    };
                    // Answers are written whole; waiting for more (Nagle) would only delay them.
                    let _ = socket.set_nodelay(true);
                    connect(socket, peer, tls.clone(), counted);
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

    /// Watches a connection until what is returned is dropped.
    pub(crate) fn register(self: &Rc<Self>, watch: &Rc<Watch>) -> Registered {
        let id = self.next.get();
        self.next.set(id + 1);
        self.watches.borrow_mut().insert(id, Rc::clone(watch));
        self.metrics.connections.inc();
        Registered { gate: Rc::clone(self), id }
    }

    fn for_each(&self, mut what: impl FnMut(&Watch)) {
        // Ending a connection wakes its task, which runs later: nothing changes the map meanwhile.
        self.watches.borrow().values().for_each(|watch| what(watch));
    }

    /// Moves the clock, ends connections that passed a limit, and adds up the counts.
    fn sweep(&self, began: Instant, ticks: &Ticks) {
        self.tally.set_now(began.elapsed().as_millis() as u64);
        self.for_each(|watch| {
            if let Some(reason) = watch.overdue(ticks) {
                self.metrics.closed(reason);
                watch.end(Ending::Now);
            }
        });
        self.tally.flush();
    }

    /// Ends the connections of this core that have rested longest, so that idle ones can't keep others out: some at once, as many
    /// may come at once.
    fn make_room(&self) {
        let watches = self.watches.borrow();
        let idle = watches.iter().filter(|(_, watch)| watch.is_idle());
        let mut idle: Vec<_> = idle.map(|(id, watch)| ((watch.idle_since(), *id), watch)).collect();
        idle.sort_unstable_by_key(|(rested, _)| *rested);
        for (_, watch) in idle.into_iter().take((self.limits.connections / 100).clamp(1, TOGETHER)) {
            self.metrics.closed(Closed::Evicted);
            watch.end(Ending::Now);
        }
    }
}

/// A watched connection.
pub(crate) struct Registered {
    gate: Rc<Gate>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.gate.watches.borrow_mut().remove(&self.id);
        self.gate.metrics.connections.dec();
    }
}
