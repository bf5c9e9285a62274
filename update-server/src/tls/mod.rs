//! TLS for the server: TLS 1.3 by rustls with ring (1.2 by option), with certificates that are replaced while it runs.
//! It never serves a certificate whose key doesn't fit, and never goes on without one.

mod expiry;

use crate::disk::{self, DiskError};
use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A chain or a key of more than 1 MiB is a mistake.
const PEM_LIMIT: u64 = 1 << 20;

/// Why TLS can't be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file has no such PEM section, or a broken one.
    #[error("{path} holds no {what} in PEM form: {reason}", path = .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// Certificate and key don't fit, or aren't usable.
    #[error("the certificate in {certificate} can't be used with the key in {key}: {reason}", certificate = .certificate.display(), key = .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls said.
        reason: String,
    },
    /// The versions can't be configured, which the provider excludes.
    #[error("TLS can't be configured: {0}")]
    Setup(String),
}

/// The certificate in use, and the files that it came from.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
    seen: Mutex<[[i64; 5]; 2]>,
}

impl Certificates {
    /// Loads a chain and its key.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let seen = [disk::fingerprint(certificate)?, disk::fingerprint(key)?];
        let current = ArcSwap::from_pointee(read(certificate, key)?);
        Ok(Arc::new(Self {
            certificate: certificate.into(),
            key: key.into(),
            current,
            seen: Mutex::new(seen),
        }))
    }

    /// Loads the files again if they have changed (or `anyway`); true when there is a new certificate. New connections
    /// see it; those that are open go on.
    ///
    /// # Errors
    /// When the new files can't be used; the old certificate then stays in use, and the next call tries again.
    pub fn reload(&self, anyway: bool) -> Result<bool, TlsError> {
        let found = [disk::fingerprint(&self.certificate)?, disk::fingerprint(&self.key)?];
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found && !anyway {
            return Ok(false);
        }
        let renewed = read(&self.certificate, &self.key)?;
        *seen = found;
        let changed = renewed.cert != self.current.load().cert;
        self.current.store(Arc::new(renewed));
        Ok(changed)
    }

    /// When the certificate in use expires, in seconds since 1970; `None` when its date can't be read.
    pub fn expires(&self) -> Option<i64> {
        expiry::not_after(self.current.load().cert.first()?)
    }

    /// A configuration that serves it. Both protocols are offered, the better one first.
    ///
    /// # Errors
    /// [`TlsError::Setup`], never with this provider.
    pub fn config(
        self: &Arc<Self>,
        allow_tls12: bool,
        protocols: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, TlsError> {
        self.config_with_clients(allow_tls12, protocols, WebPkiClientVerifier::no_client_auth())
    }

    /// The same, where `clients` says which certificates of clients are taken.
    ///
    /// # Errors
    /// [`TlsError::Setup`], never with this provider.
    pub fn config_with_clients(
        self: &Arc<Self>,
        allow_tls12: bool,
        protocols: &[&[u8]],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let versions: &[_] = if allow_tls12 {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        } else {
            &[&rustls::version::TLS13]
        };
        let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(setup)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // Stateless tickets: resumption works on every core, and remembers nobody.
        config.ticketer = ring::Ticketer::new().map_err(setup)?;
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// ring, named wherever rustls is configured: no other provider can slip in.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &Path, what, error: &dyn std::fmt::Display| TlsError::Pem {
        path: path.into(),
        what,
        reason: error.to_string(),
    };
    let text = disk::read(certificate, PEM_LIMIT)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| pem(certificate, "certificate", &error))?;
    if chain.is_empty() {
        return Err(pem(certificate, "certificate", &"there is none"));
    }
    let text = disk::read(key, PEM_LIMIT)?;
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| pem(key, "private key", &error))?;
    let pair = |error: rustls::Error| TlsError::Pair {
        certificate: certificate.into(),
        key: key.into(),
        reason: error.to_string(),
    };
    let certified = CertifiedKey::from_der(chain, private, &provider()).map_err(pair)?;
    certified.keys_match().map_err(pair)?;
    Ok(certified)
}
