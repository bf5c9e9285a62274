//! Ceremonies: the first root by people apart; a lost key, a stolen key, a lost quorum, a team that leaves.

use std::fs;

use super::desk::{CONTACT, Desk, established, publish};

/// Three key holders, none of whom ever sees another's desk: only copies of the repository's folder travel.
#[test]
fn a_first_root_by_people_apart() {
    let alice = Desk::with_keys(&["alice", "bob", "carol"]);
    let (bob, carol) = (Desk::with_keys(&["bob"]), Desk::with_keys(&["carol"]));
    alice.ok("repository init --root-key alice.pub.json,bob.pub.json,carol.pub.json --root-threshold 2 \
         --timestamp-key carol.pub.json");
    alice.carry_to(&bob);
    alice.carry_to(&carol);

    bob.ok("review");
    bob.ok("sign --key bob.key");
    let refused = bob.refused("publish");
    assert!(refused.contains("root needs 1 more"), "{refused}");
    // Carol does not wait for Bob: her copy has no signature yet, and copies are merged later.
    carol.ok("sign --key carol.key");
    bob.carry_to(&alice);
    carol.carry_to(&alice);

    let status = alice.ok("status");
    assert!(status.contains("2 of 2: "), "{status}");
    // Both thresholds are met by signatures; whoever of them holds a snapshot key goes on.
    carol.refused("publish");
    alice.mirror_to(&carol);
    carol.ok("sign --key carol.key");
    carol.ok("publish");
    carol.ok("check --all");
    assert!(carol.ok("status").contains("root       2 of 3 keys, version 1"), "{}", carol.ok("status"));
}

/// Carol has lost her key. Alice and Bob replace it; devices go on.
#[test]
fn a_lost_key_is_replaced_by_the_others() {
    let desk = established();
    desk.add_key("carla");
    desk.ok("root rotate carol carla.pub.json");
    let refused = desk.refused("publish");
    assert!(refused.contains("root needs 2 more"), "{refused}");
    desk.ok("sign --key alice.key");
    // The new key has a say only from this root on, and the old root's keys must agree by their own threshold.
    desk.ok("sign --key carla.key");
    let refused = desk.refused("publish");
    assert!(refused.contains("root by the root before it needs 1 more"), "{refused}");
    publish(&desk, &["bob", "dora", "tess"]);
    desk.ok("check --all");
    assert!(desk.refused("root remove-key carol").contains("no role has a key \"carol\""));
    let keys = desk.ok("root show");
    assert!(keys.contains("carla") && !keys.contains("carol"), "{keys}");
}

/// Erin's key was stolen: she leaves the team's keys, and everything she signed alone would no longer count.
#[test]
fn a_stolen_key_leaves_every_role() {
    let desk = established();
    desk.add_key("gina");
    let refused = desk.refused("root remove-key erin");
    assert!(refused.contains("thermostat would have 1 key(s), of which 2 must sign"), "{refused}");
    desk.ok("root rotate erin gina.pub.json");
    // The product's role was signed by Erin and Frank: it is signed anew by Frank and Gina, in the same proposal.
    let status = desk.ok("status");
    assert!(status.contains("thermostat  0 of 2"), "{status}");
    let refused = desk.refused("sign --key erin.key");
    assert!(refused.contains("has no say in"), "{refused}");
    publish(&desk, &["alice", "bob", "frank", "gina", "dora", "tess"]);
    desk.ok("check --all");
    // What the thief signs counts for nothing now.
    desk.ok("support extend thermostat --until 2033-12 --reason \"Two years more.\"");
    assert!(desk.refused("sign --key erin.key").contains("has no say in"));
}

/// The stolen snapshot key is replaced. Devices forget the floors of that role (TUF's fast-forward recovery).
#[test]
fn a_stolen_snapshot_key_is_replaced() {
    let desk = established();
    desk.add_key("dina");
    desk.ok("root rotate dora dina.pub.json");
    desk.ok("sign --key alice.key");
    desk.ok("sign --key bob.key");
    assert!(desk.refused("sign --key dora.key").contains("has no say in"));
    publish(&desk, &["dina", "tess"]);
    desk.ok("check --all");
}

/// Both members of the team have lost their keys: whoever holds the targets role gives the product to new ones.
#[test]
fn a_lost_quorum_is_recovered_from_the_root() {
    let desk = established();
    desk.add_key("gina");
    desk.add_key("hugo");
    desk.ok("product team thermostat --key gina.pub.json --key hugo.pub.json --threshold 2");
    publish(&desk, &["alice", "carol", "gina", "hugo", "dora", "tess"]);
    desk.ok("check --all");
    let status = desk.ok("status");
    assert!(status.contains("thermostat: security updates until 2031-12-31"), "the promise stays: {status}");
}

/// The targets role's own quorum is lost: the root replaces its keys.
#[test]
fn a_lost_targets_quorum_is_recovered_from_the_root() {
    let desk = Desk::with_keys(&["alice", "bob", "tom", "tim", "dora", "tess"]);
    desk.ok("repository init --root-key alice.pub.json,bob.pub.json --root-threshold 2 \
         --targets-key tom.pub.json --snapshot-key dora.pub.json --timestamp-key tess.pub.json");
    publish(&desk, &["alice", "bob", "tom", "dora", "tess"]);
    desk.ok("root rotate tom tim.pub.json");
    publish(&desk, &["alice", "bob", "tim", "dora", "tess"]);
    desk.ok("check --all");
}

/// A team leaves: its product stays supported, by the hands of the maker.
#[test]
fn a_team_that_leaves_hands_its_product_over() {
    let desk = established();
    desk.ok("product team thermostat");
    let review = desk.ok("review");
    assert!(
        review.contains("~ delegates anew thermostat/* to thermostat: 2 of 3 keys must sign"),
        "{review}"
    );
    publish(&desk, &["alice", "bob", "dora", "tess"]);
    desk.ok("check --all");
    desk.ok("support extend thermostat --until 2032-12 --reason \"The maker goes on.\"");
    assert!(desk.refused("sign --key frank.key").contains("has no say in"));
    publish(&desk, &["alice", "bob", "dora", "tess"]);
}

/// Teams don't wait for each other: each publishes upon its own role, and only the snapshot is made anew.
#[test]
fn two_teams_publish_without_waiting_for_each_other() {
    let desk = established();
    desk.add_key("ida");
    desk.ok(
        "product add kettle --support-until 2030-06-30 --reason \"Five years.\" --contact contact.toml --key ida.pub.json",
    );
    publish(&desk, &["alice", "bob", "ida", "dora", "tess"]);
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    desk.ok("support extend kettle --until 2031-06-30 --reason more");
    desk.ok("sign thermostat --key erin.key");
    desk.ok("sign thermostat --key frank.key");
    desk.ok("sign thermostat --key dora.key");
    desk.ok("sign kettle --key ida.key");
    desk.ok("sign kettle --key dora.key");
    desk.ok("publish kettle");
    // The thermostat's snapshot is upon an older one now; the team's signatures stand.
    let refused = desk.refused("publish thermostat");
    assert!(refused.contains("the snapshot has to be signed anew"), "{refused}");
    let status = desk.ok("status thermostat");
    assert!(status.contains("dora"), "{status}");
    desk.ok("sign thermostat --key dora.key");
    desk.ok("publish thermostat");
    desk.ok("sign --help");
}

/// An offline timestamp makes the folder itself a repository that devices can update from; without one it says so.
#[test]
fn a_timestamp_left_behind_is_told() {
    let desk = established();
    desk.ok("support extend thermostat --until 2032-12 --reason more");
    publish(&desk, &["erin", "frank", "dora"]);
    let status = desk.ok("status");
    assert!(status.contains("timestamp.json names an older snapshot"), "{status}");
    assert!(fs::read_to_string(desk.path("contact.toml")).unwrap() == CONTACT);
}
