//! The admin plane's doors: an address (plain on loopback, else TLS) and the socket in the state folder.

use super::routes::router;
use super::visit::{Patient, Visits};
use super::{Access, Desk};
use crate::disk::{self, DiskError};
use crate::plane::Count;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use socket2::{Domain, SockAddr, Socket, Type};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Connections at once on each door: people and scripts, never devices.
const CONNECTIONS: usize = 64;
/// Connections of one address that isn't this machine's own: there, everybody has the same.
const CONNECTIONS_PER_ADDRESS: usize = 32;
/// Between two that give way, so that whoever comes has the time to show a token before their own turn.
const BREATH: Duration = Duration::from_millis(10);
/// Time for a handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer of which nothing is taken for so long is given up.
const STALL: Duration = Duration::from_secs(30);
/// Size of a request's head.
const HEAD_BYTES: usize = 16 << 10;
/// Commands that may wait at the socket to be let in.
const BACKLOG: i32 = 64;
/// Bytes of a socket's path: `sun_path` on Linux, without its end.
const PATH_BYTES: usize = 107;

/// The doors that are open.
pub(crate) struct Doors {
    /// The address, and its TLS if it has one.
    pub(crate) address: Option<(std::net::TcpListener, Option<Arc<ServerConfig>>, Access)>,
    /// The socket.
    pub(crate) socket: std::os::unix::net::UnixListener,
}

/// Opens the socket, for the folder's owner only. One that a killed server left is removed: the caller holds the lock.
pub(crate) fn bind_socket(path: &Path) -> Result<std::os::unix::net::UnixListener, DiskError> {
    socket_fits(path)?;
    disk::remove(path)?;
    let socket = disk::at("open", path, bind_private(path))?;
    disk::set_mode(path, 0o600)?;
    disk::at("open", path, socket.listen(BACKLOG))?;
    disk::at("open", path, socket.set_nonblocking(true))?;
    Ok(socket.into())
}

/// Refuses a state folder whose socket no system call could name.
pub(crate) fn socket_fits(path: &Path) -> Result<(), DiskError> {
    let length = path.as_os_str().len();
    if length <= PATH_BYTES {
        return Ok(());
    }
    let why = format!(
        "its path has {length} bytes, and a socket's may have {PATH_BYTES}: choose a shorter state folder"
    );
    disk::at("open", path, Err(std::io::Error::other(why)))
}

/// Binds without a moment in which others might connect: Linux gives the file the mode that the socket has when it is
/// bound, and nobody can connect before it listens.
fn bind_private(path: &Path) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Answers at all doors until told to stop.
pub(crate) async fn run(desk: Desk, doors: Doors, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let socket = UnixListener::from_std(doors.socket)?;
    let owners = Desk { access: Access::Owner, ..desk.clone() };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
            match socket.accept().await {
                Ok((stream, _)) => {
                    let desk = owners.clone();
                    tokio::spawn(async move {
                        answer(stream, desk).await;
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    if let Some((listener, tls, access)) = doors.address {
        let listener = TcpListener::from_std(listener)?;
        let desk = Desk { access, ..desk };
        tasks.spawn(accept(listener, tls.map(TlsAcceptor::from), desk));
    }
    // The sender's end is an end too.
    let _ = stop.wait_for(|stop| *stop).await;
    tasks.abort_all();
    Ok(())
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, desk: Desk) {
    let (count, visits) = (Arc::new(Count::default()), Arc::new(Visits::default()));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while count.total() >= CONNECTIONS {
            visits.make_room();
            tokio::time::sleep(BREATH).await;
        }
        let limit = if peer.ip().is_loopback() { 0 } else { CONNECTIONS_PER_ADDRESS };
        let Some(counted) = count.enter(peer.ip(), limit) else { continue };
        let (visit, entered) = visits.enter();
        let (tls, desk) = (tls.clone(), Desk { visit: visit.clone(), ..desk.clone() });
        let answered = async move {
            match tls {
                None => answer(Patient::new(stream, STALL), desk).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await {
                        answer(Patient::new(stream, STALL), desk).await;
                    }
                }
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = answered => {}
                () = visit.gone() => {}
            }
            drop((entered, counted));
        });
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, desk: Desk) {
    let service = TowerToHyperService::new(router(desk));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD_BYTES * 4);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "an admin connection failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_its_owners_alone_before_anybody_can_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket = bind_private(&path).unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(disk::mode(&path).unwrap(), 0o600);
        }
        assert!(std::os::unix::net::UnixStream::connect(&path).is_err());
        drop(socket);
        let _open = bind_socket(&path).unwrap();
        assert_eq!(disk::mode(&path).unwrap(), 0o600);
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    }
}
