//! Who a certificate says that a device is: the profile that a device's certificate must have, and the name in it. It
//! checks no signature; `trust` does.

use perennial_schemas::fleet::{DeviceId, DeviceKey, Kind, Name, NameError};
use perennial_schemas::{Sha256Digest, Timestamp};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

/// A device, as its verified certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub name: Name,
    /// The certificate's serial number, big-endian, without leading zeros.
    pub serial: Vec<u8>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Sha256Digest,
    /// The public key.
    pub(crate) public: DeviceKey,
    /// From when the certificate is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Serial numbers of the CAs between it and the device CA.
    pub(crate) issuers: Vec<Vec<u8>>,
}

/// Why a certificate is none of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not X.509, or broken.
    #[error("the certificate can't be read")]
    Unreadable,
    /// Not made as a device's is.
    #[error("the certificate isn't made as a device's is: {0}")]
    Profile(&'static str),
    /// The names in it are odd.
    #[error("the certificate's names are odd: {0}")]
    Name(#[from] NameError),
    /// The device isn't named after the factory certificate's key.
    #[error("the device's id isn't made from its factory key")]
    IdNotFromKey,
    /// It doesn't lead to the device CA.
    #[error("the certificate doesn't lead to this server's device CA: {0}")]
    Path(String),
    /// It is valid in the future only.
    #[error("the certificate isn't valid before {0}")]
    NotYet(Timestamp),
    /// It is revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// A CA above it is revoked: the device may have another certificate.
    #[error("a CA above the certificate is revoked")]
    IssuerRevoked,
}

impl Identity {
    /// Reads a leaf; `issuers` are left empty.
    ///
    /// # Errors
    /// [`IdentityError`]; nothing is said about its signature.
    pub(crate) fn read(leaf: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::Unreadable)?;
        if !rest.is_empty() {
            return Err(IdentityError::Unreadable);
        }
        profile(&certificate)?;
        let name = Name::from_uris(uris(&certificate)?)?;
        if common_name(&certificate) != Some(name.device.as_str()) {
            return Err(IdentityError::Profile("its subject is not the device's id alone"));
        }
        let spki = certificate.public_key().raw;
        let public = DeviceKey::from_spki(spki).filter(|key| !key.is_of_small_order());
        let public = public.ok_or(IdentityError::Profile("its key is neither P-256 nor ed25519"))?;
        let key = digest_of(spki);
        if name.kind == Kind::Factory && DeviceId::of_key(&key) != name.device {
            return Err(IdentityError::IdNotFromKey);
        }
        let validity = certificate.validity();
        Ok(Self {
            name,
            serial: without_zeros(certificate.raw_serial()).to_vec(),
            key,
            public,
            not_before: Timestamp::from_unix(validity.not_before.timestamp()),
            not_after: Timestamp::from_unix(validity.not_after.timestamp()),
            issuers: Vec::new(),
        })
    }

    /// Whether its time is over at `now`.
    pub fn expired(&self, now: Timestamp) -> bool {
        now > self.not_after
    }
}

/// Whether a device signed a message.
pub(crate) fn verifies(key: &DeviceKey, message: &[u8], signature: &[u8]) -> bool {
    use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
    let bytes = key.bytes();
    match key {
        DeviceKey::P256(..) => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes).verify(message, signature)
        }
        DeviceKey::Ed25519(_) => UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature),
    }
    .is_ok()
}

/// SHA-256.
pub(crate) fn digest_of(bytes: &[u8]) -> Sha256Digest {
    crate::blobs::digest_of(bytes)
}

/// An INTEGER's content as a number without leading zeros.
pub(crate) fn without_zeros(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}

/// X.509 v3, for client authentication and signatures alone, and no CA.
fn profile(certificate: &X509Certificate<'_>) -> Result<(), IdentityError> {
    let wrong = |what| Err(IdentityError::Profile(what));
    if certificate.version() != X509Version::V3 {
        return wrong("it isn't of version 3");
    }
    let unreadable = |_| IdentityError::Unreadable;
    if certificate.basic_constraints().map_err(unreadable)?.is_some_and(|basic| basic.value.ca) {
        return wrong("it is a CA's");
    }
    match certificate.extended_key_usage().map_err(unreadable)?.map(|usage| usage.value) {
        Some(usage) if usage.client_auth && !usage.any && !usage.server_auth && usage.other.is_empty() => {}
        _ => return wrong("its extended key usage isn't client authentication alone"),
    }
    match certificate.key_usage().map_err(unreadable)?.map(|usage| usage.value) {
        Some(usage) if usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign() => Ok(()),
        _ => wrong("its key usage isn't digital signature"),
    }
}

/// The URIs of its subject alternative name, which holds nothing else.
fn uris<'c>(certificate: &'c X509Certificate<'_>) -> Result<Vec<&'c str>, IdentityError> {
    let names = certificate.subject_alternative_name().map_err(|_| IdentityError::Unreadable)?;
    let names = names.ok_or(IdentityError::Profile("it names nobody"))?;
    let uri = |name: &GeneralName<'c>| match name {
        GeneralName::URI(uri) => Ok(*uri),
        _ => Err(IdentityError::Profile("it has names that are no URIs")),
    };
    names.value.general_names.iter().map(uri).collect()
}

/// The one attribute of the subject, where that is a common name.
fn common_name<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c str> {
    let mut attributes = certificate.subject().iter_attributes();
    let (first, second) = (attributes.next()?, attributes.next());
    let common = certificate.subject().iter_common_name().next()?;
    (second.is_none() && first == common).then(|| common.as_str().ok()).flatten()
}
