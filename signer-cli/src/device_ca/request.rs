//! Certificate requests (PKCS #10, RFC 2986), read one by one out of a file of many.
//!
//! A request proves that somebody has a private key, and says which public key belongs to it: that is all that is taken from
//! it. Its subject is passed over, since most tools can't leave it out. A request that asks for more (other names, usages, to
//! be a CA) is refused: whoever made it expects another certificate than the one that it would get.

use std::io::{BufRead, Read};
use std::path::Path;

use perennial_schemas::limits::CERTIFICATE_REQUEST_LENGTH;
use perennial_schemas::{Digest, Sha256Digest};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::{DeviceCaError, REQUESTS};
use crate::crypto::Ring;
use crate::files;

/// Everything of a P-256 SubjectPublicKeyInfo before the point, which is uncompressed.
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// Everything of an ed25519 SubjectPublicKeyInfo (RFC 8410) before the key.
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key of a kind that devices have, in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKey {
    /// The point's two coordinates.
    P256([u8; 32], [u8; 32]),
    /// The key.
    Ed25519([u8; 32]),
}

/// The public key of a certificate to be, as the certificate library wants it.
pub(super) struct Subject {
    bytes: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl DeviceKey {
    /// From a DER SubjectPublicKeyInfo. Only the one spelling is taken: with two of them one key would have two ids.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        if let Some(key) = spki.strip_prefix(&ED25519) {
            return key.try_into().ok().map(Self::Ed25519);
        }
        let point: &[u8; 64] = spki.strip_prefix(&P256)?.try_into().ok()?;
        let (x, y) = point.split_at(32);
        Some(Self::P256(x.try_into().ok()?, y.try_into().ok()?))
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::P256(x, y) => [P256.as_slice(), x, y].concat(),
            Self::Ed25519(key) => [ED25519.as_slice(), key].concat(),
        }
    }

    /// By which a key is known: SHA-256 over its SubjectPublicKeyInfo.
    pub fn digest(&self) -> Sha256Digest {
        Ring.sha256(&self.spki())
    }

    /// What people call its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::P256(..) => "P-256",
            Self::Ed25519(_) => "ed25519",
        }
    }

    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::P256(x, y) => {
                Subject { bytes: [&[4], x.as_slice(), y].concat(), algorithm: &PKCS_ECDSA_P256_SHA256 }
            }
            Self::Ed25519(key) => Subject { bytes: key.to_vec(), algorithm: &PKCS_ED25519 },
        }
    }
}

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// Reads one request in DER, and checks that its key signed it.
///
/// # Errors
/// Why it can't be granted, in words.
pub fn read_request(der: &[u8]) -> Result<DeviceKey, String> {
    if der.len() > CERTIFICATE_REQUEST_LENGTH {
        return Err(format!("it is longer than {CERTIFICATE_REQUEST_LENGTH} bytes"));
    }
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| "it is no PKCS #10 request")?;
    if !rest.is_empty() {
        return Err("something follows the request".into());
    }
    let info = &request.certification_request_info;
    let key = DeviceKey::from_spki(info.subject_pki.raw)
        .ok_or("its key is neither P-256 (uncompressed, as a named curve) nor ed25519")?;
    if !info.attributes().is_empty() {
        return Err("it asks for more than a certificate of its key (names, usages or a challenge)".into());
    }
    request.verify_signature().map_err(|_| "its signature is not by its own key")?;
    Ok(key)
}

/// The requests of a file, in their order; `progress` is told how many are read.
///
/// # Errors
/// [`DeviceCaError`]: no request, more than [`REQUESTS`], or one that can't be granted, with its number.
pub fn read_requests(path: &Path, progress: &mut dyn FnMut(usize)) -> Result<Vec<DeviceKey>, DeviceCaError> {
    read_at_most(REQUESTS, path, progress)
}

pub(super) fn read_at_most(
    limit: usize,
    path: &Path,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<DeviceKey>, DeviceCaError> {
    let mut keys = Vec::new();
    for_each_pem(path, &mut |label, der| {
        let number = keys.len() + 1;
        let refused = |why: String| DeviceCaError::Request { path: path.into(), number, why };
        if number > limit {
            return Err(DeviceCaError::TooManyRequests(path.into()));
        }
        // openssl once wrote NEW.
        if !matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(refused(format!("it is a {label}")));
        }
        keys.push(read_request(der).map_err(refused)?);
        progress(number);
        Ok(())
    })?;
    if keys.is_empty() { Err(DeviceCaError::NoRequest(path.into())) } else { Ok(keys) }
}

/// Lines of one PEM text: a certificate of 4 KiB has 90.
const LINES: usize = 256;

/// Calls `take` with the label and the bytes of each PEM text of a file. What stands between them is passed over, as
/// openssl writes explanations there; a text that doesn't end, or isn't PEM, is refused.
pub(super) fn for_each_pem(
    path: &Path,
    take: &mut impl FnMut(&str, &[u8]) -> Result<(), DeviceCaError>,
) -> Result<(), DeviceCaError> {
    let refused = |why: String| DeviceCaError::Pem { path: path.into(), why };
    let read = |source| files::FileError::Io { operation: "read", path: path.into(), source };
    let mut file = files::open(path)?;
    let (mut text, mut lines, mut number, mut line) = (String::new(), 0, 0, Vec::new());
    loop {
        line.clear();
        // A line of PEM has 64 characters; whatever is longer than a kilobyte is none, and is read in pieces.
        if file.by_ref().take(1024).read_until(b'\n', &mut line).map_err(read)? == 0 {
            break;
        }
        number += 1;
        let Ok(words) = std::str::from_utf8(&line) else {
            return Err(refused(format!("line {number} is no text: expected PEM")));
        };
        if text.is_empty() && !words.starts_with("-----BEGIN ") {
            continue;
        }
        text.push_str(words.trim_end());
        text.push('\n');
        lines += 1;
        if lines > LINES {
            return Err(refused(format!(
                "a PEM text of more than {LINES} lines ends nowhere before line {number}"
            )));
        }
        if words.starts_with("-----END ") {
            let decoded = pem_rfc7468::decode_vec(text.as_bytes());
            let (label, der) =
                decoded.map_err(|error| refused(format!("the PEM text before line {number}: {error}")))?;
            take(label, &der)?;
            text.clear();
            lines = 0;
        }
    }
    if text.is_empty() { Ok(()) } else { Err(refused("its last PEM text does not end".into())) }
}
