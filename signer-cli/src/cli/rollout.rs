//! `rollout new`, `rollout lint`, `rollout simulate`

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use perennial_schemas::Timestamp;
use perennial_schemas::rollout::{Plan, Salt};
use perennial_schemas::tuf::Key;
use serde::Serialize;

use super::common::Output;
use super::{CliError, Io};
use crate::files::{self, FileError};
use crate::keys::read_public;
use crate::repository::Repository;
use crate::rollout::file::{self, Share};
use crate::rollout::forecast::{Forecast, Question};
use crate::rollout::lint::{Remark, Severity, remarks};
use crate::rollout::{plot, presets::Preset};
use crate::terminal::quoted;

/// Plans by which a release is rolled out in stages.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// Write a plan to begin with.
    New(NewArgs),
    /// Say what is wrong or unwise about a plan.
    Lint(LintArgs),
    /// Show who would get a release when, and the odds that the gate stops a bad one.
    Simulate(SimulateArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The file to write.
    #[arg(value_name = "PLAN")]
    out: PathBuf,
    /// What to begin with.
    #[arg(long)]
    preset: Preset,
    /// The public half of the server's rollout key (STATE/keys/rollout.pub.json); its path is written relative to PLAN.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// When it begins, as 2027-03-01T06:00:00Z; tomorrow at this time without it.
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,
    /// Take the preset all-at-once although nothing is learnt on the way.
    #[arg(long)]
    everybody_at_once: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// The plan.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// How many devices there are.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    devices: Option<u64>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The plan.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// How many devices there are, where their hardware isn't told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), required_unless_present = "hardware")]
    devices: Option<u64>,
    /// How many devices there are of a hardware revision, as revC=12000; may be given for each.
    #[arg(long, value_name = "NAME=N", value_parser = counted, conflicts_with = "devices")]
    hardware: Vec<(String, u64)>,
    /// How many devices bear a label, as beta=200; may be given for each.
    #[arg(long, value_name = "LABEL=N", value_parser = counted)]
    label: Vec<(String, u64)>,
    /// The share of devices that a good release fails on.
    #[arg(long, value_name = "SHARE", default_value_t = Question::HEALTHY)]
    healthy: Share,
    /// Hours after which half of the admitted devices have told how it went.
    #[arg(long, value_name = "HOURS", default_value_t = Question::HALF_TOLD_HOURS)]
    half_told: f64,
    /// Simulated rollouts for each rate of failures, 1 to 10,000.
    #[arg(long, value_name = "N", default_value_t = Question::RUNS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Seed of the draws: the same question has the same answer.
    #[arg(long, value_name = "N", default_value_t = Question::SEED)]
    seed: u64,
    /// Also write a picture.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct NewReport {
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct LintReport {
    remarks: Vec<Remark>,
}

#[derive(Debug, Serialize)]
struct SimulateReport {
    #[serde(flatten)]
    forecast: Forecast,
    remarks: Vec<Remark>,
    picture: Option<PathBuf>,
}

/// Runs a command on rollout plans.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(command: RolloutCommand, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    match command {
        RolloutCommand::New(args) => new(args, repo, io),
        RolloutCommand::Lint(args) => lint(&args, repo, io),
        RolloutCommand::Simulate(args) => simulate(args, io),
    }
}

/// Refuses a key that signs a role of the repository, where the command is run beside one: it is no server's rollout key.
fn is_a_servers(key: &Key, repo: &Path) -> Result<(), CliError> {
    let published = Repository::open(repo).ok().and_then(|repository| repository.published);
    match published.and_then(|published| published.signs_as(key)) {
        None => Ok(()),
        Some(role) => {
            let what = format!("the key of the plan signs {role} here: it is no server's rollout key");
            Err(CliError::new(what, file::OTHER_KEY))
        }
    }
}

fn new(args: NewArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    if args.preset == Preset::AllAtOnce && !args.everybody_at_once {
        return Err(CliError::new(
            "all-at-once gives a release to every device before anything is learnt of it",
            "take canary-week or urgent, or say --everybody-at-once",
        ));
    }
    if files::exists(&args.out) {
        let what = FileError::Exists { path: args.out }.to_string();
        return Err(CliError::new(what, "choose another name; a plan is never replaced"));
    }
    let key = read_public(&args.key)?;
    is_a_servers(&key.key, repo)?;
    let key = beside(&args.key, &args.out)?;
    let start = args.start.unwrap_or_else(|| io.now().plus_days(1));
    files::write(&args.out, args.preset.text(start, &key).as_bytes())?;
    io.report(args.output.json, &NewReport { file: args.out })
}

fn lint(args: &LintArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let plan = read(&args.plan)?;
    is_a_servers(&plan.key, repo)?;
    let report = LintReport { remarks: remarks(&plan, args.devices, io.now()) };
    io.report(args.output.json, &report)?;
    let refused = report.remarks.iter().find(|remark| remark.severity == Severity::Error);
    refused.map_or(Ok(()), |remark| Err(CliError::new("no release is proposed with this plan", remark.todo)))
}

fn simulate(args: SimulateArgs, io: &mut Io<'_>) -> Result<(), CliError> {
    let plan = read(&args.plan)?;
    if !(0.1..=10_000.0).contains(&args.half_told) {
        return Err(CliError::new(
            "--half-told lies between 0.1 and 10000 hours",
            "four hours is usual for devices that are always on",
        ));
    }
    let grouped =
        |label: &str| plan.early.iter().flat_map(|group| &group.labels).any(|one| one.as_str() == label);
    if let Some((stranger, _)) = args.label.iter().find(|(label, _)| !grouped(label)) {
        return Err(CliError::new(
            format!("no early group of the plan has the label {}", quoted(stranger)),
            "name a label as the plan's [[early]] has it, as ring=canary=200",
        ));
    }
    let question = Question {
        labels: args.label.into_iter().collect(),
        healthy: args.healthy,
        half_told_hours: args.half_told,
        runs: args.runs,
        seed: args.seed,
        ..question(&plan, args.devices, &args.hardware)?
    };
    let forecast = Forecast::new(&plan, &question);
    if let Some(path) = &args.svg {
        files::write(path, plot::svg(&plan, &question).as_bytes())?;
    }
    let remarks = remarks(&plan, Some(question.devices), io.now());
    io.report(args.output.json, &SimulateReport { forecast, remarks, picture: args.svg })
}

/// A plan's fleet: so many devices, or so many of each hardware revision; those that the plan leaves out are no part of it.
pub(super) fn question(
    plan: &Plan,
    devices: Option<u64>,
    hardware: &[(String, u64)],
) -> Result<Question, CliError> {
    let takes =
        |name: &str| plan.hardware.as_ref().is_none_or(|list| list.iter().any(|one| one.as_str() == name));
    let hardware: BTreeMap<String, u64> = hardware.iter().filter(|(name, _)| takes(name)).cloned().collect();
    match devices.unwrap_or_else(|| hardware.values().sum()) {
        0 => Err(CliError::new(
            "the plan leaves all of these hardware revisions out",
            "name those that it lists under hardware, or count devices with --devices",
        )),
        devices => Ok(Question::new(devices, hardware)),
    }
}

/// The salt is made with the release; no odds depend on it.
fn read(path: &Path) -> Result<Plan, CliError> {
    let salt =
        Salt::new(vec![0; 16]).map_err(|error| CliError::with_hint(&error, "this is a defect: tell us"))?;
    Ok(file::read(path, salt)?)
}

/// The key's path as it is seen from the plan's folder, where it lies in that folder; else the absolute path.
fn beside(key: &Path, plan: &Path) -> Result<String, CliError> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| CliError::with_hint(&error, "name the files by their whole paths"))
    };
    let (key, plan) = (absolute(key)?, absolute(plan)?);
    let path = plan.parent().and_then(|folder| key.strip_prefix(folder).ok()).unwrap_or(&key);
    path.to_str().map(str::to_owned).ok_or_else(|| {
        CliError::new("the key's path is not UTF-8", "move the key to a folder with a plain name")
    })
}

pub(super) fn counted(text: &str) -> Result<(String, u64), String> {
    let (name, count) = text.split_once('=').ok_or("write NAME=N, as revC=12000")?;
    let count = count.parse().map_err(|_| format!("{count:?} is no number of devices"))?;
    if name.is_empty() || count > 1_000_000_000 {
        return Err("write NAME=N with at most 1,000,000,000 devices".into());
    }
    Ok((name.into(), count))
}

impl fmt::Display for NewReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = crate::terminal::shell_word(&self.file.display().to_string());
        writeln!(f, "{file} is written: read it, and change what doesn't suit.")?;
        writeln!(f, "Next: perennial-signer rollout simulate {file} --devices N")
    }
}

impl fmt::Display for LintReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.remarks.is_empty() {
            return writeln!(f, "Nothing to remark.");
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "{remark}"))
    }
}

impl fmt::Display for SimulateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.forecast)?;
        if !self.remarks.is_empty() {
            writeln!(f)?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "{remark}"))?;
        self.picture.iter().try_for_each(|path| writeln!(f, "\nThe picture is in {}.", path.display()))
    }
}
