//! Deltas on a device: taken where what runs is what they start from, given up without harm where anything is wrong, and
//! gone on with where they stopped.

use perennial_device_core::delta::unit::{Action, Step as Made, Unit as Stretch};
use perennial_device_core::machine::State;
use perennial_device_core::port::memory::{Fault, MemoryStaging};
use perennial_device_core::port::{BootFlag, Slot};
use perennial_device_core::run::Step;
use perennial_schemas::delta::{Header, Profile, Sizes};
use perennial_schemas::release::Encoding;
use perennial_schemas::report::{FailureCode, Outcome};
use perennial_signer::delta::encode::{Cut, Frames, encode};
use perennial_signer::delta::make::identity;
use perennial_signer::delta::partial::Partial;
use perennial_tests::simulator::{Conduct, Product, Unit, delta, delta_for, noise};

/// What 1.0.0 is in these tests, and 2.0.0, which shares most of it.
fn images() -> (Vec<u8>, Vec<u8>) {
    let old = noise(1, 40_000);
    let mut new = old.clone();
    for at in (0..new.len()).step_by(9_000) {
        new.splice(at..at + 300, noise(at as u64, 300));
    }
    new.extend(noise(2, 5_000));
    (old, new)
}

/// A device that runs the old image, as it came from the factory, and a product that offers the new one, both whole and as
/// a delta that `spoil` may change before it is signed.
fn offered(spoil: impl FnOnce(&mut Vec<u8>)) -> (Product, Unit) {
    let (old, new) = images();
    let mut product = Product::new();
    product.publish();
    let mut unit = Unit::new(product.repository.first_root(), &old);
    let mut bytes = delta(&old, &new);
    spoil(&mut bytes);
    product.offer_payload("2.0.0", &new, &new, Encoding::Plain, |_| {});
    product.add_delta("1.0.0", &old, &bytes, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    (product, unit)
}

/// Whether any file whose name ends so was asked for.
fn asked(unit: &Unit, end: &str) -> bool {
    unit.fetch.log.iter().any(|path| path.ends_with(end))
}

fn history(unit: &Unit) -> Vec<(Outcome, Option<u16>)> {
    let journal = unit.journal();
    let entries = journal.reports.history().iter();
    entries.map(|entry| (entry.outcome, entry.failure.map(FailureCode::number))).collect()
}

const TAKEN: [(Outcome, Option<u16>); 3] =
    [(Outcome::Started, None), (Outcome::Installed, None), (Outcome::Confirmed, None)];

/// The release was installed from its full payload after the delta had failed with `code`, which is told and forgotten once
/// the release counts.
fn assert_full(unit: &Unit, code: FailureCode) {
    assert_eq!(unit.runs(), "2.0.0");
    let failed = (Outcome::DeltaFailed, Some(code.number()));
    let history = history(unit);
    assert!(history.contains(&failed), "{history:?}");
    let others: Vec<_> = history.into_iter().filter(|entry| *entry != failed).collect();
    assert_eq!(others, TAKEN);
    assert!(asked(unit, "image.zst"));
    let journal = unit.journal();
    assert!(journal.failed.is_empty(), "it is no failure of the release");
    assert!(journal.failed_deltas.is_empty(), "what is confirmed needs no delta any more");
    assert!(unit.failures.is_empty(), "{:?}", unit.failures);
}

#[test]
fn a_delta_from_what_the_factory_installed_is_taken() {
    for staged in [false, true] {
        let (_, mut unit) = offered(|_| {});
        if staged {
            unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
        }
        unit.live().unwrap();
        assert_eq!((unit.runs(), history(&unit).as_slice()), ("2.0.0", &TAKEN[..]));
        assert!(!asked(&unit, "image.zst"), "the full payload is never asked for");
        assert_eq!(unit.store.indexes.len(), 2, "both slots' indexes are kept");
        assert!(unit.failures.is_empty());
    }
}

#[test]
fn the_next_delta_needs_no_index_of_what_runs_from_the_network() {
    let (mut product, mut unit) = offered(|_| {});
    unit.live().unwrap();
    let (_, second) = images();
    let mut third = second.clone();
    third.splice(1000..1200, noise(3, 200));
    product.offer_payload("3.0.0", &third, &third, Encoding::Plain, |_| {});
    product.add_delta("2.0.0", &second, &delta(&second, &third), |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&third, "3.0.0", Conduct::Healthy);
    unit.now = unit.now.plus_days(1);
    unit.live().unwrap();
    assert_eq!(unit.runs(), "3.0.0");
    assert!(!asked(&unit, "2.0.0.revC.image.index") && !asked(&unit, "image.zst"), "{:?}", unit.fetch.log);
}

#[test]
fn a_delta_that_starts_elsewhere_or_saves_nothing_or_is_not_wanted_is_no_choice() {
    let (old, new) = images();
    let other = noise(77, 40_000);
    type Change = fn(&mut Unit);
    let cases: [(&str, &[u8], Change); 3] = [
        ("0.9.0", &other, |_| {}),
        ("1.0.0", &old, |unit| unit.settings.delta_memory = 0),
        ("1.0.0", &old, |unit| unit.identity.running = None),
    ];
    for (from, base, change) in cases {
        let mut product = Product::new();
        product.publish();
        let mut unit = Unit::new(product.repository.first_root(), &old);
        product.offer_payload("2.0.0", &new, &new, Encoding::Plain, |_| {});
        product.add_delta(from, base, &delta(base, &new), |_| {});
        product.publish();
        unit.fetch = product.serve();
        unit.knows(&new, "2.0.0", Conduct::Healthy);
        change(&mut unit);
        unit.live().unwrap();
        assert_eq!((unit.runs(), history(&unit).as_slice()), ("2.0.0", &TAKEN[..]));
        assert!(!asked(&unit, ".delta"), "{from}");
    }
    let (_, mut unit) = offered(|delta| delta.resize(50_000, 0));
    unit.live().unwrap();
    assert!(!asked(&unit, ".delta"), "it is longer than the full payload");
}

#[test]
fn the_shortest_of_several_deltas_is_taken() {
    let (mut product, mut unit) = offered(|delta| delta.resize(30_000, 0));
    let (old, new) = images();
    product.add_delta("1.0.0", &old, &delta(&old, &new), |payload| {
        payload.target = "thermostat/2.0.0.revC.from-1.0.0.delta".parse().unwrap();
    });
    product.publish();
    unit.fetch = product.serve();
    unit.live().unwrap();
    assert_eq!((unit.runs(), history(&unit).as_slice()), ("2.0.0", &TAKEN[..]));
}

/// Whatever somebody wrote over the running slot: it is found before a byte of the delta is downloaded.
#[test]
fn a_slot_whose_content_was_replaced_by_hand_is_found_before_anything_is_downloaded() {
    let (_, mut unit) = offered(|_| {});
    unit.slots.disk[0][20_000] ^= 1;
    let by_hand = unit.slots.disk[0].clone();
    unit.knows(&by_hand, "by hand", Conduct::Healthy);
    unit.live().unwrap();
    assert_full(&unit, FailureCode::DeltaSource);
    assert!(!asked(&unit, ".delta"));
    let (_, mut unit) = offered(|_| {});
    unit.slots.disk[0].truncate(30_000);
    let short = unit.slots.disk[0].clone();
    unit.knows(&short, "cut short", Conduct::Healthy);
    unit.live().unwrap();
    assert_full(&unit, FailureCode::DeltaSource);
}

#[test]
fn a_delta_that_asks_for_too_much_memory_is_refused_before_anything_is_written() {
    let (_, mut unit) = offered(|_| {});
    unit.settings.delta_memory = 1000;
    let now = unit.now;
    unit.with_runner(|runner| {
        while runner.client().journal().failed_deltas.is_empty() {
            runner.step(now)?;
        }
        Ok(Step::Worked)
    })
    .unwrap();
    assert!(unit.slots.writes.is_empty());
    assert_eq!(unit.boot.status.b, BootFlag::Unbootable);
    unit.live().unwrap();
    assert_full(&unit, FailureCode::DeltaMemory);
}

/// Signed by a maker whose tools are broken, or by a thief of the product's key: every byte of it is vouched for.
#[test]
fn a_malformed_delta_is_given_up_and_the_full_payload_goes_on_where_it_stopped() {
    type Spoil = fn(&mut Vec<u8>);
    let cases: [(Spoil, FailureCode); 6] = [
        (|delta| delta[0] ^= 1, FailureCode::DeltaMalformed),
        (|delta| delta.truncate(40), FailureCode::DeltaMalformed),
        (|delta| delta.truncate(delta.len() - 1), FailureCode::DeltaMalformed),
        (|delta| delta.push(0), FailureCode::DeltaMalformed),
        // SHA-256 of the old image, and of the new one.
        (|delta| delta[12] ^= 1, FailureCode::DeltaSource),
        (|delta| delta[31] ^= 1, FailureCode::DeltaMalformed),
    ];
    for (spoil, code) in cases {
        let (_, mut unit) = offered(spoil);
        unit.live().unwrap();
        assert_full(&unit, code);
        let writes = unit.slots.writes.len();
        assert_eq!(writes, images().1.len().div_ceil(4096), "no chunk was written twice");
    }
}

#[test]
fn a_delta_that_makes_another_image_is_found_by_the_images_index() {
    for staged in [false, true] {
        // The last bytes of the last frame.
        let (_, mut unit) = offered(|delta| {
            let at = delta.len() - 2_000;
            delta[at] ^= 0x55;
        });
        if staged {
            unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
        }
        unit.live().unwrap();
        let code = if history(&unit).contains(&(Outcome::DeltaFailed, Some(408))) {
            FailureCode::DeltaMalformed
        } else {
            FailureCode::ImageDigest
        };
        assert_full(&unit, code);
        let mut offsets: Vec<u64> = unit.slots.writes.iter().map(|(_, offset)| *offset).collect();
        assert!(offsets.is_sorted(), "the full payload goes on from the last chunk: {offsets:?}");
        offsets.dedup();
        assert_eq!(offsets.len(), unit.slots.writes.len(), "no chunk was written twice");
    }
}

#[test]
fn a_delta_that_the_server_spoils_is_given_up_after_three_answers() {
    for staged in [false, true] {
        for (fault, code) in [
            (Fault::Flip(100), FailureCode::PayloadDigest),
            (Fault::Truncate(100), FailureCode::BadAnswer),
            (Fault::Missing, FailureCode::BadAnswer),
        ] {
            let (_, mut unit) = offered(|_| {});
            if staged {
                unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
            }
            unit.fetch.faults = vec![(".delta".into(), fault)];
            unit.live().unwrap();
            assert_eq!(unit.failures.len(), 2, "two more answers are waited for: {:?}", unit.failures);
            unit.failures.clear();
            assert_full(&unit, code);
        }
    }
}

#[test]
fn an_unreachable_server_is_no_reason_to_give_a_delta_up() {
    let (_, mut unit) = offered(|_| {});
    unit.fetch.faults = vec![(".delta".into(), Fault::Unreachable)];
    for _ in 0..8 {
        let _ = unit.work().unwrap();
        unit.now = unit.now.plus_seconds(3600);
    }
    assert!(unit.journal().failed_deltas.is_empty());
    unit.fetch.faults.clear();
    unit.live().unwrap();
    assert_eq!(history(&unit), TAKEN);
    assert!(!asked(&unit, "image.zst"));
}

/// A delta with a map and a frame for each 8 KiB, half of which is copied.
fn in_units(old: &[u8], new: &[u8]) -> Vec<u8> {
    let (block_bits, context_bits, learned_bits, history_bits) = (7, 8, 6, 0);
    let (operations, sections, segments) = (2, 0, 0);
    let sizes =
        Sizes { block_bits, context_bits, learned_bits, history_bits, operations, sections, segments };
    let mut frames = Frames::default();
    for start in (0..new.len() as u64).step_by(8192) {
        let copied = Made { insert: 4096, action: Action::Copy(start / 2), length: 4096 };
        let steps = std::iter::once(copied).collect();
        let stretch = Stretch { start, length: 8192, steps, ..Stretch::default() };
        encode(
            &stretch,
            (old, &Partial::whole(new)),
            (Profile::Linux, &sizes),
            Cut::Full,
            &mut frames,
            &mut |_| true,
        )
        .unwrap()
        .unwrap();
    }
    let (old, new) = (identity(old), identity(new));
    let header = Header {
        profile: Profile::Mcu,
        sizes,
        in_place: None,
        old,
        new,
        layers: Vec::new(),
        frames: frames.frames,
    };
    [header.encode(), frames.bytes].concat()
}

/// Header and directory, the map of the stretch, the frame that was under way: nothing else is read again.
#[test]
fn a_streamed_delta_goes_on_at_its_frame() {
    let old = noise(1, 30_000);
    let halves = |at: usize| [noise(at as u64 + 9, 4096), old[at..at + 4096].to_vec()].concat();
    let new: Vec<u8> = (0..28_672).step_by(4096).flat_map(halves).collect();
    let mut product = Product::new();
    product.publish();
    let mut unit = Unit::new(product.repository.first_root(), &old);
    product.offer_payload("2.0.0", &new, &new, Encoding::Plain, |_| {});
    let bytes = in_units(&old, &new);
    product.add_delta("1.0.0", &old, &bytes, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    let (length, cut) = (bytes.len() as u64, 21_000);
    unit.fetch.faults = vec![(".delta".into(), Fault::Truncate(cut))];
    let _ = unit.work().unwrap();
    // Five of the seven stretches have arrived whole, in five chunks of the payload.
    assert_eq!(unit.journal().state, State::Installing { offset: 4 * 8192 });
    unit.fetch.faults.clear();
    unit.fetch.ranges.clear();
    unit.now = unit.now.plus_seconds(60);
    unit.live().unwrap();
    assert_eq!(history(&unit), TAKEN);
    let expected = ["0..4096".into(), "0..4096".into(), format!("16384..{length}")];
    assert_eq!(unit.fetch.ranges, expected, "header, directory, and the map and frame under way");
    let mut offsets: Vec<u64> = unit.slots.writes.iter().map(|(_, offset)| *offset).collect();
    let all = offsets.len();
    offsets.dedup();
    assert_eq!(offsets.len(), all, "no chunk was written twice");
}

/// What is packed in both images is unpacked, corrected, and packed again on the device, which then has the image that was
/// signed.
#[test]
fn a_delta_of_what_is_packed_is_taken() {
    let image = |fixed: bool| {
        let part = |from: u32| {
            let line = |i: u32| format!("line {} is {i}\n", i.wrapping_mul(2_654_435_761)).into_bytes();
            let mut content: Vec<u8> = (from..from + 500).flat_map(line).collect();
            if fixed {
                content.splice(500..510, *b"fixed");
            }
            zstd::bulk::compress(&content, 15).unwrap()
        };
        [noise(1, 10_000), part(0), noise(2, 3_000), part(1000), part(2000)].concat()
    };
    let (old, new) = (image(false), image(true));
    let bytes = delta_for(Profile::Linux, &old, &new);
    assert_eq!(Header::parse(&bytes).unwrap().layers.len(), 1);
    let mut product = Product::new();
    product.publish();
    let mut unit = Unit::new(product.repository.first_root(), &old);
    unit.settings.delta_memory = 16 << 20;
    product.offer_payload("2.0.0", &new, &new, Encoding::Plain, |_| {});
    product.add_delta("1.0.0", &old, &bytes, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&new, "2.0.0", Conduct::Healthy);
    unit.live().unwrap();
    assert_eq!((unit.runs(), history(&unit).as_slice()), ("2.0.0", &TAKEN[..]));
    assert!(!asked(&unit, "image.zst"), "the full payload is never asked for");
}

/// It is all there, the network is gone, and then the slot that it starts from turns out to be another: the device waits for
/// the full payload, and goes on from what it has written.
#[test]
fn a_staged_delta_that_fails_without_a_network_waits_for_the_full_payload() {
    let (_, mut unit) = offered(|_| {});
    unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
    let _ = unit.stage().unwrap();
    unit.slots.disk[0][38_000] ^= 1;
    let by_hand = unit.slots.disk[0].clone();
    unit.knows(&by_hand, "by hand", Conduct::Healthy);
    unit.crash(1);
    unit.fetch.faults = vec![(String::new(), Fault::Unreachable)];
    for _ in 0..4 {
        let _ = unit.work().unwrap();
        unit.now = unit.now.plus_seconds(60);
    }
    let journal = unit.journal();
    assert!(matches!(journal.state, State::Installing { offset } if offset > 0), "{:?}", journal.state);
    assert_eq!(journal.failed_deltas[0].code, FailureCode::DeltaSource);
    unit.fetch.faults.clear();
    unit.failures.clear();
    unit.now = unit.now.plus_seconds(3600);
    unit.live().unwrap();
    assert_full(&unit, FailureCode::DeltaSource);
}

#[test]
fn a_staged_delta_is_installed_without_a_network() {
    let (_, mut unit) = offered(|_| {});
    unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
    let _ = unit.stage().unwrap();
    unit.crash(1);
    unit.fetch.faults = vec![(String::new(), Fault::Unreachable)];
    unit.works(8).unwrap();
    assert_eq!(unit.runs(), "2.0.0");
}

/// After the owner went back, what runs is the older release again: the next delta starts from that.
#[test]
fn after_going_back_the_delta_from_the_older_release_is_taken() {
    let (mut product, mut unit) = offered(|_| {});
    unit.live().unwrap();
    let (first, second) = images();
    let third = [&noise(5, 900), &second[900..]].concat();
    product.offer_payload("3.0.0", &third, &third, Encoding::Plain, |_| {});
    product.add_delta("2.0.0", &second, &delta(&second, &third), |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&third, "3.0.0", Conduct::Healthy);
    unit.now = unit.now.plus_days(1);
    unit.live().unwrap();
    assert_eq!(unit.runs(), "3.0.0");
    let now = unit.now;
    unit.with_runner(|runner| {
        runner.revert(now)?;
        runner.run(now)
    })
    .unwrap();
    unit.boot();
    unit.live().unwrap();
    assert_eq!(unit.runs(), "2.0.0");
    let fourth = [&third[..2_000], &noise(6, 900), &third[2_900..]].concat();
    product.offer_payload("4.0.0", &fourth, &fourth, Encoding::Plain, |_| {});
    product.add_delta("3.0.0", &third, &delta(&third, &fourth), |_| {});
    product.add_delta("2.0.0", &second, &delta(&second, &fourth), |_| {});
    product.add_delta("1.0.0", &first, &delta(&first, &fourth), |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(&fourth, "4.0.0", Conduct::Healthy);
    unit.now = unit.now.plus_days(1);
    unit.live().unwrap();
    assert_eq!(unit.runs(), "4.0.0");
    assert!(
        asked(&unit, "4.0.0.revC.from-2.0.0.delta") && !asked(&unit, "image.zst"),
        "{:?}",
        unit.fetch.log
    );
}

#[test]
fn a_release_whose_delta_failed_is_taken_whole_when_it_is_tried_again() {
    let (_, mut unit) = offered(|delta| delta[0] ^= 1);
    let (_, new) = images();
    unit.knows(&new, "2.0.0", Conduct::Sick);
    unit.live().unwrap();
    assert_eq!(unit.runs(), "1.0.0");
    assert_eq!(unit.journal().failed_deltas.len(), 1);
    unit.fetch.log.clear();
    unit.now = unit.now.plus_days(2);
    unit.live().unwrap();
    assert!(asked(&unit, "image.zst") && !asked(&unit, ".delta"));
}

#[test]
fn a_delta_that_no_role_vouches_for_is_no_choice() {
    for gone in ["thermostat/2.0.0.revC.from-1.0.0.delta", "thermostat/1.0.0.revC.image.index"] {
        let (old, new) = images();
        let mut product = Product::new();
        product.publish();
        let mut unit = Unit::new(product.repository.first_root(), &old);
        product.offer_payload("2.0.0", &new, &new, Encoding::Plain, |_| {});
        product.add_delta("1.0.0", &old, &delta(&old, &new), |_| {});
        product.files.remove(gone).unwrap();
        product.publish();
        unit.fetch = product.serve();
        unit.knows(&new, "2.0.0", Conduct::Healthy);
        unit.live().unwrap();
        assert_eq!(history(&unit), TAKEN);
        assert!(asked(&unit, "image.zst"));
    }
}

#[test]
fn an_index_of_what_runs_that_was_changed_on_the_disk_is_fetched_again() {
    let (_, mut unit) = offered(|_| {});
    unit.store.indexes.insert(Slot::A, vec![7; 200]);
    unit.live().unwrap();
    assert_eq!(history(&unit), TAKEN);
    assert!(!asked(&unit, "image.zst"));
}
