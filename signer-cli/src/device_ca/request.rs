//! Certificate requests (PKCS #10, RFC 2986), read one by one out of a file of many.
//!
//! A request proves that somebody has a private key, and says which public key belongs to it: that is all that is taken from
//! it. Its subject is passed over, since most tools can't leave it out. A request that asks for more (other names, usages, to
//! be a CA) is refused: whoever made it expects another certificate than the one that it would get.

use std::io::{BufRead, Read};
use std::path::Path;

use perennial_schemas::fleet::DeviceKey;
use perennial_schemas::limits::CERTIFICATE_REQUEST_LENGTH;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::{DeviceCaError, REQUESTS};
use crate::files;

/// The public key of a certificate to be, as the certificate library wants it.
pub(super) struct Subject {
    bytes: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl Subject {
    pub(super) fn of(key: &DeviceKey) -> Self {
        let algorithm = match key {
            DeviceKey::P256(..) => &PKCS_ECDSA_P256_SHA256,
            DeviceKey::Ed25519(_) => &PKCS_ED25519,
        };
        Self { bytes: key.bytes(), algorithm }
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
