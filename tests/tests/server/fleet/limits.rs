//! Too much of everything: of one device's requests, of connections that say nothing, of what the disk can hold.

use super::kit::{Fleet, queue};
use crate::server::kit::{Kit, Wire, eventually};
use perennial_schemas::fleet::DeviceId;
use perennial_tests::simulator::day;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

#[test]
fn a_device_that_asks_too_often_is_told_when_to_ask_again_and_others_are_served() {
    let fleet = Fleet::new();
    let config = fleet.toml("", "").replace("rate = 1000\nburst = 1000\n", "rate = 1\nburst = 3\n");
    let server = fleet.kit.serve(&config);
    let (unit, other) = (fleet.enrolled(&server), fleet.enrolled(&server));
    let mut wire = fleet.connect(&server, &unit);
    let mut show = || wire.ask_with("GET", "/v1/devices/self", &[], b"");
    assert_eq!((show().status, show().status), (200, 200));
    let refused = show();
    assert_eq!(refused.code(), (429, "rate".into()));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(fleet.report(&server, &other, &[1]).status, 200);
}

#[test]
fn a_full_disk_is_told_and_what_was_acknowledged_stays() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let unit = fleet.enrolled(&server);
    assert_eq!(fleet.report(&server, &unit, &[1]).json()["acknowledged"], 1);
    server.stop();
    // The whole disk is kept free for other things.
    let server = fleet.serve("", "[store]\nreserve = \"1024TiB\"\n");
    let refused = fleet.report(&server, &unit, &[2]);
    assert_eq!(refused.code(), (507, "storage-full".into()));
    assert!(!refused.header("retry-after").is_empty());
    let mut wire = fleet.connect(&server, &unit);
    assert_eq!(wire.ask_with("GET", "/v1/devices/self", &[], b"").json()["reports"], 1);
    drop(wire);
    server.stop();
    let server = fleet.serve("", "");
    assert_eq!(fleet.report(&server, &unit, &[2]).json()["acknowledged"], 2);
}

#[test]
fn ten_thousand_connections_that_say_nothing_keep_nobody_out() {
    let kit = Kit::live();
    let config = kit.path("server.toml");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n\
         [fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]\n\
         [limits]\nconnections = 10000\nconnections_per_address = 0\n",
        kit.state().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let (mut server, addresses) = process(&config);
    let fleet: SocketAddr = addresses["fleet_plain"][0].as_str().unwrap().parse().unwrap();
    raise_descriptor_limit();
    let mut silent = Vec::new();
    while silent.len() < 10_000 {
        match TcpStream::connect(fleet) {
            Ok(stream) => silent.push(stream),
            Err(error) => panic!("after {}: {error}", silent.len()),
        }
    }
    // The one that has rested longest makes room, and the static plane has connections of its own.
    let device: DeviceId = "d-1".parse().unwrap();
    let body = queue(&device, &[1], day(1)).to_string();
    let answer = Wire::to(fleet).ask_with("POST", "/v1/reports", &[], body.as_bytes());
    assert_eq!(answer.json()["acknowledged"], 1);
    let plain: SocketAddr = addresses["plain"][0].as_str().unwrap().parse().unwrap();
    assert_eq!(Wire::to(plain).ask("GET", "/healthz", &[]).status, 200);
    assert_eq!(silent.len(), 10_000);
    server.kill().unwrap();
    server.wait().unwrap();
}

/// A server process, and the addresses that it prints.
pub(super) fn process(config: &std::path::Path) -> (std::process::Child, serde_json::Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tested-server"))
        .args(["serve", "--json", "--config", config.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    (child, serde_json::from_str(&line).expect(&line))
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    eventually("descriptors", || getrlimit(Resource::Nofile).current.is_none_or(|now| now > 11_000));
}
