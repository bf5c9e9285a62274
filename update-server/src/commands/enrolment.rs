//! `enrolment`: what the device CA is to sign, so that this server may enrol devices. The private key never leaves the state
//! folder, and is never replaced here.

use super::report;
use crate::cli::Where;
use crate::failure::Failure;
use crate::fleet::authority::{self, AuthorityError};
use crate::io::Io;
use crate::state::State;
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the certificate request for the enrolment key again; the key is made where there is none, and kept where there is
    Request(Arguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Written {
    request: PathBuf,
    key_made: bool,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    let Command::Request(arguments) = command;
    let state = State::of(&super::config_of(&arguments.place)?);
    if !crate::disk::exists(&state.tokens_file()) {
        let what = format!("{} is no state folder of a server", state.keys().with_file_name("").display());
        return Err(Failure::new(what, "make one with `perennial-server init --state DIR`"));
    }
    let (request, key_made) = authority::request(&state.keys()).map_err(|error| {
        let hint = match &error {
            AuthorityError::Exposed { path, .. } => {
                format!("make it its owner's alone: chmod 600 {}", path.display())
            }
            _ => "mend what the system says; a key that is there is never replaced".into(),
        };
        Failure::of(&error, hint)
    })?;
    let key = if key_made { "a new key was made" } else { "the key is the one before" };
    let text = format!(
        "{}: {key}.\nNext: perennial-signer device-ca enrolment --request {} …, then name what it writes in \
         fleet.enrolment_certificate.",
        request.display(),
        request.display()
    );
    report(io, arguments.json, &Written { request, key_made }, &text)
}
