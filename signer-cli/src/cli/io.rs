//! What a command is given of the world: streams, the clock, a way to ask for a passphrase.

use std::fmt;
use std::io::{self, Read, Write};

use perennial_schemas::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::CliError;
use crate::terminal::{escaped, escaped_json};

/// Asks for a passphrase with this prompt; nothing is echoed.
pub type Ask<'a> = Box<dyn FnMut(&str) -> io::Result<Zeroizing<String>> + 'a>;

/// The world of one command. `main.rs` gives the real one, tests and the quickstart one of their own.
pub struct Io<'a> {
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// For reports.
    pub stdout: &'a mut dyn Write,
    /// For errors, hints and progress.
    pub stderr: &'a mut dyn Write,
    /// The clock.
    pub now: Box<dyn Fn() -> Timestamp + 'a>,
    /// Whether stderr is a terminal: then long work shows its progress.
    pub terminal: bool,
    /// Asks for a passphrase.
    pub ask: Ask<'a>,
}

/// What a command reports: text for people ([`fmt::Display`], ending in a newline), and the same as JSON.
pub trait Report: Serialize + fmt::Display {}
impl<T: Serialize + fmt::Display> Report for T {}

impl Io<'_> {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Prints a report, as JSON if so asked.
    ///
    /// # Errors
    /// [`CliError`] where stdout is gone.
    pub fn report(&mut self, json: bool, report: &impl Report) -> Result<(), CliError> {
        // Reports quote files that others wrote.
        let text = if json {
            escaped_json(&serde_json::to_string_pretty(report).map_err(CliError::output)?) + "\n"
        } else {
            escaped(&report.to_string())
        };
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush()).map_err(CliError::output)
    }
}
