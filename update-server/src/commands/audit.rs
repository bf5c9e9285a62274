//! `audit verify`: the chain of what was done, walked from its beginning, and compared with heads that somebody has seen.

use super::{Place, parse, report, state_failure};
use crate::admin::client::get;
use crate::audit::{self, BROKEN, Head};
use crate::cli::Where;
use crate::failure::Failure;
use crate::io::Io;
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
    let head: Head = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            audit::verify_against(&held.store, &arguments.heads).map_err(|error| match error {
                StoreError::Corrupt(_) => Failure::of(&error, BROKEN),
                other => state_failure(&other.into()),
            })?
        }
        Place::Running(server) => {
            let heads = arguments.heads.iter().map(Head::to_string).collect::<Vec<_>>().join(",");
            parse(&get(&server, &format!("/api/v1/audit/verify?heads={heads}"))?)?
        }
    };
    let through = match arguments.heads.len() {
        0 => String::new(),
        1 => " It leads through the head that was given.".into(),
        count => format!(" It leads through the {count} heads that were given."),
    };
    let text = format!("The audit's chain holds: {} entries.{through}\nIts head: {head}", head.sequence);
    report(io, arguments.json, &head, &text)
}
