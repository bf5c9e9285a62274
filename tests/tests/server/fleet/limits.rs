//! Too much of everything: of one device's requests, of connections that say nothing, of what the disk can hold.

use super::kit::{Fleet, Unit, batch, check_in, queue, signed};
use crate::server::kit::{Wire, eventually, get};
use perennial_schemas::fleet::DeviceId;
use perennial_tests::simulator::day;
use socket2::{Domain, Socket, Type};
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
    // A busy machine may take the second in which one more is earned.
    let mut refused = show();
    while refused.status == 200 {
        refused = show();
    }
    assert_eq!(refused.code(), (429, "rate".into()));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(fleet.report(&server, &other, &[1]).status, 200);
}

#[test]
fn one_device_hands_in_no_more_than_its_days_worth_and_takes_nobody_elses_room() {
    let fleet = Fleet::new();
    let server = fleet.serve("daily_reports = \"512KiB\"", "");
    let (unit, other) = (fleet.enrolled(&server), fleet.enrolled(&server));
    let long = |unit: &Unit, first: u64| {
        let mut queue = fleet.queue(&unit.device, &(first..first + 100).collect::<Vec<_>>());
        for report in queue["reports"].as_array_mut().unwrap() {
            report["detail"] = "x".repeat(3000).into();
        }
        queue.to_string().into_bytes()
    };
    let send =
        |unit: &Unit, body: &[u8]| fleet.connect(&server, unit).ask_with("POST", "/v1/reports", &[], body);
    assert_eq!(send(&unit, &long(&unit, 1)).status, 200);
    let refused = send(&unit, &long(&unit, 101));
    assert_eq!(refused.code(), (429, "rate".into()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 3600);
    // A short one has room still, and gateways and others have their own.
    assert_eq!(fleet.report(&server, &unit, &[101]).status, 200);
    let carried = batch(&[signed(&unit, &String::from_utf8(long(&unit, 102)).unwrap())]);
    let by_gateway = fleet.connect(&server, &other).ask_with("POST", "/v1/reports/batch", &[], &carried);
    assert_eq!(by_gateway.json()["answers"][0]["acknowledged"], 201);
    let carried = batch(&[signed(&unit, &String::from_utf8(long(&unit, 202)).unwrap())]);
    let by_gateway = fleet.connect(&server, &other).ask_with("POST", "/v1/reports/batch", &[], &carried);
    assert_eq!(by_gateway.json()["answers"][0]["code"], "rate", "{}", by_gateway.json());
    assert_eq!(send(&other, &long(&other, 1)).status, 200);
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
    // Certificates that last by the system's clock, which the server's process goes by.
    let maker = Fleet::live();
    let config = maker.kit.path("server.toml");
    let fleet = maker.toml("lab = true\nwithout_tls = [\"127.0.0.1:0\"]", "");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n{fleet}\
         [limits]\nconnections = 10000\nconnections_per_address = 0\nbody = \"1s\"\n",
        maker.kit.state().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let (mut server, addresses) = process(&config);
    let address = |name: &str| -> SocketAddr { addresses[name][0].as_str().unwrap().parse().unwrap() };
    raise_descriptor_limit();
    let silent = |to: SocketAddr| -> Vec<TcpStream> {
        let one = |number| TcpStream::connect(to).unwrap_or_else(|error| panic!("after {number}: {error}"));
        (0..10_000).map(one).collect()
    };
    // The one that has rested longest makes room, and the static plane has connections of its own.
    let held = silent(address("fleet_plain"));
    let device: DeviceId = "d-1".parse().unwrap();
    let body = queue(&device, &[1], day(1)).to_string();
    let answer = Wire::to(address("fleet_plain")).ask_with("POST", "/v1/reports", &[], body.as_bytes());
    assert_eq!(answer.json()["acknowledged"], 1);
    assert_eq!(get(address("plain"), "/healthz").status, 200);
    drop(held);
    // The same before a handshake, and of a device whose body never comes.
    let held = silent(address("fleet_tls"));
    let unit = maker.factory();
    let connect = || maker.connect_to(address("fleet_tls"), Some(&unit), &rustls::version::TLS13);
    assert_eq!(connect().ask_with("GET", "/v1/devices/self", &[], b"").code(), (403, "not-enrolled".into()));
    let mut slow = connect();
    slow.send("POST /v1/enrol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{");
    assert_eq!(slow.read(false).code(), (408, "too-slow".into()));
    assert_eq!(get(address("plain"), "/healthz").status, 200);
    assert_eq!(held.len(), 10_000);
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn no_address_is_stored_or_written_into_a_log() {
    const PEER: &str = "127.0.54.77";
    let maker = Fleet::live();
    let config = maker.kit.path("server.toml");
    let fleet = maker.toml("lab = true\nwithout_tls = [\"127.0.0.1:0\"]", "");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n{fleet}\
         [log]\nlevel = \"debug\"\n",
        maker.kit.state().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let log = maker.kit.path("server.log");
    let (mut server, addresses) = process_with(&config, std::fs::File::create(&log).unwrap().into());
    let from = |name: &str| -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(PEER.parse().unwrap(), 0).into()).unwrap();
        let to: SocketAddr = addresses[name][0].as_str().unwrap().parse().unwrap();
        socket.connect(&to.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), PEER);
        stream
    };
    // What is taken, what is refused, and what never becomes a request.
    let device: DeviceId = "d-1".parse().unwrap();
    let body = queue(&device, &[1, 2], day(1)).to_string();
    let ask = |method: &str, path: &str, body: &[u8]| {
        Wire(from("fleet_plain")).ask_with(method, path, &[("Perennial-Device", "d-1")], body).status
    };
    assert_eq!(ask("POST", "/v1/reports", body.as_bytes()), 200);
    assert_eq!(ask("POST", "/v1/reports", body.replace("2.1.0", "2.1.1").as_bytes()), 200);
    assert_eq!(ask("PUT", "/v1/devices/self", &check_in(day(1), None)), 200);
    assert_eq!(ask("POST", "/v1/reports", b"{"), 400);
    assert_eq!(Wire(from("plain")).ask("GET", "/metadata/timestamp.json", &[]).status, 404);
    let unit = maker.enrol_by(maker.connect_over(
        from("fleet_tls"),
        Some(&maker.factory()),
        &rustls::version::TLS13,
    ));
    let unit = unit.unwrap();
    let mut wire = maker.connect_over(from("fleet_tls"), Some(&unit), &rustls::version::TLS13);
    let body = maker.queue(&unit.device, &[1]).to_string();
    assert_eq!(wire.ask_with("POST", "/v1/reports", &[], body.as_bytes()).status, 200);
    from("fleet_tls").write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(Wire(from("fleet_tls")).0.write_all(&[0; 64]).is_ok());
    let state = maker.kit.state();
    let said = |args: &[&str]| {
        let args = args.iter().copied().chain(["--state", state.to_str().unwrap()]);
        maker.kit.command(args.collect::<Vec<_>>()).ok()
    };
    let export = maker.kit.path("records.export");
    said(&["device", "revoke", "d-1", "--reason", "x"]);
    let told = [
        said(&["device", "show", "d-1", "--json"]),
        said(&["device", "show", unit.device.as_str(), "--json"]),
        said(&["audit", "list", "--json"]),
        said(&["status", "--json"]),
    ];
    said(&["store", "export", export.to_str().unwrap()]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(told[0].contains("sequence-forked") && told[2].contains("device.revoked"), "{told:?}");
    let mut files = vec![log, export];
    let mut folders = vec![state.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else if path.is_file() {
                files.push(path)
            }
        }
    }
    let holds = |bytes: &[u8]| bytes.windows(PEER.len()).any(|window| window == PEER.as_bytes());
    assert!(told.iter().all(|text| !holds(text.as_bytes())), "{told:?}");
    for file in files {
        assert!(!holds(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
}

/// A server process, and the addresses that it prints.
pub(super) fn process(config: &std::path::Path) -> (std::process::Child, serde_json::Value) {
    process_with(config, Stdio::null())
}

/// The same, with its log.
fn process_with(config: &std::path::Path, log: Stdio) -> (std::process::Child, serde_json::Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tested-server"))
        .args(["serve", "--json", "--config", config.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(log)
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
