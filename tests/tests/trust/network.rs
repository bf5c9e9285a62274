//! Attacks by whoever answers on the network, through the agent's HTTP adapter: endless data, slow retrieval, an answer
//! that breaks off. The server is real, on loopback, and ends when the client has had enough.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use perennial_device::http::{HttpClient, HttpError, HttpLimits, HttpOptions, Url};
use perennial_device_core::trust::{DriveError, FetchError, MetadataSource, Request};

use super::settled;

/// Metadata by the agent's adapter.
struct Network {
    client: HttpClient,
    base: Url,
}

impl Network {
    fn new(base: Url, limits: HttpLimits) -> Self {
        let limits = HttpLimits { attempts: 1, ..limits };
        Self { client: HttpClient::new(HttpOptions { limits, ..HttpOptions::default() }).unwrap(), base }
    }
}

impl MetadataSource for Network {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        self.client.get_whole(&self.base.escaped(&request.path), request.max_length).map_err(|error| {
            match error {
                HttpError::TooLong { limit, .. } => FetchError::TooLong { limit },
                error => FetchError::Failed(Box::new(error)),
            }
        })
    }
}

/// A server that answers one request with `answer`, which writes until it has enough or nobody reads.
fn server(answer: impl FnOnce(&mut TcpStream) -> std::io::Result<()> + Send + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metadata/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 4096];
        let _ = stream.read(&mut request)?;
        answer(&mut stream)
    });
    url.parse().unwrap()
}

fn cause(error: DriveError) -> String {
    let DriveError::Fetch { source, .. } = error else { panic!("no failure of the network: {error}") };
    let causes = std::iter::successors(Some(&source as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn endless_data() {
    let (_, mut device) = settled();
    let before = device.store.clone();
    let url = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[b' '; 64 * 1024])?;
        }
    });
    let error = device.refresh(&mut Network::new(url, HttpLimits::default())).unwrap_err();
    assert!(cause(error).contains("longer than the limit of 524288 bytes"));
    assert_eq!(device.store, before);
}

#[test]
fn slow_retrieval() {
    let (_, mut device) = settled();
    let before = device.store.clone();
    let url = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        loop {
            stream.write_all(b" ")?;
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    // A byte now and then is not a million in a fifth of a second, however fast or slow this machine is.
    let limits =
        HttpLimits { interval: Duration::from_millis(200), least_bytes: 1_000_000, ..HttpLimits::default() };
    let error = device.refresh(&mut Network::new(url, limits)).unwrap_err();
    let cause = cause(error);
    assert!(cause.contains("slow"), "{cause}");
    assert_eq!(device.store, before);
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_the_end_of_the_roots() {
    let (_, mut device) = settled();
    let before = device.store.clone();
    let url = server(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"));
    device.refresh(&mut Network::new(url, HttpLimits::default())).unwrap_err();
    assert_eq!(device.store, before);
}

#[test]
fn a_failing_server_is_not_taken_for_the_end_of_the_roots() {
    let (_, mut device) = settled();
    let before = device.store.clone();
    let url = server(|stream| stream.write_all(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"));
    let error = device.refresh(&mut Network::new(url, HttpLimits::default())).unwrap_err();
    assert!(matches!(error, DriveError::Fetch { ref file, .. } if file == "2.root.json"), "{error}");
    assert_eq!(device.store, before);
}
