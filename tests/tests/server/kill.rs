//! Power cuts and full disks while a bundle is taken in: the old generation is served, or the new one.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::kit::{Folder, Kit, eventually};
use perennial_device_core::crypto::Ring;
use perennial_schemas::crypto::Digest;
use perennial_tests::simulator::Device;

const SERVER: &str = env!("CARGO_BIN_EXE_tested-server");

fn server(args: &[&str]) -> Child {
    Command::new(SERVER).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Publishes the next version with a small target and a larger one.
fn next(kit: &mut Kit, number: u64) -> std::path::PathBuf {
    kit.target("cam/version", number.to_string());
    kit.target("cam/image", vec![number as u8; 1_500_000]);
    kit.publish(&format!("{number}.bundle"))
}

/// What is served is whole: a device takes it, and every target that it names has its digest. Gives the version.
fn served(kit: &Kit) -> u64 {
    let to = kit.path("site");
    let _ = std::fs::remove_dir_all(&to);
    kit.command(["export-site", to.to_str().unwrap(), "--state", kit.state().to_str().unwrap()]).ok();
    let mut device = Device::born_with(kit.repository.first_root());
    device.clock = (kit.clock.now())();
    let mut content = |name: &str| {
        let found = device.find(&mut Folder(to.clone()), &format!("cam/{name}")).unwrap().unwrap();
        let hash = found.hashes["sha256"].clone();
        let bytes = std::fs::read(to.join(format!("targets/cam/{hash}.{name}"))).unwrap();
        assert_eq!(Ring.sha256(&bytes).to_string(), hash, "{name}");
        bytes
    };
    let version: u64 = String::from_utf8(content("version")).unwrap().parse().unwrap();
    assert!(content("image") == vec![version as u8; 1_500_000], "a mixture of generations is served");
    version
}

/// Pseudo-random numbers below `bound`; the seed is printed with a failure.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = u64::from(std::process::id());
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn killed_at_any_moment_a_command_leaves_the_old_generation_or_the_new_one() {
    let mut kit = Kit::live();
    let state = kit.state().to_str().unwrap().to_owned();
    let bundle = next(&mut kit, 1);
    let began = Instant::now();
    let first = server(&["ingest", bundle.to_str().unwrap(), "--state", &state]).wait().unwrap();
    assert!(first.success());
    let whole = began.elapsed().as_micros() as u64;
    let (mut dice, mut before, mut both) = (Dice::new(), 1, [0, 0]);
    for number in 2..=25 {
        let bundle = next(&mut kit, number);
        let mut child = server(&["ingest", bundle.to_str().unwrap(), "--state", &state]);
        std::thread::sleep(Duration::from_micros(dice.below(whole * 5 / 4)));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = served(&kit);
        assert!(now == before || now == number, "version {now} is served after {before} and {number}");
        both[usize::from(now == number)] += 1;
        before = now;
    }
    println!("killed before the commit {} times, after it {} times", both[0], both[1]);
    // The next one goes through, whatever was left lying about.
    let bundle = next(&mut kit, 26);
    kit.ingest(&bundle).ok();
    assert_eq!(served(&kit), 26);
    assert!(!kit.state().join("incoming").exists());
}

#[test]
fn killed_at_any_moment_a_server_comes_back_with_the_old_generation_or_the_new_one() {
    let mut kit = Kit::live();
    let bundle = next(&mut kit, 1);
    kit.ingest(&bundle).ok();
    let config = kit.path("server.toml");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n",
        kit.state().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let (mut dice, mut before) = (Dice::new(), 1);
    for number in 2..=8 {
        let bundle = next(&mut kit, number);
        let mut running = server(&["serve", "--config", config.to_str().unwrap()]);
        eventually("the server is there", || answers(&kit.state().join("admin.sock")));
        let mut pushing = server(&["ingest", bundle.to_str().unwrap(), "--config", config.to_str().unwrap()]);
        std::thread::sleep(Duration::from_micros(dice.below(250_000)));
        running.kill().unwrap();
        running.wait().unwrap();
        pushing.wait().unwrap();
        let now = served(&kit);
        assert!(now == before || now == number, "version {now} is served after {before} and {number}");
        before = now;
    }
}

fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[test]
fn a_full_disk_refuses_the_bundle_and_keeps_what_was_served() {
    let mut kit = Kit::live();
    let bundle = next(&mut kit, 1);
    kit.ingest(&bundle).ok();
    let before = kit.everything();
    let bundle = next(&mut kit, 2);
    // No file may grow past 512 KiB (1024 blocks of 512 bytes): the system's answer is an error, as for a full disk.
    let script = r#"trap "" XFSZ; ulimit -f 1024; exec "$@""#;
    let arguments = [SERVER, "ingest", bundle.to_str().unwrap(), "--state"];
    let ran =
        Command::new("sh").args(["-c", script, "sh"]).args(arguments).arg(kit.state()).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success());
    assert!(said.contains("File too large"), "{said}");
    assert!(
        said.ends_with("hint: make room on the disk; nothing was changed, the old state is served\n"),
        "{said}"
    );
    assert!(kit.everything() == before, "a refused bundle changed the state folder");
    assert_eq!(served(&kit), 1);
    kit.ingest(&bundle).ok();
    assert_eq!(served(&kit), 2);
}
