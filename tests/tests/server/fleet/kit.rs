//! A maker's device CA, devices with keys and certificates, and connections that show them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use perennial_schemas::fleet::{DeviceId, Enrolled, Enrolment, Kind, Name, signed_bytes};
use perennial_schemas::{Digest as _, Document, Timestamp};
use perennial_server::server::Running;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SigningKey,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};

use crate::server::kit::{Answer, Kit, Wire};

pub(super) type Tls = Wire<StreamOwned<ClientConnection, TcpStream>>;

/// A server's state, the maker whose devices it hears, and its own certificate.
pub(super) struct Fleet {
    pub(super) kit: Kit,
    pub(super) ca: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A key with its certificate chain.
pub(super) struct Unit {
    pub(super) key: KeyPair,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) device: DeviceId,
    /// For its next check-in.
    pub(super) ticket: String,
}

pub(super) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2070, 1, 1));
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

impl Fleet {
    pub(super) fn new() -> Self {
        Self::over(Kit::new())
    }

    /// At the time that it is now, for programs that ask the system for the time.
    pub(super) fn live() -> Self {
        Self::over(Kit::live())
    }

    fn over(kit: Kit) -> Self {
        let (key, params) = (KeyPair::generate().unwrap(), ca_params("Example device CA"));
        let text = params.self_signed(&key).unwrap().pem();
        std::fs::write(kit.path("ca.pem"), text).unwrap();
        let ca = Issuer::new(params, key);
        let request = std::fs::read_to_string(kit.state().join("keys/enrolment.csr.pem")).unwrap();
        let mut request = CertificateSigningRequestParams::from_pem(&request).unwrap();
        request.params = ca_params("Example enrolment CA");
        request.params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        std::fs::write(kit.path("enrolment.pem"), request.signed_by(&ca).unwrap().pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(kit.path("tls.pem"), certificate.pem()).unwrap();
        std::fs::write(kit.path("tls.key"), key.serialize_pem()).unwrap();
        Self { kit, ca, certificate: certificate.der().clone() }
    }

    /// The configuration with the fleet plane on free ports, `more` in `[fleet]`, and other tables.
    pub(super) fn toml(&self, more: &str, tables: &str) -> String {
        let path = |name: &str| format!("{:?}", self.kit.path(name).to_str().unwrap());
        format!(
            "[tls]\ncertificate = {}\nkey = {}\nreload = \"1s\"\n[fleet]\ntls = [\"127.0.0.1:0\"]\nca = {}\n\
             enrolment_certificate = {}\nrate = 1000\nburst = 1000\n{more}\n{tables}\n",
            path("tls.pem"),
            path("tls.key"),
            path("ca.pem"),
            path("enrolment.pem"),
        )
    }

    pub(super) fn serve(&self, more: &str, tables: &str) -> Running {
        self.kit.serve(&self.toml(more, tables))
    }

    /// A device with a factory certificate, bent by `change`.
    pub(super) fn made(&self, change: impl FnOnce(&mut CertificateParams)) -> Unit {
        self.made_of(KeyPair::generate().unwrap(), change)
    }

    /// The same, of a key that is there.
    pub(super) fn made_of(&self, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Unit {
        let digest = perennial_device_core::crypto::Ring.sha256(&key.subject_public_key_info());
        let device = DeviceId::of_key(&digest);
        let name = Name {
            device: device.clone(),
            product: "thermostat".parse().unwrap(),
            hardware: "revC".parse().unwrap(),
            labels: ["ring=canary".parse().unwrap()].into(),
            kind: Kind::Factory,
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(device.as_str());
        params.subject_alt_names =
            name.to_uris().iter().map(|uri| SanType::URI(uri.as_str().try_into().unwrap())).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2021, 1, 1), date_time_ymd(2060, 1, 1));
        change(&mut params);
        let chain = vec![params.signed_by(&key, &self.ca).unwrap().der().clone()];
        Unit { key, chain, device, ticket: String::new() }
    }

    /// Writes a device's certificates and its key into files, for other programs.
    pub(super) fn write(&self, unit: &Unit) -> [std::path::PathBuf; 2] {
        let [chain, key] = ["pem", "key"].map(|kind| self.kit.path(&format!("{}.{kind}", unit.device)));
        let pem = |der: &CertificateDer<'_>| {
            let lines = Base64::encode_string(der);
            format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
        };
        std::fs::write(&chain, unit.chain.iter().map(pem).collect::<String>()).unwrap();
        std::fs::write(&key, unit.key.serialize_pem()).unwrap();
        [chain, key]
    }

    pub(super) fn factory(&self) -> Unit {
        self.made(|_| {})
    }

    /// A device that has enrolled.
    pub(super) fn enrolled(&self, server: &Running) -> Unit {
        self.enrol(server, &self.factory()).unwrap()
    }

    /// Enrols with a certificate, or renews it.
    pub(super) fn enrol(&self, server: &Running, unit: &Unit) -> Result<Unit, Value> {
        self.enrol_by(self.connect(server, unit))
    }

    /// The same on a connection that is there.
    pub(super) fn enrol_by(&self, mut wire: Tls) -> Result<Unit, Value> {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let body = serde_json::to_vec(&Enrolment::new(request)).unwrap();
        let answer = wire.ask_with("POST", "/v1/enrol", &[], &body);
        if answer.status != 200 {
            return Err(answer.json());
        }
        let enrolled = Enrolled::parse(&answer.body).unwrap();
        let chain = CertificateDer::pem_slice_iter(enrolled.chain.as_bytes());
        let chain = chain.collect::<Result<_, _>>().unwrap();
        Ok(Unit { key, chain, device: enrolled.device, ticket: enrolled.ticket.to_string() })
    }

    pub(super) fn connect(&self, server: &Running, unit: &Unit) -> Tls {
        self.connect_to(server.fleet_tls[0], Some(unit), &rustls::version::TLS13)
    }

    pub(super) fn connect_to(
        &self,
        address: SocketAddr,
        unit: Option<&Unit>,
        version: &'static SupportedProtocolVersion,
    ) -> Tls {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        self.connect_over(stream, unit, version)
    }

    pub(super) fn connect_over(
        &self,
        stream: TcpStream,
        unit: Option<&Unit>,
        version: &'static SupportedProtocolVersion,
    ) -> Tls {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match unit {
            Some(unit) => {
                let key = PrivateKeyDer::try_from(unit.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(unit.chain.clone(), key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        Wire(StreamOwned::new(session, stream))
    }

    pub(super) fn report(&self, server: &Running, unit: &Unit, sequences: &[u64]) -> Answer {
        let body = self.queue(&unit.device, sequences).to_string();
        self.connect(server, unit).ask_with("POST", "/v1/reports", &[], body.as_bytes())
    }

    pub(super) fn queue(&self, device: &DeviceId, sequences: &[u64]) -> Value {
        queue(device, sequences, (self.kit.clock.now())())
    }
}

pub(super) fn queue(device: &DeviceId, sequences: &[u64], at: Timestamp) -> Value {
    let one = |sequence: &u64| {
        json!({
            "format": "perennial.report/1", "requires": [], "device": device, "sequence": sequence, "at": at,
            "product": "thermostat", "hardware": "revC", "version": "2.1.0", "manifest": "ab".repeat(32),
            "outcome": "confirmed",
        })
    };
    let reports: Vec<Value> = sequences.iter().map(one).collect();
    json!({ "format": "perennial.reports/1", "requires": [], "device": device, "reports": reports })
}

pub(super) fn check_in(at: Timestamp, ticket: Option<&str>) -> Vec<u8> {
    let mut said = json!({
        "format": "perennial.check-in/1", "requires": [], "at": at, "product": "thermostat", "hardware": "revC",
        "channel": "stable", "version": "2.1.0", "security_version": 3, "agent": "perennial-device 0.1.0",
        "attributes": { "region": "north" },
    });
    if let Some(ticket) = ticket {
        said["ticket"] = ticket.into();
    }
    said.to_string().into_bytes()
}

/// A queue of a gateway's batch, signed by `unit`.
pub(super) fn signed(unit: &Unit, text: &str) -> Value {
    let signature = Base64::encode_string(&unit.key.sign(&signed_bytes(text)).unwrap());
    let chain: Vec<String> = unit.chain.iter().map(|one| Base64::encode_string(one)).collect();
    json!({ "chain": chain, "reports": text, "signature": signature })
}

pub(super) fn batch(queues: &[Value]) -> Vec<u8> {
    json!({ "format": "perennial.report-batch/1", "requires": [], "queues": queues }).to_string().into_bytes()
}

impl<S: Read + Write> Wire<S> {
    pub(super) fn ask_with(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{fields}\r\n",
            body.len()
        );
        self.0.write_all(&[head.as_bytes(), body].concat()).unwrap();
        self.0.flush().unwrap();
        self.read(false)
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of a refusal, which has an error, a hint and its status.
    pub(super) fn code(&self) -> (u16, String) {
        let body = self.json();
        let refusal = perennial_schemas::fleet::Refusal::parse(&self.body).unwrap();
        assert!(!refusal.error.is_empty() && !refusal.hint.is_empty(), "{body}");
        assert_eq!(self.status, refusal.code.status(), "{body}");
        (self.status, body["code"].as_str().unwrap().to_owned())
    }
}
