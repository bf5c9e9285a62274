//! What stands in certificates, requests and revocation lists, read by another parser than the one that wrote them.

use std::path::Path;

use perennial_schemas::digest::encode_hex;
use perennial_schemas::fleet::{DeviceKey, Name};
use perennial_schemas::{Digest, Sha256Digest, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::request::{for_each_pem, read_request};
use super::{DeviceCaError, PEM_LENGTH};
use crate::crypto::Ring;
use crate::files;

/// Everything in a file of PEM texts.
#[derive(Debug, Default)]
pub struct Contents {
    /// Certificates.
    pub certificates: Vec<Certificate>,
    /// Requests: their keys, or why they can't be granted.
    pub requests: Vec<Result<DeviceKey, String>>,
    /// Revocation lists.
    pub lists: Vec<RevocationList>,
}

/// A certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// It.
    pub der: Vec<u8>,
    /// Its key, as a DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// What it says.
    pub facts: Facts,
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The subject's common name.
    pub subject: String,
    /// The issuer's common name.
    pub issuer: String,
    /// The serial number, in hexadecimal digits.
    pub serial: String,
    /// The first second.
    pub from: Timestamp,
    /// The last second.
    pub until: Timestamp,
    /// Whether it is a CA's.
    pub ca: bool,
    /// SHA-256 over its key's SubjectPublicKeyInfo.
    pub key: Sha256Digest,
    /// Who the device is; `None` where it names none, and why where its names are odd.
    pub name: Option<Result<Name, String>>,
}

/// A revocation list.
#[derive(Debug, Clone)]
pub struct RevocationList {
    /// The issuer's common name.
    pub issuer: String,
    /// When it was written.
    pub at: Timestamp,
    /// When the next one is due.
    pub next: Option<Timestamp>,
    /// Serial numbers, in hexadecimal digits.
    pub serials: Vec<String>,
}

/// Reads a file of PEM texts.
///
/// # Errors
/// [`DeviceCaError`] where it isn't one, or holds something else than certificates, requests and lists.
pub fn read_pem(path: &Path) -> Result<Contents, DeviceCaError> {
    if files::length(path)?.is_some_and(|length| length > PEM_LENGTH) {
        return Err(files::FileError::TooLong { path: path.into(), limit: PEM_LENGTH }.into());
    }
    let mut contents = Contents::default();
    for_each_pem(path, &mut |label, der| {
        let refused = |why: String| DeviceCaError::Pem { path: path.into(), why };
        match label {
            "CERTIFICATE" => contents.certificates.push(read_certificate(der).map_err(refused)?),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => contents.requests.push(read_request(der)),
            "X509 CRL" => contents.lists.push(read_list(der).map_err(refused)?),
            other => return Err(refused(format!("it holds a {other}"))),
        }
        Ok(())
    })?;
    Ok(contents)
}

/// Reads one certificate in DER.
///
/// # Errors
/// Why it can't be read, in words.
pub fn read_certificate(der: &[u8]) -> Result<Certificate, String> {
    let (rest, read) = X509Certificate::from_der(der).map_err(|_| "it holds no X.509 certificate")?;
    if !rest.is_empty() {
        return Err("something follows a certificate".into());
    }
    let spki = read.public_key().raw.to_vec();
    let names = read.subject_alternative_name().map_err(|_| "a certificate has two lists of names")?;
    let name = names.map(|names| {
        let uris = names.value.general_names.iter().map(|name| match name {
            GeneralName::URI(uri) => Ok(*uri),
            other => Err(format!("{other} is no name of a device")),
        });
        let uris: Vec<&str> = uris.collect::<Result<_, _>>()?;
        Name::from_uris(uris).map_err(|error| error.to_string())
    });
    let facts = Facts {
        subject: common_name(read.subject()),
        issuer: common_name(read.issuer()),
        serial: encode_hex(&read.serial.to_bytes_be()),
        from: time(read.validity().not_before),
        until: time(read.validity().not_after),
        ca: read.is_ca(),
        key: Ring.sha256(&spki),
        name,
    };
    Ok(Certificate { der: der.to_vec(), spki, facts })
}

fn read_list(der: &[u8]) -> Result<RevocationList, String> {
    let (_, list) = CertificateRevocationList::from_der(der)
        .map_err(|_| "it holds no revocation list that can be read")?;
    Ok(RevocationList {
        issuer: common_name(list.issuer()),
        at: time(list.last_update()),
        next: list.next_update().map(time),
        serials: list
            .iter_revoked_certificates()
            .map(|revoked| encode_hex(&revoked.serial().to_bytes_be()))
            .collect(),
    })
}

fn time(at: ASN1Time) -> Timestamp {
    Timestamp::from_unix(at.timestamp())
}

fn common_name(name: &X509Name<'_>) -> String {
    let first = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    first.map_or_else(|| name.to_string(), Into::into)
}
