//! What stands in a device's own certificates. They are read here, not verified: the device needs to know that they are of
//! its keys, and the server verifies the path.

use perennial_schemas::Sha256Digest;
use perennial_schemas::fleet::{Name, NameError};
use perennial_schemas::limits::{CERTIFICATE_LENGTH, CHAIN_CERTIFICATES};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::key::digest_of;
use super::pem::pem;

/// A certificate of this device.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// SHA-256 over its key's SubjectPublicKeyInfo.
    pub key: Sha256Digest,
    /// Who it names.
    pub name: Name,
}

/// Why a text is no certificate of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No PEM text of certificates, or too many or too long ones.
    #[error("it holds no certificates in PEM form, or more than {CHAIN_CERTIFICATES}, or too long ones")]
    Pem,
    /// Not X.509.
    #[error("its certificate can't be read")]
    Unreadable,
    /// Names that no device has.
    #[error("it is no certificate of a device: {0}")]
    Name(#[from] NameError),
}

/// A chain, the leaf first.
///
/// # Errors
/// [`CertificateError::Pem`].
pub fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|_| CertificateError::Pem)?;
        if chain.len() == CHAIN_CERTIFICATES || certificate.len() > CERTIFICATE_LENGTH {
            return Err(CertificateError::Pem);
        }
        chain.push(certificate);
    }
    if chain.is_empty() { Err(CertificateError::Pem) } else { Ok(chain) }
}

/// What a leaf says.
///
/// # Errors
/// [`CertificateError`].
pub fn read_leaf(leaf: &CertificateDer<'_>) -> Result<Certificate, CertificateError> {
    let read = webpki::EndEntityCert::try_from(leaf).map_err(|_| CertificateError::Unreadable)?;
    let key = digest_of(&read.subject_public_key_info());
    Ok(Certificate { key, name: Name::from_uris(read.valid_uri_names())? })
}

/// The one certificate of this key in a file of many, as PEM: so that the file of a whole batch may be brought to each
/// device.
///
/// # Errors
/// [`CertificateError::Pem`] where the file isn't one of certificates.
pub fn find(text: &[u8], key: &Sha256Digest) -> Result<Option<(Certificate, String)>, CertificateError> {
    let mut any = false;
    for certificate in CertificateDer::pem_slice_iter(text) {
        let der = certificate.map_err(|_| CertificateError::Pem)?;
        any = true;
        if let Some(certificate) = read_leaf(&der).ok().filter(|certificate| certificate.key == *key) {
            return Ok(Some((certificate, pem("CERTIFICATE", &der))));
        }
    }
    if any { Ok(None) } else { Err(CertificateError::Pem) }
}
