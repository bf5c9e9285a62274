//! Updates over the network: servers that are sloppy, hostile, absent or somebody else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use perennial_tests::maker::{Maker, image};

use super::kit::Device;

const LENGTH: usize = 1_500_000;

/// What a server does with a target; metadata is always served well.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers ranges.
    Well,
    /// Sends the whole file to whoever asks for a part.
    IgnoresRanges,
    /// Breaks off after so many bytes, each time.
    BreaksOff(usize),
    /// Sends the part before the one that was asked for.
    SendsAnotherPart,
    /// Sends one byte more than it announces, and never stops.
    NeverStops,
    /// Sends everybody in circles.
    Circles,
}

fn server(files: BTreeMap<String, Vec<u8>>, manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, files) = (stream.unwrap(), Arc::clone(&files));
            std::thread::spawn(move || answer(stream, &files, manner));
        }
    });
    url
}

/// Answers one request. A device that hangs up is no matter.
fn answer(mut stream: TcpStream, files: &BTreeMap<String, Vec<u8>>, manner: Manner) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let header: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = header.first()?.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let Some(file) = files.get(&path) else {
        return stream.write_all(b"HTTP/1.1 404 N\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
    };
    let range =
        header.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let range = range.and_then(|range| {
        let (from, last) = range.split_once('-')?;
        Some(from.parse::<usize>().ok()?..last.parse::<usize>().ok()? + 1)
    });
    let (manner, whole) = (if path.starts_with("targets/") { manner } else { Manner::Well }, 0..file.len());
    let plain = |range: &std::ops::Range<usize>| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", range.len())
    };
    let part = |range: &std::ops::Range<usize>| {
        let (from, last, all, length) = (range.start, range.end - 1, file.len(), range.len());
        format!(
            "HTTP/1.1 206 P\r\nContent-Range: bytes {from}-{last}/{all}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
    };
    let (head, range, cut) = match (manner, range) {
        (Manner::Circles, _) => {
            (format!("HTTP/1.1 302 F\r\nLocation: /{path}\r\nContent-Length: 0\r\n\r\n"), 0..0, usize::MAX)
        }
        (Manner::NeverStops, _) => ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".into(), whole, usize::MAX),
        (Manner::IgnoresRanges, _) | (_, None) => (plain(&whole), whole, usize::MAX),
        (Manner::SendsAnotherPart, Some(range)) => {
            let other = range.start.saturating_sub(1)..range.end - 1;
            (part(&other), other, usize::MAX)
        }
        (Manner::BreaksOff(after), Some(range)) => (part(&range), range, after),
        (Manner::Well, Some(range)) => (part(&range), range, usize::MAX),
    };
    stream.write_all(head.as_bytes()).ok()?;
    let bytes = &file[range];
    stream.write_all(&bytes[..bytes.len().min(cut)]).ok()?;
    if matches!(manner, Manner::NeverStops) {
        loop {
            stream.write_all(&[7; 4096]).ok()?;
        }
    }
    Some(())
}

fn device(manner: Manner) -> (Device, Vec<u8>) {
    let image = image("GOOD 1", LENGTH);
    let maker = Maker::of(std::slice::from_ref(&image));
    let device = Device::new(&maker, &server(maker.files(), manner));
    (device, image)
}

#[test]
fn servers_that_are_only_sloppy_are_good_enough() {
    for manner in [Manner::Well, Manner::IgnoresRanges, Manner::BreaksOff(100_000)] {
        for staging in ["true", "false"] {
            let (device, image) = device(manner);
            device.configure(|text| text.replace("staging = true", &format!("staging = {staging}")));
            device.run(&["update"]).ok();
            assert_eq!(device.slot("b"), image);
        }
    }
}

#[test]
fn servers_that_send_something_else_are_refused() {
    for manner in [Manner::SendsAnotherPart, Manner::NeverStops, Manner::Circles, Manner::BreaksOff(0)] {
        let (device, _) = device(manner);
        let before = device.durable();
        let (what, hint) = device.run(&["update"]).refused(1);
        assert!(what.contains("127.0.0.1"), "{what}");
        assert!(hint.starts_with("try again later"), "{hint}");
        // The floors are what good metadata said; nothing else has changed.
        let after = device.durable();
        assert_eq!(before[..5], after[..5]);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_in_two_lines() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let device = Device::new(&maker, &format!("http://{address}"));
    let before = device.durable();
    for command in ["check", "update"] {
        let (what, hint) = device.run(&[command]).refused(1);
        assert!(what.contains(&format!("{address} can't be reached")), "{what}");
        assert_eq!(hint, "check the network and `server` in the configuration, then try again");
    }
    assert_eq!(device.durable(), before);
}

#[test]
fn a_server_is_believed_under_its_authority_and_name_alone() {
    use perennial_tests::simulator::day;
    let tls = tls::Authority::new();
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let url = tls.serve(maker.files(), "localhost");
    let device = Device::new(&maker, &url);
    let trust =
        |authority: &tls::Authority| {
            let ca = authority.file();
            device.configure(|text| {
                let lines = text.lines().filter(|line| !line.starts_with("ca = "));
                lines
                    .map(|line| {
                        if line.starts_with("#ca = ") { format!("{line}\nca = {ca:?}") } else { line.into() }
                    })
                    .collect::<Vec<_>>()
                    .join("\n")
            });
        };
    let stranger = tls::Authority::new();
    trust(&stranger);
    let (what, _) = device.run(&["check"]).refused(1);
    assert!(what.contains("can't prove who it is") && what.contains("invalid peer certificate"), "{what}");
    trust(&tls);
    device.run(&["check"]).ends(10);
    device.serve_from(&tls.serve(maker.files(), "other.example"));
    let (what, _) = device.run(&["check"]).refused(1);
    assert!(what.contains("not valid for name"), "{what}");
    assert_eq!(device.clock, day(1));
}

mod tls {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>, tempfile::TempDir);

    impl Authority {
        pub(super) fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
            Self(issuer, folder)
        }

        pub(super) fn file(&self) -> String {
            self.1.path().join("ca.pem").display().to_string()
        }

        /// Serves files over TLS with a certificate for `name`, at localhost.
        pub(super) fn serve(&self, files: BTreeMap<String, Vec<u8>>, name: &str) -> String {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
            let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.into()], key)
                .unwrap();
            let (config, files) = (Arc::new(config), Arc::new(files));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                    let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
                    while let Some(path) = request(&mut stream) {
                        let (status, body) = match files.get(&path) {
                            Some(body) => ("200 OK", body.as_slice()),
                            None => ("404 Not Found", b"".as_slice()),
                        };
                        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
                        if stream.write_all(&[head.as_bytes(), body].concat()).is_err() {
                            break;
                        }
                    }
                }
            });
            format!("https://localhost:{port}")
        }
    }

    fn request(stream: &mut impl std::io::Read) -> Option<String> {
        let mut header = Vec::new();
        let mut byte = [0];
        while !header.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            header.push(byte[0]);
        }
        let header = String::from_utf8(header).ok()?;
        Some(header.split(' ').nth(1)?.trim_start_matches('/').to_owned())
    }
}
