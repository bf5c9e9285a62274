//! Proposals that somebody forgot: not published yet, or published already by a copy or by another proposal.

use std::fs;

use super::desk::{Desk, established, publish};

const KETTLE: &str = "product add kettle --support-until 2031-12 --reason \"As printed on the box.\" --contact contact.toml --key erin.pub.json";
const RELEASE: &str =
    "release propose kettle 1.0.0 --image revA=image.bin --notes first --class functionality";

fn id(desk: &Desk, part: &str) -> String {
    desk.proposal_named(part).file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_product_that_was_proposed_and_forgotten_is_named() {
    let desk = established();
    desk.write("image.bin", "an image");
    desk.ok(KETTLE);
    let id = id(&desk, "kettle");
    for command in [RELEASE, "channel create kettle beta", "product bins kettle"] {
        let refused = desk.refused(command);
        assert!(
            refused.contains(&format!("kettle is in the open proposal {id}, not published yet")),
            "{refused}"
        );
        assert!(refused.contains(&format!("sign and publish it first: perennial-signer --repo DESK/repo sign {id} --key FILE, then perennial-signer --repo DESK/repo publish {id}")), "{refused}");
    }
    assert!(desk.refused("channel create toaster beta").contains("there is no product toaster"));
}

#[test]
fn a_product_is_not_proposed_twice() {
    let desk = established();
    desk.ok(KETTLE);
    desk.wait_days(1);
    let refused = desk.refused(KETTLE);
    assert!(
        refused.contains(&format!("the proposal {}, which adds kettle, exists already", id(&desk, "kettle"))),
        "{refused}"
    );
    assert!(refused.contains("go on with that one: perennial-signer --repo DESK/repo sign"), "{refused}");
    fs::remove_dir_all(desk.proposal()).unwrap();
    desk.ok(KETTLE);
}

/// Two desks propose the same, one publishes; and a copy of a proposal stays where it was published from.
#[test]
fn what_is_published_already_can_be_removed() {
    let desk = established();
    let other = established();
    let people = ["alice", "carol", "erin", "dora", "tess"];
    other.wait_days(1);
    other.ok(KETTLE);
    let copy = other.proposal();
    desk.ok(KETTLE);
    publish(&desk, &people);
    desk.carry_to(&other);
    let folder = format!("DESK/repo/proposals/{}", copy.file_name().unwrap().to_str().unwrap());
    calm(&other, &folder);

    // Another date is another promise: then nothing of it is published, and still it can't go on.
    fs::remove_dir_all(&copy).unwrap();
    let third = established();
    third.ok(&KETTLE.replace("2031", "2033"));
    desk.carry_to(&third);
    let told = third.refused("rebase");
    assert!(told.contains("kettle was published meanwhile, with another promise"), "{told}");
    assert!(told.contains("rm -r DESK/repo/proposals/"), "{told}");
    assert!(third.ok("status").contains("Next: remove its folder: rm -r DESK/repo/proposals/"));
}

#[test]
fn a_copy_of_what_was_published_is_a_leftover_however_much_came_after_it() {
    let desk = established();
    let other = established();
    desk.write("image.bin", "an image");
    let image = desk.path("image.bin");
    desk.ok(&RELEASE.replace("kettle", "thermostat").replace("image.bin", image.to_str().unwrap()));
    desk.carry_to(&other);
    let folder = format!("DESK/repo/proposals/{}", id(&other, "release"));
    publish(&desk, &["erin", "frank", "dora", "tess"]);
    desk.carry_to(&other);
    calm(&other, &folder);
    desk.ok("channel create thermostat later");
    publish(&desk, &["erin", "frank", "dora", "tess"]);
    desk.carry_to(&other);
    calm(&other, &folder);
    fs::remove_dir_all(other.proposal()).unwrap();
    assert!(other.ok("status").contains("No open proposal."));
}

/// Each record replaces the one before, and holds all that was promised in it.
#[test]
fn a_copy_of_a_promise_is_a_leftover_however_many_followed_it() {
    let desk = established();
    let other = established();
    let people = ["erin", "frank", "dora", "tess"];
    desk.ok("support extend thermostat --until 2033-06 --reason \"Two years more.\"");
    desk.carry_to(&other);
    let folder = format!("DESK/repo/proposals/{}", other.proposal().file_name().unwrap().to_str().unwrap());
    for command in [
        None,
        Some("support extend thermostat --until 2034-06 --reason \"A year more.\""),
        Some("support notice thermostat --text \"All is well.\""),
    ] {
        command.into_iter().for_each(|command| drop(desk.ok(command)));
        publish(&desk, &people);
        desk.carry_to(&other);
        calm(&other, &folder);
    }

    // What was never published is none, though it has an older number than what was.
    fs::remove_dir_all(other.proposal()).unwrap();
    let third = established();
    third.ok("support extend thermostat --until 2033-07 --reason \"Another date.\"");
    desk.carry_to(&third);
    assert!(!third.ok("status").contains("published already"));
}

#[test]
fn a_bundle_tells_what_is_not_in_it() {
    let desk = established();
    assert!(!desk.ok(&format!("bundle {}", desk.path("first.bundle").display())).contains("Not in it"));
    desk.ok(KETTLE);
    let told = desk.ok(&format!("bundle {}", desk.path("all.bundle").display()));
    let line = format!("Not in it: proposal {}, not published yet\n", id(&desk, "kettle"));
    assert!(told.contains(&line), "{told}");
}

/// A renewal changes nothing but dates, so what stands as it stood doesn't make it a leftover.
#[test]
fn a_renewal_is_no_leftover() {
    let desk = established();
    desk.ok("archive thermostat --before-support-ends");
    assert!(!desk.ok("status").contains("published already"));
}

/// Every verb says the same, and changes nothing.
fn calm(desk: &Desk, folder: &str) {
    for command in ["review", "sign --key erin.key", "publish", "rebase"] {
        let refused = desk.refused(command);
        assert!(
            refused.contains("has nothing left to do: what it proposes is published already"),
            "{command}: {refused}"
        );
        assert!(
            refused.contains(&format!("hint: remove its folder: rm -r {folder}\n")),
            "{command}: {refused}"
        );
    }
    let status = desk.ok("status");
    assert!(status.contains("what it proposes is published already"), "{status}");
    assert!(status.contains(&format!("Next: remove its folder: rm -r {folder}\n")), "{status}");
}
