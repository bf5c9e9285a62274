//! Ctrl-C, and a full disk, while deltas are made and applied: nothing is left behind, and what was there stays.

use std::ffi::OsString;
use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use perennial_tests::delta::Random;

use crate::release::interrupted::interrupt;
use crate::release::{propose, release, with_images};
use crate::signer::desk::Desk;

const SIGNER: &str = env!("CARGO_BIN_EXE_tested-signer");

/// Every file of the desk, with its content where that is small.
fn everything(desk: &Desk) -> Vec<(OsString, u64)> {
    let entries = fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> = entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().len())).collect();
    all.sort();
    all
}

/// Runs the signer's own program where no file may grow past so many bytes: the system's answer is an error, as for a full
/// disk.
fn on_a_full_disk(desk: &Desk, most: usize, line: &str) -> Output {
    let script = format!(r#"trap "" XFSZ; ulimit -f {}; exec "$@""#, most / 512);
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", SIGNER]).args(line.split(' ')).current_dir(desk.path(""));
    command.output().unwrap()
}

/// Two lines, the second of which says what to do.
fn refused(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert_eq!(said.matches("File too large").count(), 1, "{said}");
    assert!(
        said.starts_with("error: ")
            && said.ends_with("hint: check the permissions and the free space of the folder\n"),
        "{said}"
    );
}

#[test]
fn ctrl_c_while_a_delta_is_made_leaves_nothing() {
    let desk = Desk::new();
    // Sparse: no machine has read them before it is interrupted.
    for (name, length) in [("old.img", 200 << 30), ("new.img", 201 << 30)] {
        File::create(desk.path(name)).unwrap().set_len(length).unwrap();
    }
    let before = everything(&desk);
    let child = Command::new(SIGNER)
        .args(["delta", "make", "old.img", "new.img", "fix.delta"])
        .current_dir(desk.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    interrupt(child);
    assert_eq!(before, everything(&desk));
}

#[test]
fn a_full_disk_refuses_a_delta_and_leaves_nothing() {
    let desk = Desk::new();
    let mut random = Random(5);
    fs::write(desk.path("old.img"), random.bytes(30_000)).unwrap();
    fs::write(desk.path("new.img"), random.bytes(90_000)).unwrap();
    let before = everything(&desk);
    refused(&on_a_full_disk(&desk, 64 << 10, "delta make old.img new.img fix.delta"));
    assert_eq!(before, everything(&desk));
    let made = on_a_full_disk(&desk, 1 << 20, "delta make old.img new.img fix.delta");
    assert!(made.status.success(), "{made:?}");
    let before = everything(&desk);
    refused(&on_a_full_disk(&desk, 64 << 10, "delta apply old.img fix.delta again.img"));
    // What is there already is replaced whole, or not at all.
    let replaced = "delta make new.img old.img fix.delta --force";
    refused(&on_a_full_disk(&desk, 16 << 10, replaced));
    assert_eq!(before, everything(&desk));
    let applied = on_a_full_disk(&desk, 1 << 20, "delta apply old.img fix.delta again.img");
    assert!(applied.status.success(), "{applied:?}");
    assert_eq!(fs::read(desk.path("again.img")).unwrap(), fs::read(desk.path("new.img")).unwrap());
}

#[test]
fn a_full_disk_refuses_a_release_with_deltas_and_changes_nothing() {
    let desk = with_images();
    let mut random = Random(6);
    let first = random.bytes(90_000);
    fs::write(desk.path("n1.bin"), &first).unwrap();
    fs::write(desk.path("n2.bin"), [&first[..50_000], &random.bytes(700), &first[50_000..]].concat())
        .unwrap();
    release(&desk, "1.0.0", "n1.bin");
    let before = (desk.repository(), everything(&desk));
    let line = propose(&desk, "1.1.0", "n2.bin", "--delta-last 1");
    let line = line.replace("\"Heats sooner.\"", "Sooner.");
    let line = format!("--repo {} {line}", desk.path("repo").display());
    let output = on_a_full_disk(&desk, 64 << 10, &line);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("File too large"), "{said}");
    assert!((desk.repository(), everything(&desk)) == before, "a refused proposal changed something");
    desk.ok(&propose(&desk, "1.1.0", "n2.bin", "--delta-last 1"));
}

/// A slot in a file, rewritten by the command, with power cut in each of many operations: the same command goes on.
#[test]
fn a_slot_in_a_file_is_rewritten_however_often_power_is_cut() {
    let desk = Desk::new();
    let mut random = Random(7);
    let old = random.bytes(9_000);
    let new = [&old[..3_000], b"a security fix", &old[3_000..]].concat();
    fs::write(desk.path("old.img"), &old).unwrap();
    fs::write(desk.path("new.img"), &new).unwrap();
    let out = desk.path("").display().to_string();
    desk.ok(&format!("delta make old.img new.img {out}fix.delta --in-place 6x4K"));
    let rewrite = format!("delta rewrite old.img fix.delta {out}slot.bin");
    let (slot, journal) = (desk.path("slot.bin"), desk.path("slot.bin.journal"));
    let forget = || [&slot, &journal].map(|file| fs::remove_file(file).unwrap());
    let told: serde_json::Value = serde_json::from_str(&desk.ok(&format!("{rewrite} --json"))).unwrap();
    assert!(fs::read(&slot).unwrap().starts_with(&new));
    let operations = told["operations"].as_u64().unwrap();
    assert!(operations > 100, "{operations}");
    // Done is done.
    assert!(desk.ok(&rewrite).contains("0 sectors erased or lines written"));
    for cut in (1..=operations).step_by(operations as usize / 12) {
        forget();
        let refused = desk.refused(&format!("{rewrite} --cut-at {cut}"));
        assert!(refused.contains(&format!("power was cut in operation {cut}\n")), "{refused}");
        // Twice, the second time soon after it goes on.
        desk.refused(&format!("{rewrite} --cut-at 1"));
        desk.ok(&rewrite);
        assert!(fs::read(&slot).unwrap().starts_with(&new), "cut at {cut}");
    }
    let two = desk.refused(&format!("delta rewrite new.img fix.delta {out}slot.bin"));
    assert!(two.contains("the old image is not the one that the delta was made from"), "{two}");
    desk.ok(&format!("delta make old.img new.img {out}two.delta"));
    assert!(
        desk.refused(&format!("delta rewrite old.img two.delta {out}slot.bin"))
            .contains("is made for two slots")
    );
}

/// Error numbers 31 and 32, each with what helps.
#[test]
fn another_delta_under_way_and_another_image_are_told() {
    let desk = Desk::new();
    let old = Random(8).bytes(9_000);
    let news = [("new.img", b"a fix"), ("other.img", b"b fix")];
    for (name, fix) in news {
        fs::write(desk.path(name), [&old[..3_000], fix, &old[3_000..]].concat()).unwrap();
    }
    fs::write(desk.path("old.img"), &old).unwrap();
    let out = desk.path("").display().to_string();
    desk.ok(&format!("delta make old.img new.img {out}fix.delta --in-place 6x4K"));
    desk.ok(&format!("delta make old.img other.img {out}other.delta --in-place 6x4K"));
    desk.refused(&format!("delta rewrite old.img fix.delta {out}slot.bin --cut-at 100"));
    let refused = desk.refused(&format!("delta rewrite old.img other.delta {out}slot.bin"));
    assert!(refused.ends_with("(31)\nhint: go on with that one\n"), "{refused}");
    fs::write(desk.path("slot.bin"), [0xff; 6 << 12]).unwrap();
    fs::write(desk.path("slot.bin.journal"), [0xff; 2 << 12]).unwrap();
    let refused = desk.refused(&format!("delta rewrite old.img other.delta {out}slot.bin"));
    assert!(refused.ends_with("(32)\nhint: take the delta from what it holds\n"), "{refused}");
}
