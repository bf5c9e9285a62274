//! Staged rollouts as an owner sees them: `why`, `update --now`, quiet hours; and statuses by every way that files come.

use perennial_device_core::crypto::Ring;
use perennial_schemas::Timestamp;
use perennial_schemas::crypto::Digest;
use perennial_schemas::release::Release;
use perennial_schemas::rollout::{RolloutState, RolloutStatus, bucket};
use perennial_tests::maker::{Maker, image};
use perennial_tests::simulator::{ROLLOUT_KEY, day, path_of_status, signed_status, staged, status};

use super::kit::Device;

const LENGTH: usize = 300_000;

/// A maker who rolls 2.0.0 out in stages, and when that comes to the device `d1`.
fn maker() -> (Maker, RolloutStatus, Timestamp) {
    let mut maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let image = image("GOOD 2", LENGTH);
    let payload = zstd::encode_all(image.as_slice(), 1).unwrap();
    maker.release_of("2.0.0", 2, &image, payload, staged);
    let text = maker.targets["thermostat/2.0.0.release.json"].clone();
    let plan = <Release as perennial_schemas::Document>::parse(&text).unwrap().rollout.unwrap();
    let planned = plan.opens_for(bucket(&plan.salt, &"d1".parse().unwrap(), &Ring));
    assert!(planned > day(2) && planned < day(12));
    (maker, status(Ring.sha256(&text), planned), planned)
}

fn write_status(folder: &std::path::Path, status: &RolloutStatus) {
    let path = folder.join(path_of_status("2.0.0"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, signed_status(status, ROLLOUT_KEY)).unwrap();
}

/// A device that runs 1.0.0, installed on day 1.
fn device(maker: &Maker) -> (Device, std::path::PathBuf) {
    let (device, folder) = Device::with_folder(maker);
    assert_eq!(device.run(&["why"]).ok(), "Nothing was looked for yet; perennial-device check asks.\n");
    let mut device = device;
    device.clock = day(1);
    let said = device.run(&["update"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(device.running(), "1.0.0");
    (device, folder)
}

#[test]
fn why_says_in_one_sentence_what_the_device_waits_for() {
    let (maker, running, planned) = maker();
    let (mut device, folder) = device(&maker);
    let held = device.run(&["update"]);
    assert_eq!(held.code, 11);
    let turn = format!("2.0.0 waits: its turn in the rollout comes at {planned}");
    assert_eq!(held.out, format!("Held: {turn}. 1.0.0 is running.\n"));
    assert_eq!(device.run(&["why"]).ok(), format!("{turn}.\n"));
    let json: serde_json::Value = serde_json::from_str(&device.run(&["why", "--json"]).ok()).unwrap();
    assert_eq!(json["waits_for"], "turn");
    assert_eq!((&json["version"], &json["until"]), (&"2.0.0".into(), &planned.to_string().into()));
    // What ends before is no reason; what lasts longer is another one.
    assert!(planned > device.clock.plus_days(1) && planned < device.clock.plus_days(30));
    device.run(&["postpone", "1"]).ok();
    assert_eq!(device.run(&["why"]).ok(), format!("{turn}.\n"));
    device.run(&["postpone", "30"]).ok();
    let until = device.clock.plus_days(30);
    assert_eq!(
        device.run(&["why"]).ok(),
        format!(
            "{turn}.\nBesides, the owner has put updates off until {until}, or as long as their maker lets them.\n"
        )
    );
    let json: serde_json::Value = serde_json::from_str(&device.run(&["why", "--json"]).ok()).unwrap();
    assert_eq!(json["besides"][0]["waits_for"], "owner");
    device.run(&["postpone", "0"]).ok();

    // Its turn comes, and the server has halted it.
    device.clock = planned;
    let deadline = planned.plus_days(7);
    write_status(&folder, &RolloutStatus { state: RolloutState::Halted, since: planned, ..running.clone() });
    assert_eq!(device.run(&["check"]).code, 11);
    device.run(&["update"]);
    let halted = format!(
        "2.0.0 waits: the rollout is halted; it is held until {deadline} at most, and goes on then if its signers have signed \
         it again.\n"
    );
    assert_eq!(device.run(&["why"]).ok(), halted);
    // Somebody else's words change nothing, and are told.
    device.clock = planned.plus_seconds(60);
    let forged = RolloutStatus { manifest: perennial_schemas::Sha256Digest([1; 32]), ..running.clone() };
    write_status(&folder, &forged);
    let said = device.run(&["check"]);
    assert!(
        said.out.contains("Refused:  a rollout status of 2.0.0: it is the status of another release"),
        "{}",
        said.out
    );
    // They leave a trace.
    let refused = format!("{} a rollout status of 2.0.0", device.clock);
    let why = device.run(&["why"]).ok();
    assert!(
        why.contains(&format!("Since {refused} is refused: it is the status of another release.\n")),
        "{why}"
    );
    let shown = device.run(&["status"]).ok();
    assert!(shown.contains(&format!("Refused:   since {refused}: it is the status of another")), "{shown}");
    assert_eq!(device.status()["refused_status"]["version"], "2.0.0");

    // It goes on.
    device.clock = planned.plus_seconds(120);
    write_status(&folder, &status(running.manifest, device.clock));
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
    device.run(&["update"]).ok();
    assert_eq!(device.run(&["why"]).ok(), "Nothing waits: this device is up to date.\n");
    assert_eq!(device.status().get("refused_status"), None);
    let history = device.run(&["history"]).ok();
    assert!(history.contains("rollout      a status of 2.0.0 was refused: it is the status of"), "{history}");
}

#[test]
fn what_a_check_has_found_is_what_why_and_status_tell() {
    let mut maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (mut device, folder) = Device::with_folder(&maker);
    device.clock = day(1);
    let told = |device: &Device| {
        let status = device.status()["last_decision"]["text"].as_str().unwrap_or_default().to_owned();
        (device.run(&["why"]).ok(), status)
    };
    device.run(&["check"]).ends(10);
    assert_eq!(told(&device), ("1.0.0 is to be installed.\n".into(), "1.0.0 is to be installed".into()));
    // An error, and what comes after it.
    let aside = device.path("aside");
    std::fs::rename(&folder, &aside).unwrap();
    device.run(&["check"]).refused(1);
    assert!(told(&device).0.starts_with("could not check: "), "{:?}", told(&device));
    std::fs::rename(&aside, &folder).unwrap();
    device.run(&["check"]).ends(10);
    assert_eq!(told(&device).0, "1.0.0 is to be installed.\n");
    // What was begun waits for the night to end, is withdrawn, and another one is found.
    device.configure(|text| text.replace("quiet_hours = []", "quiet_hours = [\"00:00-12:00\"]"));
    device.run(&["update"]).ends(11);
    assert!(told(&device).0.contains("1.0.0 waits until"), "{:?}", told(&device));
    maker.withdraw("1.0.0");
    maker.release("1.1.0", 1, &image("GOOD 1.1", LENGTH));
    maker.write(&folder);
    device.clock = day(1).plus_seconds(60);
    device.run(&["check"]).ends(10);
    assert_eq!(told(&device).0, "1.1.0 is to be installed.\n");
}

#[test]
fn a_device_that_runs_what_was_withdrawn_is_told() {
    let mut maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, folder) = Device::with_folder(&maker);
    device.run(&["update"]).ok();
    maker.release("1.1.0", 1, &image("GOOD 1.1", LENGTH));
    maker.write(&folder);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "1.1.0");
    maker.withdraw("1.1.0");
    maker.write(&folder);
    let updated = device.run(&["update"]).ok();
    let said = "what runs, 1.1.0, was withdrawn by its maker (";
    let rest = "; it stays until a newer release comes, or perennial-device revert goes back to 1.0.0";
    assert!(updated.starts_with("Up to date: 1.1.0 is running.\nRecalled: "), "{updated}");
    for command in ["update", "check", "why", "status"] {
        let told = device.run(&[command]).ok();
        assert!(told.contains(said) && told.contains(rest), "{command}: {told}");
        let json: serde_json::Value = serde_json::from_str(&device.run(&[command, "--json"]).ok()).unwrap();
        let withdrawn = &json["withdrawn"];
        assert_eq!((&withdrawn["version"], &withdrawn["revert_to"]), (&"1.1.0".into(), &"1.0.0".into()));
    }
    device.run(&["revert"]).ok();
    assert_eq!(device.status().get("withdrawn"), None);
    assert!(!device.run(&["update"]).out.contains("Recalled"));
}

#[test]
fn an_owner_who_takes_a_halted_release_is_told_that_it_is() {
    let (maker, running, planned) = maker();
    let (mut device, folder) = device(&maker);
    device.clock = planned.plus_seconds(60);
    let reason = "it fails on revC".to_owned();
    write_status(
        &folder,
        &RolloutStatus {
            state: RolloutState::Halted,
            since: planned,
            reason,
            ..status(running.manifest, device.clock)
        },
    );
    device.run(&["update"]).ends(11);
    let said = device.run(&["update", "--now"]).ok();
    let told =
        "2.0.0 is taken at its owner's word, although its rollout is halted: it fails on revC.\nTaking 2.0.0";
    assert!(said.contains(told), "{said}");
    assert_eq!(device.running(), "2.0.0");
}

/// What its server signed of the stop of its revision, and nothing that a terminal would obey.
#[test]
fn a_device_that_is_stopped_says_why_in_its_servers_words() {
    let (maker, running, planned) = maker();
    let (mut device, folder) = device(&maker);
    device.clock = planned.plus_seconds(60);
    let stop = |device: &Device, words: &str| {
        let stopped_reasons = [("revC".parse().unwrap(), words.to_owned())].into();
        let reason = "phase 2 is open".to_owned();
        let stopped = vec!["revC".parse().unwrap()];
        let status = status(running.manifest, device.clock);
        write_status(&folder, &RolloutStatus { stopped, stopped_reasons, reason, ..status });
    };
    stop(&device, "a bad batch of sensors");
    device.run(&["update"]).ends(11);
    let words = "; its server says: “a bad batch of sensors”";
    let why = device.run(&["why"]).ok();
    assert!(
        why.starts_with("2.0.0 waits: the rollout is halted for this hardware revision; it is held until ")
    );
    assert!(why.ends_with(&format!("signed it again{words}.\n")), "{why}");
    for command in ["status", "check"] {
        let said = device.run(&[command]).out;
        assert!(said.contains(words), "{command}: {said}");
    }
    // The owner who takes it all the same is told the same.
    device.clock = device.clock.plus_seconds(60);
    stop(&device, &format!("\u{1b}[2J\r\u{202e}{}", "é".repeat(1000)));
    device.run(&["update"]).ends(11);
    let (why, now) = (device.run(&["why"]).ok(), device.run(&["update", "--now"]).ok());
    assert!(now.contains("although its rollout is halted for this hardware: "), "{now}");
    for said in [why, now] {
        let line = said.lines().find(|line| line.contains("é")).unwrap();
        assert!(line.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{line:?}");
        assert!(line.contains("\u{fffd}[2J\u{fffd}\u{fffd}éé") && line.contains("é…"), "{line:?}");
        assert!(line.chars().filter(|c| *c == 'é').count() < 240, "{line:?}");
    }
}

#[test]
fn an_owner_takes_a_release_now() {
    let (maker, _, planned) = maker();
    let (mut device, _) = device(&maker);
    device.configure(|text| text.replace("quiet_hours = []", "quiet_hours = [\"00:00-12:00\"]"));
    device.run(&["postpone", "3"]).ok();
    device.clock = day(1).plus_seconds(60);
    assert!(device.clock < planned);
    assert_eq!(device.run(&["update"]).code, 11);
    device.run(&["update", "--now"]).ok();
    assert_eq!(device.running(), "2.0.0");
}

#[test]
fn quiet_hours_are_kept_and_told() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (mut device, _) = Device::with_folder(&maker);
    // Quiet until one o'clock at night, in a zone two hours ahead: three hours in UTC from ten o'clock on.
    device.configure(|text| {
        text.replace("quiet_hours = []", "quiet_hours = [\"22:00-02:00\", \"02:00-03:00\"]")
            .replace("utc_offset_minutes = 0", "utc_offset_minutes = 120")
    });
    device.clock = day(1);
    let end = day(1).plus_seconds(3600);
    let held = device.run(&["update"]);
    assert_eq!(held.code, 11, "{}", held.err);
    assert!(!held.out.contains("Taking"), "{}", held.out);
    assert!(
        held.out.ends_with(&format!(
            "Held: 1.0.0 waits until {end}, when the quiet hours end. an image from the factory is running.\n"
        )),
        "{}",
        held.out
    );
    let why = format!("1.0.0 waits until {end}, when the quiet hours end.\n");
    assert_eq!(device.run(&["why"]).ok(), why);
    device.clock = end;
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "1.0.0");
}

#[test]
fn a_label_brings_a_device_in_early() {
    let (maker, running, _) = maker();
    let (mut device, folder) = device(&maker);
    write_status(&folder, &RolloutStatus { open: 0, ..status(running.manifest, day(1)) });
    device.clock = day(1).plus_seconds(60);
    assert_eq!(device.run(&["check"]).code, 11);
    device.configure(|text| text.replace("labels = []", "labels = [\"beta\"]"));
    assert_eq!(device.run(&["check"]).code, 10);
}
