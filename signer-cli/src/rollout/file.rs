//! The plan file: shares as `5 %`, spans as `3d`, times counted from a start, so that one file serves release after release.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use perennial_schemas::ident::Label;
use perennial_schemas::rollout::{EarlyGroup, Gate, NotASalt, OnDeadline, Phase, Plan, Salt, Spread, WHOLE};
use perennial_schemas::{HardwareName, Timestamp};
use serde::{Deserialize, Deserializer};

use crate::cli::Advise;
use crate::keys::{self, KeyError, read_public};
use crate::support::input::{self, InputError};

/// What to do about a plan with another key than a server's rollout key.
pub const OTHER_KEY: &str = "name the public half of the server's rollout key, STATE/keys/rollout.pub.json; timestamp.pub.json beside it is another key";

/// A plan file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// What every `begins` is counted from.
    pub start: Timestamp,
    /// The public half of the server's rollout key; beside the plan file unless the path is absolute.
    pub key: PathBuf,
    /// The hardware revisions that take part; all without it.
    #[serde(default)]
    pub hardware: Option<Vec<HardwareName>>,
    /// The steps.
    pub phase: Vec<PhaseEntry>,
    /// Groups that come early.
    #[serde(default)]
    pub early: Vec<EarlyEntry>,
    /// When evidence halts or advances it.
    pub gate: GateEntry,
    /// How long it may be held.
    pub hold: HoldEntry,
}

/// `[[phase]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseEntry {
    share: Share,
    begins: Span,
    #[serde(default = "at_once")]
    spread: Spread,
}

/// `[[early]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyEntry {
    labels: Vec<Label>,
    begins: Span,
}

/// `[gate]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateEntry {
    ceiling: Share,
    alpha: Share,
    beta: Share,
    least_sample: u32,
    least_soak: Span,
}

/// `[hold]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldEntry {
    longest: Span,
    on_deadline: OnDeadline,
    catch_up: Span,
    status_max_age: Span,
}

/// A share of a fleet, written in percent: `5 %`, `0.5%`. In parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub u32);

/// A span of time, written as `90s`, `15m`, `6h`, `3d` or `2w`. In seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub u64);

/// Why a plan file is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The rollout key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Advise for PlanError {
    fn advice(&self) -> String {
        match self {
            Self::Input(error) => error.advice(),
            Self::Key(error @ KeyError::PrivateHalf(_)) => error.advice(),
            Self::Key(_) => {
                "name the public half of the server's rollout key: STATE/keys/rollout.pub.json, as perennial-server init made it".into()
            }
        }
    }
}

/// A salt that nobody could foresee: whoever could, would know which devices come first.
///
/// # Errors
/// [`PlanError`] where the system gives no random bytes.
pub fn fresh_salt() -> Result<Salt, PlanError> {
    let mut bytes = [0; 32];
    keys::random(&mut bytes)?;
    Salt::new(bytes.into()).map_err(|NotASalt| PlanError::Key(KeyError::Failed(NotASalt.to_string())))
}

/// Reads a plan file, with the key that it names, and checks the plan.
///
/// # Errors
/// [`PlanError`]
pub fn read(path: &Path, salt: Salt) -> Result<Plan, PlanError> {
    let file: PlanFile = input::read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let key = read_public(&folder.join(&file.key))?.key;
    let start = file.start;
    let plan = Plan {
        salt,
        key,
        phases: file.phase.iter().map(|entry| entry.phase(start)).collect(),
        early: file.early.into_iter().map(|entry| entry.group(start)).collect(),
        hardware: file.hardware,
        gate: Gate {
            ceiling_ppm: file.gate.ceiling.0,
            alpha_ppm: file.gate.alpha.0,
            beta_ppm: file.gate.beta.0,
            least_sample: file.gate.least_sample,
            least_soak_seconds: file.gate.least_soak.0,
        },
        max_hold_seconds: file.hold.longest.0,
        on_deadline: file.hold.on_deadline,
        catch_up_seconds: file.hold.catch_up.0,
        status_max_age_seconds: file.hold.status_max_age.0,
    };
    let wrong = |error: &dyn fmt::Display| {
        InputError::new(path, error.to_string(), "mend the plan; the book explains each of its parts")
    };
    plan.validate().map_err(|error| wrong(&error))?;
    Ok(plan)
}

impl PhaseEntry {
    fn phase(&self, start: Timestamp) -> Phase {
        Phase { share: self.share.0, not_before: self.begins.after(start), spread: self.spread }
    }
}

impl EarlyEntry {
    fn group(self, start: Timestamp) -> EarlyGroup {
        EarlyGroup { labels: self.labels, not_before: self.begins.after(start) }
    }
}

fn at_once() -> Spread {
    Spread::AtOnce
}

impl Span {
    fn after(self, start: Timestamp) -> Timestamp {
        start.plus_seconds(self.0.try_into().unwrap_or(i64::MAX))
    }
}

impl FromStr for Share {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let no = || {
            format!("{text:?} is no share: write percent with at most four decimals, as \"5 %\" or \"0.5 %\"")
        };
        let number = text.trim().strip_suffix('%').ok_or_else(no)?.trim_end();
        let (whole, parts) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(parts, 4) {
            return Err(no());
        }
        let ppm = format!("{whole}{parts:0<4}").parse().map_err(|_| no())?;
        if ppm <= WHOLE { Ok(Self(ppm)) } else { Err(format!("{text:?} is more than 100 %")) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = format!("{:04}", self.0 % 10_000);
        let parts = parts.trim_end_matches('0');
        write!(f, "{}{}{parts} %", self.0 / 10_000, if parts.is_empty() { "" } else { "." })
    }
}

impl fmt::Display for Span {
    /// In the largest unit that leaves nothing over: `14 days`, `90 seconds`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
        let fits = |(length, _): &&(u64, &str)| self.0.is_multiple_of(*length) && self.0 > 0;
        let (length, name) = units.iter().find(fits).copied().unwrap_or((1, "second"));
        let count = self.0 / length;
        write!(f, "{count} {name}{}", if count == 1 { "" } else { "s" })
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let no =
            || format!("{text:?} is no span of time: write it as \"90s\", \"15m\", \"6h\", \"3d\" or \"2w\"");
        let unit = text.chars().next_back().ok_or_else(no)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(no()),
        };
        let number: u32 = text[..text.len() - 1].parse().map_err(|_| no())?;
        Ok(Self(u64::from(number) * seconds))
    }
}

macro_rules! by_text {
    ($($type:ty)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
by_text!(Share Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_spans_are_read_as_they_are_written() {
        for (text, ppm) in
            [("5 %", 50_000), ("0.5%", 5_000), ("100 %", WHOLE), ("0.0001 %", 1), ("12.34 %", 123_400)]
        {
            assert_eq!(text.parse::<Share>().unwrap(), Share(ppm));
            assert_eq!(Share(ppm).to_string().parse::<Share>().unwrap(), Share(ppm));
        }
        for text in ["5", "%", "-1 %", "101 %", "1.00001 %", "1. %", ".5 %", "é%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("6h", 21_600), ("3d", 259_200), ("2w", 1_209_600), ("0d", 0)]
        {
            assert_eq!(text.parse::<Span>().unwrap(), Span(seconds));
        }
        for text in ["", "3", "d", "-1d", "1.5d", "3 d", "1é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
