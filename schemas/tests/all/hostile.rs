//! Bytes from an enemy: readers refuse or read, they never panic, and what they read they read alike twice.

use perennial_schemas::bundle::{BundleHeader, PREFIX_LENGTH};
use perennial_schemas::channel::Channel;
use perennial_schemas::crypto::Digest;
use perennial_schemas::fleet::*;
use perennial_schemas::index::{HEADER_LENGTH, Index, Shape};
use perennial_schemas::release::Release;
use perennial_schemas::report::Report;
use perennial_schemas::rollout::RolloutStatus;
use perennial_schemas::support::Support;
use perennial_schemas::tuf::{Root, Snapshot, Targets, TimestampRole, TopRole, matches_pattern};
use perennial_schemas::{Document, Json, Signed, canonical::to_canonical};
use proptest::prelude::*;

use crate::samples::{self, Ring};

/// One change to a text: a byte set, bytes cut out, or bytes put in.
#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Cut(usize, usize),
    Insert(usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let bytes = prop_oneof![
        Just(b"null".to_vec()),
        Just(b"-1".to_vec()),
        Just(b"99999999999999999999".to_vec()),
        Just(b"1e9".to_vec()),
        Just(b"[[[[[[[[".to_vec()),
        Just(b"\"\\u0000\"".to_vec()),
        prop::collection::vec(any::<u8>(), 1..6),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<usize>(), 1..200usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<usize>(), bytes).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

fn apply(text: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut text = text.to_vec();
    for change in changes {
        let at = |at: &usize| at % text.len().max(1);
        match change {
            Change::Set(position, byte) => {
                let at = at(position);
                if let Some(slot) = text.get_mut(at) {
                    *slot = *byte;
                }
            }
            Change::Cut(position, length) => {
                let start = at(position).min(text.len());
                let end = start.saturating_add(*length).min(text.len());
                text.drain(start..end);
            }
            Change::Insert(position, bytes) => {
                let at = at(position).min(text.len());
                text.splice(at..at, bytes.iter().copied());
            }
        }
    }
    text
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 1..4)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_as_json(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = Json::parse(&bytes) {
            let written = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(to_canonical(&Json::parse(&written).unwrap()), to_canonical(&value));
        }
    }

    #[test]
    fn a_changed_role_is_refused_or_means_the_same(changes in changes()) {
        let good = samples::sign(samples::root(), &[1, 2]);
        let before = Signed::<Root>::parse(&good).unwrap();
        if let Ok(after) = Signed::<Root>::parse(&apply(&good, &changes)) {
            let authority = before.unverified().authority(TopRole::Root);
            if after.check(&authority, &Ring).is_ok() {
                prop_assert_eq!(after.canonical(), before.canonical());
            }
        }
    }

    #[test]
    fn changed_documents_never_panic(changes in changes()) {
        let text = |value| perennial_schemas::signed::to_text::<Json>(&value).unwrap();
        let json = |bytes: Vec<u8>| text(Json::parse(&bytes).unwrap());
        let _ = Release::parse(&apply(&json(serde_json::to_vec(&samples::release()).unwrap()), &changes));
        let _ = Channel::parse(&apply(&json(serde_json::to_vec(&samples::channel()).unwrap()), &changes));
        let _ = Support::parse(&apply(&json(serde_json::to_vec(&samples::support()).unwrap()), &changes));
        let _ = Report::parse(&apply(&json(serde_json::to_vec(&samples::report()).unwrap()), &changes));
        let _ = Signed::<TimestampRole>::parse(&apply(&samples::sign(samples::timestamp(), &[5]), &changes));
        let _ = Signed::<RolloutStatus>::parse(&apply(&samples::sign(samples::rollout_status(), &[8]), &changes));
        let _ = Signed::<Snapshot>::parse(&apply(&samples::sign(samples::snapshot(), &[4]), &changes));
        let _ = Signed::<Targets>::parse(&apply(&samples::sign(samples::targets(), &[3]), &changes));
        let _ = Signed::<Targets>::parse(&apply(&samples::sign(samples::succinct_targets(), &[3]), &changes));
    }

    #[test]
    fn changed_documents_of_the_fleet_plane_never_panic(changes in changes()) {
        fn changed<T: serde::Serialize>(value: T, changes: &[Change]) -> Vec<u8> {
            apply(&serde_json::to_vec(&value).unwrap(), changes)
        }
        let _ = Enrolment::parse(&changed(samples::enrolment(), &changes));
        let _ = Enrolled::parse(&changed(samples::enrolled(), &changes));
        let _ = CheckIn::parse(&changed(samples::check_in(), &changes));
        let _ = CheckedIn::parse(&changed(samples::checked_in(), &changes));
        let _ = ReportQueue::parse(&changed(samples::queue(), &changes));
        let _ = Acknowledged::parse(&changed(samples::acknowledged(), &changes));
        let _ = ReportBatch::parse(&changed(samples::batch(), &changes));
        let _ = BatchAnswer::parse(&changed(samples::batch_answer(), &changes));
        let _ = Erasure::parse(&changed(samples::erasure(), &changes));
        let _ = Refusal::parse(&changed(samples::fleet_refusal(), &changes));
    }

    /// What is read of any URIs is written as it was read.
    #[test]
    fn names_of_any_words_are_read_as_they_are_written(
        uris in prop::collection::vec("(perennial:(device|product|hardware|label|kind)/)?(fleet|[0-9a-f]{32}|[a-z]{1,3}|\\PC{0,6})", 0..8)
    ) {
        if let Ok(name) = Name::from_uris(uris.iter().map(String::as_str)) {
            prop_assert_eq!(name.to_uris(), uris);
        }
    }

    #[test]
    fn a_changed_index_is_refused(changes in changes()) {
        let (good, root) = samples::index();
        let changed = apply(&good, &changes);
        prop_assert_eq!(Index::verify(&changed, &root, &Ring).is_ok(), changed == good);
        // Also one that somebody signed: no shape leads to a panic or to much memory.
        let _ = Index::verify(&changed, &Ring.sha256(&changed), &Ring);
        if let Some(header) = changed.first_chunk::<HEADER_LENGTH>() {
            let _ = Shape::decode(header).map(|shape| shape.chunk(u64::MAX).or(shape.page(u64::MAX)));
        }
    }

    #[test]
    fn a_changed_bundle_never_panics(changes in changes()) {
        let changed = apply(&samples::bundle(), &changes);
        if let Some(length) = changed.first_chunk().and_then(|prefix| BundleHeader::length(prefix).ok()) {
            let _ = changed.get(PREFIX_LENGTH..PREFIX_LENGTH + length).map(BundleHeader::parse);
        }
    }

    /// The matcher against a plain recursive one, on short texts of few letters.
    #[test]
    fn patterns_match_as_their_definition_says(pattern in "[ab*?/]{0,8}", path in "[ab/]{0,8}") {
        fn slow(pattern: &[u8], path: &[u8]) -> bool {
            match (pattern.first(), path.first()) {
                (None, None) => true,
                (Some(b'*'), _) => slow(&pattern[1..], path)
                    || path.first().is_some_and(|c| *c != b'/') && slow(pattern, &path[1..]),
                (Some(b'?'), Some(c)) if *c != b'/' => slow(&pattern[1..], &path[1..]),
                (Some(p), Some(c)) if p == c => slow(&pattern[1..], &path[1..]),
                _ => false,
            }
        }
        prop_assert_eq!(matches_pattern(&pattern, &path), slow(pattern.as_bytes(), path.as_bytes()));
    }
}
