//! How a command fails: two lines, what happened and what to do, and an exit status that scripts can tell apart.

use std::error::Error;
use std::process::ExitCode;

use super::Io;
use crate::error::chain;

/// The command failed; nothing is wrong with any release.
pub const FAILED: u8 = 1;
/// The arguments make no sense.
pub const USAGE: u8 = 2;
/// `check`: an update can be installed.
pub const AVAILABLE: u8 = 10;
/// An update has to wait.
pub const HELD: u8 = 11;
/// What is offered is refused.
pub const REFUSED: u8 = 20;
/// The device went back to its old release.
pub const FELL_BACK: u8 = 30;

/// A failure as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    what: String,
    hint: String,
    status: u8,
}

impl CliError {
    /// A failure with exit status 1.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), status: FAILED }
    }

    /// Any error, with its causes, and what to do about it.
    pub fn with_hint(error: &dyn Error, hint: impl Into<String>) -> Self {
        Self::new(chain(error), hint)
    }

    /// What happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The exit status.
    pub fn exit_status(&self) -> u8 {
        self.status
    }

    /// With another exit status.
    #[must_use]
    pub fn status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    pub(super) fn output(error: &dyn Error) -> Self {
        Self::with_hint(error, "check where the output goes")
    }

    /// Arguments that clap refused.
    pub(super) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let mut what = first.trim_start_matches("error: ").to_owned();
        if !first.starts_with("error: ") {
            what = "no command was given".into();
        } else if what.ends_with(':') {
            let rest =
                lines.clone().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("tip:"));
            what = rest.fold(what, |what, line| what + " " + line);
        }
        let tip = lines.find_map(|line| line.strip_prefix("tip: "));
        let hint = tip.unwrap_or("perennial-device --help shows the commands");
        Self { what, hint: hint.into(), status: USAGE }
    }

    /// Prints the two lines; line breaks inside them become spaces.
    pub(super) fn print(&self, io: &mut Io<'_>) -> ExitCode {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        // If stderr is gone, the exit status still tells.
        let _ = writeln!(io.stderr, "error: {}\nhint: {}", flat(&self.what), flat(&self.hint));
        ExitCode::from(self.status)
    }
}
