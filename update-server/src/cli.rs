//! The command line: what can be asked, and how results and errors are printed. Each command lives in `commands`.

use crate::commands;
use crate::failure::Failure;
use crate::io::Io;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Streams signed updates to fleets, and tells the world until when products are supported.
#[derive(Debug, Parser)]
#[command(name = "perennial-server", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a state folder: online keys, admin token, and (once there is one) the root to trust
    Init(commands::init::Arguments),
    /// Serve, until told to stop
    Serve(commands::serve::Arguments),
    /// Tell how the server is: what is served and until when, what was refused, what must be done
    Status(commands::status::Arguments),
    /// Check a configuration file, or print every key with its meaning
    CheckConfig(commands::check_config::Arguments),
    /// Take a bundle in, through the running server or straight into its state
    Ingest(commands::ingest::Arguments),
    /// Push a bundle to the admin listener of a server elsewhere
    Push(commands::push::Arguments),
    /// Write everything that is served into a folder or a file that devices can update from
    ExportSite(commands::export_site::Arguments),
    /// Export, import, check and move the records
    #[command(subcommand)]
    Store(commands::store::Command),
    /// Ask for the certificate with which this server enrols devices
    #[command(subcommand)]
    Enrolment(commands::enrolment::Command),
    /// List devices; show, explain, revoke, lift or erase one
    #[command(subcommand)]
    Device(commands::device::Command),
    /// Look at staged rollouts; pause, halt or resume one
    #[command(subcommand)]
    Rollout(commands::rollout::Command),
    /// Make, list and revoke the tokens of the admin listener
    #[command(subcommand)]
    Token(commands::token::Command),
    /// Look at the record of what was done
    #[command(subcommand)]
    Audit(commands::audit::Command),
    /// Look at what makers promised, over all products
    #[command(subcommand)]
    Support(commands::support::Command),
}

/// How a command is pointed at a state folder: by a configuration, or directly.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Where {
    /// Configuration file that names the state folder
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// State folder
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Runs one command. Results go to `io.stdout`; an error is two lines on `io.stderr`.
pub fn run(args: impl IntoIterator<Item = OsString>, io: &mut Io<'_>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error, io),
    };
    let result = match arguments.command {
        Command::Init(arguments) => commands::init::run(&arguments, io),
        Command::Serve(arguments) => commands::serve::run(&arguments, io),
        Command::Status(arguments) => commands::status::run(&arguments, io),
        Command::CheckConfig(arguments) => commands::check_config::run(&arguments, io),
        Command::Ingest(arguments) => commands::ingest::run(&arguments, io),
        Command::Push(arguments) => commands::push::run(&arguments, io),
        Command::ExportSite(arguments) => commands::export_site::run(&arguments, io),
        Command::Store(command) => commands::store::run(&command, io),
        Command::Enrolment(command) => commands::enrolment::run(&command, io),
        Command::Device(command) => commands::device::run(&command, io),
        Command::Rollout(command) => commands::rollout::run(&command, io),
        Command::Token(command) => commands::token::run(&command, io),
        Command::Audit(command) => commands::audit::run(&command, io),
        Command::Support(command) => commands::support::run(&command, io),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io.stderr, "{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Help and versions go to stdout; what can't be understood becomes two lines.
fn usage(error: &clap::Error, io: &mut Io<'_>) -> ExitCode {
    if !error.use_stderr() {
        let _ = write!(io.stdout, "{error}");
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // `Usage: perennial-server support <COMMAND>` → the command alone.
        let usage =
            text.lines().find_map(|line| line.trim().strip_prefix("Usage: ")).unwrap_or("perennial-server");
        let command = usage.split_whitespace().take_while(|word| !word.starts_with(['-', '<', '[']));
        let command = command.collect::<Vec<_>>().join(" ");
        let failure = Failure::new("no command was given", format!("`{command} --help` shows every command"));
        let _ = writeln!(io.stderr, "{failure}");
        return ExitCode::from(2);
    }
    let mut paragraphs = text.split("\n\n");
    let what = paragraphs.next().unwrap_or_default();
    let what = what.trim_start_matches("error: ");
    let tip = paragraphs.find_map(|part| part.trim().strip_prefix("tip: "));
    let hint = tip.map_or_else(|| "`perennial-server --help` shows every command".to_owned(), str::to_owned);
    let _ = writeln!(io.stderr, "{}", Failure::new(what, hint));
    ExitCode::from(2)
}
