//! What a command is given of the world: streams, the clock, the environment, a way to be stopped.

use std::fmt;
use std::io::Write;

use perennial_schemas::Timestamp;
use serde::Serialize;

use super::CliError;
use crate::http::Interrupt;

/// Gives the value of an environment variable.
pub type Variable<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// The world of one command. `main.rs` gives the real one, tests and the quickstart one of their own.
pub struct Io<'a> {
    /// For reports.
    pub stdout: &'a mut dyn Write,
    /// For errors, hints and progress.
    pub stderr: &'a mut dyn Write,
    /// The clock. It may be wrong.
    pub now: Box<dyn Fn() -> Timestamp + 'a>,
    /// Whether stderr is a terminal: then long work shows a bar.
    pub terminal: bool,
    /// The value of an environment variable.
    pub variable: Variable<'a>,
    /// Ends what goes on.
    pub interrupt: Interrupt,
}

/// What a command reports: text for people ([`fmt::Display`], ending in a newline), and the same as JSON.
pub trait Report: Serialize + fmt::Display {}
impl<T: Serialize + fmt::Display> Report for T {}

impl<'a> Io<'a> {
    /// A world with these streams and this clock, without a terminal or an environment.
    pub fn new(
        stdout: &'a mut dyn Write,
        stderr: &'a mut dyn Write,
        now: impl Fn() -> Timestamp + 'a,
    ) -> Self {
        let interrupt = Interrupt::default();
        Self { stdout, stderr, now: Box::new(now), terminal: false, variable: Box::new(|_| None), interrupt }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Prints a report, as JSON if so asked.
    ///
    /// # Errors
    /// [`CliError`] where stdout is gone.
    pub fn report(&mut self, json: bool, report: &impl Report) -> Result<(), CliError> {
        let text = if json {
            serde_json::to_string_pretty(report).map_err(|error| CliError::output(&error))? + "\n"
        } else {
            report.to_string()
        };
        self.print(&text)
    }

    /// Prints text for people.
    ///
    /// # Errors
    /// [`CliError`] where stdout is gone.
    pub fn print(&mut self, text: &str) -> Result<(), CliError> {
        let printed = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
        printed.map_err(|error| CliError::output(&error))
    }
}
