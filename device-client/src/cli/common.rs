//! What the commands share: opening the device, and saying failures with their numbers' advice.

use perennial_device_core::port::{FetchError, PortError};
use perennial_device_core::run::RunError;
use perennial_device_core::session::SessionError;
use perennial_schemas::report::FailureCode;

use super::beside::Beside;
use super::{CliError, FAILED, Io, REFUSED};
use crate::agent::{Adapters, OpenError, advice, is_refusal};
use crate::config::Config;
use crate::error::chain;
use crate::http::{HttpError, Proxies};
use crate::store::LockError;

/// The device for a command, or the agent that works on it and takes the owner's wishes up.
pub(super) enum Opened {
    /// For this command alone.
    Here(Box<Adapters>),
    /// Somebody else's.
    Beside(Beside),
}

/// This device, for this command alone.
pub(super) fn open(config: &Config, io: &Io<'_>) -> Result<Adapters, CliError> {
    adapters(config, io)?.map_err(|error| not_opened(&error))
}

/// This device, or whoever works on it.
pub(super) fn open_or_ask(config: &Config, io: &Io<'_>) -> Result<Opened, CliError> {
    match adapters(config, io)? {
        Ok(adapters) => Ok(Opened::Here(Box::new(adapters))),
        Err(OpenError::Lock(LockError::Taken { holder, listens: true, .. })) => {
            Ok(Opened::Beside(Beside { holder }))
        }
        Err(error) => Err(not_opened(&error)),
    }
}

fn adapters(config: &Config, io: &Io<'_>) -> Result<Result<Adapters, OpenError>, CliError> {
    let proxies = Proxies::from_variables(|name| (io.variable)(name)).map_err(|error| http(&error))?;
    Ok(Adapters::open(config, proxies, io.interrupt.clone()))
}

fn not_opened(error: &OpenError) -> CliError {
    match error {
        OpenError::Lock(LockError::Taken { listens: true, .. }) => {
            let hint = "stop that agent for this command, and start it again afterwards";
            CliError::with_hint(error, hint)
        }
        OpenError::Lock(LockError::Taken { .. }) => {
            let hint = "wait until it has ended; perennial-device status shows what it does";
            CliError::with_hint(error, hint)
        }
        OpenError::Lock(LockError::Io { .. }) => {
            let hint =
                "run it as the user that owns the state, or set the device up with perennial-device init";
            CliError::with_hint(error, hint)
        }
        OpenError::Http(error) => http(error),
        OpenError::Server(_) => CliError::with_hint(error, "mend `server` in the configuration"),
        OpenError::Root(_) => {
            CliError::with_hint(error, "put the maker's root back, to where `root` in the configuration says")
        }
        OpenError::Image(_) => {
            CliError::with_hint(error, "mend the file that `image_info` names, or leave it out")
        }
        OpenError::Store(error) => port(error),
        OpenError::Source(error) => fetch(error),
    }
}

fn http(error: &HttpError) -> CliError {
    let hint = match error {
        HttpError::Proxy { .. } => "set the variable to http://host:port, or leave it out",
        HttpError::Roots(_) => "name a PEM file with certificates as `ca` in the configuration",
        _ => advice(FailureCode::Internal),
    };
    CliError::with_hint(error, hint)
}

fn fetch(error: &FetchError) -> CliError {
    CliError::with_hint(error, advice(error.code()))
}

pub(super) fn port(error: &PortError) -> CliError {
    CliError::with_hint(error, hint(error.code, &error.detail)).status(status(error.code))
}

pub(super) fn session(error: &SessionError) -> CliError {
    let code = error.code();
    CliError::with_hint(error, hint(code, &chain(error))).status(status(code))
}

/// What to do about a failed check: by its number, and closer where the words say that the configuration is to blame. An
/// update has kept only the words.
pub(super) fn hint(code: FailureCode, what: &str) -> &'static str {
    let says = |part: &str| what.contains(part);
    if says("the repository has no timestamp.json") {
        "check `server` in the configuration: it must be the repository's own address or folder; if it is, tell whoever \
         runs the server"
    } else if says("this repository has no product ") {
        "compare `product` and `server` in device.toml with what the maker says"
    } else if says("the maker has published no release of ") {
        "try again later; if others get releases, compare `product` and `channel` in device.toml"
    } else {
        advice(code)
    }
}

pub(super) fn run_error(error: &RunError) -> CliError {
    match error {
        RunError::Journal(inner) | RunError::Slots(inner) => {
            CliError::new(chain(error), advice(inner.code)).status(FAILED)
        }
        RunError::Lost(_) => CliError::with_hint(error, advice(FailureCode::TrustStateLost)),
        RunError::Session(inner) => session(inner),
        RunError::Revert(inner) => {
            CliError::with_hint(inner, "nothing was changed; perennial-device status shows both slots")
                .status(REFUSED)
        }
        RunError::Illegal(_) => CliError::with_hint(error, advice(FailureCode::Internal)),
    }
}

/// The exit status of a failure with this number.
pub(super) fn status(code: FailureCode) -> u8 {
    if is_refusal(code) { REFUSED } else { FAILED }
}
