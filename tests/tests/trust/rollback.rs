//! Going back, standing still, and mixing: rollback, freeze, fast-forward, mix and match.

use perennial_device_core::trust::TrustError;
use perennial_schemas::tuf::TopRole;
use perennial_tests::simulator::{Device, day};

use super::{refused, settled, stopped, trust_error, versions};

#[test]
fn rollback_of_the_timestamp() {
    let (mut repository, mut device) = settled();
    let old = repository.record();
    repository.publish_timestamp();
    device.refresh(&mut repository).unwrap();
    repository.files = old;
    let error = refused(&mut device, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "timestamp.json".into(), floor: 3, found: 2 });
}

#[test]
fn rollback_of_the_snapshot_with_a_stolen_timestamp_key() {
    let (mut repository, mut device) = settled();
    repository.snapshot.common.version = 1;
    repository.serve_snapshot();
    repository.publish_timestamp();
    let error = refused(&mut device, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "snapshot.json".into(), floor: 2, found: 1 });
}

#[test]
fn rollback_of_targets_with_stolen_timestamp_and_snapshot_keys() {
    let (mut repository, mut device) = settled();
    repository.targets().common.version = 1;
    repository.serve_role("targets");
    repository.snapshot.common.version += 1;
    repository.serve_snapshot();
    repository.publish_timestamp();
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "targets.json".into(), floor: 2, found: 1 });
    assert_eq!(versions(&device), [1, 3, 2, 2]);
}

#[test]
fn rollback_of_a_delegated_role_with_stolen_timestamp_and_snapshot_keys() {
    let (mut repository, mut device) = settled();
    repository.delegate("targets", "product", &["product/*"], true);
    repository.publish();
    repository.publish();
    device.refresh(&mut repository).unwrap();
    repository.role("product").common.version = 1;
    repository.serve_role("product");
    repository.snapshot.common.version += 1;
    repository.serve_snapshot();
    repository.publish_timestamp();
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "product.json".into(), floor: 3, found: 1 });
    assert_eq!(versions(&device), [1, 5, 4, 4]);
}

#[test]
fn rollback_by_leaving_a_role_out_of_the_snapshot() {
    let (mut repository, mut device) = settled();
    repository.delegate("targets", "product", &["product/*"], true);
    repository.publish();
    device.refresh(&mut repository).unwrap();
    repository.roles.remove("product");
    repository.snapshot.meta.remove("product.json");
    repository.publish();
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::Unlisted { file: "product.json".into() });
    assert_eq!(versions(&device), [1, 4, 3, 3]);
}

#[test]
fn rollback_of_the_root() {
    let (mut repository, mut device) = settled();
    let first = repository.files["1.root.json"].clone();
    repository.files.insert("2.root.json".into(), first);
    let error = refused(&mut device, &mut repository);
    assert_eq!(error, TrustError::Version { file: "2.root.json".into(), expected: 2, found: 1 });
}

#[test]
fn leap_over_a_root() {
    let (mut repository, mut device) = settled();
    repository.root.common.version = 3;
    repository.serve_root();
    let third = repository.files["3.root.json"].clone();
    repository.files.insert("2.root.json".into(), third);
    let error = refused(&mut device, &mut repository);
    assert_eq!(error, TrustError::Version { file: "2.root.json".into(), expected: 2, found: 3 });
}

#[test]
fn freeze() {
    let (mut repository, mut device) = settled();
    // Somebody in between serves the same files for ever. Each of them ends that one day.
    device.clock = day(29);
    device.refresh(&mut repository).unwrap();
    device.clock = day(30);
    let error = refused(&mut device, &mut repository);
    let (expires, now) = (day(30), day(30));
    assert_eq!(error, TrustError::Expired { file: "timestamp.json".into(), expires, now });
}

#[test]
fn freeze_with_a_stolen_timestamp_key_ends_with_the_snapshot() {
    let (mut repository, mut device) = settled();
    repository.timestamp.common.expires = day(9000);
    repository.publish_timestamp();
    device.refresh(&mut repository).unwrap();
    device.clock = day(30);
    let TrustError::Expired { file, .. } = refused(&mut device, &mut repository) else { panic!() };
    assert_eq!(file, "snapshot.json");
}

#[test]
fn the_first_file_to_expire_says_until_when_the_set_holds() {
    let (mut repository, mut device) = settled();
    let (_, validity) = device.find_valid(&mut repository, "good").unwrap();
    assert_eq!(validity.earliest(), Some(("timestamp.json", day(30))));
}

#[test]
fn fast_forward_and_recovery_of_each_role() {
    let rotations: [(&str, &[TopRole]); 3] = [
        ("timestamp.json", &[TopRole::Timestamp]),
        ("snapshot.json", &[TopRole::Timestamp, TopRole::Snapshot]),
        ("targets.json", &[TopRole::Snapshot]),
    ];
    for (file, rotated) in rotations {
        let (mut repository, mut device) = settled();
        let honest = versions(&device);
        // The attacker pushes a version to the end of all numbers.
        match file {
            "timestamp.json" => repository.timestamp.common.version = u64::MAX - 1,
            "snapshot.json" => repository.snapshot.common.version = u64::MAX - 1,
            _ => repository.targets().common.version = u64::MAX - 1,
        }
        repository.publish();
        device.refresh(&mut repository).unwrap();
        assert_eq!(device.version(file), u64::MAX);
        // Without other keys there is no way back.
        let [_, timestamp, snapshot, targets] = honest;
        (repository.timestamp.common.version, repository.snapshot.common.version) =
            (timestamp + 1, snapshot + 1);
        repository.targets().common.version = targets + 1;
        repository.publish();
        stopped(&mut device, &mut repository);
        assert_eq!(device.version(file), u64::MAX, "{file}");
        // With other keys there is.
        for role in rotated {
            repository.rotate(*role);
        }
        repository.publish_root();
        if !rotated.contains(&TopRole::Timestamp) {
            repository.timestamp.common.version = device.version("timestamp.json");
        }
        repository.publish();
        device.refresh(&mut repository).unwrap();
        assert!(device.version(file) < 10, "{file} is {}", device.version(file));
    }
}

#[test]
fn another_timestamp_key_clears_no_floor_that_snapshot_keys_signed() {
    let (mut repository, mut device) = settled();
    repository.publish();
    device.refresh(&mut repository).unwrap();
    repository.rotate(TopRole::Timestamp);
    repository.publish_root();
    repository.targets().common.version = 1;
    repository.serve_role("targets");
    repository.snapshot.common.version += 1;
    repository.serve_snapshot();
    repository.publish_timestamp();
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "targets.json".into(), floor: 3, found: 1 });
    assert_eq!(device.version("targets.json"), 3);
}

#[test]
fn one_more_timestamp_key_clears_no_floor() {
    let (mut repository, mut device) = settled();
    let old = repository.files["timestamp.json"].clone();
    repository.publish_timestamp();
    device.refresh(&mut repository).unwrap();
    repository.add_key(TopRole::Timestamp);
    repository.publish_root();
    repository.files.insert("timestamp.json".into(), old);
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "timestamp.json".into(), floor: 3, found: 2 });
    assert_eq!(versions(&device), [2, 3, 2, 2]);
}

#[test]
fn mix_and_match_of_an_older_snapshot_under_the_new_name() {
    let (mut repository, mut device) = settled();
    let old = repository.files["2.snapshot.json"].clone();
    repository.publish();
    repository.files.insert("3.snapshot.json".into(), old);
    let error = stopped(&mut device, &mut repository);
    assert!(matches!(error, TrustError::Digest { file, .. } if file == "snapshot.json"));
    assert_eq!(versions(&device), [1, 3, 2, 2]);
}

#[test]
fn mix_and_match_of_older_targets_without_hashes_to_stop_it() {
    let (mut repository, mut device) = settled();
    let old = repository.files["2.targets.json"].clone();
    repository.publish();
    let listed = repository.snapshot.meta.get_mut("targets.json").unwrap();
    (listed.hashes, listed.length) = (None, None);
    repository.serve_snapshot();
    repository.serve_timestamp();
    repository.files.insert("3.targets.json".into(), old);
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::Version { file: "targets.json".into(), expected: 3, found: 2 });
    assert_eq!(versions(&device), [1, 3, 3, 2]);
}

#[test]
fn the_same_timestamp_version_with_other_content_is_not_taken() {
    let (mut repository, mut device) = settled();
    repository.snapshot.common.version = 100;
    repository.serve_snapshot();
    repository.serve_timestamp();
    let before = device.store.clone();
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.store, before);
    assert_eq!(repository.take_requests(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn another_product_s_root() {
    let (mut repository, mut device) = settled();
    let mut other = perennial_tests::simulator::Repository::of_somebody_else();
    other.publish_root();
    repository.files.insert("2.root.json".into(), other.files["2.root.json"].clone());
    assert!(matches!(refused(&mut device, &mut repository), TrustError::Signature { .. }));
    // A device of that maker takes nothing from this one either.
    let mut theirs = Device::born_with(other.first_root());
    repository.files.remove("2.root.json");
    let error = trust_error(theirs.find(&mut repository, "good").unwrap_err());
    assert!(matches!(error, TrustError::Signature { file, .. } if file == "timestamp.json"));
}

#[test]
fn an_expired_root() {
    let (mut repository, mut device) = settled();
    repository.root.common.expires = day(2);
    repository.publish_root();
    device.clock = day(3);
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::Expired { file: "2.root.json".into(), expires: day(2), now: day(3) });
    // The root itself is kept (5.3.8 comes before 5.3.10), nothing else was asked for.
    assert_eq!(versions(&device), [2, 2, 2, 2]);
    assert_eq!(repository.take_requests(), ["2.root.json", "3.root.json"]);
    // A newer one ends it.
    repository.root.common.expires = day(400);
    repository.publish_root();
    device.refresh(&mut repository).unwrap();
}
