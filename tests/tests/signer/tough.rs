//! A repository that tough's editor made, on which tuftool is built, goes on here: taken in, given a promise and a release, and
//! followed by a device that was born with its first root.

use std::fs;
use std::num::NonZeroU64;

use perennial_schemas::{Json, canonical::to_canonical};
use serde_json::{Value, json};
use tough::TargetName;
use tough::editor::RepositoryEditor;
use tough::editor::signed::PathExists;
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::{PathPattern, PathSet, Root, Signed, Target};

use super::desk::{CONTACT, Desk, publish};

const MANUAL: &str = "thermostat/manual.txt";
const ONE: NonZeroU64 = NonZeroU64::MIN;

/// alice holds the root, erin the targets and the product, dora the snapshot, tess the timestamp.
const HOLDERS: [(&str, &str); 4] =
    [("root", "alice"), ("targets", "erin"), ("snapshot", "dora"), ("timestamp", "tess")];

/// As `tuftool root` writes it.
fn root(desk: &Desk) -> Vec<u8> {
    let (mut keys, mut roles) = (serde_json::Map::new(), serde_json::Map::new());
    for (role, person) in HOLDERS {
        let public = fs::read(desk.path(&format!("{person}.pub.json"))).unwrap();
        let public: Value = serde_json::from_slice(&public).unwrap();
        let id = public["keyid"].as_str().unwrap();
        keys.insert(id.into(), public["key"].clone());
        roles.insert(role.into(), json!({ "keyids": [id], "threshold": 1 }));
    }
    let id = roles["root"]["keyids"][0].clone();
    let signed = json!({
        "_type": "root", "spec_version": "1.0.0", "consistent_snapshot": true, "version": 1,
        "expires": "2027-11-01T00:00:00Z", "keys": keys, "roles": roles,
    });
    let text = to_canonical(&Json::parse(signed.to_string().as_bytes()).unwrap());
    let alice = fs::read(desk.path("alice.key")).unwrap();
    let alice = ring::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&alice).unwrap();
    let sig: String = alice.sign(&text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::to_vec_pretty(&json!({ "signed": signed, "signatures": [{ "keyid": id, "sig": sig }] }))
        .unwrap()
}

/// Metadata under `theirs/metadata`, targets under `theirs/targets`: one of the top-level role, one of a team's.
async fn made_by_tough(desk: &Desk) {
    let place = |name: &str| desk.path(name);
    desk.write("in/readme.txt", "Read me.");
    desk.write("in/manual.txt", "Press the button.");
    fs::create_dir_all(place("theirs/metadata")).unwrap();
    fs::write(place("root.json"), root(desk)).unwrap();
    let expires = serde_json::from_slice::<Signed<Root>>(&root(desk)).unwrap().signed.expires;
    let keys = |people: &[&str]| -> Vec<Box<dyn KeySource>> {
        let source = |person: &&str| Box::new(LocalKeySource { path: place(&format!("{person}.key")) }) as _;
        people.iter().map(source).collect()
    };
    let file = async |name: &str| Target::from_path(place(name)).await.unwrap();
    let (erin, all) = (keys(&["erin"]), keys(&["erin", "dora", "tess"]));
    let pattern = PathSet::Paths(vec![PathPattern::new("thermostat/*").unwrap()]);

    let mut editor = RepositoryEditor::new(place("root.json")).await.unwrap();
    editor.snapshot_version(ONE).snapshot_expires(expires).timestamp_version(ONE).timestamp_expires(expires);
    editor.add_target("readme.txt", file("in/readme.txt").await).unwrap();
    editor.delegate_role("thermostat", &erin, pattern, true, ONE, expires, ONE).await.unwrap();
    editor.targets_version(ONE).unwrap().targets_expires(expires).unwrap();
    editor.sign_targets_editor(&erin).await.unwrap().change_delegated_targets("thermostat").unwrap();
    editor.add_target(MANUAL, file("in/manual.txt").await).unwrap();
    editor.targets_version(ONE).unwrap().targets_expires(expires).unwrap();
    editor.sign_targets_editor(&erin).await.unwrap().change_delegated_targets("targets").unwrap();
    editor.targets_version(ONE).unwrap().targets_expires(expires).unwrap();
    let signed = editor.sign(&all).await.unwrap();
    signed.write(place("theirs/metadata")).await.unwrap();
    let to = place("theirs/targets");
    fs::create_dir_all(&to).unwrap();
    // tuftool links target files unless it is told to copy them.
    let (readme, manual) = (TargetName::new("readme.txt").unwrap(), TargetName::new(MANUAL).unwrap());
    signed.link_target(&place("in/readme.txt"), &to, PathExists::Fail, Some(&readme)).await.unwrap();
    signed.copy_target(&place("in/manual.txt"), &to, PathExists::Fail, Some(&manual)).await.unwrap();
}

/// Whether every target file of the repository is a file of its own.
fn holds_its_files(desk: &Desk) -> bool {
    let targets = fs::read_dir(desk.path("repo/targets")).unwrap().map(|entry| entry.unwrap());
    let kinds: Vec<_> = targets.map(|entry| entry.file_type().unwrap()).collect();
    !kinds.is_empty() && kinds.iter().all(|kind| !kind.is_symlink())
}

#[test]
fn a_repository_made_by_tough_goes_on_here_down_to_a_device() {
    let desk = Desk::with_keys(&["alice", "erin", "dora", "tess"]);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(made_by_tough(&desk));
    let theirs = |name: &str| desk.path(&format!("theirs/{name}")).display().to_string();
    let said = desk.ok(&format!("repository import {} --targets {}", theirs("metadata"), theirs("targets")));
    assert!(said.contains("Took in root 1, 2 role(s) and 2 target file(s)"), "{said}");
    assert!(holds_its_files(&desk));
    fs::remove_dir_all(desk.path("theirs")).unwrap();
    fs::remove_dir_all(desk.path("in")).unwrap();
    desk.ok("check --all");

    desk.write("contact.toml", CONTACT);
    desk.write("image.bin", "an image that works");
    desk.ok("product add thermostat --support-until 2031-12 --reason \"As printed on the box.\" --contact contact.toml");
    publish(&desk, &["erin", "dora", "tess"]);
    let image = desk.path("image.bin");
    desk.ok(&format!(
        "release propose thermostat 1.0.0 --image revC={} --class functionality --notes \"The first of ours.\"",
        image.display()
    ));
    publish(&desk, &["erin", "dora", "tess"]);
    let said = desk.ok("check --all");
    assert!(said.contains("2 roles, 8 targets"), "{said}");

    let device = crate::agent::kit::Device::born_with(&root(&desk), &desk.path("repo").display().to_string());
    device.run(&["update"]).ok();
    assert_eq!(
        (device.running().as_str(), device.slot("b").as_slice()),
        ("1.0.0", b"an image that works".as_slice())
    );
    assert_eq!(device.status()["security_updates_until"], "2031-12-31");
}
