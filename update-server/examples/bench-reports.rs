//! `bench-reports WHAT …`: the load for `tests/bench/reports`. It says how many reports were acknowledged, and in how long.
//!
//! ```text
//! batch ADDRESS DEVICES REPORTS CONNECTIONS SECONDS [FIRST]  lab mode: gateways' batches of 512 queues, round and round the
//!                                                       devices; SECONDS 0: each device once
//! signed ADDRESS CA IDENTITIES CONNECTIONS SECONDS      the same, each queue signed by its device, the gateway one of them
//! single ADDRESS CA IDENTITIES CONNECTIONS SECONDS keep|resume   one report a request over mutual TLS
//! enrol ADDRESS CA MAKER DEVICES IDENTITIES             makes devices with factory certificates of the CA in MAKER, enrols them
//! maker MAKER REQUEST ENROLMENT                         makes a device CA, and the certificate for an enrolment request
//! ```
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a tool for benchmarks: whatever fails ends it")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a tool for benchmarks: it measures and prints"
)]

use base64ct::{Base64, Encoding};
use perennial_schemas::Sha256Digest;
use perennial_schemas::fleet::{DeviceId, Enrolled, Enrolment, Kind, Name, signed_bytes};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Queues of one batch, as many as the format allows.
const QUEUES: u64 = 512;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match args[..] {
        ["batch", address, devices, reports, connections, seconds] => {
            batch(address, number(devices), number(reports), number(connections), number(seconds), 1);
        }
        ["batch", address, devices, reports, connections, seconds, first] => {
            batch(
                address,
                number(devices),
                number(reports),
                number(connections),
                number(seconds),
                number(first),
            );
        }
        ["signed", address, ca, identities, connections, seconds] => {
            signed(address, ca, &read_identities(identities), number(connections), number(seconds));
        }
        ["single", address, ca, identities, connections, seconds, how] => {
            single(
                address,
                ca,
                &read_identities(identities),
                number(connections),
                number(seconds),
                how == "keep",
            );
        }
        ["enrol", address, ca, maker, devices, identities] => {
            enrol(address, ca, Path::new(maker), number(devices), identities);
        }
        ["maker", maker, request, enrolment] => make(Path::new(maker), request, enrolment),
        _ => panic!("usage: bench-reports batch|signed|single|enrol|maker …, see its source"),
    }
}

/// Runs `work` on so many threads until `seconds` are over (0: until it says that it has no more), and prints how many
/// reports it counted.
fn measure(threads: u64, seconds: u64, work: impl Fn(u64, &dyn Fn() -> bool, &AtomicU64) + Sync) {
    let (count, began) = (AtomicU64::new(0), Instant::now());
    let over = || seconds > 0 && began.elapsed() >= Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (work, over, count) = (&work, &over, &count);
            scope.spawn(move || work(thread, over, count));
        }
    });
    let (count, took) = (count.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
    println!("{count} reports in {took:.3} s: {:.0} /s", count as f64 / took);
}

/// A device's queue, as the text that is signed: sequences from `first` on.
fn queue(out: &mut String, device: &str, first: u64, reports: u64, quote: &str) {
    let q = quote;
    let _ = write!(
        out,
        "{{{q}format{q}:{q}perennial.reports/1{q},{q}requires{q}:[],{q}device{q}:{q}{device}{q},{q}reports{q}:["
    );
    for sequence in first..first + reports {
        let comma = if sequence > first { "," } else { "" };
        let _ = write!(
            out,
            "{comma}{{{q}format{q}:{q}perennial.report/1{q},{q}requires{q}:[],{q}device{q}:{q}{device}{q},{q}sequence{q}:{sequence},\
             {q}at{q}:{q}2026-11-22T10:00:00Z{q},{q}product{q}:{q}thermostat{q},{q}hardware{q}:{q}revC{q},{q}version{q}:{q}2.1.0{q},\
             {q}manifest{q}:{q}abababababababababababababababababababababababababababababababab{q},{q}outcome{q}:{q}confirmed{q}}}"
        );
    }
    out.push_str("]}");
}

fn id(number: u64) -> String {
    // Spread over the key space, as digests are.
    format!("{:016x}{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number)
}

fn batch(address: &str, devices: u64, reports: u64, connections: u64, seconds: u64, first: u64) {
    // Each connection has devices of its own, as a gateway has.
    let each = devices / connections;
    measure(connections, seconds, |thread, over, count| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut wire = Wire::default();
        let (mut at, mut sequence) = (0, first);
        let mut body = String::new();
        while !over() {
            if at >= each {
                (at, sequence) = (0, sequence + reports);
                if seconds == 0 {
                    return;
                }
            }
            let queues = QUEUES.min(each - at);
            body.clear();
            body.push_str("{\"format\":\"perennial.report-batch/1\",\"requires\":[],\"queues\":[");
            for number in at..at + queues {
                body.push_str(if number > at { ",{\"reports\":\"" } else { "{\"reports\":\"" });
                queue(&mut body, &id(thread * each + number), sequence, reports, "\\\"");
                body.push_str("\"}");
            }
            body.push_str("]}");
            let answer = wire.ask(&mut stream, "POST", "/v1/reports/batch", body.as_bytes());
            let told = answer.matches("\"acknowledged\":").count() as u64;
            assert_eq!(told, queues, "{}", &answer[..answer.len().min(400)]);
            count.fetch_add(told * reports, Ordering::Relaxed);
            at += queues;
        }
    });
}

/// One device with its fleet certificate.
struct Identity {
    device: String,
    key: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
}

fn signed(address: &str, ca: &str, identities: &[Identity], connections: u64, seconds: u64) {
    let each = identities.len() as u64 / connections;
    let random = SystemRandom::new();
    let round = first_sequence();
    measure(connections, seconds, |thread, over, count| {
        let own = &identities[(thread * each) as usize..((thread + 1) * each) as usize];
        let mut stream = connect(address, &client(ca, Some(&own[0])));
        let mut wire = Wire::default();
        let pairs: Vec<EcdsaKeyPair> = own.iter().map(|one| pair(&one.key, &random)).collect();
        let (mut at, mut sequence) = (0, round);
        while !over() {
            let end = (at + QUEUES as usize).min(own.len());
            let mut body =
                String::from("{\"format\":\"perennial.report-batch/1\",\"requires\":[],\"queues\":[");
            for number in at..end {
                let mut text = String::new();
                queue(&mut text, &own[number].device, sequence, 3, "\"");
                let signature = pairs[number].sign(&random, &signed_bytes(&text)).expect("a signature");
                let chain: Vec<String> =
                    own[number].chain.iter().map(|one| Base64::encode_string(one)).collect();
                let signature = Base64::encode_string(signature.as_ref());
                let comma = if number > at { "," } else { "" };
                let text = serde_json::to_string(&text).expect("a text");
                let chain = serde_json::to_string(&chain).expect("texts");
                let _ = write!(
                    body,
                    "{comma}{{\"chain\":{chain},\"reports\":{text},\"signature\":\"{signature}\"}}"
                );
            }
            body.push_str("]}");
            let answer = wire.ask(&mut stream, "POST", "/v1/reports/batch", body.as_bytes());
            let told = answer.matches("\"acknowledged\":").count();
            assert_eq!(told, end - at, "{}", &answer[..answer.len().min(400)]);
            count.fetch_add(told as u64 * 3, Ordering::Relaxed);
            at = end;
            if at == own.len() {
                (at, sequence) = (0, sequence + 3);
            }
        }
    });
}

fn single(address: &str, ca: &str, identities: &[Identity], connections: u64, seconds: u64, keep: bool) {
    let round = first_sequence();
    measure(connections, seconds, |thread, over, count| {
        let identity = &identities[thread as usize];
        let config = client(ca, Some(identity));
        let mut stream = connect(address, &config);
        let mut wire = Wire::default();
        let mut sequence = round;
        while !over() {
            let mut body = String::new();
            queue(&mut body, &identity.device, sequence, 1, "\"");
            let answer = wire.ask(&mut stream, "POST", "/v1/reports", body.as_bytes());
            assert!(answer.contains("\"acknowledged\":"), "{answer}");
            count.fetch_add(1, Ordering::Relaxed);
            sequence += 1;
            if !keep {
                stream = connect(address, &config);
            }
        }
    });
}

/// Sequences rise from run to run.
fn first_sequence() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis() as u64
}

fn pair(key: &[u8], random: &SystemRandom) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key, random).expect("a key")
}

fn make(maker: &Path, request: &str, enrolment: &str) {
    std::fs::create_dir_all(maker).expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let params = ca("Bench device CA", IsCa::Ca(BasicConstraints::Constrained(1)));
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(maker.join("ca.pem"), certificate.pem()).expect("a file");
    std::fs::write(maker.join("ca.key"), key.serialize_der()).expect("a file");
    let request = std::fs::read_to_string(request).expect("the request");
    let mut request = CertificateSigningRequestParams::from_pem(&request).expect("a request");
    request.params = ca("Bench enrolment CA", IsCa::Ca(BasicConstraints::Constrained(0)));
    let made = request.signed_by(&Issuer::new(params, key)).expect("a certificate");
    std::fs::write(enrolment, made.pem()).expect("a file");
}

fn ca(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = is_ca;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2060, 1, 1));
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn enrol(address: &str, server_ca: &str, maker: &Path, devices: u64, identities: &str) {
    let key = std::fs::read(maker.join("ca.key")).expect("the CA's key");
    let key = KeyPair::try_from(key).expect("a key");
    let issuer = Issuer::new(ca("Bench device CA", IsCa::Ca(BasicConstraints::Constrained(1))), key);
    let mut lines = String::new();
    let began = Instant::now();
    for _ in 0..devices {
        let factory = KeyPair::generate().expect("a key");
        let spki = factory.subject_public_key_info();
        let digest = ring::digest::digest(&ring::digest::SHA256, &spki);
        let name = Name {
            device: DeviceId::of_key(&Sha256Digest(digest.as_ref().try_into().expect("32 bytes"))),
            product: "thermostat".parse().expect("a name"),
            hardware: "revC".parse().expect("a name"),
            labels: [].into(),
            kind: Kind::Factory,
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name.device.as_str());
        params.subject_alt_names =
            name.to_uris().iter().map(|uri| SanType::URI(uri.as_str().try_into().expect("a URI"))).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2060, 1, 1));
        let certificate = params.signed_by(&factory, &issuer).expect("a certificate");
        let own = Identity {
            device: name.device.to_string(),
            key: factory.serialize_der(),
            chain: vec![certificate.der().clone()],
        };
        let fleet = KeyPair::generate().expect("a key");
        let request = CertificateParams::default()
            .serialize_request(&fleet)
            .and_then(|it| it.pem())
            .expect("a request");
        let body = serde_json::to_string(&Enrolment::new(request)).expect("a text");
        let mut stream = connect(address, &client(server_ca, Some(&own)));
        let answer = Wire::default().ask(&mut stream, "POST", "/v1/enrol", body.as_bytes());
        let enrolled: Enrolled = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
        let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(enrolled.chain.as_bytes())
            .collect::<Result<_, _>>()
            .expect("a chain");
        let chain: Vec<String> = chain.iter().map(|one| Base64::encode_string(one)).collect();
        let _ = writeln!(
            lines,
            "{} {} {}",
            name.device,
            Base64::encode_string(&fleet.serialize_der()),
            chain.join(" ")
        );
    }
    std::fs::write(identities, lines).expect("a file");
    println!("{devices} devices enrolled in {:.3} s", began.elapsed().as_secs_f64());
}

fn read_identities(path: &str) -> Vec<Identity> {
    let text = std::fs::read_to_string(path).expect("identities");
    let decode = |text: &str| Base64::decode_vec(text).expect("base64");
    text.lines()
        .map(|line| {
            let mut parts = line.split(' ');
            let device = parts.next().expect("an id").to_owned();
            let key = decode(parts.next().expect("a key"));
            Identity { device, key, chain: parts.map(|part| decode(part).into()).collect() }
        })
        .collect()
}

fn client(ca: &str, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("the server's certificate")).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => {
            let key = PrivateKeyDer::try_from(identity.key.clone()).expect("a key");
            builder.with_client_auth_cert(identity.chain.clone(), key).expect("a certificate")
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(4);
    Arc::new(config)
}

fn connect(address: &str, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).expect("a session");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    StreamOwned::new(session, stream)
}

/// HTTP/1.1 by hand.
#[derive(Default)]
struct Wire {
    buffer: Vec<u8>,
}

impl Wire {
    /// Sends a request and gives the answer's body; any status but 200 ends the benchmark.
    fn ask(&mut self, stream: &mut (impl Read + Write), method: &str, path: &str, body: &[u8]) -> String {
        self.buffer.clear();
        let _ = write!(
            self.buffer,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.buffer.extend_from_slice(body);
        stream.write_all(&self.buffer).expect("the request is sent");
        stream.flush().expect("the request is sent");
        self.buffer.clear();
        let mut piece = [0; 16 << 10];
        loop {
            let read = stream.read(&mut piece).expect("an answer");
            assert!(read > 0, "the server ended the connection");
            self.buffer.extend_from_slice(&piece[..read]);
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            let whole = end + 4 + length.parse::<usize>().expect("a length");
            while self.buffer.len() < whole {
                let read = stream.read(&mut piece).expect("an answer");
                assert!(read > 0, "the server ended the connection");
                self.buffer.extend_from_slice(&piece[..read]);
            }
            let text = String::from_utf8(self.buffer[end + 4..whole].to_vec()).expect("text");
            assert!(head.starts_with("http/1.1 200"), "{head}: {text}");
            return text;
        }
    }
}
