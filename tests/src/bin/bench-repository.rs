//! `bench-repository FOLDER TARGETS`: a published repository with that many targets under one product, for
//! `tests/bench/signer`. One key holds every role and lies in `FOLDER/alice.key` without a passphrase, so that no figure
//! measures scrypt.

#![allow(clippy::unwrap_used, reason = "a benchmark's tool: a panic ends it")]

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use perennial_schemas::release::{Class, Notes, Release};
use perennial_schemas::signed::to_text;
use perennial_schemas::{RoleName, TargetPath, Timestamp};
use perennial_signer::crypto::Ring;
use perennial_signer::image::{Compression, prepare};
use perennial_signer::proposal::{Content, Kind, ProposalBuilder};
use perennial_signer::release::draft::{ImageNames, MeasuredImage};
use perennial_signer::release::{Draft, Standing};
use perennial_signer::repository::Repository;

/// RFC 8410's version 1 of an ed25519 key: everything before its 32 bytes.
const PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

const CONTACT: &str =
    "contacts = [\"mailto:security@example.com\"]\nacknowledgement_days = 3\nstatus_update_days = 14\n";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = PathBuf::from(&arguments[1]);
    let targets: usize = arguments[2].parse().unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("alice.key");
    std::fs::write(&key, [PREFIX.as_slice(), &[7; 32]].concat()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(folder.join("contact.toml"), CONTACT).unwrap();
    let repo = folder.join("repo");
    run(&repo, &["repository", "init", "--key", path(&key)]);
    let contact = folder.join("contact.toml");
    let add = ["product", "add", "thermostat", "--support-until", "2031-12", "--reason", "x", "--contact"];
    run(&repo, &[&add[..], &[path(&contact)]].concat());
    run(&repo, &["sign", "--yes", "--key", path(&key)]);
    run(&repo, &["publish"]);
    fill(&repo, targets);
    run(&repo, &["sign", "--yes", "--key", path(&key)]);
    run(&repo, &["publish"]);
}

/// Four targets a release: manifest, payload and two indexes. Every image is the same small one.
fn fill(repo: &Path, targets: usize) {
    let repository = Repository::open(repo).unwrap();
    let product = "thermostat".parse().unwrap();
    let standing = Standing::read(&repository, &product).unwrap();
    let (image, mut payload) = ([7; 4096], Vec::new());
    let compression = Compression { level: 1, threads: 1 };
    let prepared = prepare(&mut &image[..], 4096, &mut payload, compression, &Ring, &mut |_| ()).unwrap();
    let mut builder = ProposalBuilder::new(&repository, Kind::Release, "many", "many releases", now());
    let role = RoleName::from(&product);
    let hardware = vec!["revC".parse().unwrap()];
    for number in 0..targets / 4 {
        let draft = draft(&format!("1.{number}.0"));
        let names = ImageNames::new(&product, &draft.version, &hardware[0]).unwrap();
        let (hardware, prepared, deltas) = (hardware.clone(), prepared.clone(), vec![]);
        let measured = [MeasuredImage { hardware, prepared, deltas }];
        let manifest = to_text(&draft.manifest(&standing, &measured, &[], now()).unwrap()).unwrap();
        let mut put = |path: &TargetPath, bytes: &[u8]| {
            builder.put_target(&role, path, Content::Bytes(bytes.to_vec())).unwrap();
        };
        put(&names.index, &measured[0].prepared.image.index.bytes);
        put(&names.payload_index, &measured[0].prepared.payload.index.bytes);
        put(&names.payload, &payload);
        put(&Release::path(&product, &draft.version).unwrap(), &manifest);
    }
    builder.write().unwrap();
}

fn draft(version: &str) -> Draft {
    Draft {
        version: version.parse().unwrap(),
        class: Class::Functionality,
        notes: Notes { what: "Heats sooner.".into(), why: String::new(), interruption_seconds: 0 },
        fixes: vec![],
        advisories: vec![],
        allow_secrets: None,
        minimum_version: None,
        postponable_days: None,
        rollout: None,
        everybody_at_once: false,
        security_version: None,
        available_until: None,
        shorter_availability: false,
        sbom: false,
    }
}

fn run(repo: &Path, arguments: &[&str]) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let head = ["perennial-signer".into(), "--repo".into(), repo.as_os_str().to_owned()];
    let status = perennial_signer::run(
        head.into_iter().chain(arguments.iter().map(OsString::from)),
        &mut perennial_signer::Io {
            stdin: &mut std::io::empty(),
            stdout: &mut stdout,
            stderr: &mut stderr,
            now: Box::new(now),
            terminal: false,
            ask: Box::new(|_| Err(std::io::Error::other("there is no terminal"))),
        },
    );
    let failed = format!("{status:?}") != format!("{:?}", std::process::ExitCode::SUCCESS);
    assert!(!failed, "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
