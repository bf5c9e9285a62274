//! The time: a clock that is five years wrong leads to a clear verdict, spoils nothing, and is forgiven once mended.

use perennial_device_core::trust::TrustError;
use perennial_schemas::Timestamp;
use perennial_tests::simulator::{Device, Repository, day};

use super::{refused, settled, stopped};

const FIVE_YEARS: i64 = 5 * 365;

#[test]
fn a_clock_five_years_fast_refuses_and_recovers() {
    let (mut repository, mut device) = settled();
    repository.publish();
    device.clock = day(FIVE_YEARS);
    let error = refused(&mut device, &mut repository);
    let (expires, now) = (day(365), day(FIVE_YEARS));
    assert_eq!(error, TrustError::Expired { file: "1.root.json".into(), expires, now });
    device.clock = day(2);
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.version("targets.json"), 3);
}

#[test]
fn a_clock_five_years_slow_takes_only_what_is_signed_and_recovers() {
    let (mut repository, mut device) = settled();
    repository.publish();
    device.clock = day(-FIVE_YEARS);
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.version("targets.json"), 3);
    // No rollback comes of it.
    repository.timestamp.common.version = 1;
    repository.serve_timestamp();
    assert!(matches!(refused(&mut device, &mut repository), TrustError::Rollback { .. }));
    device.clock = day(2);
    repository.timestamp.common.version = 3;
    repository.publish_timestamp();
    device.refresh(&mut repository).unwrap();
}

#[test]
fn offline_signatures_raise_the_lower_bound_of_a_slow_clock() {
    let (mut repository, mut device) = settled();
    device.clock = Timestamp::EPOCH;
    repository.snapshot.common.signed_at = Some(day(20));
    repository.delegate("targets", "product", &["product/*"], true);
    repository.add_target("product", "product/app", b"app");
    repository.role("product").common.expires = day(19);
    repository.publish();
    // The product's role had expired when the snapshot was signed: the clock need not be right to know that.
    device.refresh(&mut repository).unwrap();
    let error = super::trust_error(device.find(&mut repository, "product/app").unwrap_err());
    assert_eq!(error, TrustError::Expired { file: "product.json".into(), expires: day(19), now: day(20) });
}

#[test]
fn nothing_online_moves_the_time() {
    let (mut repository, mut device) = settled();
    device.clock = Timestamp::EPOCH;
    repository.timestamp.common.signed_at = Some(day(29));
    repository.publish();
    let (_, validity) = device.find_valid(&mut repository, "good").unwrap();
    assert_eq!(validity.lower_bound(), day(0));
    assert_eq!(validity.now(day(5)), day(5));
}

#[test]
fn a_signer_s_clock_years_ahead_strands_nobody() {
    for role in ["root", "snapshot", "targets"] {
        let (mut repository, mut device) = settled();
        let ahead = Some(day(FIVE_YEARS));
        match role {
            "root" => repository.root.common.signed_at = ahead,
            "snapshot" => repository.snapshot.common.signed_at = ahead,
            _ => repository.targets().common.signed_at = ahead,
        }
        repository.publish_root();
        repository.publish();
        let (_, validity) = device.find_valid(&mut repository, "good").unwrap();
        assert_eq!(validity.now(day(1)), day(1), "{role}");
        // Signed anew with a right clock, it is forgotten.
        repository.root.common.signed_at = Some(day(1));
        repository.snapshot.common.signed_at = Some(day(1));
        repository.targets().common.signed_at = Some(day(1));
        repository.publish_root();
        repository.publish();
        let (_, validity) = device.find_valid(&mut repository, "good").unwrap();
        assert_eq!(validity.lower_bound(), day(1), "{role}");
    }
}

#[test]
fn a_fast_signer_gains_less_than_the_timestamp_s_lifetime() {
    let (mut repository, mut device) = settled();
    repository.snapshot.common.signed_at = Some(day(30).plus_seconds(-1));
    repository.publish();
    let (_, validity) = device.find_valid(&mut repository, "good").unwrap();
    assert!(validity.now(day(1)) < day(30));
    repository.publish_timestamp();
    device.refresh(&mut repository).unwrap();
}

#[test]
fn time_stands_still_during_a_refresh() {
    let mut repository = Repository::new();
    let mut device = Device::born_with(repository.first_root());
    // One second before the end is enough for the whole of it, and a second later is not.
    device.clock = day(30).plus_seconds(-1);
    device.refresh(&mut repository).unwrap();
    device.clock = day(30);
    stopped(&mut device, &mut repository);
}
