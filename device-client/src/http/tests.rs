//! Hostile and sloppy servers on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// A server that hands each request's header to `answer`, for as long as that says to go on with the connection.
fn server(
    answer: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                while let Some(request) = header(&mut stream) {
                    if !answer(&request, &mut stream) {
                        break;
                    }
                }
            });
        }
    });
    (address, connections)
}

fn header(stream: &mut impl Read) -> Option<String> {
    let mut header = Vec::new();
    let mut byte = [0];
    while !header.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        header.push(byte[0]);
    }
    String::from_utf8(header).ok()
}

/// A server that gives every request one answer.
fn always(answer: &'static str) -> Url {
    at(server(move |_, stream| stream.write_all(answer.as_bytes()).is_ok()).0)
}

fn at(address: SocketAddr) -> Url {
    format!("http://{address}/").parse().unwrap()
}

fn quick() -> HttpLimits {
    HttpLimits {
        connect: Duration::from_secs(20),
        header: Duration::from_secs(20),
        interval: Duration::from_secs(20),
        least_bytes: 1000,
        attempts: 1,
        back_off: Duration::from_millis(1),
    }
}

fn client(limits: HttpLimits) -> HttpClient {
    HttpClient::new(HttpOptions { limits, ..HttpOptions::default() }).unwrap()
}

fn range(url: &Url, from: u64, to: u64) -> Result<Vec<u8>, HttpError> {
    match client(quick()).get(Get { url, span: Span::Range { from, to }, unless: None })? {
        Answer::Body(body) => body.collect(),
        _ => panic!("no body"),
    }
}

fn whole(url: &Url, limit: u64) -> Result<Option<Vec<u8>>, HttpError> {
    client(quick()).get_whole(url, limit)
}

#[test]
fn a_connection_serves_many_requests() {
    let (address, connections) = server(|request, stream| {
        let path = request.split(' ').nth(1).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()).is_ok()
    });
    let client = client(quick());
    for name in ["a", "b c"] {
        let path = client.get_whole(&at(address).file(name), 100).unwrap().unwrap();
        assert_eq!(String::from_utf8(path).unwrap(), format!("/{}", name.replace(' ', "%20")));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_costs_nothing() {
    let (address, connections) = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").unwrap();
        false
    });
    let client = client(quick());
    for _ in 0..3 {
        assert_eq!(client.get_whole(&at(address), 1).unwrap().unwrap(), b"x");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[test]
fn absent_files_are_an_answer_and_other_statuses_errors() {
    for status in ["404 Not Found", "403 Forbidden", "410 Gone"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno\n");
        assert!(whole(&always(answer.leak()), 10).unwrap().is_none());
    }
    let error = whole(&always("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), 10).unwrap_err();
    assert!(matches!(error, HttpError::Status { status: 500, .. }) && error.is_passing(), "{error}");
    let error = whole(&always("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"), 10).unwrap_err();
    assert!(!error.is_passing());
}

#[test]
fn passing_failures_are_tried_again() {
    let asked = AtomicUsize::new(0);
    let (address, _) = server(move |_, stream| {
        let busy = asked.fetch_add(1, Ordering::SeqCst) < 2;
        let answer = if busy {
            "503 Busy\r\nContent-Length: 0\r\n\r\n"
        } else {
            "200 OK\r\nContent-Length: 1\r\n\r\nx"
        };
        write!(stream, "HTTP/1.1 {answer}").is_ok()
    });
    let patient = client(HttpLimits { attempts: 3, ..quick() });
    assert_eq!(patient.get_whole(&at(address), 1).unwrap().unwrap(), b"x");
}

#[test]
fn an_announced_length_past_the_limit_is_refused_at_once() {
    let error = whole(&always("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"), 10).unwrap_err();
    assert!(matches!(error, HttpError::TooLong { limit: 10, .. }), "{error}");
}

#[test]
fn endless_data_ends_at_the_limit() {
    let (address, _) = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        while stream.write_all(b"400\r\n").and_then(|()| stream.write_all(&[b'x'; 1024])).is_ok() {
            if stream.write_all(b"\r\n").is_err() {
                break;
            }
        }
        false
    });
    let error = whole(&at(address), 100_000).unwrap_err();
    assert!(matches!(error, HttpError::TooLong { limit: 100_000, .. }), "{error}");
}

#[test]
fn headers_without_end_end() {
    let (address, _) = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        while stream.write_all(b"X-Padding: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n").is_ok() {}
        false
    });
    assert!(matches!(whole(&at(address), 10).unwrap_err(), HttpError::Broken { .. }));
}

#[test]
fn a_truncated_body_is_no_body() {
    let (address, _) = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
        false
    });
    let error = whole(&at(address), 10).unwrap_err();
    assert!(matches!(error, HttpError::Truncated { got: 4, expected: 10, .. }), "{error}");
}

#[test]
fn a_trickle_is_cut_off() {
    let (address, _) = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").unwrap();
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    });
    let limits = HttpLimits { interval: Duration::from_millis(200), ..quick() };
    let error = client(limits).get_whole(&at(address), 100_000).unwrap_err();
    assert!(matches!(error, HttpError::TooSlow { least: 1000, .. }), "{error}");
}

#[test]
fn silence_is_cut_off() {
    let (address, _) = server(|_, _| true);
    let limits = HttpLimits { header: Duration::from_millis(100), ..quick() };
    let error = client(limits).get_whole(&at(address), 10).unwrap_err();
    assert!(matches!(error, HttpError::TimedOut { what: "answer", .. }), "{error}");
}

#[test]
fn nobody_there() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = whole(&at(address), 10).unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }) && error.is_passing(), "{error}");
}

#[test]
fn an_interrupt_ends_a_wait() {
    let (address, _) = server(|_, _| true);
    let interrupt = Interrupt::default();
    let options = HttpOptions { interrupt: interrupt.clone(), ..HttpOptions::default() };
    let client = HttpClient::new(options).unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        interrupt.turn_on();
    });
    assert!(matches!(client.get_whole(&at(address), 10), Err(HttpError::Interrupted)));
    client.sleep(Duration::from_secs(3600));
}

#[test]
fn a_range_is_exactly_the_range() {
    let (address, _) = server(|request, stream| {
        assert!(request.to_lowercase().contains("\r\nrange: bytes=2-4\r\n"), "{request}");
        stream
            .write_all(b"HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\n234")
            .is_ok()
    });
    assert_eq!(range(&at(address), 2, 5).unwrap(), b"234");
}

#[test]
fn a_whole_file_in_answer_to_a_range_is_cut_right() {
    let whole = always("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    assert_eq!(range(&whole, 2, 5).unwrap(), b"234");
    assert_eq!(range(&whole, 0, 10).unwrap(), b"0123456789");
    assert!(matches!(range(&whole, 2, 11), Err(HttpError::Truncated { .. })));
    let chunked = always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n0\r\n\r\n");
    assert_eq!(range(&chunked, 2, 4).unwrap(), b"23");
    assert!(matches!(range(&chunked, 2, 5), Err(HttpError::Truncated { got: 2, expected: 3, .. })));
}

#[test]
fn another_range_is_refused() {
    for answer in [
        "HTTP/1.1 206 P\r\nContent-Range: bytes 3-5/10\r\nContent-Length: 3\r\n\r\n345",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 2-3/10\r\nContent-Length: 2\r\n\r\n23",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 4\r\n\r\n2345",
        "HTTP/1.1 206 P\r\nContent-Length: 3\r\n\r\n234",
        "HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Length: 3\r\n\r\n--x",
    ] {
        let error = range(&always(answer), 2, 5).unwrap_err();
        assert!(matches!(error, HttpError::WrongRange { .. }), "{answer}: {error}");
    }
    let short = "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/10\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n";
    assert!(matches!(range(&always(short), 2, 5), Err(HttpError::Truncated { .. })));
    let long = "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/10\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n2345\r\n0\r\n\r\n";
    assert!(matches!(range(&always(long), 2, 5), Err(HttpError::TooLong { .. })));
    let part = "HTTP/1.1 206 P\r\nContent-Range: bytes 0-2/10\r\nContent-Length: 3\r\n\r\n012";
    assert!(matches!(whole(&always(part), 10), Err(HttpError::WrongRange { .. })));
}

#[test]
fn an_encoded_body_is_refused() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
    assert!(matches!(whole(&always(answer), 10), Err(HttpError::Encoded { .. })));
}

#[test]
fn redirects_are_followed_a_few_times() {
    let (address, _) = server(|request, stream| {
        let step: u32 = request.split(' ').nth(1).unwrap()[1..].parse().unwrap();
        if step == 0 {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere").is_ok()
        } else {
            let next = step - 1;
            write!(stream, "HTTP/1.1 302 F\r\nLocation: /{next}\r\nContent-Length: 0\r\n\r\n").is_ok()
        }
    });
    assert_eq!(whole(&at(address).file("5"), 10).unwrap().unwrap(), b"here");
    assert!(matches!(whole(&at(address).file("6"), 10), Err(HttpError::Redirect { .. })));
    for odd in [
        "HTTP/1.1 302 F\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert!(matches!(whole(&always(odd), 10), Err(HttpError::Redirect { .. })));
    }
}

#[test]
fn an_unchanged_file_is_an_answer() {
    let (address, _) = server(|request, stream| {
        let answer = if request.to_lowercase().contains("if-none-match: \"v1\"") {
            "304 Not Modified\r\n\r\n"
        } else {
            "200 OK\r\nETag: \"v1\"\r\nContent-Length: 1\r\n\r\nx"
        };
        write!(stream, "HTTP/1.1 {answer}").is_ok()
    });
    let client = client(quick());
    let url = at(address);
    let span = Span::Whole { max_length: 10 };
    let Answer::Body(body) = client.get(Get { url: &url, span, unless: None }).unwrap() else { panic!() };
    let etag = body.etag().unwrap().to_owned();
    body.collect().unwrap();
    let again = client.get(Get { url: &url, span, unless: Some(&etag) }).unwrap();
    assert!(matches!(again, Answer::Unchanged));
}

#[test]
fn plain_requests_go_through_a_proxy_in_absolute_form() {
    let (proxy, _) = server(|request, stream| {
        let line = request.lines().next().unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()).is_ok()
    });
    let variable = |name: &str| (name == "HTTP_PROXY").then(|| format!("http://{proxy}"));
    let proxies = Proxies::from_variables(variable).unwrap();
    let limits = quick();
    let client = HttpClient::new(HttpOptions { limits, proxies, ..HttpOptions::default() }).unwrap();
    let line = client.get_whole(&"http://updates.invalid/x".parse().unwrap(), 200).unwrap().unwrap();
    assert_eq!(String::from_utf8(line).unwrap(), "GET http://updates.invalid/x HTTP/1.1");
}

mod over_tls {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};

    struct Authority(CertifiedIssuer<'static, KeyPair>, tempfile::TempDir);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
            Self(issuer, folder)
        }

        fn roots(&self) -> Roots {
            Roots::File(self.1.path().join("ca.pem"))
        }

        /// A server with a certificate for `name` that answers everything with one byte, and its port.
        fn server(&self, name: &str) -> u16 {
            self.server_that_says(name, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        }

        fn server_that_says(&self, name: &str, answer: &'static str) -> u16 {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
            let chain = vec![CertificateDer::from(certificate)];
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
            let config = Arc::new(config);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                    let mut stream = rustls::Stream::new(&mut tls, &mut stream);
                    while header(&mut stream).is_some() {
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
            port
        }
    }

    fn get(roots: Roots, proxies: Proxies, url: &str) -> Result<Option<Vec<u8>>, HttpError> {
        let options = HttpOptions { limits: quick(), roots, proxies, ..HttpOptions::default() };
        HttpClient::new(options)?.get_whole(&url.parse().unwrap(), 10)
    }

    #[test]
    fn the_right_name_under_the_right_authority_is_believed() {
        let authority = Authority::new();
        let url = format!("https://localhost:{}/", authority.server("localhost"));
        assert_eq!(get(authority.roots(), Proxies::default(), &url).unwrap().unwrap(), b"x");
        let url = format!("https://127.0.0.1:{}/", authority.server("127.0.0.1"));
        assert_eq!(get(authority.roots(), Proxies::default(), &url).unwrap().unwrap(), b"x");
    }

    #[test]
    fn another_name_or_authority_is_not() {
        let authority = Authority::new();
        let wrong_name = format!("https://localhost:{}/", authority.server("other.example"));
        let stranger = format!("https://localhost:{}/", Authority::new().server("localhost"));
        for url in [wrong_name, stranger] {
            let error = get(authority.roots(), Proxies::default(), &url).unwrap_err();
            assert!(matches!(error, HttpError::Tls { .. }) && !error.is_passing(), "{error:?}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = get(Roots::File(path.clone()), Proxies::default(), "http://a/").unwrap_err();
            assert!(matches!(error, HttpError::Roots(_)), "{error:?}");
        }
        let missing = Roots::File(folder.path().join("none"));
        assert!(matches!(get(missing, Proxies::default(), "http://a/"), Err(HttpError::Roots(_))));
    }

    #[test]
    fn a_redirect_leads_to_tls_and_never_back_to_plain_text() {
        let authority = Authority::new();
        let port = authority.server("localhost");
        let (address, _) = server(move |_, stream| {
            let to = format!("https://localhost:{port}/");
            write!(stream, "HTTP/1.1 301 M\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").is_ok()
        });
        let url = at(address).to_string();
        assert_eq!(get(authority.roots(), Proxies::default(), &url).unwrap().unwrap(), b"x");

        let plain = always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
        let back = format!("HTTP/1.1 302 F\r\nLocation: {plain}\r\nContent-Length: 0\r\n\r\n");
        let port = authority.server_that_says("localhost", back.leak());
        let url = format!("https://localhost:{port}/");
        let error = get(authority.roots(), Proxies::default(), &url).unwrap_err();
        assert!(matches!(&error, HttpError::Redirect { why, .. } if why.contains("plain text")), "{error:?}");
    }

    #[test]
    fn a_tunnel_carries_tls_and_a_refusal_is_told() {
        let authority = Authority::new();
        let port = authority.server("localhost");
        let (proxy, _) = server(move |request, stream| {
            assert!(request.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{request}");
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let to = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to_half) = (stream.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to_half));
            let _ = std::io::copy(&mut &to, stream);
            false
        });
        let through = |address: SocketAddr| {
            Proxies::from_variables(|name| (name == "https_proxy").then(|| address.to_string())).unwrap()
        };
        let url = format!("https://localhost:{port}/");
        assert_eq!(get(authority.roots(), through(proxy), &url).unwrap().unwrap(), b"x");

        let (closed, _) = server(|_, stream| {
            stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
            false
        });
        let error = get(authority.roots(), through(closed), &url).unwrap_err();
        assert!(matches!(&error, HttpError::Tunnel { answer, .. } if answer.contains("407")), "{error:?}");
    }
}
