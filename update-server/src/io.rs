//! What a command is given from outside: its streams and its clock. Everything else in this crate is a function of
//! these, its arguments and its files.

use perennial_schemas::Timestamp;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A clock that threads can share.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Streams and clock of a command.
pub struct Io<'a> {
    /// Results.
    pub stdout: &'a mut dyn Write,
    /// Errors, in two lines, and progress.
    pub stderr: &'a mut dyn Write,
    /// The time.
    pub now: Now,
    /// Whether a person is watching.
    pub terminal: bool,
}

impl fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

/// A clock that a simulation turns; whoever holds a copy turns the same one.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    /// One that stands at this time.
    pub(crate) fn at(time: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time.unix())))
    }

    pub(crate) fn set(&self, time: Timestamp) {
        self.0.store(time.unix(), Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }

    /// For whoever only reads it.
    pub(crate) fn clock(&self) -> Now {
        let hand = self.clone();
        Arc::new(move || hand.now())
    }
}

/// The system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the adapter for the clock")]
pub fn system_clock() -> Now {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_unix(since.map_or(0, |since| since.as_secs() as i64))
    })
}
