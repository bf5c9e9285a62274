//! Other people's programs on the way to the devices' listener: curl, which speaks HTTP/2, and HAProxy, which ends TLS.

use super::kit::{Fleet, Unit};
use crate::server::kit::eventually;
use base64ct::{Base64, Encoding};
use perennial_schemas::fleet::Enrolment;
use rcgen::date_time_ymd;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// What curl is told on the way to `https://localhost`: who asks, and to which port.
fn curl(fleet: &Fleet, unit: &Unit, port: u16) -> Command {
    let [chain, key] = fleet.write(unit);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "60", "--http2", "--cacert"])
        .arg(fleet.kit.path("tls.pem"))
        .arg("--cert")
        .arg(chain)
        .arg("--key")
        .arg(key)
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
    curl
}

/// The bodies of a request's answers, one a line, each with its version of HTTP, its status, and how many connections were
/// made for it.
fn said(mut curl: Command) -> Vec<(Value, String)> {
    let ran = curl.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let pairs = text.lines().map(|line| line.rsplit_once("} ").unwrap());
    pairs.map(|(body, how)| (serde_json::from_str(&format!("{body}}}")).unwrap(), how.to_owned())).collect()
}

const HOW: [&str; 2] = ["--write-out", " %{http_version} %{http_code} %{num_connects}\n"];

#[test]
fn a_device_that_speaks_http_2_is_heard_and_refused_as_any_other() {
    let fleet = Fleet::live();
    let server = fleet.serve("", "");
    let unit = fleet.enrolled(&server);
    let port = server.fleet_tls[0].port();
    let url = |path: &str| format!("https://localhost:{port}{path}");
    let (queue, other) = (fleet.kit.path("queue.json"), fleet.kit.path("other.json"));
    std::fs::write(&queue, fleet.queue(&unit.device, &[1, 2]).to_string()).unwrap();
    std::fs::write(&other, fleet.queue(&fleet.factory().device, &[1]).to_string()).unwrap();
    let data = |path: &std::path::Path| format!("@{}", path.display());
    let mut asks = curl(&fleet, &unit, port);
    asks.args(HOW).arg("--data-binary").arg(data(&queue)).arg(url("/v1/reports"));
    asks.arg("--next").args(["--silent", "--http2"]).args(HOW).arg(url("/v1/devices/self"));
    // The next request has options of its own, and goes on with the connection where these are the same.
    let [chain, key] = fleet.write(&unit);
    asks.arg("--cacert").arg(fleet.kit.path("tls.pem")).arg("--cert").arg(chain).arg("--key").arg(key);
    asks.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
    let answers = said(asks);
    assert_eq!((&answers[0].0["acknowledged"], answers[0].1.as_str()), (&2.into(), "2 200 1"));
    assert_eq!((&answers[1].0["reports"], answers[1].1.as_str()), (&2.into(), "2 200 0"));
    let mut asks = curl(&fleet, &unit, port);
    asks.args(HOW).arg("--data-binary").arg(data(&other)).arg(url("/v1/reports"));
    let refused = &said(asks)[0];
    assert_eq!((&refused.0["code"], refused.1.as_str()), (&"other-device".into(), "2 403 1"));
    let mut asks = curl(&fleet, &unit, port);
    asks.args(HOW).args(["--header", "Client-Cert: :AAAA:"]).arg(url("/v1/devices/self"));
    let refused = &said(asks)[0];
    assert_eq!((&refused.0["code"], refused.1.as_str()), (&"client-cert-not-allowed".into(), "2 400 1"));
}

/// A program that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// HAProxy with the book's example before the server's plain listener; where it listens.
fn haproxy(fleet: &Fleet, to: SocketAddr) -> (Ends, SocketAddr) {
    let read = |name: &str| std::fs::read_to_string(fleet.kit.path(name)).unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(fleet.kit.path(name), text).unwrap();
        fleet.kit.path(name).to_str().unwrap().to_owned()
    };
    let devices = write("devices.pem", read("tls.pem") + &read("tls.key"));
    let cas = write("cas.pem", read("ca.pem") + &read("enrolment.pem"));
    let enrolment: String = read("enrolment.pem").lines().filter(|line| !line.starts_with('-')).collect();
    let enrolment = Base64::encode_string(&Base64::decode_vec(enrolment.trim()).unwrap());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/haproxy/fleet.cfg");
    let text = std::fs::read_to_string(example).unwrap();
    let mut changed = text.clone();
    for (from, to) in [
        ("bind :8444", format!("bind {free}")),
        ("crt devices.pem", format!("crt {devices}")),
        ("ca-file cas.pem", format!("ca-file {cas}")),
        (":ENROLMENT_CA:", format!(":{enrolment}:")),
        ("server perennial 127.0.0.1:8445", format!("server perennial {to}")),
    ] {
        assert!(changed.contains(from), "{from}");
        changed = changed.replace(from, &to);
    }
    let config = write("fleet.cfg", changed);
    let child = Command::new("haproxy").args(["-db", "-f", &config]).stdout(Stdio::null()).spawn().unwrap();
    let running = Ends(child);
    eventually("haproxy listens", || TcpStream::connect(free).is_ok());
    (running, free)
}

#[test]
#[ignore = "needs HAProxy: tests/run proxy"]
fn devices_behind_a_real_proxy_enrol_report_and_are_nobody_else() {
    let fleet = Fleet::live();
    let server = fleet.serve("without_tls = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1\"]", "");
    let (_proxy, address) = haproxy(&fleet, server.fleet_plain[0]);
    let port = address.port();
    let through = |unit: &Unit, more: &[&str], path: &str| {
        let mut asks = curl(&fleet, unit, port);
        asks.args(HOW).args(more).arg(format!("https://localhost:{port}{path}"));
        said(asks).remove(0)
    };
    // Enrolment by the factory certificate, and reports by what comes of it.
    let factory = fleet.factory();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let body = fleet.kit.path("enrolment.json");
    std::fs::write(&body, serde_json::to_vec(&Enrolment::new(request)).unwrap()).unwrap();
    let data = |path: &std::path::Path| format!("@{}", path.display());
    let (enrolled, how) = through(&factory, &["--data-binary", &data(&body)], "/v1/enrol");
    assert_eq!(
        (&enrolled["device"], how.as_str()),
        (&factory.device.as_str().into(), "2 200 1"),
        "{enrolled}"
    );
    let unit = fleet.enrolled(&server);
    let queue = fleet.kit.path("queue.json");
    std::fs::write(&queue, fleet.queue(&unit.device, &[1, 2, 3]).to_string()).unwrap();
    let (answer, _) = through(&unit, &["--data-binary", &data(&queue)], "/v1/reports");
    assert_eq!(answer["acknowledged"], 3, "{answer}");
    // Whoever names another device's certificate is heard as who it is.
    let other = fleet.enrolled(&server);
    let named = format!("Client-Cert: :{}:", Base64::encode_string(&unit.chain[0]));
    let (answer, _) = through(&other, &["--header", &named], "/v1/devices/self");
    assert_eq!(answer["device"], other.device.as_str(), "{answer}");
    // One that expired is let through to the server, which says so; a stranger's is not.
    let expired = fleet.made(|params| params.not_after = date_time_ymd(2022, 1, 1));
    let (answer, _) = through(&expired, &["--data-binary", &data(&body)], "/v1/enrol");
    assert_eq!(answer["code"], "certificate-expired", "{answer}");
    let stranger = Fleet::live().factory();
    let mut asks = curl(&fleet, &stranger, port);
    let ran = asks.arg(format!("https://localhost:{port}/v1/devices/self")).output().unwrap();
    assert!(!ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}
