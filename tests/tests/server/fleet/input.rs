//! Everything that nobody should send: certificates, headers and bodies. Each is refused by its limit or its rule, and the
//! server goes on.

use super::kit::{Fleet, check_in};
use crate::server::kit::{Kit, Wire};
use perennial_tests::simulator::day;
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Whether the other side ends the connection before it answers anything.
fn is_refused(wire: &mut super::kit::Tls) -> bool {
    let _ = wire.0.write_all(b"GET /v1/devices/self HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut byte = [0];
    !matches!(wire.0.read(&mut byte), Ok(1))
}

#[test]
fn strangers_and_wrong_uses_end_in_the_handshake_and_odd_names_are_told() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let server = fleet.serve("", "");
    let address = server.fleet_tls[0];
    assert!(is_refused(&mut fleet.connect_to(address, None, &rustls::version::TLS13)), "no certificate");
    assert!(is_refused(&mut fleet.connect(&server, &other.factory())), "another CA");
    let wrong = fleet.made(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(is_refused(&mut fleet.connect(&server, &wrong)), "the wrong use");
    let unit = fleet.enrolled(&server);
    assert!(is_refused(&mut fleet.connect_to(address, Some(&unit), &rustls::version::TLS12)), "TLS 1.2");
    let odd = fleet.made(|params| {
        params.subject_alt_names.push(SanType::URI("perennial:admin/yes".try_into().unwrap()));
    });
    let answer = fleet.connect(&server, &odd).ask_with("GET", "/v1/devices/self", &[], b"");
    assert_eq!(answer.code(), (403, "bad-certificate".into()));
    assert_eq!(server.metrics().handshakes_failed.get(), 4);
    assert_eq!(fleet.report(&server, &unit, &[1]).status, 200);
}

#[test]
fn nothing_else_is_answered_here_and_nothing_of_the_admin_plane() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let unit = fleet.enrolled(&server);
    let mut wire = fleet.connect(&server, &unit);
    for path in
        ["/", "/metrics", "/api/v1/status", "/metadata/timestamp.json", "/v1/reports/", "/v1/devices/other"]
    {
        assert_eq!(wire.ask_with("GET", path, &[], b"").code(), (404, "not-found".into()), "{path}");
    }
    let answer = wire.ask_with("GET", "/v1/reports", &[], b"");
    assert_eq!((answer.code(), answer.header("allow")), ((405, "method-not-allowed".into()), "POST"));
    let answer = wire.ask_with("PATCH", "/v1/devices/self", &[], b"");
    assert_eq!(answer.header("allow"), "GET, PUT, DELETE");
    for field in ["Client-Cert", "Client-Cert-Chain"] {
        let answer = wire.ask_with("GET", "/v1/devices/self", &[(field, ":AAAA:")], b"");
        assert_eq!(answer.code(), (400, "client-cert-not-allowed".into()));
    }
}

#[test]
fn oversized_deep_truncated_and_backward_bodies_are_refused() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let unit = fleet.enrolled(&server);
    let ask = |path: &str, method: &str, body: &[u8]| {
        fleet.connect(&server, &unit).ask_with(method, path, &[], body)
    };
    let reports = |body: &[u8]| ask("/v1/reports", "POST", body).code();
    assert_eq!(reports(&vec![b' '; 512 * 1024 + 1]), (413, "too-large".into()));
    assert_eq!(ask("/v1/devices/self", "GET", b"{}").code(), (413, "too-large".into()));
    assert_eq!(reports("[".repeat(5000).as_bytes()), (400, "malformed".into()));
    assert_eq!(reports(b"{\"format\":"), (400, "malformed".into()));
    assert_eq!(reports(b""), (400, "malformed".into()));
    assert_eq!(reports(b"{}"), (422, "unacceptable".into()));
    let queue = |sequences: &[u64]| fleet.queue(&unit.device, sequences).to_string();
    let twice = queue(&[1]).replacen("\"device\"", "\"device\":\"x\",\"device\"", 1);
    assert_eq!(reports(twice.as_bytes()), (400, "malformed".into()), "a key that stands there twice");
    assert_eq!(reports(queue(&[2, 1]).as_bytes()), (422, "unacceptable".into()), "a sequence that goes back");
    assert_eq!(reports(queue(&[0]).as_bytes()), (422, "unacceptable".into()));
    let many: Vec<u64> = (1..=129).collect();
    assert_eq!(reports(queue(&many).as_bytes()), (422, "unacceptable".into()));
    let other = fleet.factory().device;
    assert_eq!(reports(fleet.queue(&other, &[1]).to_string().as_bytes()), (403, "other-device".into()));
    let ticket = check_in(day(1), Some("no ticket"));
    assert_eq!(ask("/v1/devices/self", "PUT", &ticket).code(), (422, "unacceptable".into()));
    // A body that is announced, and ends too early.
    let mut wire = fleet.connect(&server, &unit);
    wire.send("POST /v1/reports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"format\"");
    wire.0.conn.send_close_notify();
    wire.0.flush().unwrap();
    let _ = wire.0.sock.shutdown(std::net::Shutdown::Write);
    let mut rest = Vec::new();
    let _ = wire.0.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", rest.escape_ascii());
    assert_eq!(reports(queue(&[1, 2]).as_bytes().split_last().unwrap().1), (400, "malformed".into()));
    assert_eq!(fleet.report(&server, &unit, &[1]).json()["acknowledged"], 1);
}

#[test]
fn a_clock_that_is_years_off_is_told_and_the_device_served_all_the_same() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let unit = fleet.enrolled(&server);
    let mut queue = fleet.queue(&unit.device, &[1, 2]);
    queue["reports"][0]["at"] = "1999-01-01T00:00:00Z".into();
    queue["reports"][1]["at"] = "2059-01-01T00:00:00Z".into();
    let mut wire = fleet.connect(&server, &unit);
    let answer = wire.ask_with("POST", "/v1/reports", &[], queue.to_string().as_bytes()).json();
    assert_eq!(answer["acknowledged"], 2);
    let flags: Vec<_> =
        answer["flagged"].as_array().unwrap().iter().map(|one| one["flag"].as_str().unwrap()).collect();
    assert_eq!(flags, ["clock-behind", "clock-ahead"]);
    let said = check_in(day(1).plus_days(-4000), Some(&unit.ticket));
    assert_eq!(wire.ask_with("PUT", "/v1/devices/self", &[], &said).status, 200);
    let held = wire.ask_with("GET", "/v1/devices/self", &[], b"").json();
    assert_eq!(held["flags"]["clock-behind"]["count"], 2);
    assert_eq!(held["standing"], "enrolled");
}

#[test]
fn slow_bodies_are_cut_and_slow_heads_too() {
    let kit = Kit::new();
    let lab = "[fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]\n[limits]\nbody = \"300ms\"\nhead = \"500ms\"\n";
    let server = kit.serve(lab);
    let address = server.fleet_plain[0];
    let mut wire = Wire::to(address);
    wire.send("POST /v1/reports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{");
    assert_eq!(wire.read(false).code(), (408, "too-slow".into()));
    // Dripping doesn't help: so many bytes must come in each span.
    let mut wire = Wire::to(address);
    wire.send("POST /v1/reports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
    let mut dripping = wire.0.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        while dripping.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(wire.read(false).code(), (408, "too-slow".into()));
    let mut head = TcpStream::connect(address).unwrap();
    head.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    head.write_all(b"POST /v1/rep").unwrap();
    assert!(Wire(head).is_over());
    drop(wire);
    drip.join().unwrap();
}

#[test]
fn the_example_configuration_is_one_that_check_config_accepts() {
    let fleet = Fleet::new();
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2060, 1, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    std::fs::write(fleet.kit.path("crl.pem"), list.signed_by(&fleet.ca).unwrap().pem().unwrap()).unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/server.toml");
    let mut text = std::fs::read_to_string(path).unwrap();
    for (file, ours) in [
        ("/var/lib/perennial-server", fleet.kit.state()),
        ("/etc/perennial/tls/fullchain.pem", fleet.kit.path("tls.pem")),
        ("/etc/perennial/tls/privkey.pem", fleet.kit.path("tls.key")),
        ("/etc/perennial/device-ca/ca.pem", fleet.kit.path("ca.pem")),
        ("/etc/perennial/device-ca/enrolment.pem", fleet.kit.path("enrolment.pem")),
        ("/etc/perennial/device-ca/crl.pem", fleet.kit.path("crl.pem")),
    ] {
        assert!(text.contains(file), "the example names no {file}");
        text = text.replace(file, ours.to_str().unwrap());
    }
    let config = fleet.kit.path("example.toml");
    std::fs::write(&config, &text).unwrap();
    let said = fleet.kit.command(["check-config", "--config", config.to_str().unwrap()]).ok();
    assert!(said.contains("is in order") && !said.contains("fleet."), "{said}");
    // What it sets of the records and of the fleet plane is set, whatever the defaults are.
    let parsed = perennial_server::config::Config::parse("server.toml", &text).unwrap();
    assert_eq!((parsed.serve.tls.len(), parsed.fleet.tls.len()), (1, 1));
    for key in ["[store]", "engine", "cache", "reserve", "[fleet.keep]", "devices"] {
        assert!(text.contains(key), "the example has no {key}");
    }
}
