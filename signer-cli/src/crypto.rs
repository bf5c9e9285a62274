//! The provider of signatures and digests: ring. Verifies ed25519 and computes SHA-256; signing is in
//! [`crate::keys`].

use perennial_schemas::crypto::{RunningDigest, SignatureError};
use perennial_schemas::digest::decode_hex;
use perennial_schemas::tuf::Key;
use perennial_schemas::{Digest, Sha256Digest, VerifySignature};

/// ring as the provider.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ring;

/// A SHA-256 computation by ring.
pub struct Sha256(ring::digest::Context);

impl VerifySignature for Ring {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if (key.keytype.as_str(), key.scheme.as_str()) != ("ed25519", "ed25519") {
            return Err(SignatureError::UnknownScheme);
        }
        let public = decode_hex(key.public()).ok_or(SignatureError::MalformedKey)?;
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public)
            .verify(message, signature)
            .map_err(|_| SignatureError::Mismatch)
    }
}

impl Digest for Ring {
    type Running = Sha256;

    fn start(&self) -> Sha256 {
        Sha256(ring::digest::Context::new(&ring::digest::SHA256))
    }
}

impl RunningDigest for Sha256 {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> Sha256Digest {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        Sha256Digest(digest)
    }
}
