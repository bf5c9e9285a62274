//! `recover`: begins again what was lost of the state.

use std::fmt;

use perennial_device_core::port::Record;
use perennial_device_core::recover::RecoverError;
use perennial_schemas::report::FailureCode;
use serde::Serialize;

use super::{CliError, Io, common};
use crate::agent::advice;
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Begin again although nothing says which release runs here: the next check takes whatever signed release is
    /// offered, an older one too, as far as the anti-rollback counter lets it.
    #[arg(long)]
    take_a_release_that_may_be_older_than_what_runs: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was begun again.
#[derive(Debug, Serialize)]
struct Recovered {
    begun_again: Vec<&'static str>,
}

pub(super) fn run(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut adapters = common::open(config, io)?;
    let take_any = arguments.take_a_release_that_may_be_older_than_what_runs;
    let lost = adapters.recover(take_any, io.now()).map_err(|error| failed(&error))?;
    let begun_again = lost.into_iter().map(Record::name).collect();
    io.report(arguments.json, &Recovered { begun_again })?;
    Ok(0)
}

fn failed(error: &RecoverError) -> CliError {
    match error {
        RecoverError::Port(error) => common::port(error),
        RecoverError::Session(error) => common::session(error),
        RecoverError::UnknownRelease => CliError::with_hint(
            error,
            "name a file as `image_info` that says it, or say \
             --take-a-release-that-may-be-older-than-what-runs",
        ),
        RecoverError::Root(_) => {
            CliError::with_hint(error, "put the maker's root back, to where `root` in the configuration says")
        }
        RecoverError::Journal(_) | RecoverError::Floors(_) => {
            CliError::with_hint(error, advice(FailureCode::Internal))
        }
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.begun_again.is_empty() {
            return writeln!(f, "Nothing is lost: the journal, the trust state and the floors can be read.");
        }
        for record in &self.begun_again {
            writeln!(f, "Begun again: the {record} record is lost.")?;
        }
        writeln!(f, "The next check refreshes everything from the factory root on.")
    }
}
