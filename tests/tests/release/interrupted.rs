//! Ctrl-C in the middle of a proposal leaves nothing behind.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::with_images;

/// Sends a program Ctrl-C once it has read 8 MiB, and so is in the middle of what it does.
pub(crate) fn interrupt(mut child: Child) {
    let reads = format!("/proc/{}/io", child.id());
    let read = || {
        let mut text = String::new();
        File::open(&reads).and_then(|mut file| file.read_to_string(&mut text)).ok();
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap_or("0");
        line.parse::<u64>().unwrap_or(0)
    };
    while read() < 8 << 20 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status:?}");
}

#[test]
fn ctrl_c_in_the_middle_of_an_image_leaves_nothing() {
    let desk = with_images();
    // Sparse, and hours of work at this level: no machine is done with it before it is interrupted.
    File::create(desk.path("huge.bin")).unwrap().set_len(200 << 30).unwrap();
    let before = desk.repository();
    let child = Command::new(env!("CARGO_BIN_EXE_tested-signer"))
        .args(["--repo".as_ref(), desk.path("repo").as_os_str()])
        .args([
            "release",
            "propose",
            "thermostat",
            "9.0.0",
            "--notes",
            "x",
            "--class",
            "security",
            "--level",
            "22",
        ])
        .arg(format!("--image=revC={}", desk.path("huge.bin").display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    interrupt(child);
    assert_eq!(before, desk.repository());
}
