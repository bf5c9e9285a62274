//! The static plane: conditional requests, ranges, limits, TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::kit::{Answer, Kit, Wire, eventually, get};
use perennial_device_core::crypto::Ring;
use perennial_schemas::crypto::Digest;
use perennial_server::server::start;
use perennial_tests::simulator::day;
use rustls::pki_types::{CertificateDer, ServerName};

/// A kit with one target of `length` bytes; its path on the server.
fn with_target(length: usize) -> (Kit, String, Vec<u8>) {
    let mut kit = Kit::new();
    let content: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
    kit.target("cam/1.0.0.a.image.zst", &content);
    let bundle = kit.publish("first.bundle");
    kit.ingest(&bundle).ok();
    let path = format!("/targets/cam/{}.1.0.0.a.image.zst", Ring.sha256(&content));
    (kit, path, content)
}

#[test]
fn metadata_and_targets_are_served_with_their_caching() {
    let (kit, path, content) = with_target(700_000);
    let server = kit.serve("");
    let mut wire = Wire::to(server.plain[0]);
    let timestamp = wire.ask("GET", "/metadata/timestamp.json", &[]);
    assert_eq!((timestamp.status, timestamp.header("cache-control")), (200, "public, max-age=60"));
    assert_eq!(timestamp.header("content-type"), "application/json");
    let root = wire.ask("GET", "/metadata/2.root.json", &[]);
    assert_eq!(root.header("cache-control"), "public, max-age=31536000, immutable");
    let target = wire.ask("GET", &path, &[]);
    assert_eq!(target.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(target.header("content-type"), "application/octet-stream");
    assert_eq!(target.header("x-content-type-options"), "nosniff");
    assert!(target.body == content);
    let missing = wire.ask("GET", "/metadata/3.root.json", &[]);
    assert_eq!((missing.status, missing.header("cache-control")), (404, "public, max-age=30"));
    // tough asks for <hash>.dir/name.
    let hash = Ring.sha256(&content);
    let touch = wire.ask("GET", &format!("/targets/{hash}.cam/1.0.0.a.image.zst"), &[]);
    assert!(touch.body == content);
}

#[test]
fn an_unchanged_file_is_answered_304() {
    let (kit, path, _) = with_target(10);
    let server = kit.serve("");
    let mut wire = Wire::to(server.plain[0]);
    for name in ["/metadata/timestamp.json", "/metadata/2.snapshot.json", &path] {
        let first = wire.ask("GET", name, &[]);
        let again = wire.ask("GET", name, &[("If-None-Match", first.header("etag"))]);
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("cache-control"), first.header("cache-control"));
        assert_eq!(wire.ask("GET", name, &[("If-None-Match", "\"other\"")]).status, 200);
    }
}

#[test]
fn a_poll_is_answered_alike_by_the_short_way_and_the_general_one() {
    let (kit, path, content) = with_target(10);
    let server = kit.serve("");
    let tag = get(server.plain[0], "/metadata/timestamp.json").header("etag").to_owned();
    let poll = [("If-None-Match", tag.as_str())];
    let mut short = Wire::to(server.plain[0]);
    let one = short.ask("GET", "/metadata/timestamp.json", &poll);
    let other =
        Wire::to(server.plain[0]).ask("GET", "/metadata/timestamp.json", &[poll[0], ("X-Other", "1")]);
    assert_eq!((one.status, other.status), (304, 304));
    let names = |answer: &Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    assert_eq!(one.header("date").len(), other.header("date").len());
    for field in ["etag", "cache-control"] {
        assert_eq!(one.header(field), other.header(field));
    }
    // A connection that has polled may ask for anything, and poll again.
    assert_eq!(short.ask("GET", "/metadata/timestamp.json", &poll).status, 304);
    assert_eq!(short.ask("GET", "/metadata/timestamp.json", &[("If-None-Match", "\"old\"")]).status, 200);
    assert!(short.ask("GET", &path, &[]).body == content);
    assert_eq!(short.ask("GET", "/metadata/timestamp.json", &poll).status, 304);
    // Heads that come in pieces, or several at once, are read as well.
    let head = format!("GET /metadata/timestamp.json HTTP/1.1\r\nHost: t\r\nIf-None-Match: {tag}\r\n\r\n");
    let mut pieces = Wire::to(server.plain[0]);
    assert_eq!(pieces.ask("GET", "/metadata/timestamp.json", &poll).status, 304);
    pieces.send(&head[..30]);
    std::thread::sleep(Duration::from_millis(50));
    pieces.send(&head[30..]);
    assert_eq!(pieces.read(false).status, 304);
    let mut several = Wire::to(server.plain[0]);
    several.send(&head.repeat(3));
    (0..3).for_each(|_| assert_eq!(several.read(false).status, 304));
}

#[test]
fn a_poll_sees_the_new_generation_at_once() {
    let (mut kit, ..) = with_target(10);
    let server = kit.serve("");
    let mut wire = Wire::to(server.plain[0]);
    let tag = get(server.plain[0], "/metadata/timestamp.json").header("etag").to_owned();
    assert_eq!(wire.ask("GET", "/metadata/timestamp.json", &[("If-None-Match", &tag)]).status, 304);
    kit.target("cam/more", "more");
    let bundle = kit.publish("second.bundle");
    kit.ingest(&bundle).ok();
    assert_eq!(wire.ask("GET", "/metadata/timestamp.json", &[("If-None-Match", &tag)]).status, 200);
}

#[test]
fn single_ranges_are_honoured_and_several_get_everything() {
    let (kit, path, content) = with_target(600_000);
    let server = kit.serve("");
    let mut wire = Wire::to(server.plain[0]);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=262143-262145", 262_143, 262_146),
        ("bytes=599990-", 599_990, 600_000),
        ("bytes=-5", 599_995, 600_000),
        ("bytes=1-999999999", 1, 600_000),
    ] {
        let answer = wire.ask("GET", &path, &[("Range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/600000", to - 1));
        assert!(answer.body == content[from..to], "{range}");
    }
    let beyond = wire.ask("GET", &path, &[("Range", "bytes=600000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */600000"));
    let several = wire.ask("GET", &path, &[("Range", "bytes=0-1,5-6")]);
    assert_eq!((several.status, several.body.len()), (200, 600_000));
    let tag = wire.ask("HEAD", &path, &[]).header("etag").to_owned();
    let same = wire.ask("GET", &path, &[("Range", "bytes=0-1"), ("If-Range", &tag)]);
    assert_eq!(same.status, 206);
    let changed = wire.ask("GET", &path, &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]);
    assert_eq!(changed.status, 200);
}

#[test]
fn head_shows_what_get_would_send() {
    let (kit, path, _) = with_target(600_000);
    let server = kit.serve("");
    let mut wire = Wire::to(server.plain[0]);
    for name in [path.as_str(), "/metadata/timestamp.json", "/support/none", "/healthz"] {
        let head = wire.ask("HEAD", name, &[("Range", "bytes=0-1")]);
        let got = wire.ask("GET", name, &[]);
        assert_eq!((head.status, head.body.len()), (got.status, 0), "{name}");
        for field in ["content-length", "content-type", "etag", "cache-control"] {
            assert_eq!(head.header(field), got.header(field), "{name}: {field}");
        }
    }
}

#[test]
fn other_methods_and_bodies_are_refused() {
    let (kit, path, _) = with_target(10);
    let server = kit.serve("");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let answer = Wire::to(server.plain[0]).ask(method, &path, &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    let mut wire = Wire::to(server.plain[0]);
    let answer = wire.ask("GET", &path, &[("Content-Length", "5")]);
    assert_eq!((answer.status, answer.header("connection")), (413, "close"));
    assert!(wire.is_over());
    for name in ["/metadata/", "/targets/../metadata/timestamp.json", "/targets/%2e%2e/keys", "/admin.token"]
    {
        assert_eq!(get(server.plain[0], name).status, 404, "{name}");
    }
}

#[test]
fn oversized_heads_are_refused() {
    let (kit, ..) = with_target(10);
    let server = kit.serve("");
    let mut wire = Wire::to(server.plain[0]);
    let large = "x".repeat(20_000);
    wire.send(&format!("GET /healthz HTTP/1.1\r\nHost: test\r\nX-Large: {large}\r\n\r\n"));
    assert_eq!(wire.read(false).status, 431);
    assert!(wire.is_over());
    let mut wire = Wire::to(server.plain[0]);
    let fields = "X-Field: y\r\n".repeat(200);
    wire.send(&format!("GET /healthz HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    assert_eq!(wire.read(false).status, 431);
    assert_eq!(get(server.plain[0], "/healthz").status, 200);
}

#[test]
fn a_head_that_drips_is_cut_off() {
    let (kit, ..) = with_target(10);
    let server = kit.serve("[limits]\nhead = \"300ms\"\n");
    let mut wire = Wire::to(server.plain[0]);
    wire.send("GET /healthz HTTP/1.1\r\nX-Slow: ");
    let mut sent = 0;
    eventually("the connection ends", || {
        sent += 1;
        wire.0.write_all(b"y").and_then(|()| wire.0.flush()).is_err()
    });
    assert!(sent > 2, "it was given no time at all");
    // One that keeps its pace is served meanwhile and after.
    assert_eq!(get(server.plain[0], "/healthz").status, 200);
}

#[test]
fn a_silent_connection_is_closed_and_so_is_one_that_rests_too_long() {
    let (kit, ..) = with_target(10);
    let server = kit.serve("[limits]\nidle = \"1s\"\n");
    assert!(Wire::to(server.plain[0]).is_over());
    let mut wire = Wire::to(server.plain[0]);
    assert_eq!(wire.ask("GET", "/healthz", &[]).status, 200);
    assert!(wire.is_over());
}

#[test]
fn a_reader_that_takes_nothing_is_cut_off_and_a_slow_honest_one_is_not() {
    let (kit, path, content) = with_target(64 << 20);
    let server = kit.serve("[limits]\nstall = \"2s\"\nstall_bytes = \"16KiB\"\n");
    let mut stalled = Wire::to(server.plain[0]);
    stalled.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    let mut honest = Wire::to(server.plain[0]);
    honest.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    let mut taken = vec![0; 300_000];
    for _ in 0..20 {
        honest.0.read_exact(&mut taken).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut rest = Vec::new();
    honest.0.read_to_end_of(content.len() - 20 * taken.len(), &mut rest);
    assert!(rest.ends_with(&content[content.len() - 1000..]));
    eventually("it is counted", || {
        server.metrics().closed_so_far(perennial_server::metrics::Closed::Stalled) == 1
    });
    // What the kernel had buffered still comes; the whole of it never does.
    let mut received = Vec::new();
    let _ = stalled.0.read_to_end(&mut received);
    assert!(received.len() < content.len(), "the stalled reader got everything");
}

trait ReadSome {
    fn read_to_end_of(&mut self, at_least: usize, into: &mut Vec<u8>);
}

impl ReadSome for TcpStream {
    /// Reads until `at_least` bytes have come.
    fn read_to_end_of(&mut self, at_least: usize, into: &mut Vec<u8>) {
        let mut buffer = vec![0; 1 << 20];
        while into.len() < at_least {
            let read = self.read(&mut buffer).unwrap();
            assert!(read > 0, "ended after {} of {at_least} bytes", into.len());
            into.extend_from_slice(&buffer[..read]);
        }
    }
}

#[test]
fn connections_have_a_limit_and_idle_ones_give_way() {
    let (kit, ..) = with_target(10);
    let server = kit.serve("[limits]\nconnections = 4\n");
    let mut held: Vec<Wire> = (0..4).map(|_| Wire::to(server.plain[0])).collect();
    held.iter_mut().for_each(|wire| assert_eq!(wire.ask("GET", "/healthz", &[]).status, 200));
    // A fifth is served once the longest-idle one has made room.
    assert_eq!(get(server.plain[0], "/healthz").status, 200);
    assert!(held[0].is_over());
    assert!(server.metrics().closed_so_far(perennial_server::metrics::Closed::Evicted) >= 1);
}

#[test]
fn one_address_has_a_limit_of_its_own() {
    let (kit, ..) = with_target(10);
    let server = kit.serve("[limits]\nconnections_per_address = 2\n");
    let mut held: Vec<Wire> = (0..2).map(|_| Wire::to(server.plain[0])).collect();
    held.iter_mut().for_each(|wire| assert_eq!(wire.ask("GET", "/healthz", &[]).status, 200));
    assert!(Wire::to(server.plain[0]).is_over());
    drop(held);
    eventually("there is room again", || {
        let mut wire = Wire::to(server.plain[0]);
        wire.0.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n").is_ok()
            && wire.0.read(&mut [0; 8]).is_ok_and(|read| read > 0)
    });
}

#[test]
fn a_server_ends_gracefully() {
    let (kit, path, content) = with_target(32 << 20);
    let server = kit.serve("");
    let address = server.plain[0];
    let mut idle = Wire::to(address);
    assert_eq!(idle.ask("GET", "/healthz", &[]).status, 200);
    let mut polling = Wire::to(address);
    let tag = get(address, "/metadata/timestamp.json").header("etag").to_owned();
    assert_eq!(polling.ask("GET", "/metadata/timestamp.json", &[("If-None-Match", &tag)]).status, 304);
    let mut busy = Wire::to(address);
    busy.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    let mut first = vec![0; 100_000];
    busy.0.read_exact(&mut first).unwrap();
    let ending = std::thread::spawn(move || server.stop());
    assert!(idle.is_over() && polling.is_over());
    let mut rest = Vec::new();
    busy.0.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&content[content.len() - 1000..]), "an answer under way was cut off");
    ending.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn readyz_fails_when_the_timestamp_cannot_be_renewed() {
    let (kit, ..) = with_target(10);
    let server = kit.serve("[timestamp]\nvalidity = \"10s\"\n");
    let ready = || get(server.plain[0], "/readyz").status;
    assert_eq!(ready(), 200);
    let before = get(server.plain[0], "/metadata/timestamp.json");
    // Half of its time goes by: it is renewed.
    kit.clock.set(day(1).plus_seconds(6));
    eventually("it is renewed", || get(server.plain[0], "/metadata/timestamp.json").body != before.body);
    assert_eq!(ready(), 200);
    // The key is gone when the next one is due.
    let key = kit.state().join("keys/timestamp.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    kit.clock.set(day(1).plus_seconds(12));
    eventually("it isn't ready", || ready() == 503);
    assert!(server.ready().unwrap_err().contains("the timestamp can't be renewed"));
    std::fs::write(&key, kept).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    eventually("it is ready again", || ready() == 200);
}

#[test]
fn a_server_without_a_bundle_lives_and_is_not_ready() {
    let kit = Kit::new();
    let server = kit.serve("");
    assert_eq!(get(server.plain[0], "/healthz").status, 200);
    assert_eq!(get(server.plain[0], "/readyz").status, 503);
    assert_eq!(get(server.plain[0], "/metadata/timestamp.json").status, 404);
}

/// Writes a new certificate for localhost, and gives it.
fn certificate(kit: &Kit) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(kit.path("tls.pem"), made.cert.pem()).unwrap();
    std::fs::write(kit.path("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn tls_config(kit: &Kit, more: &str) -> String {
    let path = |name: &str| kit.path(name).to_str().unwrap().to_owned();
    format!(
        "[serve]\ntls = [\"127.0.0.1:0\"]\n[tls]\ncertificate = {:?}\nkey = {:?}\n{more}",
        path("tls.pem"),
        path("tls.key")
    )
}

fn tls_client(trusted: &CertificateDer<'static>, twelve: bool) -> rustls::ClientConfig {
    let versions: &[_] = if twelve { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn ask_tls(address: SocketAddr, config: rustls::ClientConfig, path: &str) -> std::io::Result<Answer> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(address)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(Wire(rustls::StreamOwned::new(session, socket)).ask("GET", path, &[]))
}

#[test]
fn tls_serves_and_a_renewed_certificate_is_taken_up() {
    let (kit, path, content) = with_target(3 << 20);
    let first = certificate(&kit);
    let server = kit.serve(&tls_config(&kit, "reload = \"200ms\"\n"));
    let address = server.tls[0];
    let answer = ask_tls(address, tls_client(&first, false), &path).unwrap();
    assert!(answer.status == 200 && answer.body == content);
    // TLS 1.2 is refused unless it is asked for.
    assert!(ask_tls(address, tls_client(&first, true), "/healthz").is_err());

    // Half a renewal, or a broken one, changes nothing.
    std::fs::write(kit.path("tls.pem"), "no certificate").unwrap();
    assert!(server.reload().is_err());
    assert_eq!(ask_tls(address, tls_client(&first, false), "/healthz").unwrap().status, 200);
    let second = certificate(&kit);
    eventually("the renewed certificate is served", || {
        ask_tls(address, tls_client(&second, false), "/healthz").is_ok_and(|answer| answer.status == 200)
    });
    assert!(ask_tls(address, tls_client(&first, false), "/healthz").is_err());
}

#[test]
fn tls_1_2_is_an_option() {
    let (kit, ..) = with_target(10);
    let trusted = certificate(&kit);
    let server = kit.serve(&tls_config(&kit, "allow_tls12 = true\n"));
    for twelve in [true, false] {
        assert_eq!(ask_tls(server.tls[0], tls_client(&trusted, twelve), "/healthz").unwrap().status, 200);
    }
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_refused_at_the_start() {
    let (kit, ..) = with_target(10);
    certificate(&kit);
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(kit.path("tls.key"), other.serialize_pem()).unwrap();
    let refused = start(&kit.config(&tls_config(&kit, "")), kit.clock.now()).unwrap_err();
    assert!(refused.to_string().contains("can't be used with the key in"), "{refused}");
}

/// Asks for `path` in HTTP/2, by hand: the frames that RFC 9113 asks of a client, and no more. Status and body.
fn ask_h2<S: Read + Write>(mut stream: S, path: &str) -> (u16, Vec<u8>) {
    const SETTINGS: u8 = 4;
    let frame = |kind: u8, flags: u8, id: u8, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, id], payload].concat()
    };
    // :method GET, :scheme http, then :path and :authority as literals with indexed names (RFC 7541 6.2.2).
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x04test");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream.write_all(&frame(1, 0x05, 1, &block)).unwrap();
    stream.flush().unwrap();
    let (mut status, mut body) = (0, Vec::new());
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).unwrap();
        match (head[3], head[4]) {
            (SETTINGS, 0) => {
                stream.write_all(&frame(SETTINGS, 1, 0, &[])).unwrap();
                stream.flush().unwrap();
            }
            // :status 200 and 404 stand in the static table.
            (1, _) => {
                status = [(0x88, 200), (0x8d, 404)].into_iter().find(|known| known.0 == payload[0]).unwrap().1
            }
            (0, _) => body.extend_from_slice(&payload),
            _ => {}
        }
        if head[3] <= 1 && head[4] & 1 == 1 {
            return (status, body);
        }
    }
}

#[test]
fn http_2_is_spoken_by_prior_knowledge_and_by_alpn() {
    let (kit, path, content) = with_target(40_000);
    let trusted = certificate(&kit);
    let server = kit.serve(&tls_config(&kit, ""));
    let plain = || TcpStream::connect(server.plain[0]).unwrap();
    assert!(ask_h2(plain(), &path) == (200, content.clone()));
    assert_eq!(ask_h2(plain(), "/none").0, 404);

    let mut config = tls_client(&trusted, false);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(server.tls[0]).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    assert!(ask_h2(rustls::StreamOwned::new(session, socket), &path) == (200, content));
}

#[test]
fn an_http_2_connection_that_rests_or_takes_nothing_is_closed() {
    let (kit, ..) = with_target(10);
    let server = kit.serve("[limits]\nidle = \"1s\"\n");
    let mut wire = Wire::to(server.plain[0]);
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    wire.0.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    assert!(wire.is_over());
}
