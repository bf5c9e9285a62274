//! Releases and files that must not be installed. Each ends with nothing changed on disk.

use perennial_schemas::release::Release;
use perennial_tests::maker::{Maker, image};
use perennial_tests::simulator::day;

use super::kit::Device;

const LENGTH: usize = 700_000;

/// A device that runs 1.0.0, its maker, and the folder that it updates from.
struct Scene {
    maker: Maker,
    device: Device,
    folder: std::path::PathBuf,
}

impl Scene {
    fn new() -> Self {
        let mut maker = Maker::new();
        maker.release("1.0.0", 5, &image("GOOD 1", LENGTH));
        let (device, folder) = Device::with_folder(&maker);
        device.run(&["update"]).ok();
        Self { maker, device, folder }
    }

    /// Offers 2.0.0 with this payload and a spoilt manifest.
    fn offer(&mut self, payload: Option<Vec<u8>>, spoil: impl FnOnce(&mut Release)) {
        let image = image("GOOD 2", LENGTH);
        let payload = payload.unwrap_or_else(|| zstd::encode_all(&image[..], 1).unwrap());
        self.maker.release_of("2.0.0", 6, &image, payload, spoil);
        self.maker.write(&self.folder);
    }

    /// Changes the bytes of the file whose name ends like this.
    fn spoil(&self, end: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let files = self.maker.files();
        let (path, bytes) = files.iter().rev().find(|(path, _)| path.ends_with(end)).unwrap();
        let mut bytes = bytes.clone();
        change(&mut bytes);
        std::fs::write(self.folder.join(path), bytes).unwrap();
    }

    /// The update is refused with this status and words, 1.0.0 still runs, and where nothing may be written, nothing
    /// was.
    fn refused(&self, status: u8, words: &str) {
        let before = self.device.durable();
        let (what, _) = self.device.run(&["update"]).refused(status);
        assert!(what.contains(words), "{what}");
        assert!(self.device.durable() == before, "something changed on disk");
        assert_eq!(self.device.running(), "1.0.0");
    }
}

#[test]
fn metadata_that_a_key_below_the_threshold_signed_is_alarmed_until_good_metadata_follows() {
    let mut scene = Scene::new();
    let thief = scene.maker.repository.new_signer();
    let team = scene.maker.repository.signers.insert("thermostat".into(), vec![thief]).unwrap();
    scene.offer(None, |_| {});
    scene.device.run(&["check"]).refused(20);
    scene.refused(20, "thermostat.json");
    scene.refused(20, "thermostat.json");
    let status = scene.device.status();
    let alarms = status["alarms"].as_array().unwrap();
    assert_eq!((alarms.len(), &alarms[0]["code"]), (1, &101.into()), "{status}");
    let told = scene.device.run(&["status"]).ok();
    assert!(
        told.contains("ALARM:     since 2026-11-02T00:00:00Z metadata is offered that is not trusted"),
        "{told}"
    );
    let refused = "2026-11-02T00:00:00Z  metadata     refused (code 101): ";
    let history = scene.device.run(&["history"]).ok();
    assert_eq!(history.matches(refused).count(), 1, "{history}");

    scene.maker.repository.signers.insert("thermostat".into(), team);
    scene.maker.publish();
    scene.maker.write(&scene.folder);
    scene.device.run(&["update"]).ok();
    assert_eq!(
        (scene.device.running().as_str(), &scene.device.status()["alarms"]),
        ("2.0.0", &serde_json::json!([]))
    );
    let history = scene.device.run(&["history", "--json"]).ok();
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let metadata = history.as_array().unwrap().iter().filter_map(|line| line["metadata"].as_str());
    assert_eq!(metadata.collect::<Vec<_>>(), ["refused", "good"]);
}

#[test]
fn a_truncated_payload_is_refused() {
    let mut scene = Scene::new();
    scene.offer(None, |_| {});
    scene.spoil("2.0.0.revC.image.zst", |bytes| bytes.truncate(bytes.len() / 2));
    scene.refused(1, "ends");
}

#[test]
fn a_corrupted_payload_is_refused_and_the_right_one_goes_on_from_there() {
    let mut scene = Scene::new();
    scene.offer(None, |_| {});
    scene.spoil("2.0.0.revC.image.zst", |bytes| *bytes.last_mut().unwrap() ^= 1);
    scene.refused(20, "does not have the digest that the signed index gives");
    scene.maker.write(&scene.folder);
    scene.device.run(&["update"]).ok();
    assert_eq!(scene.device.running(), "2.0.0");
}

#[test]
fn every_other_file_that_is_corrupted_is_refused() {
    for end in [
        "2.0.0.release.json",
        "stable.channel.json",
        "support.json",
        "2.0.0.revC.image.index",
        "2.0.0.revC.image.zst.index",
    ] {
        let mut scene = Scene::new();
        scene.offer(None, |_| {});
        scene.spoil(end, |bytes| *bytes.last_mut().unwrap() ^= 1);
        let running = scene.device.slot("b");
        let ran = scene.device.run(&["update"]);
        assert!(matches!(ran.code, 1 | 20), "{end}: {} {}", ran.code, ran.out);
        assert!(scene.device.slot("a").iter().all(|byte| *byte == 0), "{end}");
        assert!(scene.device.slot("b") == running && scene.device.running() == "1.0.0", "{end}");
    }
}

#[test]
fn a_manifest_that_lies_about_the_payloads_length_is_refused() {
    let mut scene = Scene::new();
    scene.offer(None, |release| release.images[0].payloads[0].length += 1);
    scene.refused(20, "2.0.0.revC.image.zst");
}

#[test]
fn a_compression_bomb_fills_nothing() {
    let mut scene = Scene::new();
    let bomb = zstd::encode_all(&vec![0; 64 << 20][..], 1).unwrap();
    scene.offer(Some(bomb), |_| {});
    // The slot that is written is given up before: it holds nothing that counts, and stays small.
    let (what, _) = scene.device.run(&["update"]).refused(20);
    assert!(what.contains("2.0.0 was not installed"), "{what}");
    assert!(scene.device.slot("a").len() <= LENGTH);
    assert_eq!(scene.device.running(), "1.0.0");
    scene.device.run(&["update"]).ends(11);
}

#[test]
fn a_payload_of_another_image_is_refused_before_a_byte_of_it_is_written() {
    let mut scene = Scene::new();
    let other = zstd::encode_all(&image("EVIL", LENGTH)[..], 1).unwrap();
    scene.offer(Some(other), |_| {});
    scene.device.run(&["update"]).refused(20);
    assert!(scene.device.slot("a").iter().all(|byte| *byte == 0));
    assert_eq!(scene.device.running(), "1.0.0");
}

#[test]
fn releases_for_others_are_refused() {
    let mut scene = Scene::new();
    scene.offer(None, |release| release.images[0].hardware = vec!["revA".parse().unwrap()]);
    // What runs is the newest that is for it.
    let said = scene.device.run(&["check"]).ok();
    assert!(said.contains("Update:   none; this device is up to date\n"), "{said}");
    assert!(said.contains("Skipped:  2.0.0 is refused: it has no image for hardware revC\n"), "{said}");
    assert!(scene.device.run(&["update"]).ok().starts_with("Up to date: 1.0.0 is running."));
    let why = "Nothing waits: this device is up to date; 2.0.0 is passed over: it has no image for hardware revC.\n";
    assert_eq!(scene.device.run(&["why"]).ok(), why);
    // A name that no release has is a slip.
    scene.device.configure(|text| text.replace("hardware = \"revC\"", "hardware = \"revX\""));
    let (what, hint) = scene.device.run(&["update"]).refused(20);
    assert!(what.contains("2.0.0 is refused: it has no image for hardware revX"), "{what}");
    assert!(hint.contains("compare `hardware` in the configuration"), "{hint}");

    let mut scene = Scene::new();
    scene.offer(None, |release| release.product = "kettle".parse().unwrap());
    scene.refused(20, "2.0.0 is refused");

    let mut scene = Scene::new();
    scene.offer(None, |release| release.requires.push("teleport".into()));
    scene.refused(20, "teleport");

    let mut scene = Scene::new();
    scene.offer(None, |release| release.minimum_version = Some("1.5".parse().unwrap()));
    scene.refused(20, "1.5 or a later release has to be installed first");
}

#[test]
fn a_release_below_the_counter_is_refused() {
    let mut scene = Scene::new();
    let image = image("GOOD 2", LENGTH);
    let payload = zstd::encode_all(&image[..], 1).unwrap();
    scene.maker.release_of("2.0.0", 4, &image, payload, |_| {});
    scene.maker.write(&scene.folder);
    scene.refused(20, "its security version is 4, and this device has confirmed 5 already");
}

#[test]
fn a_withdrawn_release_is_refused_even_when_it_is_offered_again() {
    let mut scene = Scene::new();
    scene.offer(None, |_| {});
    let offered = scene.maker.channel.releases.clone();
    scene.maker.withdraw("2.0.0");
    scene.maker.write(&scene.folder);
    scene.device.run(&["update"]).ok();
    (scene.maker.channel.releases, scene.maker.channel.withdrawn) = (offered, vec![]);
    scene.maker.publish();
    scene.maker.write(&scene.folder);
    scene.refused(20, "its maker has withdrawn it");
}

#[test]
fn a_shorter_support_date_is_refused_and_told() {
    let mut scene = Scene::new();
    scene.maker.promise(&["2030-12-31"]);
    scene.maker.publish();
    scene.maker.write(&scene.folder);
    let said = scene.device.run(&["check"]).ok();
    assert!(
        said.contains("Refused:  a support record: security updates were promised until 2036-12-31"),
        "{said}"
    );
    assert_eq!(scene.device.status()["security_updates_until"], "2036-12-31");
}

#[test]
fn metadata_of_yesterday_and_of_another_maker_are_refused() {
    let mut scene = Scene::new();
    let old = scene.maker.files();
    scene.offer(None, |_| {});
    scene.device.run(&["check"]).ends(10);
    std::fs::write(scene.folder.join("metadata/timestamp.json"), &old["metadata/timestamp.json"]).unwrap();
    scene.refused(20, "older than version");

    let scene = Scene::new();
    let forger = Maker::forger();
    std::fs::write(scene.folder.join("metadata/2.root.json"), forger.repository.first_root()).unwrap();
    scene.refused(20, "2.root.json");
}

#[test]
fn a_clock_that_is_off_installs_nothing_expired_and_bricks_nothing() {
    let mut scene = Scene::new();
    scene.offer(None, |_| {});
    scene.device.clock = day(40);
    scene.refused(20, "expired at");
    scene.device.clock = day(5 * 365);
    scene.refused(20, "expired at");
    // Years back: what was signed offline says that it is later than that.
    scene.device.clock = day(-3000);
    scene.device.run(&["update"]).ok();
    assert_eq!(scene.device.running(), "2.0.0");
}
