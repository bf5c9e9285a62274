//! `ingest`: takes a bundle in, through the socket of the running server, or straight into the state it left.

use super::{config_of, report, size, state_failure};
use crate::admin::client::{Server, call};
use crate::cli::Where;
use crate::config::Config;
use crate::disk;
use crate::failure::Failure;
use crate::ingest::Outcome;
use crate::ingest::accept::CoreJudge;
use crate::io::Io;
use crate::keeper::{Keeper, Rules};
use crate::keys::FileKey;
use crate::metrics::Metrics;
use crate::state::{Held, State, StateError};
use hyper::Method;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The bundle, as `perennial-signer bundle` wrote it
    bundle: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let config = config_of(&arguments.place)?;
    let state = State::of(&config);
    match state.hold() {
        Ok(held) => {
            let outcome = straight(&config, held, &arguments.bundle, io)?;
            let serve = match &arguments.place.config {
                Some(path) => path.display().to_string(),
                None => "FILE".into(),
            };
            let text = format!(
                "{}\nNo server is running on this state: start it with perennial-server serve --config {serve}",
                words(&outcome)
            );
            report(io, arguments.json, &outcome, &text)
        }
        Err(StateError::Held(_)) if disk::exists(&state.socket()) => {
            let file = open(&arguments.bundle)?;
            let answer = call(&Server::Socket(state.socket()), Method::POST, "/api/v1/bundles", Some(file))?;
            print(io, arguments.json, &answer)
        }
        Err(error) => Err(state_failure(&error)),
    }
}

/// Opens a bundle for sending, with its length in bytes.
pub(super) fn open(bundle: &Path) -> Result<(std::fs::File, u64), Failure> {
    let hint = "name a bundle that `perennial-signer bundle` wrote";
    let file = disk::open(bundle).map_err(|error| Failure::of(&error, hint))?;
    let length = disk::length(bundle).map_err(|error| Failure::of(&error, hint))?.unwrap_or(0);
    Ok((file, length))
}

/// Prints what a server answered to a bundle.
pub(super) fn print(io: &mut Io<'_>, json: bool, answer: &[u8]) -> Result<(), Failure> {
    let outcome: serde_json::Value = serde_json::from_slice(answer)
        .map_err(|error| Failure::of(&error, "is that server of the same version?"))?;
    let number = |name: &str| outcome.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let mut text = if outcome.get("outcome").and_then(|word| word.as_str()) == Some("published") {
        published(number("generation"), number("snapshot"), number("files"), number("new_bytes"))
    } else {
        unchanged(number("generation"))
    };
    if outcome.get("timestamp_offline").and_then(serde_json::Value::as_bool) == Some(true) {
        text.push_str(&no_renewal());
    }
    report(io, json, &outcome, &text)
}

fn straight(config: &Config, held: Held, bundle: &Path, io: &Io<'_>) -> Result<Outcome, Failure> {
    let setup =
        |error: &dyn std::error::Error| Failure::of(error, "mend what the system says, then try again");
    let key = FileKey::load(&held.state.keys().join("timestamp.key")).map_err(|error| setup(&error))?;
    let metrics = Arc::new(Metrics::new().map_err(|error| setup(&error))?);
    let rules = Rules::of(config);
    let keeper = Keeper::new(held, Box::new(key), Box::new(CoreJudge), rules, io.now.clone(), metrics)
        .map_err(|error| setup(&error))?;
    let (file, _) = open(bundle)?;
    let outcome = keeper.ingest(&mut BufReader::with_capacity(256 << 10, file), "command");
    let outcome = outcome.map_err(|error| Failure::of(&error, error.hint()))?;
    keeper.tidy();
    Ok(outcome)
}

fn words(outcome: &Outcome) -> String {
    let (mut text, offline) = match outcome {
        Outcome::Published { generation, snapshot, files, new_bytes, timestamp_offline } => {
            (published(*generation, *snapshot, *files as u64, *new_bytes), *timestamp_offline)
        }
        Outcome::Unchanged { generation, timestamp_offline } => (unchanged(*generation), *timestamp_offline),
    };
    if offline {
        text.push_str(&no_renewal());
    }
    text
}

fn no_renewal() -> String {
    format!("\n{}", super::NO_RENEWAL)
}

fn published(generation: u64, snapshot: u64, files: u64, new_bytes: u64) -> String {
    let new = size(new_bytes);
    format!("Generation {generation} is served: snapshot {snapshot}, {files} files, {new} new.")
}

fn unchanged(generation: u64) -> String {
    format!("Generation {generation} holds that already; nothing was changed.")
}
