//! The formats from outside: golden vectors of every version, and the JSON Schemas made from the types.
//!
//! `PERENNIAL_WRITE=1 cargo test -p perennial-schemas` writes schemas anew and adds vectors that are missing. A vector
//! that exists is never written again: old artefacts stay readable for ever.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads fixtures, and a panic is its verdict"
)]

mod golden;
mod hostile;
mod json_schemas;
mod reach;
mod samples;

use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The file's bytes; with `PERENNIAL_WRITE` set, made from `bytes` where it is missing (or, with `renew`, differs).
fn fixture(path: &str, renew: bool, bytes: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = here(path);
    if std::env::var_os("PERENNIAL_WRITE").is_some() && (renew || !path.exists()) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
