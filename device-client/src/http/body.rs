//! An answer's body, piece by piece: never longer than it may be, never slower than it must be, and for a range
//! exactly the bytes that were asked for.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::connect::{Origin, Sender};
use super::error::HttpError;
use super::url::Url;
use super::{Inner, Span};

/// The body of an answer.
pub struct Body {
    inner: Arc<Inner>,
    url: Url,
    incoming: Incoming,
    kept: Option<(Origin, Sender)>,
    etag: Option<String>,
    /// Bytes before the range, of an answer that ignores it.
    skip: u64,
    /// Bytes that may still come, or for a range must.
    left: u64,
    /// What to do at the end of `left`.
    ending: Ending,
    got: u64,
    announced: Option<u64>,
    rest: Bytes,
    pace: Pace,
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// A whole file: anywhere up to the limit.
    Limit(u64),
    /// A range: exactly there, and the answer ends there.
    Exact,
    /// A range out of a whole file: exactly there, and what follows is not read.
    Cut,
}

/// What the answer was to.
pub(super) struct Head {
    pub(super) url: Url,
    pub(super) etag: Option<String>,
    pub(super) announced: Option<u64>,
    /// The answer holds the whole file though a range was asked for.
    pub(super) whole: bool,
}

impl Body {
    pub(super) fn new(
        inner: Arc<Inner>,
        incoming: Incoming,
        kept: (Origin, Sender),
        head: Head,
        wanted: Span,
    ) -> Self {
        let pace = Pace::new(inner.limits.least_bytes, inner.limits.interval);
        let (skip, left, ending) = match wanted {
            Span::Whole { max_length } => (0, max_length, Ending::Limit(max_length)),
            Span::Range { from, to } if head.whole => (from, to - from, Ending::Cut),
            Span::Range { from, to } => (0, to - from, Ending::Exact),
        };
        let Head { url, etag, announced, .. } = head;
        let (got, rest, over) = (0, Bytes::new(), false);
        let kept = Some(kept);
        Self { inner, url, incoming, kept, etag, skip, left, ending, got, announced, rest, pace, over }
    }

    /// The answer's entity tag, for asking again.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`HttpError`]; after one, nothing more comes.
    pub fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        let inner = Arc::clone(&self.inner);
        let piece = inner.runtime.block_on(self.advance());
        if piece.is_err() {
            self.over = true;
            self.kept = None;
        }
        piece
    }

    /// Reads into `buffer`; 0 after the last byte.
    ///
    /// # Errors
    /// [`HttpError`]; after one, nothing more comes.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, HttpError> {
        let Some(mut piece) = self.piece()? else { return Ok(0) };
        let length = piece.len().min(buffer.len());
        piece.copy_to_slice(&mut buffer[..length]);
        self.rest = piece;
        Ok(length)
    }

    /// The whole rest.
    ///
    /// # Errors
    /// [`HttpError`]; what came before it is dropped.
    pub fn collect(mut self) -> Result<Vec<u8>, HttpError> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece()? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, HttpError> {
        while !self.over {
            if self.ending == Ending::Cut && self.left == 0 {
                // The rest of the file is of no use, and reading it would cost more than a new connection.
                self.over = true;
                self.kept = None;
                break;
            }
            let Some(data) = self.frame().await? else {
                return self.end();
            };
            let skipped = (data.len() as u64).min(self.skip);
            self.skip -= skipped;
            let mut data = data.slice(skipped as usize..);
            if data.len() as u64 > self.left {
                match self.ending {
                    Ending::Cut => data.truncate(self.left as usize),
                    Ending::Limit(limit) => return Err(self.too_long(limit)),
                    Ending::Exact => return Err(self.too_long(self.got + self.left)),
                }
            }
            self.left -= data.len() as u64;
            self.got += data.len() as u64;
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The end of the answer: the connection can serve the next request.
    fn end(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.over = true;
        let expected = self.got + self.left;
        if !matches!(self.ending, Ending::Limit(_)) && self.left > 0 {
            return Err(HttpError::Truncated { url: self.url.clone(), got: self.got, expected });
        }
        if let Some((origin, sender)) = self.kept.take() {
            self.inner.keep(origin, sender);
        }
        Ok(None)
    }

    /// The next data of the connection, at no less than the least speed.
    async fn frame(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let waited = tokio::time::Instant::now();
            let frame = tokio::select! {
                frame = tokio::time::timeout(self.pace.patience(), self.incoming.frame()) => frame,
                () = self.inner.interrupt.wait() => return Err(HttpError::Interrupted),
            };
            match frame {
                Err(_) => return Err(self.too_slow()),
                Ok(None) => return Ok(None),
                Ok(Some(Err(source))) => return Err(self.broken(source)),
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue }; // trailers say nothing to us
                    self.pace.came(data.len() as u64, waited.elapsed());
                    if self.incoming.is_end_stream() || self.pace.holds() {
                        return Ok(Some(data));
                    }
                    return Err(self.too_slow());
                }
            }
        }
    }

    fn too_long(&self, limit: u64) -> HttpError {
        HttpError::TooLong { url: self.url.clone(), limit }
    }

    fn too_slow(&self) -> HttpError {
        let Pace { bytes: got, least, interval, .. } = self.pace;
        HttpError::TooSlow { url: self.url.clone(), got, least, seconds: interval.as_secs() }
    }

    fn broken(&self, source: hyper::Error) -> HttpError {
        match self.announced {
            Some(expected) if source.is_incomplete_message() || ends_early(&source) => {
                HttpError::Truncated { url: self.url.clone(), got: self.got, expected }
            }
            _ => HttpError::Broken { url: self.url.clone(), source },
        }
    }
}

fn ends_early(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::UnexpectedEof)
}

/// The least speed: in every `interval` of waiting at least `least` bytes come. Time in which nobody waits, because a
/// slow flash is being written, does not count.
struct Pace {
    least: u64,
    interval: Duration,
    bytes: u64,
    waited: Duration,
}

impl Pace {
    fn new(least: u64, interval: Duration) -> Self {
        Self { least, interval, bytes: 0, waited: Duration::ZERO }
    }

    /// How long to wait at most.
    fn patience(&self) -> Duration {
        self.interval.saturating_sub(self.waited)
    }

    fn came(&mut self, bytes: u64, waited: Duration) {
        self.bytes += bytes;
        self.waited += waited;
        if self.bytes >= self.least {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
    }

    fn holds(&self) -> bool {
        self.waited < self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_runs_out_of_patience_however_evenly_it_comes() {
        let mut pace = Pace::new(1000, Duration::from_secs(10));
        for _ in 0..9 {
            pace.came(100, Duration::from_secs(1));
            assert!(pace.holds());
        }
        assert_eq!(pace.patience(), Duration::from_secs(1));
        pace.came(50, Duration::from_secs(1));
        assert!(!pace.holds());
    }

    #[test]
    fn enough_bytes_begin_a_new_interval() {
        let mut pace = Pace::new(1000, Duration::from_secs(10));
        pace.came(1000, Duration::from_secs(9));
        assert_eq!(pace.patience(), Duration::from_secs(10));
    }
}
