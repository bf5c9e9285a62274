//! Bundles that are taken in, and bundles that are refused whole.

use super::kit::{Kit, bundle, get};
use perennial_device_core::crypto::Ring;
use perennial_schemas::crypto::Digest;
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::tuf::TopRole;
use perennial_tests::simulator::day;

const SUPPORT: &str = r#"{"format":"perennial.support/1","requires":[],"product":"cam","promises":[PROMISES],
"contact":{"contacts":["mailto:security@example.com"],"acknowledgement_days":5,"status_update_days":14}}"#;

fn support(dates: &[&str]) -> String {
    let promise = |date: &&str| {
        format!(
            r#"{{"made":"2026-11-01T00:00:00Z","guaranteed_until":"{date}","reason":"Five years from launch."}}"#
        )
    };
    SUPPORT.replace("PROMISES", &dates.iter().map(promise).collect::<Vec<_>>().join(","))
}

/// The index of `content`, and its root.
fn index(content: &str) -> (Vec<u8>, String) {
    let shape = Shape::new(content.len() as u64, 12).unwrap();
    let (bytes, root) = Index::new(shape, vec![Ring.sha256(content.as_bytes())]).unwrap().encode(&Ring);
    (bytes, root.to_string())
}

/// A release whose image is `raw <version>`, packed as `image <version>` in `cam/<version>.a.image.zst`.
fn release(version: &str, until: &str) -> String {
    let (raw, packed) = (format!("raw {version}"), format!("image {version}"));
    let index = |name: &str, of: &str| {
        format!(r#"{{"target":"cam/{version}.a.image.{name}","root":"{}"}}"#, index(of).1)
    };
    format!(
        r#"{{"format":"perennial.release/1","requires":[],"product":"cam","version":"{version}","security_version":1,
        "class":{{"kind":"security"}},"created":"2026-11-01T00:00:00Z","notes":{{"what":"Fixes a bug."}},
        "available_until":"{until}","images":[{{"hardware":["a"],"length":{},"sha256":"{}","index":{},
        "payloads":[{{"encoding":"zstd","target":"cam/{version}.a.image.zst","length":{},"index":{}}}]}}]}}"#,
        raw.len(),
        Ring.sha256(raw.as_bytes()),
        index("index", &raw),
        packed.len(),
        index("zst.index", &packed),
    )
}

fn add_release(kit: &mut Kit, version: &str, until: &str) {
    let (raw, packed) = (format!("raw {version}"), format!("image {version}"));
    kit.target(&format!("cam/{version}.release.json"), release(version, until));
    kit.target(&format!("cam/{version}.a.image.index"), index(&raw).0);
    kit.target(&format!("cam/{version}.a.image.zst.index"), index(&packed).0);
    kit.target(&format!("cam/{version}.a.image.zst"), packed);
}

/// A kit with one release and one support date, taken in.
fn published() -> Kit {
    let mut kit = Kit::new();
    kit.target("cam/support.json", support(&["2031-06-30"]));
    add_release(&mut kit, "1.0.0", "2036-11-01");
    let bundle = kit.publish("first.bundle");
    let said = kit.ingest(&bundle).ok();
    assert!(said.starts_with("Generation 1 is served: snapshot 2, "), "{said}");
    kit
}

/// The bundle is refused with these words, and nothing on the disk has changed.
fn refused(kit: &Kit, bundle: &std::path::Path, words: &str) {
    let before = kit.everything();
    let (what, hint) = kit.ingest(bundle).refused();
    assert!(what.contains(words), "{what}");
    assert!(!hint.is_empty());
    assert!(kit.everything() == before, "a refused bundle changed the state folder");
}

#[test]
fn a_bundle_is_taken_in_once() {
    let kit = published();
    let said = kit.ingest(&kit.path("first.bundle")).ok();
    assert_eq!(said, "Generation 1 holds that already; nothing was changed.\n");
}

#[test]
fn a_second_bundle_needs_only_what_is_new() {
    let mut kit = published();
    let old = kit.files();
    add_release(&mut kit, "2.0.0", "2036-11-01");
    kit.repository.publish();
    let new: Vec<_> = kit.files().into_iter().filter(|file| !old.contains(file)).collect();
    assert!(new.iter().all(|(path, _)| !path.contains("1.0.0") && !path.contains("root")));
    let said = kit.ingest(&kit.write("second.bundle", &new)).ok();
    assert!(said.starts_with("Generation 2 is served"), "{said}");
}

#[test]
fn lower_versions_are_refused() {
    let mut kit = published();
    let first = kit.path("first.bundle");
    kit.target("cam/more", "more");
    let second = kit.publish("second.bundle");
    kit.ingest(&second).ok();
    refused(&kit, &first, "snapshot.json is version 2, older than version 3");

    // The snapshot goes forward, a role goes back.
    kit.repository.role("cam").common.version -= 2;
    let third = kit.publish("third.bundle");
    refused(&kit, &third, "cam.json is version 2, older than version 3");
}

#[test]
fn a_missing_target_is_refused() {
    let mut kit = published();
    kit.target("cam/more", "more");
    kit.repository.publish();
    let mut files = kit.files();
    files.retain(|(path, _)| !path.ends_with(".more"));
    refused(&kit, &kit.write("b", &files), "cam/");
    let mut files = kit.files();
    files.retain(|(path, _)| path != "metadata/3.cam.json");
    refused(&kit, &kit.write("b", &files), "3.cam.json");
}

#[test]
fn a_file_with_another_digest_is_refused() {
    let mut kit = published();
    kit.target("cam/more", "more");
    kit.repository.publish();
    // The header tells the truth about bytes that nobody vouches for.
    let mut files = kit.files();
    files.iter_mut().find(|(path, _)| path.ends_with(".more")).unwrap().1 = b"less".to_vec();
    refused(&kit, &kit.write("b", &files), "no signed metadata vouches for it");
    // The header lies.
    let mut bytes = bundle(&kit.files());
    let at = bytes.len() - "payload index 1.0.0".len() - 1;
    let damaged = bytes.windows(4).rposition(|window| window == b"more").unwrap();
    bytes[damaged] = b'M';
    let path = kit.path("b");
    std::fs::write(&path, &bytes).unwrap();
    refused(&kit, &path, "is damaged: its content has the SHA-256");
    // Cut off, and too long.
    std::fs::write(&path, &bundle(&kit.files())[..at]).unwrap();
    refused(&kit, &path, "can't be read");
    std::fs::write(&path, [bundle(&kit.files()), vec![0]].concat()).unwrap();
    refused(&kit, &path, "goes on after its last file");
    std::fs::write(&path, b"PK\x03\x04 this is another kind of archive").unwrap();
    refused(&kit, &path, "does not begin with");
}

#[test]
fn metadata_comes_before_targets() {
    let mut kit = published();
    kit.target("cam/more", "more");
    kit.repository.publish();
    let mut files = kit.files();
    files.rotate_left(1);
    refused(&kit, &kit.write("b", &files), "metadata comes first");
}

#[test]
fn a_file_that_nobody_signed_is_refused() {
    let mut kit = published();
    kit.repository.publish();
    let mut files = kit.files();
    files.push(("targets/cam/extra".into(), b"extra".to_vec()));
    refused(&kit, &kit.write("b", &files), "no signed metadata vouches for it");
}

#[test]
fn a_support_date_never_moves_earlier() {
    let mut kit = published();
    kit.target("cam/support.json", support(&["2030-06-30"]));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "can get later, never earlier");
    kit.target("cam/support.json", support(&["2031-06-30", "2033-06-30"]));
    let bundle = kit.publish_next();
    kit.ingest(&bundle).ok();
    kit.target("cam/support.json", support(&["2033-06-30"]));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "promises are only ever added");
    kit.remove("cam/support.json");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "the support record of cam would vanish");
}

#[test]
fn a_release_stays_as_it_was_until_the_day_it_names() {
    let mut kit = published();
    kit.remove("cam/1.0.0.a.image.zst");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/1.0.0.a.image.zst would vanish or change");
    kit.target("cam/1.0.0.a.image.zst", "another image");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/1.0.0.a.image.zst would vanish or change");
    kit.target("cam/1.0.0.a.image.zst", "image 1.0.0");
    kit.remove("cam/1.0.0.release.json");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/1.0.0.release.json would vanish or change");
}

#[test]
fn what_a_device_could_not_read_is_refused() {
    let mut kit = published();
    kit.target("cam/2.0.0.release.json", release("2.0.0", "2036-11-01"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "it needs cam/2.0.0.a.image.index, which no role vouches for");
    kit.target("cam/2.0.0.release.json", release("2.0.0", "2036-11-01").replace("cam", "cup"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "it is a release of another product, cup");
    kit.target("cam/2.0.0.release.json", "{\"format\":\"perennial.release/2\"}");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.release.json: not a release");
    kit.remove("cam/2.0.0.release.json");
    kit.target("cam/stable.channel.json", "[]");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/stable.channel.json: not a channel");
}

#[test]
fn a_security_version_never_falls_and_rises_by_steps() {
    let mut kit = published();
    let with = |version: &str, number: &str| {
        let number = format!(r#""security_version":{number},"#);
        release(version, "2036-11-01").replace(r#""security_version":1,"#, &number)
    };
    add_release(&mut kit, "2.0.0", "2036-11-01");
    kit.target("cam/2.0.0.release.json", with("2.0.0", "18"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "2.0.0 of cam has security version 18; after 1 it must be from 1 to 17");
    kit.target("cam/2.0.0.release.json", with("2.0.0", "17"));
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
    add_release(&mut kit, "3.0.0", "2036-11-01");
    kit.target("cam/3.0.0.release.json", with("3.0.0", "16"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "has security version 16; after 17 it must be from 17 to 33");
}

#[test]
fn a_release_that_does_not_fit_its_files_is_refused() {
    let mut kit = published();
    add_release(&mut kit, "2.0.0", "2036-11-01");
    kit.target("cam/2.0.0.a.image.zst", "something longer");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.a.image.zst has 16 bytes; it says 11");
    add_release(&mut kit, "2.0.0", "2036-11-01");
    kit.target("cam/2.0.0.a.image.index", index("another image").0);
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.a.image.index: ");
    add_release(&mut kit, "2.0.0", "2036-11-01");
    let manifest = release("2.0.0", "2036-11-01").replacen(r#""length":9,"#, r#""length":10,"#, 1);
    kit.target("cam/2.0.0.release.json", manifest);
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.a.image.index: it indexes 9 bytes; the manifest says 10");
}

#[test]
fn a_channel_offers_only_what_is_there() {
    let mut kit = published();
    let offering = |manifest: &str| {
        format!(
            r#"{{"format":"perennial.channel/1","requires":[],"product":"cam","channel":"stable",
            "releases":[{{"version":"1.0.0","manifest":"{manifest}"}}],"withdrawn":[]}}"#
        )
    };
    kit.target("cam/stable.channel.json", offering(&"1".repeat(64)));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "it offers 1.0.0 with a manifest that no role vouches for");
    let manifest = Ring.sha256(release("1.0.0", "2036-11-01").as_bytes()).to_string();
    kit.target("cam/stable.channel.json", offering(&manifest));
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
}

#[test]
fn what_is_withdrawn_stays_withdrawn() {
    let channel = |withdrawn: &str| {
        format!(
            r#"{{"format":"perennial.channel/1","requires":[],"product":"cam","channel":"stable","releases":[],
            "withdrawn":[{withdrawn}]}}"#
        )
    };
    let entry = format!(
        r#"{{"version":"1.0.0","manifest":"{}","reason":"It overheats.","at":"2026-11-01T00:00:00Z"}}"#,
        "1".repeat(64)
    );
    let mut kit = published();
    kit.target("cam/stable.channel.json", channel(&entry));
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
    kit.target("cam/stable.channel.json", channel(""));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/stable.channel.json would forget that 1.0.0 was withdrawn");
    kit.remove("cam/stable.channel.json");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "would forget that 1.0.0 was withdrawn");
}

#[test]
fn after_that_day_a_release_may_go() {
    let mut kit = Kit::new();
    add_release(&mut kit, "1.0.0", "2026-11-03");
    let bundle = kit.publish("first.bundle");
    kit.ingest(&bundle).ok();
    kit.remove("cam/1.0.0.release.json");
    kit.remove("cam/1.0.0.a.image.zst");
    let bundle = kit.publish("second.bundle");
    kit.clock.set(day(2));
    refused(&kit, &bundle, "would vanish");
    kit.clock.set(day(3));
    kit.ingest(&bundle).ok();
}

#[test]
fn signatures_below_the_threshold_and_other_makers_are_refused() {
    let mut kit = published();
    let thief = kit.repository.new_signer();
    kit.repository.signers.insert("cam".into(), vec![thief]);
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam.json is not signed as it must be");

    let mut other = Kit::new();
    other.repository = perennial_tests::simulator::Repository::of_somebody_else();
    other.repository.publish();
    let foreign = kit.write("foreign", &other.files());
    refused(&kit, &foreign, "is not signed as it must be");
}

#[test]
fn an_expired_role_is_refused() {
    let mut kit = published();
    kit.repository.role("cam").common.expires = day(1);
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam.json expired at");
}

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
    kit.ingest(&kit.write("b", &files)).ok();
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
fn too_large_a_bundle_is_refused_by_its_header() {
    let mut kit = Kit::new();
    kit.target("cam/large", vec![0; 4000]);
    let bundle = kit.publish("b");
    let config = kit.path("server.toml");
    let text = format!("state = {:?}\n[limits]\nbundle = \"4KiB\"\n", kit.state().to_str().unwrap());
    std::fs::write(&config, text).unwrap();
    let ran = kit.command(["ingest", bundle.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    let (what, hint) = ran.refused();
    assert!(what.contains("more than limits.bundle allows (4096 bytes)"), "{what}");
    assert!(hint.contains("limits.bundle"), "{hint}");
}

impl Kit {
    fn publish_next(&mut self) -> std::path::PathBuf {
        self.publish("next.bundle")
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

#[test]
fn two_thousand_targets_are_taken_in() {
    let mut kit = Kit::new();
    (0..2_000).for_each(|number| kit.target(&format!("cam/{number}.bin"), number.to_string()));
    let bundle = kit.publish("large.bundle");
    let said = kit.ingest(&bundle).ok();
    assert!(said.starts_with("Generation 1 is served: snapshot 2, 2005 files"), "{said}");
}
