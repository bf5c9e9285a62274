//! Too much of everything: of one device's requests, of connections that say nothing, of what the disk can hold.

use super::kit::{Fleet, Unit, batch, queue, signed};
use crate::server::kit::{Kit, Wire, eventually};
use perennial_schemas::fleet::DeviceId;
use perennial_tests::simulator::day;
use std::io::Write;
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

/// A batch that one device signed, padded with spaces to so many bytes.
fn padded(fleet: &Fleet, unit: &Unit, sequence: u64, length: usize) -> Vec<u8> {
    let mut body = batch(&[signed(unit, &fleet.queue(&unit.device, &[sequence]).to_string())]);
    body.resize(length, b' ');
    body
}

#[test]
fn a_slow_large_body_gives_its_room_up_to_others_once_its_grace_is_over_and_not_before() {
    const ROOM: usize = 8 << 20;
    let fleet = Fleet::new();
    for (slow_after, gives_way) in [("1h", false), ("1s", true)] {
        let more = format!("large_bodies = \"8MiB\"\nslow_after = \"{slow_after}\"");
        let server = fleet.serve(&more, "[limits]\nbody = \"60s\"\n");
        let (slow, other) = (fleet.enrolled(&server), fleet.enrolled(&server));
        // All the room is its own, and a part of it comes.
        let body = padded(&fleet, &slow, 1, ROOM);
        let mut dripping = fleet.connect(&server, &slow);
        dripping.send(&format!(
            "POST /v1/reports/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {ROOM}\r\n\r\n"
        ));
        dripping.0.write_all(&body[..100_000]).unwrap();
        dripping.0.flush().unwrap();
        eventually("the slow body has its room", || server.metrics().fleet.large_bodies.get() == 8 << 20);
        let ask = |sequence| {
            let body = padded(&fleet, &other, sequence, 40_000);
            fleet.connect(&server, &other).ask_with("POST", "/v1/reports/batch", &[], &body)
        };
        if gives_way {
            eventually("the other one has its room", || ask(2).status == 200);
            assert_eq!(dripping.read(false).code(), (408, "too-slow".into()));
        } else {
            let refused = ask(1);
            assert_eq!(refused.code(), (503, "busy".into()));
            assert!(!refused.header("retry-after").is_empty());
            // It was slow, and comes to its end: nobody has taken its room.
            dripping.0.write_all(&body[100_000..]).unwrap();
            dripping.0.flush().unwrap();
            let taken = dripping.read(false).json();
            assert_eq!(taken["answers"][0]["acknowledged"], 1, "{taken}");
            assert_eq!(ask(1).status, 200);
        }
        server.stop();
    }
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
