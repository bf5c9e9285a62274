//! Keys made from a number, so that a test is the same each time.

use perennial_device_core::crypto::Ring;
use perennial_schemas::KeyId;
use perennial_schemas::digest::encode_hex;
use perennial_schemas::signed::Signature;
use perennial_schemas::tuf::Key;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// An ed25519 key pair. Number n is the same key in every test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer(pub u32);

impl Signer {
    fn pair(self) -> Ed25519KeyPair {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&self.0.to_be_bytes());
        Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed")
    }

    /// The public half.
    pub fn key(self) -> Key {
        let pair = self.pair();
        Key::ed25519(pair.public_key().as_ref().try_into().expect("an ed25519 key has 32 bytes"))
    }

    /// Its id.
    pub fn id(self) -> KeyId {
        self.key().id(&Ring).expect("a key of ours can be written")
    }

    /// Signs `message`.
    pub fn sign(self, message: &[u8]) -> Signature {
        Signature { keyid: self.id(), sig: encode_hex(self.pair().sign(message).as_ref()) }
    }
}
