//! The server as a process: what it tells systemd, what it logs, how it ends.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::kit::{Kit, get};

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_service_tells_systemd_how_it_is_logs_json_and_ends_when_told() {
    let mut kit = Kit::live();
    kit.target("cam/a", "a");
    let bundle = kit.publish("first.bundle");
    kit.ingest(&bundle).ok();
    let config = kit.path("server.toml");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [log]\nformat = \"json\"\naccess = true\n",
        kit.state().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let systemd = UnixDatagram::bind(kit.path("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let told = || {
        let mut buffer = [0; 512];
        let length = systemd.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_tested-server"))
        .args(["serve", "--json", "--config", config.to_str().unwrap()])
        .env("NOTIFY_SOCKET", kit.path("notify"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told().trim(), "READY=1");
    let address = addresses["plain"][0].as_str().unwrap().parse().unwrap();
    // Both cores answer: the kernel spreads the connections.
    for _ in 0..20 {
        assert_eq!(get(address, "/metadata/timestamp.json").status, 200);
    }
    assert_eq!(get(address, "/readyz").status, 200);

    signal(&child, "HUP");
    assert!(told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(told().trim(), "READY=1");
    signal(&child, "TERM");
    assert_eq!(told().trim(), "STOPPING=1");
    assert!(child.wait().unwrap().success());
    assert!(!kit.state().join("admin.sock").exists());

    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let asked = lines.iter().filter(|line| line["path"] == "/metadata/timestamp.json");
    assert_eq!(asked.count(), 20, "{log}");
    assert!(!log.contains("127.0.0.1"), "addresses of readers are not logged: {log}");
}
