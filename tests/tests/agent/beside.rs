//! The owner's words beside an agent that runs, which alone works on the state.

use std::thread::JoinHandle;

use perennial_device::Io;
use perennial_device::http::Interrupt;
use perennial_schemas::Timestamp;
use perennial_tests::maker::{Maker, image};
use perennial_tests::simulator::{day, staged};

use super::kit::Device;

const LENGTH: usize = 300_000;

/// `perennial-device run` on a thread, until this value goes.
struct Running {
    interrupt: Interrupt,
    agent: Option<JoinHandle<String>>,
}

impl Running {
    fn new(device: &Device) -> Self {
        let interrupt = Interrupt::default();
        let arguments = std::iter::once("perennial-device".into()).chain(device.arguments(&["run"]));
        let (arguments, clock, end) = (arguments.collect::<Vec<_>>(), device.clock, interrupt.clone());
        let agent = std::thread::spawn(move || {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut io = Io::new(&mut out, &mut err, move || clock);
            io.interrupt = end;
            perennial_device::run(arguments, &mut io);
            drop(io);
            String::from_utf8(err).unwrap()
        });
        let running = Self { interrupt, agent: Some(agent) };
        let listens =
            || std::fs::read_to_string(device.path("state/lock")).unwrap_or_default().contains("listens");
        while !listens() {
            assert!(!running.agent.as_ref().unwrap().is_finished());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.interrupt.turn_on();
        let said = self.agent.take().unwrap().join().unwrap();
        if !std::thread::panicking() {
            assert_eq!(said, "", "the agent ends in good order");
        }
    }
}

/// A device that runs 1.0.0, whose maker has 2.0.0, rolled out in stages from day 2 on.
fn device() -> (Device, Timestamp) {
    let mut maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, folder) = Device::with_folder(&maker);
    device.run(&["update"]).ok();
    let image = image("GOOD 2", LENGTH);
    let payload = zstd::encode_all(image.as_slice(), 1).unwrap();
    maker.release_of("2.0.0", 2, &image, payload, staged);
    maker.write(&folder);
    (device, day(1))
}

#[test]
fn an_owner_s_words_reach_the_agent_that_runs() {
    let (device, now) = device();
    let running = Running::new(&device);
    let said = device.run(&["check"]).ends(11);
    assert!(said.contains("Running:  1.0.0\nUpdate:   2.0.0 waits: its turn"), "{said}");
    let json: serde_json::Value = serde_json::from_str(&device.run(&["check", "--json"]).ends(11)).unwrap();
    assert_eq!((&json["decision"], &json["version"]), (&"held".into(), &"2.0.0".into()));

    let until = now.plus_days(3);
    let said = device.run(&["postpone", "3"]).ok();
    assert_eq!(said, format!("Updates are put off until {until}, or as long as their maker lets you.\n"));
    assert_eq!(device.status()["postponed_until"], until.to_string());
    let said = device.run(&["update"]).ends(11);
    assert!(
        said.starts_with("Held: 2.0.0 waits: its turn") && said.ends_with("1.0.0 is running.\n"),
        "{said}"
    );
    assert_eq!(device.run(&["postpone", "0"]).ok(), "Updates are installed when they come.\n");
    assert_eq!(device.status().get("postponed_until"), None);

    let said = device.run(&["update", "--now"]).ok();
    assert_eq!(said, "The agent that runs takes 2.0.0 now; perennial-device status shows how far it is.\n");
    while device.running() != "2.0.0" || device.status()["state"] != "idle" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(device.run(&["update"]).ok(), "Up to date: 2.0.0 is running.\n");
    let (what, _) = device.run(&["confirm"]).refused(1);
    assert_eq!(what, "no release is on trial here");
    let (what, hint) = device.run(&["revert"]).refused(20);
    assert!(what.starts_with("1.0.0 has security version 1"), "{what} {hint}");
    let (what, hint) = device.run(&["recover"]).refused(1);
    assert!(
        what.starts_with("another agent (process ") && hint.starts_with("stop that agent"),
        "{what}, {hint}"
    );
    drop(running);
    device.run(&["check"]).ok();
}

#[test]
fn a_trial_is_confirmed_beside_the_agent_that_runs() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, _) = Device::with_folder(&maker);
    std::fs::write(device.path("health"), "#!/bin/sh\nexit 75\n").unwrap();
    let _running = Running::new(&device);
    device.run(&["update"]).ok();
    while device.status()["state"] != "trying" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(device.run(&["confirm"]).ok(), "The agent that runs confirms the release.\n");
    while device.running() != "1.0.0" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_server_that_is_gone_is_told_by_the_agent_that_runs() {
    let (device, _) = device();
    std::fs::remove_dir_all(device.path("repository")).unwrap();
    let _running = Running::new(&device);
    for command in ["check", "update"] {
        let (what, hint) = device.run(&[command]).refused(1);
        assert!(
            what.contains("there is no folder") && hint.starts_with("check the network"),
            "{what}, {hint}"
        );
    }
}
