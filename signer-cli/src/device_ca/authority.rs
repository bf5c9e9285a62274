//! The CA itself: its key and certificate in their folder.

use std::path::{Path, PathBuf};

use perennial_schemas::Timestamp;
use pkcs8::SecretDocument;
use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::profile::{self, Life};
use super::show::{Certificate, read_pem};
use super::{DeviceCaError, ledger};
use crate::files;
use crate::keys::{self, KeyError, Passphrase};

/// The life of a CA, in years: longer than the devices that it names, and than certificates of theirs.
pub const YEARS: std::ops::RangeInclusive<u8> = 1..=40;

/// A CA that can sign.
pub struct Authority {
    dir: PathBuf,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// Where the CA's private key lies.
pub fn key_path(dir: &Path) -> PathBuf {
    dir.join("ca.key")
}

/// Where its certificate lies, which servers are given.
pub fn certificate_path(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

/// Makes a CA in a folder of its own.
///
/// # Errors
/// [`DeviceCaError`] where there is one already, the name or the years are out of bounds, or files can't be written.
pub fn init(
    dir: &Path,
    maker: &str,
    years: u8,
    now: Timestamp,
    passphrase: &Passphrase,
) -> Result<Certificate, DeviceCaError> {
    refuse_existing(dir)?;
    check_name(maker)?;
    if !YEARS.contains(&years) {
        return Err(DeviceCaError::Life("1 to 40 years"));
    }
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = profile::authority(maker, Life::years(now, years))?.self_signed(&pair)?;
    let der = Zeroizing::new(pair.serialize_der());
    let key = key_path(dir);
    files::create_secret(&key, keys::encrypt_der(&der, passphrase)?.as_bytes())?;
    let again = keys::open_der(&key, |_| Ok(passphrase.clone()))?;
    if again.as_bytes() != der.as_slice() {
        return Err(KeyError::Failed("it reads back wrong".into()).into());
    }
    let path = certificate_path(dir);
    files::write(&path, certificate.pem().as_bytes())?;
    Authority::with_key(dir, &again).map(|authority| authority.certificate)
}

/// Refuses a folder that holds a CA, or what is left of one.
///
/// # Errors
/// [`DeviceCaError::Exists`]
pub fn refuse_existing(dir: &Path) -> Result<(), DeviceCaError> {
    let parts = [key_path(dir), certificate_path(dir), ledger::issued_path(dir), ledger::revoked_path(dir)];
    if parts.iter().any(|part| files::exists(part)) { Err(DeviceCaError::Exists(dir.into())) } else { Ok(()) }
}

impl Authority {
    /// Opens the CA in `dir`.
    ///
    /// # Errors
    /// [`DeviceCaError`] where there is none, its key can be read by others, or the passphrase doesn't open it.
    pub fn open(
        dir: &Path,
        passphrase: impl FnOnce(&Path) -> Result<Passphrase, KeyError>,
    ) -> Result<Self, DeviceCaError> {
        let key = key_path(dir);
        if !files::exists(&key) {
            return Err(DeviceCaError::NotAnAuthority { dir: dir.into(), why: "ca.key is missing".into() });
        }
        let (_, mode) = files::kind_and_mode(&key)?;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: key, mode }.into());
        }
        Self::with_key(dir, &keys::open_der(&key, passphrase)?)
    }

    fn with_key(dir: &Path, key: &SecretDocument) -> Result<Self, DeviceCaError> {
        let refused = |why: &str| DeviceCaError::NotAnAuthority { dir: dir.into(), why: why.into() };
        let pkcs8 = PrivatePkcs8KeyDer::from(key.as_bytes());
        let pair = KeyPair::try_from(&pkcs8).map_err(|_| refused("ca.key is no key of a device CA"))?;
        let path = certificate_path(dir);
        let mut read = read_pem(&path)?;
        let certificate = match (read.certificates.pop(), read.certificates.is_empty()) {
            (Some(certificate), true) => certificate,
            _ => return Err(refused("ca.pem is not one certificate")),
        };
        if !certificate.facts.ca || certificate.spki != rcgen::PublicKeyData::subject_public_key_info(&pair) {
            return Err(refused("ca.pem is not the certificate of ca.key"));
        }
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(certificate.der.as_slice()), pair)?;
        Ok(Self { dir: dir.into(), certificate, issuer })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What signs.
    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// The maker's name, as it was given to [`init`].
    pub(super) fn maker(&self) -> &str {
        let subject = &self.certificate.facts.subject;
        subject.strip_suffix(" device CA").unwrap_or(subject)
    }

    /// A life that ends no later than the CA's own.
    pub(super) fn within(&self, life: Life) -> Result<Life, DeviceCaError> {
        let ca = self.certificate.facts.until;
        if life.until > ca {
            return Err(DeviceCaError::OutlivesCa { until: life.until.date(), ca: ca.date() });
        }
        Ok(life)
    }
}

fn check_name(maker: &str) -> Result<(), DeviceCaError> {
    let good = (1..=64).contains(&maker.chars().count()) && !maker.chars().any(crate::terminal::acts);
    if good && maker.trim() == maker { Ok(()) } else { Err(DeviceCaError::MakerName) }
}
