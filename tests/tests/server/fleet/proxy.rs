//! Without TLS of its own: behind a proxy that says which certificate was shown, and in a laboratory.

use super::kit::{Fleet, Unit, batch, check_in, queue};
use crate::server::kit::Wire;
use base64ct::{Base64, Encoding};
use perennial_schemas::fleet::DeviceId;
use perennial_tests::simulator::day;
use serde_json::json;

fn fields(unit: &Unit) -> Vec<(&'static str, String)> {
    let field = |der: &[u8]| format!(":{}:", Base64::encode_string(der));
    let chain: Vec<String> = unit.chain[1..].iter().map(|one| field(one)).collect();
    let mut fields = vec![("Client-Cert", field(&unit.chain[0]))];
    if !chain.is_empty() {
        fields.push(("Client-Cert-Chain", chain.join(", ")));
    }
    fields
}

fn ask(
    address: std::net::SocketAddr,
    unit: &[(&'static str, String)],
    path: &str,
) -> crate::server::kit::Answer {
    let fields: Vec<(&str, &str)> = unit.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Wire::to(address).ask_with("GET", path, &fields, b"")
}

#[test]
fn a_configured_proxy_says_who_a_device_is_and_the_path_is_verified_again() {
    let (fleet, stranger) = (Fleet::new(), Fleet::new());
    let server = fleet.serve("without_tls = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1\"]", "");
    let address = server.fleet_plain[0];
    let unit = fleet.enrolled(&server);
    let path = "/v1/devices/self";
    assert_eq!(ask(address, &fields(&unit), path).json()["device"], unit.device.as_str());
    assert_eq!(ask(address, &[], path).code(), (401, "no-certificate".into()));
    let foreign = stranger.factory();
    assert_eq!(ask(address, &fields(&foreign), path).code(), (403, "bad-certificate".into()));
    let alone = vec![fields(&unit).remove(0)];
    assert_eq!(
        ask(address, &alone, path).code(),
        (403, "bad-certificate".into()),
        "the CA between is missing"
    );
    for odd in ["", "MIIB", ":MIIB", ":!!!!:", "::"] {
        let (status, _) = ask(address, &[("Client-Cert", odd.into())], path).code();
        assert!(status == 400 || status == 403, "{odd}: {status}");
    }
    let twice = [fields(&unit), fields(&unit)].concat();
    assert_eq!(ask(address, &twice, path).code(), (400, "malformed".into()));
    let chain_only = vec![fields(&unit).remove(1)];
    assert_eq!(ask(address, &chain_only, path).code(), (400, "malformed".into()));
    // Lab mode is off: nobody is a device by saying so.
    let named = [("Perennial-Device", unit.device.to_string())];
    assert_eq!(ask(address, &named, path).code(), (401, "no-certificate".into()));
}

#[test]
fn from_any_other_address_the_header_is_refused() {
    let fleet = Fleet::new();
    let server = fleet.serve("without_tls = [\"127.0.0.1:0\"]\nproxies = [\"192.0.2.0/24\"]", "");
    let unit = fleet.enrolled(&server);
    let answer = ask(server.fleet_plain[0], &fields(&unit), "/v1/devices/self");
    assert_eq!(answer.code(), (400, "client-cert-not-allowed".into()));
}

#[test]
fn a_laboratory_needs_no_certificates_and_speaks_for_no_enrolled_device() {
    let fleet = Fleet::new();
    let server = fleet.serve("without_tls = [\"127.0.0.1:0\"]\nlab = true", "");
    let address = server.fleet_plain[0];
    let unit = fleet.enrolled(&server);
    let device: DeviceId = "bench-7".parse().unwrap();
    let post = |device: &DeviceId, path: &str| {
        let body = queue(device, &[1], day(1)).to_string();
        let body =
            if path.ends_with("batch") { batch(&[json!({ "reports": body })]) } else { body.into_bytes() };
        Wire::to(address).ask_with("POST", path, &[], &body)
    };
    assert_eq!(post(&device, "/v1/reports").json()["acknowledged"], 1);
    assert_eq!(
        post(&"bench-8".parse().unwrap(), "/v1/reports/batch").json()["answers"][0]["acknowledged"],
        1
    );
    assert_eq!(post(&unit.device, "/v1/reports").code(), (403, "other-device".into()));
    assert_eq!(post(&unit.device, "/v1/reports/batch").json()["answers"][0]["code"], "other-device");
    let named = [("Perennial-Device", "bench-7")];
    let said = Wire::to(address).ask_with("PUT", "/v1/devices/self", &named, &check_in(day(1), None));
    assert_eq!(said.json()["acknowledged"], 1);
    let held = Wire::to(address).ask_with("GET", "/v1/devices/self", &named, b"").json();
    assert_eq!((held["standing"].as_str(), held["events"][0]["lab"].as_bool()), (Some("lab"), Some(true)));
    let status = fleet.kit.command(["status", "--state", fleet.kit.state().to_str().unwrap()]).ok();
    assert!(status.contains("ALARM: LAB MODE"), "{status}");
    let request = Wire::to(address).ask_with("POST", "/v1/enrol", &named, b"{}");
    assert_eq!(request.code(), (403, "not-offered".into()));
}
