//! The HTTP adapter: `GET` with ranges over plain TCP or TLS, and requests with a body, from a synchronous caller.
//!
//! It decides how long an answer may be, how slowly it may come, and which redirects are followed. It never decides
//! what to believe: whatever it brings is verified by others, so plain HTTP is as safe as TLS here, only less private.
//! Where TLS is used, verification can't be turned off.

mod body;
mod connect;
mod error;
mod interrupt;
mod proxy;
mod request;
mod send;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;

pub use body::Body;
use connect::{Origin, Sender};
pub use error::HttpError;
pub use interrupt::Interrupt;
pub use proxy::Proxies;
pub(crate) use proxy::base64;
pub use send::{Exchange, Sent};
pub use tls::{ClientIdentity, Roots};
pub use url::{NotAUrl, Scheme, Url};

/// Bytes that the header of an answer may have, and that are read ahead of a body: stops headers without end.
const HEADER_BYTES: usize = 32 * 1024;
/// Fields of a header: browsers send 30, caches add 10.
const HEADERS: usize = 100;
/// Redirects in a row: a mirror and its certificate's name need two. Stops circles.
const REDIRECTS: usize = 5;
/// Connections that wait for the next request.
const IDLE_CONNECTIONS: usize = 4;
/// Seconds that a server may ask to wait before the next attempt.
const RETRY_AFTER: u64 = 60;

/// How patient the adapter is.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// For name, TCP, proxy and TLS together.
    pub connect: Duration,
    /// From the request to the end of the answer's header.
    pub header: Duration,
    /// At least `least_bytes` come in each interval of waiting: the slow retrieval attack of TUF's list ends here.
    pub interval: Duration,
    /// See `interval`. 32 KiB in 30 s are 9 kbit/s, a tenth of the slowest mobile network in use.
    pub least_bytes: u64,
    /// Attempts at a request that fails for a passing reason.
    pub attempts: u32,
    /// Before the second attempt; doubled each time, and up to half of it left off by chance.
    pub back_off: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            header: Duration::from_secs(30),
            interval: Duration::from_secs(30),
            least_bytes: 32 * 1024,
            attempts: 3,
            back_off: Duration::from_millis(500),
        }
    }
}

/// How an [`HttpClient`] is set up.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Whom TLS believes.
    pub roots: Roots,
    /// What the environment says about proxies.
    pub proxies: Proxies,
    /// How patient it is.
    pub limits: HttpLimits,
    /// Ends every wait.
    pub interrupt: Interrupt,
    /// Who it is to servers that ask.
    pub identity: Option<Arc<ClientIdentity>>,
}

/// What part of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All of it, and no more bytes than this.
    Whole {
        /// The limit in bytes.
        max_length: u64,
    },
    /// The bytes from `from` up to, but without, `to`.
    Range {
        /// The first byte.
        from: u64,
        /// The byte after the last; greater than `from`.
        to: u64,
    },
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Get<'a> {
    /// What is asked for.
    pub url: &'a Url,
    /// How much of it.
    pub span: Span,
    /// Ask only if it is no longer what this entity tag names.
    pub unless: Option<&'a str>,
}

/// An answer.
pub enum Answer {
    /// 404, 410, or 403, which some stores answer for what they don't have.
    NotFound,
    /// 304: still what the entity tag names.
    Unchanged,
    /// The file, or the range of it.
    Body(Box<Body>),
}

/// A client that keeps connections and asks one thing at a time. Clones share the connections.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Runtime,
    roots: Roots,
    proxies: Proxies,
    limits: HttpLimits,
    interrupt: Interrupt,
    identity: Option<Arc<ClientIdentity>>,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    idle: Mutex<Vec<(Origin, Sender)>>,
}

impl HttpClient {
    /// A client. Certificates from a file are read here, the system's when the first TLS connection is made.
    ///
    /// # Errors
    /// [`HttpError::Roots`], [`HttpError::Runtime`].
    pub fn new(options: HttpOptions) -> Result<Self, HttpError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HttpError::Runtime)?;
        let HttpOptions { roots, proxies, limits, interrupt, identity } = options;
        let idle = Mutex::new(Vec::new());
        let inner =
            Inner { runtime, roots, proxies, limits, interrupt, identity, tls: OnceLock::new(), idle };
        if matches!(inner.roots, Roots::File(_)) || inner.identity.is_some() {
            inner.tls()?;
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for a file or a range of it, following redirects and trying again after passing failures. The body comes
    /// piece by piece; whoever reads it goes on with a new range when it breaks off.
    ///
    /// # Errors
    /// [`HttpError`] of the last attempt.
    pub fn get(&self, get: Get<'_>) -> Result<Answer, HttpError> {
        self.attempts(|| self.inner.runtime.block_on(request::ask(&self.inner, &get)))
    }

    /// A whole file of at most `max_length` bytes; `None` where the server has none. Tried again from its beginning
    /// after passing failures.
    ///
    /// # Errors
    /// [`HttpError`] of the last attempt.
    pub fn get_whole(&self, url: &Url, max_length: u64) -> Result<Option<Vec<u8>>, HttpError> {
        let get = Get { url, span: Span::Whole { max_length }, unless: None };
        self.attempts(|| match self.inner.runtime.block_on(request::ask(&self.inner, &get))? {
            Answer::NotFound | Answer::Unchanged => Ok(None),
            Answer::Body(body) => body.collect().map(Some),
        })
    }

    /// Sends a request with a body, once, and gives back whatever is answered.
    ///
    /// # Errors
    /// [`HttpError`] where nothing whole is answered.
    pub fn send(&self, send: Exchange<'_>) -> Result<Sent, HttpError> {
        let begun = self.inner.runtime.block_on(send::send(&self.inner, &send))?;
        let (status, retry_after) = (begun.status.as_u16(), begun.retry_after);
        Ok(Sent { status, retry_after, body: begun.body.collect()? })
    }

    /// Sleeps, but no longer than until the interrupt is on.
    pub fn sleep(&self, time: Duration) {
        self.sleep_or(time, std::future::pending());
    }

    /// The same, or until `other` is there.
    pub fn sleep_or(&self, time: Duration, other: impl Future<Output = ()>) {
        self.inner.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.inner.interrupt.wait() => {}
                () = other => {}
            }
        });
    }

    fn attempts<T>(&self, mut attempt: impl FnMut() -> Result<T, HttpError>) -> Result<T, HttpError> {
        let mut back_off = self.inner.limits.back_off;
        let mut left = self.inner.limits.attempts.max(1);
        loop {
            left -= 1;
            match attempt() {
                Err(error) if left > 0 && error.is_passing() => {
                    let asked = error.retry_after().map(|wait| Duration::from_secs(wait.min(RETRY_AFTER)));
                    let pause = asked.unwrap_or_default().max(jittered(back_off));
                    tracing::debug!(%error, ?pause, "trying again");
                    self.sleep(pause);
                    back_off *= 2;
                }
                answer => return answer,
            }
        }
    }
}

impl Inner {
    fn tls(&self) -> Result<Arc<rustls::ClientConfig>, HttpError> {
        match self.tls.get() {
            Some(config) => Ok(Arc::clone(config)),
            None => {
                let config = tls::config(&self.roots, self.identity.as_deref())?;
                Ok(Arc::clone(self.tls.get_or_init(|| config)))
            }
        }
    }

    /// A connection that waits for this server.
    fn kept(&self, origin: &Origin) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let at = idle.iter().position(|(kept, sender)| kept == origin && !sender.is_closed())?;
        Some(idle.swap_remove(at).1)
    }

    fn keep(&self, origin: Origin, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        idle.retain(|(_, sender)| !sender.is_closed());
        if idle.len() >= IDLE_CONNECTIONS {
            idle.remove(0);
        }
        idle.push((origin, sender));
    }
}

/// Between half of `time` and all of it, so that a fleet that lost its server together does not come back together.
pub(crate) fn jittered(time: Duration) -> Duration {
    time / 2 + time / 2 * chance() / 1_000_000
}

/// Chance in parts per million. Without randomness all of them: whoever waits so waits longest, which is never wrong.
pub(crate) fn chance() -> u32 {
    let mut random = [0; 4];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
    if filled.is_ok() { u32::from_le_bytes(random) % 1_000_001 } else { 1_000_000 }
}
