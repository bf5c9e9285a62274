//! Whom a TLS connection believes: one file of certificates, or those of the system. Verification can't be turned off.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

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

/// TLS 1.3 and 1.2 by ring, HTTP/1.1.
pub(super) fn config(roots: &Roots) -> Result<Arc<rustls::ClientConfig>, HttpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| HttpError::Roots(error.to_string()))?
        .with_root_certificates(store(roots)?)
        .with_no_client_auth();
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
