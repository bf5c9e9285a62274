//! What people read: golden files for reports and for errors. `UPDATE_GOLDEN=1` writes them anew.

use super::{TEAM, propose, release, with_images};
use crate::signer::desk::Desk;
use crate::signer::transcripts::{golden, transcript};

fn told(desk: &Desk, commands: &[&str]) -> String {
    let folder = desk.path("");
    transcript(desk, commands).replace(folder.to_str().unwrap().trim_end_matches('/'), "DESK")
}

#[test]
fn a_release() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    let sbom = desk.path("sbom.json");
    desk.write("sbom.json", "{}");
    let fix =
        "--fix CVE-2026-12345:high --why \"Strangers could turn the heating off.\" --security-version 2";
    let propose = propose(&desk, "1.1.0", "v2.bin", &format!("{fix} --sbom {}", sbom.display()));
    let signs: Vec<String> = TEAM.iter().map(|person| format!("sign --key {person}.key --json")).collect();
    let mut commands = vec![propose.as_str(), "review"];
    commands.extend(signs.iter().map(String::as_str));
    commands.extend(["publish", "channel show thermostat", "check", "check --all"]);
    let bundle = format!("bundle {}", desk.path("site.bundle").display());
    commands.extend([bundle.as_str(), "inspect thermostat/1.1.0.release.json"]);
    golden("release.txt", &told(&desk, &commands));
}

#[test]
fn errors() {
    let desk = with_images();
    release(&desk, "1.0.0", "v1.bin");
    let lines = [
        propose(&desk, "1.0.0", "v1.bin", ""),
        propose(&desk, "1.0", "v1.bin", ""),
        propose(&desk, "one", "v1.bin", ""),
        propose(&desk, "1.1.0", "empty.bin", ""),
        propose(&desk, "1.1.0", "nothing.bin", ""),
        propose(&desk, "1.1.0", "v2.bin", "--security-version 18"),
        propose(&desk, "1.1.0", "v2.bin", "--available-until 2030-01-01"),
        propose(&desk, "1.1.0", "v2.bin", "--channel beta"),
        propose(&desk, "1.1.0", "v2.bin", "--fix CVE-2026-12345:terrible"),
        propose(&desk, "1.1.0", "v2.bin", "--reason because"),
        propose(&desk, "1.1.0", "v2.bin", "--level 23"),
        propose(&desk, "1.1.0", "v2.bin", &format!("--image revC={}", desk.path("v1.bin").display())),
        propose(&desk, "1.1.0", "v2.bin", "").replace("thermostat", "kettle"),
        propose(&desk, "1.1.0", "v2.bin", "").replace("functionality", "combined"),
        "channel show kettle".into(),
        "channel create thermostat stable".into(),
        "channel offer thermostat 1.0.0 --channel stable".into(),
        "channel offer thermostat 2.0.0 --channel stable".into(),
        "withdraw thermostat 2.0.0 --reason x".into(),
        "archive thermostat".into(),
        "inspect nothing".into(),
        "inspect v1.bin".into(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for line in &lines {
        desk.refused(line);
    }
    golden("release-errors.txt", &told(&desk, &lines));
}
