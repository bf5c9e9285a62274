//! Bundles carry everything that is published, and nothing else.

use std::fs;

use super::{release, with_images};

#[test]
fn two_copies_of_a_repository_give_the_same_bundle() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    let other = crate::signer::desk::Desk::new();
    desk.carry_to(&other);
    other.wait_days(3);
    for desk in [&desk, &other] {
        let out = desk.path("site.bundle");
        desk.ok(&format!("bundle {}", out.display()));
    }
    let bytes = fs::read(desk.path("site.bundle")).unwrap();
    assert_eq!(bytes, fs::read(other.path("site.bundle")).unwrap());
    let shown = desk.ok("inspect site.bundle");
    for name in ["metadata/1.root.json", "metadata/timestamp.json", ".1.0.0.release.json", ".support.json"] {
        assert!(shown.contains(name), "{shown}");
    }
}
