//! `bench-load poll ADDRESS CONNECTIONS SECONDS PATH TAG [CA]`: one thread that polls over that many kept-alive connections,
//! each asking again as soon as it has its 304, for that many seconds after each has polled once; prints
//! `polls N seconds S all M`, where M counts the polls before, too.
//! `bench-load rest ADDRESS CONNECTIONS PATH TAG [CA]`: opens the connections, polls once on each, prints `resting`, and
//! keeps them open until its standard input ends.
//!
//! A CA (a PEM file) makes it TLS. Two system calls a poll, one to read and one to write, and requests made beforehand: it
//! takes less than any server does, so that the server is what is measured. Every answer is looked at: a 304, whole.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a tool for benchmarks: whatever fails ends it"
)]

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Connections that are opened at once: fewer than a listener's backlog.
const OPENING: usize = 512;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["poll", address, connections, seconds, path, tag, ref ca @ ..] => {
            let mut load = Load::new(address, number(connections), path, tag, ca.first().copied());
            load.run_until(|polls, connections| polls >= connections as u64);
            let (before, began) = (load.polls, Instant::now());
            let end = began + Duration::from_secs(number(seconds) as u64);
            load.run_until(|_, _| Instant::now() >= end);
            let seconds = began.elapsed().as_secs_f64();
            println!("polls {} seconds {seconds:.6} all {}", load.polls - before, load.polls);
        }
        ["rest", address, connections, path, tag, ref ca @ ..] => {
            let mut load = Load::new(address, number(connections), path, tag, ca.first().copied());
            load.again = false;
            load.run_until(|polls, connections| polls >= connections as u64);
            println!("resting");
            io::copy(&mut io::stdin(), &mut io::sink()).expect("standard input can be read");
        }
        _ => panic!("usage: bench-load poll|rest ADDRESS CONNECTIONS [SECONDS] PATH TAG [CA]"),
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// All connections of one run.
struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    /// Those that aren't open yet.
    unopened: usize,
    address: SocketAddr,
    request: Vec<u8>,
    tls: Option<Arc<ClientConfig>>,
    polls: u64,
    /// Whether a connection polls again after an answer.
    again: bool,
}

impl Load {
    fn new(address: &str, connections: usize, path: &str, tag: &str, ca: Option<&str>) -> Self {
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nIf-None-Match: {tag}\r\n\r\n");
        Self {
            poll: Poll::new().expect("the system has an event queue"),
            connections: Vec::with_capacity(connections),
            unopened: connections,
            address: address.parse().expect("an address"),
            request: request.into_bytes(),
            tls: ca.map(client),
            polls: 0,
            again: true,
        }
    }

    /// Works until `done` says so, which is asked after each batch of events.
    fn run_until(&mut self, done: impl Fn(u64, usize) -> bool) {
        let mut events = Events::with_capacity(1024);
        let all = self.connections.len() + self.unopened;
        while !done(self.polls, all) {
            self.open();
            self.poll.poll(&mut events, Some(Duration::from_millis(100))).expect("events can be waited for");
            for event in &events {
                self.turn(event.token().0);
            }
        }
    }

    /// Opens more connections, as long as few of them are without an answer.
    fn open(&mut self) {
        while self.unopened > 0 && (self.connections.len() as u64) < self.polls + OPENING as u64 {
            let mut socket = TcpStream::connect(self.address).expect("a connection can be opened");
            socket.set_nodelay(true).expect("the system knows TCP_NODELAY");
            let token = Token(self.connections.len());
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, token, both).expect("a socket can be watched");
            let session = self.tls.as_ref().map(|tls| {
                let name = ServerName::try_from("localhost").expect("a name");
                Box::new(ClientConnection::new(Arc::clone(tls), name).expect("a TLS session"))
            });
            self.connections.push(Connection { socket, session, asked: false, answer: Vec::new() });
            self.unopened -= 1;
        }
    }

    fn turn(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !connection.asked {
            if !connection.is_open() {
                return;
            }
            connection.ask(&self.request);
        }
        if connection.answered() {
            self.polls += 1;
            if self.again {
                connection.ask(&self.request);
            }
        }
    }
}

struct Connection {
    socket: TcpStream,
    session: Option<Box<ClientConnection>>,
    asked: bool,
    /// The beginning of an answer that came in pieces.
    answer: Vec<u8>,
}

impl Connection {
    /// Whether the connection, and its TLS, are established; goes on with the handshake if not.
    fn is_open(&mut self) -> bool {
        if self.socket.peer_addr().is_err() {
            return false;
        }
        let Some(session) = &mut self.session else { return true };
        loop {
            let step = if session.wants_write() {
                session.write_tls(&mut self.socket)
            } else if session.is_handshaking() {
                session.read_tls(&mut self.socket)
            } else {
                return true;
            };
            match step {
                Ok(0) => panic!("the server ended a handshake"),
                Ok(_) => drop(session.process_new_packets().expect("a handshake that fits")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => panic!("a handshake failed: {error}"),
            }
        }
    }

    fn ask(&mut self, request: &[u8]) {
        self.asked = true;
        // A request fits into any socket's empty buffer.
        match &mut self.session {
            None => self.socket.write_all(request),
            Some(session) => {
                session.writer().write_all(request).expect("a request fits into a session");
                session.write_tls(&mut self.socket).map(drop)
            }
        }
        .expect("a request can be sent");
    }

    /// Reads what there is; true when a whole answer has come.
    fn answered(&mut self) -> bool {
        let mut buffer = [0; 2048];
        let read = match &mut self.session {
            None => self.socket.read(&mut buffer),
            Some(session) => session.read_tls(&mut self.socket).and_then(|read| {
                assert!(read > 0, "the server ended a connection");
                session.process_new_packets().expect("whole TLS records");
                session.reader().read(&mut buffer)
            }),
        };
        let read = match read {
            Ok(0) => panic!("the server ended a connection"),
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => panic!("an answer failed: {error}"),
        };
        let whole = if self.answer.is_empty() {
            read
        } else {
            self.answer.extend_from_slice(read);
            &self.answer
        };
        if !whole.ends_with(b"\r\n\r\n") {
            if self.answer.is_empty() {
                self.answer.extend_from_slice(read);
            }
            return false;
        }
        assert!(whole.starts_with(b"HTTP/1.1 304 "), "{}", whole.escape_ascii());
        self.answer.clear();
        true
    }
}

fn client(ca: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the CA's file") {
        roots.add(certificate.expect("a certificate")).expect("a usable certificate");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
