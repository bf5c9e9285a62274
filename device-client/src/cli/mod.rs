//! The commands: what they are called, what they print, how they fail.
//!
//! A command reads its arguments, asks the modules below, and reports. It holds no rule of its own.

mod beside;
mod check;
mod common;
mod error;
mod fleet;
mod hear;
mod identity;
mod init;
mod io;
mod postpone;
mod recalled;
mod recover;
mod simulate;
mod status;
mod support;
mod update;
mod verify;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{CONFIG_LENGTH, Config};
use crate::files::read_limited;
pub use error::{AVAILABLE, CliError, FAILED, FELL_BACK, HELD, REFUSED, USAGE};
pub use io::{Io, Report, Variable};

/// Where the configuration is, unless something else is said.
const DEFAULT_CONFIG: &str = "/etc/perennial/device.toml";

/// Keeps this device up to date: verifies, installs, tries and confirms releases, and goes back by itself.
///
/// Exit status: 0 current or done, 1 failed, 2 usage, 10 an update is available, 11 it has to wait, 20 it is refused,
/// 30 the device fell back to its old release.
#[derive(Debug, Parser)]
#[command(name = "perennial-device", version, disable_help_subcommand = true)]
pub struct Cli {
    /// The configuration.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PERENNIAL_CONFIG",
        default_value = DEFAULT_CONFIG
    )]
    config: PathBuf,
    /// The folder with everything that changes, in place of the configured one.
    #[arg(long, global = true, value_name = "DIR", env = "PERENNIAL_STATE")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set this device up: write its configuration and an empty state.
    Init(Box<init::Arguments>),
    /// Look for an update, and install nothing.
    Check(check::Arguments),
    /// Look for an update and install it; finish what is under way.
    Update(update::UpdateArguments),
    /// Look for updates and install them until a signal comes.
    Run,
    /// Show what runs here, what is known, and until when security updates are promised.
    Status(status::Arguments),
    /// Say in one sentence what this device waits for, and until when.
    Why(why::Arguments),
    /// Show until when security updates are promised, by which promises, and what to do at the end.
    Support(support::Arguments),
    /// Say that the release on trial works.
    Confirm(update::Arguments),
    /// Go back to the release in the other slot.
    Revert(update::Arguments),
    /// Put updates off.
    Postpone(postpone::Arguments),
    /// Show what happened to releases on this device.
    History(status::Arguments),
    /// Who this device is: its factory key, the request for its certificate, its certificates.
    #[command(subcommand)]
    Identity(identity::Command),
    /// Enrol this device at its fleet server, with its factory certificate.
    Enrol(fleet::Arguments),
    /// Check in and send what was not acknowledged yet, now.
    Report(fleet::ReportArguments),
    /// Show everything that the fleet server holds on this device.
    Data,
    /// Have everything erased that the fleet server holds on this device, and tell it nothing more.
    Erase(fleet::EraseArguments),
    /// Agree that optional things are told (give), or don't any longer (withdraw).
    Consent(fleet::ConsentArguments),
    /// Begin again what was lost of the state, without going below anything known here.
    Recover(recover::Arguments),
    /// Play the boot loader: choose the slot that the next start of the agent runs from.
    SimulateBoot(simulate::Arguments),
    /// Print a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Whether these arguments start the agent that stays, and not one command.
pub fn is_service(args: impl IntoIterator<Item = OsString>) -> bool {
    matches!(Cli::try_parse_from(args), Ok(Cli { command: Command::Run, .. }))
}

/// Runs one command. A failure prints exactly two lines on stderr: `error: …` and `hint: …`.
pub fn run(args: impl IntoIterator<Item = OsString>, io: &mut Io<'_>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(help) if !help.use_stderr() => {
            let _ = write!(io.stdout, "{help}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return CliError::usage(&error).print(io),
    };
    match dispatch(cli, io) {
        Ok(status) => ExitCode::from(status),
        Err(error) => error.print(io),
    }
}

fn dispatch(cli: Cli, io: &mut Io<'_>) -> Result<u8, CliError> {
    let Cli { config, state, command } = cli;
    let load = || {
        let config = load(&config)?;
        Ok::<_, CliError>(match &state {
            Some(state) => config.with_state(state),
            None => config,
        })
    };
    match command {
        Command::Init(arguments) => init::run(*arguments, &config, state.as_deref(), io).map(|()| 0),
        Command::Check(arguments) => check::run(&arguments, &load()?, io),
        Command::Update(arguments) => update::update(&arguments, &load()?, io),
        Command::Run => update::run(&load()?, io),
        Command::Status(arguments) => status::status(&arguments, &load()?, io),
        Command::Why(arguments) => why::run(&arguments, &load()?, io),
        Command::Support(arguments) => match arguments.command {
            // For anybody, also where no device is set up.
            Some(support::Command::Verify(arguments)) => verify::run(&arguments, io),
            None => support::run(&arguments, &load()?, io),
        },
        Command::Confirm(arguments) => update::confirm(&arguments, &load()?, io),
        Command::Revert(arguments) => update::revert(&arguments, &load()?, io),
        Command::Postpone(arguments) => postpone::run(&arguments, &load()?, io),
        Command::History(arguments) => status::history(&arguments, &load()?, io),
        Command::Identity(command) => identity::run(command, &load()?, io),
        Command::Enrol(arguments) => fleet::enrol(&arguments, &load()?, io),
        Command::Report(arguments) => fleet::report(&arguments, &load()?, io),
        Command::Data => fleet::data(&load()?, io),
        Command::Erase(arguments) => fleet::erase(&arguments, &load()?, io),
        Command::Consent(arguments) => fleet::consent(&arguments, &load()?, io),
        Command::Recover(arguments) => recover::run(&arguments, &load()?, io),
        Command::SimulateBoot(arguments) => simulate::run(&arguments, &load()?, io),
        Command::Completions { shell } => completions(shell, io).map(|()| 0),
    }
}

/// The configuration, read and checked.
fn load(path: &std::path::Path) -> Result<Config, CliError> {
    let text = read_limited(path, CONFIG_LENGTH).map_err(|error| {
        let hint = if error.is_missing() {
            "perennial-device init writes one; --config names another place"
        } else {
            "let this agent read its configuration"
        };
        CliError::with_hint(&error, hint)
    })?;
    let damaged = |why: String| {
        let hint = "mend that line; `perennial-device init` in another folder shows every key";
        CliError::new(format!("{}: {why}", path.display()), hint)
    };
    let text = String::from_utf8(text).map_err(|_| damaged("it is not UTF-8".into()))?;
    Config::parse(&text).map_err(|error| damaged(error.to_string()))
}

fn completions(shell: clap_complete::Shell, io: &mut Io<'_>) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "perennial-device", &mut script);
    io.stdout.write_all(&script).map_err(|error| CliError::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_that_stays_is_the_service() {
        let is = |line: &str| is_service(line.split(' ').map(Into::into));
        assert!(is("perennial-device run") && is("perennial-device --config device.toml run"));
        assert!(!is("perennial-device update") && !is("perennial-device --config run status"));
    }
}
