//! `init`: a state folder with its online keys and the admin token. Run again, it keeps what is there, and adds the
//! root that the server is to trust. It never replaces a key, a token or a root.

use super::report;
use crate::admin::socket_fits;
use crate::blobs::digest_of;
use crate::config::reference;
use crate::disk;
use crate::failure::Failure;
use crate::fleet::authority;
use crate::io::Io;
use crate::keys::{FileKey, KeyError, OnlineKey, create_token};
use crate::rollout::votes::MarkKey;
use crate::state::State;
use crate::tokens::{Right, Token, Tokens};
use perennial_schemas::limits::ROOT_LENGTH;
use perennial_schemas::tuf::{Role, Root};
use perennial_schemas::{KeyId, Signed};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder for keys, store and blobs
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The root to trust, as its signers hand it over (1.root.json); may be given later
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Also write a configuration file with every key explained, unless it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Made {
    state: PathBuf,
    timestamp_keyid: KeyId,
    timestamp_public: PathBuf,
    rollout_keyid: KeyId,
    rollout_public: PathBuf,
    enrolment_request: PathBuf,
    token_file: Option<PathBuf>,
    trusted_root: Option<u64>,
    config: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let state = State::at(&arguments.state);
    let disk_hint = "name a folder that you may write to with --state";
    socket_fits(&state.socket()).map_err(|error| Failure::of(&error, "name a shorter path with --state"))?;
    state.create().map_err(|error| Failure::of(&error, disk_hint))?;
    let timestamp = key(&state, "timestamp", "server timestamp")?;
    let rollout = key(&state, "rollout", "server rollout")?;
    MarkKey::load(&state.keys().join("marks.key")).map_err(|error| Failure::of(&error, key_hint(&error)))?;
    let enrolment_request = authority::create(&state.keys()).map_err(|error| {
        Failure::of(&error, "mend what the system says; a key that is there is never replaced")
    })?;
    let trusted_root = match &arguments.root {
        Some(path) => Some(trust(&state, path)?),
        None => trusted(&state)?,
    };
    // The tokens are written last: with them, the folder counts as made.
    let token_file = token(&state)?;
    let config = match &arguments.config {
        Some(path) => write_config(path, &arguments.state)?,
        None => None,
    };
    let made = Made {
        timestamp_public: state.keys().join("timestamp.pub.json"),
        rollout_public: state.keys().join("rollout.pub.json"),
        state: arguments.state.clone(),
        timestamp_keyid: timestamp,
        rollout_keyid: rollout,
        enrolment_request,
        token_file,
        trusted_root,
        config,
    };
    report(io, arguments.json, &made, &words(&made))
}

fn key(state: &State, name: &str, label: &str) -> Result<KeyId, Failure> {
    let made =
        FileKey::create(&state.keys(), name, label).map_err(|error| Failure::of(&error, key_hint(&error)))?;
    Ok(made.keyid().clone())
}

fn key_hint(error: &KeyError) -> String {
    match error {
        KeyError::Exposed { path, .. } => format!("make it its owner's alone: chmod 600 {}", path.display()),
        _ => "mend what the system says; a key that is there is never replaced".into(),
    }
}

fn token(state: &State) -> Result<Option<PathBuf>, Failure> {
    let hint = "mend what the system says, then run init again";
    if disk::exists(&state.tokens_file()) {
        return Ok(None);
    }
    let path = state.token_file();
    // One that an interrupted init left was never accepted by any server.
    disk::remove(&path).map_err(|error| Failure::of(&error, hint))?;
    let text = create_token(&path).map_err(|error| Failure::of(&error, hint))?;
    let token = Token {
        name: "admin".into(),
        role: Right::Publisher,
        sha256: digest_of(text.as_bytes()),
        created: None,
        expires: None,
    };
    let tokens = Tokens { tokens: vec![token], ..Tokens::default() };
    tokens.save(&state.tokens_file()).map_err(|error| Failure::of(&error, hint))?;
    Ok(Some(path))
}

/// Takes the first trusted root over; the same one again is no change, another is refused.
fn trust(state: &State, path: &Path) -> Result<u64, Failure> {
    let hint = "name the root file that the signers hand over, such as repository/metadata/1.root.json";
    let bytes = disk::read(path, ROOT_LENGTH).map_err(|error| Failure::of(&error, hint))?;
    let root = Signed::<Root>::parse(&bytes)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display()), hint))?;
    let place = state.root_file();
    if disk::exists(&place) {
        let known = disk::read(&place, ROOT_LENGTH).map_err(|error| Failure::of(&error, hint))?;
        if known != bytes {
            let hint = "roots are replaced by signed rotation in a bundle; for another repository, make another state folder";
            return Err(Failure::new("this server trusts another root already", hint));
        }
    } else {
        disk::replace(&place, &bytes, 0o644).map_err(|error| Failure::of(&error, hint))?;
    }
    Ok(root.unverified().version())
}

/// The version of the root that was handed over before, if one was.
fn trusted(state: &State) -> Result<Option<u64>, Failure> {
    let (place, hint) = (state.root_file(), "put back the root that was handed over, from your copy");
    if !disk::exists(&place) {
        return Ok(None);
    }
    let bytes = disk::read(&place, ROOT_LENGTH).map_err(|error| Failure::of(&error, hint))?;
    let root = Signed::<Root>::parse(&bytes)
        .map_err(|error| Failure::new(format!("{}: {error}", place.display()), hint))?;
    Ok(Some(root.unverified().version()))
}

fn write_config(path: &Path, state: &Path) -> Result<Option<PathBuf>, Failure> {
    if disk::exists(path) {
        return Ok(None);
    }
    let text = reference(&state.display().to_string());
    disk::replace(path, text.as_bytes(), 0o644)
        .map_err(|error| Failure::of(&error, "name a place that you may write to with --config"))?;
    Ok(Some(path.into()))
}

fn words(made: &Made) -> String {
    let mut lines = vec![
        format!("The state folder is {}.", made.state.display()),
        format!("  timestamp key {}", made.timestamp_keyid),
        format!("    its public half, for the root: {}", made.timestamp_public.display()),
        format!("  rollout key   {}", made.rollout_keyid),
        format!("    its public half, for rollout plans: {}", made.rollout_public.display()),
        format!("  enrolment key: its request, for the device CA: {}", made.enrolment_request.display()),
    ];
    if let Some(path) = &made.token_file {
        lines.push(format!(
            "  admin token: {} (move it to whoever publishes; the server keeps its digest)",
            path.display()
        ));
    }
    if let Some(path) = &made.config {
        lines.push(format!("  configuration: {}", path.display()));
    }
    lines.push(match made.trusted_root {
        Some(version) => format!("It trusts root version {version}. Next: perennial-server ingest BUNDLE --state {}", made.state.display()),
        None => format!(
            "Next: give the public half to the root's signers, then perennial-server init --state {} --root 1.root.json",
            made.state.display()
        ),
    });
    lines.join("\n")
}
