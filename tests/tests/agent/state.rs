//! The state on disk: torn, lost, full, and looked at by two at once.

use std::process::Command;

use perennial_device::store::Lock;
use perennial_tests::maker::{Maker, image};

use super::kit::Device;

const LENGTH: usize = 700_000;

fn updated() -> (Device, Maker, std::path::PathBuf) {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, folder) = Device::with_folder(&maker);
    device.run(&["update"]).ok();
    (device, maker, folder)
}

fn tear(device: &Device, name: &str) {
    let path = device.path("state").join(name);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn one_torn_copy_of_each_record_costs_nothing() {
    let (device, mut maker, folder) = updated();
    for name in ["trust.1", "journal.2"] {
        tear(&device, name);
    }
    maker.release("2.0.0", 2, &image("GOOD 2", LENGTH));
    maker.write(&folder);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
}

#[test]
fn a_trust_state_that_is_lost_installs_nothing_until_it_is_recovered() {
    let (device, mut maker, folder) = updated();
    maker.release("2.0.0", 2, &image("GOOD 2", LENGTH));
    maker.write(&folder);
    for name in ["trust.1", "trust.2"] {
        tear(&device, name);
    }
    let before = device.durable();
    let (what, hint) = device.run(&["update"]).refused(1);
    assert!(what.contains("the trust record is lost"), "{what}");
    assert!(hint.starts_with("perennial-device recover"), "{hint}");
    assert_eq!(device.durable(), before);
    assert_eq!(device.status()["problems"][0], "the trust record is lost");
    // A state folder that is gone is no new device either.
    for name in ["trust.1", "trust.2"] {
        std::fs::remove_file(device.path("state").join(name)).unwrap();
    }
    device.run(&["check"]).refused(1);

    let said = device.run(&["recover"]).ok();
    assert!(said.starts_with("Begun again: the trust record is lost."), "{said}");
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
    assert!(device.run(&["recover"]).ok().starts_with("Nothing is lost"));
}

#[test]
fn a_journal_that_is_lost_installs_nothing_until_it_is_recovered() {
    let (device, mut maker, folder) = updated();
    maker.release("2.0.0", 2, &image("GOOD 2", LENGTH));
    maker.write(&folder);
    for name in ["journal.1", "journal.2"] {
        tear(&device, name);
    }
    let before = device.durable();
    // Torn or gone, nobody may take what runs for the factory's.
    let files = ["journal.1", "journal.2"].map(|name| device.path("state").join(name));
    let torn = files.clone().map(|file| std::fs::read(file).unwrap());
    for gone in [false, true] {
        if gone {
            files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        }
        let said = device.run(&["status"]).ok();
        assert!(
            said.contains("\nRunning:   unknown, in slot B; perennial-device recover begins again\n"),
            "{said}"
        );
        assert!(said.contains("\nFallback:  unknown\n") && !said.contains("factory"), "{said}");
    }
    files.iter().zip(torn).for_each(|(file, torn)| std::fs::write(file, torn).unwrap());
    let (what, _) = device.run(&["update"]).refused(1);
    assert!(what.starts_with("the journal is lost"), "{what}");
    assert_eq!(device.durable(), before);
    // Nothing says which release runs: an older one would be taken for a newer one.
    let (what, hint) = device.run(&["recover"]).refused(1);
    assert!(what.contains("nothing else says which release runs here"), "{what}");
    assert!(hint.contains("image_info") && hint.contains("--take-a-release-that-may-be-older"), "{hint}");
    assert_eq!(device.durable(), before);
    device.run(&["update"]).refused(1);
    device.run(&["recover", "--take-a-release-that-may-be-older-than-what-runs"]).ok();
    // It no longer knows what it runs, and takes the newest.
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
}

#[test]
fn an_image_that_says_what_it_is_brings_the_device_back_without_danger() {
    let (device, mut maker, folder) = updated();
    let old = maker.files();
    maker.release("2.0.0", 2, &image("GOOD 2", LENGTH));
    maker.write(&folder);
    device.run(&["check"]).ends(10);
    let info = device.path("image.json");
    let snapshot = maker.repository.snapshot.common.version;
    let text = format!(
        r#"{{"version": "1.0.0", "security_version": 1, "floors": {{"root": 1, "snapshot": {snapshot}}}}}"#
    );
    std::fs::write(&info, text).unwrap();
    device.configure(|text| format!("image_info = {info:?}\n{text}"));
    for record in ["journal", "trust", "floors"] {
        let copies = [1, 2].map(|copy| format!("{record}.{copy}"));
        copies
            .iter()
            .filter(|name| device.path("state").join(name).exists())
            .for_each(|name| tear(&device, name));
    }
    let said = device.run(&["recover", "--json"]).ok();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["begun_again"], serde_json::json!(["journal", "trust", "floors"]));
    // What was served before the image was made is refused, though nothing on the disk remembers it.
    std::fs::write(folder.join("metadata/timestamp.json"), &old["metadata/timestamp.json"]).unwrap();
    let (what, _) = device.run(&["update"]).refused(20);
    assert!(what.contains("older than version"), "{what}");
    maker.write(&folder);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
}

#[test]
fn a_counter_or_boot_control_that_is_damaged_installs_nothing() {
    for (name, words) in [("counter", "counter"), ("boot", "boot control")] {
        let (device, mut maker, folder) = updated();
        maker.release("2.0.0", 2, &image("GOOD 2", LENGTH));
        maker.write(&folder);
        tear(&device, name);
        let before = device.durable();
        let (what, _) = device.run(&["update"]).refused(1);
        assert!(what.contains(words), "{what}");
        assert_eq!(device.durable(), before);
    }
}

#[test]
fn two_agents_at_once_are_refused_and_status_still_answers() {
    let (device, _, _) = updated();
    let _lock = Lock::take(&device.path("state")).unwrap();
    for command in ["update", "check", "run", "confirm", "revert", "recover"] {
        let (what, hint) = device.run(&[command]).refused(1);
        assert!(what.starts_with("another agent (process "), "{what}");
        assert!(hint.contains("perennial-device status"), "{hint}");
    }
    assert_eq!(device.running(), "1.0.0");
    assert!(device.run(&["history"]).ok().contains("confirmed"));
}

/// The limit of a file's size stands for a full disk: writing past it fails in the middle.
#[test]
fn a_full_disk_loses_nothing() {
    let (device, mut maker, folder) = updated();
    maker.release("2.0.0", 2, &image("GOOD 2", LENGTH));
    maker.write(&folder);
    let slot = device.slot("b");
    // In blocks of 512 bytes: too little for the payload (200), for the image (1000), for nearly everything (8).
    for blocks in [1000, 200, 8] {
        let shell = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &shell, env!("CARGO_BIN_EXE_tested-device")])
            .args(device.arguments(&["update", "--retry-failed"]));
        let ended = command.env("PERENNIAL_LOG", "off").output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{blocks}: {ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).starts_with("error: "), "{ended:?}");
        assert_eq!(device.slot("b"), slot);
        assert_eq!(device.running(), "1.0.0");
        assert_eq!(device.status()["problems"].as_array().unwrap().len(), 0);
    }
    device.run(&["update", "--retry-failed"]).ok();
    assert_eq!(device.running(), "2.0.0");
}
