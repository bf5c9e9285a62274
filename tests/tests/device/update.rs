//! The life of an update as it should go.

use std::collections::BTreeSet;

use perennial_device_core::machine::{State, Wish};
use perennial_device_core::port::memory::{Fault, MemoryStaging, RunLength};
use perennial_device_core::port::{BootFlag, Slot};
use perennial_schemas::release::Encoding;
use perennial_schemas::report::{FailureCode, Outcome};
use perennial_tests::simulator::{Conduct, Unit, image};

use super::fresh;

fn outcomes(unit: &Unit) -> Vec<(Outcome, Option<FailureCode>)> {
    unit.journal().reports.history().iter().map(|entry| (entry.outcome, entry.failure)).collect()
}

#[test]
fn a_healthy_release_is_confirmed_then_its_slot_is_good_then_the_counter_rises() {
    let (mut product, mut unit) = fresh();
    let new = image(2, 4);
    product.offer("2.0.0", &new, |release| release.security_version = 5);
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    unit.live().unwrap();
    assert_eq!((unit.runs(), unit.counter.value), ("2.0.0", 5));
    assert_eq!((unit.boot.status.a, unit.boot.status.b), (BootFlag::Good, BootFlag::Good));
    assert_eq!(unit.boot.status.next, Slot::B);
    assert_eq!(unit.hooks.ran, ["before 2.0.0", "after 2.0.0"]);
    let expected = [Outcome::Started, Outcome::Installed, Outcome::Confirmed].map(|outcome| (outcome, None));
    assert_eq!(outcomes(&unit), expected);
    let log = unit.power.log();
    let good = log.iter().position(|operation| operation == "marking a slot good").unwrap();
    let expected = ["saving the journal record", "marking a slot good", "raising the counter"];
    assert_eq!(log[good - 1..=good + 1], expected);
}

#[test]
fn an_unhealthy_release_falls_back_and_is_remembered() {
    let (mut product, mut unit) = fresh();
    let new = image(3, 4);
    let digest = product.offer("3.0.0", &new, |release| release.security_version = 9);
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "3.0.0", Conduct::Sick);
    unit.live().unwrap();
    assert_eq!((unit.runs(), unit.counter.value), ("1.0.0", 0));
    assert_eq!(unit.boots, ["3.0.0", "1.0.0"]);
    assert_eq!(unit.boot.status.b, BootFlag::Unbootable);
    let journal = unit.journal();
    assert_eq!((journal.failed[0].manifest, journal.failed[0].tries), (digest, 1));
    assert_eq!(outcomes(&unit).last(), Some(&(Outcome::RolledBack, Some(FailureCode::Unhealthy))));
    assert_eq!(journal.reports.history().last().unwrap().detail, "the pump does not turn");
    assert!(journal.said.unwrap().text.starts_with("3.0.0 waits until"), "and says why it is not installed");
}

#[test]
fn a_release_that_never_comes_up_falls_back_after_its_tries() {
    let (mut product, mut unit) = fresh();
    let new = image(3, 4);
    product.offer("3.0.0", &new, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "3.0.0", Conduct::Dead);
    unit.live().unwrap();
    assert_eq!(unit.boots, ["3.0.0", "3.0.0", "3.0.0", "1.0.0"]);
    assert_eq!(outcomes(&unit).last(), Some(&(Outcome::RolledBack, Some(FailureCode::DidNotBoot))));
}

#[test]
fn a_release_that_failed_three_times_is_only_tried_again_when_the_owner_says_so() {
    let (mut product, mut unit) = fresh();
    let new = image(3, 4);
    product.offer("3.0.0", &new, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "3.0.0", Conduct::Sick);
    for _ in 0..6 {
        unit.live().unwrap();
        unit.now = unit.now.plus_days(2);
    }
    assert_eq!(unit.boots.iter().filter(|name| **name == "3.0.0").count(), 3);
    let now = unit.now;
    unit.knows(&new, "3.0.0", Conduct::Healthy);
    unit.with_runner(|runner| {
        runner.wish(Wish::Retry, now)?;
        runner.run(now)
    })
    .unwrap();
    unit.boot();
    unit.live().unwrap();
    assert_eq!(unit.runs(), "3.0.0");
}

#[test]
fn a_barrier_leads_through_the_release_before_it() {
    let (mut product, mut unit) = fresh();
    product.offer("2.0.0", &image(2, 4), |_| {});
    product.offer("3.0.0", &image(3, 4), |release| release.minimum_version = Some("2.0.0".parse().unwrap()));
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&image(2, 4), "2.0.0", Conduct::Healthy);
    unit.knows(&image(3, 4), "3.0.0", Conduct::Healthy);
    unit.live().unwrap();
    unit.now = unit.now.plus_days(1);
    unit.live().unwrap();
    assert_eq!(unit.boots, ["2.0.0", "3.0.0"]);
}

#[test]
fn the_owner_goes_back_to_a_confirmed_release_and_is_not_updated_behind_their_back() {
    let (mut product, mut unit) = fresh();
    for (version, seed) in [("2.0.0", 2), ("3.0.0", 3)] {
        product.offer(version, &image(seed, 4), |_| {});
        product.publish();
        unit.fetch = product.serve();
        unit.knows(&image(seed, 4), version, Conduct::Healthy);
        unit.live().unwrap();
    }
    let now = unit.now;
    unit.with_runner(|runner| {
        runner.revert(now)?;
        runner.run(now)
    })
    .unwrap();
    unit.boot();
    unit.live().unwrap();
    assert_eq!(unit.boots, ["2.0.0", "3.0.0", "2.0.0"]);
    assert!(unit.journal().said.unwrap().text.contains("the owner went back from it"));
}

#[test]
fn a_staged_download_goes_on_where_the_connection_broke() {
    let (mut product, mut unit) = fresh();
    let new = image(2, 8);
    product.offer_payload("2.0.0", &new, &new, Encoding::Plain, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
    unit.fetch.faults = vec![("image.zst".into(), Fault::Truncate(20_000))];
    let _ = unit.work().unwrap();
    assert_eq!(unit.journal().state, State::Downloading { offset: 16_384 });
    assert_eq!(unit.boot.status.b, BootFlag::Unbootable);
    unit.fetch.faults.clear();
    unit.now = unit.now.plus_seconds(60);
    unit.live().unwrap();
    assert_eq!(unit.runs(), "2.0.0");
    assert_eq!(unit.failures.len(), 1);
}

/// Breaks the connection in the middle of a streamed update, lets it come back, and tells what was written and what was
/// asked for the second time.
fn broken_stream(encoding: Encoding) -> (Unit, Vec<u64>) {
    let (mut product, mut unit) = fresh();
    let new: Vec<u8> = (0..32_768).map(|i| (i / 3) as u8).collect();
    let payload = match encoding {
        Encoding::Plain => new.clone(),
        _ => RunLength::encode(&new),
    };
    product.offer_payload("2.0.0", &new, &payload, encoding, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    unit.fetch.faults = vec![("image.zst".into(), Fault::Truncate(20_000))];
    let _ = unit.work().unwrap();
    unit.fetch.faults.clear();
    unit.now = unit.now.plus_seconds(60);
    unit.live().unwrap();
    assert_eq!((unit.runs(), unit.failures.len()), ("2.0.0", 1));
    let writes = unit.slots.writes.iter().map(|(_, offset)| *offset).collect();
    (unit, writes)
}

#[test]
fn a_streamed_update_writes_no_chunk_twice_after_the_connection_broke() {
    let all: Vec<u64> = (0..8).map(|chunk| chunk * 4096).collect();
    for encoding in [Encoding::Plain, Encoding::Zstd] {
        let (_, writes) = broken_stream(encoding);
        assert_eq!(writes, all);
    }
}

#[test]
fn a_plain_payload_is_not_fetched_twice_after_the_connection_broke() {
    let (unit, _) = broken_stream(Encoding::Plain);
    let ranges: Vec<&str> = unit.fetch.ranges.iter().map(String::as_str).collect();
    assert_eq!(ranges, ["0..32768", "16384..32768"]);
}

#[test]
fn metadata_that_expires_during_the_download_is_renewed_before_anything_is_activated() {
    let (mut product, mut unit) = fresh();
    let new = image(2, 8);
    product.offer("2.0.0", &new, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    unit.now = product.repository.timestamp.common.expires.plus_seconds(-1);
    unit.fetch.faults = vec![("image.zst".into(), Fault::Truncate(0))];
    let _ = unit.work().unwrap();
    assert_eq!(unit.journal().state, State::Installing { offset: 0 });
    unit.fetch.faults.clear();
    unit.now = unit.now.plus_seconds(60);
    let _ = unit.work().unwrap();
    assert_eq!(unit.failures.last().map(|failure| failure.code), Some(FailureCode::Expired));
    assert!(unit.slots.writes.is_empty() && unit.boots.is_empty());
    product.repository.timestamp.common.expires = unit.now.plus_days(30);
    product.repository.snapshot.common.expires = unit.now.plus_days(30);
    product.publish();
    unit.fetch = product.serve();
    unit.now = unit.now.plus_seconds(3600);
    unit.live().unwrap();
    assert_eq!(unit.runs(), "2.0.0");
}

#[test]
fn what_has_arrived_is_installed_without_a_network_while_it_is_vouched_for() {
    for (later, runs) in [(1, "2.0.0"), (31, "1.0.0")] {
        let (mut product, mut unit) = fresh();
        let new = image(2, 6);
        product.offer("2.0.0", &new, |_| {});
        product.publish();
        unit.fetch = product.serve();
        unit.knows(&new, "2.0.0", Conduct::Healthy);
        unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
        let _ = unit.stage().unwrap();
        // The power goes, and with it the network, for a day or for longer than the metadata lasts.
        unit.crash(1);
        unit.fetch.faults = vec![(String::new(), Fault::Unreachable)];
        unit.now = unit.now.plus_days(later);
        unit.works(8).unwrap();
        assert_eq!(unit.runs(), runs, "{later} days later");
        let codes: BTreeSet<u16> = unit.failures.iter().map(|failure| failure.code.number()).collect();
        assert_eq!(codes, [FailureCode::Unreachable.number()].into());
    }
}
