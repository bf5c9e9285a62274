//! A private key in memory.

use perennial_schemas::digest::encode_hex;
use perennial_schemas::tuf::Key;
use ring::rand::SecureRandom as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::KeyError;

/// An ed25519 private key. Wiped when dropped, as far as ring allows.
pub struct SecretKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.pair.public_key()).finish_non_exhaustive()
    }
}

impl SecretKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Failed`] where the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        random(seed.as_mut())?;
        Self::from_seed(seed)
    }

    pub(super) fn from_seed(seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref());
        Ok(Self { pair: pair.map_err(|e| KeyError::Failed(e.to_string()))?, seed })
    }

    pub(super) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> Key {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair.public_key().as_ref());
        Key::ed25519(&public)
    }

    /// Signs; the signature in hexadecimal digits.
    pub fn sign(&self, message: &[u8]) -> String {
        encode_hex(self.pair.sign(message).as_ref())
    }
}

/// Fills `bytes` with randomness of the system.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    let failed = |_| KeyError::Failed("the system gives no randomness".into());
    ring::rand::SystemRandom::new().fill(bytes).map_err(failed)
}
