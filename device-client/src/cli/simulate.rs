//! `simulate-boot`: what the boot loader does at power-on, for devices that have none yet.

use serde::Serialize;

use super::{CliError, FAILED, Io};
use crate::boot::FileBoot;
use crate::config::Config;
use crate::store::Lock;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Booted {
    booted: Option<perennial_device_core::port::Slot>,
}

impl std::fmt::Display for Booted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.booted {
            Some(slot) => writeln!(f, "The next start runs from slot {slot}."),
            None => writeln!(f, "Nothing boots: no slot is good."),
        }
    }
}

pub(super) fn run(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    if !config.boot.simulate {
        let hint = "set boot.simulate = true in the configuration, on a desk and never in a product";
        return Err(CliError::new("this device has a boot loader", hint));
    }
    let _lock = Lock::take(&config.state)
        .map_err(|error| CliError::with_hint(&error, "wait until the other one has ended"))?;
    let hint = "restore the boot control file, or set the device up anew";
    let booted =
        FileBoot::new(&config.boot.control).simulate().map_err(|error| CliError::with_hint(&error, hint))?;
    if let Some(slot) = booted {
        config.booted().note(slot).map_err(|error| CliError::with_hint(&error, hint))?;
    }
    io.report(arguments.json, &Booted { booted })?;
    Ok(if booted.is_some() { 0 } else { FAILED })
}
