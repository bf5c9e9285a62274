//! Deltas: what the signer makes, the device's code applies; what is malformed is refused with a number.

mod commands;
mod file_systems;
mod golden;
mod in_place;
mod interrupted;

use std::process::Command;

use perennial_device_core::delta::DeltaError;
use perennial_schemas::delta::{HEADER_LENGTH, Profile};
use perennial_signer::delta::apply::apply;
use perennial_tests::delta::{HINTS, Outcome, Random, cut_seed, decode, mutated, seed, told_seed};
use proptest::prelude::*;

/// Bytes of an image, at most: the models run unoptimised here.
const LENGTH: usize = 24_000;

/// This test's own program: machine code, tables, text.
fn program() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

fn profile(mcu: bool) -> Profile {
    if mcu { Profile::Mcu } else { Profile::Linux }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the two images are, the delta makes the new one of the old one, in both profiles and for every kind of code.
    #[test]
    fn what_is_made_is_applied(number in any::<u64>(), mcu in any::<bool>(), code in 0..HINTS.len(), noise in any::<bool>()) {
        let mut random = Random(number);
        let material = if noise { random.bytes(LENGTH) } else { program() };
        let made = seed(&material, LENGTH, profile(mcu), HINTS[code], &mut random);
        let mut out = Vec::new();
        apply(&made.old, &made.container, u64::MAX, &mut out).unwrap();
        prop_assert!(out == made.new);
    }

    /// A damaged delta comes to an end: refused, or another image comes out, which its digest gives away.
    #[test]
    fn what_is_damaged_never_passes(number in any::<u64>(), mcu in any::<bool>()) {
        let mut random = Random(number);
        let made = seed(&program(), 4_000, profile(mcu), HINTS[0], &mut random);
        for round in 0..8 {
            let made = match round % 4 {
                2 => cut_seed(2, &mut random),
                3 => told_seed(2, &mut random),
                _ => made.clone(),
            };
            let damaged = mutated(&made.container, &made.container, &mut random);
            let mut new = Vec::with_capacity(made.new.len());
            if let Outcome::Made(_) = decode(&damaged, &made.old, &mut new, &mut || {}) {
                let mut out = Vec::new();
                prop_assert!(apply(&made.old, &damaged, u64::MAX, &mut out).is_err() || out == made.new);
            }
        }
    }
}

#[test]
fn a_delta_cut_short_anywhere_is_refused() {
    let mut random = Random(7);
    let made = seed(&program(), 6_000, Profile::Linux, HINTS[0], &mut random);
    for cut in 0..made.container.len() {
        let mut out = Vec::new();
        assert!(apply(&made.old, &made.container[..cut], u64::MAX, &mut out).is_err(), "{cut}");
        if cut < HEADER_LENGTH {
            assert!(out.is_empty());
        }
    }
}

#[test]
fn another_old_image_is_found_out_before_anything_is_written() {
    let mut random = Random(11);
    let made = seed(&program(), 6_000, Profile::Mcu, HINTS[0], &mut random);
    let mut other = made.old.clone();
    other.push(0);
    let mut out = Vec::new();
    assert!(apply(&other, &made.container, u64::MAX, &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn a_decoder_without_the_room_refuses_at_once() {
    let mut random = Random(13);
    let made = seed(&program(), 6_000, Profile::Linux, HINTS[0], &mut random);
    let mut out = Vec::new();
    let refused = apply(&made.old, &made.container, 64 * 1024, &mut out).unwrap_err();
    assert!(refused.to_string().contains("(25)"), "{refused}");
    assert!(out.is_empty());
    assert!(matches!(decode(&[], &[], &mut out, &mut || {}), Outcome::Refused(DeltaError::Container(_))));
}

/// The fuzzer counts what the decoder takes: as much as the header declares, and nothing once it has begun.
#[test]
fn a_decoder_takes_its_memory_once_and_no_more_than_is_declared() {
    for (first, containers) in [("1", "40"), ("17", "40")] {
        let fuzzer = Command::new(env!("CARGO_BIN_EXE_fuzz-delta"))
            .args(["--seed", first, "--containers", containers, "--each", "8"])
            .output()
            .unwrap();
        assert!(fuzzer.status.success(), "{}", String::from_utf8_lossy(&fuzzer.stdout));
    }
}
