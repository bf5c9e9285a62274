//! What is sent as it is: inserted bytes that no model makes smaller, such as what was packed already.
//!
//! Decides by how evenly the byte values of each 4 KiB are spread. Coded, such bytes would take some 0.3 % more than they are,
//! and a device most of its time.

use std::ops::Range;

use perennial_device_core::delta::unit::Unit;
use perennial_schemas::delta::Profile;

/// Bytes that are looked at at once.
const BLOCK: usize = 4096;
/// Bits that a byte of a block of noise takes if its value alone is coded.
const NOISE: f64 = 7.955;
/// Bytes that a block may be told in less than noise, to be taken for it.
const EVEN: f64 = 10.0;
/// Bytes that must be saved between two stretches, or they are one: frames that end early learn less.
const APART: f64 = 256.0;

/// Stretches of the new image that are stored, ascending: whole blocks of what `unit` inserts. `is_between` says where frames
/// may end.
pub fn stretches(
    unit: &Unit,
    new: &[u8],
    profile: Profile,
    is_between: &dyn Fn(u64) -> bool,
) -> Vec<Range<u64>> {
    // Of images however large so few that the directory holds them.
    let least = match profile {
        Profile::Linux => (128 << 10).max(new.len() as u64 >> 12),
        Profile::Mcu => 32 << 10,
    };
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut at = unit.start;
    for step in unit.steps.iter() {
        let inserted = &new[at as usize..(at + step.insert) as usize];
        for mut run in runs(inserted).map(|run| at + run.start..at + run.end) {
            let block = BLOCK as u64;
            while run.start < run.end && !is_between(run.start) {
                run.start += block;
            }
            while run.start < run.end && !is_between(run.end) {
                run.end -= block;
            }
            if run.end - run.start >= least {
                found.push(run);
            }
        }
        at += step.insert + step.length;
    }
    found
}

/// Stretches of noise, as good as.
fn runs(bytes: &[u8]) -> impl Iterator<Item = Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut saved = f64::INFINITY;
    for (number, block) in (0..).zip(bytes.chunks_exact(BLOCK)) {
        let (less, block) = (saving(block), number * BLOCK as u64..(number + 1) * BLOCK as u64);
        if less > EVEN {
            saved += less;
            continue;
        }
        match runs.last_mut() {
            Some(last) if saved <= APART => last.end = block.end,
            _ => runs.push(block),
        }
        saved = 0.0;
    }
    runs.into_iter()
}

/// By how many bytes a block is told in less than noise, by how often it holds each value.
fn saving(block: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    block.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = block.len() as f64;
    let bits = |count: u32| f64::from(count) * (length / f64::from(count)).log2();
    let bits: f64 = counts.into_iter().filter(|count| *count > 0).map(bits).sum();
    (NOISE * length - bits) / 8.0
}

#[cfg(test)]
mod tests {
    use perennial_device_core::delta::unit::{Action, Step};

    use super::super::matching::tests::noise;
    use super::*;

    fn unit(steps: &[(u64, u64)]) -> Unit {
        let step = |(insert, length): &(u64, u64)| Step {
            insert: *insert,
            action: Action::Copy(0),
            length: *length,
        };
        let length = steps.iter().map(|(insert, length)| insert + length).sum();
        Unit { length, steps: steps.iter().map(step).collect(), ..Unit::default() }
    }

    fn found(unit: &Unit, new: &[u8], is_between: &dyn Fn(u64) -> bool) -> Vec<(u64, u64)> {
        let found = stretches(unit, new, Profile::Linux, is_between);
        found.into_iter().map(|stretch| (stretch.start, stretch.end)).collect()
    }

    #[test]
    fn noise_that_is_inserted_is_stored_and_nothing_else() {
        let mut new = noise(500_000, 1);
        let all = |unit: &Unit, new: &[u8]| found(unit, new, &|_| true);
        assert_eq!(all(&unit(&[(0, 500_000)]), &new), []);
        assert_eq!(all(&unit(&[(140_000, 60_000), (0, 10_000), (100_000, 190_000)]), &new), [(0, 139_264)]);
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| n.to_string().into_bytes()).take(40_000).collect();
        new[160_000..200_000].copy_from_slice(&text);
        assert_eq!(all(&unit(&[(500_000, 0)]), &new), [(0, 159_744), (200_704, 499_712)]);
    }

    #[test]
    fn little_between_two_stretches_is_stored_with_them() {
        let mut new = noise(300_000, 3);
        new[100_000..100_040].fill(0);
        assert_eq!(found(&unit(&[(300_000, 0)]), &new, &|_| true), [(0, 299_008)]);
    }

    #[test]
    fn a_stretch_begins_and_ends_where_frames_may() {
        let new = noise(300_000, 2);
        let within = |at: u64| (10_000..20_000).contains(&at) || (200_000..290_000).contains(&at);
        assert_eq!(found(&unit(&[(300_000, 0)]), &new, &within), [(12_288, 286_720)]);
        assert_eq!(found(&unit(&[(300_000, 0)]), &new, &|_| false), []);
    }
}
