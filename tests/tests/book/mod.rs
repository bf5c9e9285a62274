//! The commands that the documents show, run as a reader would type them.
//!
//! A block that begins with ` ```sh ` is run; all of a document's blocks run in their order in one shell, in an empty
//! folder, with the tools on the path. A ` ```text ` block right after one is part of what it prints: each of its lines must
//! appear in one of the printed lines, in that order; `…` stands for anything. A block that can't be run says why:
//! ` ```sh ignore-reason="asks on the terminal" `. Nothing else is ever left out.

mod parse;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use parse::{Block, blocks, first_line_missing};

/// Seconds that one document's commands may take.
const PATIENCE: &str = "600";

/// What a reader has installed.
const TOOLS: &[(&str, &str)] = &[
    ("perennial-signer", env!("CARGO_BIN_EXE_tested-signer")),
    ("perennial-server", env!("CARGO_BIN_EXE_tested-server")),
    ("perennial-device", env!("CARGO_BIN_EXE_tested-device")),
];

#[test]
fn every_command_in_the_documents_runs() {
    let documents = documents();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = documents.iter().map(|document| scope.spawn(|| run(document))).collect();
        running.into_iter().filter_map(|thread| thread.join().unwrap().err()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_shell_block_is_run_or_says_why_not() {
    let mut shell = 0;
    for document in documents() {
        for block in blocks(&text(&document)) {
            assert!(
                !["bash", "shell", "console", "zsh"].contains(&block.language.as_str()),
                "{}:{}: commands stand in blocks that begin with ```sh",
                document.display(),
                block.line
            );
            shell += usize::from(block.language == "sh");
            if let Some(reason) = &block.ignored {
                assert!(reason.len() > 10, "{}:{}: {reason:?} is no reason", document.display(), block.line);
            }
        }
    }
    assert!(shell > 0, "the documents show no command");
}

/// Runs a document's blocks; the error tells the block, what it printed and what was expected.
fn run(document: &Path) -> Result<(), String> {
    let runnable: Vec<Block> = blocks(&text(document))
        .into_iter()
        .filter(|block| block.language == "sh" && block.ignored.is_none())
        .collect();
    if runnable.is_empty() {
        return Ok(());
    }
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let outputs = folder.path().join("outputs");
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&outputs).unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, script_of(&runnable, &outputs)).unwrap();
    let status = Command::new("timeout")
        .args(["--kill-after=5", PATIENCE, "bash"])
        .arg(&script)
        .current_dir(&work)
        .env("HOME", folder.path())
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", path(folder.path()))
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    let mut last = String::new();
    for (number, block) in runnable.iter().enumerate() {
        let Ok(printed) = std::fs::read_to_string(outputs.join(number.to_string())) else {
            break; // not reached: the one before it failed, and is told below
        };
        let place = format!("{}:{}", document.display(), block.line);
        if let Some(line) =
            block.expected.as_ref().and_then(|expected| first_line_missing(expected, &printed))
        {
            return Err(format!("{place}: this line isn't printed: {line}\nprinted was:\n{printed}"));
        }
        last = format!("{place}:\n{}\nprinted:\n{printed}", block.code);
    }
    if status.success() { Ok(()) } else { Err(format!("{status} in the block at {last}")) }
}

/// One shell for all blocks, so that variables and folders stay; the output of each goes to a file of its number.
fn script_of(blocks: &[Block], outputs: &Path) -> String {
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    for (number, block) in blocks.iter().enumerate() {
        let output = outputs.join(number.to_string());
        writeln!(script, "exec >'{}' 2>&1\n{}", output.display(), block.code).unwrap();
    }
    script
}

/// The tools under their own names, before everything else on the path.
fn path(folder: &Path) -> String {
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).unwrap();
    for (name, binary) in TOOLS {
        std::os::unix::fs::symlink(binary, bin.join(name)).unwrap();
    }
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
}

/// Every document for readers: at the root, and the book.
fn documents() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .current_dir(root())
        .output()
        .unwrap();
    let documents: Vec<PathBuf> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect();
    assert!(documents.contains(&PathBuf::from("README.md")));
    documents
}

fn text(document: &Path) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
