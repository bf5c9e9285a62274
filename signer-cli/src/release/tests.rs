use super::*;
use crate::fixture::{Fixture, draft, now};
use crate::proposal::Proposal;

fn published(versions: &[&str]) -> Fixture {
    let fixture = Fixture::new();
    for version in versions {
        let proposed = fixture.propose(&draft(version), version.repeat(100_000).as_bytes()).unwrap();
        fixture.publish(&proposed.proposal);
    }
    fixture
}

fn hidden_and_proposed(fixture: &Fixture) -> usize {
    std::fs::read_dir(fixture.dir().join("proposals")).map_or(0, Iterator::count)
}

#[test]
fn a_release_is_proposed_whole() {
    let fixture = published(&["1.0.0"]);
    let Proposed { proposal, release, manifest, .. } =
        fixture.propose(&draft("1.1.0"), &[7; 300_000]).unwrap();
    let role = &proposal.roles[&"thermostat".parse().unwrap()];
    let names: Vec<&str> = role.unverified().targets.keys().map(String::as_str).collect();
    let expected = [
        "thermostat/1.0.0.release.json",
        "thermostat/1.0.0.revC.image.index",
        "thermostat/1.0.0.revC.image.zst",
        "thermostat/1.0.0.revC.image.zst.index",
        "thermostat/1.1.0.release.json",
        "thermostat/1.1.0.revC.image.index",
        "thermostat/1.1.0.revC.image.zst",
        "thermostat/1.1.0.revC.image.zst.index",
        "thermostat/stable.channel.json",
        "thermostat/support.json",
    ];
    assert_eq!(names, expected);
    assert_eq!((release.security_version, release.images[0].length), (1, 300_000));
    // Ten years, which is later than the end of support.
    assert_eq!(release.available_until.to_string(), "2036-11-21");
    // Five new files: the manifest, the channel, payload and two indexes. Each is named by its digest.
    let files = crate::files::list_all(&proposal.dir.join("targets")).unwrap();
    assert_eq!(files.len(), 5);
    assert!(files.contains(&format!("thermostat/{manifest}.1.1.0.release.json")));
    for file in files {
        let (_, digest) = crate::files::measure(&proposal.dir.join("targets").join(&file)).unwrap();
        assert!(file.contains(&digest.to_string()), "{file}");
    }
}

#[test]
fn what_can_not_be_taken_back_is_refused_and_leaves_nothing() {
    let fixture = published(&["1.0.0"]);
    let before = hidden_and_proposed(&fixture);
    let refused = |draft: Draft, image: &[u8]| fixture.propose(&draft, image).unwrap_err();
    assert!(matches!(refused(draft("1.0.0"), b"x"), ReleaseError::Exists { .. }));
    // 1.0 is 1.0.0 spelled otherwise.
    assert!(matches!(refused(draft("1.0"), b"x"), ReleaseError::Exists { .. }));
    assert!(matches!(refused(draft("1.1.0"), b""), ReleaseError::Image { .. }));
    for asked in [0, 18] {
        let jump = Draft { security_version: Some(asked), ..draft("1.1.0") };
        assert!(matches!(refused(jump, b"x"), ReleaseError::SecurityVersion { highest: 1, .. }), "{asked}");
    }
    let short = Draft { available_until: Some("2030-01-01".parse().unwrap()), ..draft("1.1.0") };
    assert!(matches!(refused(short.clone(), b"x"), ReleaseError::Availability { .. }));
    assert_eq!(hidden_and_proposed(&fixture), before);
    assert!(fixture.propose(&Draft { shorter_availability: true, ..short }, b"x").is_ok());
}

#[test]
fn a_security_version_rises_by_16_at_most_and_then_stays() {
    let fixture = published(&["1.0.0"]);
    let raised = Draft { security_version: Some(17), ..draft("1.1.0") };
    fixture.publish(&fixture.propose(&raised, b"x").unwrap().proposal);
    assert_eq!(fixture.propose(&draft("1.2.0"), b"x").unwrap().release.security_version, 17);
}

#[test]
fn a_product_without_a_promise_has_no_releases() {
    let fixture = Fixture::new();
    let standing = Standing { support: None, ..fixture.standing() };
    assert!(matches!(draft("1.0.0").check(&standing, now()), Err(ReleaseError::NoPromise(_))));
}

#[test]
fn a_withdrawn_release_is_offered_nowhere_and_never_again() {
    let fixture = published(&["1.0.0", "1.1.0"]);
    let (beta, version) = ("beta".parse().unwrap(), "1.1.0".parse().unwrap());
    let publish = |proposal: Proposal| fixture.publish(&proposal);
    publish(offer::create(&fixture.repository(), &fixture.standing(), &beta, now()).unwrap());
    publish(offer::offer(&fixture.repository(), &fixture.standing(), &version, &beta, now()).unwrap());
    let twice = offer::offer(&fixture.repository(), &fixture.standing(), &version, &beta, now());
    assert!(matches!(twice, Err(ReleaseError::Nothing(_))));
    let withdraw =
        || offer::withdraw(&fixture.repository(), &fixture.standing(), &version, "It overheats.", now());
    publish(withdraw().unwrap());
    let standing = fixture.standing();
    for channel in standing.channels.values() {
        assert!(channel.releases.iter().all(|offered| offered.version != version));
        assert_eq!(channel.withdrawn[0].reason, "It overheats.");
    }
    assert!(matches!(withdraw(), Err(ReleaseError::Nothing(_))));
    let again = offer::offer(&fixture.repository(), &standing, &version, &beta, now());
    assert!(matches!(again, Err(ReleaseError::Withdrawn { .. })));
}

#[test]
fn a_changed_published_file_is_noticed() {
    let fixture = published(&["1.0.0"]);
    let manifest = fixture.standing().releases.into_values().next().unwrap();
    let path = fixture.dir().join(format!("targets/thermostat/{manifest}.1.0.0.release.json"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let read = Standing::read(&fixture.repository(), &crate::fixture::thermostat());
    assert!(matches!(read, Err(ReleaseError::Published { .. })));
}

#[test]
fn more_targets_than_a_device_can_load_are_refused() {
    use perennial_schemas::limits::TARGETS_IN_A_ROLE;

    use crate::proposal::{Content, Kind, ProposalBuilder};

    let fixture = Fixture::new();
    let repository = fixture.repository();
    let mut builder = ProposalBuilder::new(&repository, Kind::Release, "many", "many", now());
    let role = "thermostat".parse().unwrap();
    // The support record is there already.
    for number in 0..TARGETS_IN_A_ROLE {
        let path = format!("thermostat/{number}.bin").parse().unwrap();
        builder.put_target(&role, &path, Content::Bytes(vec![1])).unwrap();
    }
    let refused = builder.write().unwrap_err().to_string();
    assert_eq!(refused, "thermostat would list 12001 targets, more than the limit of 12000");
    assert_eq!(hidden_and_proposed(&fixture), 0);
}
