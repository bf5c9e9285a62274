//! Whom a TLS connection believes: one file of certificates, or those of the system. Verification can't be turned off.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::HttpError;

/// Bytes of a file of certificates: a whole system's bundle has about 220 KB.
const CA_FILE_LENGTH: u64 = 4 * 1024 * 1024;

/// Whose certificates count.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// Those of the system.
    #[default]
    System,
    /// Those of this PEM file, and no other.
    File(PathBuf),
}

/// Who this device says it is to a server that asks.
pub struct ClientIdentity {
    /// Its chain, the leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivatePkcs8KeyDer<'static>,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

/// TLS 1.3 and 1.2 by ring, HTTP/1.1. Who shows a certificate does so in TLS 1.3 alone, where nobody on the way sees it.
pub(super) fn config(
    roots: &Roots,
    identity: Option<&ClientIdentity>,
) -> Result<Arc<rustls::ClientConfig>, HttpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match identity {
        Some(_) => &[&rustls::version::TLS13],
        None => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| HttpError::Roots(error.to_string()))?
        .with_root_certificates(store(roots)?);
    let mut config = match identity {
        Some(identity) => {
            let key = PrivateKeyDer::Pkcs8(identity.key.clone_key());
            let config = builder.with_client_auth_cert(identity.chain.clone(), key);
            config.map_err(|error| HttpError::Identity(error.to_string()))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn store(roots: &Roots) -> Result<RootCertStore, HttpError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::File(path) => {
            let text = crate::files::read_limited(path, CA_FILE_LENGTH)
                .map_err(|error| HttpError::Roots(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let wrong = |why: String| HttpError::Roots(format!("{}: {why}", path.display()));
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                store.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(HttpError::Roots(format!("{} holds no certificate", path.display())));
            }
        }
        Roots::System => {
            // A system's bundle may hold odd old certificates: the others still count.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(HttpError::Roots("the system has none; name a file with --ca".into()));
            }
        }
    }
    Ok(store)
}
