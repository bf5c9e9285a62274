//! The client workflow as it should go (TUF 5): what is fetched, what is kept, what a search visits.

use perennial_schemas::tuf::TopRole;
use perennial_tests::simulator::{Device, Repository, day};

fn newborn() -> (Repository, Device) {
    let repository = Repository::new();
    let device = Device::born_with(repository.first_root());
    (repository, device)
}

#[test]
fn a_first_refresh_fetches_each_role_once() {
    let (mut repository, mut device) = newborn();
    device.refresh(&mut repository).unwrap();
    let expected = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    assert_eq!(repository.take_requests(), expected);
    assert!(device.state().is_complete());
    let files: Vec<String> = device.state().files().map(|(name, _)| name).collect();
    assert_eq!(files, ["root.json", "timestamp.json", "snapshot.json", "targets.json"]);
}

#[test]
fn an_unchanged_repository_costs_two_requests_and_no_write() {
    let (mut repository, mut device) = newborn();
    device.refresh(&mut repository).unwrap();
    let (_, before) = (repository.take_requests(), device.store.clone());
    device.refresh(&mut repository).unwrap();
    assert_eq!(repository.take_requests(), ["2.root.json", "timestamp.json"]);
    assert_eq!(device.store, before);
}

#[test]
fn a_newer_timestamp_alone_costs_two_requests() {
    let (mut repository, mut device) = newborn();
    device.refresh(&mut repository).unwrap();
    repository.take_requests();
    repository.publish_timestamp();
    device.refresh(&mut repository).unwrap();
    assert_eq!(repository.take_requests(), ["2.root.json", "timestamp.json"]);
    assert_eq!(device.version("timestamp.json"), 2);
}

#[test]
fn a_search_is_preorder_and_fetches_only_what_covers_the_path() {
    let (mut repository, mut device) = newborn();
    for (parent, name, patterns) in
        [("targets", "a", ["x/*"]), ("targets", "b", ["*/*"]), ("a", "c", ["x/*"]), ("a", "d", ["y/*"])]
    {
        repository.delegate(parent, name, &patterns, false);
    }
    repository.add_target("b", "x/file", b"content");
    repository.publish();
    let found = device.find(&mut repository, "x/file").unwrap().unwrap();
    assert_eq!((found.role.as_str(), found.length), ("b", 7));
    assert!(found.location.starts_with("x/") && found.location.ends_with(".file"), "{}", found.location);
    assert_eq!(repository.take_requests()[4..], ["2.a.json", "2.c.json", "2.b.json"]);
}

#[test]
fn a_terminating_delegation_ends_the_search() {
    let (mut repository, mut device) = newborn();
    repository.delegate("targets", "a", &["x/*"], true);
    repository.delegate("targets", "b", &["x/*"], false);
    repository.add_target("b", "x/file", b"content");
    repository.publish();
    assert_eq!(device.find(&mut repository, "x/file").unwrap(), None);
    assert_eq!(repository.take_requests()[4..], ["2.a.json"]);
}

#[test]
fn a_circle_of_delegations_ends() {
    let (mut repository, mut device) = newborn();
    repository.delegate("targets", "a", &["*"], false);
    repository.delegate("a", "b", &["*"], false);
    repository.delegate("b", "a", &["*"], false);
    repository.publish();
    assert_eq!(device.find(&mut repository, "file").unwrap(), None);
    assert_eq!(repository.take_requests()[4..], ["2.a.json", "2.b.json"]);
}

#[test]
fn a_device_that_was_off_for_years_walks_through_expired_roots() {
    let (mut repository, mut device) = newborn();
    for version in 2..=6 {
        repository.rotate(TopRole::Root);
        repository.root.common.expires = day(if version == 6 { 900 } else { 2 });
        repository.publish_root();
        repository.signers.get_mut("root").unwrap().truncate(1);
    }
    repository.timestamp.common.expires = day(810);
    repository.snapshot.common.expires = day(810);
    repository.targets().common.expires = day(810);
    repository.publish();
    device.clock = day(800);
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.version("root.json"), 6);
}

#[test]
fn a_walk_that_a_limit_stops_goes_on_at_the_next_refresh() {
    let (mut repository, mut device) = newborn();
    device.limits.root_rotations = 3;
    for _ in 2..=8 {
        repository.rotate(TopRole::Timestamp);
        repository.publish_root();
    }
    repository.publish();
    // The timestamp's keys of root 4 and root 7 are long gone: the verdict is an error, the roots are kept.
    for reached in [4, 7] {
        device.refresh(&mut repository).unwrap_err();
        assert_eq!(device.version("root.json"), reached);
    }
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.version("root.json"), 8);
}
