//! Golden vectors: what once was written stays readable, to the letter.

use perennial_schemas::bundle::{BundleHeader, PREFIX_LENGTH};
use perennial_schemas::channel::Channel;
use perennial_schemas::fleet::*;
use perennial_schemas::index::Index;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::release::{Release, SecretsLetThrough};
use perennial_schemas::report::{FailureCode, Report};
use perennial_schemas::rollout::{RolloutStatus, bucket, catch_up_part};
use perennial_schemas::signed::to_text;
use perennial_schemas::support::{OnDevice, Summary, Support};
use perennial_schemas::tuf::{Authority, Role, Root, Snapshot, Targets, TimestampRole, TopRole};
use perennial_schemas::{Digest, Document, Signed};
use serde::Serialize;

use crate::samples::{self, Ring};
use crate::{fixture, here};

fn document<T: Document + Serialize + PartialEq + std::fmt::Debug>(name: &str, value: T) {
    vector(name, "good.json", value);
}

fn vector<T: Document + Serialize + PartialEq + std::fmt::Debug>(name: &str, file: &str, value: T) {
    let text = fixture(&format!("vectors/{name}/{file}"), false, || to_text(&value).unwrap());
    assert_eq!(T::parse(&text).unwrap(), value, "{name}");
    assert_eq!(to_text(&value).unwrap(), text, "{name} is written otherwise than before");
}

#[test]
fn documents_are_read_and_written_as_ever() {
    document("release-1", samples::release());
    let postponable = Release { postponable_days: Some(14), ..samples::release() };
    vector("release-1", "good-postponable.json", postponable);
    let found =
        vec!["revC: a private key (PEM, EC PRIVATE KEY) at byte 4096, in the file \"test.pem\"".into()];
    let let_through = SecretsLetThrough { reason: "A published test key.".into(), found };
    let let_through = Release { secrets_let_through: Some(let_through), ..samples::release() };
    vector("release-1", "good-secrets-let-through.json", let_through);
    vector("release-1", "good-deltas.json", samples::release_with_deltas());
    vector("release-1", "good-rollout.json", samples::release_with_rollout());
    document("channel-1", samples::channel());
    document("support-1", samples::support());
    vector("support-1", "good-full.json", samples::support_full());
    document("support-summary-1", samples::summary());
    document("device-support-1", samples::on_device());
    document("report-1", samples::report());
    vector("report-1", "good-delta-failed.json", samples::report_of_a_delta());
    document("key-1", samples::key_file());
    assert!(samples::key_file().id_fits(&Ring));
}

#[test]
fn the_fleet_plane_is_read_and_written_as_ever() {
    document("enrolment-1", samples::enrolment());
    document("enrolled-1", samples::enrolled());
    document("check-in-1", samples::check_in());
    vector("check-in-1", "good-first.json", samples::first_check_in());
    document("checked-in-1", samples::checked_in());
    document("reports-1", samples::queue());
    document("acknowledged-1", samples::acknowledged());
    document("report-batch-1", samples::batch());
    document("batch-answer-1", samples::batch_answer());
    document("erasure-1", samples::erasure());
    let text =
        fixture("vectors/fleet-refusal-1/good.json", false, || to_text(&samples::fleet_refusal()).unwrap());
    assert_eq!(Refusal::parse(&text).unwrap(), samples::fleet_refusal());
    assert_eq!(to_text(&samples::fleet_refusal()).unwrap(), text);
    // What a device signs, a gateway carries to the letter.
    let queue = &samples::batch().queues[0].reports;
    assert_eq!(ReportQueue::parse(queue.as_bytes()).unwrap(), samples::queue());
}

fn role<T>(name: &str, value: T, seeds: &[u8], threshold: u32)
where
    T: Role + Serialize + Clone + PartialEq + std::fmt::Debug,
{
    signed(name, "good.json", value, seeds, threshold);
}

fn signed<T>(name: &str, file: &str, value: T, seeds: &[u8], threshold: u32)
where
    T: Role + Serialize + Clone + PartialEq + std::fmt::Debug,
{
    let text = fixture(&format!("vectors/{name}/{file}"), false, || samples::sign(value.clone(), seeds));
    assert_eq!(samples::sign(value.clone(), seeds), text, "{name} is written otherwise than before");
    let signed = Signed::<T>::parse(&text).unwrap();
    let keys = seeds.iter().map(|n| (samples::key(*n).id(&Ring).unwrap(), samples::key(*n))).collect();
    let keyids: Vec<_> = seeds.iter().map(|n| samples::key(*n).id(&Ring).unwrap()).collect();
    let authority = Authority::new(name, &keys, &keyids, threshold);
    assert_eq!(signed.verify(&authority, &Ring).unwrap().into_inner(), value, "{name}");
}

#[test]
fn roles_are_read_and_verify_as_ever() {
    role("tuf-root-1", samples::root(), &[1, 2], 2);
    role("tuf-timestamp-1", samples::timestamp(), &[5], 1);
    role("tuf-snapshot-1", samples::snapshot(), &[4], 1);
    role("tuf-targets-1", samples::targets(), &[3], 1);
    role("tuf-targets-succinct-1", samples::succinct_targets(), &[3], 1);
    role("rollout-status-1", samples::rollout_status(), &[8], 1);
    let of_one = samples::rollout_status_of_one_revision();
    signed("rollout-status-1", "good-one-revision.json", of_one, &[8], 1);
    let why = samples::rollout_status_with_the_reason_of_one_revision();
    signed("rollout-status-1", "good-reason-of-one-revision.json", why, &[8], 1);
}

/// Salt, device, bucket and part of `catch_up`, as another program's SHA-256 gives them (how: vectors/README.md).
#[test]
fn buckets_are_as_ever() {
    let table = std::fs::read_to_string(here("vectors/buckets.txt")).unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() >= 8);
    for line in lines {
        let [salt, device, at, part] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (salt, device) = (salt.parse().unwrap(), device.parse().unwrap());
        assert_eq!(bucket(&salt, &device, &Ring).to_string(), at, "{line}");
        assert_eq!(catch_up_part(&salt, &device, &Ring).to_string(), part, "{line}");
    }
}

#[test]
fn a_root_verifies_by_its_own_keys_and_not_with_one_signature() {
    let text = samples::sign(samples::root(), &[1, 2]);
    let root = Signed::<Root>::parse(&text).unwrap();
    assert_eq!(root.good_keys(&root.unverified().authority(TopRole::Root), &Ring).len(), 2);
    root.verify_self(&Ring).unwrap();
    let alone = samples::sign(samples::root(), &[1]);
    let error = Signed::<Root>::parse(&alone).unwrap().verify_self(&Ring).unwrap_err();
    assert_eq!(error.to_string(), "root: 1 good signatures of distinct keys, 2 needed");
}

#[test]
fn a_signature_that_stands_there_twice_is_refused() {
    let thrice = samples::sign(samples::root(), &[1, 1, 1]);
    let error = Signed::<Root>::parse(&thrice).unwrap_err();
    assert!(error.to_string().contains("a key id stands twice"), "{error}");
}

#[test]
fn a_public_key_under_two_ids_counts_once() {
    let mut root = samples::root();
    root.keys.insert("alias".parse().unwrap(), samples::key(1));
    root.roles.get_mut("root").unwrap().keyids.push("alias".parse().unwrap());
    let text = samples::sign(root, &[1]);
    let mut json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let mut second = json["signatures"][0].clone();
    second["keyid"] = "alias".into();
    json["signatures"].as_array_mut().unwrap().push(second);
    let text = serde_json::to_vec(&json).unwrap();
    assert_eq!(Signed::<Root>::parse(&text).unwrap().verify_self(&Ring).unwrap_err().good, 1);
}

#[test]
fn an_unknown_field_is_covered_by_the_signatures() {
    let text = String::from_utf8(samples::sign(samples::root(), &[1, 2])).unwrap();
    let changed = text.replace("\"x-unknown\"", "\"x-other\"");
    assert_ne!(text, changed);
    assert!(Signed::<Root>::parse(changed.as_bytes()).unwrap().verify_self(&Ring).is_err());
}

#[test]
fn the_index_and_the_bundle_are_read_and_written_as_ever() {
    let (bytes, root) = samples::index();
    let index = fixture("vectors/index-1/good.index", false, || bytes.clone());
    assert_eq!(index, bytes);
    assert_eq!(Index::verify(&index, &root, &Ring).unwrap().shape().chunks(), 129);
    let root_text = fixture("vectors/index-1/good.root.sha256", false, || format!("{root}\n").into_bytes());
    assert_eq!(root_text, format!("{root}\n").into_bytes());

    let bundle = fixture("vectors/bundle-1/good.bundle", false, samples::bundle);
    assert_eq!(bundle, samples::bundle());
    let length = BundleHeader::length(bundle.first_chunk().unwrap()).unwrap();
    let (header, contents) = bundle[PREFIX_LENGTH..].split_at(length);
    let header = BundleHeader::parse(header).unwrap();
    assert_eq!(header.files[0].sha256, Ring.sha256(contents));
}

/// A number that a device once sent means the same for ever.
#[test]
fn failure_codes_are_only_ever_added_to() {
    let listed = std::fs::read_to_string(here("vectors/failure-codes.txt")).unwrap();
    let listed: Vec<&str> = listed.lines().filter(|line| !line.starts_with('#')).collect();
    let known: Vec<String> =
        FailureCode::ALL.iter().map(|code| format!("{} {code:?}", code.number())).collect();
    for line in &listed {
        assert!(
            known.iter().any(|code| code == line),
            "{line:?} was released: put it back into src/report.rs as it was, and give the new meaning a number that was never used"
        );
    }
    for code in &known {
        assert!(
            listed.contains(&code.as_str()),
            "{code:?} is new: add the line to vectors/failure-codes.txt"
        );
    }
    assert_eq!(listed.len(), known.len(), "each line stands once");
}

/// Every `bad-*` and `rule-*` vector of every format is refused, and with the reason that its first line of
/// `refusals.txt` names.
#[test]
fn bad_vectors_are_refused_with_their_reason() {
    let table = std::fs::read_to_string(here("vectors/refusals.txt")).unwrap();
    let mut listed = 0;
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (path, reason) = line.split_once(": ").unwrap();
        let text = std::fs::read(here("vectors").join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let message = refusal(path.split('/').next().unwrap(), &text);
        assert!(message.contains(reason), "{path}: {message:?} does not say {reason:?}");
        listed += 1;
    }
    let bad = walk().filter(|name| name.starts_with("bad-") || name.starts_with("rule-")).count();
    assert_eq!(listed, bad, "vectors/refusals.txt lists every bad vector");
}

fn walk() -> impl Iterator<Item = String> {
    let folders = std::fs::read_dir(here("vectors")).unwrap().map(|entry| entry.unwrap().path());
    folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

fn refusal(format: &str, text: &[u8]) -> String {
    fn of<T>(result: Result<T, perennial_schemas::FormatError>) -> String {
        result.err().map_or("(it was accepted)".into(), |error| error.to_string())
    }
    match format {
        "release-1" => of(Release::parse(text)),
        "channel-1" => of(Channel::parse(text)),
        "support-1" => of(Support::parse(text)),
        "support-summary-1" => of(Summary::parse(text)),
        "device-support-1" => of(OnDevice::parse(text)),
        "report-1" => of(Report::parse(text)),
        "enrolment-1" => of(Enrolment::parse(text)),
        "enrolled-1" => of(Enrolled::parse(text)),
        "check-in-1" => of(CheckIn::parse(text)),
        "checked-in-1" => of(CheckedIn::parse(text)),
        "reports-1" => of(ReportQueue::parse(text)),
        "acknowledged-1" => of(Acknowledged::parse(text)),
        "report-batch-1" => of(ReportBatch::parse(text)),
        "batch-answer-1" => of(BatchAnswer::parse(text)),
        "erasure-1" => of(Erasure::parse(text)),
        "fleet-refusal-1" => of(Refusal::parse(text)),
        "key-1" => of(KeyFile::parse(text)),
        "rollout-status-1" => of(Signed::<RolloutStatus>::parse(text)),
        "tuf-root-1" => of(Signed::<Root>::parse(text)),
        "tuf-timestamp-1" => of(Signed::<TimestampRole>::parse(text)),
        "tuf-snapshot-1" => of(Signed::<Snapshot>::parse(text)),
        "tuf-targets-1" | "tuf-targets-succinct-1" => of(Signed::<Targets>::parse(text)),
        other => panic!("no reader for {other}"),
    }
}
