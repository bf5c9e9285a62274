//! Old content is removed, and nothing that anybody was promised.

use std::path::{Path, PathBuf};

use super::kit::{Kit, eventually, get};
use super::product::add_release;
use perennial_device_core::crypto::Ring;
use perennial_schemas::crypto::Digest;
use perennial_server::audit;
use perennial_server::state::State;
use perennial_tests::simulator::day;

fn blob(kit: &Kit, content: &str) -> PathBuf {
    kit.state().join("blobs").join(Ring.sha256(content.as_bytes()).to_string())
}

/// Takes a bundle in where two generations are kept.
fn ingest(kit: &Kit, bundle: &Path) {
    let config = kit.path("two.toml");
    let state = kit.state();
    std::fs::write(&config, format!("state = {:?}\n[keep]\ngenerations = 2\n", state.to_str().unwrap()))
        .unwrap();
    kit.command(["ingest", bundle.to_str().unwrap(), "--config", config.to_str().unwrap()]).ok();
}

fn publish(kit: &mut Kit, note: &str) {
    kit.target("cam/note", note);
    let bundle = kit.publish(&format!("{note}.bundle"));
    ingest(kit, &bundle);
}

#[test]
fn content_that_no_kept_generation_names_is_removed_and_audited() {
    let mut kit = Kit::new();
    publish(&mut kit, "one");
    publish(&mut kit, "two");
    // What a killed ingest left, and what somebody put there.
    let orphan = blob(&kit, "orphan");
    std::fs::write(&orphan, "orphan").unwrap();
    let foreign = kit.state().join("blobs/notes.txt");
    std::fs::write(&foreign, "mine").unwrap();
    assert!(blob(&kit, "one").exists());
    publish(&mut kit, "three");
    assert!(!blob(&kit, "one").exists() && !orphan.exists());
    assert!(blob(&kit, "two").exists() && blob(&kit, "three").exists() && foreign.exists());
    let held = State::at(kit.state()).hold().unwrap();
    let entries = audit::entries(&held.store, 0, 10).unwrap();
    let swept = entries.last().unwrap();
    assert_eq!((swept.action.as_str(), swept.actor.as_str()), ("content.swept", "server"));
    assert_eq!((swept.detail["generations"].as_str(), swept.detail["served"].as_str()), ("1", "3"));
    audit::verify(&held.store).unwrap();
    drop(held);

    // Everything that is served is there.
    let server = kit.serve("");
    for content in ["two", "three"] {
        let path = format!("/targets/cam/{}.note", Ring.sha256(content.as_bytes()));
        assert_eq!(get(server.plain[0], &path).body, content.as_bytes());
    }
}

#[test]
fn a_running_server_sweeps_by_itself() {
    let mut kit = Kit::new();
    let server = kit.serve("[keep]\ngenerations = 2\n[timestamp]\nvalidity = \"10s\"\n");
    for note in ["one", "two", "three"] {
        kit.target("cam/note", note);
        let bundle = kit.publish("b");
        kit.ingest(&bundle).ok();
    }
    eventually("the first is gone", || !blob(&kit, "one").exists());
    assert!(blob(&kit, "two").exists());
    let gone = format!("/targets/cam/{}.note", Ring.sha256(b"one"));
    assert_eq!(get(server.plain[0], &gone).status, 404);
    server.stop();
}

#[test]
fn a_file_inside_its_time_survives_a_clock_that_was_wrong() {
    let mut kit = Kit::new();
    add_release(&mut kit, "1.0.0", "2026-11-05");
    publish(&mut kit, "one");
    // The clock is days ahead when the release is taken out: nobody notices.
    kit.clock.set(day(6));
    kit.remove("cam/1.0.0.release.json");
    kit.remove("cam/1.0.0.a.image.zst");
    publish(&mut kit, "two");
    kit.clock.set(day(2));
    for note in ["three", "four", "five"] {
        publish(&mut kit, note);
    }
    assert!(blob(&kit, "image 1.0.0").exists(), "a promised file was removed");
    assert!(!blob(&kit, "two").exists());
    kit.clock.set(day(6));
    publish(&mut kit, "six");
    assert!(!blob(&kit, "image 1.0.0").exists());
}

#[test]
fn with_0_everything_is_kept() {
    let mut kit = Kit::new();
    let config = kit.path("all.toml");
    let state = kit.state();
    std::fs::write(&config, format!("state = {:?}\n[keep]\ngenerations = 0\n", state.to_str().unwrap()))
        .unwrap();
    for number in 0..12 {
        kit.target("cam/note", number.to_string());
        let bundle = kit.publish("b");
        kit.command(["ingest", bundle.to_str().unwrap(), "--config", config.to_str().unwrap()]).ok();
    }
    assert!(blob(&kit, "0").exists());
    // By default ten are kept.
    kit.target("cam/note", "12");
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
    assert!(!blob(&kit, "2").exists() && blob(&kit, "3").exists());
}
