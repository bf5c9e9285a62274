//! How a command fails: two lines, what happened and what to do.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use super::Io;
use crate::terminal::escaped;

/// An error that knows what its reader can do about it.
pub trait Advise: Error {
    /// What to do, as one line without a full stop.
    fn advice(&self) -> String;
}

/// A failure as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    what: String,
    hint: String,
    status: u8,
}

impl CliError {
    /// A failure that the command itself found.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), status: 1 }
    }

    /// Any error, with its chain, and what to do about it.
    pub fn with_hint(error: &dyn Error, hint: impl Into<String>) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let _ = write!(what, ": {inner}");
            source = inner.source();
        }
        Self::new(what, hint)
    }

    /// A failure by reference, with what to do about it.
    pub fn of(error: &(impl Advise + 'static)) -> Self {
        Self::with_hint(error, error.advice())
    }

    /// The same, where commands in the hint name the repository as the user did.
    pub(crate) fn naming(mut self, invocation: &str) -> Self {
        if !self.hint.contains("--repo") {
            self.hint = self.hint.replace("perennial-signer ", &format!("{invocation} "));
        }
        self
    }

    pub(super) fn output(error: impl Error) -> Self {
        Self::with_hint(&error, "check where the output goes")
    }

    /// Arguments that make no sense.
    pub(super) fn usage(what: String, hint: String) -> Self {
        Self { what, hint, status: 2 }
    }

    /// What happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Prints the two lines; line breaks inside them become spaces.
    pub(super) fn print(&self, io: &mut Io<'_>) -> ExitCode {
        let flat = |text: &str| escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "));
        // If stderr is gone, the exit status still tells.
        let _ = writeln!(io.stderr, "error: {}\nhint: {}", flat(&self.what), flat(&self.hint));
        ExitCode::from(self.status)
    }
}

impl<E: Advise + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}
