//! A device's private key: made here by ring, kept as PKCS#8, and a request for its certificate (PKCS #10, RFC 2986)
//! written by hand, since it has few bytes that aren't always the same.

use perennial_schemas::Sha256Digest;
use perennial_schemas::fleet::key::{ED25519_INFO, P256_INFO};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use super::pem::pem;

/// ecdsa-with-SHA256, id-Ed25519.
const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// What kind of key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256, as secure elements and proxies know it.
    P256,
    /// ed25519.
    Ed25519,
}

/// A private key.
pub struct DeviceKey {
    pkcs8: PrivatePkcs8KeyDer<'static>,
    pair: Pair,
}

enum Pair {
    P256(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// It is no key, or the system failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one of the two kinds, in PKCS#8 as PEM.
    #[error("it holds no P-256 or ed25519 key in PKCS#8 form (PEM)")]
    NotAKey,
    /// The system gave no random bytes, or ring refused.
    #[error("a key can't be made or used: {0}")]
    Failed(&'static str),
}

impl DeviceKey {
    /// A new key, from the system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let failed = |_| KeyError::Failed("the system gives no random bytes");
        let document = match algorithm {
            Algorithm::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        }
        .map_err(failed)?;
        Self::from_der(PrivatePkcs8KeyDer::from(document.as_ref().to_vec()))
    }

    /// From its file.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        Self::from_der(PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| KeyError::NotAKey)?)
    }

    fn from_der(pkcs8: PrivatePkcs8KeyDer<'static>) -> Result<Self, KeyError> {
        let der = pkcs8.secret_pkcs8_der();
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new());
        let pair = match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            Ok(pair) => Pair::Ed25519(pair),
            Err(_) => Pair::P256(Box::new(p256().map_err(|_| KeyError::NotAKey)?)),
        };
        Ok(Self { pkcs8, pair })
    }

    /// As its file holds it. Secret.
    pub fn to_pem(&self) -> String {
        pem("PRIVATE KEY", self.pkcs8.secret_pkcs8_der())
    }

    /// As TLS wants it. Secret.
    pub fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        self.pkcs8.clone_key()
    }

    /// Its public half as a DER SubjectPublicKeyInfo.
    pub fn public(&self) -> Vec<u8> {
        match &self.pair {
            Pair::P256(pair) => [P256_INFO.as_slice(), pair.public_key().as_ref()].concat(),
            Pair::Ed25519(pair) => [ED25519_INFO.as_slice(), pair.public_key().as_ref()].concat(),
        }
    }

    /// By which it is known: SHA-256 over [`DeviceKey::public`].
    pub fn digest(&self) -> Sha256Digest {
        digest_of(&self.public())
    }

    /// Signs: ECDSA with SHA-256 in its ASN.1 form, or ed25519.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.pair {
            Pair::P256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), message);
                Ok(signed.map_err(|_| KeyError::Failed("it can't sign"))?.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// A request for a certificate of it, in PEM, without any name.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn request(&self) -> Result<String, KeyError> {
        // Version 0, an empty name, the key, no attributes.
        let info = [&[0x02, 0x01, 0x00, SEQUENCE, 0x00], self.public().as_slice(), &[0xa0, 0x00]].concat();
        let info = der(SEQUENCE, &info);
        let algorithm: &[u8] = match &self.pair {
            Pair::P256(_) => &ECDSA_SHA256,
            Pair::Ed25519(_) => &ED25519,
        };
        let signature = der(BIT_STRING, &[&[0], self.sign(&info)?.as_slice()].concat());
        let request = der(SEQUENCE, &[info.as_slice(), algorithm, &signature].concat());
        Ok(pem("CERTIFICATE REQUEST", &request))
    }
}

/// SHA-256 over a DER SubjectPublicKeyInfo.
pub(super) fn digest_of(public: &[u8]) -> Sha256Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, public).as_ref());
    Sha256Digest(digest)
}

/// One value with its tag and length (X.690, 8.1); up to 65,535 bytes.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_their_requests_are_whole() {
        for (algorithm, other) in
            [(Algorithm::P256, &rcgen::PKCS_ECDSA_P256_SHA256), (Algorithm::Ed25519, &rcgen::PKCS_ED25519)]
        {
            let key = DeviceKey::generate(algorithm).unwrap();
            let again = DeviceKey::from_pem(key.to_pem().as_bytes()).unwrap();
            assert_eq!(key.public(), again.public());
            assert_ne!(key.digest(), DeviceKey::generate(algorithm).unwrap().digest());
            // Another library reads the key, and finds the same public half.
            let theirs = rcgen::KeyPair::from_pem(&key.to_pem()).unwrap();
            assert_eq!(theirs.algorithm(), other);
            assert_eq!(rcgen::PublicKeyData::subject_public_key_info(&theirs), key.public());
            // And reads the request, whose signature it checks.
            let request = rcgen::CertificateSigningRequestParams::from_pem(&key.request().unwrap()).unwrap();
            assert_eq!(rcgen::PublicKeyData::subject_public_key_info(&request.public_key), key.public());
            assert!(request.params.subject_alt_names.is_empty());
        }
    }

    #[test]
    fn other_files_are_no_keys() {
        for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(DeviceKey::from_pem(text.as_bytes()).err(), Some(KeyError::NotAKey));
        }
    }

    #[test]
    fn lengths_are_written_in_one_to_three_bytes() {
        assert_eq!(der(4, &[1; 3]), [4, 3, 1, 1, 1]);
        assert_eq!(der(4, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(der(4, &[0; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
    }
}
