//! The body of an answer: nothing, bytes in memory, or a mapped file given out in frames. When it is dropped the
//! answer is over, and is counted. It never copies content.

use super::guard::Watch;
use crate::mapped::Mapped;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// 256 KiB a frame: one write to the socket, and small enough that one reader doesn't hold up the others of its core.
const FRAME: usize = 256 << 10;

/// What is sent.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Nothing.
    Empty,
    /// Bytes in memory.
    Memory(Bytes),
    /// A part of a mapped file.
    Mapped {
        /// The file.
        file: Mapped,
        /// Next byte to send.
        from: usize,
        /// Where to stop.
        to: usize,
    },
}

/// A body that tells its connection when it is over.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    payload: Payload,
    _over: Over,
}

#[derive(Debug)]
struct Over {
    watch: Rc<Watch>,
    began: Instant,
}

impl AnswerBody {
    /// The same answer, with another payload.
    pub(crate) fn with(self, payload: Payload) -> Self {
        Self { payload, ..self }
    }

    pub(crate) fn new(payload: Payload, watch: Rc<Watch>, began: Instant) -> Self {
        Self { payload, _over: Over { watch, began } }
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.watch.answered(self.began.elapsed());
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.payload {
            Payload::Empty => return Poll::Ready(None),
            Payload::Memory(bytes) => std::mem::take(bytes),
            Payload::Mapped { from, to, .. } if *from >= *to => return Poll::Ready(None),
            Payload::Mapped { file, from, to } => {
                let end = from.saturating_add(FRAME).min(*to);
                let frame = file.bytes().slice(*from..end);
                *from = end;
                file.will_need(end, FRAME.min(*to - end));
                frame
            }
        };
        if data.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Empty => true,
            Payload::Memory(bytes) => bytes.is_empty(),
            Payload::Mapped { from, to, .. } => from >= to,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.payload {
            Payload::Empty => 0,
            Payload::Memory(bytes) => bytes.len() as u64,
            Payload::Mapped { from, to, .. } => to.saturating_sub(*from) as u64,
        })
    }
}
