//! Arguments that make no sense: two lines, of which the second says what would.

use super::desk::{CONTACT, Desk, established};

#[test]
fn a_group_without_a_command_is_no_command() {
    let desk = Desk::new();
    for group in
        ["", "release", "channel", "device-ca", "key", "repository", "root", "product", "rollout", "support"]
    {
        let refused = desk.refused(group);
        assert!(refused.starts_with("error: no command was given\n"), "{group}: {refused}");
        let command = format!("perennial-signer {group}");
        let hint = format!("hint: {} --help shows the commands\n", command.trim_end());
        assert!(refused.ends_with(&hint), "{group}: {refused}");
    }
}

#[test]
fn a_wrong_value_is_answered_with_the_right_ones() {
    let desk = established();
    let refused =
        desk.refused("release propose thermostat 1.0.0 --image revA=x --notes first --class feature");
    let hint = "give security, functionality or combined; perennial-signer release propose --help shows how";
    assert!(refused.contains(hint), "{refused}");
    let refused =
        desk.refused("product add Kettle --support-until 2031-12 --reason x --contact contact.toml");
    assert!(
        refused.contains("hint: write kettle; perennial-signer product add --help shows how"),
        "{refused}"
    );
    let refused = desk.refused("channel create root beta");
    assert!(refused.contains("hint: perennial-signer channel create --help shows how"), "{refused}");
}

#[test]
fn a_missing_file_has_nothing_to_do_with_the_repository() {
    let desk = established();
    desk.write("contact.toml", CONTACT);
    for command in [
        "product add kettle --support-until 2031-12 --reason x --contact none.toml",
        "key new other.key --passphrase-file none.txt",
        "snapshot --repo none",
    ] {
        let refused = desk.refused(command);
        assert_eq!(refused.contains("--repo"), command.starts_with("snapshot"), "{refused}");
    }
    assert!(desk.refused("key new other.key --passphrase-file none.txt").contains("hint: check the path\n"));
}

#[test]
fn a_first_root_asks_for_its_keys_by_their_options() {
    let desk = Desk::new();
    let refused = desk.refused("repository init");
    assert!(refused.contains("error: no key was given\n"), "{refused}");
    assert!(refused.contains("--key FILE") && refused.contains("--root-key PUB"), "{refused}");
}

#[test]
fn a_passphrase_that_was_typed_differently_is_typed_again() {
    let desk = Desk::new();
    let refused = desk.refused_typing(
        &format!("key new {}", desk.path("me.key").display()),
        &["correct horse battery", "correct horse batery"],
    );
    assert!(refused.contains("was typed differently the second time"), "{refused}");
    assert!(refused.contains("hint: type it again"), "{refused}");
}
