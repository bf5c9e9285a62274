//! kill -9 at any moment of an update, and going on.

use std::process::{Command, Stdio};
use std::time::Duration;

use perennial_tests::maker::{Maker, image};

use super::kit::Device;

/// Long enough that an update takes many steps.
const LENGTH: usize = 3_000_000;

#[test]
fn killed_at_any_moment_a_device_goes_on_and_always_has_a_good_slot() {
    let images = [image("GOOD 1", LENGTH), image("GOOD 2", LENGTH)];
    let mut maker = Maker::of(&images[..1]);
    let (device, folder) = Device::with_folder(&maker);
    device.run(&["update"]).ok();
    maker.release("2.0.0", 2, &images[1]);
    maker.write(&folder);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut random = u64::from(seed);
    let mut kills = 0;
    loop {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut child = Command::new(env!("CARGO_BIN_EXE_tested-device"))
            .args(device.arguments(&["update"]))
            .env("PERENNIAL_LOG", "off")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // When it is hit is a matter of chance, and so is whether at all: both are fine. Later kills come later.
        std::thread::sleep(
            Duration::from_millis(random >> 33).min(Duration::from_millis(random % (20 + 10 * kills))),
        );
        child.kill().unwrap();
        let ended = child.wait_with_output().unwrap();
        kills += 1;
        let booted = std::fs::read_to_string(device.path("state/booted")).unwrap();
        let good = if booted.trim() == "A" {
            (device.slot("a"), &images[1])
        } else {
            (device.slot("b"), &images[0])
        };
        assert!(good.0 == *good.1, "after {kills} kills slot {booted} does not hold what it should");
        if ended.status.code().is_some() || kills > 200 {
            assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
            break;
        }
    }
    println!("{kills} kills");
    assert_eq!(device.running(), "2.0.0");
    assert_eq!(device.status()["anti_rollback_counter"], 2);
}

#[test]
fn a_signal_ends_the_agent_in_good_order() {
    let maker = Maker::of(&[image("GOOD 1", 100_000)]);
    let (device, _) = Device::with_folder(&maker);
    device.configure(|text| text.replace("check_seconds = 14400", "check_seconds = 60"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_tested-device"))
        .args(device.arguments(&["run"]))
        .env("PERENNIAL_LOG", "off")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It looks for updates by itself, a few seconds after it has started.
    while device.running() != "1.0.0" {
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(50));
    }
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    device.run(&["update"]).ok();
}
