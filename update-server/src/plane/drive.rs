//! Drives a connection's protocol to its end, and ends it early when its watch says so. It knows neither plane.

use super::guard::{Ending, Watch};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Reads of 8 KiB after a refusal: 256 KiB at most.
const LINGER: usize = 32;

/// Drives a connection to its end, ending it early when its watch says so. True when the client was at fault.
pub(crate) async fn run<C, E>(
    watch: &Watch,
    mut connection: Pin<&mut C>,
    finish: impl Fn(Pin<&mut C>),
) -> bool
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut finishing = false;
    let result = poll_fn(|cx: &mut Context<'_>| {
        match watch.ending(cx) {
            Ending::Now => return Poll::Ready(None),
            Ending::Soon if !finishing => {
                finishing = true;
                finish(connection.as_mut());
            }
            Ending::Soon | Ending::No => {}
        }
        connection.as_mut().poll(cx).map(Some)
    })
    .await;
    match result {
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection failed");
            true
        }
        _ => false,
    }
}

/// Closing a socket with unread bytes resets it, and the client may then never read why it was refused. So a little
/// more is read and thrown away, as far as the watch allows.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(watch: &Watch, mut stream: S) {
    let drain = async {
        stream.shutdown().await?;
        let mut waste = vec![0; 8 << 10];
        for _ in 0..LINGER {
            if stream.read(&mut waste).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = unless_ended(watch, drain).await;
}

/// The future's result, or `None` when the connection is to end before there is one.
pub(crate) async fn unless_ended<F: Future>(watch: &Watch, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match watch.ending(cx) {
        Ending::No => future.as_mut().poll(cx).map(Some),
        Ending::Soon | Ending::Now => Poll::Ready(None),
    })
    .await
}

/// The same for an answer under way, which is finished unless the connection is to end at once.
pub(crate) async fn unless_ended_now<F: Future>(watch: &Watch, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match watch.ending(cx) {
        Ending::No | Ending::Soon => future.as_mut().poll(cx).map(Some),
        Ending::Now => Poll::Ready(None),
    })
    .await
}

/// Runs HTTP/2's own tasks on this core.
#[derive(Clone, Copy)]
pub(crate) struct Here;

impl<F: Future + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async {
            future.await;
        });
    }
}
