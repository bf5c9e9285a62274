//! What each connection may take: time for its handshake, its request heads and its rests, and a least rate of reading.
//! A connection notes what happens in a few cells; one sweep a second (or more often, for short limits) looks at all
//! connections of a core. So limits cost a poll nothing, where a timer for each would cost more than the answer.

use super::tally::{Tally, Tick};
use crate::config::Limits;
use crate::metrics::Closed;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one connection has been doing; shared by its socket, its answers and the sweep, all on one thread.
#[derive(Debug)]
pub(crate) struct Watch {
    tally: Rc<Tally>,
    /// HTTP/2 frames arrive without being requests, so only HTTP/1 can tell the beginning of a head.
    heads: Cell<bool>,
    handshaking: Cell<bool>,
    in_flight: Cell<u32>,
    /// Requests whose bodies are being received, each within a limit of its own.
    receiving: Cell<u32>,
    /// The first byte of a head that isn't complete.
    head_since: Cell<Option<Tick>>,
    /// When the connection was opened, or last ended an answer.
    idle_since: Cell<Tick>,
    /// The socket took no more.
    blocked: Cell<bool>,
    written: Cell<u64>,
    /// Written, and when, at the last time that the reader had kept its pace.
    pace: Cell<(u64, Tick)>,
    ending: Cell<Ending>,
    waker: RefCell<Option<Waker>>,
}

/// Whether, and how, a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Not at all.
    No,
    /// After the answers that are under way.
    Soon,
    /// At once.
    Now,
}

impl Watch {
    pub(crate) fn new(tally: Rc<Tally>, handshaking: bool) -> Rc<Self> {
        let now = tally.now();
        Rc::new(Self {
            tally,
            heads: Cell::new(true),
            handshaking: Cell::new(handshaking),
            in_flight: Cell::new(0),
            receiving: Cell::new(0),
            head_since: Cell::new(None),
            idle_since: Cell::new(now),
            blocked: Cell::new(false),
            written: Cell::new(0),
            pace: Cell::new((0, now)),
            ending: Cell::new(Ending::No),
            waker: RefCell::new(None),
        })
    }

    /// The handshake is over; `http2` when frames will follow.
    pub(crate) fn established(&self, http2: bool) {
        self.handshaking.set(false);
        self.heads.set(!http2);
        self.head_since.set(None);
        self.idle_since.set(self.tally.now());
    }

    /// A request's head is complete.
    pub(crate) fn asked(&self) {
        self.head_since.set(None);
        if self.in_flight.replace(self.in_flight.get() + 1) == 0 {
            self.pace.set((self.written.get(), self.tally.now()));
        }
    }

    /// The head of a request that has a body is complete; what is returned is dropped when the body is there.
    pub(crate) fn receiving(self: &Rc<Self>) -> Receiving {
        self.receiving.set(self.receiving.get() + 1);
        Receiving(Rc::clone(self))
    }

    /// An answer was handed to the socket, or given up.
    pub(crate) fn answered(&self, took: Duration) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.idle_since.set(self.tally.now());
        self.tally.took(took);
    }

    /// True when nothing is under way: also before the first byte of a handshake.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0 && !self.blocked.get() && self.head_since.get().is_none()
    }

    /// Since when it rests.
    pub(crate) fn idle_since(&self) -> Tick {
        self.idle_since.get()
    }

    /// Ends the connection, and wakes its task to see it.
    pub(crate) fn end(&self, ending: Ending) {
        if self.ending.get() != Ending::Now {
            self.ending.set(ending);
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether the connection is to end; remembers whom to wake when that changes.
    pub(crate) fn ending(&self, cx: &Context<'_>) -> Ending {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.ending.get()
    }

    /// The limit that the connection has passed, if it has passed one.
    pub(crate) fn overdue(&self, limits: &Ticks) -> Option<Closed> {
        let now = self.tally.now();
        let past = |since: Tick, limit: Tick| now.saturating_sub(since) > limit;
        if self.handshaking.get() {
            return past(self.idle_since.get(), limits.handshake).then_some(Closed::Handshake);
        }
        if self.receiving.get() > 0 {
            return None;
        }
        if self.in_flight.get() > 0 || self.blocked.get() {
            let (written, since) = self.pace.get();
            if self.written.get().saturating_sub(written) >= limits.stall_bytes {
                self.pace.set((self.written.get(), now));
                return None;
            }
            return past(since, limits.stall).then_some(Closed::Stalled);
        }
        if let Some(since) = self.head_since.get() {
            return past(since, limits.head).then_some(Closed::Head);
        }
        past(self.idle_since.get(), limits.idle).then_some(Closed::Idle)
    }

    fn read(&self, bytes: usize) {
        self.tally.received(bytes);
        if bytes > 0 && self.heads.get() && self.in_flight.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(self.tally.now()));
        }
    }

    fn wrote(&self, result: &Poll<std::io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.tally.sent(*bytes);
                self.written.set(self.written.get() + *bytes as u64);
                self.blocked.set(false);
            }
            Poll::Ready(Err(_)) => self.blocked.set(false),
            Poll::Pending => {
                if !self.blocked.replace(true) && self.in_flight.get() == 0 {
                    self.pace.set((self.written.get(), self.tally.now()));
                }
            }
        }
    }
}

/// A body under way.
#[derive(Debug)]
pub(crate) struct Receiving(Rc<Watch>);

impl Drop for Receiving {
    fn drop(&mut self) {
        let watch = &self.0;
        watch.receiving.set(watch.receiving.get() - 1);
        // The answer's time begins now.
        watch.pace.set((watch.written.get(), watch.tally.now()));
    }
}

/// The limits in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    handshake: Tick,
    head: Tick,
    idle: Tick,
    stall: Tick,
    stall_bytes: u64,
}

impl Ticks {
    pub(crate) fn new(limits: &Limits) -> Self {
        let ticks = |span: crate::config::Span| span.0.as_millis() as Tick;
        Self {
            handshake: ticks(limits.handshake),
            head: ticks(limits.head),
            idle: ticks(limits.idle),
            stall: ticks(limits.stall),
            stall_bytes: limits.stall_bytes.0,
        }
    }

    /// How often to sweep: an eighth of the shortest limit, so that none is passed by much, between 10 ms and 1 s.
    pub(crate) fn sweep_every(&self) -> Duration {
        let shortest = self.handshake.min(self.head).min(self.idle).min(self.stall);
        Duration::from_millis((shortest / 8).clamp(10, 1000))
    }
}

/// A socket that notes what passes through it.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    pub(crate) socket: S,
    pub(crate) watch: Rc<Watch>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        if result.is_ready() {
            self.watch.read(buf.filled().len() - before);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch.wrote(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        // A poll's answer is one piece, and `send` costs less than `writev`.
        let result = match bufs {
            [one] => Pin::new(&mut self.socket).poll_write(cx, one),
            several => Pin::new(&mut self.socket).poll_write_vectored(cx, several),
        };
        self.watch.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::plane::tally::Plane;
    use std::sync::Arc;

    fn watch() -> (Rc<Tally>, Rc<Watch>, Ticks) {
        let clock = Rc::new(Tally::new(Arc::new(Metrics::new().unwrap()), Plane::Static));
        let watch = Watch::new(Rc::clone(&clock), false);
        (clock, watch, Ticks::new(&Limits::default()))
    }

    #[test]
    fn a_head_must_end_in_time_however_it_drips() {
        let (clock, watch, limits) = watch();
        for second in 0..=10 {
            clock.set_now(second * 1000);
            watch.read(1);
            assert_eq!(watch.overdue(&limits), None);
        }
        clock.set_now(10_001);
        assert_eq!(watch.overdue(&limits), Some(Closed::Head));
        watch.asked();
        assert_eq!(watch.overdue(&limits), None);
    }

    #[test]
    fn a_reader_must_keep_its_pace() {
        let (clock, watch, limits) = watch();
        watch.asked();
        for span in 1..10 {
            clock.set_now(span * 30_000);
            watch.wrote(&Poll::Ready(Ok(16 << 10)));
            watch.wrote(&Poll::Pending);
            assert_eq!(watch.overdue(&limits), None);
        }
        clock.set_now(300_001);
        watch.wrote(&Poll::Ready(Ok((16 << 10) - 1)));
        assert_eq!(watch.overdue(&limits), Some(Closed::Stalled));
    }

    #[test]
    fn the_last_bytes_of_an_answer_must_be_taken_too() {
        let (clock, watch, limits) = watch();
        watch.asked();
        watch.wrote(&Poll::Pending);
        watch.answered(Duration::ZERO);
        assert!(!watch.is_idle());
        clock.set_now(30_001);
        assert_eq!(watch.overdue(&limits), Some(Closed::Stalled));
    }

    #[test]
    fn rest_is_longer_than_a_head_may_take() {
        let (clock, watch, limits) = watch();
        clock.set_now(75_000);
        assert_eq!(watch.overdue(&limits), None);
        assert!(watch.is_idle());
        clock.set_now(75_001);
        assert_eq!(watch.overdue(&limits), Some(Closed::Idle));
    }
}
