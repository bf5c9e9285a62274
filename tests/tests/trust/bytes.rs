//! Absurd bytes: lying lengths, endless and hostile JSON, and files with flipped bytes.

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{Answer, Limits, Refresh, Step, TrustError, TrustState};
use perennial_tests::simulator::{Device, day};
use proptest::prelude::*;

use super::{refused, settled, stopped, versions};

#[test]
fn lying_lengths_shorter_and_longer() {
    for lie in [-1i64, 1] {
        let (mut repository, mut device) = settled();
        repository.publish();
        let listed = repository.timestamp.meta.get_mut("snapshot.json").unwrap();
        let length = listed.length.unwrap();
        listed.length = Some(length.strict_add_signed(lie));
        listed.hashes = None;
        repository.serve_timestamp();
        let error = device.refresh(&mut repository).unwrap_err();
        // Longer than listed is cut off by the source; shorter is found by the core.
        assert_eq!(
            lie == 1,
            matches!(error, perennial_device_core::trust::DriveError::Trust(TrustError::Length { .. }))
        );
        assert_eq!(versions(&device), [1, 3, 2, 2]);
    }
}

#[test]
fn a_length_past_every_limit_is_refused_before_a_byte_is_fetched() {
    let (mut repository, mut device) = settled();
    repository.timestamp.meta.get_mut("snapshot.json").unwrap().length = Some(u64::MAX);
    repository.publish_timestamp();
    let error = stopped(&mut device, &mut repository);
    assert_eq!(error, TrustError::TooLong { file: "2.snapshot.json".into(), limit: 4 * 1024 * 1024 });
    assert_eq!(repository.take_requests(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn a_source_that_hands_over_more_than_was_asked_for_is_refused() {
    let (repository, device) = settled();
    let limits = Limits { timestamp_length: 100, ..Limits::default() };
    let mut refresh = Refresh::new(device.state(), &Ring, day(1), limits);
    refresh.supply(Answer::NotFound).unwrap();
    let error = refresh.supply(Answer::Bytes(repository.files["timestamp.json"].clone())).unwrap_err();
    assert_eq!(error, TrustError::TooLong { file: "timestamp.json".into(), limit: 100 });
    assert_eq!(refresh.next(), Step::Stopped);
    assert_eq!(refresh.into_state(), device.state());
}

#[test]
fn absurd_json() {
    let deep = [b"{\"signed\":".as_slice(), &b"[".repeat(100_000)].concat();
    let wide = [b"{\"signed\":[".as_slice(), &b"0,".repeat(500_000), b"0]}"].concat();
    let twice = br#"{"signed":{"version":1,"version":2},"signatures":[]}"#.to_vec();
    let float = br#"{"signed":{"version":1.0},"signatures":[]}"#.to_vec();
    let big = br#"{"signed":{"version":340282366920938463463374607431768211456},"signatures":[]}"#.to_vec();
    let negative = br#"{"signed":{"_type":"root","version":-1},"signatures":[]}"#.to_vec();
    let not_utf8 = b"{\"signed\":{\"_type\":\"\xff\xfe\"},\"signatures\":[]}".to_vec();
    let after = br#"{"signed":{},"signatures":[]} trailing"#.to_vec();
    let all = [
        deep,
        wide,
        twice,
        float,
        big,
        negative,
        not_utf8,
        after,
        Vec::new(),
        b"null".to_vec(),
        vec![0; 1000],
    ];
    for (i, text) in all.into_iter().enumerate() {
        for file in ["2.root.json", "timestamp.json"] {
            let (mut repository, mut device) = settled();
            let before = device.store.clone();
            repository.files.insert(file.into(), text.clone());
            device.refresh(&mut repository).unwrap_err();
            assert_eq!(device.store, before, "text {i} as {file}");
        }
    }
}

#[test]
fn a_version_at_the_end_of_all_numbers_is_no_panic() {
    let (mut repository, mut device) = settled();
    repository.root.common.version = u64::MAX;
    repository.serve_root();
    let file = repository.files[&format!("{}.root.json", u64::MAX)].clone();
    repository.files.insert("2.root.json".into(), file);
    let error = refused(&mut device, &mut repository);
    assert_eq!(error, TrustError::Version { file: "2.root.json".into(), expected: 2, found: u64::MAX });
    // A device that was born with such a root asks for nothing past it.
    let mut born = Device::born_with(&repository.sign("root", &repository.root));
    repository.files.insert(format!("{}.root.json", u64::MAX), b"anything".to_vec());
    born.refresh(&mut repository).unwrap_err();
}

#[test]
fn answers_out_of_order_are_refused() {
    let (repository, device) = settled();
    let start = || Refresh::new(device.state(), &Ring, day(1), Limits::default());
    for answers in [vec![Answer::Persisted], vec![Answer::NotFound, Answer::Persisted]] {
        let mut refresh = start();
        let outcomes: Vec<_> = answers.into_iter().map(|answer| refresh.supply(answer)).collect();
        assert!(matches!(outcomes.last(), Some(Err(TrustError::OutOfOrder { .. }))));
        assert!(!refresh.is_refreshed());
    }
    let mut early = start();
    assert!(matches!(early.find(&"good".parse().unwrap()), Err(TrustError::OutOfOrder { .. })));
    assert!(early.found().is_none());
    // A state that is not saved yet is not acted upon.
    let mut unsaved = Refresh::new(
        TrustState::new(repository.first_root(), &Ring).unwrap(),
        &Ring,
        day(1),
        Limits::default(),
    );
    unsaved.supply(Answer::NotFound).unwrap();
    unsaved.supply(Answer::Bytes(repository.files["timestamp.json"].clone())).unwrap();
    assert_eq!(unsaved.next(), Step::Persist);
    let again = unsaved.supply(Answer::Bytes(repository.files["2.snapshot.json"].clone()));
    assert!(matches!(again, Err(TrustError::OutOfOrder { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Bytes flipped anywhere in any file of a good repository: the device ends with what it had, or with exactly the
    /// honest content (white space and unused fields may change), and never with anything else.
    #[test]
    fn flipped_bytes_are_never_taken_for_something_else(
        file in prop::sample::select(vec!["2.root.json", "timestamp.json", "3.snapshot.json", "3.targets.json"]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
    ) {
        let (mut repository, mut device) = settled();
        repository.add_target("targets", "better", b"better software");
        repository.publish_root();
        repository.publish();
        let honest = repository.record();
        let bytes = repository.files.get_mut(file).unwrap();
        for (place, flip) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        }
        let outcome = device.refresh(&mut repository);
        let state = device.state();
        let signed = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["signed"].clone();
        let old = settled().1.state();
        for (name, kept) in state.files() {
            let role = name.trim_end_matches(".json");
            let mut known: Vec<Vec<u8>> = old.files().filter(|(n, _)| *n == name).map(|(_, b)| b.to_vec()).collect();
            known.extend(["timestamp.json".to_string(), format!("2.{role}.json"), format!("3.{role}.json")].iter().filter(|n| n.contains(role)).filter_map(|n| honest.get(n).cloned()));
            prop_assert!(known.iter().any(|bytes| signed(bytes) == signed(kept)), "{} is something else", name);
        }
        if outcome.is_ok() {
            prop_assert_eq!(device.version("targets.json"), 3);
        }
    }

    #[test]
    fn any_bytes_in_the_place_of_a_file_are_refused(
        file in prop::sample::select(vec!["2.root.json", "timestamp.json"]),
        bytes in prop::collection::vec(any::<u8>(), 0..2048),
    ) {
        let (mut repository, mut device) = settled();
        repository.files.insert(file.into(), bytes);
        refused(&mut device, &mut repository);
    }
}
