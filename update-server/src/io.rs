//! What a command is given from outside: its streams and its clock. Everything else in this crate is a function of
//! these, its arguments and its files.

use perennial_schemas::Timestamp;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

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

/// The system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the adapter for the clock")]
pub fn system_clock() -> Now {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_unix(since.map_or(0, |since| since.as_secs() as i64))
    })
}
