//! `fuzz-delta --seconds N | --containers N [--seed S]`: mutates real deltas and gives them to the device's decoder.
//!
//! Whatever it gets, the decoder must come to an end, without a panic and without more memory than the header declares, all
//! of which it takes before the first frame. The
//! seeds are made by the signer from this program's own bytes, from noise, and from blocks that another version of zstd packed:
//! both profiles, every kind of code. A failure
//! prints its seed, which `--seed` repeats as the first one.

#![allow(clippy::unwrap_used, reason = "a tool of tests: a panic ends it")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of tests measures time, reads its own file and prints"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use peak_alloc::PeakAlloc;
use perennial_schemas::delta::{Header, Profile};
use perennial_tests::delta::{
    ALLOWED, HINTS, Outcome, Random, Seed, cut_seed, declared, decode, mutated, seed, told_seed,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes beyond what is declared: an error's text.
const BESIDE: usize = 256;
/// An image's length in bytes, at most.
const LENGTH: usize = 40_000;
/// How long one container may take of the processor: a thousand times what it takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Arguments {
    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many containers instead, however long they take.
    #[arg(long)]
    containers: Option<u64>,
    /// Mutations of a seed before the next one is made.
    #[arg(long, default_value_t = 2_000)]
    each: u64,
    /// The first seed; each later one is the one before plus one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write fifty seeds for libFuzzer into a folder, and nothing else.
    #[arg(long, value_name = "DIR")]
    seeds_into: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { seconds, containers, each, seed: first, seeds_into } = Arguments::parse();
    let began = Instant::now();
    let material = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    if let Some(folder) = seeds_into {
        for number in first..first + 50 {
            let Seed { old, container, .. } = made(&material, number, &mut Random(number));
            let length = (old.len() as u32).to_le_bytes();
            std::fs::write(folder.join(number.to_string()), [&length[..], &old, &container].concat())
                .unwrap();
        }
        return ExitCode::SUCCESS;
    }
    let mut tally: BTreeMap<String, u64> = BTreeMap::new();
    let mut told = Instant::now();
    let (mut number, mut ran) = (first, 0_u64);
    let more = |ran| match containers {
        Some(containers) => ran < containers,
        None => began.elapsed() < Duration::from_secs(seconds),
    };
    while more(ran) {
        let mut random = Random(number);
        let seeds = [made(&material, number, &mut random), made(&material, number + 1, &mut random)];
        for _ in 0..each {
            if let Err(fault) = one(&seeds, &mut random, &mut tally) {
                println!("error: seed {number}: {fault}");
                return ExitCode::FAILURE;
            }
            ran += 1;
        }
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!("{} s: {ran} containers, seeds {first} to {number}", began.elapsed().as_secs());
        }
        number += 1;
    }
    println!("{ran} containers of seeds {first} to {}, none did harm", number - 1);
    for (outcome, count) in tally {
        println!("{count:>10}  {outcome}");
    }
    ExitCode::SUCCESS
}

/// A seed of this number: profiles, kinds of code and materials in turn.
fn made(material: &[u8], number: u64, random: &mut Random) -> Seed {
    let profile = if number.is_multiple_of(2) { Profile::Linux } else { Profile::Mcu };
    let code = HINTS[(number / 2) as usize % HINTS.len()];
    if number % 7 == 6 {
        told_seed(2 + number as u32 % 5, random)
    } else if number % 7 == 4 {
        cut_seed(2 + number as u32 % 4, random)
    } else if number % 5 == 4 {
        let noise = random.bytes(LENGTH);
        seed(&noise, LENGTH, profile, code, random)
    } else {
        seed(material, LENGTH, profile, code, random)
    }
}

fn one(seeds: &[Seed; 2], random: &mut Random, tally: &mut BTreeMap<String, u64>) -> Result<(), String> {
    let [seed, other] = seeds;
    // As it is first, and then with something wrong in it.
    let container = if tally.is_empty() {
        seed.container.clone()
    } else {
        mutated(&seed.container, &other.container, random)
    };
    let mut new = Vec::with_capacity(seed.new.len() + 64);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let (mut taken, mut started) = (0, None);
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        decode(&container, &seed.old, &mut new, &mut || {
            taken = MEMORY.peak_usage();
            MEMORY.reset_peak_usage();
            started = Some(MEMORY.current_usage());
        })
    }))
    .map_err(|_| "the decoder panicked".to_owned())?;
    let took = began.elapsed();
    let peak = MEMORY.peak_usage();
    let taken = taken.max(peak) - before;
    // Without a header nothing is declared, and a directory's worth may be taken to find that out.
    let allowed = declared(&container).unwrap_or(1 << 21).min(ALLOWED) as usize + BESIDE;
    let later = started.map_or(0, |started| peak.saturating_sub(started));
    if taken > allowed || later > BESIDE {
        let sizes = Header::parse(&container).map(|header| header.sizes);
        return Err(format!(
            "{taken} bytes of memory were taken, {allowed} are allowed, {later} of them late: {outcome:?}, {sizes:?}"
        ));
    }
    // By the clock others may have had the processor: then once more, by this thread's own time.
    if took > PATIENCE {
        let before = busy(began);
        let _ = decode(&container, &seed.old, &mut Vec::new(), &mut || {});
        let took = busy(began).saturating_sub(before);
        if took > PATIENCE {
            return Err(format!("it took {took:?} of the processor: {outcome:?}"));
        }
    }
    let kind = match outcome {
        Outcome::Made(_) if new == seed.new => "made the image after all".into(),
        Outcome::Made(_) => "made another image, which its digest gives away".into(),
        Outcome::Refused(error) => format!("refused: {error}").replace(char::is_numeric, "#"),
    };
    *tally.entry(kind).or_default() += 1;
    Ok(())
}

/// What this thread has had of the processor; time by the clock where the system doesn't tell.
fn busy(began: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| began.elapsed(), Duration::from_nanos)
}
