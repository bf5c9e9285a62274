//! `bench-site STATE ROOT BUNDLE MIB [PRODUCTS]`: a repository for a benchmark of the server, signed with throwaway keys, as a
//! bundle whose largest target has that many MiB, and with that many products that have a support record. The root names the
//! timestamp key of the server in STATE.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a tool for benchmarks: whatever fails ends it")]

use std::path::PathBuf;
use std::time::SystemTime;

use perennial_device_core::crypto::Ring;
use perennial_schemas::bundle::{BundleFile, BundleHeader};
use perennial_schemas::crypto::Digest;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::signed::to_text;
use perennial_schemas::support::{Gtin, Identifier, Model, Promise, Support, VulnerabilityContact};
use perennial_schemas::tuf::TopRole;
use perennial_schemas::{Date, Document, TargetPath, Timestamp};
use perennial_tests::simulator::Repository;

fn main() {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let ([state, root, bundle, mib] | [state, root, bundle, mib, _]) = &args[..] else {
        panic!("usage: bench-site STATE ROOT BUNDLE MIB [PRODUCTS]")
    };
    let number = |text: &PathBuf| text.to_str().and_then(|text| text.parse().ok()).expect("a number");
    let (mib, products): (usize, usize) = (number(mib), args.get(4).map_or(0, number));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    let now = Timestamp::from_unix(since.as_secs() as i64);

    let key = std::fs::read(state.join("keys/timestamp.pub.json")).expect("the state's public key");
    let key = KeyFile::parse(&key).expect("a public key file");
    let mut repository = Repository::new();
    repository.root.keys.insert(key.keyid.clone(), key.key);
    repository.top(TopRole::Timestamp).keyids.push(key.keyid);
    repository.root.common.expires = now.plus_days(365);
    repository.root.common.signed_at = Some(now);
    repository.publish_root();
    std::fs::write(root, &repository.files["2.root.json"]).expect("the root is written");

    repository.delegate("targets", "bench", &["bench/*"], true);
    let mut contents = vec![
        ("bench/stream".to_owned(), vec![0x5a; mib << 20]),
        ("bench/small".to_owned(), vec![0x5a; 4096]),
        // As long as a product's page.
        ("bench/page".to_owned(), vec![0x5a; 12_750]),
    ];
    for (path, content) in &contents {
        repository.add_target("bench", path, content);
    }
    // One team: a role names at most 1,024 keys.
    let team = repository.new_signer();
    for n in 0..products {
        let (record, name) = (record(n, now), format!("product-{n:05}"));
        repository.delegate_to(team, "targets", &name, &[&format!("{name}/*")], true);
        let (path, content) = (format!("{name}/support.json"), to_text(&record).expect("JSON"));
        repository.add_target(&name, &path, &content);
        contents.push((path, content));
    }
    for role in repository.roles.values_mut() {
        (role.common.expires, role.common.signed_at) = (now.plus_days(30), Some(now));
    }
    (repository.snapshot.common.expires, repository.snapshot.common.signed_at) =
        (now.plus_days(30), Some(now));
    repository.publish();

    let metadata = repository.files.iter().filter(|(name, _)| *name != "timestamp.json");
    let mut files: Vec<(String, &[u8])> =
        metadata.map(|(name, bytes)| (format!("metadata/{name}"), bytes.as_slice())).collect();
    for (path, content) in &contents {
        let path: TargetPath = path.parse().expect("a target path");
        files.push((format!("targets/{}", path.consistent(&Ring.sha256(content).to_string())), content));
    }
    let listed = files.iter().map(|(path, bytes)| BundleFile {
        path: path.parse().expect("a path of a bundle"),
        length: bytes.len() as u64,
        sha256: Ring.sha256(bytes),
    });
    let mut out = BundleHeader::new(now, listed.collect()).encode().expect("a bundle's header");
    files.iter().for_each(|(_, bytes)| out.extend_from_slice(bytes));
    std::fs::write(bundle, out).expect("the bundle is written");
}

/// The record of one of many products: names, designations and numbers as shops have them.
fn record(n: usize, now: Timestamp) -> Support {
    const KINDS: [&str; 8] =
        ["Thermostat", "Camera", "Doorbell", "Speaker", "Router", "Light", "Lock", "Kettle"];
    let until = Date::new(2028 + (n % 10) as u16, 1 + (n % 12) as u8, 1 + (n % 28) as u8).expect("a date");
    let promise = Promise::new(now, until, "As long as people use one.");
    let contact = VulnerabilityContact::new("mailto:security@maker.example", 3, 14);
    let name = format!("product-{n:05}").parse().expect("a product name");
    let mut record = Support::new(name, promise, contact);
    let kind = KINDS[n % KINDS.len()];
    let digits = format!("400638{n:06}");
    let gtin =
        (0..10).find_map(|check| format!("{digits}{check}").parse::<Gtin>().ok()).expect("a check digit");
    record.model = Some(Model {
        name: format!("{kind} series {}", n / KINDS.len()),
        designation: format!("{}{}-{n:05}", &kind[..1], n % 7),
        kind: kind.into(),
        identifiers: vec![Identifier { scheme: "gtin14".into(), value: gtin.to_string() }],
        hardware: Vec::new(),
        automatic_updates: true,
        connects_to: Vec::new(),
    });
    record
}
