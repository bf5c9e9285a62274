use super::*;
use crate::fixture::{Fixture, draft, now};

fn published() -> (Fixture, String) {
    let fixture = Fixture::new();
    let image: Vec<u8> = (0..2_000_000_u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
    let proposed = fixture.propose(&draft("1.0.0"), &image).unwrap();
    let payload = proposed.release.images[0].payloads[0].target.to_string();
    fixture.publish(&proposed.proposal);
    (fixture, payload)
}

fn check(fixture: &Fixture, extent: &Extent, at: Timestamp) -> Result<Checked, CheckError> {
    before_publish(&Preview::published(&fixture.repository()).unwrap(), extent, at, &mut |_| ())
}

/// The consistent file of a target.
fn file_of(fixture: &Fixture, path: &str) -> std::path::PathBuf {
    let preview = Preview::published(&fixture.repository()).unwrap();
    preview.locate(path, &preview.targets().unwrap()[path]).unwrap()
}

#[test]
fn the_core_and_tough_both_accept_what_is_published() {
    let (fixture, _) = published();
    let all = check(&fixture, &Extent::All, now()).unwrap();
    assert_eq!((all.roots, all.roles, all.targets, all.files, all.releases), (1, 2, 6, 6, 1));
    let documents = check(&fixture, &Extent::Documents, now()).unwrap();
    assert_eq!((documents.files, documents.releases), (3, 0));
}

#[test]
fn a_missing_and_a_changed_file_are_named() {
    let (fixture, payload) = published();
    let file = file_of(&fixture, &payload);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let changed = check(&fixture, &Extent::All, now()).unwrap_err();
    assert!(matches!(&changed, CheckError::Differs { target, .. } if *target == payload), "{changed}");
    std::fs::remove_file(&file).unwrap();
    let missing = check(&fixture, &Extent::All, now()).unwrap_err();
    assert!(matches!(&missing, CheckError::Missing { target, .. } if *target == payload), "{missing}");
    check(&fixture, &Extent::Documents, now()).unwrap();
}

#[test]
fn an_expired_snapshot_is_refused() {
    let (fixture, _) = published();
    let refused = check(&fixture, &Extent::Documents, now().plus_days(31)).unwrap_err();
    assert!(matches!(refused, CheckError::Device(_) | CheckError::Expired { .. }), "{refused}");
}

#[test]
fn a_target_outside_the_delegation_is_refused() {
    let (fixture, _) = published();
    let repository = fixture.repository();
    let published = repository.published().unwrap();
    let mut roles: BTreeMap<RoleName, Targets> =
        published.roles.iter().map(|(name, file)| (name.clone(), file.value().clone())).collect();
    let role = roles.get_mut(&"thermostat".parse::<RoleName>().unwrap()).unwrap();
    let stray = b"not ours";
    let listed =
        TargetFile::new(stray.len() as u64, &perennial_schemas::Digest::sha256(&crate::crypto::Ring, stray));
    role.targets.insert("boiler/1.0.0.release.json".into(), listed);
    role.common.version += 1;
    fixture.put_target("boiler/1.0.0.release.json", stray);
    fixture.publish_roles(published.snapshot.as_ref().unwrap().version() + 1, roles);
    let refused = check(&fixture, &Extent::All, now()).unwrap_err();
    assert!(matches!(refused, CheckError::Outside { .. }), "{refused}");
    let only = Extent::Only(["boiler/1.0.0.release.json".to_owned()].into());
    let refused = check(&fixture, &only, now()).unwrap_err();
    assert!(matches!(refused, CheckError::NotFound { .. }), "{refused}");
}

#[test]
fn a_payload_that_makes_another_image_is_refused() {
    // The manifest of 1.0.0 says of its image what is true of another: signed, consistent, and impossible to install.
    let (fixture, _) = published();
    let Manifest { mut release, places } = lying(&fixture);
    release.images[0].sha256 = perennial_schemas::Sha256Digest([1; 32]);
    let text = perennial_schemas::signed::to_text(&release).unwrap();
    let manifest = fixture.dir().join("lying.json");
    std::fs::write(&manifest, text).unwrap();
    let refused =
        reproduce::release("thermostat/1.0.0.release.json", &manifest, &places, &mut |_| ()).unwrap_err();
    assert!(refused.to_string().contains("the manifest says 8000000 bytes"), "{refused}");
}

struct Manifest {
    release: perennial_schemas::release::Release,
    places: crate::reproduce::Places,
}

fn lying(fixture: &Fixture) -> Manifest {
    use perennial_schemas::Document;
    let preview = Preview::published(&fixture.repository()).unwrap();
    let described = preview.targets().unwrap();
    let places: crate::reproduce::Places =
        described.iter().map(|(path, file)| (path.clone(), preview.locate(path, file).unwrap())).collect();
    let bytes = std::fs::read(&places["thermostat/1.0.0.release.json"]).unwrap();
    Manifest { release: perennial_schemas::release::Release::parse(&bytes).unwrap(), places }
}
