use std::fmt::Write as _;
use std::path::PathBuf;

use p256::elliptic_curve::PrimeField as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use perennial_guess::Guessable;
use perennial_schemas::fleet::{DeviceId, Kind};
use perennial_schemas::{Digest as _, Timestamp};
use rcgen::{
    CertificateParams, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData as _,
};
use ring::signature::Ed25519KeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;
use x509_parser::prelude::FromDer as _;

use super::issue::{Batch, Order, Stage, issue};
use super::profile::{self, Life};
use super::request::{read_at_most, read_requests};
use super::revoke::{Reason, revoke, serials_of};
use super::show::read_pem;
use super::{Authority, DeviceCaError, authority, enrolment, ledger};
use crate::crypto::Ring;
use crate::files;
use crate::keys::{KeyError, Passphrase};

/// 2026-11-21T00:00:00Z
fn now() -> Timestamp {
    Timestamp::from_unix(1_795_219_200)
}

/// A CA whose key lies there plain, since a passphrase costs a second.
struct Vault {
    folder: tempfile::TempDir,
    authority: Authority,
    guessable: Guessable,
}

impl Vault {
    fn new() -> Self {
        Self::knowing(&[])
    }

    fn knowing(serials: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("ca");
        let pair = KeyPair::generate().unwrap();
        let certificate = profile::authority("Example", Life::years(now(), 30)).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap();
        files::create_secret(&authority::key_path(&dir), &pair.serialize_der()).unwrap();
        files::write(&authority::certificate_path(&dir), certificate.pem().as_bytes()).unwrap();
        let authority = Authority::open(&dir, |_| Err(KeyError::Failed("asked".into()))).unwrap();
        let serials = serials.iter().map(|serial| (*serial).to_owned()).collect();
        Self { folder, authority, guessable: Guessable::new(serials, &mut |_| ()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        files::write(&self.path(name), text.as_bytes()).unwrap();
        self.path(name)
    }

    fn issue(&self, requests: &str, out: &str) -> Result<Batch, DeviceCaError> {
        let requests = self.write("requests.pem", requests);
        let out = self.path(out);
        issue(&self.authority, &requests, &order(), &self.guessable, &out, now(), &mut |_| ())
    }

    /// What is said of a batch that is refused, of which then nothing is anywhere.
    fn refused(&self, requests: &str) -> String {
        let before = files::read_if_there(&ledger::issued_path(self.authority.dir()), 1 << 30).unwrap();
        let error = self.issue(requests, "refused.pem").unwrap_err();
        assert!(!files::exists(&self.path("refused.pem")) && !files::exists(&self.path("refused.pem.part")));
        let after = files::read_if_there(&ledger::issued_path(self.authority.dir()), 1 << 30).unwrap();
        assert_eq!(before, after);
        error.to_string()
    }
}

fn order() -> Order {
    Order {
        product: "thermostat".parse().unwrap(),
        hardware: "revC".parse().unwrap(),
        labels: ["ring=canary".parse().unwrap()].into(),
        years: 20,
    }
}

fn request(pair: &KeyPair) -> String {
    CertificateParams::default().serialize_request(pair).unwrap().pem().unwrap()
}

fn pair() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// A P-256 key with this private half, as PKCS#8.
fn p256_of(secret: [u8; 32]) -> KeyPair {
    let scalar = p256::Scalar::from_repr(secret.into()).unwrap();
    let point = (p256::ProjectivePoint::GENERATOR * scalar).to_affine();
    let hex = |text: &str| perennial_schemas::digest::decode_hex(text).unwrap();
    let der = [
        hex("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420"),
        secret.to_vec(),
        hex("a14403420004"),
        point.x().to_vec(),
        point.y().to_vec(),
    ]
    .concat();
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).unwrap()
}

fn ed25519_of(seed: [u8; 32]) -> KeyPair {
    let prefix = perennial_schemas::digest::decode_hex("302e020100300506032b657004220420").unwrap();
    let der = [prefix.as_slice(), &seed].concat();
    assert!(Ed25519KeyPair::from_seed_unchecked(&seed).is_ok());
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).unwrap()
}

fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut secret = [0; 32];
    secret[32 - bytes.len()..].copy_from_slice(bytes);
    secret
}

#[test]
fn thousands_of_requests_get_their_certificates_in_their_order() {
    const COUNT: usize = 2_000;
    let vault = Vault::new();
    let pairs: Vec<KeyPair> = (0..COUNT)
        .map(|n| if n % 7 == 0 { KeyPair::generate_for(&PKCS_ED25519).unwrap() } else { pair() })
        .collect();
    let text: String = pairs.iter().map(request).collect();
    let requests = vault.write("requests.pem", &text);
    let (out, mut stages) = (vault.path("certificates.pem"), Vec::new());
    let guessable = &vault.guessable;
    let batch =
        issue(&vault.authority, &requests, &order(), guessable, &out, now(), &mut |stage| stages.push(stage));
    let batch = batch.unwrap();
    assert_eq!(batch.until.to_string(), "2046-11-21T23:59:59Z");
    assert!(stages.contains(&Stage::Read(COUNT)) && stages.last() == Some(&Stage::Signed(COUNT)));
    assert_eq!(batch.issued.len(), COUNT);

    let read = read_pem(&out).unwrap();
    assert_eq!(read.certificates.len(), COUNT);
    let ca = &vault.authority.certificate().der;
    let (_, ca) = x509_parser::certificate::X509Certificate::from_der(ca).unwrap();
    let mut serials = std::collections::HashSet::new();
    for (n, (certificate, pair)) in read.certificates.iter().zip(&pairs).enumerate() {
        let name = certificate.facts.name.clone().unwrap().unwrap();
        let id = DeviceId::of_key(&Ring.sha256(&pair.subject_public_key_info()));
        assert_eq!(certificate.spki, pair.subject_public_key_info());
        assert_eq!((&name.device, certificate.facts.subject.as_str()), (&id, id.as_str()));
        assert_eq!((name.kind, name.labels), (Kind::Factory, order().labels));
        assert_eq!(certificate.facts.serial, batch.issued[n].serial);
        assert!(serials.insert(certificate.facts.serial.clone()), "serial numbers are unique");
        let (_, read) = x509_parser::certificate::X509Certificate::from_der(&certificate.der).unwrap();
        read.verify_signature(Some(ca.public_key())).unwrap();
    }
    // Nothing of it is issued again.
    assert!(vault.refused(&request(&pairs[COUNT - 1])).contains("request 1: its key has had certificate"));
}

#[test]
fn a_batch_with_one_bad_request_is_refused_whole() {
    let vault = Vault::new();
    let good: String = (0..50).map(|_| request(&pair())).collect();
    // Signed by another key: the last bytes of the DER are the signature.
    let pem = request(&pair());
    let (label, mut der) = pem_rfc7468::decode_vec(pem.as_bytes()).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let forged = pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, &der).unwrap();
    let error = vault.refused(&format!("{good}{forged}{good}"));
    assert!(error.contains("request 51: its signature is not by its own key"), "{error}");
    // And the good ones have no certificate yet.
    vault.issue(&good, "good.pem").unwrap();
}

#[test]
fn a_key_stands_in_one_certificate_only() {
    let vault = Vault::new();
    let (one, two) = (pair(), pair());
    let error = vault.refused(&[request(&one), request(&two), request(&one)].concat());
    assert!(error.contains("requests 1 and 3 are of the same key"), "{error}");
    let batch = vault.issue(&request(&one), "one.pem").unwrap();
    let error = vault.refused(&[request(&two), request(&one)].concat());
    let expected =
        format!("request 2: its key has had certificate {} since 2026-11-21", batch.issued[0].serial);
    assert!(error.contains(&expected), "{error}");
    // Nor is a file of certificates written over.
    let error = vault.issue(&request(&two), "one.pem").unwrap_err().to_string();
    assert!(error.contains("one.pem exists already"), "{error}");
}

#[test]
fn keys_that_can_be_guessed_are_refused() {
    use sha1::Digest as _;
    let serial = "TH-000417";
    let vault = Vault::knowing(&["TH-000416", serial, "90071992"]);
    let refused = |pair: &KeyPair, how: &str| {
        let error = vault.refused(&[request(&self::pair()), request(pair)].concat());
        assert!(error.contains("request 2: its private key is ") && error.contains(how), "{error}");
    };
    for number in [1_u32, 17, 4096, 65_536] {
        refused(&p256_of(padded(&number.to_be_bytes())), &format!("the number {number}"));
    }
    refused(&p256_of([0x42; 32]), "the byte 0x42, 32 times");
    let mut after = [0; 32];
    after[..serial.len()].copy_from_slice(serial.as_bytes());
    let hashed = Ring.sha256(serial.as_bytes()).0;
    let sha1: [u8; 20] = sha1::Sha1::digest(serial.as_bytes()).into();
    let md5: [u8; 16] = md5::Md5::digest(serial.as_bytes()).into();
    for (secret, how) in [
        (padded(serial.as_bytes()), "with zeros before it"),
        (after, "with zeros after it"),
        (hashed, "hashed by SHA-256"),
        (padded(&sha1), "hashed by SHA-1"),
        (padded(&md5), "hashed by MD5"),
    ] {
        let how = format!("made from the serial number \"TH-000417\", {how}");
        refused(&p256_of(secret), &how);
        refused(&ed25519_of(secret), &how);
    }
    refused(&p256_of(padded(&90_071_992_u32.to_be_bytes())), "as a number");
    refused(&ed25519_of([0; 32]), "the byte 0x00, 32 times");
    // Of a serial number that is on no list, nobody knows.
    vault.issue(&request(&p256_of(Ring.sha256(b"TH-000418").0)), "unknown.pem").unwrap();
}

#[test]
fn a_request_that_asks_for_more_than_a_certificate_of_its_key_is_refused() {
    let vault = Vault::new();
    let pair = pair();
    let asks = |params: CertificateParams| params.serialize_request(&pair).unwrap().pem().unwrap();
    let named = CertificateParams::new(vec!["admin.example".to_owned()]).unwrap();
    let mut usage = CertificateParams::default();
    usage.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut ca = CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    for params in [named, usage, ca] {
        let error = vault.refused(&asks(params));
        assert!(error.contains("request 1: it asks for more than a certificate of its key"), "{error}");
    }
    // A subject is passed over: this one would name another device.
    let mut subject = CertificateParams::default();
    subject.distinguished_name.push(rcgen::DnType::CommonName, "00112233445566778899aabbccddeeff");
    let batch = vault.issue(&asks(subject), "subject.pem").unwrap();
    let read = read_pem(&batch.file).unwrap();
    let id = DeviceId::of_key(&Ring.sha256(&pair.subject_public_key_info()));
    assert_eq!(read.certificates[0].facts.subject, id.as_str());
}

#[test]
fn other_curves_other_spellings_and_other_files_are_refused() {
    let vault = Vault::new();
    let error = vault.refused(&request(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()));
    assert!(error.contains("neither P-256"), "{error}");
    for (text, why) in [
        (String::new(), "holds no certificate request"),
        ("hello\n".repeat(1000), "holds no certificate request"),
        (pair().serialize_pem(), "request 1: it is a PRIVATE KEY"),
        (vault.authority.certificate().der.iter().map(|_| 'x').collect(), "holds no certificate request"),
        (request(&pair()).replace("-----END", "----END"), "its last PEM text does not end"),
        (request(&pair()).replacen("MI", "M!", 1), "the PEM text before line"),
        (format!("-----BEGIN CERTIFICATE REQUEST-----\n{}", "AAAA\n".repeat(300)), "more than 256 lines"),
    ] {
        let error = vault.refused(&text);
        assert!(error.contains(why), "{error}");
    }
    let mut long = request(&pair());
    let _ = write!(long, "\u{fffd}");
    assert!(vault.issue(&long, "text-after.pem").is_ok(), "what stands between the texts is passed over");
}

#[test]
fn more_requests_than_the_limit_are_refused() {
    let vault = Vault::new();
    let three: String = (0..3).map(|_| request(&pair())).collect();
    let path = vault.write("three.pem", &three);
    assert_eq!(read_at_most(3, &path, &mut |_| ()).unwrap().len(), 3);
    assert!(matches!(read_at_most(2, &path, &mut |_| ()), Err(DeviceCaError::TooManyRequests(_))));
    assert_eq!(read_requests(&path, &mut |_| ()).unwrap().len(), 3);
}

#[test]
fn what_a_power_cut_left_of_a_batch_never_counts() {
    let vault = Vault::new();
    let (one, two) = (pair(), pair());
    vault.issue(&request(&one), "one.pem").unwrap();
    let path = ledger::issued_path(vault.authority.dir());
    let whole = files::read(&path, 1 << 20).unwrap();
    vault.issue(&request(&two), "two.pem").unwrap();
    let both = files::read(&path, 1 << 20).unwrap();
    for length in whole.len()..both.len() {
        files::write(&path, &both[..length]).unwrap();
        let (good, known) = ledger::by_key(vault.authority.dir()).unwrap();
        assert_eq!((good, known.len()), (whole.len() as u64, 1), "cut at {length}");
    }
    // The next batch writes over it.
    vault.issue(&request(&two), "again.pem").unwrap();
    assert_eq!(ledger::by_key(vault.authority.dir()).unwrap().1.len(), 2);
    files::write(&path, b"{\"batch\":1,\"file\":\"00\"}\n").unwrap();
    assert!(vault.refused(&request(&pair())).contains("issued.jsonl, line 1"));
}

#[test]
fn every_list_holds_everything_that_was_ever_revoked() {
    let vault = Vault::new();
    let batch = vault.issue(&[request(&pair()), request(&pair())].concat(), "two.pem").unwrap();
    let serial = |n: usize| batch.issued[n].serial.clone();
    let crl = vault.path("crl.pem");
    let run = |serials: &[String], at: Timestamp| {
        revoke(&vault.authority, serials, Reason::KeyCompromise, 365, &crl, at)
    };
    assert_eq!(run(&[], now()).unwrap().revoked, 0);
    let list = run(&[serial(1).to_uppercase()], now()).unwrap();
    assert_eq!((list.revoked, list.added), (1, 1));
    let list = run(&[serial(0), serial(1)], now().plus_days(1)).unwrap();
    assert_eq!((list.revoked, list.added), (2, 1));
    let read = read_pem(&crl).unwrap();
    let mut expected = [serial(0), serial(1)];
    expected.sort();
    assert_eq!(read.lists[0].serials, expected);
    assert_eq!(read.lists[0].issuer, "Example device CA");
    assert_eq!(read.lists[0].next, Some(now().plus_days(366)));
    let (_, pem) = pem_rfc7468::decode_vec(&files::read(&crl, 1 << 20).unwrap()).unwrap();
    let (_, list) = x509_parser::revocation_list::CertificateRevocationList::from_der(&pem).unwrap();
    let ca = vault.authority.certificate();
    let (_, ca) = x509_parser::certificate::X509Certificate::from_der(&ca.der).unwrap();
    list.verify_signature(ca.public_key()).unwrap();

    let error = run(&["00ff".into()], now()).unwrap_err().to_string();
    assert_eq!(error, "this CA has issued no certificate 00ff");
    let other = Vault::new().authority.certificate().der.clone();
    let pem = pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, &other).unwrap();
    let path = vault.write("other.pem", &pem);
    // Another maker of the same name: its serial number is not on this CA's list.
    let serials = serials_of(&vault.authority, &path).unwrap();
    assert!(matches!(run(&serials, now()), Err(DeviceCaError::UnknownSerial(_))));
    assert_eq!(serials_of(&vault.authority, &batch.file).unwrap(), [serial(0), serial(1)]);
}

#[test]
fn an_enrolment_ca_names_devices_and_nothing_else() {
    let vault = Vault::new();
    let key = pair();
    let path = vault.write("enrolment.csr.pem", &request(&key));
    let run = |path: &PathBuf, days: u16, out: &str, at: Timestamp| {
        enrolment::issue(&vault.authority, path, days, &vault.guessable, &vault.path(out), at)
    };
    let issued = run(&path, 365, "enrolment.pem", now()).unwrap();
    assert_eq!(issued.until, now().plus_days(365));
    let read = read_pem(&vault.path("enrolment.pem")).unwrap();
    assert!(read.certificates[0].facts.ca && read.certificates[0].facts.name.is_none());
    let (_, read) = x509_parser::certificate::X509Certificate::from_der(&read.certificates[0].der).unwrap();
    let basic = read.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.path_len_constraint == Some(0));
    let usage = read.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && !usage.crl_sign() && !usage.digital_signature());
    assert!(read.extended_key_usage().unwrap().unwrap().value.client_auth);
    // The same key is renewed; a device's becomes no CA, and one request is one.
    run(&path, 365, "renewed.pem", now().plus_days(300)).unwrap();
    let device = request(&pair());
    vault.issue(&device, "device.pem").unwrap();
    let path = vault.write("device.csr.pem", &device);
    assert!(matches!(run(&path, 365, "x.pem", now()), Err(DeviceCaError::Issued { .. })));
    let path = vault.write("two.csr.pem", &[request(&pair()), request(&pair())].concat());
    assert!(run(&path, 365, "x.pem", now()).unwrap_err().to_string().contains("an enrolment CA has one key"));
    let path = vault.write("own.csr.pem", &request(&p256_of(padded(&[9]))));
    assert!(matches!(run(&path, 365, "x.pem", now()), Err(DeviceCaError::Guessable { .. })));
    let path = vault.write("late.csr.pem", &request(&pair()));
    let error = run(&path, 365, "x.pem", now().plus_days(30 * 365)).unwrap_err().to_string();
    assert!(error.contains("and the CA itself until 2056-11-21"), "{error}");
    assert!(matches!(run(&path, 732, "x.pem", now()), Err(DeviceCaError::Life(_))));
}

#[test]
fn a_ca_is_made_under_a_passphrase_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    let words = Passphrase::new("correct horse battery".into());
    let made = authority::init(&dir, "Example Ltd", 30, now(), &words).unwrap();
    assert_eq!(made.facts.subject, "Example Ltd device CA");
    assert_eq!(made.facts.until.to_string(), "2056-11-21T23:59:59Z");
    assert_eq!(files::kind_and_mode(&authority::key_path(&dir)).unwrap(), (true, 0o600));
    let again = authority::init(&dir, "Example Ltd", 30, now(), &words).err().unwrap();
    assert!(matches!(again, DeviceCaError::Exists(_)));
    let wrong = Authority::open(&dir, |_| Ok(Passphrase::new("incorrect".into()))).err().unwrap();
    assert!(matches!(wrong, DeviceCaError::Key(KeyError::WrongPassphrase(_))));
    let opened = Authority::open(&dir, |_| Ok(words.clone())).unwrap();
    assert_eq!(opened.certificate().spki, made.spki);
    // Another CA's certificate beside the key is noticed.
    let other = Vault::new();
    let theirs = authority::certificate_path(other.authority.dir());
    files::copy(&theirs, &authority::certificate_path(&dir)).unwrap();
    let error = Authority::open(&dir, |_| Ok(words.clone())).err().unwrap().to_string();
    assert!(error.contains("ca.pem is not the certificate of ca.key"), "{error}");
    for (maker, years) in [("", 30), (" x", 30), ("a\nb", 30), ("x", 0), ("x", 41)] {
        assert!(authority::init(&folder.path().join("b"), maker, years, now(), &words).is_err(), "{maker}");
    }
}
