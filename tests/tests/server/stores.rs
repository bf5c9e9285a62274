//! Stores that are killed, a few times each; `kill-store --kills 200` is the long run.

use std::process::Command;

fn killed(engine: &str) {
    let ran =
        Command::new(env!("CARGO_BIN_EXE_kill-store")).args(["--engine", engine, "--kills", "4"]).output();
    let ran = ran.unwrap();
    let words = String::from_utf8(ran.stdout).unwrap();
    println!("{words}");
    assert!(ran.status.success(), "{words}{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn fjall_killed_at_any_moment_keeps_what_it_acknowledged() {
    killed("fjall");
}

#[test]
fn sled_killed_at_any_moment_keeps_what_it_acknowledged() {
    killed("sled");
}
