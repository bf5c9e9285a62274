//! Who is at the address's door, and who has shown a token that opens something. Where the house is full, those who haven't give
//! way, the longest there first: whoever says nothing, or never reads an answer, keeps nobody out.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

/// One connection; a copy is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visit(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: AtomicBool,
    gone: Notify,
}

impl Visit {
    /// A token was shown that opened something.
    pub(super) fn is_known(&self) {
        self.0.known.store(true, Ordering::Relaxed);
    }

    /// Until it is to give way.
    pub(super) async fn gone(&self) {
        self.0.gone.notified().await;
    }
}

/// Those that are there.
#[derive(Debug, Default)]
pub(super) struct Visits(Mutex<(u64, BTreeMap<u64, Visit>)>);

impl Visits {
    /// One more, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> (Visit, Entered) {
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (visit, number) = (Visit::default(), visits.0);
        visits.0 += 1;
        visits.1.insert(number, visit.clone());
        (visit, Entered { visits: Arc::clone(self), number })
    }

    /// Lets the one go that has been there longest of those that nobody knows.
    pub(super) fn make_room(&self) {
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = visits.1.iter().find(|(_, visit)| !visit.0.known.load(Ordering::Relaxed));
        if let Some(number) = unknown.map(|(number, _)| *number)
            && let Some(visit) = visits.1.remove(&number)
        {
            visit.0.gone.notify_one();
        }
    }
}

/// See [`Visits::enter`].
pub(super) struct Entered {
    visits: Arc<Visits>,
    number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.visits.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.number);
    }
}

/// A stream that fails where its reader takes nothing for too long.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    /// How long that is.
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, stall: Duration) -> Self {
        Self { stream, stall, stalled: None }
    }

    /// What came of writing, or that the time is over.
    fn within<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.stall)));
        ready!(stalled.as_mut().poll(cx));
        self.stalled = None;
        Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.within(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.within(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up_and_one_that_takes_a_little_is_not() {
        let (here, mut there) = tokio::io::duplex(10);
        let mut here = Patient::new(here, Duration::from_millis(20));
        assert_eq!(here.write_all(&[0; 100]).await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        here.stall = Duration::from_secs(600);
        let slow = tokio::spawn(async move {
            for _ in 0..11 {
                there.read_exact(&mut [0; 10]).await.unwrap();
            }
        });
        here.write_all(&[0; 100]).await.unwrap();
        slow.await.unwrap();
    }

    #[tokio::test]
    async fn strangers_give_way_and_nobody_else_does() {
        let visits = Arc::new(Visits::default());
        let ((first, _one), (second, _two), (third, _three)) =
            (visits.enter(), visits.enter(), visits.enter());
        first.is_known();
        visits.make_room();
        second.gone().await;
        visits.make_room();
        third.gone().await;
        visits.make_room();
        assert!(tokio::time::timeout(Duration::from_millis(1), first.gone()).await.is_err());
    }
}
