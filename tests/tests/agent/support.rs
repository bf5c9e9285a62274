//! Until when this device gets security updates: never shorter, told once, shown off the network, alarmed.

use std::path::PathBuf;

use perennial_schemas::support::{Annulment, Cohort, OnDevice, Promise};
use perennial_schemas::{Document, Timestamp};
use perennial_tests::maker::Maker;
use perennial_tests::simulator::day;
use serde_json::Value;

use super::kit::Device;

/// A device that has seen the promise of its maker until 31 December 2036.
fn promised() -> (Maker, Device, PathBuf) {
    let maker = Maker::new();
    let (device, folder) = Device::with_folder(&maker);
    device.run(&["check"]).ok();
    (maker, device, folder)
}

fn at(date: &str) -> Timestamp {
    format!("{date}T12:00:00Z").parse().unwrap()
}

/// What the owner was told of the support, in order.
fn news(device: &Device) -> Vec<String> {
    let history: Value = serde_json::from_str(&device.run(&["history", "--json"]).ok()).unwrap();
    let told = history.as_array().unwrap().iter().filter_map(|line| line["support"].as_str());
    told.map(str::to_owned).collect()
}

fn standing(device: &Device) -> Value {
    device.status()["support"].clone()
}

#[test]
fn the_promise_is_shown_off_the_network_with_metadata_that_expired_and_when_it_is_over() {
    let (_, mut device, _) = promised();
    device.serve_from("/nowhere");
    let said = device.run(&["status"]).ok();
    let sentence = "thermostat gets security updates until at least 31 December 2036";
    assert!(said.contains(&format!("Support:   {sentence}")), "{said}");
    assert!(said.contains("Record:    number 1 of"), "{said}");
    device.clock = day(100);
    let said = device.run(&["status"]).ok();
    let lapsed = "thermostat was promised security updates until 31 December 2036. The signature on that promise ran out";
    assert!(said.contains(lapsed), "{said}");
    assert_eq!(standing(&device)["state"], "lapsed");
    device.clock = at("2037-01-01");
    let said = device.run(&["status"]).ok();
    assert!(
        said.contains("thermostat no longer gets security updates. Support ended on 31 December 2036."),
        "{said}"
    );
    assert!(said.contains("Reminder:  support is over"), "{said}");
    let said = device.run(&["support"]).ok();
    assert!(said.contains("until 2036-12-31: the expected lifetime"), "{said}");
    assert!(said.contains("mailto:security@thermostat.example"), "{said}");
    let json: Value = serde_json::from_str(&device.run(&["support", "--json"]).ok()).unwrap();
    assert_eq!(json["summary"]["sentence"], json["device"]["sentence"], "one record, one sentence");
}

#[test]
fn reminders_are_told_once_each_also_off_the_network() {
    let (_, mut device, _) = promised();
    device.serve_from("/nowhere");
    let days = [
        "2030-01-01",
        "2035-12-30",
        "2035-12-31",
        "2036-06-01",
        "2036-10-01",
        "2036-12-01",
        "2036-12-31",
        "2037-01-01",
    ];
    for date in days.into_iter().chain(["2036-10-01", "2037-06-01"]) {
        device.clock = at(date);
        for _ in 0..2 {
            device.run(&["check"]).ends(1);
        }
    }
    assert_eq!(news(&device), ["lapsed", "twelve-months", "three-months", "one-month", "over"]);
    let history = device.run(&["history"]).ok();
    assert!(
        history.contains("2037-01-01T12:00:00Z  support      thermostat no longer gets security updates."),
        "{history}"
    );
}

#[test]
fn a_shorter_record_signed_by_enough_keys_is_alarmed_until_a_good_one_follows() {
    let (mut maker, device, folder) = promised();
    let good = maker.recorded().0;
    maker.promise(&["2030-12-31"]);
    maker.publish();
    maker.write(&folder);
    for _ in 0..2 {
        device.run(&["check"]).ok();
    }
    let support = standing(&device);
    assert_eq!(
        (&support["guaranteed_until"], &support["refused"]["code"]),
        (&"2036-12-31".into(), &206.into())
    );
    device.serve_from("/nowhere");
    let said = device.run(&["status"]).ok();
    assert!(
        said.contains("Alarm:     a support record is refused since") && said.contains("(code 206)"),
        "{said}"
    );
    assert!(said.contains("until at least 31 December 2036"), "{said}");
    assert_eq!(news(&device), ["refused"]);

    device.serve_from(folder.to_str().unwrap());
    maker.record(&good);
    maker.publish();
    maker.write(&folder);
    device.run(&["check"]).ok();
    assert!(standing(&device)["refused"].is_null());
    assert_eq!(news(&device), ["refused", "restored"]);
}

#[test]
fn a_record_that_is_taken_away_or_takes_a_promise_back_by_itself_is_alarmed() {
    let (mut maker, device, folder) = promised();
    maker.extend(|record| {
        record.promises.push(Promise::new(day(0), "2041-12-31".parse().unwrap(), "Longer."))
    });
    maker.write(&folder);
    device.run(&["check"]).ok();
    assert_eq!(standing(&device)["guaranteed_until"], "2041-12-31");
    maker.extend(|record| record.annulled.push(annulment()));
    maker.write(&folder);
    device.run(&["check"]).ok();
    let support = standing(&device);
    assert_eq!(support["guaranteed_until"], "2041-12-31");
    assert!(
        support["refused"]["why"].as_str().unwrap().contains("only an annulment in the root file"),
        "{support}"
    );
    maker.repository.role("thermostat").targets.remove("thermostat/support.json");
    maker.publish();
    maker.write(&folder);
    device.run(&["check"]).ok();
    let support = standing(&device);
    assert_eq!(support["guaranteed_until"], "2041-12-31");
    assert_eq!(support["refused"]["why"], "the support record is no longer published");
    assert_eq!(news(&device), ["extended", "refused", "refused"]);
}

fn annulment() -> Annulment {
    Annulment {
        product: "thermostat".parse().unwrap(),
        promise: 2,
        made: day(0),
        guaranteed_until: "2041-12-31".parse().unwrap(),
        reason: "A key was stolen.".into(),
        at: day(1),
    }
}

#[test]
fn a_signer_below_the_threshold_shortens_nothing_and_is_told() {
    let mut maker = Maker::new();
    let second = maker.repository.new_signer();
    let delegations = maker.repository.targets().delegations.as_mut().unwrap();
    delegations.keys.insert(second.id(), second.key());
    let team = &mut delegations.roles.as_mut().unwrap()[0];
    (team.threshold, team.keyids) = (2, [team.keyids.clone(), vec![second.id()]].concat());
    maker.repository.signers.get_mut("thermostat").unwrap().push(second);
    maker.publish();
    let (device, folder) = Device::with_folder(&maker);
    device.run(&["check"]).ok();

    maker.repository.signers.get_mut("thermostat").unwrap().pop();
    maker.promise(&["2030-12-31"]);
    maker.publish();
    maker.write(&folder);
    let before = device.durable();
    let (what, hint) = device.run(&["check"]).refused(20);
    assert!(what.contains("thermostat.json") && hint.starts_with("nothing was installed"), "{what} {hint}");
    assert!(device.durable() == before);
    device.run(&["update"]).refused(20);
    let status = device.status();
    assert_eq!(status["security_updates_until"], "2036-12-31");
    let said = status["last_decision"]["text"].as_str().unwrap();
    assert!(said.contains("thermostat.json"), "{said}");
}

#[test]
fn what_root_annuls_no_longer_counts_and_both_dates_show_before_the_record_says_so() {
    let (mut maker, device, folder) = promised();
    maker.extend(|record| {
        record.promises.push(Promise::new(day(0), "2041-12-31".parse().unwrap(), "Longer."))
    });
    maker.write(&folder);
    device.run(&["check"]).ok();
    maker.repository.root.annulments.push(annulment());
    maker.repository.publish_root();
    maker.write(&folder);
    device.run(&["check"]).ok();
    let both = |device: &Device| {
        let support = standing(device);
        assert_eq!(
            (&support["guaranteed_until"], &support["annulled"]),
            (&"2036-12-31".into(), &"2041-12-31".into())
        );
        assert!(support["refused"].is_null(), "{support}");
        let said = device.run(&["status"]).ok();
        assert!(
            said.contains(
                "Annulled:  a promise until 31 December 2041, by the maker's root; 31 December 2036 counts"
            ),
            "{said}"
        );
        let said = device.run(&["support"]).ok();
        assert!(said.contains("A key was stolen."), "{said}");
    };
    both(&device);
    maker.extend(|record| record.annulled.push(annulment()));
    maker.write(&folder);
    device.run(&["check"]).ok();
    both(&device);
    assert_eq!(news(&device), ["extended", "annulled"]);
}

#[test]
fn a_device_goes_by_the_cohort_that_it_was_provisioned_with() {
    let (mut maker, device, folder) = promised();
    let cohort = |name: &str| Cohort {
        name: name.parse().unwrap(),
        label: format!("Units {name}"),
        find: "On the back.".into(),
        placed_from: "2026-01-01".parse().unwrap(),
        placed_until: None,
        batches: vec![],
        markets: vec![],
        hardware: vec![],
    };
    maker.extend(|record| {
        record.cohorts = vec![cohort("first"), cohort("second")];
        let later = Promise::new(day(0), "2041-12-31".parse().unwrap(), "Newer parts.");
        record.promises.push(Promise { cohorts: vec!["second".parse().unwrap()], ..later });
    });
    maker.write(&folder);
    device.run(&["check"]).ok();
    assert_eq!(standing(&device)["guaranteed_until"], "2036-12-31", "an unknown cohort reads the earliest");
    let said = device.run(&["support"]).ok();
    assert!(said.contains("Cohort:    not known here"), "{said}");
    device.configure(|text| text.replace("#cohort = \"made-2026\"", "cohort = \"second\""));
    assert_eq!(standing(&device)["guaranteed_until"], "2041-12-31");
    assert_eq!(device.status()["security_updates_until"], "2041-12-31");
    let said = device.run(&["support"]).ok();
    assert!(said.contains("Cohort:    second: Units second"), "{said}");
    device.configure(|text| text.replace("\"second\"", "\"third\""));
    assert_eq!(standing(&device)["guaranteed_until"], "2036-12-31");
}

#[test]
fn the_file_for_the_products_screen_follows_the_record_and_the_calendar() {
    let (mut maker, mut device, folder) = promised();
    let screen = device.path("run/screen/support.json");
    let path = screen.to_str().unwrap().to_owned();
    device.configure(|text| text.replace("#support_file = ", &format!("support_file = {path:?} #")));
    let shown = || OnDevice::parse(&std::fs::read(&screen).unwrap()).unwrap();
    device.run(&["check"]).ok();
    let first = shown();
    assert_eq!(first.guaranteed_until.to_string(), "2036-12-31");
    assert_eq!(serde_json::to_value(&first).unwrap(), standing(&device), "as status says it");
    maker.extend(|record| {
        record.promises.push(Promise::new(day(0), "2041-12-31".parse().unwrap(), "Longer."))
    });
    maker.write(&folder);
    device.run(&["update"]);
    assert_eq!(shown().guaranteed_until.to_string(), "2041-12-31");
    device.serve_from("/nowhere");
    device.clock = at("2042-01-01");
    device.run(&["update"]);
    assert_eq!((shown().state.as_str(), shown().days_left), ("ended", 0));
    let names: Vec<_> = std::fs::read_dir(screen.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary file stays");
}

#[test]
fn a_device_that_comes_online_after_the_end_gets_its_last_release_and_says_that_support_is_over() {
    use crate::release::{release, with_images};
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    release(&desk, "1.1.0", "v2.bin");
    let root = std::fs::read(desk.path("repo/metadata/1.root.json")).unwrap();
    desk.wait_days(5 * 365 + 50);
    desk.ok("archive thermostat");
    crate::signer::desk::publish(&desk, &["alice", "bob", "erin", "frank", "dora", "tess"]);
    desk.wait_days(4 * 365);

    // It lay in a drawer until 2036.
    let mut device = Device::born_with(&root, desk.path("repo").to_str().unwrap());
    device.clock = Timestamp::from_unix(desk.now());
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "1.1.0");
    let support = standing(&device);
    assert_eq!((&support["state"], &support["reminder"]), (&"ended".into(), &"over".into()));
    let said = device.run(&["status"]).ok();
    assert!(
        said.contains("thermostat no longer gets security updates. Support ended on 31 December 2031."),
        "{said}"
    );
    assert_eq!(news(&device), ["over"]);
    device.run(&["update"]).ok();
    assert_eq!(news(&device), ["over"]);
}
