//! Roots and timestamps: who signs what is latest, and which roots are served.

use super::kit::{Kit, bundle, get};
use super::product::{published, refused};
use perennial_schemas::tuf::TopRole;
use perennial_tests::simulator::day;

#[test]
fn without_a_root_nothing_is_taken() {
    let mut kit = Kit::new();
    std::fs::remove_file(kit.state().join("root.json")).unwrap();
    let bundle = kit.publish("b");
    let (what, hint) = kit.ingest(&bundle).refused();
    assert!(what.contains("trusts no root yet"), "{what}");
    assert!(hint.contains("init --state DIR --root"), "{hint}");
}

#[test]
fn a_root_without_the_servers_key_needs_an_offline_timestamp() {
    let mut kit = Kit::new();
    kit.repository.rotate(TopRole::Timestamp);
    kit.repository.publish_root();
    kit.target("cam/a", "a");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "doesn't name this server's timestamp key");

    let mut files = kit.files();
    let timestamp = kit.repository.files["timestamp.json"].clone();
    files.insert(0, ("metadata/timestamp.json".into(), timestamp.clone()));
    let said = kit.ingest(&kit.write("b", &files)).ok();
    let notice = "timestamp key is not in the root, so it can't renew the timestamp";
    assert!(said.contains(notice) && said.contains("No server is running on this state: start it"), "{said}");
    let status = kit.command(["status", "--state", kit.state().to_str().unwrap()]).ok();
    assert!(status.contains(notice), "{status}");
    let server = kit.serve("");
    assert_eq!(get(server.plain[0], "/metadata/timestamp.json").body, timestamp);
    assert_eq!(server.ready(), Ok(()));
    // It can't be renewed here: once it has expired, the server says so.
    server.stop();
    kit.clock.set(day(30));
    let server = kit.serve("");
    assert_eq!(server.ready(), Err("the offline timestamp has expired".into()));
}

#[test]
fn a_bundle_that_brings_only_a_later_offline_timestamp_is_taken_in() {
    let mut kit = Kit::new();
    kit.repository.rotate(TopRole::Timestamp);
    kit.repository.publish_root();
    kit.target("cam/a", "a");
    kit.repository.publish();
    let bundled = |kit: &Kit| {
        let mut files = kit.files();
        let timestamp = kit.repository.files["timestamp.json"].clone();
        files.insert(0, ("metadata/timestamp.json".into(), timestamp));
        files
    };
    let first = bundled(&kit);
    kit.ingest(&kit.write("first", &first)).ok();
    assert!(kit.ingest(&kit.write("first", &first)).ok().contains("holds that already"));

    kit.repository.publish_timestamp();
    let second = bundled(&kit);
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1..], second[1..]);
    assert!(kit.ingest(&kit.write("second", &second)).ok().starts_with("Generation 2 is served"));
    let server = kit.serve("");
    assert_eq!(get(server.plain[0], "/metadata/timestamp.json").body, second[0].1);
    server.stop();

    // A bundle without news is read to its end all the same.
    let mut bytes = bundle(&second);
    bytes.push(0);
    let path = kit.path("longer");
    std::fs::write(&path, bytes).unwrap();
    refused(&kit, &path, "goes on after its last file");
}

#[test]
fn a_root_that_nobody_signed_decides_nothing() {
    let mut kit = published();
    kit.target("cam/more", "more");
    kit.repository.publish();
    let forged = |kit: &Kit, root: &[u8]| {
        let mut files = kit.files();
        files.insert(0, ("metadata/999.root.json".into(), root.to_vec()));
        kit.write("forged", &files)
    };
    // One that names the server's key: it would have been ignored, and the bundle taken.
    let root = kit.repository.files["2.root.json"].clone();
    refused(&kit, &forged(&kit, &root), "metadata/999.root.json is in the bundle, but no signed metadata");
    // One that doesn't, with a timestamp that the true root's other key signed: devices would be bound to it.
    let root = kit.repository.first_root().to_vec();
    kit.repository.timestamp.common.version = 2_000_000_000;
    kit.repository.serve_timestamp();
    let mut files = kit.files();
    files.insert(0, ("metadata/999.root.json".into(), root));
    files.insert(0, ("metadata/timestamp.json".into(), kit.repository.files["timestamp.json"].clone()));
    refused(&kit, &kit.write("forged", &files), "999.root.json is in the bundle");
}

#[test]
fn every_root_there_ever_was_is_served() {
    let mut kit = published();
    kit.repository.rotate(TopRole::Root);
    kit.repository.publish_root();
    kit.repository.publish();
    // The bundle brings the newest root alone.
    let mut files = kit.files();
    files.retain(|(path, _)| !path.ends_with("root.json") || path.ends_with("/3.root.json"));
    kit.ingest(&kit.write("b", &files)).ok();
    let server = kit.serve("");
    for version in 1..=3 {
        let answer = get(server.plain[0], &format!("/metadata/{version}.root.json"));
        assert_eq!(answer.body, kit.repository.files[&format!("{version}.root.json")], "{version}");
    }
    assert_eq!(get(server.plain[0], "/metadata/4.root.json").status, 404);
}

#[test]
fn a_server_that_joins_late_serves_the_roots_before_its_own() {
    let mut kit = Kit::new();
    kit.repository.rotate(TopRole::Root);
    kit.repository.publish_root();
    // This server was handed root 3, and devices were born with root 1.
    std::fs::write(kit.state().join("root.json"), &kit.repository.files["3.root.json"]).unwrap();
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
    let server = kit.serve("");
    for version in 1..=3 {
        assert_eq!(get(server.plain[0], &format!("/metadata/{version}.root.json")).status, 200, "{version}");
    }
}

#[test]
fn a_renewal_while_a_bundle_is_taken_in_never_makes_the_timestamp_go_back() {
    let mut kit = published();
    let server = kit.serve("");
    let version = || -> u64 {
        let text = get(server.plain[0], "/metadata/timestamp.json").body;
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["signed"]["version"].as_u64().unwrap()
    };
    let mut before = version();
    for number in 0..3 {
        // The clock stands still, or goes back: versions rise all the same.
        kit.clock.set(day(1).plus_seconds(-number));
        kit.target("cam/number", number.to_string());
        let bundle = kit.publish("next.bundle");
        kit.ingest(&bundle).ok();
        assert!(version() > before);
        before = version();
    }
}

/// Devices take the date of an offline signature for the time at least, and the product's for consent to what was stopped before.
#[test]
fn what_says_it_was_signed_later_than_now_is_refused_whoever_signed_it() {
    for file in ["root", "snapshot", "targets", "cam"] {
        let mut kit = published();
        let ahead = day(1).plus_seconds(3601);
        let at = Some(ahead);
        match file {
            "root" => {
                kit.repository.root.common.signed_at = at;
                kit.repository.publish_root();
            }
            "snapshot" => kit.repository.snapshot.common.signed_at = at,
            role => kit.repository.role(role).common.signed_at = at,
        }
        let bundle = kit.publish("ahead");
        let words = format!("{file}.json says that it was signed at {ahead}, and the clock here says");
        refused(&kit, &bundle, &words);
        let status = kit.command(["status", "--json", "--state", kit.state().to_str().unwrap()]).ok();
        assert!(status.contains(r#""ahead":{"count":1,"#), "{status}");
        // An hour is for clocks that are apart.
        kit.clock.set(day(1).plus_seconds(1));
        kit.ingest(&bundle).ok();
        // What is served stays: a clock that is set back refuses nothing that comes after it.
        kit.clock.set(day(1));
        let config = kit.path("server.toml");
        let text = format!("state = {:?}\n[timestamp]\nvalidity = \"30d\"\n", kit.state().to_str().unwrap());
        std::fs::write(&config, text).unwrap();
        let again = kit.write("again", &kit.files());
        let [again, config] = [&again, &config].map(|path| path.to_str().unwrap());
        assert!(kit.command(["ingest", again, "--config", config]).ok().contains("holds that already"));
    }
}
