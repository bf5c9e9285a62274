//! The enrolment CA: signs fleet certificates with a key that is made on this server and never leaves it. It names only
//! whom the caller verified, for at most as long as its own certificate lasts; it decides nothing about who may enrol.

use super::identity::{digest_of, without_zeros};
use super::row::Credential;
use super::trust::Trust;
use crate::disk::{self, DiskError};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceKey, Kind, Name};
use perennial_schemas::limits::CHAIN_LENGTH;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SanType, SerialNumber, SubjectPublicKeyInfo,
};
use ring::rand::SystemRandom;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The enrolment key's file, and the one of its request.
const KEY: &str = "enrolment.key";
const REQUEST: &str = "enrolment.csr.pem";
/// A P-256 key in PKCS#8 has about 140 bytes.
const KEY_LIMIT: u64 = 4096;
/// A certificate begins this long before it is made, for clocks that are behind.
const BEGINS_BEFORE: i64 = 3600;

/// Why certificates can't be signed here.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Others can read the key.
    #[error("{path} can be read by others (mode {mode:04o})", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds something else.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The device CA has revoked the enrolment certificate.
    #[error("{path} holds a certificate that is revoked", path = .0.display())]
    Revoked(PathBuf),
    /// The enrolment certificate is over.
    #[error("the enrolment certificate expired at {0}")]
    Expired(Timestamp),
    /// The library refused.
    #[error("no certificate can be made: {0}")]
    Certificate(String),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random,
}

/// See the module.
#[derive(Debug)]
pub struct Authority {
    key: PathBuf,
    certificate: CertificateDer<'static>,
    pem: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A fleet certificate that was just made.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    /// In PEM: the device's certificate, then this CA's.
    pub(crate) chain: String,
    /// What the row keeps of it.
    pub(crate) credential: Credential,
}

/// Makes the enrolment key in `folder` (`enrolment.key`) and a request for its certificate (`enrolment.csr.pem`); a key that
/// is there is kept, and its request written again if it is missing. Gives the request's file.
///
/// # Errors
/// [`AuthorityError`].
pub fn create(folder: &Path) -> Result<PathBuf, AuthorityError> {
    let path = folder.join(REQUEST);
    if disk::exists(&path) && disk::exists(&folder.join(KEY)) {
        load(&folder.join(KEY))?;
        return Ok(path);
    }
    request(folder).map(|(path, _)| path)
}

/// Writes a request for a certificate of the enrolment key, anew, and gives its file. A key that is there is kept; whether
/// one was made is told too.
///
/// # Errors
/// [`AuthorityError`].
pub fn request(folder: &Path) -> Result<(PathBuf, bool), AuthorityError> {
    let key = folder.join(KEY);
    let new = !disk::exists(&key);
    if new {
        let pair = KeyPair::generate().map_err(|_| AuthorityError::Random)?;
        disk::replace(&key, pair.serialized_der(), 0o600)?;
    }
    let pair = load(&key)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("enrolment CA");
    let made = params.serialize_request(&pair).and_then(|request| request.pem());
    let made = made.map_err(|error| AuthorityError::Certificate(error.to_string()))?;
    let path = folder.join(REQUEST);
    disk::replace(&path, made.as_bytes(), 0o644)?;
    Ok((path, new))
}

impl Authority {
    /// Loads the certificate that the device CA made for the key at `key`.
    ///
    /// # Errors
    /// [`AuthorityError`] where they don't fit together, or the certificate is none of an enrolment CA under `trust`.
    pub fn load(key: &Path, certificate: &Path, trust: &Trust) -> Result<Self, AuthorityError> {
        let wrong = |reason: &str| AuthorityError::File { path: certificate.into(), reason: reason.into() };
        let text = disk::read(certificate, CHAIN_LENGTH as u64)?;
        let der =
            CertificateDer::from_pem_slice(&text).map_err(|_| wrong("holds no certificate in PEM form"))?;
        let pair = load(key)?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_| wrong("holds a certificate that can't be read"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != pair.public_key_raw() {
            return Err(wrong("holds a certificate of another key than STATE/keys/enrolment.key"));
        }
        if !parsed.is_ca() {
            return Err(wrong("holds a certificate that is no CA's"));
        }
        if !trust.signed(&parsed) {
            return Err(wrong("holds a certificate that the device CA (fleet.ca) didn't sign"));
        }
        if trust.is_revoked(without_zeros(parsed.raw_serial())) {
            return Err(AuthorityError::Revoked(certificate.into()));
        }
        let validity = parsed.validity().clone();
        Ok(Self {
            key: key.into(),
            pem: to_pem(&der),
            not_before: Timestamp::from_unix(validity.not_before.timestamp()),
            not_after: Timestamp::from_unix(validity.not_after.timestamp()),
            certificate: der.into_owned(),
        })
    }

    /// When its own certificate expires.
    pub fn expires(&self) -> Timestamp {
        self.not_after
    }

    /// Signs a fleet certificate for `who` (as its verified certificate names it), over the key in `spki` (DER).
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) fn issue(
        &self,
        who: &Name,
        spki: &[u8],
        days: u32,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let wrong = |error: rcgen::Error| AuthorityError::Certificate(error.to_string());
        if now > self.not_after {
            return Err(AuthorityError::Expired(self.not_after));
        }
        let not_before = now.plus_seconds(-BEGINS_BEFORE).max(self.not_before);
        let not_after = now.plus_days(days.into()).min(self.not_after);
        let mut serial = random::<16>()?;
        // Positive, and 16 bytes long (RFC 5280 §4.1.2.2).
        serial[0] = serial[0] & 0x7f | 0x40;
        let name = Name { kind: Kind::Fleet, ..who.clone() };
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(who.device.as_str());
        for uri in name.to_uris() {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().map_err(wrong)?));
        }
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date(not_before);
        params.not_after = date(not_after);
        let issuer = Issuer::from_ca_cert_der(&self.certificate, load(&self.key)?).map_err(wrong)?;
        let public = SubjectPublicKeyInfo::from_der(spki).map_err(wrong)?;
        let made = params.signed_by(&public, &issuer).map_err(wrong)?;
        Ok(Issued {
            chain: to_pem(made.der()) + &self.pem,
            credential: Credential { serial: serial.to_vec(), key: digest_of(spki), not_before, not_after },
        })
    }
}

/// The public key that a certificate request proves: its SubjectPublicKeyInfo in DER. Names in it say nothing here.
///
/// # Errors
/// A sentence where it can't be read, isn't signed by that key, or has a key of another kind than devices have.
pub(crate) fn requested_key(pem: &str) -> Result<(Vec<u8>, DeviceKey), String> {
    use rustls_pki_types::CertificateSigningRequestDer;
    use x509_parser::certification_request::X509CertificationRequest;
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "the certificate request is no PEM text".to_owned())?;
    let (rest, request) = X509CertificationRequest::from_der(&der)
        .map_err(|_| "the certificate request can't be read".to_owned())?;
    let info = &request.certification_request_info.subject_pki;
    let key = DeviceKey::from_spki(info.raw).filter(|_| rest.is_empty());
    let key = key.ok_or("the certificate request's key is neither P-256 nor ed25519")?;
    request
        .verify_signature()
        .map_err(|_| "the certificate request isn't signed by the key that it names".to_owned())?;
    Ok((info.raw.to_vec(), key))
}

/// When a fleet certificate that begins then was made, at the latest.
pub(crate) fn made(not_before: Timestamp) -> Timestamp {
    not_before.plus_seconds(BEGINS_BEFORE)
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut bytes).map_err(|_| AuthorityError::Random)?;
    Ok(bytes)
}

/// Read for each signature: between them, the private key isn't in memory.
fn load(path: &Path) -> Result<KeyPair, AuthorityError> {
    let mode = disk::mode(path)?;
    if mode & 0o077 != 0 {
        return Err(AuthorityError::Exposed { path: path.into(), mode });
    }
    let bytes = disk::read(path, KEY_LIMIT)?;
    let key = PrivatePkcs8KeyDer::from(bytes.as_slice());
    KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| {
        AuthorityError::File { path: path.into(), reason: "holds no P-256 key in PKCS#8 form".into() }
    })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn date(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.unix()).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// RFC 7468, in lines of 64.
fn to_pem(certificate: &CertificateDer<'_>) -> String {
    pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, certificate).unwrap_or_default()
}
