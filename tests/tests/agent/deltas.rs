//! Deltas from the maker's desk to a device: proposed and proved by the signer, published, taken, and passed over where
//! they are of no use.

use std::fs;
use std::path::PathBuf;

use perennial_tests::simulator::noise;

use super::kit::Device;
use crate::release::{TEAM, propose, release, with_images};
use crate::signer::desk::{Desk, publish};

/// Three images that share most of what they hold, none of which is easily compressed.
fn desk() -> Desk {
    let desk = with_images();
    let hex = |seed, length| noise(seed, length).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let first = hex(1, 60_000);
    let second = format!("{}{}{}", &first[..50_000], hex(2, 1_500), &first[50_200..]);
    let third = format!("{}{}{}", &second[..9_000], hex(3, 1_000), &second[9_000..]);
    desk.write("n1.bin", &first);
    desk.write("n2.bin", &second);
    desk.write("n3.bin", &third);
    desk
}

fn device(desk: &Desk) -> Device {
    let root = fs::read(desk.path("repo/metadata/1.root.json")).unwrap();
    let mut device = Device::born_with(&root, desk.path("repo").to_str().unwrap());
    device.clock = perennial_schemas::Timestamp::from_unix(desk.now());
    device
}

/// The published file whose name ends so.
fn published(desk: &Desk, end: &str) -> PathBuf {
    let files =
        fs::read_dir(desk.path("repo/targets/thermostat")).unwrap().map(|entry| entry.unwrap().path());
    let ends = |path: &PathBuf| path.to_str().unwrap().ends_with(end);
    files.into_iter().find(ends).unwrap_or_else(|| panic!("{end} is published"))
}

#[test]
fn a_release_travels_as_a_delta_from_the_desk_to_a_device() {
    let desk = desk();
    release(&desk, "1.0.0", "n1.bin");
    let device = device(&desk);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "1.0.0");

    let report = desk.ok(&propose(&desk, "1.1.0", "n2.bin", "--delta-last 3 --jobs 1 --memory-limit 256M"));
    assert!(report.contains("from 1.0.0, proved ("), "{report}");
    let review = desk.ok("review");
    assert!(review.contains("bytes to download (delta from 1.0.0)"), "{review}");
    publish(&desk, &TEAM);
    let checked = desk.ok("check --all");
    assert!(!checked.contains("warning"), "{checked}");
    let out = device.run(&["update"]).ok();
    assert!(out.contains("to download (a delta from 1.0.0; "), "{out}");
    assert_eq!(
        (device.running().as_str(), device.slot("a")),
        ("1.1.0", fs::read(desk.path("n2.bin")).unwrap())
    );

    // Somebody writes into the running slot: the full payload is taken, and what happened stays to be read.
    desk.ok(&propose(&desk, "1.2.0", "n3.bin", "--delta-from 1.0.0 --delta-from 1.1.0"));
    publish(&desk, &TEAM);
    let slot = device.path("state/slots/a.img");
    let mut bytes = fs::read(&slot).unwrap();
    bytes[70_000] ^= 1;
    fs::write(&slot, bytes).unwrap();
    let out = device.run(&["update"]).ok();
    assert!(out.contains("The delta can't be used: reading slot A, which the delta starts from: "), "{out}");
    assert_eq!(
        (device.running().as_str(), device.slot("b")),
        ("1.2.0", fs::read(desk.path("n3.bin")).unwrap())
    );
    let history = device.run(&["history"]).ok();
    assert!(history.contains("no delta (code 407): reading slot A"), "{history}");
}

#[test]
fn a_device_that_may_not_spare_the_memory_takes_the_full_payload() {
    let desk = desk();
    release(&desk, "1.0.0", "n1.bin");
    desk.ok(&propose(&desk, "1.1.0", "n2.bin", "--delta-last 1"));
    let device = device(&desk);
    device.run(&["update"]).ok();
    publish(&desk, &TEAM);
    device.configure(|text| text.replace("delta_memory_mib = 16", "delta_memory_mib = 1"));
    let out = device.run(&["update"]).ok();
    assert!(out.contains("The delta can't be used: applying the delta: "), "{out}");
    assert_eq!(device.running(), "1.1.0");
}

#[test]
fn a_delta_that_saves_too_little_is_dropped_and_one_that_can_not_be_made_is_told() {
    let desk = desk();
    release(&desk, "1.0.0", "n1.bin");
    let report = desk.ok(&propose(&desk, "1.1.0", "n2.bin", "--delta-last 1 --delta-saves 99"));
    assert!(
        report.contains("no delta     from 1.0.0 for revC: it has ") && report.contains(" 99 % is wanted"),
        "{report}"
    );
    publish(&desk, &TEAM);
    for asked in ["--delta-from 1.1.0", "--delta-last 1"] {
        let line = propose(&desk, "1.2.0", "n3.bin", &format!("{asked} --memory-limit 1"));
        let refused = desk.refused(&line);
        assert!(refused.contains("hint: give more with --memory-limit, or"), "{refused}");
    }
    for option in [
        "--in-place 64x4K",
        "--profile mcu",
        "--code none",
        "--jobs 1",
        "--memory-limit 2G",
        "--without masks",
        "--delta-saves 30",
    ] {
        let refused = desk.refused(&propose(&desk, "1.2.0", "n3.bin", option));
        let (name, _) = option.split_once(' ').unwrap();
        assert!(
            refused.contains(&format!("{name} tells how deltas are made, and none is asked for\n")),
            "{refused}"
        );
    }
    let refused = desk.refused(&propose(&desk, "1.2.0", "n3.bin", "--delta-from 0.9.0"));
    assert!(refused.contains("thermostat has no release 0.9.0"), "{refused}");
    let report = desk.ok(&propose(&desk, "1.2.0", "n2.bin", "--delta-from 1.1.0"));
    assert!(report.contains("no delta     from 1.1.0 for revC: it has the same image"), "{report}");
    fs::remove_dir_all(desk.proposal()).unwrap();
    // A copy of the repository that was damaged, and one without the older payloads.
    fs::write(published(&desk, ".1.1.0.revC.image.zst"), "damaged").unwrap();
    let refused = desk.refused(&propose(&desk, "1.2.0", "n3.bin", "--delta-last 1"));
    assert!(refused.contains("hint: make fewer with --delta-last, or take a copy"), "{refused}");
    fs::remove_file(published(&desk, ".1.1.0.revC.image.zst")).unwrap();
    let refused = desk.refused(&propose(&desk, "1.2.0", "n3.bin", "--delta-from 1.1.0"));
    assert!(
        refused.contains("no delta from 1.1.0: thermostat/1.1.0.revC.image.zst is not here any more"),
        "{refused}"
    );
    let report = desk.ok(&propose(&desk, "1.2.0", "n3.bin", "--delta-last 2"));
    assert!(report.contains("no delta     from 1.1.0 for revC: thermostat/1.1.0.revC.image.zst"), "{report}");
    assert!(report.contains("from 1.0.0, proved ("), "{report}");
    // What it was proved with is gone when it is published: told, and no reason to hold it back.
    for person in TEAM {
        desk.ok(&format!("sign --key {person}.key"));
    }
    fs::remove_file(published(&desk, ".1.0.0.revC.image.zst")).unwrap();
    let report = desk.ok("publish");
    assert!(
        report.contains("warning: thermostat/1.2.0.revC.from-1.0.0.delta could not be proved: "),
        "{report}"
    );
}

/// A delta that a thief of the desk's disk put into a proposal: digests that fit, and another image.
#[test]
fn a_delta_that_does_not_make_the_image_is_not_published() {
    let desk = desk();
    release(&desk, "1.0.0", "n1.bin");
    desk.ok(&propose(&desk, "1.1.0", "n2.bin", "--delta-last 1"));
    let targets = desk.proposal().join("targets/thermostat");
    let files = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path());
    let delta = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "delta")).unwrap();
    let mut bytes = fs::read(&delta).unwrap();
    let last = bytes.len() / 2;
    bytes[last] ^= 1;
    fs::write(&delta, bytes).unwrap();
    let refused = desk.refused(&format!("sign --key {}.key", TEAM[0]));
    assert!(refused.contains("thermostat/1.1.0.revC.from-1.0.0.delta"), "{refused}");
}
