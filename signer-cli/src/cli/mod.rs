//! The commands: what they are called, what they print, how they fail.
//!
//! A command reads its arguments, asks the modules below, and reports. It holds no rule of its own.

mod bundle;
mod channel;
mod check;
mod common;
mod delta;
mod device_ca;
mod error;
mod inspect;
mod io;
mod key;
mod label;
mod product;
mod progress;
mod proposal;
mod release;
mod renew;
mod repository;
mod rollout;
mod root;
mod support;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use common::{Output, PassphraseOptions};
pub use error::{Advise, CliError};
pub use io::{Ask, Io, Report};

/// Signs software updates offline: keys, ceremonies, releases, support promises, bundles.
#[derive(Debug, Parser)]
#[command(name = "perennial-signer", version, disable_help_subcommand = true)]
pub struct Cli {
    /// The repository's folder.
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub repo: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Releases of a product.
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    /// What a product offers.
    #[command(subcommand)]
    Channel(channel::ChannelCommand),
    /// Propose to withdraw a release: devices refuse it for good.
    Withdraw(channel::WithdrawArgs),
    /// Propose a new snapshot of what is published, before the old one expires.
    Snapshot(renew::SnapshotArgs),
    /// Propose signatures for the years after a product's end, so that it keeps its last release.
    Archive(renew::ArchiveArgs),
    /// Write what is published into one file for a server.
    Bundle(bundle::BundleArgs),
    /// Plan how a release is rolled out in stages, and try the plan on a simulated fleet.
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Make, apply and look into deltas between any two files.
    #[command(subcommand)]
    Delta(delta::DeltaCommand),
    /// Say who devices are: the maker's device CA, factory certificates in batches, revocation.
    #[command(subcommand)]
    DeviceCa(device_ca::DeviceCaCommand),
    /// Show any file of ours, or a published target, in plain words.
    Inspect(inspect::InspectArgs),
    /// Check what is published with the device's own core and with tough.
    Check(check::CheckArgs),
    /// Make, show, import and back up keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make a repository.
    #[command(subcommand)]
    Repository(repository::RepositoryCommand),
    /// Change the keys of the root's roles and of products' teams.
    #[command(subcommand)]
    Root(root::RootCommand),
    /// Add products, hand them to another team.
    #[command(subcommand)]
    Product(product::ProductCommand),
    /// Until when products are supported: promise, extend, tell, state, show, check.
    #[command(subcommand)]
    Support(support::SupportCommand),
    /// Show in plain words what a proposal would change.
    Review(proposal::ReviewArgs),
    /// Review a proposal and add the signatures of one key.
    Sign(proposal::SignArgs),
    /// Renew a proposal upon what is published now. Its signatures are dropped.
    Rebase(proposal::RebaseArgs),
    /// Publish a proposal that has its signatures.
    Publish(proposal::PublishArgs),
    /// Say what is published, what expires when, who has signed what and who is asked next.
    Status(proposal::StatusArgs),
    /// Print a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs one command: 0 where it did what it says, 1 where it failed or refused, 2 for arguments that make no sense.
///
/// A failure prints exactly two lines on stderr: `error: …` and `hint: …`.
pub fn run(args: impl IntoIterator<Item = OsString>, io: &mut Io<'_>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(e) if !e.use_stderr() => {
            let _ = write!(io.stdout, "{e}");
            return ExitCode::SUCCESS;
        }
        Err(e) => return usage::refused(&e, &args).print(io),
    };
    let invocation = common::invocation(&cli.repo);
    match dispatch(cli, io) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => e.naming(&invocation).print(io),
    }
}

fn dispatch(cli: Cli, io: &mut Io<'_>) -> Result<(), CliError> {
    match cli.command {
        Command::Release(command) => release::run(command, &cli.repo, io),
        Command::Channel(command) => channel::run(command, &cli.repo, io),
        Command::Withdraw(args) => channel::withdraw(&args, &cli.repo, io),
        Command::Snapshot(args) => renew::snapshot(&args, &cli.repo, io),
        Command::Archive(args) => renew::archive(&args, &cli.repo, io),
        Command::Bundle(args) => bundle::run(args, &cli.repo, io),
        Command::Rollout(command) => rollout::run(command, &cli.repo, io),
        Command::Delta(command) => delta::run(command, io),
        Command::DeviceCa(command) => device_ca::run(command, io),
        Command::Inspect(args) => inspect::run(&args, &cli.repo, io),
        Command::Check(args) => check::run(&args, &cli.repo, io),
        Command::Key(command) => key::run(command, io),
        Command::Repository(command) => repository::run(command, &cli.repo, io),
        Command::Root(command) => root::run(command, &cli.repo, io),
        Command::Product(command) => product::run(command, &cli.repo, io),
        Command::Support(command) => support::run(command, &cli.repo, io),
        Command::Review(args) => proposal::review(&args, &cli.repo, io),
        Command::Sign(args) => proposal::sign(&args, &cli.repo, io),
        Command::Publish(args) => proposal::publish(&args, &cli.repo, io),
        Command::Rebase(args) => proposal::rebase(&args, &cli.repo, io),
        Command::Status(args) => proposal::status(&args, &cli.repo, io),
        Command::Completions { shell } => completions(shell, io),
    }
}

fn completions(shell: clap_complete::Shell, io: &mut Io<'_>) -> Result<(), CliError> {
    let mut script = Vec::new();
    let mut command = <Cli as clap::CommandFactory>::command();
    clap_complete::generate(shell, &mut command, "perennial-signer", &mut script);
    io.stdout.write_all(&script).map_err(CliError::output)
}
