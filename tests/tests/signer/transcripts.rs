//! What people read: golden files for reports and for errors. `UPDATE_GOLDEN=1` writes them anew.

use std::fs;
use std::path::PathBuf;

use super::desk::{Desk, established};

pub(crate) fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/signer").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

pub(crate) fn transcript(desk: &Desk, commands: &[&str]) -> String {
    let mut text = String::new();
    for command in commands {
        let ran = desk.run(command);
        text += &format!("$ perennial-signer {command}\n{}{}\n", ran.stdout, ran.stderr);
    }
    text
}

#[test]
fn a_first_root() {
    let desk = Desk::with_keys(&["alice", "bob", "carol", "dora", "tess"]);
    let text = transcript(
        &desk,
        &[
            "repository init --root-key alice.pub.json,bob.pub.json,carol.pub.json --root-threshold 2 --snapshot-key dora.pub.json --timestamp-key tess.pub.json",
            "sign --key alice.key --json",
            "status",
            "sign --key carol.key --json",
            "status",
            "sign --key dora.key --json",
            "sign --key tess.key --json",
            "status",
            "publish",
            "status",
        ],
    );
    golden("first-root.txt", &text);
}

#[test]
fn a_longer_promise() {
    let desk = established();
    let text = transcript(
        &desk,
        &[
            "support extend thermostat --until 2033-06 --reason \"Two years more, for the loyal.\"",
            "sign --key erin.key",
            "status",
        ],
    );
    golden("longer-promise.txt", &text);
}

#[test]
fn other_keys() {
    let desk = established();
    desk.add_key("gina");
    let text = transcript(&desk, &["root show", "root rotate alice gina.pub.json", "status"]);
    golden("other-keys.txt", &text);
}

#[test]
fn errors() {
    let empty = Desk::new();
    let desk = established();
    let mut text = transcript(&empty, &["status", "sign", "product list", "key show nothing.key"]);
    text += &transcript(
        &desk,
        &[
            "review",
            "sign --key alice.key",
            "publish later",
            "support extend thermostat --until 2030-01 --reason less",
            "support extend kettle --until 2030-01 --reason none",
            "product add thermostat --support-until 2030-01 --reason again --contact contact.toml",
            "product add kettle --support-until soon --reason x --contact contact.toml",
            "product add kettle --support-until 2030-01 --reason x --contact contact.toml --key alice.pub.json,bob.pub.json",
            "product add kettle --support-until 2099-01 --reason x --contact contact.toml",
            "product add Kettle --support-until 2030-01 --reason x --contact contact.toml",
            "repository init --key alice.key",
            "root threshold 4 --role root",
            "root remove-key zoe",
            "root remove-key dora",
            "root add-key alice.pub.json --role root",
            "root add-key alice.pub.json --role kettle",
            "key new alice.key",
        ],
    );
    golden("errors.txt", &text);
}

/// Passphrases: by file, by a descriptor, never weak; copies are read back.
#[test]
fn keys_under_a_passphrase() {
    let desk = Desk::new();
    for (name, text) in [
        ("words.txt", "correct horse battery staple\n"),
        ("other.txt", "another four good words\n"),
        ("weak.txt", "secret\n"),
    ] {
        desk.write(name, text);
        desk.protect(name);
    }
    desk.write("open.txt", "correct horse battery staple\n");
    let key = desk.path("me.key");
    let (key, copy) = (key.display(), desk.path("stick/me.key"));
    assert!(desk.refused(&format!("key new {key} --passphrase-file weak.txt")).contains("shorter than 8"));
    let refused = desk.refused(&format!("key new {key} --passphrase-file open.txt"));
    assert!(refused.contains("open.txt can be read by others"), "{refused}");
    assert!(desk.refused(&format!("key new {key}")).contains("--passphrase-file FILE or --passphrase-fd N"));
    desk.ok(&format!("key new {key} --label Me --passphrase-file words.txt"));
    let shown = desk.ok("key show me.pub.json");
    let refused = desk.refused("repository init --key me.pub.json");
    assert!(refused.contains("me.pub.json is the public half of a key"), "{refused}");
    let backup = format!("key backup {key} --to {}", copy.display());
    let wrong = format!("{backup} --passphrase-file other.txt --new-passphrase-file other.txt");
    assert!(desk.refused(&wrong).contains("the passphrase does not open"));
    desk.ok(&format!("{backup} --passphrase-file words.txt --new-passphrase-file other.txt"));
    desk.ok(&format!("repository init --key {} --passphrase-file other.txt", copy.display()));
    let keyid = shown.lines().find_map(|line| line.strip_prefix("  key id   ")).unwrap().to_owned();
    assert!(desk.ok("root show").contains(&keyid), "the copy is the same key");
}

#[test]
fn completions_know_every_command() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.ok(&format!("completions {shell}"));
        for command in ["review", "rebase", "product", "repository"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
