//! The device's keys and its place in the fleet. Keys are made here and never leave.

use alloc::string::String;
use alloc::vec::Vec;

use perennial_schemas::Sha256Digest;
use perennial_schemas::fleet::DeviceId;

use super::PortError;

/// A request for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextKey {
    /// SHA-256 over the SubjectPublicKeyInfo of the key.
    pub key: Sha256Digest,
    /// PKCS #10 in PEM, signed by the key, without names.
    pub request: String,
}

/// Keeps private keys and one record. For an adapter: keys are made from the hardware's or the system's randomness, on the
/// device, readable by the agent alone; everything that is saved is durable when the call returns.
pub trait Vault {
    /// Who the factory made this device; `None` where it has no factory certificate yet.
    ///
    /// # Errors
    /// [`PortError`] where it can't be read.
    fn factory(&mut self) -> Result<Option<DeviceId>, PortError>;

    /// The next key, another one than `current`, and a request for its certificate. Until [`Vault::retire`], each call gives
    /// the same key: so a lost answer costs no second one.
    ///
    /// # Errors
    /// [`PortError`].
    fn next_key(&mut self, current: Option<&Sha256Digest>) -> Result<NextKey, PortError>;

    /// Whether this chain (PEM, the leaf first) is a certificate of that key, and names this device.
    ///
    /// # Errors
    /// [`PortError`] that says what doesn't fit.
    fn check(&mut self, chain: &str, key: &Sha256Digest) -> Result<(), PortError>;

    /// Removes every key but the factory's and that one; the next key is another one.
    ///
    /// # Errors
    /// [`PortError`].
    fn retire(&mut self, keep: Option<&Sha256Digest>) -> Result<(), PortError>;

    /// The record; `None` where none was saved. Its damage costs an enrolment, and no more.
    ///
    /// # Errors
    /// [`PortError`].
    fn load(&mut self) -> Result<Option<Vec<u8>>, PortError>;

    /// Replaces the record, durably and whole: at most 64 KiB.
    ///
    /// # Errors
    /// [`PortError`]; the old bytes are then still there.
    fn save(&mut self, bytes: &[u8]) -> Result<(), PortError>;
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryVault;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use crate::port::power::Power;
    use alloc::collections::BTreeSet;
    use alloc::format;
    use perennial_schemas::report::FailureCode;

    /// A vault in memory. Its keys are numbers.
    #[derive(Debug)]
    pub struct MemoryVault {
        power: Power,
        /// Whether it has a factory certificate.
        pub factory: bool,
        /// Keys that are there.
        pub keys: BTreeSet<Sha256Digest>,
        /// The key that waits for its certificate.
        pub next: Option<Sha256Digest>,
        /// The record.
        pub record: Option<Vec<u8>>,
        made: u8,
    }

    impl MemoryVault {
        /// The vault of a device from the factory.
        pub fn new(power: &Power) -> Self {
            Self {
                power: power.clone(),
                factory: true,
                keys: BTreeSet::new(),
                next: None,
                record: None,
                made: 0,
            }
        }
    }

    impl Vault for MemoryVault {
        fn factory(&mut self) -> Result<Option<DeviceId>, PortError> {
            self.power.on(FailureCode::Storage, "reading the factory certificate")?;
            Ok(self.factory.then(crate::port::link::device))
        }

        fn next_key(&mut self, current: Option<&Sha256Digest>) -> Result<NextKey, PortError> {
            self.power.spend(FailureCode::Storage, "making a key")?;
            let key = match self.next.filter(|next| Some(next) != current) {
                Some(key) => key,
                None => {
                    self.made += 1;
                    let key = Sha256Digest([self.made; 32]);
                    self.keys.insert(key);
                    *self.next.insert(key)
                }
            };
            let begin = "-----BEGIN CERTIFICATE REQUEST-----";
            Ok(NextKey { key, request: format!("{begin}\n{key}\n-----END CERTIFICATE REQUEST-----\n") })
        }

        fn check(&mut self, chain: &str, key: &Sha256Digest) -> Result<(), PortError> {
            if chain.contains(&format!("{key}")) && self.keys.contains(key) {
                return Ok(());
            }
            Err(PortError::new(FailureCode::BadAnswer, "checking a certificate", "it is of another key"))
        }

        fn retire(&mut self, keep: Option<&Sha256Digest>) -> Result<(), PortError> {
            self.power.spend(FailureCode::Storage, "removing old keys")?;
            self.keys.retain(|key| Some(key) == keep);
            self.next = None;
            Ok(())
        }

        fn load(&mut self) -> Result<Option<Vec<u8>>, PortError> {
            self.power.on(FailureCode::Storage, "loading the fleet record")?;
            Ok(self.record.clone())
        }

        fn save(&mut self, bytes: &[u8]) -> Result<(), PortError> {
            self.power.spend(FailureCode::Storage, "saving the fleet record")?;
            self.record = Some(bytes.to_vec());
            Ok(())
        }
    }
}
