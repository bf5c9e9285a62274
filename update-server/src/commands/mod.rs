//! One module for each command: what it reads, does and prints.

pub(crate) mod audit;
pub(crate) mod check_config;
pub(crate) mod device;
pub(crate) mod enrolment;
pub(crate) mod export_site;
pub(crate) mod ingest;
pub(crate) mod init;
mod lift;
pub(crate) mod push;
pub(crate) mod rollout;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod support;
pub(crate) mod token;

use crate::admin::Whole;
use crate::admin::client::{Server, get};
use crate::cli::Where;
use crate::config::Config;
use crate::disk;
use crate::failure::Failure;
use crate::generation::served;
use crate::io::Io;
use crate::rollout::shown::{Statuses, statuses};
use crate::state::{Held, State, StateError};
use perennial_schemas::{Size, Timestamp};
use serde::Serialize;
use std::path::Path;

/// Said from the first day on, and not only when the timestamp expires; where it is meant, nothing is wrong.
const NO_RENEWAL: &str = "Notice: this server's timestamp key is not in the root, so it can't renew the timestamp; one that was \
    signed offline is served.\n        To let it: perennial-signer root add-key --role timestamp STATE/keys/timestamp.pub.json. \
    If timestamps are signed offline on purpose, all is well.";

/// A configuration has a few KiB.
const CONFIG_LIMIT: u64 = 1 << 20;

/// Reads a configuration file.
fn load_config(path: &Path) -> Result<Config, Failure> {
    let hint =
        "name the file with --config; `perennial-server check-config --reference` prints one to start from";
    let bytes = disk::read(path, CONFIG_LIMIT).map_err(|error| Failure::of(&error, hint))?;
    let name = path.display().to_string();
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::new(format!("{name} is not UTF-8 text"), hint))?;
    Config::parse(&name, &text).map_err(|error| Failure::of(&error, error.hint()))
}

/// The configuration that a command works with: the file's, or the defaults for a state folder.
fn config_of(place: &Where) -> Result<Config, Failure> {
    match (&place.config, &place.state) {
        (Some(path), _) => load_config(path),
        (None, Some(state)) => Ok(Config::with_defaults(state.clone())),
        (None, None) => Err(Failure::new("no state folder was named", "use --config FILE or --state DIR")),
    }
}

/// What to do when a state folder can't be held.
fn state_failure(error: &StateError) -> Failure {
    Failure::of(error, error.hint())
}

/// What is served, from the running server or from the state that it left.
fn current(state: &State, now: Timestamp) -> Result<Whole, Failure> {
    current_if_any(state, now)?
        .ok_or_else(|| Failure::new("no bundle has been ingested yet", "ingest a bundle first"))
}

/// The same; `None` before the first, where no server runs.
fn current_if_any(state: &State, now: Timestamp) -> Result<Option<Whole>, Failure> {
    match state.hold() {
        Ok(held) => {
            let failed = |error| Failure::of(&error, "restart the server, or restore the state folder");
            let Some(served) = served(&held.store).map_err(failed)? else { return Ok(None) };
            let timestamp = String::from_utf8_lossy(&served.timestamp).into_owned();
            let Statuses { current: rollouts, expired: rollouts_expired } =
                statuses(&held.store, now).map_err(failed)?;
            Ok(Some(Whole { generation: served.generation, timestamp, rollouts, rollouts_expired }))
        }
        Err(StateError::Held(_)) if disk::exists(&state.socket()) => {
            parse(&get(&Server::Socket(state.socket()), "/api/v1/generation")?).map(Some)
        }
        Err(error) => Err(state_failure(&error)),
    }
}

/// Where a command finds the store: held by itself, or behind the socket of the server that runs.
enum Place {
    Here(Box<Held>),
    Running(Server),
}

impl Place {
    fn of(place: &Where) -> Result<Self, Failure> {
        let state = State::of(&config_of(place)?);
        match state.hold() {
            Ok(held) => Ok(Self::Here(Box::new(held))),
            Err(StateError::Held(_)) if disk::exists(&state.socket()) => {
                Ok(Self::Running(Server::Socket(state.socket())))
            }
            Err(error) => Err(state_failure(&error)),
        }
    }
}

/// What a running server answered.
fn parse<T: serde::de::DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|error| Failure::of(&error, "is that server of the same version?"))
}

/// Prints a result: as JSON, or as the sentences given.
fn report<T: Serialize>(io: &mut Io<'_>, json: bool, value: &T, text: &str) -> Result<(), Failure> {
    let written = if json {
        let line = serde_json::to_string(value).unwrap_or_default();
        writeln!(io.stdout, "{line}")
    } else {
        writeln!(io.stdout, "{text}")
    };
    written.and_then(|()| io.stdout.flush()).map_err(|error| Failure::of(&error, "standard output is closed"))
}

/// A number of bytes as people read it, in powers of 1000.
fn size(bytes: u64) -> String {
    Size(bytes).to_string()
}
