//! Scenarios: scripts that people read and write, a command a line, and what they come to.
//!
//! | command | |
//! | --- | --- |
//! | `fleet 5000 revC=90% revD=10% beta=2% seed=7` | devices; the first command |
//! | `release 2.0.0 canary-week [early 12h]` | by a preset, from the next day on; devices with the label so long after that; without one: for everybody at once |
//! | `build 2.0.0 fails 5% [on revD]`, `build 2.0.0 bricks 3%` | how it fares |
//! | `wait 3d`, `wait until 2.0.0 halted within 14d` | time goes on |
//! | `pause 2.0.0 WHY`, `resume 2.0.0 WHY`, `halt 2.0.0 WHY` | an operator |
//! | `affirm`, `renew-snapshot`, `withdraw 2.0.0` | the signers; another team |
//! | `server dies`, `server restarts`, `export` | what devices can reach: a server that restarts is there again |
//! | `thief says open`, `thief leaves` | whoever has the rollout key |
//! | `sleep 5% for 400d`, `clocks 5% +1h`, `liars 1%` | devices |
//! | `expect 2.0.0 halted`, `expect 2.0.0 on at most 5% [clock +1h]` | what must be true now, of all or of those with such a clock, or the run fails |
//! | `show` | how the fleet stands |

use std::fmt::Write;
use std::str::{FromStr, SplitWhitespace};

use perennial_schemas::{HardwareName, ReleaseVersion};
use perennial_server::rollout::machine::Wish;
use perennial_signer::rollout::presets::Preset;

use super::thief::{Says, Thief};
use super::world::{Makeup, STEP, Serving, World};

/// A line that can't be played, or what it expects isn't so.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ScriptError {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// Plays a script, and gives what there is to read of it.
///
/// # Errors
/// [`ScriptError`].
pub fn play(script: &str) -> Result<String, ScriptError> {
    let (mut out, mut world) = (String::new(), None);
    for (number, line) in (1..).zip(script.lines()) {
        let at = |why| ScriptError { line: number, why };
        if line.trim().is_empty() || line.starts_with('#') {
            let _ = writeln!(out, "{line}");
            continue;
        }
        let _ = writeln!(out, "> {line}");
        let mut words = Words(line.split_whitespace());
        let told = match (&mut world, words.next().map_err(at)?) {
            (None, "fleet") => {
                world = Some(World::new(words.makeup().map_err(at)?));
                Vec::new()
            }
            (None, _) => return Err(at("the first command is `fleet`".into())),
            (Some(world), command) => play_one(world, command, &mut words).map_err(at)?,
        };
        for line in told {
            let _ = writeln!(out, "  {line}");
        }
    }
    Ok(out)
}

fn play_one(world: &mut World, command: &str, words: &mut Words<'_>) -> Result<Vec<String>, String> {
    match command {
        "release" => {
            let version: ReleaseVersion = words.value()?;
            let preset = words.0.next().map(preset).transpose()?;
            let early = words.option("early")?;
            world.release(&version, preset.map(|preset| (preset, world.now.plus_days(1))), early);
        }
        "build" => build(world, words)?,
        "wait" => return wait(world, words),
        "pause" | "resume" | "halt" => {
            let version: ReleaseVersion = words.value()?;
            let wish = match command {
                "pause" => Wish::Pause,
                "halt" => Wish::Halt(None),
                _ => Wish::Resume { hardware: None, set_aside: false },
            };
            return Ok(vec![world.server.order(version.as_str(), &wish, &words.rest())?]);
        }
        "affirm" => world.affirm(),
        "renew-snapshot" => world.renew_snapshot(),
        "withdraw" => {
            let release = words.release(world)?;
            world.withdraw(release);
        }
        "server" => match words.next()? {
            "dies" => world.serving = Serving::Nobody,
            "restarts" => {
                world.server.start();
                world.serving = Serving::Server;
            }
            other => return Err(format!("a server dies or restarts, it doesn't {other:?}")),
        },
        "export" => world.export(),
        "thief" => thief(world, words)?,
        "sleep" => {
            let share = words.share()?;
            words.word("for")?;
            world.sleep(share, u32::try_from(words.span()? / 86_400).map_err(|error| error.to_string())?);
        }
        "clocks" => {
            let share = words.share()?;
            let seconds = words.span()?;
            world.set_clocks(share, seconds);
        }
        "liars" => {
            let share = words.share()?;
            world.make_liars(share);
        }
        "expect" => expect(world, words)?,
        "show" => return Ok(world.summary()),
        other => return Err(format!("there is no command {other:?}")),
    }
    Ok(Vec::new())
}

fn build(world: &mut World, words: &mut Words<'_>) -> Result<(), String> {
    let release = words.release(world)?;
    let how = words.next()?;
    let share = words.share()?;
    let build = &mut world.offers[release].build;
    match how {
        "bricks" => build.bricks = share,
        "fails" => {
            let hardware: Option<HardwareName> = match words.0.next() {
                Some("on") => Some(words.value()?),
                _ => None,
            };
            build.fails.insert(hardware, share);
        }
        other => return Err(format!("a build fails or bricks, it doesn't {other:?}")),
    }
    Ok(())
}

fn thief(world: &mut World, words: &mut Words<'_>) -> Result<(), String> {
    let says = match (words.next()?, words.0.next()) {
        ("leaves", None) => {
            world.thief = None;
            return Ok(());
        }
        ("says", Some("open")) => Says::Open,
        ("says", Some("halted")) => Says::Halted,
        ("says", Some("open-in-2099")) => Says::Open2099,
        ("says", Some("halted-in-2099")) => Says::Halted2099,
        ("says", Some("nothing")) => Says::Nothing,
        ("says", Some("replayed")) => Says::Replayed,
        _ => {
            return Err(
                "a thief leaves, or says open, halted, open-in-2099, halted-in-2099, nothing or replayed"
                    .into(),
            );
        }
    };
    world.thief = Some(Thief::with_key_of(&world.server.state(), says));
    Ok(())
}

/// Lets time go on, and tells each change of a rollout.
fn wait(world: &mut World, words: &mut Words<'_>) -> Result<Vec<String>, String> {
    let (until, seconds) = match words.next()? {
        "until" => {
            let version: ReleaseVersion = words.value()?;
            let state = words.next()?.to_owned();
            words.word("within")?;
            (Some((version, state)), words.span()?)
        }
        span => (None, seconds(span)?),
    };
    let mut told = Vec::new();
    let mut before = world.server.told();
    for _ in 0..seconds / STEP {
        world.advance();
        let after = world.server.told();
        told.extend(
            after.iter().filter(|line| !before.contains(line)).map(|line| format!("{}  {line}", world.now)),
        );
        before = after;
        if until.as_ref().is_some_and(|(version, state)| world.server.state_of(version.as_str()) == *state) {
            return Ok(told);
        }
    }
    match until {
        Some((version, state)) => Err(format!(
            "{version} isn't {state} by then, it is {}; so far:\n{}",
            world.server.state_of(version.as_str()),
            told.join("\n")
        )),
        None => Ok(told),
    }
}

fn expect(world: &World, words: &mut Words<'_>) -> Result<(), String> {
    let release = words.release(world)?;
    let version = world.offers[release].version.as_str();
    let expected = words.next()?;
    if expected != "on" {
        let state = world.server.state_of(version);
        return if state == expected { Ok(()) } else { Err(format!("{version} is {state}")) };
    }
    words.word("at")?;
    let bound = words.next()?;
    let share = u64::from(words.share()?);
    let clock = words.option("clock")?.map(seconds).transpose()?;
    let asked = world.units.iter().filter(|unit| clock.is_none_or(|clock| unit.clock == clock));
    let (runs, all) = asked
        .fold((0, 0), |(runs, all), unit| (runs + u64::from(usize::from(unit.runs) == release + 1), all + 1));
    if all == 0 {
        return Err("no device is like that".into());
    }
    let of = runs * 1_000_000 / all;
    let holds = match bound {
        "most" => of <= share,
        "least" => of >= share,
        other => return Err(format!("it is `at most` or `at least`, not `at {other}`")),
    };
    if holds { Ok(()) } else { Err(format!("{version} runs on {runs} of {all}")) }
}

struct Words<'w>(SplitWhitespace<'w>);

impl<'w> Words<'w> {
    fn next(&mut self) -> Result<&'w str, String> {
        self.0.next().ok_or_else(|| "a word is missing at the end".into())
    }

    fn word(&mut self, expected: &str) -> Result<(), String> {
        let word = self.next()?;
        if word == expected { Ok(()) } else { Err(format!("{word:?} stands where {expected:?} is expected")) }
    }

    /// What follows a word, where that word is there; nothing else may be.
    fn option(&mut self, expected: &str) -> Result<Option<&'w str>, String> {
        match self.0.next() {
            None => Ok(None),
            Some(word) if word == expected => self.next().map(Some),
            Some(word) => Err(format!("{word:?} stands where {expected:?} is expected, or nothing")),
        }
    }

    fn value<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T, String> {
        let word = self.next()?;
        word.parse().map_err(|error| format!("{word}: {error}"))
    }

    fn share(&mut self) -> Result<u32, String> {
        share(self.next()?)
    }

    fn span(&mut self) -> Result<i64, String> {
        seconds(self.next()?)
    }

    fn release(&mut self, world: &World) -> Result<usize, String> {
        let version: ReleaseVersion = self.value()?;
        let known = world.offers.iter().position(|offer| offer.version == version);
        known.ok_or_else(|| format!("{version} was not released"))
    }

    fn rest(&mut self) -> String {
        self.0.by_ref().collect::<Vec<_>>().join(" ")
    }

    fn makeup(&mut self) -> Result<Makeup, String> {
        let mut makeup = Makeup::of(self.value()?);
        let mut hardware = Vec::new();
        for word in self.0.by_ref() {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{word:?} has no `=`"))?;
            match name {
                "beta" => makeup.beta = share(value)?,
                "resting" => makeup.resting = share(value)?,
                "seed" => makeup.seed = value.parse().map_err(|error| format!("{word}: {error}"))?,
                _ => {
                    hardware.push((name.parse().map_err(|error| format!("{name}: {error}"))?, share(value)?))
                }
            }
        }
        if !hardware.is_empty() {
            makeup.hardware = hardware;
        }
        Ok(makeup)
    }
}

fn preset(name: &str) -> Result<Preset, String> {
    <Preset as clap::ValueEnum>::from_str(name, false)
}

/// `0.5%`, in parts per million.
fn share(text: &str) -> Result<u32, String> {
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.parse().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 10_000.0).round() as u32),
        _ => Err(format!("{text:?} is no share such as 0.5%")),
    }
}

/// `3d`, `-2h`, in seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no time such as 3d, 12h or 15m");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        _ => return Err(wrong()),
    };
    Ok(number * unit)
}
