//! What a broken or hostile server sends, and what a device does with it: nothing on its disks changes that counts, and
//! it goes on when it gets the truth.

use perennial_device_core::machine::State;
use perennial_device_core::port::memory::{Fault, MemoryStaging, RunLength};
use perennial_device_core::port::{BootFlag, Slot};
use perennial_schemas::Sha256Digest;
use perennial_schemas::release::{Encoding, Release};
use perennial_schemas::report::FailureCode;
use perennial_tests::simulator::{Conduct, Product, Unit, day, image, support_until};

use super::{codes, fresh, offer};

/// The device has not been touched: it runs 1.0.0, which still boots, and the other slot does not.
fn assert_unharmed(unit: &Unit) {
    assert_eq!(unit.runs(), "1.0.0");
    assert_eq!((unit.boot.status.a, unit.boot.status.b), (BootFlag::Good, BootFlag::Unbootable));
    assert_eq!((unit.boot.status.next, unit.counter.value), (Slot::A, 0));
    assert!(unit.boots.is_empty(), "nothing was ever tried");
}

/// Works once against a release that was published honestly and is served with `fault`.
fn served_with(fault: (&str, Fault)) -> Unit {
    let (mut product, mut unit) = fresh();
    offer(&mut product, &mut unit, "2.0.0", &image(2, 6));
    unit.fetch.faults = vec![(fault.0.into(), fault.1)];
    let _ = unit.work().unwrap();
    unit
}

/// Works once against a release that is published as it is.
fn published(offer: impl FnOnce(&mut Product)) -> Unit {
    let (mut product, mut unit) = fresh();
    offer(&mut product);
    product.publish();
    unit.fetch = product.serve();
    let _ = unit.work().unwrap();
    unit
}

#[test]
fn truncated_corrupted_endless_missing_and_unreachable_files_harm_nothing_and_pass() {
    let faults = [
        (("image.zst", Fault::Truncate(1)), FailureCode::BadAnswer),
        (("image.zst", Fault::Truncate(0)), FailureCode::BadAnswer),
        (("image.zst", Fault::Flip(0)), FailureCode::PayloadDigest),
        (("image.zst", Fault::Flip(100)), FailureCode::PayloadDigest),
        (("image.zst", Fault::Missing), FailureCode::BadAnswer),
        (("image.zst", Fault::Unreachable), FailureCode::Unreachable),
        (("image.index", Fault::Truncate(40)), FailureCode::BadAnswer),
        (("image.index", Fault::Flip(40)), FailureCode::BadAnswer),
        (("image.index", Fault::Endless), FailureCode::BadAnswer),
        (("zst.index", Fault::Flip(40)), FailureCode::BadAnswer),
        (("release.json", Fault::Flip(40)), FailureCode::Inconsistent),
        (("release.json", Fault::Endless), FailureCode::BadAnswer),
        (("channel.json", Fault::Truncate(40)), FailureCode::Inconsistent),
        (("support.json", Fault::Missing), FailureCode::BadAnswer),
        (("timestamp.json", Fault::Endless), FailureCode::BadAnswer),
        (("timestamp.json", Fault::Flip(60)), FailureCode::Malformed),
        (("snapshot.json", Fault::Flip(60)), FailureCode::Inconsistent),
        (("timestamp.json", Fault::Unreachable), FailureCode::Unreachable),
    ];
    for (fault, code) in faults {
        let mut unit = served_with(fault);
        assert_eq!(codes(&unit), [code], "{fault:?}");
        assert_unharmed(&unit);
        // A timestamp that was tampered with doesn't come again for as long as the true one stays as it is.
        let tampered = matches!(fault.1, Fault::Flip(_)) && fault.0.ends_with("timestamp.json");
        assert!(!tampered || unit.fetch.forgotten > 0);
        unit.fetch.faults.clear();
        unit.now = unit.now.plus_seconds(60);
        unit.live().unwrap();
        assert_eq!(unit.runs(), "2.0.0", "{fault:?}: the truth is taken when it comes");
    }
}

#[test]
fn nothing_of_a_corrupted_payload_reaches_the_slot() {
    let (mut product, mut unit) = fresh();
    let new = image(2, 6);
    product.offer_payload("2.0.0", &new, &new, Encoding::Plain, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.fetch.faults = vec![("image.zst".into(), Fault::Flip(9000))];
    let _ = unit.work().unwrap();
    assert_eq!(codes(&unit), [FailureCode::PayloadDigest]);
    assert_eq!(
        unit.slots.writes,
        [(Slot::B, 0), (Slot::B, 4096)],
        "the two good chunks before it, and no more"
    );
    assert_unharmed(&unit);
}

#[test]
fn a_decompression_bomb_stops_at_the_length_of_the_image() {
    let new = image(2, 2);
    let mut bomb = RunLength::encode(&new);
    bomb.truncate(bomb.len() - 5);
    bomb.extend(RunLength::run(u32::MAX, 0));
    let unit = published(|product| {
        product.offer_payload("2.0.0", &new, &bomb, Encoding::Zstd, |_| {});
    });
    assert_eq!(codes(&unit), [FailureCode::ImageDigest]);
    assert!(unit.failures[0].detail.contains("more than the signed 8392 bytes"), "{}", unit.failures[0]);
    assert!(unit.slots.disk[1].len() <= new.len());
    assert_unharmed(&unit);
}

#[test]
fn a_payload_that_makes_another_image_writes_nothing_of_it() {
    let unit = published(|product| {
        let other = RunLength::encode(&image(9, 6));
        product.offer_payload("2.0.0", &image(2, 6), &other, Encoding::Zstd, |_| {});
    });
    assert_eq!(codes(&unit), [FailureCode::ImageDigest]);
    assert!(unit.slots.writes.is_empty());
    assert_eq!(unit.journal().failed[0].tries, 1, "signed nonsense counts as the release's own fault");
    assert_unharmed(&unit);
}

#[test]
fn a_truncated_or_garbled_frame_is_refused() {
    let new = image(2, 6);
    let whole = RunLength::encode(&new);
    let garbled = [&whole[..], &[1, 2, 3]].concat();
    for payload in [&whole[..whole.len() - 5], &garbled] {
        let unit = published(|product| {
            product.offer_payload("2.0.0", &new, payload, Encoding::Zstd, |_| {});
        });
        assert_eq!(codes(&unit), [FailureCode::Decompression]);
        assert_unharmed(&unit);
    }
}

#[test]
fn lengths_that_lie_are_found_out() {
    type Lie = fn(&mut Release);
    let lies: [(Lie, FailureCode); 4] = [
        (|release| release.images[0].length += 1, FailureCode::BadAnswer),
        (|release| release.images[0].payloads[0].length += 1, FailureCode::Inconsistent),
        (|release| release.images[0].index.root = Sha256Digest([0; 32]), FailureCode::BadAnswer),
        (|release| release.images[0].sha256 = Sha256Digest([0; 32]), FailureCode::ImageDigest),
    ];
    for (i, (lie, code)) in lies.into_iter().enumerate() {
        let unit = published(|product| {
            product.offer("2.0.0", &image(2, 6), lie);
        });
        assert_eq!(codes(&unit), [code], "lie {i}");
        assert_unharmed(&unit);
    }
}

#[test]
fn a_disk_that_gives_back_other_bytes_than_were_written_is_not_the_release_s_fault() {
    let (mut product, mut unit) = fresh();
    offer(&mut product, &mut unit, "2.0.0", &image(2, 6));
    unit.slots.decayed = Some(9000);
    let _ = unit.work().unwrap();
    assert_eq!(codes(&unit), [FailureCode::SlotIo]);
    let failed = unit.journal().failed[0].clone();
    assert_eq!((failed.tries, failed.others, failed.code), (0, 1, Some(FailureCode::SlotIo)));
    assert!(failed.again.is_some(), "it is tried again as long as it may be the disk");
    assert_unharmed(&unit);
}

#[test]
fn an_image_that_does_not_fit_is_refused_before_anything_is_fetched() {
    let unit = published(|product| {
        product.offer("2.0.0", &image(2, 17), |_| {});
    });
    let said = unit.journal().said.unwrap().text;
    assert!(said.contains("and 65536 fit into a slot"), "{said}");
    assert!(!unit.fetch.log.iter().any(|path| path.ends_with("image.zst")));
    assert_unharmed(&unit);
}

#[test]
fn a_hook_that_refuses_stops_the_update_before_or_after_the_installation() {
    for hook in ["before 2.0.0", "after 2.0.0"] {
        let (mut product, mut unit) = fresh();
        product.offer("2.0.0", &image(2, 6), |_| {});
        product.publish();
        unit.fetch = product.serve();
        unit.hooks.refuse.push(hook.into());
        let _ = unit.work().unwrap();
        assert_eq!(codes(&unit), [FailureCode::Hook], "{hook}");
        assert_eq!(unit.slots.writes.is_empty(), hook.starts_with("before"));
        assert_unharmed(&unit);
    }
}

#[test]
fn a_shorter_support_date_is_refused_and_updates_go_on() {
    let (mut product, mut unit) = fresh();
    let _ = unit.work().unwrap();
    product.support = support_until("2031-01-01");
    product.offer("2.0.0", &image(2, 6), |_| {});
    product.publish();
    unit.fetch = product.serve();
    let now = unit.now;
    let (until, refused, decision) = unit
        .with_runner(|runner| {
            let checked = runner.check(now)?;
            let until = runner.session()?.floors().guaranteed_until();
            Ok((until, checked.support_refused, checked.decision))
        })
        .unwrap();
    assert_eq!(until, Some("2036-12-31".parse().unwrap()), "the better promise stays");
    assert!(refused.unwrap().to_string().contains("never"));
    assert_eq!(decision.to_string(), "2.0.0 is to be installed");
}

#[test]
fn a_root_that_quotes_without_end_stops_nothing() {
    let (product, mut unit) = fresh();
    let text = String::from_utf8(product.repository.first_root().to_vec()).unwrap();
    let long = format!("\"spec_version\":\"{}\"", "9".repeat(400_000));
    let at = text.find("\"spec_version\"").unwrap();
    let end = at + text[at..].find(',').unwrap();
    let bad = format!("{}{long}{}", &text[..at], &text[end..]);
    unit.fetch.metadata.insert("2.root.json".into(), bad.into_bytes());
    let _ = unit.work().unwrap();
    assert_eq!(codes(&unit), [FailureCode::Malformed]);
    assert!(unit.failures[0].detail.len() < 1000, "{}", unit.failures[0].detail.len());
    unit.fetch.metadata.remove("2.root.json");
    unit.now = unit.now.plus_seconds(60);
    let _ = unit.work().unwrap();
    assert_eq!(unit.journal().said.unwrap().text, "up to date");
    assert_unharmed(&unit);
}

/// The device with a channel that has withdrawn 2.0.0, which it has not seen yet.
fn withdrawing() -> (Product, Unit, Sha256Digest) {
    let (mut product, mut unit) = fresh();
    let digest = product.offer("2.0.0", &image(2, 6), |_| {});
    product.withdraw("2.0.0");
    product.publish();
    unit.fetch = product.serve();
    (product, unit, digest)
}

fn durably_withdrawn(unit: &Unit, digest: &Sha256Digest) -> bool {
    use perennial_device_core::port::Record;
    let floors = unit.store.records.get(&Record::Floors);
    let floors = floors.map(|bytes| perennial_device_core::support::Floors::decode(bytes).unwrap());
    floors.is_some_and(|floors| floors.withdrawn().contains(digest))
}

#[test]
fn a_withdrawal_is_durable_although_the_support_record_is_held_back() {
    let (_, mut unit, digest) = withdrawing();
    unit.fetch.faults = vec![("support.json".into(), Fault::Unreachable)];
    let _ = unit.work().unwrap();
    assert_eq!(codes(&unit), [FailureCode::Unreachable]);
    assert!(durably_withdrawn(&unit, &digest));
}

#[test]
fn a_release_that_waits_is_not_activated_once_its_withdrawal_was_seen() {
    for waiting in [State::Staged, State::Installed] {
        let (mut product, mut unit) = fresh();
        let new = image(2, 6);
        let digest = product.offer("2.0.0", &new, |_| {});
        product.publish();
        unit.fetch = product.serve();
        unit.knows(&new, "2.0.0", Conduct::Healthy);
        unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
        let now = unit.now;
        unit.with_runner(|runner| {
            while runner.client().state() != waiting {
                runner.step(now)?;
            }
            runner.step(now)
        })
        .unwrap();
        // The channel comes through, and whatever is fetched after it does not.
        unit.crash(1);
        product.withdraw("2.0.0");
        product.publish();
        unit.fetch = product.serve();
        unit.fetch.faults = vec![("support.json".into(), Fault::Unreachable)];
        unit.now = unit.now.plus_seconds(3600);
        for _ in 0..8 {
            let _ = unit.work().unwrap();
            unit.now = unit.now.plus_seconds(60);
        }
        assert!(durably_withdrawn(&unit, &digest));
        assert_eq!((unit.journal().state, unit.runs()), (State::Idle, "1.0.0"), "{waiting:?}");
        assert!(unit.boots.iter().all(|booted| *booted == "1.0.0"), "{:?}", unit.boots);
        assert!(codes(&unit).contains(&FailureCode::Withdrawn), "{:?}", codes(&unit));
    }
}

#[test]
fn nothing_is_decided_upon_what_could_not_be_saved() {
    use perennial_device_core::crypto::Ring;
    use perennial_device_core::journal::Journal;
    use perennial_device_core::port::Record;
    use perennial_device_core::session::{Device, Session};
    let (product, mut unit, digest) = withdrawing();
    let (identity, journal) = (unit.identity.clone(), Journal::new(Slot::A, None));
    let device = Device {
        identity: &identity,
        journal: &journal,
        booted: Slot::A,
        counter: 0,
        capacity: 1 << 20,
        delta_memory: 0,
    };
    let root = product.repository.first_root();
    let mut session = Session::open(&mut unit.store, &identity, root, &Ring).unwrap();
    for record in [Record::Trust, Record::Floors] {
        unit.store.full = [record].into();
        for attempt in 0..8 {
            let checked = session.check(&mut unit.fetch, &mut unit.store, &device, unit.now);
            assert_eq!(checked.unwrap_err().code(), FailureCode::Storage, "{record}, attempt {attempt}");
        }
    }
    unit.store.full.clear();
    session.check(&mut unit.fetch, &mut unit.store, &device, unit.now).unwrap();
    assert!(durably_withdrawn(&unit, &digest));
    assert_eq!(unit.store.records[&Record::Trust], session.trust().encode());
}

#[test]
fn another_channel_or_another_product_s_support_record_teaches_nothing() {
    use perennial_device_core::session::SupportRefused;
    let (mut product, mut unit) = fresh();
    product.offer("2.0.0", &image(2, 6), |_| {});
    product.withdraw("2.0.0");
    product.channel.channel = "beta".parse().unwrap();
    product.publish();
    unit.fetch = product.serve();
    let now = unit.now;
    let checked = unit.with_runner(|runner| {
        let checked = runner.check(now)?;
        assert!(runner.session()?.floors().withdrawn().is_empty());
        Ok(checked)
    });
    assert_eq!(
        checked.unwrap().decision.to_string(),
        "the channel is refused: it is for another product or channel"
    );
    product.channel.channel = "stable".parse().unwrap();
    product.support.product = "kettle".parse().unwrap();
    product.publish();
    unit.fetch = product.serve();
    let (checked, until) = unit
        .with_runner(|runner| {
            let checked = runner.check(now)?;
            Ok((checked, runner.session()?.floors().guaranteed_until()))
        })
        .unwrap();
    assert!(matches!(checked.support_refused, Some(SupportRefused::OtherProduct(_))));
    assert_eq!(until, None);
}

#[test]
fn a_clock_turned_back_after_a_check_revives_no_plan_that_has_expired() {
    let (mut product, mut unit) = fresh();
    let new = image(2, 6);
    product.offer("2.0.0", &new, |_| {});
    product.repository.timestamp.common.expires = day(7);
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    unit.fetch.faults = vec![("image.zst".into(), Fault::Unreachable)];
    let _ = unit.work().unwrap();
    let waiting = State::Installing { offset: 0 };
    assert_eq!(unit.journal().state, waiting, "chosen, and not arrived");
    // A week later it is withdrawn. Whoever stands in between lets the signatures through and the channel not.
    product.withdraw("2.0.0");
    product.repository.timestamp.common.expires = day(30);
    product.repository.snapshot.common.signed_at = Some(day(8));
    product.publish();
    unit.fetch = product.serve();
    unit.fetch.faults = vec![("channel.json".into(), Fault::Missing)];
    unit.now = day(8);
    let _ = unit.work().unwrap();
    // Then the clock is turned back to where the plan was current, the payload flows, and the agent starts again.
    unit.now = day(2);
    for _ in 0..4 {
        let _ = unit.work().unwrap();
        unit.now = unit.now.plus_seconds(3600);
    }
    assert_eq!(unit.journal().state, waiting);
    assert_unharmed(&unit);
    unit.fetch.faults.clear();
    unit.now = day(8);
    unit.live().unwrap();
    assert_eq!((unit.journal().state, unit.runs()), (State::Idle, "1.0.0"));
    assert!(unit.boots.is_empty(), "and when the channel comes, it is dropped");
}

#[test]
fn a_support_record_that_this_version_cannot_read_stops_no_update() {
    use perennial_device_core::session::SupportRefused;
    let (mut product, mut unit) = fresh();
    product.offer("2.0.0", &image(2, 6), |_| {});
    product.support.requires = vec!["the-future".into()];
    product.publish();
    unit.fetch = product.serve();
    let now = unit.now;
    let checked = unit.with_runner(|runner| Ok(runner.check(now)?)).unwrap();
    assert!(matches!(checked.support_refused, Some(SupportRefused::Unreadable(_))));
    assert_eq!(checked.decision.to_string(), "2.0.0 is to be installed");
}

#[test]
fn a_withdrawn_release_stays_withdrawn_when_a_channel_offers_it_again() {
    let (mut product, mut unit) = fresh();
    product.offer("2.0.0", &image(2, 6), |_| {});
    let offered = product.channel.clone();
    product.withdraw("2.0.0");
    product.publish();
    unit.fetch = product.serve();
    let _ = unit.work().unwrap();
    product.channel = offered;
    product.publish();
    unit.fetch = product.serve();
    unit.now = unit.now.plus_days(1);
    let _ = unit.work().unwrap();
    assert_eq!(unit.journal().said.unwrap().text, "2.0.0 is refused: its maker has withdrawn it");
    assert_unharmed(&unit);
}

#[test]
fn a_release_below_the_counter_is_refused() {
    let (mut product, mut unit) = fresh();
    product.offer("2.0.0", &image(2, 6), |release| release.security_version = 4);
    product.publish();
    unit.fetch = product.serve();
    unit.counter.value = 5;
    let _ = unit.work().unwrap();
    let said = unit.journal().said.unwrap().text;
    assert!(said.starts_with("2.0.0 is refused: its security version is 4"), "{said}");
}

#[test]
fn a_release_that_fell_below_the_counter_while_it_was_under_way_is_dropped() {
    let (mut product, mut unit) = fresh();
    product.offer("2.0.0", &image(2, 6), |release| release.security_version = 4);
    product.publish();
    unit.fetch = product.serve();
    unit.fetch.faults = vec![("image.zst".into(), Fault::Truncate(0))];
    let _ = unit.work().unwrap();
    assert_eq!(unit.journal().state, State::Installing { offset: 0 });
    unit.counter.value = 5;
    unit.fetch.faults.clear();
    unit.now = unit.now.plus_seconds(60);
    let _ = unit.work().unwrap();
    assert_eq!(unit.journal().state, State::Idle);
    assert_eq!((unit.runs(), unit.boot.status.b), ("1.0.0", BootFlag::Unbootable));
    assert!(unit.boots.is_empty());
}

#[test]
fn a_device_of_another_product_or_hardware_takes_nothing() {
    let (mut product, mut unit) = fresh();
    product.offer("2.0.0", &image(2, 6), |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.identity.hardware = "revA".parse().unwrap();
    let _ = unit.work().unwrap();
    let said = unit.journal().said.unwrap().text;
    assert_eq!(said, "2.0.0 is refused: it has no image for hardware revA");
    unit.identity.product = "kettle".parse().unwrap();
    unit.now = unit.now.plus_days(1);
    let _ = unit.work().unwrap();
    let said = unit.journal().said.unwrap().text;
    assert!(said.contains("this repository has no product kettle; it has: thermostat"), "{said}");
    assert_unharmed(&unit);
}

#[test]
fn lost_records_fail_closed_until_they_are_recovered() {
    use perennial_device_core::port::Record;
    use perennial_device_core::run::RunError;
    let (mut product, mut unit) = fresh();
    let _ = unit.work().unwrap();
    product.offer("2.0.0", &image(2, 6), |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.now = unit.now.plus_days(1);
    unit.store.lost.insert(Record::Journal);
    assert!(matches!(unit.work(), Err(RunError::Lost(_))));
    unit.store.lost.clear();
    for record in [Record::Trust, Record::Floors] {
        unit.store.lost.insert(record);
        let _ = unit.work().unwrap();
        assert_eq!(unit.failures.pop().map(|failure| failure.code), Some(FailureCode::TrustStateLost));
        unit.store.lost.clear();
        unit.now = unit.now.plus_seconds(60);
    }
    unit.store.records.insert(Record::Trust, b"torn".to_vec());
    let _ = unit.work().unwrap();
    assert_eq!(unit.failures.pop().map(|failure| failure.code), Some(FailureCode::TrustStateLost));
    assert_unharmed(&unit);
}
