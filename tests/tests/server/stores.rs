//! Stores that are killed, a few times each; `kill-store --kills 200` is the long run.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn killed(engine: &str) {
    let ran =
        Command::new(env!("CARGO_BIN_EXE_kill-store")).args(["--engine", engine, "--kills", "4"]).output();
    let ran = ran.unwrap();
    let words = String::from_utf8(ran.stdout).unwrap();
    println!("{words}");
    assert!(ran.status.success(), "{words}{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_writer_ends_when_whoever_started_it_is_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Command::new(env!("CARGO_BIN_EXE_kill-store"))
        .args(["--write", "--engine", "fjall", "--folder", folder.path().join("store").to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    // What it still says is read: else a full pipe would end it.
    let reading = std::thread::spawn(move || lines.count());
    drop(writer.stdin.take());
    let mut status = None;
    super::kit::eventually("the writer has ended", || {
        status = writer.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
    reading.join().unwrap();
}

#[test]
fn fjall_killed_at_any_moment_keeps_what_it_acknowledged() {
    killed("fjall");
}

#[test]
fn sled_killed_at_any_moment_keeps_what_it_acknowledged() {
    killed("sled");
}
