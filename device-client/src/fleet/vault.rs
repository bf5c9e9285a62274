//! The device's keys as files: `factory.key` and `factory.pem` from the factory, `fleet.key` and `next.key` made at
//! enrolment, and the record `fleet.json`. All are readable by the agent's user alone.

use std::path::{Path, PathBuf};

use perennial_device_core::port::{NextKey, PortError, Vault};
use perennial_schemas::Sha256Digest;
use perennial_schemas::fleet::{DeviceId, Kind, Name};
use perennial_schemas::limits::CHAIN_LENGTH;
use perennial_schemas::report::FailureCode;
use rustls_pki_types::CertificateDer;

use super::certificate::{read_chain, read_leaf};
use super::key::{Algorithm, DeviceKey};
use crate::files::{create_folder, read_if_there, remove, write_secret};

/// A private key's file.
pub(crate) const KEY_LENGTH: u64 = 4096;
/// The record: a chain, and little else.
const RECORD_LENGTH: u64 = 64 * 1024;

/// The files.
#[derive(Debug, Clone)]
pub struct FileVault {
    folder: PathBuf,
    factory: PathBuf,
}

impl FileVault {
    /// In `folder`; what the factory gave lies in `factory`, which may be the same.
    pub fn new(folder: &Path, factory: &Path) -> Self {
        Self { folder: folder.into(), factory: factory.into() }
    }

    /// Where fleet keys and the record lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the factory's private key lies.
    pub fn factory_key(&self) -> PathBuf {
        self.factory.join("factory.key")
    }

    /// Where the factory's certificate lies.
    pub fn factory_certificate(&self) -> PathBuf {
        self.factory.join("factory.pem")
    }

    fn fleet_key(&self) -> PathBuf {
        self.folder.join("fleet.key")
    }

    fn waiting_key(&self) -> PathBuf {
        self.folder.join("next.key")
    }

    fn record(&self) -> PathBuf {
        self.folder.join("fleet.json")
    }

    /// The private key in a file; `None` where there is none.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn key(&self, path: &Path) -> Result<Option<DeviceKey>, PortError> {
        let operation = format!("reading {}", path.display());
        let text = read_if_there(path, KEY_LENGTH).map_err(|error| failed(&operation, &error))?;
        text.map(|text| DeviceKey::from_pem(&text).map_err(|error| failed(&operation, &error))).transpose()
    }

    /// The factory's chain and key, for TLS.
    ///
    /// # Errors
    /// [`PortError`] where one is missing or can't be read.
    pub fn factory_identity(&self) -> Result<(Vec<CertificateDer<'static>>, DeviceKey), PortError> {
        let operation = "using the factory certificate";
        let key = self.key(&self.factory_key())?;
        let key = key.ok_or_else(|| failed(operation, &"the factory key is missing"))?;
        let chain = self.factory_chain()?;
        Ok((chain.ok_or_else(|| failed(operation, &"it is missing"))?, key))
    }

    /// The private key of that digest, among those of the fleet.
    ///
    /// # Errors
    /// [`PortError`] where it isn't there.
    pub fn fleet_key_of(&self, digest: &Sha256Digest) -> Result<DeviceKey, PortError> {
        for path in [self.fleet_key(), self.waiting_key()] {
            if let Some(key) = self.key(&path)?.filter(|key| key.digest() == *digest) {
                return Ok(key);
            }
        }
        Err(failed("using the fleet certificate", &"its key is missing"))
    }

    fn factory_chain(&self) -> Result<Option<Vec<CertificateDer<'static>>>, PortError> {
        let path = self.factory_certificate();
        let operation = format!("reading {}", path.display());
        let text = read_if_there(&path, CHAIN_LENGTH as u64).map_err(|error| failed(&operation, &error))?;
        text.map(|text| read_chain(&text).map_err(|error| failed(&operation, &error))).transpose()
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), PortError> {
        create_folder(&self.folder)
            .and_then(|()| write_secret(path, bytes))
            .map_err(|error| failed(&format!("writing {}", path.display()), &error))
    }
}

impl FileVault {
    /// Who the factory's certificate says that this device is; `None` where it has none.
    ///
    /// # Errors
    /// [`PortError`] where it can't be read, or is another device's.
    pub fn factory_name(&self) -> Result<Option<Name>, PortError> {
        let Some(chain) = self.factory_chain()? else { return Ok(None) };
        let Some(key) = self.key(&self.factory_key())? else { return Ok(None) };
        let operation = "reading the factory certificate";
        let leaf = read_leaf(&chain[0]).map_err(|error| failed(operation, &error))?;
        let id = DeviceId::of_key(&key.digest());
        if leaf.key != key.digest() {
            return Err(failed(operation, &"it is of another key than factory.key"));
        }
        if leaf.name.kind != Kind::Factory || leaf.name.device != id {
            return Err(failed(operation, &"it does not name this device"));
        }
        Ok(Some(leaf.name))
    }
}

impl Vault for FileVault {
    fn factory(&mut self) -> Result<Option<DeviceId>, PortError> {
        Ok(self.factory_name()?.map(|name| name.device))
    }

    fn next_key(&mut self, current: Option<&Sha256Digest>) -> Result<NextKey, PortError> {
        let operation = "making a key";
        let waiting = self.key(&self.waiting_key())?.filter(|key| Some(&key.digest()) != current);
        let key = match waiting {
            Some(key) => key,
            None => {
                // The key of a certificate that was taken, and not put in its place before the power was cut.
                if current.is_some() {
                    self.retire(current)?;
                }
                let key = DeviceKey::generate(Algorithm::P256).map_err(|error| failed(operation, &error))?;
                self.write(&self.waiting_key(), key.to_pem().as_bytes())?;
                key
            }
        };
        let request = key.request().map_err(|error| failed(operation, &error))?;
        Ok(NextKey { key: key.digest(), request })
    }

    fn check(&mut self, chain: &str, key: &Sha256Digest) -> Result<(), PortError> {
        let wrong = |why: &dyn std::fmt::Display| {
            PortError::new(FailureCode::BadAnswer, "taking a fleet certificate", why.to_string())
        };
        let chain = read_chain(chain.as_bytes()).map_err(|error| wrong(&error))?;
        let leaf = read_leaf(&chain[0]).map_err(|error| wrong(&error))?;
        if leaf.key != *key {
            return Err(wrong(&"it is of another key than the one that was sent"));
        }
        let device = self.factory()?;
        if leaf.name.kind != Kind::Fleet || device.is_some_and(|device| device != leaf.name.device) {
            return Err(wrong(&"it does not name this device"));
        }
        Ok(())
    }

    fn retire(&mut self, keep: Option<&Sha256Digest>) -> Result<(), PortError> {
        let waiting = self.key(&self.waiting_key())?;
        if let Some(key) = waiting.filter(|key| Some(&key.digest()) == keep) {
            self.write(&self.fleet_key(), key.to_pem().as_bytes())?;
        }
        let removed = |path: &Path| remove(path).map_err(|error| failed("removing an old key", &error));
        removed(&self.waiting_key())?;
        if keep.is_none() { removed(&self.fleet_key()) } else { Ok(()) }
    }

    fn load(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        read_if_there(&self.record(), RECORD_LENGTH)
            .map_err(|error| failed("reading the fleet record", &error))
    }

    fn save(&mut self, bytes: &[u8]) -> Result<(), PortError> {
        self.write(&self.record(), bytes)
    }
}

fn failed(operation: &str, why: &dyn std::fmt::Display) -> PortError {
    PortError::new(FailureCode::Storage, operation, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_waits_until_it_is_taken_and_only_its_user_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut vault = FileVault::new(&folder.path().join("identity"), folder.path());
        let first = vault.next_key(None).unwrap();
        assert_eq!(vault.next_key(None).unwrap().key, first.key);
        let mode = std::fs::metadata(vault.waiting_key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Taken, and the power cut before it was put in its place: the next one is another one.
        let second = vault.next_key(Some(&first.key)).unwrap();
        assert_ne!(second.key, first.key);
        assert_eq!(vault.fleet_key_of(&first.key).unwrap().digest(), first.key);
        vault.retire(Some(&second.key)).unwrap();
        assert!(vault.fleet_key_of(&first.key).is_err());
        assert!(vault.fleet_key_of(&second.key).is_ok());
        // Thrown away: the one in use stays.
        let third = vault.next_key(Some(&second.key)).unwrap();
        vault.retire(Some(&second.key)).unwrap();
        assert!(vault.fleet_key_of(&third.key).is_err() && vault.fleet_key_of(&second.key).is_ok());
        vault.retire(None).unwrap();
        assert!(vault.fleet_key_of(&second.key).is_err());
        assert_eq!(vault.factory(), Ok(None));
        assert_eq!(vault.load(), Ok(None));
        vault.save(b"{}").unwrap();
        assert_eq!(vault.load(), Ok(Some(b"{}".to_vec())));
    }
}
