//! Images with something in them that must never be in one: refused, told where, and let through with a reason that is signed.

use super::{TEAM, propose, with_images};
use crate::signer::desk::{Desk, publish};

/// Put together here, so that no scanner of source code takes it for a key.
fn key() -> String {
    let line = "MHcCAQEEIFq0n3Jm5sW8yZ2kR7vXc1bT9uGdLhPaQoEiNfSxWtHjoAoGCCqGSM49";
    format!(
        "-----BEGIN EC {}-----\n{line}\nAwEHoUQDQgAE\n-----END EC {0}-----\n",
        ["PRIVATE", "KEY"].join(" ")
    )
}

fn shadow(user: &str) -> String {
    let hash = "wm0Zq3p9uJ0cTzqJc6m1n8Qe.wY7t0H8bX2fLk4R5s6D7g8H9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4Y5z6A7.";
    format!("\n{user}:$6$Zy1qKd0a${hash}:19000:0:99999:7:::\n")
}

fn with_secret() -> Desk {
    let desk = with_images();
    desk.write(
        "secret.bin",
        &format!("{}wifi-setup.conf\n{}{}", "\0".repeat(3_000), key(), "x".repeat(100_000)),
    );
    desk
}

#[test]
fn an_image_with_a_private_key_is_refused_and_let_through_with_a_signed_reason() {
    let desk = with_secret();
    let refused = desk.refused(&propose(&desk, "1.0.0", "secret.bin", ""));
    let allowed = propose(
        &desk,
        "1.0.0",
        "secret.bin",
        "--allow-secret-in-image \"A key for tests, published for years.\"",
    );
    desk.ok(&allowed);
    let review = desk.ok("review");
    assert!(
        refused
            .contains("a private key (PEM, EC PRIVATE KEY) at byte 3016, after the text \"wifi-setup.conf\"")
            && refused.contains("--allow-secret-in-image REASON"),
        "{refused}"
    );
    assert!(
        review.contains("LET THROUGH although it looks like a secret, because: A key for tests"),
        "{review}"
    );
    assert!(review.contains("revC: a private key (PEM, EC PRIVATE KEY) at byte 3016"), "{review}");
    assert!(!(refused + &review).contains("MHcC"), "no secret is told");
    publish(&desk, &TEAM);
    desk.ok("check --all");
}

#[test]
fn what_is_let_through_needs_a_reason() {
    let desk = with_secret();
    let refused = desk.refused(&propose(&desk, "1.0.0", "secret.bin", "--allow-secret-in-image \" \""));
    assert!(refused.contains("needs a reason"), "{refused}");
    // Where nothing is found, nothing is let through.
    desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--allow-secret-in-image \"To be safe.\""));
    assert!(!desk.ok("review").contains("LET THROUGH"));
}

#[test]
fn a_password_that_another_product_has_is_refused() {
    let desk = with_images();
    desk.write("root.bin", &shadow("root"));
    let first = desk.ok(&propose(&desk, "1.0.0", "root.bin", ""));
    assert!(first.contains("every unit has the same password for root"), "{first}");
    publish(&desk, &TEAM);
    // The next release of the same product may have it still.
    desk.ok(&propose(&desk, "1.1.0", "root.bin", ""));
    publish(&desk, &TEAM);
    desk.add_key("ida");
    desk.ok("product add kettle --support-until 2033-06 --reason \"Six years.\" --contact contact.toml --key ida.pub.json");
    publish(&desk, &["alice", "bob", "ida", "dora", "tess"]);
    let kettle =
        |image: &str| propose(&desk, "1.0.0", image, "").replace("propose thermostat", "propose kettle");
    let refused = desk.refused(&kettle("root.bin"));
    assert!(refused.contains("a password hash (user root) at byte 5"), "{refused}");
    assert!(refused.contains("as an image of thermostat has it"), "{refused}");
    desk.write("own.bin", &shadow("root").replace("Zy1q", "Zy2q"));
    desk.ok(&kettle("own.bin"));
}
