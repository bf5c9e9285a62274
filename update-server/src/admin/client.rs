//! The other end of the admin plane: how commands reach a running server, through its socket or its address. It never
//! sends a token over plain HTTP beyond this machine.

use super::routes::Problem;
use crate::disk::{self, DiskError};
use crate::failure::Failure;
use crate::tls;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Answers of the admin plane: a generation of 65,536 files has about 12 MiB.
const ANSWER_LIMIT: usize = 64 << 20;
/// Read from the file at once.
const PIECE: usize = 256 << 10;

/// Where a running server is reached.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// Through the socket in its state folder.
    Socket(PathBuf),
    /// At an address, with a token.
    Address {
        /// `http://` (loopback only) or `https://`.
        url: String,
        /// The token's text.
        token: String,
        /// PEM file with the certificates to trust in place of the system's.
        ca: Option<PathBuf>,
    },
}

/// Sends a request, with what a reader gives as its body if there is one (and its length in bytes), and gives the
/// answer's JSON.
pub(crate) fn call<R: Read + Send + Unpin + 'static>(
    server: &Server,
    method: Method,
    path: &str,
    body: Option<(R, u64)>,
) -> Result<Vec<u8>, Failure> {
    runtime()?.block_on(async {
        let answer = Limited::new(ask(server, method, path, body).await?, ANSWER_LIMIT).collect().await;
        Ok(answer.map_err(|error| broken(error.as_ref()))?.to_bytes().to_vec())
    })
}

/// The body of a request that has none.
pub(crate) const NOTHING: Option<(io::Empty, u64)> = None;

/// Asks for something, and gives the answer's JSON.
pub(crate) fn get(server: &Server, path: &str) -> Result<Vec<u8>, Failure> {
    call(server, Method::GET, path, NOTHING)
}

/// Asks for something of any length, and writes it out.
pub(crate) fn download(server: &Server, path: &str, out: &mut dyn Write) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let mut answer = ask(server, Method::GET, path, NOTHING).await?;
        while let Some(frame) = answer.frame().await {
            let data = frame.map_err(|error| broken(&error))?.into_data().unwrap_or_default();
            out.write_all(&data)
                .map_err(|error| Failure::of(&error, "make room, or write to another disk"))?;
        }
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::of(&error, "try again"))
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::of(error, "try again; the server's log may say more")
}

async fn ask<R: Read + Send + Unpin + 'static>(
    server: &Server,
    method: Method,
    path: &str,
    body: Option<(R, u64)>,
) -> Result<Incoming, Failure> {
    let (name, body) = (name(server), ReadBody { source: body });
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() =
        path.parse().map_err(|error: hyper::http::uri::InvalidUri| Failure::of(&error, "report this"))?;
    let bad = |what: &str| {
        Failure::new(format!("{what} can't be used as it is"), "look at the command's arguments")
    };
    let host = host(server)?;
    request.headers_mut().insert("host", host.parse().map_err(|_| bad("the URL's host"))?);
    match server {
        Server::Socket(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| {
                Failure::of(&error, format!("is the server running? its socket is {}", path.display()))
            })?;
            exchange(stream, request).await
        }
        Server::Address { url, token, ca } => {
            let field = format!("Bearer {}", token.trim());
            request.headers_mut().insert("authorization", field.parse().map_err(|_| bad("the token"))?);
            let uri = parse(url)?;
            let stream = connect(&uri, &name).await?;
            if uri.scheme_str() == Some("http") {
                return exchange(stream, request).await;
            }
            let config = client_config(ca.as_deref())?;
            let server_name =
                ServerName::try_from(uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned())
                    .map_err(|_| bad("the URL's host"))?;
            let stream = tokio_rustls::TlsConnector::from(config).connect(server_name, stream).await;
            let stream = stream.map_err(|error| {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                if let Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) = inner
                {
                    let what = format!("no TLS is spoken at {url}: is that the right port?");
                    return Failure::new(
                        what,
                        "http:// is for this machine alone; elsewhere set admin.tls = true on the server",
                    );
                }
                Failure::of(&error, "check the URL; a certificate of your own is named with --ca FILE")
            })?;
            exchange(stream, request).await
        }
    }
}

fn name(server: &Server) -> String {
    match server {
        Server::Socket(path) => path.display().to_string(),
        Server::Address { url, .. } => url.clone(),
    }
}

fn host(server: &Server) -> Result<String, Failure> {
    match server {
        Server::Socket(_) => Ok("localhost".into()),
        Server::Address { url, .. } => {
            Ok(parse(url)?.authority().map_or_else(String::new, ToString::to_string))
        }
    }
}

/// Refuses URLs that aren't `https://host[:port]`, or `http://` to this machine.
fn parse(url: &str) -> Result<Uri, Failure> {
    let hint = "write it like https://updates.example.com:7870, or http://127.0.0.1:7870 on the same machine";
    let uri: Uri = url.parse().map_err(|_| Failure::new(format!("`{url}` is not a URL"), hint))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(uri),
        Some("http") if loopback => Ok(uri),
        Some("http") => Err(Failure::new(
            format!("{url} would carry the token over plain HTTP to another machine"),
            "use https://, or an SSH tunnel to the server's loopback address",
        )),
        _ => Err(Failure::new(format!("`{url}` is not a URL of an admin listener"), hint)),
    }
}

async fn connect(uri: &Uri, name: &str) -> Result<TcpStream, Failure> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    TcpStream::connect((host, port)).await.map_err(|error| {
        Failure::new(
            format!("can't connect to {name}: {error}"),
            "is the server running, with admin.listen at that address?",
        )
    })
}

fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let text = disk::read(path, 4 << 20)
                .map_err(|error: DiskError| Failure::of(&error, "name a PEM file with --ca"))?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
            roots.add_parsable_certificates(found.unwrap_or_default());
            if roots.is_empty() {
                let what = format!("{} holds no certificate in PEM form", path.display());
                return Err(Failure::new(what, "name the CA's PEM file with --ca"));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::of(&error, "report this"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn exchange<S, R>(stream: S, request: Request<ReadBody<R>>) -> Result<Incoming, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Read + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response.into_body());
    }
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    let body = body.map_err(|error| broken(error.as_ref()))?.to_bytes();
    Err(match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Failure::new(problem.error, problem.hint),
        Err(_) => {
            Failure::new(format!("the server answered {status}"), "is that the admin listener's address?")
        }
    })
}

/// What a reader gives as a request's body. Reading blocks, which a command may.
struct ReadBody<R> {
    source: Option<(R, u64)>,
}

impl<R: Read + Unpin> Body for ReadBody<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((source, left)) = &mut self.source else { return Poll::Ready(None) };
        if *left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; PIECE.min(*left as usize)];
        let result = source.read_exact(&mut piece).map(|()| {
            *left -= piece.len() as u64;
            Frame::data(Bytes::from(piece))
        });
        Poll::Ready(Some(result))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.source.as_ref().map_or(0, |(_, left)| *left))
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(|(_, left)| *left == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_travels_in_the_clear_beyond_this_machine() {
        for good in [
            "https://updates.example.com",
            "http://127.0.0.1:7870",
            "http://[::1]:7870",
            "http://localhost:1",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let refused = parse("http://updates.example.com:7870").unwrap_err();
        assert!(refused.what().contains("plain HTTP"), "{refused}");
        for bad in ["updates.example.com", "ftp://127.0.0.1", "", "https://"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
