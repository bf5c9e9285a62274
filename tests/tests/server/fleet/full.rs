//! A disk without a byte left. The reserve keeps a server from it, as long as nobody else fills the disk: here somebody does,
//! and here a server without a reserve meets the end itself.

use super::kit::queue;
use super::limits::process;
use crate::server::kit::{Answer, Kit, Wire, eventually, get};
use perennial_schemas::fleet::DeviceId;
use perennial_tests::simulator::day;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reports of one queue.
const REPORTS: u64 = 100;

#[test]
#[ignore = "needs a small disk that may be filled: tests/run full-disk mounts one"]
fn a_disk_without_a_byte_left_loses_nothing_that_was_acknowledged() {
    let disk = PathBuf::from(std::env::var("PERENNIAL_SMALL_DISK").expect("tests/run full-disk sets it"));
    let kit = Kit::live();
    for engine in ["fjall", "sled"] {
        for reserve in ["64MiB", "0MiB"] {
            let state = disk.join(format!("{engine}-{reserve}"));
            let copied = Command::new("cp").arg("-r").args([&kit.state(), &state]).status().unwrap();
            assert!(copied.success());
            let config = kit.path("server.toml");
            let text = format!(
                "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n\
                 [fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]\nrate = 100000\nburst = 100000\ndaily_reports = \"1GiB\"\n\
                 [store]\nengine = {engine:?}\nreserve = {reserve:?}\n",
                state.to_str().unwrap()
            );
            std::fs::write(&config, text).unwrap();
            let status = fill_and_make_room(&config, &disk, reserve != "0MiB");
            println!("{engine} with a reserve of {reserve}: refused with {status}, and nothing is lost");
            std::fs::remove_dir_all(&state).unwrap();
        }
    }
}

/// How the device was refused.
fn fill_and_make_room(config: &Path, disk: &Path, reserved: bool) -> u16 {
    let device: DeviceId = "d-1".parse().unwrap();
    let (mut server, mut addresses) = process(config);
    let address = |addresses: &serde_json::Value, name: &str| -> SocketAddr {
        addresses[name][0].as_str().unwrap().parse().unwrap()
    };
    let mut acknowledged = 0;
    let send = |addresses: &serde_json::Value, acknowledged: &mut u64| -> Answer {
        let sequences: Vec<u64> = (*acknowledged + 1..=*acknowledged + REPORTS).collect();
        let body = queue(&device, &sequences, day(1)).to_string();
        let mut wire = Wire::to(address(addresses, "fleet_plain"));
        let answer = wire.ask_with("POST", "/v1/reports", &[], body.as_bytes());
        if answer.status == 200 {
            *acknowledged = answer.json()["acknowledged"].as_u64().unwrap();
        }
        answer
    };
    for _ in 0..3 {
        assert_eq!(send(&addresses, &mut acknowledged).status, 200);
    }
    let ballast = disk.join("ballast");
    fill(&ballast);
    let mut refused = send(&addresses, &mut acknowledged);
    assert!(!reserved || refused.status == 507, "{refused:?}");
    while refused.status == 200 {
        refused = send(&addresses, &mut acknowledged);
    }
    // The reserve refuses before an engine is torn; an engine that was torn may be gone until it is opened anew.
    assert!(refused.status == 507 || !reserved && refused.status == 503, "{refused:?}");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(get(address(&addresses, "plain"), "/healthz").status, 200);
    std::fs::remove_file(&ballast).unwrap();
    if !reserved {
        server.kill().unwrap();
        server.wait().unwrap();
        (server, addresses) = process(config);
    }
    let before = acknowledged;
    eventually("reports are taken again", || send(&addresses, &mut acknowledged).status == 200);
    assert!(acknowledged > before);
    let own = [("Perennial-Device", device.as_str())];
    let held =
        Wire::to(address(&addresses, "fleet_plain")).ask_with("GET", "/v1/devices/self", &own, b"").json();
    let (last, all) = (held["last_sequence"].as_u64().unwrap(), held["reports"].as_u64().unwrap());
    assert!(last >= acknowledged && last == all, "{acknowledged} acknowledged: {held}");
    assert_eq!(held["gaps"], 0, "{held}");
    server.kill().unwrap();
    server.wait().unwrap();
    refused.status
}

/// Takes all the room that there is.
fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).unwrap();
    for size in [1 << 20, 4096, 1] {
        let piece = vec![0xa5; size];
        while file.write_all(&piece).is_ok() {
            assert!(file.metadata().unwrap().len() < 2 << 30, "a small disk, as it is filled");
        }
    }
    file.sync_all().unwrap();
}
