//! The drill: a server whose records are brought back from an older copy, and its devices, which have gone on meanwhile.

use super::kit::{Fleet, Unit, check_in};
use perennial_schemas::Document;
use perennial_schemas::fleet::CheckedIn;
use perennial_server::server::Running;
use perennial_tests::simulator::day;

fn checks_in(fleet: &Fleet, server: &Running, unit: &mut Unit) {
    let now = (fleet.kit.clock.now())();
    let said = check_in(now, Some(&unit.ticket));
    let answer = fleet.connect(server, unit).ask_with("PUT", "/v1/devices/self", &[], &said);
    unit.ticket = CheckedIn::parse(&answer.body).unwrap().ticket.to_string();
}

#[test]
fn devices_go_on_with_a_server_whose_records_are_older_and_a_copy_is_found_all_the_same() {
    let fleet = Fleet::new();
    let (state, old, file) = (fleet.kit.state(), fleet.kit.path("old"), fleet.kit.path("records.export"));
    let [state_name, file_name] = [&state, &file].map(|path| path.to_str().unwrap().to_owned());
    let (state_name, file_name) = (state_name.as_str(), file_name.as_str());
    let server = fleet.serve("certificate_days = 10", "");
    let [mut steady, renewing, mut copied] = [(); 3].map(|()| fleet.enrolled(&server));
    for unit in [&mut steady, &mut copied] {
        checks_in(&fleet, &server, unit);
        assert_eq!(fleet.report(&server, unit, &[1, 2]).status, 200);
    }
    let stolen = Unit {
        key: rcgen::KeyPair::try_from(copied.key.serialize_der()).unwrap(),
        chain: copied.chain.clone(),
        device: copied.device.clone(),
        ticket: copied.ticket.clone(),
    };
    fleet.kit.command(["store", "export", file_name, "--state", state_name]).ok();
    // What happens after the copy was made.
    fleet.kit.clock.set(day(1).plus_days(8));
    for unit in [&mut steady, &mut copied] {
        checks_in(&fleet, &server, unit);
        checks_in(&fleet, &server, unit);
        assert_eq!(fleet.report(&server, unit, &[3, 4]).json()["acknowledged"], 4);
    }
    let renewed = fleet.enrol(&server, &renewing).unwrap();
    assert_eq!(fleet.report(&server, &renewed, &[1]).status, 200);
    let late = fleet.factory();
    let newcomer = fleet.enrol(&server, &late).unwrap();
    let stolen_goods = fleet.factory();
    let owner_of_none = fleet.enrol(&server, &stolen_goods).unwrap();
    let revoked =
        ["device", "revoke", stolen_goods.device.as_str(), "--reason", "a theft", "--state", state_name];
    fleet.kit.command(revoked).ok();
    server.stop();

    // The disk is lost; keys come from their backup, records from the export.
    std::fs::rename(&state, &old).unwrap();
    fleet.kit.command(["init", "--state", state_name]).ok();
    for key in std::fs::read_dir(old.join("keys")).unwrap() {
        let key = key.unwrap();
        std::fs::copy(key.path(), state.join("keys").join(key.file_name())).unwrap();
    }
    let said = fleet.kit.command(["store", "import", file_name, "--state", state_name]).ok();
    for part in [
        "forgotten what came after",
        "device revoke ID --unknown",
        "token list",
        "revocation list",
        "raised anew",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What was revoked meanwhile is revoked again, although these records have never heard of it.
    fleet.kit.command([&revoked[..], &["--unknown"]].concat()).ok();
    let server = fleet.serve("certificate_days = 10", "");
    // What was acknowledged is missing now, and nobody is taken for a copy.
    assert_eq!(fleet.report(&server, &steady, &[5]).json()["flagged"].as_array().map_or(0, Vec::len), 0);
    checks_in(&fleet, &server, &mut steady);
    checks_in(&fleet, &server, &mut steady);
    // What is held is shown and erased once the device was there with the forgotten certificate, and not before.
    let asks = |method| fleet.connect(&server, &renewed).ask_with(method, "/v1/devices/self", &[], b"");
    for method in ["GET", "DELETE"] {
        assert_eq!(asks(method).code(), (403, "certificate-superseded".into()));
    }
    assert_eq!(fleet.report(&server, &renewed, &[2]).json()["acknowledged"], 2);
    assert_eq!(asks("GET").json()["standing"], "enrolled");
    assert_eq!(fleet.report(&server, &newcomer, &[1]).code(), (403, "not-enrolled".into()));
    let newcomer = fleet.enrol(&server, &late).unwrap();
    assert_eq!(fleet.report(&server, &newcomer, &[1]).json()["acknowledged"], 1);
    let list = |filter: &[&str]| {
        let args = [&["device", "list", "--state", state_name], filter].concat();
        fleet.kit.command(args).ok()
    };
    assert_eq!(list(&["--standing", "enrolled"]).lines().count(), 4);
    for unit in [&stolen_goods, &owner_of_none] {
        assert_eq!(fleet.enrol(&server, unit).err().unwrap()["code"], "revoked");
    }
    let show =
        |unit: &Unit| fleet.kit.command(["device", "show", unit.device.as_str(), "--state", state_name]).ok();
    assert!(show(&steady).contains("2 of its reports never came here"), "{}", show(&steady));

    // A thief of the ticket that the records know is taken for the device, until the device comes.
    let mut stolen = stolen;
    checks_in(&fleet, &server, &mut stolen);
    checks_in(&fleet, &server, &mut copied);
    let quarantined = list(&["--standing", "quarantined"]);
    assert!(
        quarantined.contains(copied.device.as_str()) && quarantined.lines().count() == 1,
        "{quarantined}"
    );
    let said = show(&copied);
    for part in [
        "In quarantine: its identity (key and certificate) seems to be in two places",
        "ticket-forked, at 2026-11-10T00:00:00Z",
        ": a check-in didn't show the ticket",
        "showed a ticket that was used up, or never given; the one before it was at",
        "perennial-server device lift",
        "perennial-server device revoke",
        "perennial-server device erase",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let why = fleet.kit.command(["device", "explain", copied.device.as_str(), "--state", state_name]).ok();
    assert!(why.contains("quarantined, which stops no update") && why.contains("device lift"), "{why}");
    let restored = ["store", "restored", "--reason", "a dump", "--state", state_name];
    let (what, hint) = fleet.kit.command(restored).refused();
    assert!(what.contains("in use") && hint.contains("stop the server"), "{what}: {hint}");
    server.stop();
    assert!(show(&copied).contains("In quarantine"));

    // Brought back by other means than an import: somebody has to say so.
    fleet.kit.command(restored).ok();
    let server = fleet.serve("", "");
    steady.ticket = "ab".repeat(16);
    checks_in(&fleet, &server, &mut steady);
    assert_eq!(list(&["--standing", "quarantined"]).lines().count(), 1);
    let audit = fleet.kit.command(["audit", "list", "--kind", "store", "--state", state_name]).ok();
    assert!(audit.contains("store.imported") && audit.contains("why=a dump"), "{audit}");
}
