//! Connections: TCP, perhaps through a proxy, perhaps under TLS, then HTTP/1.1. One can be kept for the next request.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::HttpError;
use super::proxy::Proxy;
use super::url::{Scheme, Url};
use super::{HEADER_BYTES, HEADERS, Inner};

/// Bytes of a proxy's answer to `CONNECT`.
const TUNNEL_ANSWER: usize = 8 * 1024;

/// What an HTTP exchange runs on.
trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}
type AnyStream = Pin<Box<dyn Stream>>;

/// The sending half of a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Which server a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin(Scheme, String, u16);

impl Origin {
    pub(super) fn of(url: &Url) -> Self {
        Self(url.scheme(), url.host().to_owned(), url.port())
    }
}

/// A new connection for `url`.
pub(super) async fn connect(inner: &Inner, url: &Url) -> Result<Sender, HttpError> {
    let proxy = inner.proxies.of(url);
    let stream = match (proxy, url.scheme()) {
        (None, _) => tcp(url.host(), url.port(), inner.limits.connect).await?,
        (Some(proxy), Scheme::Http) => tcp(&proxy.host, proxy.port, inner.limits.connect).await?,
        (Some(proxy), Scheme::Https) => tunnel(proxy, url, inner.limits.connect).await?,
    };
    let stream: AnyStream = match url.scheme() {
        Scheme::Http => Box::pin(stream),
        Scheme::Https => Box::pin(tls(inner, url, stream).await?),
    };
    let broken = |source| HttpError::Broken { url: url.clone(), source };
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // What goes wrong on the connection reaches whoever waits for its answer.
    tokio::spawn(connection);
    Ok(sender)
}

/// Each address of a name in turn, each with its share of the time.
async fn tcp(host: &str, port: u16, limit: Duration) -> Result<TcpStream, HttpError> {
    let unreachable = |source| HttpError::Unreachable { server: format!("{host}:{port}"), source };
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(unreachable)?.collect();
    let share = limit / u32::try_from(addresses.len().clamp(1, 4)).unwrap_or(1);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests should not wait for company; where that can't be set they only take longer.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(unreachable(last))
}

/// A tunnel through the proxy (RFC 9110 §9.3.6).
async fn tunnel(proxy: &Proxy, url: &Url, limit: Duration) -> Result<TcpStream, HttpError> {
    let mut stream = tcp(&proxy.host, proxy.port, limit).await?;
    let server = url.host_port();
    let proxy_name = format!("{}:{}", proxy.host, proxy.port);
    let unreachable = |source| HttpError::Unreachable { server: proxy_name.clone(), source };
    let authorization = match &proxy.authorization {
        Some(value) => format!("Proxy-Authorization: {value}\r\n"),
        None => String::new(),
    };
    let request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    // Byte by byte: what follows the answer is the server's and must stay in the stream.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < TUNNEL_ANSWER {
        answer.push(stream.read_u8().await.map_err(unreachable)?);
    }
    let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or("").trim().to_owned();
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    if answer.ends_with(b"\r\n\r\n") && status.is_some_and(|code| code.len() == 3 && code.starts_with('2')) {
        Ok(stream)
    } else {
        let answer = first.chars().filter(|c| !c.is_control()).take(120).collect();
        Err(HttpError::Tunnel { proxy: proxy_name, server, answer })
    }
}

async fn tls(
    inner: &Inner,
    url: &Url,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, HttpError> {
    let failed = |source| HttpError::Tls { server: url.host_port(), source };
    let name = ServerName::try_from(url.host().to_owned());
    let name = name.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let connected = tokio_rustls::TlsConnector::from(inner.tls()?).connect(name, stream).await;
    connected.map_err(|error| {
        if is_plain(&error) { HttpError::NotTls { server: url.host_port() } } else { failed(error) }
    })
}

/// That the first answer was no TLS record, as from a server of plain HTTP.
fn is_plain(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}
