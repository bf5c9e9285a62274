//! `fleet scenario FILE…`: plays scenarios, and compares each with what stands beside it (`NAME.out`); `--write` writes that
//! anew. `fleet simulate [--devices N] [--days N]`: a rollout before a large fleet, with how long it took, how much memory
//! all of it had, and how much of that the fleet itself.

#![allow(clippy::unwrap_used, reason = "a tool of tests: a panic ends it")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of tests measures time, reads files and prints"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use perennial_signer::rollout::presets::Preset;
use perennial_tests::fleet::world::STEP;
use perennial_tests::fleet::{Makeup, World, play};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays scenarios.
    Scenario {
        /// The scripts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Writes down what they come to, in place of comparing it.
        #[arg(long)]
        write: bool,
    },
    /// Simulates a rollout before a large fleet.
    Simulate {
        /// Devices.
        #[arg(long, default_value_t = 1_000_000)]
        devices: usize,
        /// How long the rollout is watched, in days.
        #[arg(long, default_value_t = 14)]
        days: u32,
        /// The share of devices on which the release fails, in percent.
        #[arg(long, default_value_t = 0.3)]
        failing: f64,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Scenario { files, write } => {
            let well = files.iter().filter(|file| scenario(file, write)).count();
            println!("{well} of {} scenarios came out as expected", files.len());
            if well == files.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Simulate { devices, days, failing } => {
            simulate(devices, days, failing);
            ExitCode::SUCCESS
        }
    }
}

fn scenario(file: &Path, write: bool) -> bool {
    let (began, beside) = (Instant::now(), file.with_extension("out"));
    let name = file.file_stem().unwrap_or_default().display().to_string();
    let told = match play(&std::fs::read_to_string(file).unwrap()) {
        Ok(told) => told,
        Err(error) => {
            eprintln!("{name}: {error}");
            return false;
        }
    };
    if write {
        std::fs::write(&beside, &told).unwrap();
    }
    let expected = std::fs::read_to_string(&beside).unwrap_or_default();
    let mut differing = told.lines().zip(expected.lines()).filter(|(told, expected)| told != expected);
    if told == expected {
        println!("{name}: {:.1} s", began.elapsed().as_secs_f64());
        return true;
    }
    match differing.next() {
        Some((told, expected)) => eprintln!("{name} differs:\n  expected {expected}\n  and got  {told}"),
        None => eprintln!("{name} is longer or shorter than {}", beside.display()),
    }
    false
}

fn simulate(devices: usize, days: u32, failing: f64) {
    let began = Instant::now();
    // Every six hours: each time, the server looks at every device.
    let mut world = World::new(Makeup { listens: 24, ..Makeup::of(devices) });
    println!("{devices} devices enrolled after {:.0} s", began.elapsed().as_secs_f64());
    let version = "2.0.0".parse().unwrap();
    world.release(&version, Some((Preset::CanaryWeek, world.now.plus_days(1))), None);
    world.offers[0].build.fails.insert(None, (failing * 10_000.0) as u32);
    let mut before = Vec::new();
    for day in 0..=days {
        for _ in 0..86_400 / STEP {
            world.advance();
            let after = world.server.told();
            for line in after.iter().filter(|line| !before.contains(*line)) {
                println!("{}  {line}", world.now);
            }
            before = after;
        }
        println!("day {day}, after {:.0} s:", began.elapsed().as_secs_f64());
        for line in world.summary() {
            println!("  {line}");
        }
    }
    println!("figure rollout-simulated {:.0} s", began.elapsed().as_secs_f64());
    println!("figure rollout-simulated-fleet {:.1} MiB", world.bytes() as f64 / f64::from(1 << 20));
    println!("figure rollout-simulated-memory {} MiB", peak() >> 10);
}

/// The greatest resident size of this process, in KiB: server, signers and fleet together. Of the fleet itself, what it holds at the
/// end is counted, when it remembers most.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
