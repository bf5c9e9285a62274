//! Sizes, and what every crate must say about itself.

use std::path::{Path, PathBuf};

use super::{root, text, tracked};

/// Bytes that a file in git may have: fixtures are small and say how they were made.
const LARGEST_FILE: u64 = 300_000;
/// Lines: half of the Rust files outside `tests/` have fewer, nine tenths have fewer, each has fewer.
const MEDIAN: usize = 200;
const NINE_TENTHS: usize = 500;
const LONGEST: usize = 800;
/// Lines of a `main.rs`: it gathers what the library asks for, and calls it.
const LONGEST_MAIN: usize = 60;

/// Crates whose library code may not read the clock, files or the environment, nor print.
const LIBRARIES: &[&str] = &[
    "schemas",
    "support-label",
    "key-guess",
    "device-client/core",
    "device-client",
    "signer-cli",
    "update-server",
];

/// The files that may hold unsafe code; their crate says `#![deny(unsafe_code)]`, and each use its reason.
const UNSAFE_FILES: &[&str] = &["update-server/src/mapped.rs", "zstd-sequences/src/context.rs"];

#[test]
fn rust_files_are_short() {
    let mut lines: Vec<(usize, PathBuf)> = rust_files()
        .into_iter()
        .filter(|path| !path.starts_with("tests"))
        .map(|path| (text(&path).lines().count(), path))
        .collect();
    lines.sort();
    let (median, _) = lines[lines.len() / 2];
    let (nine_tenths, _) = lines[lines.len() * 9 / 10];
    let long: Vec<_> = lines.iter().filter(|(n, _)| *n >= LONGEST).collect();
    assert!(long.is_empty(), "{LONGEST} lines or more: {long:?}");
    assert!(median < MEDIAN, "the median file has {median} lines");
    assert!(
        nine_tenths < NINE_TENTHS,
        "a tenth of the files has {nine_tenths} lines or more: {:?}",
        &lines[lines.len() * 9 / 10..]
    );
}

#[test]
fn a_main_only_calls_its_library() {
    for path in rust_files().iter().filter(|path| path.ends_with("main.rs")) {
        let lines = text(path).lines().count();
        assert!(lines <= LONGEST_MAIN, "{} has {lines} lines", path.display());
    }
}

#[test]
fn no_large_file_is_tracked() {
    for path in tracked() {
        let bytes = std::fs::metadata(root().join(&path)).unwrap().len();
        assert!(bytes <= LARGEST_FILE, "{} has {bytes} bytes", path.display());
    }
}

#[test]
fn every_crate_root_forbids_unsafe_code() {
    let roots: Vec<PathBuf> = rust_files().into_iter().filter(|path| path.ends_with("src/lib.rs")).collect();
    assert!(roots.len() >= LIBRARIES.len());
    for path in roots {
        let source = text(&path);
        let excused = UNSAFE_FILES.iter().any(|file| Path::new(file).starts_with(path.parent().unwrap()));
        assert!(
            source.contains("#![forbid(unsafe_code)]")
                || (excused && source.contains("#![deny(unsafe_code)]")),
            "{} doesn't forbid unsafe code",
            path.display()
        );
    }
}

#[test]
fn unsafe_code_stands_in_listed_files_and_says_why_it_is_sound() {
    for path in rust_files() {
        let source = text(&path);
        let lines: Vec<&str> = source.lines().collect();
        let allows = source.contains("allow(unsafe_code)") && path != Path::new("tests/tests/tidy/files.rs");
        assert!(
            !allows || UNSAFE_FILES.iter().any(|file| path == Path::new(file)),
            "{} allows unsafe code and isn't listed",
            path.display()
        );
        for (at, line) in lines.iter().enumerate() {
            let before = &lines[at.saturating_sub(6)..at];
            assert!(
                !allows
                    || !line.contains("unsafe {")
                    || before.iter().any(|line| line.contains("// SAFETY:")),
                "{}:{}: no SAFETY comment",
                path.display(),
                at + 1
            );
        }
    }
}

/// `no_std` without a condition; the standard library is for unit tests alone.
#[test]
fn the_formats_and_the_core_have_no_standard_library() {
    for library in ["schemas", "device-client/core"] {
        assert!(text(Path::new(library).join("src/lib.rs")).contains("\n#![no_std]"), "{library}");
    }
    for path in rust_files() {
        if !path.starts_with("schemas/src") && !path.starts_with("device-client/core/src") {
            continue;
        }
        let source = text(&path);
        for (at, _) in source.match_indices("extern crate std;") {
            assert!(
                source[..at].trim_end().ends_with("#[cfg(test)]"),
                "{} takes the standard library in",
                path.display()
            );
        }
    }
}

#[test]
fn library_crates_ban_the_clock_files_and_printing() {
    for library in LIBRARIES {
        let bans: toml::Table = text(Path::new(library).join("clippy.toml")).parse().unwrap();
        let paths = |key: &str| -> Vec<String> {
            bans[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| {
                    assert!(entry["reason"].as_str().is_some_and(|reason| reason.len() > 10));
                    entry["path"].as_str().unwrap().to_owned()
                })
                .collect()
        };
        let methods = paths("disallowed-methods");
        for banned in [
            "std::time::SystemTime::now",
            "std::time::Instant::now",
            "std::fs::read",
            "std::fs::write",
            "std::fs::File::open",
            "std::fs::File::create",
            "std::env::var",
        ] {
            assert!(methods.iter().any(|path| path == banned), "{library} doesn't ban {banned}");
        }
        let macros = paths("disallowed-macros");
        for banned in ["std::println", "std::eprintln"] {
            assert!(macros.iter().any(|path| path == banned), "{library} doesn't ban {banned}!");
        }
        for key in ["allow-unwrap-in-tests", "allow-expect-in-tests"] {
            assert_eq!(bans[key].as_bool(), Some(true), "{library}: {key}");
        }
    }
}

/// A module that lifts a ban gives its reason, and lifts no more than the ban.
#[test]
fn a_lifted_ban_has_a_reason() {
    for path in rust_files() {
        let source = text(&path);
        for (at, _) in source.match_indices("clippy::disallowed_") {
            let rest = &source[at..];
            let attribute = &rest[..rest.find(']').unwrap_or(rest.len())];
            assert!(
                attribute.contains("reason") || path.starts_with("tests"),
                "{}: a lifted ban without a reason: {attribute}",
                path.display()
            );
        }
    }
}

#[test]
fn every_package_takes_the_workspace_lints() {
    let manifests: Vec<PathBuf> = tracked()
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml") && path != Path::new("Cargo.toml"))
        .collect();
    assert!(manifests.len() > LIBRARIES.len());
    for path in manifests {
        let manifest: toml::Table = text(&path).parse().unwrap();
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints.and_then(toml::Value::as_bool),
            Some(true),
            "{}: lints.workspace = true",
            path.display()
        );
    }
}

fn rust_files() -> Vec<PathBuf> {
    tracked().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}
