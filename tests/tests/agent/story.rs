//! A device's life: installed, updated, fallen back, refused, gone back.

use perennial_tests::maker::{Maker, image};

use super::kit::Device;

const LENGTH: usize = 1_500_000;

fn images() -> [Vec<u8>; 3] {
    [image("GOOD 1", LENGTH), image("GOOD 2", LENGTH + 5), image("BAD 3", LENGTH / 2)]
}

#[test]
fn a_failed_trial_ends_with_the_status_of_a_fall_back_before_and_after_the_restart() {
    let images = images();
    let mut maker = Maker::of(&images[..1]);
    let (device, folder) = Device::with_folder(&maker);
    device.run(&["update"]).ok();
    // From now on the device restarts for real: each restart ends the program, and the boot loader comes after it.
    device.configure(|text| {
        text.replace("simulate = true", "simulate = false").replace("reboot = []", "reboot = [\"true\"]")
    });
    let boot = || {
        device.configure(|text| text.replace("simulate = false", "simulate = true"));
        device.run(&["simulate-boot"]).ok();
        device.configure(|text| text.replace("simulate = true", "simulate = false"));
    };
    maker.release("2.0.0", 2, &images[2]);
    maker.write(&folder);
    let said = device.run(&["update"]).ok();
    assert!(said.contains("Installed: the device restarts."), "{said}");
    boot();
    let said = device.run(&["update"]).ends(30);
    assert!(said.contains("Falling back: the release failed its trial"), "{said}");
    boot();
    let said = device.run(&["update"]).ends(30);
    assert!(said.contains("Fell back: 2.0.0 failed its trial (code 501)"), "{said}");
    assert_eq!(device.running(), "1.0.0");
}

#[test]
fn an_owner_puts_updates_off_and_the_maker_s_limit_ends_it() {
    let images = images();
    let mut maker = Maker::of(&images[..1]);
    let (mut device, folder) = Device::with_folder(&maker);
    device.run(&["update"]).ok();
    let payload = zstd::encode_all(&images[1][..], 1).unwrap();
    maker.release_of("2.0.0", 2, &images[1], payload, |release| release.postponable_days = Some(2));
    maker.write(&folder);
    device.run(&["postpone", "31"]).refused(2);
    let said = device.run(&["postpone", "7"]).ok();
    assert!(said.starts_with("Updates are put off until 2026-11-09"), "{said}");
    assert!(device.run(&["status"]).ok().contains("Put off:   until 2026-11-09"));
    let said = device.run(&["update"]).ends(11);
    assert!(
        said.starts_with("Held: 2.0.0 waits until 2026-11-04") && said.contains("put updates off"),
        "{said}"
    );
    device.clock = device.clock.plus_days(1);
    device.run(&["postpone", "7"]).ok();
    device.run(&["update"]).ends(11);
    device.clock = device.clock.plus_days(1);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
    let until = device.run(&["postpone", "0", "--json"]).ok();
    assert_eq!(until.trim().replace(char::is_whitespace, ""), r#"{"until":null}"#);
}

#[test]
fn a_device_takes_two_releases_falls_back_from_the_third_and_refuses_a_forged_one() {
    let images = images();
    let mut maker = Maker::of(&images[..1]);
    let (device, folder) = Device::with_folder(&maker);

    let said = device.run(&["check"]).ends(10);
    assert!(said.contains("Update:   1.0.0 can be installed"), "{said}");
    let said = device.run(&["update"]).ok();
    assert!(said.contains("1.0.0 works: confirmed."), "{said}");
    assert_eq!(device.running(), "1.0.0");
    assert_eq!(device.slot("b"), images[0]);

    maker.release("2.0.0", 2, &images[1]);
    maker.write(&folder);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
    assert_eq!(device.slot("a"), images[1]);
    let status = device.status();
    assert_eq!(status["anti_rollback_counter"], 2);
    assert_eq!(status["security_updates_until"], "2036-12-31");

    maker.release("3.0.0", 3, &images[2]);
    maker.write(&folder);
    let said = device.run(&["update"]).ends(30);
    assert!(said.contains("Fell back: 3.0.0 failed its trial (code 501)"), "{said}");
    assert_eq!(device.running(), "2.0.0");
    assert_eq!(device.status()["anti_rollback_counter"], 2);
    let said = device.run(&["update"]).ends(11);
    assert!(said.starts_with("Held: 3.0.0 waits until"), "{said}");

    let mut forger = Maker::forger();
    forger.release("4.0.0", 4, &image("EVIL", LENGTH));
    forger.repository.timestamp.common.version = 99;
    forger.repository.serve_timestamp();
    forger.write(&folder);
    let before = device.durable();
    let (what, hint) = device.run(&["update"]).refused(20);
    assert!(what.contains("timestamp.json"), "{what}");
    assert!(hint.starts_with("nothing was installed"), "{hint}");
    assert_eq!(device.durable(), before);

    let history = device.run(&["history"]).ok();
    let words: Vec<&str> = history.lines().map(|line| line[22..].trim()).collect();
    #[rustfmt::skip]
    assert_eq!(words, [
        "1.0.0        begun", "1.0.0        installed", "1.0.0        confirmed",
        "2.0.0        begun", "2.0.0        installed", "2.0.0        confirmed",
        "3.0.0        begun", "3.0.0        installed",
        "3.0.0        fell back (code 501): it ended with status 1: it hurts",
        "metadata     refused (code 101): refreshing the metadata: timestamp.json is not signed as it must be: \
         timestamp: 0 good signatures of distinct keys, 1 needed",
    ]);
}
