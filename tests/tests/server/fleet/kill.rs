//! kill -9 while devices report, so many at once that batches are folded ahead: nothing that was acknowledged is lost, and
//! nothing is counted twice. `PERENNIAL_KILLS=200` is the long run; PostgreSQL, which is killed too, needs `tests/run postgres`.

use super::kit::queue;
use super::limits::process;
use crate::server::kit::{Kit, Wire, eventually, get};
use perennial_device_core::crypto::Ring;
use perennial_schemas::Digest as _;
use perennial_schemas::fleet::DeviceId;
use perennial_tests::simulator::day;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const DEVICES: usize = 12;
/// Reports of one queue. All devices' together are more than are folded ahead of a commit under way.
const REPORTS: u64 = 100;
/// Kills of each engine, unless the environment says more.
const KILLS: u64 = 4;

#[test]
fn no_acknowledged_report_is_lost_and_none_counted_twice() {
    for engine in ["fjall", "sled"] {
        kill_while_devices_report(&format!("engine = {engine:?}"), None);
    }
}

/// The database is killed as well, before every second kill of the server, which then refuses what isn't durable.
#[test]
#[ignore = "needs a database that may be killed: tests/run postgres starts one"]
fn no_acknowledged_report_is_lost_and_none_counted_twice_in_a_database_that_is_killed_too() {
    let store = format!("engine = \"postgres\"\nurl_file = {:?}", named("PERENNIAL_POSTGRES_URL_FILE"));
    kill_while_devices_report(&store, Some(["PERENNIAL_KILL_DATABASE", "PERENNIAL_START_DATABASE"]));
}

/// What the environment says.
fn named(name: &str) -> String {
    std::env::var(name).expect("tests/run postgres sets it")
}

/// Runs the command that the environment names.
fn shell(name: &str) {
    let ran = Command::new("sh").args(["-c", &named(name)]).stdout(Stdio::null()).status().unwrap();
    assert!(ran.success(), "{name}");
}

/// With this in `[store]`; `database` kills and starts what it leads to.
fn kill_while_devices_report(store: &str, database: Option<[&str; 2]>) {
    let kills = std::env::var("PERENNIAL_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let kit = Kit::live();
    let config = kit.path("server.toml");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n\
         [fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]\nrate = 100000\nburst = 100000\ndaily_reports = \"1GiB\"\n[store]\n{store}\n",
        kit.state().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let acknowledged: [AtomicU64; DEVICES] = Default::default();
    let mut sent = 0;
    for kill in 0..kills {
        let (mut server, addresses) = process(&config);
        let address: SocketAddr = addresses["fleet_plain"][0].as_str().unwrap().parse().unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (number, acknowledged) in acknowledged.iter().enumerate() {
                let over = &over;
                scope.spawn(move || report(address, number, acknowledged, over));
            }
            std::thread::sleep(Duration::from_millis(150 + 70 * (kill % 9)));
            let database = database.filter(|_| kill % 2 == 1);
            if let Some([kill, _]) = database {
                shell(kill);
                std::thread::sleep(Duration::from_millis(100));
            }
            server.kill().unwrap();
            over.store(true, Ordering::SeqCst);
            if let Some([_, start]) = database {
                shell(start);
            }
        });
        server.wait().unwrap();
        let now: u64 = acknowledged.iter().map(|one| one.load(Ordering::SeqCst)).sum();
        assert!(now >= sent);
        sent = now;
    }
    assert!(sent > 0);
    println!("{store}: {kills} kills, {sent} reports acknowledged");
    let (mut server, addresses) = process(&config);
    let address: SocketAddr = addresses["fleet_plain"][0].as_str().unwrap().parse().unwrap();
    for (number, acknowledged) in acknowledged.iter().enumerate() {
        let named = device(number).to_string();
        let held = Wire::to(address)
            .ask_with("GET", "/v1/devices/self", &[("Perennial-Device", &named)], b"")
            .json();
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        let last = held["last_sequence"].as_u64().unwrap();
        assert!(last >= acknowledged, "{last} < {acknowledged}");
        // As many as there are numbers: none is missing, and what was sent again counts once.
        assert_eq!(
            (held["reports"].as_u64(), held["gaps"].as_u64()),
            (Some(last), Some(0)),
            "device {number}"
        );
        assert!(held["flags"].get("sequence-forked").is_none(), "{}", held["flags"]);
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// The database that the environment names, killed by the commands that it names: what isn't durable isn't acknowledged, devices
/// are told when to come again, updates go on, and nothing has to be started again.
#[test]
#[ignore = "needs a database that may be killed: tests/run postgres starts one"]
fn a_database_that_is_gone_is_told_to_devices_who_come_again() {
    let mut kit = Kit::live();
    kit.target("cam/1.0.0.a.image.zst", "an image");
    let config = kit.path("server.toml");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n\
         [fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]\nrate = 1000\nburst = 1000\ndaily_reports = \"1GiB\"\n\
         [store]\nengine = \"postgres\"\nurl_file = {:?}\n",
        kit.state().to_str().unwrap(),
        named("PERENNIAL_POSTGRES_URL_FILE")
    );
    std::fs::write(&config, text).unwrap();
    let bundle = kit.publish("first.bundle");
    kit.command(["ingest", bundle.to_str().unwrap(), "--config", config.to_str().unwrap()]).ok();
    let (mut server, addresses) = process(&config);
    let address = |name: &str| -> SocketAddr { addresses[name][0].as_str().unwrap().parse().unwrap() };
    let send = |number: usize, sequence: u64| {
        let body = queue(&device(number), &[sequence], day(1)).to_string();
        let mut wire = Wire::to(address("fleet_plain"));
        // A database that is gone is waited for, by one batch after another.
        wire.0.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        wire.ask_with("POST", "/v1/reports", &[], body.as_bytes())
    };
    for number in 0..DEVICES {
        assert_eq!(send(number, 1).json()["acknowledged"], 1);
    }
    shell("PERENNIAL_KILL_DATABASE");
    let image = format!("/targets/cam/{}.1.0.0.a.image.zst", Ring.sha256(b"an image"));
    // Each waits for as long as the server hopes, so they ask at once.
    let refused = |round: u64| {
        std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..DEVICES).map(|number| scope.spawn(move || send(number, 1 + round))).collect();
            for path in ["/metadata/timestamp.json", image.as_str(), "/healthz"] {
                assert_eq!(get(address("plain"), path).status, 200, "{path}");
            }
            for asked in asking {
                let refused = asked.join().unwrap();
                assert_eq!(refused.code(), (503, "unavailable".into()));
                assert!(!refused.header("retry-after").is_empty());
            }
        });
    };
    (1..=2).for_each(refused);
    shell("PERENNIAL_START_DATABASE");
    eventually("the report is taken", || send(0, 2).status == 200);
    for number in 0..DEVICES {
        assert_eq!(send(number, 2).json()["acknowledged"], 2);
        let named = device(number).to_string();
        let own = [("Perennial-Device", named.as_str())];
        let held = Wire::to(address("fleet_plain")).ask_with("GET", "/v1/devices/self", &own, b"").json();
        assert_eq!((&held["reports"], &held["last_sequence"]), (&2.into(), &2.into()), "{held}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

fn device(number: usize) -> DeviceId {
    format!("d-{number}").parse().unwrap()
}

/// One device: sends its next reports until they are acknowledged, as a journal does, until the server is gone.
fn report(address: SocketAddr, number: usize, acknowledged: &AtomicU64, over: &AtomicBool) {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    while !over.load(Ordering::SeqCst) {
        let next = acknowledged.load(Ordering::SeqCst) + 1;
        let last = next + REPORTS - 1;
        let sequences: Vec<u64> = (next..=last).collect();
        let body = queue(&device(number), &sequences, day(1)).to_string();
        let head =
            format!("POST /v1/reports HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while !answer.ends_with(b"}") {
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(read) => answer.extend_from_slice(&piece[..read]),
            }
        }
        let answer = String::from_utf8(answer).unwrap();
        // The database is gone, or gone and back: the device tells it once more.
        if answer.starts_with("HTTP/1.1 503") {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("\"acknowledged\":{last}")),
            "{answer}"
        );
        acknowledged.store(last, Ordering::SeqCst);
    }
}
