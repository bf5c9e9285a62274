//! `audit verify`: the chain of what was done, walked from its beginning, and compared with heads that somebody has seen.

use super::{config_of, report, state_failure};
use crate::admin::client::{Server, get};
use crate::audit::{self, Head};
use crate::cli::Where;
use crate::disk;
use crate::failure::Failure;
use crate::io::Io;
use crate::state::{State, StateError};
use crate::store::StoreError;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Walk the audit's chain, and compare it with heads that were seen before
    Verify(Arguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A head that somebody has seen, as this command prints it; may be given several times
    #[arg(long = "head", value_name = "SEQUENCE:DIGEST")]
    heads: Vec<Head>,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    let Command::Verify(arguments) = command;
    let state = State::of(&config_of(&arguments.place)?);
    let head: Head = match state.hold() {
        Ok(held) => audit::verify_against(&held.store, &arguments.heads).map_err(|error| match error {
            StoreError::Corrupt(_) => Failure::of(
                &error,
                "keep this state folder as it is and find out who could write to it; updates go on, the audit can't be relied on",
            ),
            other => state_failure(&other.into()),
        })?,
        Err(StateError::Held(_)) if disk::exists(&state.socket()) => {
            let heads = arguments.heads.iter().map(Head::to_string).collect::<Vec<_>>().join(",");
            let path = format!("/api/v1/audit/verify?heads={heads}");
            let answer = get(&Server::Socket(state.socket()), &path)?;
            serde_json::from_slice(&answer)
                .map_err(|error| Failure::of(&error, "is that server of the same version?"))?
        }
        Err(error) => return Err(state_failure(&error)),
    };
    let through = match arguments.heads.len() {
        0 => String::new(),
        1 => " It leads through the head that was given.".into(),
        count => format!(" It leads through the {count} heads that were given."),
    };
    let text = format!("The audit's chain holds: {} entries.{through}\nIts head: {head}", head.sequence);
    report(io, arguments.json, &head, &text)
}
