//! `identity new|request|install|show`: the device's own key, from the factory line on. No network is needed for it.

use std::fmt;
use std::path::{Path, PathBuf};

use perennial_device_core::fleet::{FleetRecord, Stopped};
use perennial_device_core::port::{PortError, Vault as _};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, Kind};
use serde::Serialize;

use super::{CliError, Io};
use crate::agent::advice;
use crate::config::Config;
use crate::files::{FileError, create_folder, read_limited, write_durably, write_secret};
use crate::fleet::FileVault;
use crate::fleet::agent::vault;
use crate::fleet::certificate::find;
use crate::fleet::key::{Algorithm, DeviceKey, KeyError};

/// The certificates of a whole batch: 100,000 at 2 KB.
const BATCH_LENGTH: u64 = 400 * 1024 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make this device's factory key, here and from this machine's randomness. It never leaves.
    New {
        /// Make an ed25519 key in place of ECDSA P-256.
        #[arg(long)]
        ed25519: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the request for its factory certificate (PKCS #10 in PEM), for perennial-signer device-ca issue.
    Request,
    /// Install its factory certificate, out of the file of a whole batch where need be.
    Install {
        /// What the device CA issued.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show who this device is, and how it stands with its fleet server.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Who this device is.
#[derive(Debug, Serialize)]
struct Shown {
    device: DeviceId,
    factory_certificate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolled: Option<Enrolment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_in: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erased: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erasing: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Enrolment {
    epoch: u32,
    since: Timestamp,
    renew_after: Timestamp,
}

pub(super) fn run(command: Command, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut vault = vault(config);
    match command {
        Command::New { ed25519, json } => {
            new(&vault, if ed25519 { Algorithm::Ed25519 } else { Algorithm::P256 })?;
            io.report(json, &shown(&mut vault)?)?;
        }
        Command::Request => {
            let request = factory_key(&vault)?.request().map_err(|error| key_failed(&error))?;
            io.print(&request)?;
        }
        Command::Install { file, json } => {
            install(&vault, config, &file)?;
            io.report(json, &shown(&mut vault)?)?;
        }
        Command::Show { json } => {
            let report = shown(&mut vault)?;
            io.report(json, &report)?;
        }
    }
    Ok(0)
}

fn new(vault: &FileVault, algorithm: Algorithm) -> Result<(), CliError> {
    let path = vault.factory_key();
    if crate::files::exists(&path) {
        let (factory, own) = (path.parent().unwrap_or(&path), vault.folder());
        let both = format!("{} and {}", factory.display(), own.display());
        let folder = if factory == own { own.display().to_string() } else { both };
        let hint = format!(
            "a device has one factory key for life; identity request prints the request for it. With a new key it is another \
             device: stop the agent, and move {folder} away first"
        );
        return Err(CliError::new(format!("{} is there already", path.display()), hint));
    }
    let key = DeviceKey::generate(algorithm).map_err(|error| key_failed(&error))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    create_folder(folder)
        .and_then(|()| write_secret(&path, key.to_pem().as_bytes()))
        .map_err(|error| file_failed(&error))
}

fn install(vault: &FileVault, config: &Config, file: &Path) -> Result<(), CliError> {
    let key = factory_key(vault)?;
    let text = read_limited(file, BATCH_LENGTH)
        .map_err(|error| CliError::with_hint(&error, "name the file that device-ca issue wrote"))?;
    let hint = "name the file that perennial-signer device-ca issue wrote for this device's request";
    let found = find(&text, &key.digest())
        .map_err(|error| CliError::new(format!("{}: {error}", file.display()), hint))?;
    let Some((certificate, pem)) = found else {
        let what = format!("{} holds no certificate of this device's key", file.display());
        return Err(CliError::new(what, hint));
    };
    let name = &certificate.name;
    if name.kind != Kind::Factory || name.device != DeviceId::of_key(&key.digest()) {
        return Err(CliError::new("the certificate is not this device's factory certificate", hint));
    }
    if (&name.product, &name.hardware) != (&config.product, &config.hardware) {
        let what = format!(
            "the certificate is for {} {}, and this device is configured as {} {}",
            name.product, name.hardware, config.product, config.hardware
        );
        return Err(CliError::new(what, "issue it for the right product, or mend the configuration"));
    }
    write_durably(&vault.factory_certificate(), pem.as_bytes()).map_err(|error| file_failed(&error))
}

fn factory_key(vault: &FileVault) -> Result<DeviceKey, CliError> {
    let key = vault.key(&vault.factory_key()).map_err(|error| failed(&error))?;
    key.ok_or_else(|| CliError::new("this device has no factory key", "perennial-device identity new"))
}

fn shown(vault: &mut FileVault) -> Result<Shown, CliError> {
    let key = factory_key(vault)?;
    let factory_certificate = vault.factory().map_err(|error| failed(&error))?.is_some();
    let record = vault.load().map_err(|error| failed(&error))?;
    let record = record.and_then(|bytes| FleetRecord::decode(&bytes)).unwrap_or_default();
    let enrolled = record.membership.as_ref().map(|member| Enrolment {
        epoch: member.epoch,
        since: member.since,
        renew_after: member.renew_after,
    });
    Ok(Shown {
        device: DeviceId::of_key(&key.digest()),
        factory_certificate,
        enrolled,
        checked_in: record.checked_in,
        trouble: Some(record.trouble).filter(|trouble| !trouble.is_empty()),
        erased: match record.stopped {
            Some(Stopped::Erased { at }) => Some(at),
            _ => None,
        },
        erasing: match record.stopped {
            Some(Stopped::Erasing { since }) => Some(since),
            _ => None,
        },
    })
}

fn failed(error: &PortError) -> CliError {
    CliError::with_hint(error, advice(error.code))
}

fn key_failed(error: &KeyError) -> CliError {
    CliError::with_hint(error, "check the system's randomness, and the key's file")
}

fn file_failed(error: &FileError) -> CliError {
    CliError::with_hint(
        error,
        "run it as the user that owns the state; see `fleet.factory` in the configuration",
    )
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Device:       {}", self.device)?;
        match self.factory_certificate {
            true => writeln!(f, "Factory:      certificate installed")?,
            false => writeln!(f, "Factory:      no certificate yet: perennial-device identity request")?,
        }
        match &self.enrolled {
            Some(enrolled) => writeln!(
                f,
                "Enrolled:     since {}, renewed from {} on",
                enrolled.since,
                enrolled.renew_after.date().in_words()
            )?,
            None => writeln!(f, "Enrolled:     no")?,
        }
        if let Some(at) = self.checked_in {
            writeln!(f, "Checked in:   {at}")?;
        }
        if let Some(at) = self.erased {
            writeln!(f, "Erased:       {at}; nothing is told since then")?;
        }
        if let Some(since) = self.erasing {
            writeln!(f, "Erasing:      wanted since {since}; asked for until the server answers")?;
        }
        if let Some(trouble) = &self.trouble {
            writeln!(f, "Trouble:      {trouble}")?;
        }
        Ok(())
    }
}
