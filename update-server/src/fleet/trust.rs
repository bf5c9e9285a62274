//! Whose certificates count: those that lead to the maker's device CA, at a time inside their validity, and that no
//! revocation list of it names. An expired leaf is told apart and passed on, as its device may still renew it. Which files
//! that is read from, and when they are read again, is decided here too.

use super::identity::{Identity, IdentityError, digest_of, without_zeros};
use super::lists::{self, Numbers};
use crate::disk::{self, DiskError};
use arc_swap::ArcSwap;
use perennial_schemas::fleet::Kind;
use perennial_schemas::limits::{CERTIFICATE_LENGTH, CHAIN_CERTIFICATES};
use perennial_schemas::{Sha256Digest, Timestamp};
use ring::digest::{Context, SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// The device CA's certificates, and their revocation lists: 64 MiB are more than a million serial numbers.
const PEM_LIMIT: u64 = 64 << 20;
/// A certificate may begin this long after the server's clock: a clock that is wrong at the server locks nobody out.
const GRACE_SECONDS: i64 = 86_400;
/// Verified chains that are remembered, each about a KiB; resumed connections and gateways show the same ones again.
const REMEMBERED: usize = 16_384;
/// What may have signed a certificate. No RSA: a device CA is made by `perennial-signer device-ca`.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
];

/// Why the device CA's files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file can't be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file holds something else.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The files that trust is read from.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The device CA's certificate, or several, in PEM.
    pub ca: PathBuf,
    /// Its revocation list, or several, in PEM.
    pub revocations: Option<PathBuf>,
}

/// See the module.
#[derive(Debug)]
pub struct Trust {
    files: Files,
    seen: Mutex<Vec<[i64; 5]>>,
    current: ArcSwap<Roots>,
    /// The numbers of the newest lists that were ever in use here, as the store has them.
    kept: Mutex<Numbers>,
    /// Why the files couldn't be read again, until they can.
    failed: Mutex<Option<String>>,
}

/// What was read from the files.
#[derive(Debug)]
struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    certificates: Vec<CertificateDer<'static>>,
    revoked: HashSet<Vec<u8>>,
    /// The numbers of the newest lists.
    numbers: Numbers,
    /// The first end of a revocation list.
    next_update: Option<Timestamp>,
    /// Chains that were verified, by their digest.
    remembered: Mutex<HashMap<[u8; 32], Arc<Identity>>>,
}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TrustError`], which names the file.
    pub fn load(files: Files) -> Result<Self, TrustError> {
        let seen = Mutex::new(fingerprints(&files)?);
        let current = ArcSwap::from_pointee(Roots::read(&files)?);
        Ok(Self { files, seen, current, kept: Mutex::default(), failed: Mutex::default() })
    }

    /// Reads the files again if they have changed (or `anyway`); true when they had.
    ///
    /// # Errors
    /// When the new files can't be used, or hold an older revocation list than is in use; what was read before then stays in
    /// use, and the next call tries again.
    pub fn reload(&self, anyway: bool) -> Result<bool, TrustError> {
        let read = self.read_again(anyway);
        let failed = read.as_ref().err().map(ToString::to_string);
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        read
    }

    fn read_again(&self, anyway: bool) -> Result<bool, TrustError> {
        let found = fingerprints(&self.files)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found && !anyway {
            return Ok(false);
        }
        let roots = Roots::read(&self.files)?;
        if let Some(path) = &self.files.revocations {
            let older = roots.older_than(&self.current.load().numbers);
            older.map_or(Ok(()), |reason| Err(TrustError::File { path: path.into(), reason }))?;
        }
        self.current.store(Arc::new(roots));
        let changed = *seen != found;
        *seen = found;
        Ok(changed)
    }

    /// Who a chain, leaf first, names at `now`. That the certificate's time is over is no error here: ask
    /// [`Identity::expired`].
    ///
    /// # Errors
    /// [`IdentityError`], among them [`IdentityError::Revoked`] and [`IdentityError::IssuerRevoked`] by a revocation list.
    pub fn identify(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Arc<Identity>, IdentityError> {
        let roots = self.current.load();
        let identity = roots.remembered(chain, now)?;
        let revoked = |serial: &Vec<u8>| roots.revoked.contains(serial);
        if revoked(&identity.serial) && identity.name.kind == Kind::Factory {
            return Err(IdentityError::Revoked);
        }
        if identity.issuers.iter().any(revoked) {
            return Err(IdentityError::IssuerRevoked);
        }
        Ok(identity)
    }

    /// Whether a chain leads to the device CA, for the handshake: names, and what a list revokes, are answered to the
    /// request, in words.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(crate) fn leads_here(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        let roots = self.current.load();
        match roots.remembered(chain, now) {
            Ok(_) | Err(IdentityError::Name(_) | IdentityError::IdNotFromKey) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a revocation list names the serial number of a factory certificate.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        self.current.load().revoked.contains(serial)
    }

    /// What is the matter with the files, in words: they couldn't be read again, or hold an older revocation list than was in
    /// use before the start.
    pub fn trouble(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failed.or_else(|| {
            let path = self.files.revocations.as_ref()?;
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let older = self.current.load().older_than(&kept)?;
            Some(format!("{}: {older}", path.display()))
        })
    }

    /// The numbers of the lists that are in use.
    pub(super) fn numbers(&self) -> Numbers {
        self.current.load().numbers.clone()
    }

    /// Takes in which lists were in use before.
    pub(super) fn remembers(&self, kept: Numbers) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    /// How many serial numbers are revoked, and when the first list ends.
    pub fn revocations(&self) -> (usize, Option<Timestamp>) {
        let roots = self.current.load();
        (roots.revoked.len(), roots.next_update)
    }

    /// Whether one of the device CA's keys signed that certificate of a CA.
    pub(crate) fn signed(&self, certificate: &X509Certificate<'_>) -> bool {
        let roots = self.current.load();
        roots.certificates.iter().any(|ca| {
            X509Certificate::from_der(ca).is_ok_and(|(_, ca)| {
                ca.subject() == certificate.issuer()
                    && certificate.verify_signature(Some(ca.public_key())).is_ok()
            })
        })
    }
}

impl Roots {
    fn read(files: &Files) -> Result<Self, TrustError> {
        let wrong = |path: &Path, reason: String| TrustError::File { path: path.into(), reason };
        let text = disk::read(&files.ca, PEM_LIMIT)?;
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&files.ca, format!("holds no certificate in PEM form: {error}")))?;
        if certificates.is_empty() {
            return Err(wrong(&files.ca, "holds no certificate in PEM form".into()));
        }
        let anchors = certificates
            .iter()
            .map(|ca| webpki::anchor_from_trusted_cert(ca).map(|anchor| anchor.to_owned()))
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&files.ca, format!("holds a certificate that is no CA's: {error}")))?;
        let mut roots = Self {
            anchors,
            certificates,
            revoked: HashSet::new(),
            numbers: BTreeMap::new(),
            next_update: None,
            remembered: Mutex::default(),
        };
        if let Some(path) = &files.revocations {
            let text = disk::read(path, PEM_LIMIT)?;
            for list in CertificateRevocationListDer::pem_slice_iter(&text) {
                let list = list.map_err(|error| wrong(path, format!("holds no revocation list: {error}")))?;
                roots.take_list(&list).map_err(|reason| wrong(path, reason))?;
            }
            // Also one that revokes nobody has a number; no list at all is another file, or an empty one.
            if roots.numbers.is_empty() {
                return Err(wrong(path, "holds no revocation list in PEM form".into()));
            }
        }
        Ok(roots)
    }

    /// Where the lists are older than these, or one is missing, of the CAs that are here: that in words.
    fn older_than(&self, newer: &Numbers) -> Option<String> {
        let here = |ca: &Sha256Digest| self.certificates.iter().any(|one| key_of(one) == Some(*ca));
        newer.iter().filter(|(ca, _)| here(ca)).find_map(|(ca, newer)| match self.numbers.get(ca) {
            Some(number) if number >= newer => None,
            Some(number) => Some(format!(
                "holds an older revocation list than was in use (number {number}, after {newer})"
            )),
            None => Some(format!("holds no revocation list of a device CA that had one (number {newer})")),
        })
    }

    /// Takes a revocation list in, if one of the device CAs signed it.
    fn take_list(&mut self, list: &[u8]) -> Result<(), String> {
        let (_, list) = CertificateRevocationList::from_der(list)
            .map_err(|_| "holds a revocation list that can't be read".to_owned())?;
        let by = self.certificates.iter().find(|ca| {
            X509Certificate::from_der(ca).is_ok_and(|(_, ca)| list.verify_signature(ca.public_key()).is_ok())
        });
        let Some(by) = by.and_then(key_of) else {
            return Err("holds a revocation list that the device CA didn't sign".into());
        };
        let number = list.crl_number().map(|number| number.to_bytes_be()).unwrap_or_default();
        let known = self.numbers.entry(by).or_default();
        *known = (*known).max(lists::number(&number));
        let serials = list.iter_revoked_certificates().map(|one| without_zeros(one.raw_serial()).to_vec());
        self.revoked.extend(serials);
        let end = list.next_update().map(|end| Timestamp::from_unix(end.timestamp()));
        self.next_update = self.next_update.into_iter().chain(end).min();
        Ok(())
    }

    /// [`Self::identify`], unless these very bytes were verified before.
    fn remembered(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Arc<Identity>, IdentityError> {
        if chain.len() > CHAIN_CERTIFICATES || chain.iter().any(|one| one.len() > CERTIFICATE_LENGTH) {
            return Err(IdentityError::Profile("its chain is longer than a device's is"));
        }
        let mut digest = Context::new(&SHA256);
        for certificate in chain {
            digest.update(&(certificate.len() as u64).to_be_bytes());
            digest.update(certificate);
        }
        let digest: [u8; 32] = digest.finish().as_ref().try_into().map_err(|_| IdentityError::Unreadable)?;
        let lock = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&digest) {
            return begun(known, now).map(|()| Arc::clone(known));
        }
        let identity = Arc::new(self.identify(chain, now)?);
        let mut remembered = lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(digest, Arc::clone(&identity));
        Ok(identity)
    }

    fn identify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Identity, IdentityError> {
        let (leaf, others) =
            chain.split_first().ok_or_else(|| IdentityError::Path("there is none".into()))?;
        // The path comes first: what no CA of ours signed isn't looked into any further.
        let issuers = self.path(leaf, others, now)?;
        let mut identity = Identity::read(leaf)?;
        begun(&identity, now)?;
        // An enrolment CA's key is online: it makes fleet certificates only, and the device CA itself no such.
        let expected = match identity.name.kind {
            Kind::Factory => 0,
            Kind::Fleet => 1,
        };
        if issuers.len() != expected {
            return Err(IdentityError::Path(match identity.name.kind {
                Kind::Factory => "a factory certificate is signed by the device CA itself".into(),
                Kind::Fleet => "a fleet certificate is signed by an enrolment CA".into(),
            }));
        }
        identity.issuers = issuers;
        Ok(identity)
    }

    /// Verifies the path at a time inside the leaf's validity, and gives the serial numbers of the CAs between.
    fn path(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, IdentityError> {
        let path = |error: webpki::Error| IdentityError::Path(error.to_string());
        let (not_before, not_after) = validity(leaf).ok_or(IdentityError::Unreadable)?;
        let at = now.unix().min(not_after).max(not_before).max(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at as u64));
        let certificate = webpki::EndEntityCert::try_from(leaf).map_err(path)?;
        let usage = webpki::KeyUsage::client_auth();
        let verified = certificate
            .verify_for_usage(ALGORITHMS, &self.anchors, others, at, usage, None, None)
            .map_err(path)?;
        Ok(verified.intermediate_certificates().map(|ca| without_zeros(ca.serial()).to_vec()).collect())
    }
}

/// `notBefore` and `notAfter` in seconds since 1970.
fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// By which a device CA is known: SHA-256 of its SubjectPublicKeyInfo.
fn key_of(ca: &CertificateDer<'_>) -> Option<Sha256Digest> {
    X509Certificate::from_der(ca).ok().map(|(_, ca)| digest_of(ca.public_key().raw))
}

fn begun(identity: &Identity, now: Timestamp) -> Result<(), IdentityError> {
    if identity.not_before > now.plus_seconds(GRACE_SECONDS) {
        return Err(IdentityError::NotYet(identity.not_before));
    }
    Ok(())
}

fn fingerprints(files: &Files) -> Result<Vec<[i64; 5]>, DiskError> {
    std::iter::once(&files.ca).chain(&files.revocations).map(|path| disk::fingerprint(path)).collect()
}
