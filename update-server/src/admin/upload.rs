//! A bundle that is pushed: received piece by piece into a thread of its own, which takes it in. Bounded in size, in
//! memory and in the time that a piece may take.

use super::Desk;
use crate::ingest::{IngestError, Outcome};
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use perennial_schemas::bundle::PREFIX_LENGTH;
use perennial_schemas::limits::BUNDLE_HEADER_LENGTH;
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Pieces on their way from the socket to the disk; hyper's are at most a few hundred KiB.
const PIECES: usize = 8;
/// A sender that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// After a refusal, so much of the rest is read and thrown away, so that the sender reads the reason rather than a
/// broken pipe.
const DRAIN: u64 = 256 << 20;

/// Receives a bundle and takes it in.
pub(super) async fn receive(desk: &Desk, actor: String, mut body: Body) -> Result<Outcome, IngestError> {
    let limit = desk.upload.saturating_add(BUNDLE_HEADER_LENGTH + PREFIX_LENGTH as u64);
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let keeper = std::sync::Arc::clone(&desk.keeper);
    let taking = tokio::task::spawn_blocking(move || {
        keeper.ingest(&mut Pieces { receiver, current: Bytes::new() }, &actor)
    });
    let mut total = 0_u64;
    loop {
        let frame = match timeout(SILENCE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                let _ = sender.send(Err(io::Error::other(error))).await;
                break;
            }
            Err(_) => {
                let silent = format!("the sender was silent for {} s", SILENCE.as_secs());
                let _ = sender.send(Err(io::Error::new(io::ErrorKind::TimedOut, silent))).await;
                break;
            }
        };
        let Ok(piece) = frame.into_data() else { continue };
        total += piece.len() as u64;
        if total > limit {
            let _ = sender.send(Err(io::Error::other(format!("it is larger than {limit} bytes")))).await;
            break;
        }
        if sender.send(Ok(piece)).await.is_err() {
            drain(&mut body).await;
            break;
        }
    }
    drop(sender);
    taking.await.unwrap_or_else(|error| Err(IngestError::Read(io::Error::other(error))))
}

async fn drain(body: &mut Body) {
    let mut left = DRAIN;
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, |piece| piece.len() as u64));
        if left == 0 {
            return;
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
