//! TLS to the database, by rustls with ring. A server is believed by its name and certificate, or not at all: `sslmode=require`
//! means what others call `verify-full`.

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// A few certificates.
const CA_LIMIT: u64 = 4 << 20;

/// Makes connectors.
#[derive(Clone)]
pub(super) struct Rustls(Arc<ClientConfig>);

impl Rustls {
    /// Trusts the certificates in the PEM file `ca`, or the system's.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(path) => {
                let text = crate::disk::read(path, CA_LIMIT).map_err(|error| error.to_string())?;
                let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
                roots.add_parsable_certificates(found.unwrap_or_default());
                if roots.is_empty() {
                    return Err(format!("{} holds no certificate in PEM form", path.display()));
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let config = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl MakeTlsConnect<Socket> for Rustls {
    type Stream = Encrypted;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Connect> {
        // Asked for sockets too, which have no name and need none.
        Ok(Connect { config: Arc::clone(&self.0), name: ServerName::try_from(domain.to_owned()).ok() })
    }
}

/// Connects once.
pub(super) struct Connect {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl TlsConnect<Socket> for Connect {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let name =
                self.name.ok_or_else(|| io::Error::other("the database's host has no name for TLS"))?;
            let stream = tokio_rustls::TlsConnector::from(self.config).connect(name, stream).await?;
            Ok(Encrypted(stream))
        })
    }
}

/// An encrypted connection.
pub(super) struct Encrypted(tokio_rustls::client::TlsStream<Socket>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Engine, Settings, StoreError};
    use rustls_pki_types::PrivateKeyDer;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_database_whose_certificate_is_not_believed_is_asked_once() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            (rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap(), key)
        };
        let (shown, key) = made("127.0.0.1");
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![shown.der().clone()], key)
            .unwrap();
        let (server, listener) = (Arc::new(server), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                // It asks for TLS, and is told that there is some.
                if stream.read_exact(&mut [0; 8]).and_then(|()| stream.write_all(b"S")).is_ok() {
                    let mut tls = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
                    let _ = tls.complete_io(&mut stream);
                }
            }
        });
        let (url, ca) = (folder.path().join("url"), folder.path().join("ca.pem"));
        std::fs::write(&url, format!("postgresql://me:secret@127.0.0.1:{port}/db?sslmode=require")).unwrap();
        std::fs::write(&ca, made("another").0.pem()).unwrap();
        let settings = Settings { url_file: Some(url), ca: Some(ca), ..Settings::default() };
        let refused = Engine::Postgres.open(folder.path(), settings).map(drop).unwrap_err();
        assert!(matches!(&refused, StoreError::Engine { .. }), "{refused}");
        let said = refused.to_string();
        assert!(
            said.contains("certificate") && said.contains("store.ca") && !said.contains("secret"),
            "{said}"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
