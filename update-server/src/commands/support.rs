//! `support audit`: which promises end soon, which were not kept, what records lack. It asks the running server for what
//! it serves, or reads it from the state; it changes nothing.

use super::{config_of, current, report};
use crate::cli::Where;
use crate::failure::Failure;
use crate::io::Io;
use crate::state::State;
use crate::support::audit::{self, Audit, Rules};
use crate::support::{Catalogue, Face};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List products on sale with little time left, promises not kept, open weaknesses, and what records lack
    Audit(Arguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// List products on sale with less than so many months left
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(0..=300))]
    months_left: u16,
    /// Count a promise as not kept when a weakness was public for so many months and no update came
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(0..=300))]
    silent_months: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    let Command::Audit(arguments) = command;
    let state = State::of(&config_of(&arguments.place)?);
    let generation = current(&state, (io.now)())?.generation;
    let catalogue = Catalogue::read(&generation, &Catalogue::default(), &state.blobs())
        .map_err(|error| Failure::of(&error, "run the command as the state folder's owner"))?;
    let Arguments { months_left, silent_months, .. } = *arguments;
    let audit = Audit::of(
        &catalogue,
        &catalogue.view((io.now)(), &Face::default()),
        Rules { months_left, silent_months },
    );
    report(io, arguments.json, &audit, audit::words(&audit).trim_end())
}
