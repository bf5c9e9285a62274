//! Delegatees: what one team does never harms another's devices.

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{DriveError, Limits, Refresh, TrustError, drive, walk_all};
use perennial_tests::simulator::{Device, MemoryStore, Repository, day};

use super::{trust_error, versions};

fn two_teams() -> (Repository, Device) {
    let mut repository = Repository::new();
    repository.delegate("targets", "thermostat", &["thermostat/*"], true);
    repository.delegate("targets", "kettle", &["kettle/*"], true);
    repository.add_target("thermostat", "thermostat/app", b"warm");
    repository.add_target("kettle", "kettle/app", b"hot");
    repository.publish();
    let device = Device::born_with(repository.first_root());
    (repository, device)
}

#[test]
fn a_delegatee_reaching_outside_its_path_is_ignored_and_others_are_unharmed() {
    let (mut repository, mut device) = two_teams();
    repository.add_target("kettle", "thermostat/app", b"mine now");
    repository.add_target("kettle", "elsewhere", b"mine too");
    repository.publish();
    let found = device.find(&mut repository, "thermostat/app").unwrap().unwrap();
    assert_eq!((found.role.as_str(), found.length), ("thermostat", 4));
    assert_eq!(device.find(&mut repository, "elsewhere").unwrap(), None);
    assert!(device.find(&mut repository, "kettle/app").unwrap().is_some());
}

#[test]
fn a_pattern_does_not_reach_into_folders() {
    let (mut repository, mut device) = two_teams();
    repository.add_target("kettle", "kettle/deep/app", b"deep");
    repository.publish();
    assert_eq!(device.find(&mut repository, "kettle/deep/app").unwrap(), None);
}

#[test]
fn an_unrelated_role_that_expired_harms_nobody_else() {
    let (mut repository, mut device) = two_teams();
    repository.role("kettle").common.expires = day(0);
    repository.publish();
    assert!(device.find(&mut repository, "thermostat/app").unwrap().is_some());
    let before = device.store.clone();
    let error = trust_error(device.find(&mut repository, "kettle/app").unwrap_err());
    assert!(matches!(error, TrustError::Expired { file, .. } if file == "kettle.json"));
    assert_eq!(device.store, before);
}

#[test]
fn an_unrelated_role_that_is_missing_harms_nobody_else() {
    let (mut repository, mut device) = two_teams();
    repository.files.remove("2.kettle.json");
    assert!(device.find(&mut repository, "thermostat/app").unwrap().is_some());
    let before = device.store.clone();
    let error = trust_error(device.find(&mut repository, "kettle/app").unwrap_err());
    assert_eq!(error, TrustError::Missing { file: "2.kettle.json".into() });
    assert_eq!(device.store, before);
}

#[test]
fn a_role_that_the_snapshot_does_not_list_is_not_asked_for() {
    let (mut repository, mut device) = two_teams();
    repository.snapshot.meta.remove("kettle.json");
    repository.snapshot.common.version += 1;
    repository.serve_snapshot();
    repository.publish_timestamp();
    let error = trust_error(device.find(&mut repository, "kettle/app").unwrap_err());
    assert_eq!(error, TrustError::NotListed { file: "kettle.json".into() });
    assert!(!repository.take_requests().iter().any(|name| name.contains("kettle")));
}

#[test]
fn extraneous_delegations_end_at_a_limit() {
    let mut repository = Repository::new();
    for i in 0..70 {
        repository.delegate("targets", &format!("role-{i:02}"), &["*"], false);
    }
    repository.add_target("role-69", "app", b"last");
    repository.publish();
    let mut device = Device::born_with(repository.first_root());
    let error = trust_error(device.find(&mut repository, "app").unwrap_err());
    assert_eq!(error, TrustError::TooManyRoles { path: "app".into(), limit: 64 });
    assert_eq!(repository.take_requests().len(), 4 + 64);
    // Nothing of it hinders a search that needs fewer.
    repository.add_target("targets", "other", b"first");
    repository.publish();
    assert!(device.find(&mut repository, "other").unwrap().is_some());
}

#[test]
fn a_team_that_delegates_on_and_on_fills_no_memory() {
    let mut repository = Repository::new();
    repository.delegate("targets", "thermostat", &["thermostat/*"], true);
    // Whatever is looked for, another role is asked first, and each is as long as its limit allows.
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        repository.delegate("thermostat", name, &["thermostat/*"], false);
        let bulk = "x".repeat(if i == 2 { 2_000 } else { 900 });
        repository.role(name).extra.insert("x-bulk".into(), perennial_schemas::Json::String(bulk));
    }
    repository.add_target("thermostat", "thermostat/app", b"warm");
    repository.add_target("c", "thermostat/last", b"last");
    repository.publish();
    let mut device = Device::born_with(repository.first_root());
    let length = |name: &str| repository.files[&format!("2.{name}.json")].len() as u64;
    let two = length("thermostat") + length("a") + length("b");
    device.limits.delegated_length = two;
    repository.take_requests();
    let error = trust_error(device.find(&mut repository, "thermostat/last").unwrap_err());
    assert_eq!(error, TrustError::TooMuchDelegated { file: "c.json".into(), limit: two });
    assert!(!repository.take_requests().contains(&"2.c.json".into()), "refused before a byte is fetched");
    // A second search counts what the first has brought, once.
    let mut refresh = Refresh::new(device.state(), &Ring, day(1), device.limits.clone());
    drive(&mut refresh, &mut repository, &mut device.store).unwrap();
    for path in ["thermostat/app", "thermostat/none", "thermostat/app"] {
        let begun = refresh.find(&path.parse().unwrap()).map_err(DriveError::from);
        let found = begun.and_then(|()| drive(&mut refresh, &mut repository, &mut device.store));
        assert_eq!(found.is_err(), path == "thermostat/none", "{path}: {found:?}");
    }
    // Without a length in the snapshot it is refused when it comes.
    repository.snapshot.meta.get_mut("c.json").unwrap().length = None;
    repository.snapshot.common.version += 1;
    repository.serve_snapshot();
    repository.publish_timestamp();
    let error = trust_error(device.find(&mut repository, "thermostat/last").unwrap_err());
    assert_eq!(error, TrustError::TooMuchDelegated { file: "c.json".into(), limit: two });
    assert!(repository.take_requests().contains(&"2.c.json".into()));
    // Whoever reads everything has a limit of its own, and so has a device that has more memory.
    device.limits = Limits::of_everything();
    assert!(device.find(&mut repository, "thermostat/last").unwrap().is_some());
}

#[test]
fn extraneous_dependencies_come_only_from_roles_that_may_vouch_for_them() {
    let (mut repository, mut device) = two_teams();
    // A team adds a delegation inside its role, for another team's paths.
    repository.delegate("kettle", "accomplice", &["thermostat/*", "kettle/*"], false);
    repository.add_target("accomplice", "thermostat/extra", b"not wanted");
    repository.add_target("accomplice", "kettle/extra", b"its own business");
    repository.publish();
    assert_eq!(device.find(&mut repository, "thermostat/extra").unwrap(), None);
    let found = device.find(&mut repository, "kettle/extra").unwrap().unwrap();
    assert_eq!(found.role.as_str(), "accomplice");
}

#[test]
fn a_role_is_verified_again_for_each_role_that_delegates_to_it() {
    let mut repository = Repository::new();
    repository.delegate("targets", "a", &["x/*"], true);
    repository.delegate("targets", "b", &["y/*"], true);
    repository.delegate("a", "shared", &["x/*"], false);
    let honest = repository.signers["shared"].clone();
    // The other team names the same role with a key of its own, which signs nothing here.
    repository.delegate("b", "shared", &["y/*"], false);
    repository.signers.insert("shared".into(), honest);
    repository.add_target("shared", "x/file", b"of a");
    repository.add_target("shared", "y/file", b"not of b");
    repository.publish();
    let mut device = Device::born_with(repository.first_root());
    assert!(device.find(&mut repository, "x/file").unwrap().is_some());
    let error = trust_error(device.find(&mut repository, "y/file").unwrap_err());
    assert!(matches!(error, TrustError::Signature { file, .. } if file == "shared.json"));
}

#[test]
fn names_with_paths_in_them_stay_in_their_folder() {
    let mut repository = Repository::new();
    for name in ["../../etc/passwd", "/etc/passwd", "..", "a/../../b"] {
        repository.delegate("targets", name, &["*"], false);
    }
    repository.publish();
    let mut device = Device::born_with(repository.first_root());
    device.find(&mut repository, "app").unwrap();
    for name in repository.take_requests() {
        assert!(!name.contains('/'), "{name}");
    }
    for (name, _) in device.state().files() {
        assert!(!name.contains('/') && name != "..", "{name}");
    }
}

#[test]
fn target_paths_that_leave_their_folder_are_never_found() {
    let (mut repository, mut device) = two_teams();
    for path in ["../boot/loader", "/etc/passwd", "kettle/../thermostat/app", "kettle\\app", "kettle//app"] {
        repository.add_target("targets", path, b"evil");
        assert!(path.parse::<perennial_schemas::TargetPath>().is_err(), "{path}");
    }
    repository.publish();
    // Those beside it are found as ever.
    assert!(device.find(&mut repository, "thermostat/app").unwrap().is_some());
}

#[test]
fn a_walk_reads_every_role_and_names_what_it_ignores() {
    let (mut repository, device) = two_teams();
    repository.delegate("kettle", "below", &["kettle/*", "other/*"], false);
    repository.add_target("below", "kettle/b", b"b");
    repository.add_target("below", "other/b", b"b");
    repository.add_target("kettle", "../up", b"up");
    repository.publish();
    let mut store = MemoryStore::default();
    let walked =
        walk_all(device.state(), &Ring, day(1), Limits::default(), &mut repository, &mut store).unwrap();
    let names: Vec<_> = walked.roles.iter().map(|role| role.role.as_str()).collect();
    assert_eq!(names, ["targets", "thermostat", "kettle", "below"]);
    let of = |i: usize| walked.roles[i].targets.keys().map(|path| path.as_str()).collect::<Vec<_>>();
    assert_eq!((of(1), of(2), of(3)), (vec!["thermostat/app"], vec!["kettle/app"], vec!["kettle/b"]));
    assert_eq!(
        (&walked.roles[2].ignored, &walked.roles[3].ignored),
        (&vec!["../up".into()], &vec!["other/b".into()])
    );
    assert_eq!(walked.state.files().count(), 7);
}

#[test]
fn a_walk_finds_what_a_second_way_to_a_role_covers() {
    let (mut repository, mut device) = two_teams();
    // A team that comes first delegates to another team's role, for what it may not have.
    repository.delegate("targets", "alarm", &["alarm/*"], true);
    let first = repository.role("targets").delegations.as_mut().unwrap().roles.as_mut().unwrap();
    first.rotate_right(1);
    repository.delegate("alarm", "thermostat", &["alarm/*", "thermostat/*"], false);
    // And one delegates back: a circle ends.
    repository.delegate("thermostat", "alarm", &["thermostat/*"], false);
    repository.publish();
    assert!(device.find(&mut repository, "thermostat/app").unwrap().is_some());
    let (mut store, limits) = (MemoryStore::default(), Limits::default());
    let walked = walk_all(device.state(), &Ring, day(1), limits, &mut repository, &mut store).unwrap();
    let mut names: Vec<_> = walked.roles.iter().map(|role| role.role.as_str()).collect();
    assert_eq!(names.iter().position(|name| *name == "thermostat"), Some(2), "reached by alarm first");
    names.sort_unstable();
    assert_eq!(names, ["alarm", "kettle", "targets", "thermostat"]);
    let thermostat = &walked.roles[2];
    assert!(thermostat.targets.keys().any(|path| path.as_str() == "thermostat/app"));
    assert_eq!(thermostat.ignored, Vec::<String>::new());
}

/// A server's memory holds the list of what a walk found, and no role's body besides: whoever comes by another way to a role
/// reads its file again.
#[test]
fn a_walk_lets_each_role_go_that_it_has_read_and_knows_until_when_it_holds() {
    let (mut repository, device) = two_teams();
    for team in ["kettle", "thermostat"] {
        let pattern = format!("{team}/s-*");
        repository.delegate(team, "middle", &[&pattern], false);
        repository.add_target("zoom", &format!("{team}/s-a"), b"a");
    }
    repository.delegate("middle", "zoom", &["kettle/s-*", "thermostat/s-*"], false);
    // So many between the two ways that the device's own record of roles keeps others.
    for n in 0..70 {
        let team = format!("team-{n:02}");
        repository.delegate("targets", &team, &[&format!("{team}/*")], true);
        repository.add_target(&team, &format!("{team}/app"), b"x");
    }
    let teams = repository.role("targets").delegations.as_mut().unwrap().roles.as_mut().unwrap();
    let kettle = teams.remove(1);
    teams.push(kettle);
    repository.role("zoom").common.expires = day(7);
    repository.publish();
    let mut store = MemoryStore::default();
    let walked =
        walk_all(device.state(), &Ring, day(1), Limits::of_everything(), &mut repository, &mut store)
            .unwrap();
    let asked = |name: &str| repository.requests.iter().filter(|request| request.ends_with(name)).count();
    assert_eq!((asked(".zoom.json"), asked(".kettle.json"), asked(".team-00.json")), (2, 1, 1));
    let zoom = walked.roles.iter().find(|role| role.role.as_str() == "zoom").unwrap();
    assert_eq!((zoom.targets.len(), zoom.ignored.len()), (2, 0), "both ways together cover all of it");
    assert_eq!(walked.validity.earliest(), Some(("zoom.json", day(7))));
}

#[test]
fn a_walk_misses_nothing_that_is_missing() {
    let (mut repository, device) = two_teams();
    repository.files.remove("2.kettle.json");
    let mut store = MemoryStore::default();
    let walked = walk_all(device.state(), &Ring, day(1), Limits::default(), &mut repository, &mut store);
    let Err(DriveError::Trust(error)) = walked else { panic!() };
    assert_eq!(error, TrustError::Missing { file: "2.kettle.json".into() });
    assert_eq!(versions(&device), [1, 0, 0, 0]);
}

#[test]
fn a_product_of_many_bins_keeps_the_floor_of_its_own_role() {
    let mut repository = Repository::new();
    repository.delegate("targets", "thermostat", &["thermostat/*"], true);
    for i in 0..70 {
        let (bin, path) = (format!("thermostat.bin-{i:02}"), format!("thermostat/{i:02}.app"));
        repository.delegate("thermostat", &bin, &[&path], true);
        repository.add_target(&bin, &path, b"app");
    }
    repository.publish();
    let mut device = Device::born_with(repository.first_root());
    for i in 0..70 {
        let found = device.find(&mut repository, &format!("thermostat/{i:02}.app")).unwrap();
        assert_eq!(found.unwrap().role.as_str(), format!("thermostat.bin-{i:02}"));
    }
    let held = device.state().floors_held();
    assert_eq!(held.roles.len(), 1 + 64, "64 delegated ones, and the top-level one");
    assert!(held.roles.contains_key("thermostat.json"));
    let fetched = repository.take_requests().into_iter().filter(|name| name.ends_with("thermostat.json"));
    assert_eq!(fetched.count(), 1);
}
