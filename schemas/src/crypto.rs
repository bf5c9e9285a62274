//! The two things that the formats ask of a cryptography provider. No cryptography of its own.

use crate::Sha256Digest;
use crate::tuf::Key;

/// Checks one signature by one key.
pub trait VerifySignature {
    /// Checks `signature` over `message`.
    ///
    /// # Errors
    /// [`SignatureError`]; an unknown key type or scheme is no worse than a wrong signature, so that metadata with
    /// keys of the future stays readable (TUF 4.2: "TUF is not restricted to any particular signature schemes").
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<(), SignatureError>;
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The provider does not know this key type with this scheme.
    #[error("key type or scheme unknown here")]
    UnknownScheme,
    /// The public key can't be read.
    #[error("the public key is malformed")]
    MalformedKey,
    /// The signature is not one by this key over these bytes.
    #[error("the signature does not match")]
    Mismatch,
}

/// Computes SHA-256, at once or piece by piece. SHA-512 is for reading other people's repositories.
pub trait Digest {
    /// A computation in progress.
    type Running: RunningDigest;

    /// Starts a computation.
    fn start(&self) -> Self::Running;

    /// SHA-256 of `bytes`.
    fn sha256(&self, bytes: &[u8]) -> Sha256Digest {
        let mut running = self.start();
        running.update(bytes);
        running.finish()
    }

    /// SHA-512 of `bytes`, 64 bytes; `None` where the provider lacks it.
    fn sha512(&self, bytes: &[u8]) -> Option<[u8; 64]> {
        let _ = bytes;
        None
    }
}

/// A SHA-256 computation in progress.
pub trait RunningDigest {
    /// Takes in more bytes.
    fn update(&mut self, bytes: &[u8]);
    /// Ends the computation.
    fn finish(self) -> Sha256Digest;
}

/// A whole provider.
pub trait Crypto: VerifySignature + Digest {}
impl<T: VerifySignature + Digest> Crypto for T {}
