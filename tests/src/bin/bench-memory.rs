//! `bench-memory [TARGETS …]`: how much memory a device takes to read a product's role with that many targets, from its first
//! refresh to a found target and a saved trust state. For docs/decisions/0006.
//!
//! `bench-memory walk TARGETS [PRODUCTS …]`: how much a server takes to walk over so many products with that many targets each, with
//! the files that it keeps and the list that it makes of them.
//!
//! Each repository is made here and read by a process of its own, whose greatest resident size Linux tells.

#![allow(clippy::unwrap_used, reason = "a benchmark's tool: a panic ends it")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark's tool reads files and prints"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{
    DriveError, FetchError, Limits, MetadataSource, Refresh, Request, StoreError, TrustState, TrustStore,
    drive, walk_all,
};
use perennial_schemas::Sha256Digest;
use perennial_tests::simulator::{Repository, day};

const PRODUCT: &str = "thermostat";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, folder] = &arguments[..]
        && first == "read"
    {
        return read(Path::new(folder));
    }
    if let [first, folder] = &arguments[..]
        && first == "walked"
    {
        return walk(Path::new(folder));
    }
    if let [first, targets, products @ ..] = &arguments[..]
        && first == "walk"
    {
        println!("{:>8} {:>10} {:>12} {:>12}", "products", "roles", "before", "at most");
        for products in products {
            let folder = tempfile::tempdir().unwrap();
            let length = make_many(folder.path(), products.parse().unwrap(), targets.parse().unwrap());
            print_child("walked", folder.path(), products, length);
        }
        return;
    }
    println!("{:>8} {:>10} {:>12} {:>12}", "targets", "role file", "before", "at most");
    for targets in arguments.iter().map(|number| number.parse().unwrap()) {
        let folder = tempfile::tempdir().unwrap();
        let length = make(folder.path(), targets);
        print_child("read", folder.path(), &targets.to_string(), length);
    }
}

/// A line of the table: what a process of its own says of the repository.
fn print_child(what: &str, folder: &Path, number: &str, length: usize) {
    let ran = Command::new(std::env::current_exe().unwrap()).arg(what).arg(folder).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    println!("{number:>8} {:>7}.{} MB {}", length / 1_000_000, length / 100_000 % 10, said.trim_end());
}

/// Writes a repository whose product has so many targets, four a release. Returns the length of its role's file.
fn make(folder: &Path, targets: usize) -> usize {
    let mut repository = Repository::new();
    fill(&mut repository, PRODUCT, targets);
    repository.publish();
    write(&repository, folder);
    repository.files[&format!("2.{PRODUCT}.json")].len()
}

/// Writes a repository with so many products of so many targets. Returns the length of their roles' files together.
fn make_many(folder: &Path, products: usize, targets: usize) -> usize {
    let mut repository = Repository::new();
    (0..products).for_each(|n| fill(&mut repository, &format!("product-{n}"), targets));
    repository.publish();
    write(&repository, folder);
    (0..products).map(|n| repository.files[&format!("2.product-{n}.json")].len()).sum()
}

fn fill(repository: &mut Repository, product: &str, targets: usize) {
    repository.delegate("targets", product, &[&format!("{product}/*")], true);
    for number in 0..targets {
        let ending =
            ["release.json", "revC.image.zst", "revC.image.zst.index", "revC.image.index"][number % 4];
        repository.add_target(
            product,
            &format!("{product}/1.{}.0.{ending}", number / 4),
            &number.to_be_bytes(),
        );
    }
}

fn write(repository: &Repository, folder: &Path) {
    for (name, bytes) in &repository.files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// What a server does with it when it takes a bundle in.
fn walk(folder: &Path) {
    let mut source = Kept { folder: Folder(folder.to_owned()), files: BTreeMap::new() };
    let root = std::fs::read(folder.join("1.root.json")).unwrap();
    let state = TrustState::new(&root, &Ring).unwrap();
    let before = peak();
    let mut store = Encoded::default();
    let limits = Limits::of_everything();
    let walked = walk_all(state, &Ring, day(1), limits, &mut source, &mut store).unwrap();
    let listed: BTreeMap<String, (u64, Option<Sha256Digest>)> = walked
        .roles
        .iter()
        .flat_map(|role| &role.targets)
        .map(|(path, file)| (path.to_string(), (file.length, file.sha256)))
        .collect();
    assert!(!listed.is_empty() && source.files.len() > walked.roles.len());
    println!("{before:>9} kB {:>9} kB", peak());
}

/// What a device does with it at its first check.
fn read(folder: &Path) {
    let mut source = Folder(folder.to_owned());
    let root = std::fs::read(folder.join("1.root.json")).unwrap();
    let state = TrustState::new(&root, &Ring).unwrap();
    let before = peak();
    let mut store = Encoded::default();
    let mut refresh = Refresh::new(state, &Ring, day(1), Limits::default());
    drive(&mut refresh, &mut source, &mut store).unwrap();
    let begun = refresh.find(&format!("{PRODUCT}/1.0.0.release.json").parse().unwrap());
    match begun.map_err(DriveError::from).and_then(|()| drive(&mut refresh, &mut source, &mut store)) {
        Ok(()) => assert!(refresh.found().is_some() && store.0 > 0),
        Err(error) => return println!("refused: {error}"),
    }
    println!("{:>9} kB {:>9} kB", before, peak());
}

/// The greatest resident size of this process so far, in kB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

struct Folder(PathBuf);

impl MetadataSource for Folder {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        match std::fs::read(self.0.join(&request.path)) {
            Ok(bytes) if bytes.len() as u64 > request.max_length => {
                Err(FetchError::TooLong { limit: request.max_length })
            }
            found => Ok(found.ok()),
        }
    }
}

/// Keeps what it hands over, as the server does until it is committed.
struct Kept {
    folder: Folder,
    files: BTreeMap<String, Vec<u8>>,
}

impl MetadataSource for Kept {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        let found = self.folder.fetch(request)?;
        self.files.extend(found.iter().map(|bytes| (request.path.clone(), bytes.clone())));
        Ok(found)
    }
}

/// Encodes the state as a store does, and forgets it.
#[derive(Default)]
struct Encoded(usize);

impl TrustStore for Encoded {
    fn save(&mut self, state: &TrustState) -> Result<(), StoreError> {
        self.0 = state.encode().len();
        Ok(())
    }
}
