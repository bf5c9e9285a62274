//! Releases from image to bundle, by the signer's commands: what is proposed, refused, published, withdrawn, archived.

mod bundles;
pub(crate) mod interrupted;
mod rollout;
mod secrets;
mod story;
mod transcripts;

use crate::signer::desk::{Desk, established};

/// A desk with the product thermostat and the files `v1.bin`, `v2.bin` and `empty.bin`.
pub(crate) fn with_images() -> Desk {
    let desk = established();
    desk.write("v1.bin", &"first ".repeat(50_000));
    desk.write("v2.bin", &"second ".repeat(50_000));
    desk.write("empty.bin", "");
    desk
}

/// `release propose thermostat VERSION --image revC=IMAGE` and what else it needs.
pub(crate) fn propose(desk: &Desk, version: &str, image: &str, more: &str) -> String {
    format!(
        "release propose thermostat {version} --image revC={} --notes \"Heats sooner.\" --class functionality {more}",
        desk.path(image).display()
    )
}

/// The keys that a release needs, in order.
pub(crate) const TEAM: [&str; 4] = ["erin", "frank", "dora", "tess"];

/// Proposes, signs and publishes.
pub(crate) fn release(desk: &Desk, version: &str, image: &str) {
    desk.ok(&propose(desk, version, image, ""));
    crate::signer::desk::publish(desk, &TEAM);
}
