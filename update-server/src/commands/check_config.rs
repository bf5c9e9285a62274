//! `check-config`: whether a configuration could be served, without serving it; or the reference of all keys.

use super::{current_if_any as current, load_config, report};
use crate::admin::socket_fits;
use crate::config::{Config, Fleet, KEYS, reference};
use crate::failure::Failure;
use crate::fleet::authority::Authority;
use crate::fleet::trust::{Files, Trust};
use crate::io::Io;
use crate::keys::FileKey;
use crate::server::StartError;
use crate::state::State;
use crate::support::feeds::contacts;
use crate::tls::Certificates;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", required_unless_present = "reference")]
    config: Option<PathBuf>,
    /// Print a configuration with every key, its default and its meaning
    #[arg(long)]
    reference: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Checked {
    config: PathBuf,
    ok: bool,
    certificate_expires: Option<perennial_schemas::Timestamp>,
    warnings: Vec<Warning>,
}

/// Something that can be served, and not as it should be.
#[derive(Debug, Serialize)]
struct Warning {
    what: String,
    hint: String,
}

#[derive(Debug, Serialize)]
struct KeyLine {
    key: &'static str,
    default: &'static str,
    meaning: &'static str,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    if arguments.reference {
        let keys: Vec<_> = KEYS
            .iter()
            .map(|key| KeyLine { key: key.path, default: key.default, meaning: key.doc })
            .collect();
        return report(io, arguments.json, &keys, reference("/var/lib/perennial-server").trim_end());
    }
    let Some(path) = &arguments.config else {
        return Err(Failure::new("no configuration was named", "use --config FILE"));
    };
    let config = load_config(path)?;
    let certificate_expires = check_files(&config)?;
    let mut text = String::new();
    let warnings: Vec<Warning> = doubts(&config, io)
        .into_iter()
        .chain(config.fleet.doubts())
        .map(|[what, hint]| Warning { what, hint })
        .collect();
    for Warning { what, hint } in &warnings {
        text += &format!("Warning: {what}\n         {hint}\n");
    }
    let checked = Checked { config: path.clone(), ok: true, certificate_expires, warnings };
    let until =
        certificate_expires.map_or(String::new(), |until| format!("; the certificate lasts until {until}"));
    text += &format!("{} is in order{until}.", path.display());
    report(io, arguments.json, &checked, &text)
}

/// What the pages of this server would lack. A state that can't be read now, as another command is at work there, says
/// nothing of them.
fn doubts(config: &Config, io: &Io<'_>) -> Vec<[String; 2]> {
    match current(&State::of(config), (io.now)()) {
        Ok(current) => {
            let generation = current.as_ref().map(|whole| &whole.generation);
            contacts::doubts(generation, &config.serve.public, (io.now)())
        }
        Err(_) => Vec::new(),
    }
}

/// The files that the configuration names: state folder, key, certificate.
fn check_files(config: &Config) -> Result<Option<perennial_schemas::Timestamp>, Failure> {
    let state = State::of(config);
    if !crate::disk::exists(&state.tokens_file()) {
        let what = format!("{} is not a state folder of perennial-server", config.state.display());
        return Err(Failure::new(
            what,
            format!("make it first: perennial-server init --state {}", config.state.display()),
        ));
    }
    socket_fits(&state.socket()).map_err(|error| {
        Failure::of(&error, "move the state folder to a shorter path, and name that as `state`")
    })?;
    let key = state.keys().join("timestamp.key");
    FileKey::load(&key).map_err(|error| Failure::of(&error, format!("chmod 600 {}", key.display())))?;
    check_fleet(&config.fleet, &state)?;
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else { return Ok(None) };
    let loaded = Certificates::load(certificate, key).map_err(|error| {
        Failure::of(&error, "tls.certificate and tls.key must name PEM files that fit together")
    })?;
    Ok(loaded.expires().map(perennial_schemas::Timestamp::from_unix))
}

/// The device CA's files, and the enrolment certificate with its key.
fn check_fleet(config: &Fleet, state: &State) -> Result<(), Failure> {
    let Some(ca) = &config.ca else { return Ok(()) };
    let failed = |error: StartError| Failure::of(&error, error.hint());
    let files = Files { ca: ca.clone(), revocations: config.revocations.clone() };
    let trust = Trust::load(files).map_err(|error| failed(error.into()))?;
    if let Some(certificate) = &config.enrolment_certificate {
        let key = state.keys().join("enrolment.key");
        Authority::load(&key, certificate, &trust).map_err(|error| failed(error.into()))?;
    }
    Ok(())
}
