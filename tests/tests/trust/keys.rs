//! Whose word counts: arbitrary software, compromise below the threshold, duplicates, wrong software.

use perennial_device_core::trust::TrustError;
use perennial_schemas::signed::{Envelope, canonical_of, to_text};
use perennial_schemas::tuf::TopRole;
use perennial_tests::simulator::{Device, Repository, Signer};

use super::{refused, settled, stopped, versions};

#[test]
fn arbitrary_software_in_the_place_of_each_role() {
    for role in ["root", "timestamp", "snapshot", "targets"] {
        let (mut repository, mut device) = settled();
        let stranger = repository.new_signer();
        repository.signers.insert(role.into(), vec![stranger]);
        if role == "root" {
            repository.publish_root();
        }
        repository.publish();
        let before = device.version(&format!("{role}.json"));
        let error = stopped(&mut device, &mut repository);
        assert!(matches!(error, TrustError::Signature { file, .. } if file.contains(role)), "{role}");
        assert_eq!(device.version(&format!("{role}.json")), before);
    }
}

#[test]
fn arbitrary_software_by_altered_targets() {
    let (mut repository, mut device) = settled();
    repository.publish();
    let file = repository.files.get_mut("3.targets.json").unwrap();
    let text = String::from_utf8(file.clone()).unwrap().replace("\"good\"", "\"evil\"");
    *file = text.into_bytes();
    let error = stopped(&mut device, &mut repository);
    assert!(matches!(error, TrustError::Digest { file, .. } if file == "targets.json"));
    assert_eq!(versions(&device), [1, 3, 3, 2]);
}

#[test]
fn key_compromise_below_the_threshold() {
    for role in TopRole::ALL {
        let (mut repository, mut device) = settled();
        repository.add_key(role);
        repository.add_key(role);
        repository.top(role).threshold = 2;
        repository.publish_root();
        repository.publish();
        device.refresh(&mut repository).unwrap();
        // One of three keys is stolen, and signs alone.
        repository.signers.get_mut(role.as_str()).unwrap().truncate(1);
        if role == TopRole::Root {
            repository.publish_root();
        }
        repository.publish();
        let file = format!("{role}.json");
        let before = device.version(&file);
        let error = stopped(&mut device, &mut repository);
        let TrustError::Signature { source, .. } = error else { panic!("{role}: {error}") };
        assert_eq!((source.good, source.threshold), (1, 2), "{role}");
        assert_eq!(device.version(&file), before, "{role}");
    }
}

#[test]
fn a_new_root_needs_the_old_keys_and_its_own() {
    let (mut repository, mut device) = settled();
    let old = repository.signers["root"].clone();
    let new = repository.rotate(TopRole::Root);
    for signers in [vec![new], old.clone()] {
        repository.signers.insert("root".into(), signers);
        repository.root.common.version = 2;
        repository.serve_root();
        assert!(matches!(refused(&mut device, &mut repository), TrustError::Signature { .. }));
    }
    repository.signers.insert("root".into(), vec![new, old[0]]);
    repository.serve_root();
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.version("root.json"), 2);
}

#[test]
fn duplicate_signatures_are_refused() {
    let (mut repository, mut device) = settled();
    repository.timestamp.common.version += 1;
    let mut file: serde_json::Value =
        serde_json::from_slice(&repository.sign("timestamp", &repository.timestamp)).unwrap();
    let signature = file["signatures"][0].clone();
    file["signatures"].as_array_mut().unwrap().push(signature);
    repository.files.insert("timestamp.json".into(), serde_json::to_vec(&file).unwrap());
    assert!(matches!(refused(&mut device, &mut repository), TrustError::Format { .. }));
}

#[test]
fn one_key_under_two_ids_counts_once() {
    let (mut repository, mut device) = settled();
    // The same public key under another id and in other letters, to reach a threshold of two alone.
    let signer: Signer = repository.signers["snapshot"][0];
    let alias: perennial_schemas::KeyId = "alias".parse().unwrap();
    let mut key = signer.key();
    let shouted = key.public().to_ascii_uppercase();
    key.keyval.insert("public".into(), perennial_schemas::Json::String(shouted));
    repository.root.keys.insert(alias.clone(), key);
    repository.top(TopRole::Snapshot).keyids.push(alias.clone());
    repository.top(TopRole::Snapshot).threshold = 2;
    repository.publish_root();
    repository.publish();
    let message = canonical_of(&repository.snapshot).unwrap();
    let mut signatures = vec![signer.sign(&message), signer.sign(&message)];
    signatures[1].keyid = alias;
    let text = to_text(&Envelope { signed: repository.snapshot.clone(), signatures }).unwrap();
    repository.list_snapshot(&text);
    repository.serve_timestamp();
    let error = stopped(&mut device, &mut repository);
    let TrustError::Signature { file, source } = error else { panic!("{error}") };
    assert_eq!((file.as_str(), source.good, source.threshold), ("snapshot.json", 1, 2));
    assert_eq!(device.version("snapshot.json"), 2);
}

#[test]
fn a_key_id_listed_twice_in_a_role_is_refused() {
    let (mut repository, mut device) = settled();
    let id = repository.top(TopRole::Snapshot).keyids[0].clone();
    repository.top(TopRole::Snapshot).keyids.push(id);
    repository.publish_root();
    assert!(matches!(refused(&mut device, &mut repository), TrustError::Format { .. }));
}

#[test]
fn a_threshold_of_zero_is_refused() {
    let (mut repository, mut device) = settled();
    repository.top(TopRole::Targets).threshold = 0;
    repository.publish_root();
    assert!(matches!(refused(&mut device, &mut repository), TrustError::Format { .. }));
}

#[test]
fn keys_of_the_future_are_tolerated_and_count_for_nothing() {
    let (mut repository, mut device) = settled();
    let mut key = Signer(77).key();
    (key.keytype, key.scheme) = ("ml-dsa".into(), "ml-dsa-65".into());
    let id = Signer(77).id();
    repository.root.keys.insert(id.clone(), key);
    repository.top(TopRole::Timestamp).keyids.push(id);
    repository.signers.get_mut("timestamp").unwrap().push(Signer(77));
    repository.publish_root();
    repository.publish();
    device.refresh(&mut repository).unwrap();
    repository.top(TopRole::Timestamp).threshold = 2;
    repository.publish_root();
    repository.publish();
    let error = stopped(&mut device, &mut repository);
    assert!(matches!(error, TrustError::Signature { source, .. } if source.good == 1));
    assert_eq!(device.version("timestamp.json"), 3);
}

#[test]
fn wrong_software_of_another_product() {
    let mut repository = Repository::new();
    repository.delegate("targets", "thermostat", &["thermostat/*"], true);
    repository.delegate("targets", "kettle", &["kettle/*"], true);
    repository.add_target("kettle", "kettle/1.0.0.release.json", b"for kettles");
    // The kettle's team says what a thermostat should run.
    repository.add_target("kettle", "thermostat/1.0.0.release.json", b"for kettles");
    repository.publish();
    let mut device = Device::born_with(repository.first_root());
    assert_eq!(device.find(&mut repository, "thermostat/1.0.0.release.json").unwrap(), None);
    assert!(device.find(&mut repository, "kettle/1.0.0.release.json").unwrap().is_some());
}

#[test]
fn one_role_s_file_in_the_place_of_another() {
    let (mut repository, mut device) = settled();
    // Even signed by the timestamp's own key, a snapshot is no timestamp.
    let signers = repository.signers["timestamp"].clone();
    repository.signers.get_mut("snapshot").unwrap().extend(signers);
    repository.snapshot.common.version = 9;
    let file = repository.sign("snapshot", &repository.snapshot);
    repository.files.insert("timestamp.json".into(), file);
    assert!(matches!(refused(&mut device, &mut repository), TrustError::Format { .. }));
}
