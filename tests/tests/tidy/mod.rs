//! House rules as tests: what a machine can check of `CONTRIBUTING.md` and of the design's arrows.
//! Nothing here builds or runs the product; `cargo metadata`, `cargo tree` and the files in git are all it reads.

mod arrows;
mod compliance;
mod documents;
mod files;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Standard output of a command run in the root folder; a failure is the test's failure, with its words.
fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Output of the cargo that runs this test.
fn cargo(arguments: &[&str]) -> String {
    output_of(env!("CARGO"), arguments)
}

/// Files in git, and new ones that git would take, as paths from the root.
fn tracked() -> Vec<PathBuf> {
    output_of("git", &["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .split_terminator('\0')
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect()
}

/// The text of a file named from the root.
fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
