//! A bundle that is pushed: received piece by piece into a thread of its own, which takes it in. Bounded in size, in
//! memory, and by a least rate: while one bundle is taken in, others wait.

use super::{Desk, Upload};
use crate::ingest::{IngestError, Outcome};
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use perennial_schemas::bundle::PREFIX_LENGTH;
use perennial_schemas::limits::BUNDLE_HEADER_LENGTH;
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Pieces on their way from the socket to the disk; hyper's are at most a few hundred KiB.
const PIECES: usize = 8;
/// After a refusal, so much of the rest is read and thrown away, so that the sender reads the reason rather than a
/// broken pipe.
const DRAIN: u64 = 256 << 20;

/// Receives a bundle and takes it in.
pub(super) async fn receive(desk: &Desk, actor: String, body: Body) -> Result<Outcome, IngestError> {
    let limit = desk.upload.most.saturating_add(BUNDLE_HEADER_LENGTH + PREFIX_LENGTH as u64);
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let keeper = std::sync::Arc::clone(&desk.keeper);
    let taking = tokio::task::spawn_blocking(move || {
        keeper.ingest(&mut Pieces { receiver, current: Bytes::new() }, &actor)
    });
    let mut paced = Paced::new(body, desk.upload);
    let mut total = 0_u64;
    loop {
        let piece = match paced.next().await {
            Ok(None) => break,
            Ok(Some(piece)) => piece,
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                break;
            }
        };
        total += piece.len() as u64;
        if total > limit {
            let _ = sender.send(Err(io::Error::other(format!("it is larger than {limit} bytes")))).await;
            break;
        }
        if sender.send(Ok(piece)).await.is_err() {
            paced.drain().await;
            break;
        }
    }
    drop(sender);
    taking.await.unwrap_or_else(|error| Err(IngestError::Read(io::Error::other(error))))
}

/// A body whose sender must keep a least rate, as far as it is waited for.
struct Paced {
    body: Body,
    upload: Upload,
    /// Time waited, and bytes received, since the pace was last seen to be kept.
    waited: Duration,
    received: u64,
}

impl Paced {
    fn new(body: Body, upload: Upload) -> Self {
        Self { body, upload, waited: Duration::ZERO, received: 0 }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let began = Instant::now();
            let frame = timeout(self.upload.span.saturating_sub(self.waited), self.body.frame()).await;
            self.waited += began.elapsed();
            let piece = match frame {
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(io::Error::other)?.into_data().unwrap_or_default(),
                Err(_) => Bytes::new(),
            };
            self.received += piece.len() as u64;
            if self.received >= self.upload.least {
                (self.waited, self.received) = (Duration::ZERO, 0);
            } else if self.waited >= self.upload.span {
                let (least, span) = (self.upload.least, self.upload.span);
                let slow = format!("its sender sent fewer than {least} bytes in {span:?} (limits.upload)");
                return Err(io::Error::new(io::ErrorKind::TimedOut, slow));
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    async fn drain(&mut self) {
        let mut left = DRAIN;
        while let Ok(Some(piece)) = self.next().await {
            left = left.saturating_sub(piece.len() as u64);
            if left == 0 {
                return;
            }
        }
    }
}

/// Pieces of a body as something to read.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.current = piece?,
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}
