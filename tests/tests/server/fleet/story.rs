//! A device's life on the fleet plane: enrolment, check-in, reports, renewal, the right to see and to be forgotten.

use super::kit::{Fleet, Unit, check_in};
use crate::server::kit::{ask_admin, eventually};
use base64ct::{Base64, Encoding};
use p256::elliptic_curve::PrimeField as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use perennial_device_core::crypto::Ring;
use perennial_schemas::fleet::{Acknowledged, CheckedIn, Erasure};
use perennial_schemas::{Digest as _, Document};
use perennial_server::server::Running;
use perennial_tests::simulator::day;
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;

#[test]
fn a_device_enrols_checks_in_reports_sees_what_is_held_and_is_erased() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let factory = fleet.factory();
    // Its factory certificate opens enrolment, and nothing else.
    assert_eq!(fleet.report(&server, &factory, &[1]).code(), (403, "not-enrolled".into()));
    let unit = fleet.enrol(&server, &factory).unwrap();
    assert_eq!(unit.device, factory.device);
    assert_eq!(fleet.report(&server, &factory, &[1]).code(), (403, "factory-certificate".into()));

    let mut wire = fleet.connect(&server, &unit);
    let answer = wire.ask_with("PUT", "/v1/devices/self", &[], &check_in(day(1), Some(&unit.ticket)));
    let checked = CheckedIn::parse(&answer.body).unwrap();
    assert_eq!((checked.acknowledged, checked.next_check_in), (0, 86_400));
    let queue = fleet.queue(&unit.device, &[1, 2, 3]).to_string();
    let answer = wire.ask_with("POST", "/v1/reports", &[], queue.as_bytes());
    assert_eq!(Acknowledged::parse(&answer.body).unwrap().acknowledged, 3);
    let answer = wire.ask_with("POST", "/v1/reports", &[], queue.as_bytes());
    assert_eq!(answer.json()["flagged"][0]["flag"], "replayed");
    drop(wire);
    server.stop();

    // It is there after a restart, and the device may see all of it.
    let server = fleet.serve("", "");
    let mut wire = fleet.connect(&server, &unit);
    let ticket = checked.ticket.as_str();
    let answer = wire.ask_with("PUT", "/v1/devices/self", &[], &check_in(day(1), Some(ticket)));
    assert_eq!(answer.json()["acknowledged"], 3);
    let held = wire.ask_with("GET", "/v1/devices/self", &[], b"").json();
    assert_eq!(held["standing"], "enrolled", "{held}");
    assert_eq!((held["reports"].as_u64(), held["events"].as_array().unwrap().len()), (Some(3), 3));
    assert_eq!(held["check_in"]["attributes"], json!({ "region": "north" }));
    assert_eq!(held["labels"], json!(["ring=canary"]));
    assert!(!held.to_string().contains("127.0.0.1"), "no address is kept: {held}");

    let answer = wire.ask_with("DELETE", "/v1/devices/self", &[], b"");
    let receipt = Erasure::parse(&answer.body).unwrap();
    assert_eq!((receipt.erased.reports, receipt.erased.check_ins, receipt.erased.keys), (3, 1, 2));
    let answer = wire.ask_with("GET", "/v1/devices/self", &[], b"");
    assert_eq!(answer.code(), (403, "not-enrolled".into()));
    assert_eq!(fleet.report(&server, &unit, &[4]).code(), (403, "not-enrolled".into()));
    // With its factory certificate it may come back, as a new device.
    let back = fleet.enrol(&server, &factory).unwrap();
    assert_eq!(fleet.report(&server, &back, &[4]).json()["acknowledged"], 4);
}

#[test]
fn what_is_past_its_time_goes_soon_after_a_start_and_once_a_day() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let unit = fleet.enrolled(&server);
    assert_eq!(fleet.report(&server, &unit, &[1]).status, 200);
    server.stop();
    let held = |server: &Running| {
        let answer = fleet.connect(server, &unit).ask_with("GET", "/v1/devices/self", &[], b"");
        answer.json()["events"].as_array().map(Vec::len)
    };
    // A server that is stopped within the hour, again and again.
    fleet.kit.clock.set(day(1).plus_days(2));
    let server = fleet.serve("[fleet.keep]\nreports = \"1d\"", "");
    eventually("the report is removed", || held(&server) == Some(0));
    assert_eq!(fleet.report(&server, &unit, &[2]).status, 200);
    assert_eq!(held(&server), Some(1));
    server.stop();
    // It was off for long, or its clock is wrong: nothing is removed by it, and that is told.
    fleet.kit.clock.set(day(1).plus_days(31));
    let server = fleet.serve("[fleet.keep]\nreports = \"1d\"", "");
    let token = fleet.kit.token();
    let status = ask_admin(&server, "GET", "/api/v1/status", Some(&token)).json();
    let alarms = status["alarms"].as_array().unwrap();
    assert!(alarms.iter().any(|alarm| alarm["code"] == "clock"), "{alarms:?}");
    assert_eq!(held(&server), Some(1));
    server.stop();
}

#[test]
fn what_is_held_comes_with_the_newest_reports_first_page_by_page() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let unit = fleet.enrolled(&server);
    for from in (1..=600_u64).step_by(120) {
        let sequences: Vec<u64> = (from..from + 120).collect();
        assert_eq!(fleet.report(&server, &unit, &sequences).status, 200);
    }
    let mut wire = fleet.connect(&server, &unit);
    let mut ask = |path: &str| wire.ask_with("GET", path, &[], b"");
    let numbers = |held: &serde_json::Value| -> Vec<u64> {
        let events = held["events"].as_array().unwrap();
        events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
    };
    let newest = ask("/v1/devices/self").json();
    assert_eq!(numbers(&newest), (101..=600).rev().collect::<Vec<_>>());
    assert_eq!(newest["next"], "1.101");
    let rest = ask("/v1/devices/self?before=1.101").json();
    assert_eq!(numbers(&rest), (1..=100).rev().collect::<Vec<_>>());
    assert!(rest["next"].is_null());
    for odd in ["before=", "before=x", "after=1.1", "before=1.1&before=1.2"] {
        assert_eq!(ask(&format!("/v1/devices/self?{odd}")).code(), (422, "unacceptable".into()), "{odd}");
    }
}

#[test]
fn an_expired_certificate_opens_its_renewal_and_a_replaced_one_nothing() {
    let fleet = Fleet::new();
    let server = fleet.serve("certificate_days = 10", "");
    let unit = fleet.enrolled(&server);
    fleet.kit.clock.set(day(1).plus_days(11));
    assert_eq!(fleet.report(&server, &unit, &[1]).code(), (403, "certificate-expired".into()));
    let renewed = fleet.enrol(&server, &unit).unwrap();
    assert_eq!(fleet.report(&server, &renewed, &[1]).json()["acknowledged"], 1);
    assert_eq!(fleet.report(&server, &unit, &[2]).code(), (403, "certificate-superseded".into()));
    let refused = fleet.enrol(&server, &unit).err().unwrap();
    assert_eq!(refused["code"], "certificate-superseded");
}

#[test]
fn what_the_maker_revokes_is_refused_as_soon_as_the_list_is_there() {
    let fleet = Fleet::new();
    let list = |serials: &[[u8; 16]]| {
        let revoked = |serial: &[u8; 16]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2060, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(fleet.kit.path("crl.pem"), list.signed_by(&fleet.ca).unwrap().pem().unwrap()).unwrap();
    };
    list(&[]);
    let with = format!("revocations = {:?}", fleet.kit.path("crl.pem").to_str().unwrap());
    let server = fleet.serve(&with, "");
    let state = fleet.kit.state();
    let state = state.to_str().unwrap();
    let status = ["status", "--state", state];
    let factory = fleet.made(|params| params.serial_number = Some(SerialNumber::from_slice(&[7; 16])));
    let (unit, other) = (fleet.enrol(&server, &factory).unwrap(), fleet.enrolled(&server));
    assert_eq!(fleet.report(&server, &unit, &[1]).status, 200);
    list(&[[7; 16]]);
    let mut sequence = 1;
    eventually("the list is read again", || {
        sequence += 1;
        fleet.report(&server, &unit, &[sequence]).status == 403
    });
    assert_eq!(fleet.report(&server, &unit, &[99]).code(), (403, "revoked".into()));
    assert_eq!(fleet.enrol(&server, &factory).err().unwrap()["code"], "revoked");
    assert_eq!(fleet.report(&server, &other, &[1]).status, 200);
    // An empty file, as a full disk or a copy that broke off leaves it, lets nobody in again.
    std::fs::write(fleet.kit.path("crl.pem"), "").unwrap();
    server.reload().unwrap();
    eventually("the empty file is told", || {
        fleet.kit.command(status).ok().contains("crl.pem: holds no revocation list")
    });
    let said = fleet.kit.command(status).ok();
    assert!(said.contains("crl.pem: holds no revocation list in PEM form"), "{said}");
    assert!(said.contains("Certificates that the maker has revoked: 1, in lists until 2060-01-01"), "{said}");
    assert!(said.contains("The enrolment certificate lasts until "), "{said}");
    assert_eq!(fleet.report(&server, &unit, &[100]).code(), (403, "revoked".into()));
    let shown = fleet.kit.command(["device", "show", unit.device.as_str(), "--state", state]).ok();
    assert!(
        shown.contains(" is revoked: thermostat revC") && shown.contains("revoked by the maker's list"),
        "{shown}"
    );
    list(&[[7; 16]]);
    server.reload().unwrap();
    eventually("it is mended", || !fleet.kit.command(status).ok().contains("holds no revocation list"));
    server.stop();
    // What is revoked is told from the first moment on.
    let server = fleet.serve(&with, "");
    assert_eq!(server.metrics().fleet.revocations.get(), 1);
}

/// A request for a certificate of `key`.
fn request(key: &KeyPair) -> Vec<u8> {
    let request = rcgen::CertificateParams::default().serialize_request(key).unwrap().pem().unwrap();
    serde_json::to_vec(&perennial_schemas::fleet::Enrolment::new(request)).unwrap()
}

/// The P-256 key and the ed25519 key with this private half.
fn keys_of(secret: [u8; 32]) -> [KeyPair; 2] {
    let hex = |text: &str| perennial_schemas::digest::decode_hex(text).unwrap();
    let scalar = p256::Scalar::from_repr(secret.into()).unwrap();
    let point = (p256::ProjectivePoint::GENERATOR * scalar).to_affine();
    let p256 = [
        hex("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420"),
        secret.to_vec(),
        hex("a14403420004"),
        point.x().to_vec(),
        point.y().to_vec(),
    ];
    let ed25519 = [hex("302e020100300506032b657004220420"), secret.to_vec()];
    [p256.concat(), ed25519.concat()].map(|der| KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).unwrap())
}

#[test]
fn keys_that_can_be_guessed_are_refused_as_factory_key_and_as_fleet_key() {
    let fleet = Fleet::new();
    std::fs::write(fleet.kit.path("serials.txt"), "TH-000416\nTH-000417\n").unwrap();
    let server = fleet.serve(&format!("serials = {:?}", fleet.kit.path("serials.txt").to_str().unwrap()), "");
    let enrol = |unit: &Unit, key: &KeyPair| {
        let ask = || fleet.connect(&server, unit).ask_with("POST", "/v1/enrol", &[], &request(key));
        // While the serial numbers are tried, nobody enrols.
        eventually("the serial numbers are tried", || ask().status != 503);
        ask()
    };
    let sound = || KeyPair::generate().unwrap();
    let said = |words: &str| format!("the {words} key can be guessed");
    let mut two = [0; 32];
    two[31] = 2;
    let hashed = |text: &str| Ring.sha256(text.as_bytes()).0;
    for secret in [two, [0x42; 32], hashed("TH-000417")] {
        for key in keys_of(secret) {
            let unit = fleet.factory();
            let refused = enrol(&unit, &key);
            assert_eq!(refused.code(), (403, "key-weak".into()));
            assert_eq!(refused.json()["error"], said("new"));
            let weak = fleet.made_of(key, |_| {});
            let refused = enrol(&weak, &sound());
            assert_eq!(
                (refused.code(), &refused.json()["error"]),
                ((403, "key-weak".into()), &said("factory").into())
            );
        }
    }
    // What its certificate says of a device is known without a list: its id, and the certificate's number.
    let number = [0x01, 0x23, 0x45, 0x67];
    let unit = fleet.made(|params| params.serial_number = Some(SerialNumber::from_slice(&number)));
    let other = fleet.factory();
    for text in [unit.device.as_str(), "01234567", "19088743"] {
        for key in keys_of(hashed(text)) {
            assert_eq!(enrol(&unit, &key).code(), (403, "key-weak".into()), "{text}");
            assert_eq!(enrol(&other, &sound()).status, 200);
        }
    }
    for key in keys_of(hashed("1193046")) {
        let number = [0x12, 0x34, 0x56];
        let made =
            fleet.made_of(key, |params| params.serial_number = Some(SerialNumber::from_slice(&number)));
        assert_eq!(enrol(&made, &sound()).code(), (403, "key-weak".into()));
    }
    assert_eq!(fleet.report(&server, &unit, &[1]).code(), (403, "not-enrolled".into()));
    assert_eq!(enrol(&unit, &sound()).status, 200);
}

#[test]
fn a_longer_list_of_serial_numbers_counts_without_a_restart_and_an_empty_one_does_not() {
    let fleet = Fleet::new();
    let path = fleet.kit.path("serials.txt");
    std::fs::write(&path, "TH-000416\n").unwrap();
    let server = fleet.serve(&format!("serials = {:?}", path.to_str().unwrap()), "");
    let [first, second] = ["TH-000416", "TH-000417"].map(|text| {
        let [key, _] = keys_of(Ring.sha256(text.as_bytes()).0);
        fleet.made_of(key, |_| {})
    });
    let code = |unit: &Unit| {
        let key = KeyPair::generate().unwrap();
        let answer = fleet.connect(&server, unit).ask_with("POST", "/v1/enrol", &[], &request(&key));
        if answer.status == 200 { String::new() } else { answer.code().1 }
    };
    eventually("the first list is tried", || code(&first) == "key-weak");
    assert_eq!(code(&second), "");
    std::fs::write(&path, "TH-000416\nTH-000417\n").unwrap();
    server.reload().unwrap();
    eventually("the second list is tried", || {
        assert_eq!(code(&first), "key-weak", "the list before counts until then");
        code(&second) == "key-weak"
    });
    let said = || fleet.kit.command(["status", "--state", fleet.kit.state().to_str().unwrap()]).ok();
    std::fs::write(&path, "").unwrap();
    server.reload().unwrap();
    eventually("the empty list is told", || said().contains("serials.txt: it holds no serial number"));
    assert_eq!(code(&second), "key-weak");
    std::fs::write(&path, "TH-000417\n").unwrap();
    server.reload().unwrap();
    eventually("it is mended", || !said().contains("serials.txt") && code(&first).is_empty());
    assert_eq!(code(&second), "key-weak");
}

#[test]
fn weak_shared_and_foreign_keys_are_refused_at_enrolment() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let (one, two) = (fleet.factory(), fleet.factory());
    let key = KeyPair::generate().unwrap();
    let enrol = |unit, body: &[u8]| fleet.connect(&server, unit).ask_with("POST", "/v1/enrol", &[], body);
    let mut small = [0; 32];
    small[31] = 2;
    for weak in keys_of(small) {
        assert_eq!(enrol(&one, &request(&weak)).code(), (403, "key-weak".into()));
    }
    assert_eq!(enrol(&one, &request(&key)).status, 200);
    assert_eq!(enrol(&two, &request(&key)).code(), (403, "key-shared".into()));
    assert_eq!(enrol(&two, &request(&one.key)).code(), (403, "key-shared".into()));
    assert_eq!(enrol(&two, &request(&two.key)).code(), (403, "key-shared".into()));
    // A request that its key didn't sign.
    let mut text = rcgen::CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
    *text.last_mut().unwrap() ^= 1;
    let lines = Base64::encode_string(&text);
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n");
    let body = serde_json::to_vec(&perennial_schemas::fleet::Enrolment::new(pem)).unwrap();
    assert_eq!(enrol(&two, &body).code(), (422, "unacceptable".into()));
}
