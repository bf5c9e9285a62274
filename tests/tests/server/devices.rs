//! What operators ask of the fleet: lists, one device, why it isn't updating, revoking and erasing.

use std::collections::{BTreeMap, BTreeSet};

use super::kit::{Kit, ask_admin as ask};
use perennial_schemas::fleet::{DeviceId, Flag};
use perennial_server::fleet::row::{Marked, Row};
use perennial_server::state::State;
use perennial_server::store::{Batch, Space, Store};
use perennial_tests::simulator::day;
use serde_json::Value;

fn row(product: &str, flag: Option<Flag>) -> Row {
    let marked = Marked { first: day(1), last: day(2), count: 3 };
    Row {
        lab: false,
        product: product.parse().unwrap(),
        hardware: "revA".parse().unwrap(),
        labels: BTreeSet::new(),
        epoch: 1,
        factory: None,
        fleet: None,
        earlier: None,
        first_seen: day(1),
        last_seen: day(1),
        check_in: None,
        last_sequence: 0,
        reports: 0,
        gaps: 0,
        tickets: Vec::new(),
        flags: flag.map(|flag| (flag, marked)).into_iter().collect::<BTreeMap<_, _>>(),
        clues: BTreeMap::new(),
        life: 0,
        used: 0,
        revoked: None,
    }
}

fn id(number: u8) -> DeviceId {
    format!("{number:02x}").repeat(16).parse().unwrap()
}

/// A state with five devices: four cameras, of which one seems to be copied, and a lamp.
fn kit_with_devices() -> Kit {
    let kit = Kit::new();
    let held = State::at(kit.state()).hold().unwrap();
    let batch = (1..=5).fold(Batch::new(), |batch, number| {
        let flag = (number == 3).then_some(Flag::TicketForked);
        let row = row(if number == 5 { "lamp" } else { "cam" }, flag);
        batch.put(Space::Devices, id(number).as_str(), row.encode())
    });
    held.store.commit(batch).unwrap();
    kit
}

fn json(kit: &Kit, args: &[&str]) -> Value {
    let state = kit.state();
    let args = args.iter().copied().chain(["--json", "--state", state.to_str().unwrap()]);
    serde_json::from_str(&kit.command(args.collect::<Vec<_>>()).ok()).unwrap()
}

fn ids(page: &Value) -> Vec<&str> {
    page["devices"].as_array().unwrap().iter().map(|device| device["device"].as_str().unwrap()).collect()
}

#[test]
fn devices_are_listed_shown_explained_revoked_and_erased_with_and_without_a_server() {
    let kit = kit_with_devices();
    let state = kit.state();
    let state = state.to_str().unwrap();
    let [first, second, third, fifth] = [1, 2, 3, 5].map(|number| id(number).to_string());
    for round in 0..2 {
        let server = (round == 1).then(|| kit.serve(""));
        let page = json(&kit, &["device", "list", "--limit", "2"]);
        assert_eq!(ids(&page), [first.as_str(), second.as_str()]);
        assert_eq!(page["next"], second.as_str());
        let rest = json(&kit, &["device", "list", "--after", &second]);
        assert_eq!((ids(&rest).len(), &rest["next"]), (3, &Value::Null));
        assert_eq!(ids(&json(&kit, &["device", "list", "--product", "lamp"])), [fifth.as_str()]);
        for odd in [["--standing", "quarantined"].as_slice(), &["--quarantined"], &["--flagged"]] {
            assert_eq!(ids(&json(&kit, &[&["device", "list"], odd].concat())), [third.as_str()]);
        }
        let said = kit.command(["device", "list", "--state", state]).ok();
        assert!(said.contains("quarantined") && said.contains("[ticket-forked]"), "{said}");

        assert_eq!(json(&kit, &["device", "show", &third])["standing"], "quarantined");
        kit.clock.set(day(10));
        let why = kit.command(["device", "explain", &third, "--state", state]).ok();
        assert!(
            why.contains("quarantined: ticket-forked, 3 times") && why.contains("never checked in"),
            "{why}"
        );
        let (what, hint) = kit.command(["device", "show", "nobody", "--state", state]).refused();
        assert_eq!((what.as_str(), hint.contains("device list")), ("no device nobody is known", true));

        // One is revoked in each round, with its reason in the audit; again is no change.
        let device = if round == 0 { &first } else { &second };
        let revoke = ["device", "revoke", device, "--why", "stolen van"];
        assert_eq!(json(&kit, &revoke)["changed"], true);
        assert_eq!(json(&kit, &revoke)["changed"], false);
        let (what, _) =
            kit.command(["device", "revoke", device, "--why", "a\nb", "--state", state]).refused();
        assert_eq!(what, "a reason has 1 to 256 characters, in one line");
        assert_eq!(
            json(&kit, &["device", "list", "--standing", "revoked"])["devices"].as_array().unwrap().len(),
            round + 1
        );
        let why = kit.command(["device", "explain", device, "--state", state]).ok();
        assert!(why.contains("by command: stolen van"), "{why}");
        drop(server);
    }
    // What is erased is gone, and the audit doesn't say which it was.
    let (what, hint) = kit.command(["device", "erase", &fifth, "--state", state]).refused();
    assert!(what.contains("nothing was erased") && hint.contains("--yes"), "{what}");
    assert_eq!(json(&kit, &["device", "erase", &fifth, "--yes"])["device"], fifth.as_str());
    let (what, _) = kit.command(["device", "show", &fifth, "--state", state]).refused();
    assert!(what.ends_with("is known"), "{what}");
    assert_eq!(json(&kit, &["store", "check"])["wrong"], 0);
    let server = kit.serve("");
    let audit = ask(&server, "GET", "/api/v1/audit", Some(&kit.token()));
    assert_eq!(audit.text().matches("device.revoked").count(), 2);
    assert_eq!(audit.text().matches("device.erased").count(), 1);
    assert!(audit.text().contains(&second) && !audit.text().contains(&fifth));
}

#[test]
fn a_quarantine_is_lifted_by_command_and_over_http() {
    let kit = kit_with_devices();
    let third = id(3).to_string();
    let lift = ["device", "lift", &third, "--reason", "a board was swapped"];
    for served in [false, true] {
        if served {
            let held = State::at(kit.state()).hold().unwrap();
            let row = row("cam", Some(Flag::SequenceForked)).encode();
            held.store.commit(Batch::new().put(Space::Devices, third.as_str(), row)).unwrap();
        }
        let server = served.then(|| kit.serve(""));
        assert_eq!(json(&kit, &["device", "show", &third])["standing"], "quarantined");
        assert_eq!(json(&kit, &lift)["changed"], true);
        assert_eq!(json(&kit, &lift)["changed"], false);
        assert_eq!(json(&kit, &["device", "show", &third])["standing"], "enrolled");
        let state = kit.state();
        let state = state.to_str().unwrap();
        let (what, _) =
            kit.command(["device", "lift", "nobody", "--reason", "x", "--state", state]).refused();
        assert_eq!(what, "no device nobody is known");
        drop(server);
    }
    let server = kit.serve("");
    let audit = ask(&server, "GET", "/api/v1/audit", Some(&kit.token()));
    let audit = audit.text();
    assert_eq!(audit.matches("device.lifted").count(), 2, "{audit}");
    assert!(audit.contains("a board was swapped") && audit.contains("ticket-forked"), "{audit}");
}

#[test]
fn what_one_mishap_quarantined_is_lifted_at_once_and_nothing_else() {
    let kit = kit_with_devices();
    let state = kit.state();
    let state = state.to_str().unwrap();
    let put = || {
        let held = State::at(kit.state()).hold().unwrap();
        let mut forked = row("cam", Some(Flag::TicketForked));
        let batch = Batch::new().put(Space::Devices, id(20).as_str(), forked.encode());
        let sequence = forked.flags[&Flag::TicketForked];
        forked.flags.insert(Flag::SequenceForked, sequence);
        held.store.commit(batch.put(Space::Devices, id(21).as_str(), forked.encode())).unwrap();
        forked.flags = [(Flag::TicketForked, Marked { first: day(0), ..sequence })].into();
        held.store.commit(Batch::new().put(Space::Devices, id(22).as_str(), forked.encode())).unwrap();
    };
    let quarantined = || {
        let page = json(&kit, &["device", "list", "--quarantined"]);
        ids(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    fn lift<'a>(rest: &[&'a str]) -> Vec<&'a str> {
        [&["device", "lift", "--all-of", "ticket-forked", "--reason", "records of Sunday"], rest].concat()
    }
    for (round, lifted) in [2, 1].into_iter().enumerate() {
        put();
        let server = (round == 1).then(|| kit.serve(""));
        let before = quarantined();
        assert_eq!(before.len(), lifted + 2);
        let since = day(1).to_string();
        // Named first, and nothing is done.
        let said = kit.command(lift(&["--since", &since, "--state", state])).ok();
        for part in [id(20).as_str(), "Nothing was changed", "Then add --yes", "2 more are in quarantine"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(quarantined(), before);
        assert_eq!(json(&kit, &lift(&["--since", &day(2).to_string(), "--yes"]))["changed"], false);
        let done = json(&kit, &lift(&["--since", &since, "--yes"]));
        assert_eq!((&done["changed"], done["devices"].as_array().unwrap().len()), (&true.into(), lifted));
        // What has other evidence against it, or had that before, stays.
        assert_eq!(quarantined(), [id(21).to_string(), id(22).to_string()]);
        drop(server);
    }
    let audit = json(&kit, &["audit", "list", "--kind", "device.lifted"]);
    assert_eq!(audit.as_array().unwrap().len(), 3, "{audit}");
    for wrong in
        [&["device", "lift", "--reason", "x"][..], &lift(&[]), &lift(&["d", "--since", "2026-11-01"])]
    {
        let refused = kit.command([wrong, &["--state", state]].concat());
        assert!(refused.out.is_empty() && refused.err.contains("error: "), "{}", refused.err);
    }
}

#[test]
fn a_device_that_nobody_knows_is_revoked_where_it_is_said_so() {
    let kit = kit_with_devices();
    let state = kit.state();
    let state = state.to_str().unwrap();
    for (round, nobody) in [id(100), id(101)].iter().map(ToString::to_string).enumerate() {
        let server = (round == 1).then(|| kit.serve(""));
        let revoke = ["device", "revoke", &nobody, "--reason", "revoked before the disk was lost"];
        let (what, hint) = kit.command([&revoke[..], &["--state", state]].concat()).refused();
        assert!(what.contains("is known, and nothing was changed") && hint.contains("--unknown"), "{what}");
        let unknown = [&revoke[..], &["--unknown"]].concat();
        assert_eq!(json(&kit, &unknown)["changed"], true);
        assert_eq!(json(&kit, &unknown)["changed"], false);
        let revoked = json(&kit, &["device", "list", "--standing", "revoked"]);
        assert_eq!(ids(&revoked)[round], nobody);
        let said = kit.command(["device", "show", &nobody, "--state", state]).ok();
        assert!(said.contains("nothing more is known of it") && said.contains("the disk was lost"), "{said}");
        kit.clock.set(day(20));
        let why = json(&kit, &["device", "explain", &nobody])["reasons"].to_string();
        assert!(why.contains("it was revoked at") && !why.contains("last heard of"), "{why}");
        // Neither a lift nor an erasure opens it again.
        assert_eq!(json(&kit, &["device", "lift", &nobody, "--reason", "x"])["changed"], false);
        let receipt = json(&kit, &["device", "erase", &nobody, "--yes"]).to_string();
        assert!(receipt.contains("nothing else is known of it"), "{receipt}");
        assert_eq!(json(&kit, &["device", "show", &nobody])["standing"], "revoked");
        drop(server);
    }
    let audit = json(&kit, &["audit", "list", "--kind", "device.revoked"]).to_string();
    assert!(audit.contains(&id(100).to_string()) && audit.contains(&id(101).to_string()), "{audit}");
    assert_eq!(json(&kit, &["store", "check"])["wrong"], 0);
}

#[test]
fn damaged_records_are_told_in_lists_and_in_the_status() {
    let kit = kit_with_devices();
    let held = State::at(kit.state()).hold().unwrap();
    held.store.commit(Batch::new().put(Space::Devices, id(2).as_str(), *b"?")).unwrap();
    drop(held);
    let page = json(&kit, &["device", "list"]);
    assert_eq!((ids(&page).len(), &page["damaged"][0]), (4, &id(2).as_str().into()));
    let state = kit.state();
    let said = kit.command(["device", "list", "--state", state.to_str().unwrap()]).ok();
    assert!(said.contains("its record is damaged"), "{said}");
    let status = json(&kit, &["status"]);
    assert_eq!(status["fleet"]["damaged"], 1, "{status}");
    assert!(status["alarms"].to_string().contains("records of 1 devices"), "{status}");
}

#[test]
fn who_may_only_look_changes_no_device() {
    let kit = kit_with_devices();
    let viewer = json(&kit, &["token", "create", "--name", "v", "--role", "viewer"])["token"].clone();
    let operator = json(&kit, &["token", "create", "--name", "o", "--role", "operator"])["token"].clone();
    let (viewer, operator) = (viewer.as_str().unwrap(), operator.as_str().unwrap());
    let server = kit.serve("");
    let path = format!("/api/v1/devices/{}", id(1));
    for looking in ["/api/v1/devices?limit=1", &path, &format!("{path}/explain")] {
        assert_eq!(ask(&server, "GET", looking, Some(viewer)).status, 200, "{looking}");
        assert_eq!(ask(&server, "GET", looking, None).status, 401, "{looking}");
        assert_eq!(super::kit::get(server.plain[0], looking).status, 404, "{looking}");
    }
    assert_eq!(ask(&server, "DELETE", &path, Some(viewer)).status, 403);
    assert_eq!(ask(&server, "POST", &format!("{path}/revoke"), Some(viewer)).status, 403);
    assert_eq!(ask(&server, "POST", &format!("{path}/lift"), Some(viewer)).status, 403);
    for wrong in [
        "/api/v1/devices?limit=x",
        "/api/v1/devices?limit=0",
        "/api/v1/devices?limit=1001",
        "/api/v1/devices/d?reports=1001",
        "/api/v1/audit?limit=1001",
        "/api/v1/audit?after=9223372036854775808",
        "/api/v1/devices?standing=odd",
        "/api/v1/devices?after=/",
        "/api/v1/devices/%00",
        "/api/v1/devices/d?before=1",
    ] {
        assert_eq!(ask(&server, "GET", wrong, Some(viewer)).status, 400, "{wrong}");
    }
    assert_eq!(ask(&server, "POST", &format!("{path}/revoke"), Some(operator)).status, 400);
    assert_eq!(ask(&server, "DELETE", &path, Some(operator)).status, 200);
    assert_eq!(ask(&server, "DELETE", &path, Some(operator)).status, 404);
}
