//! The fleet plane's listeners: threads of their own, each accepting, reading and answering by itself, within the same
//! limits as the static plane's. Nothing that the static plane serves waits for them.

use super::answer::{Fleet, Peer, answer};
use crate::config::Limits;
use crate::metrics::Metrics;
use crate::plane::body::{AnswerBody, Payload};
use crate::plane::drive::{Here, linger, run, unless_ended};
use crate::plane::gate::Gate;
use crate::plane::guard::{Watch, Watched};
use crate::plane::tally::{Plane, Tally};
use crate::plane::{Count, Counted, End};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// What rustls may hold for a reader that is slower than this side: answers are small.
const TLS_BUFFER: usize = 32 << 10;
/// Windows of HTTP/2: a batch is received in some ten steps.
const WINDOW: u32 = 1 << 20;

/// Starts one thread for each element of `cores`.
pub(super) fn start(
    fleet: &Arc<Fleet>,
    limits: &Limits,
    metrics: &Arc<Metrics>,
    cores: Vec<Vec<End>>,
    stop: &watch::Receiver<bool>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let open = Arc::new(Count::default());
    cores
        .into_iter()
        .enumerate()
        .map(|(number, ends)| {
            let (fleet, limits, stop) = (Arc::clone(fleet), limits.clone(), stop.clone());
            let (metrics, open) = (Arc::clone(metrics), Arc::clone(&open));
            std::thread::Builder::new().name(format!("fleet-{number}")).spawn(move || {
                if let Err(error) = core(fleet, limits, metrics, open, ends, stop) {
                    tracing::error!(%error, core = number, "a thread of the fleet plane ended");
                }
            })
        })
        .collect()
}

/// What the connections of one thread share.
struct Core {
    fleet: Arc<Fleet>,
    limits: Limits,
    metrics: Arc<Metrics>,
    gate: Rc<Gate>,
}

fn core(
    fleet: Arc<Fleet>,
    limits: Limits,
    metrics: Arc<Metrics>,
    open: Arc<Count>,
    ends: Vec<End>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let tally = Tally::new(Arc::clone(&metrics), Plane::Fleet);
    let gate = Gate::new(limits.clone(), Arc::clone(&metrics), tally, open);
    let core = Rc::new(Core { fleet, limits, metrics, gate });
    let connect = {
        let core = Rc::clone(&core);
        move |socket, peer, tls, counted| {
            drop(spawn_local(connection(Rc::clone(&core), socket, peer, tls, counted)));
        }
    };
    let result = runtime.block_on(core.gate.serve(ends, stop, connect, || {}));
    drop(runtime);
    core.gate.tally.flush();
    result
}

async fn connection(
    core: Rc<Core>,
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    counted: Counted,
) {
    let watch = Watch::new(Rc::clone(&core.gate.tally), tls.is_some());
    let _registered = core.gate.register(&watch);
    let _counted = counted;
    let address = peer.ip();
    let Some(acceptor) = tls else {
        let mut start = [0; 4];
        let http2 =
            matches!(unless_ended(&watch, socket.peek(&mut start)).await, Some(Ok(4)) if &start == b"PRI ");
        watch.established(http2);
        let socket = Watched { socket, watch: Rc::clone(&watch) };
        return Box::pin(speak(core, watch, socket, Peer { address, chain: None }, http2)).await;
    };
    let socket = Watched { socket, watch: Rc::clone(&watch) };
    match unless_ended(&watch, Box::pin(acceptor.accept(socket))).await {
        Some(Ok(mut stream)) => {
            let session = stream.get_mut().1;
            session.set_buffer_limit(Some(TLS_BUFFER));
            let http2 = session.alpn_protocol() == Some(b"h2");
            let chain = session.peer_certificates().unwrap_or_default();
            let chain = Some(chain.iter().map(|one| one.clone().into_owned()).collect());
            watch.established(http2);
            Box::pin(speak(core, watch, Box::new(stream), Peer { address, chain }, http2)).await;
        }
        Some(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            core.metrics.handshakes_failed.inc();
        }
        None => {}
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    core: Rc<Core>,
    watch: Rc<Watch>,
    stream: S,
    peer: Peer,
    http2: bool,
) {
    let head_bytes = core.limits.head_bytes.0 as usize;
    let streams = core.limits.streams;
    let peer = Rc::new(peer);
    let service = {
        let watch = Rc::clone(&watch);
        service_fn(move |request| {
            let (core, watch, peer) = (Rc::clone(&core), Rc::clone(&watch), Rc::clone(&peer));
            async move { Ok::<_, Infallible>(respond(&core, &watch, &peer, request).await) }
        })
    };
    if http2 {
        let mut builder = http2::Builder::new(Here);
        builder
            .max_concurrent_streams(streams)
            .max_header_list_size(head_bytes as u32)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        run(&watch, connection.as_mut(), |connection| connection.graceful_shutdown()).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(head_bytes.max(64 << 10));
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        if run(&watch, connection.as_mut(), |connection| connection.graceful_shutdown()).await {
            let stream = Pin::into_inner(connection);
            linger(&watch, stream.into_parts().io.into_inner()).await;
        }
    }
}

async fn respond(
    core: &Core,
    watch: &Rc<Watch>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let began = Instant::now();
    watch.asked();
    // Counted over when the body is dropped, also when the client goes away before there is an answer.
    let over = AnswerBody::new(Payload::Empty, Rc::clone(watch), began);
    let response = answer(&core.fleet, peer, watch, request).await;
    core.gate.tally.answered(response.status().as_u16());
    response.map(|bytes| over.with(Payload::Memory(bytes)))
}
