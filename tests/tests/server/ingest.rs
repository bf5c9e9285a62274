//! Bundles that are taken in, and bundles that are refused whole.

use super::kit::{Kit, bundle, get};
use super::product::{add_release, published, refused};
use perennial_tests::simulator::day;

#[test]
fn a_bundle_is_taken_in_once() {
    let kit = published();
    let said = kit.ingest(&kit.path("first.bundle")).ok();
    assert!(
        said.starts_with("Generation 1 holds that already; nothing was changed.\nNo server is running"),
        "{said}"
    );
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

#[test]
fn two_thousand_targets_are_taken_in() {
    let mut kit = Kit::new();
    (0..2_000).for_each(|number| kit.target(&format!("cam/{number}.bin"), number.to_string()));
    let bundle = kit.publish("large.bundle");
    let said = kit.ingest(&bundle).ok();
    assert!(said.starts_with("Generation 1 is served: snapshot 2, 2005 files"), "{said}");
}

#[test]
fn older_versions_of_roles_in_a_bundle_are_neither_kept_nor_served() {
    let mut kit = Kit::new();
    kit.target("cam/a", "a");
    kit.repository.publish();
    let bundle = kit.publish("b");
    // Whoever bundles a whole repository by hand brings them: they do no harm, so the bundle is taken without them.
    assert!(kit.files().iter().any(|(path, _)| path == "metadata/2.cam.json"));
    kit.ingest(&bundle).ok();
    let server = kit.serve("");
    assert_eq!(get(server.plain[0], "/metadata/3.cam.json").status, 200);
    for gone in ["2.cam.json", "2.snapshot.json", "2.targets.json"] {
        assert_eq!(get(server.plain[0], &format!("/metadata/{gone}")).status, 404, "{gone}");
    }
}
