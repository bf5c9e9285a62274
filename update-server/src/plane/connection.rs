//! One connection: its handshake, its protocol (HTTP/1.1 or HTTP/2), its requests, its end. It keeps no state about
//! who is at the other side.

use super::Counted;
use super::answer::{Source, answer};
use super::body::AnswerBody;
use super::core::Core;
use super::drive::{Here, linger, run, unless_ended};
use super::guard::{Watch, Watched};
use super::poll::{self, After};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// Bytes that rustls may hold for a reader that is slower than this side; a connection that rests holds none of them.
/// With 16,384 slow readers that is 1 GiB, and the kernel holds more for each than this. Half of it would cost streams
/// a system call for each 32 KiB.
const TLS_BUFFER: usize = 64 << 10;

/// Serves a connection until its end. What a resting device doesn't need (HTTP/2, hyper's reader, the other kind of
/// stream) is boxed when it is reached: most connections rest most of the time, and each holds its whole future.
pub(super) async fn serve(core: Rc<Core>, socket: TcpStream, tls: Option<TlsAcceptor>, counted: Counted) {
    let watch = Watch::new(Rc::clone(&core.tally), tls.is_some());
    let _registered = core.gate.register(&watch);
    let _counted = counted;
    let Some(acceptor) = tls else {
        let mut start = [0; 4];
        let http2 =
            matches!(unless_ended(&watch, socket.peek(&mut start)).await, Some(Ok(4)) if &start == b"PRI ");
        watch.established(http2);
        let socket = Watched { socket, watch: Rc::clone(&watch) };
        return Box::pin(speak(core, watch, socket, http2)).await;
    };
    let socket = Watched { socket, watch: Rc::clone(&watch) };
    match unless_ended(&watch, Box::pin(acceptor.accept(socket))).await {
        Some(Ok(mut stream)) => {
            let session = stream.get_mut().1;
            session.set_buffer_limit(Some(TLS_BUFFER));
            let http2 = session.alpn_protocol() == Some(b"h2");
            watch.established(http2);
            // A session has about a KiB, and would lie in the future once for each call that it is handed to.
            Box::pin(speak(core, watch, Box::new(stream), http2)).await;
        }
        Some(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            core.shared.metrics.handshakes_failed.inc();
        }
        None => {}
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    core: Rc<Core>,
    watch: Rc<Watch>,
    stream: S,
    http2: bool,
) {
    let limits = &core.shared.limits;
    let service = {
        let (core, watch) = (Rc::clone(&core), Rc::clone(&watch));
        service_fn(move |request| ready(Ok::<_, Infallible>(respond(&core, &watch, request))))
    };
    let head_bytes = limits.head_bytes.0 as usize;
    if http2 {
        let mut builder = http2::Builder::new(Here);
        builder
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(head_bytes as u32)
            // Requests have no bodies here: the smallest windows that the protocol starts with are plenty.
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535)
            .max_frame_size(16_384);
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        run(&watch, connection.as_mut(), |connection| connection.graceful_shutdown()).await;
    } else if core.shared.access {
        Box::pin(general(&core, &watch, stream, service)).await;
    } else {
        match poll::serve(&core, &watch, stream).await {
            After::Else(stream) => Box::pin(general(&core, &watch, stream, service)).await,
            After::Over => {}
        }
    }
}

/// HTTP/1.1 by hyper, without a timer of its own: the sweep ends what is slow.
async fn general<S, H>(core: &Core, watch: &Rc<Watch>, stream: S, service: H)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: HttpService<Incoming, ResBody = AnswerBody> + Unpin,
    H::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    H::Future: Unpin,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(core.shared.limits.head_bytes.0 as usize);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    if run(watch, Pin::new(&mut connection), |connection| connection.graceful_shutdown()).await {
        linger(watch, connection.into_parts().io.into_inner()).await;
    }
}

fn respond(core: &Core, watch: &Rc<Watch>, mut request: Request<Incoming>) -> Response<AnswerBody> {
    let began = Instant::now();
    watch.asked();
    let mut site = core.site.borrow_mut();
    let source = Source {
        site: site.load(),
        rollouts: &core.shared.rollouts,
        maps: &core.maps,
        ready: &|| core.shared.ready.check(),
        now: &|| (core.shared.now)(),
    };
    let response = answer(&mut request, &source, Rc::clone(watch), began);
    core.tally.answered(response.status().as_u16());
    if core.shared.access {
        tracing::info!(method = %request.method(), path = request.uri().path(), status = response.status().as_u16(), "answered");
    }
    response
}
