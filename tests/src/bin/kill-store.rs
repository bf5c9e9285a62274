//! `kill-store --engine E [--kills N] [--seed S]`: does a store keep what it acknowledged when its process is killed?
//!
//! A writer, this program run again, commits numbered batches, and prints each number once the commit has returned. It is
//! killed (SIGKILL) at random moments, while it opens the store too. Then the store is opened and read whole: every
//! acknowledged batch is in it, whole and as written, the one under way is in it whole or not at all, nothing else is, and
//! the audit chain has one entry for each. A failure prints the seed, which `--seed` repeats.

#![allow(clippy::unwrap_used, reason = "a tool of tests: a panic ends it")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of tests measures time, starts itself and prints"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use perennial_schemas::Timestamp;
use perennial_server::audit::{self, Event};
use perennial_server::store::{Batch, Engine, Settings, Space, Store, StoreError};

/// Batches that stay: older ones are removed again, so that engines have something to tidy up.
const STAY: u64 = 64;
/// How long a store that was just let go may still seem held, and a writer may take to its first commit.
///
/// An unoptimised fjall takes seconds of processor time to read a full journal back, which a busy machine stretches.
const PATIENCE: Duration = Duration::from_secs(300);
/// The number of the last batch.
const LAST: &[u8] = b"last";

#[derive(Parser)]
struct Arguments {
    /// The back end.
    #[arg(long)]
    engine: Engine,
    /// How often the writer is killed.
    #[arg(long, default_value_t = 5)]
    kills: u64,
    /// What the moments and the records are made from; the clock's nanoseconds unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the store is; a temporary folder unless given.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// For postgres: the file with the URL of an empty database.
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// For postgres: a command that kills the database, as a power cut would; every other kill is one of those.
    #[arg(long, value_name = "COMMAND", requires = "start_database")]
    kill_database: Option<String>,
    /// For postgres: a command that starts it again.
    #[arg(long, value_name = "COMMAND")]
    start_database: Option<String>,
    /// For postgres: at the end, the database is gone for so long while the writer runs.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    gone: u64,
    /// Be the writer.
    #[arg(long, hide = true)]
    write: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::from(since.unwrap().subsec_nanos())
    });
    let temporary = tempfile::tempdir().unwrap();
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.path().join("store"));
    let database = arguments.kill_database.zip(arguments.start_database);
    let place = Place { engine: arguments.engine, folder, seed, url_file: arguments.url_file, database };
    if arguments.write {
        write(&place);
    }
    match kill(&place, arguments.kills, arguments.gone) {
        Ok(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            println!("{}: {wrong} (seed {seed})", place.engine);
            ExitCode::FAILURE
        }
    }
}

/// Where the records are.
struct Place {
    engine: Engine,
    folder: PathBuf,
    seed: u64,
    url_file: Option<PathBuf>,
    /// How it is killed and started.
    database: Option<(String, String)>,
}

impl Place {
    fn settings(&self) -> Settings {
        Settings { url_file: self.url_file.clone(), ..Settings::default() }
    }

    fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        let began = Instant::now();
        loop {
            match self.engine.open(&self.folder, self.settings()) {
                Err(StoreError::Held | StoreError::Unavailable(_)) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return other,
            }
        }
    }
}

/// Commits batches until it is killed, or until whoever started it is no more: its standard input ends then.
fn write(place: &Place) -> ! {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let store = place.open().unwrap();
    let mut out = std::io::stdout();
    let mut last = last(&*store).unwrap();
    loop {
        let before = (last > 0).then(|| last.to_be_bytes().to_vec());
        last += 1;
        let mut batch =
            Batch::new().expect(Space::Meta, LAST, before).put(Space::Meta, LAST, last.to_be_bytes());
        for (space, key, value) in records(place.seed, last) {
            batch = batch.put(space, key, value);
        }
        if last > STAY {
            for (space, key, _) in records(place.seed, last - STAY) {
                batch = batch.remove(space, key);
            }
        }
        let began = Instant::now();
        match audit::commit(&*store, &batch, &event(last)) {
            Ok(_) => {}
            // A database that is gone for long: once it is back, it says whether the batch was committed.
            Err(StoreError::Unavailable(_)) => {
                let found = loop {
                    match self::last(&*store) {
                        Ok(found) => break found,
                        Err(error) => assert!(began.elapsed() < PATIENCE * 3, "{error}"),
                    }
                };
                if found < last {
                    last = found;
                    continue;
                }
            }
            Err(error) => panic!("{error}"),
        }
        writeln!(out, "{last}").unwrap();
        out.flush().unwrap();
    }
}

fn event(number: u64) -> Event {
    Event::new(Timestamp::from_unix(number as i64), "command", "batch", &[("number", number.to_string())])
}

fn last(store: &dyn Store) -> Result<u64, StoreError> {
    let value = store.get(Space::Meta, LAST)?;
    Ok(value.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap())))
}

/// What batch `number` consists of: up to 64 records of up to 2 KiB, and now and then one that is no small one.
fn records(seed: u64, number: u64) -> Vec<(Space, Vec<u8>, Vec<u8>)> {
    let mut dice = Dice(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let count = 1 + dice.below(64);
    let mut records: Vec<_> = (0..count)
        .map(|index| {
            let space = [Space::Devices, Space::Reports, Space::Keys][dice.below(3) as usize];
            // Spread over the tree, as device ids are.
            let key = [&dice.next().to_be_bytes()[..], &number.to_be_bytes(), &[index as u8]].concat();
            let value = vec![dice.next() as u8; dice.below(2_048) as usize];
            (space, key, value)
        })
        .collect();
    if number.is_multiple_of(13) {
        let large = (0..300_000).map(|index| (index as u64 ^ number) as u8).collect();
        records.push((Space::Generations, number.to_be_bytes().to_vec(), large));
    }
    records
}

fn kill(place: &Place, kills: u64, gone: u64) -> Result<String, String> {
    let mut dice = Dice(place.seed);
    let (mut acknowledged, mut under_way, mut batches) = (0, 0, 0);
    for round in 1..=kills {
        let mut writer = Writer::start(place);
        // Every third one dies while it opens the store, or soon after.
        let moment = if round.is_multiple_of(3) { 30 } else { 400 };
        if !round.is_multiple_of(3) {
            writer.wait_beyond(acknowledged)?;
        }
        std::thread::sleep(Duration::from_micros(dice.below(moment * 1_000)));
        if let Some((kill, start)) = place.database.as_ref().filter(|_| round.is_multiple_of(2)) {
            shell(kill);
            std::thread::sleep(Duration::from_millis(dice.below(300)));
            shell(start);
            writer.wait_beyond(writer.told.load(Ordering::SeqCst))?;
        }
        let told = writer.kill().max(acknowledged);
        let found = check(place, told).map_err(|wrong| format!("after kill {round}: {wrong}"))?;
        under_way += u64::from(found > told);
        batches += found - acknowledged;
        acknowledged = found;
    }
    if let Some((kill, start)) = place.database.as_ref().filter(|_| gone > 0) {
        let mut writer = Writer::start(place);
        writer.wait_beyond(acknowledged)?;
        shell(kill);
        std::thread::sleep(Duration::from_secs(gone));
        let before = writer.told.load(Ordering::SeqCst);
        shell(start);
        writer.wait_beyond(before)?;
        let told = writer.kill();
        check(place, told).map_err(|wrong| format!("after {gone} s without its database: {wrong}"))?;
    }
    Ok(format!(
        "{}: {kills} kills, {batches} batches, none lost, none half; {under_way} under way were found whole (seed {})",
        place.engine, place.seed
    ))
}

fn shell(command: &str) {
    let status = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

/// Reads everything; gives the number of the last batch.
fn check(place: &Place, told: u64) -> Result<u64, String> {
    let store = place.open().map_err(|error| error.to_string())?;
    let found = last(&*store).map_err(|error| error.to_string())?;
    if found != told && found != told + 1 {
        return Err(format!("batch {told} was acknowledged, and {found} is the last one"));
    }
    let head = audit::verify(&*store).map_err(|error| error.to_string())?;
    if head.sequence != found {
        return Err(format!("{found} batches, and {} audit entries", head.sequence));
    }
    let mut expected = BTreeMap::new();
    for number in found.saturating_sub(STAY) + 1..=found {
        for (space, key, value) in records(place.seed, number) {
            expected.insert((space, key), (number, value));
        }
    }
    let mut wrong = None;
    let mut visit = |space: Space, key: &[u8], value: &[u8]| {
        if matches!(space, Space::Meta | Space::Audit) {
            return true;
        }
        wrong = match expected.remove(&(space, key.to_vec())) {
            None => Some(format!("{}/{} should not be there", space.name(), key.escape_ascii())),
            Some((number, content)) if content != value => {
                Some(format!("a value of batch {number} is another"))
            }
            Some(_) => None,
        };
        wrong.is_none()
    };
    store.walk(&mut visit).map_err(|error| error.to_string())?;
    if let Some(((space, key), (number, _))) = expected.pop_first().filter(|_| wrong.is_none()) {
        wrong = Some(format!("batch {number} lacks {}/{}", space.name(), key.escape_ascii()));
    }
    wrong.map_or(Ok(found), Err)
}

/// A writer that runs, and what it acknowledged.
struct Writer {
    child: Child,
    told: Arc<AtomicU64>,
    reader: std::thread::JoinHandle<()>,
}

impl Writer {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--write", "--engine", place.engine.name(), "--seed", &place.seed.to_string(), "--folder"])
            .arg(&place.folder)
            .args(place.url_file.iter().flat_map(|file| [OsStr::new("--url-file"), file.as_os_str()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, lines) = (Arc::new(AtomicU64::new(0)), BufReader::new(child.stdout.take().unwrap()));
        let teller = Arc::clone(&told);
        let reader = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                // A line that the kill tore is no acknowledgement; with its end it would be a greater number.
                if let Ok(number) = line.parse::<u64>() {
                    teller.fetch_max(number, Ordering::SeqCst);
                }
            }
        });
        Self { child, told, reader }
    }

    fn wait_beyond(&mut self, number: u64) -> Result<(), String> {
        let began = Instant::now();
        while self.told.load(Ordering::SeqCst) <= number {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("the writer ended by itself: {status}"));
            }
            if began.elapsed() > PATIENCE {
                let _ = self.child.kill();
                return Err(format!("nothing was committed within {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Kills it; the last number that it told.
    fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        self.told.load(Ordering::SeqCst)
    }
}

/// Pseudo-random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
