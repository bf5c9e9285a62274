//! `rollout`: which rollouts there are, how one is, what it waits for, and to pause, halt or resume one. Through the running
//! server's socket, or over the store that it left.

use super::{Place, config_of, parse, report};
use crate::admin::client::{Server, call, get};
use crate::admin::rollouts::{Ask, Explained, Rollouts};
use crate::cli::Where;
use crate::failure::Failure;
use crate::io::Io;
use crate::metrics::Metrics;
use crate::rollout::desk::{self, DeskError};
use crate::rollout::engine::Engine;
use crate::rollout::machine::Wish;
use crate::rollout::setup::{self, Purpose};
use crate::rollout::view::Rollout;
use crate::state::Held;
use clap::Subcommand;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use perennial_schemas::{HardwareName, ProductName, ReleaseVersion};
use std::fmt::Write as _;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List rollouts
    List(List),
    /// Show a rollout: its state, what was counted, what it waits for, what devices see
    Show(One),
    /// Say in sentences what it waits for, what stopped it, until when that holds, and what may be done
    Explain(One),
    /// Stop it for now
    Pause(Change),
    /// Stop it, for all or for one hardware revision
    Halt(ChangeOne),
    /// Let it go on, for all or for one hardware revision
    Resume(Resume),
    /// Keep votes under the key in STATE/keys/marks.key from now on, where the one before is lost for good
    ReplaceMarksKey(ReplaceMarksKey),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The product
    product: ProductName,
    /// The release
    version: ReleaseVersion,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    #[command(flatten)]
    one: One,
    /// Why; the audit keeps it, and the public status says it
    #[arg(long = "reason", visible_alias = "why", value_name = "WORDS")]
    why: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ChangeOne {
    #[command(flatten)]
    change: Change,
    /// For this hardware revision only
    #[arg(long, value_name = "REVISION")]
    hardware: Option<HardwareName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    one: ChangeOne,
    /// What was counted so far counts no more: only where you know that the failures aren't the release's
    #[arg(long)]
    set_aside_evidence: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplaceMarksKey {
    #[command(flatten)]
    place: Where,
    /// A device that has voted on a release may vote on it again, and that counts twice
    #[arg(long, required = true)]
    devices_may_vote_twice: bool,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments, io),
        Command::Show(one) => {
            let shown: Rollout = look(one, "", |rollout| rollout, io)?;
            report(io, one.json, &shown, &words(&shown))
        }
        Command::Explain(one) => {
            let said: Explained = look(one, "/explain", |rollout| rollout.explained(), io)?;
            report(io, one.json, &said, &said.sentences.join("\n"))
        }
        Command::ReplaceMarksKey(arguments) => replace_marks_key(arguments, io),
        Command::Pause(Change { one, why }) => {
            change(one, "pause", &Wish::Pause, &Ask { why: why.clone(), ..Ask::default() }, io)
        }
        Command::Halt(ChangeOne { change: Change { one, why }, hardware }) => {
            let ask = Ask { why: why.clone(), hardware: hardware.clone(), ..Ask::default() };
            change(one, "halt", &Wish::Halt(hardware.clone()), &ask, io)
        }
        Command::Resume(Resume { one, set_aside_evidence }) => {
            let ChangeOne { change: Change { one, why }, hardware } = one;
            let (hardware, set_aside) = (hardware.clone(), *set_aside_evidence);
            let wish = Wish::Resume { hardware: hardware.clone(), set_aside };
            change(
                one,
                "resume",
                &wish,
                &Ask { why: why.clone(), hardware, set_aside_evidence: set_aside },
                io,
            )
        }
    }
}

fn list(arguments: &List, io: &mut Io<'_>) -> Result<(), Failure> {
    let now = (io.now)();
    let all = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            let engine = engine(&held, &arguments.place, Purpose::Look)?;
            notice(&held, io)?;
            Rollouts { rollouts: desk::list(&engine, now).map_err(|error| failure(&error.into()))? }
        }
        Place::Running(server) => parse(&get(&server, "/api/v1/rollouts")?)?,
    };
    let lines: Vec<String> = all.rollouts.iter().map(Rollout::line).collect();
    let text =
        if lines.is_empty() { "No release with a rollout plan is offered.".into() } else { lines.join("\n") };
    report(io, arguments.json, &all, &text)
}

fn replace_marks_key(arguments: &ReplaceMarksKey, io: &mut Io<'_>) -> Result<(), Failure> {
    let Place::Here(held) = Place::of(&arguments.place)? else {
        return Err(Failure::new("the server runs, with the key that it has", "stop it first"));
    };
    setup::replace_marks(&held.state, held.store.as_ref(), (io.now)())
        .map_err(|error| Failure::of(&error, error.hint()))?;
    report(io, false, &(), "Votes are kept under this state's marks.key from now on.")
}

fn look<T: serde::de::DeserializeOwned>(
    one: &One,
    what: &str,
    of: impl FnOnce(Rollout) -> T,
    io: &mut Io<'_>,
) -> Result<T, Failure> {
    let now = (io.now)();
    let (product, version) = (one.product.as_str(), one.version.as_str());
    match Place::of(&one.place)? {
        Place::Here(held) => {
            let engine = engine(&held, &one.place, Purpose::Look)?;
            let idle = notice(&held, io)?;
            Ok(of(desk::look(&engine, product, version, idle, now).map_err(|error| failure(&error))?))
        }
        Place::Running(server) => parse(&get(&server, &format!("{}{what}", path(one)))?),
    }
}

fn change(one: &One, word: &str, wish: &Wish, ask: &Ask, io: &mut Io<'_>) -> Result<(), Failure> {
    let now = (io.now)();
    let (shown, running) = match Place::of(&one.place)? {
        Place::Here(held) => {
            let engine = engine(&held, &one.place, Purpose::Steer)?;
            let name = (one.product.as_str(), one.version.as_str());
            let changed = desk::change(&engine, name, wish, ("command", &ask.why), now);
            (changed.map_err(|error| failure(&error))?, false)
        }
        Place::Running(server) => (post(&server, one, word, ask)?, true),
    };
    let mut text = shown.sentences().join("\n");
    if !running {
        text.push_str("\nThe server isn't running: devices see this once it runs again.");
    }
    report(io, one.json, &shown, &text)
}

fn post(server: &Server, one: &One, word: &str, ask: &Ask) -> Result<Rollout, Failure> {
    let body = serde_json::to_vec(ask).unwrap_or_default();
    let length = body.len() as u64;
    let sent = Some((std::io::Cursor::new(body), length));
    parse(&call(server, Method::POST, &format!("{}/{word}", path(one)), sent)?)
}

fn path(one: &One) -> String {
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!("/api/v1/rollouts/{}/{}", part(one.product.as_str()), part(one.version.as_str()))
}

/// An engine that takes no turns, over the store that a server left. It has looked at no device.
pub(super) fn engine(held: &Held, place: &Where, purpose: Purpose) -> Result<Arc<Engine>, Failure> {
    let metrics = Metrics::new().map_err(|error| Failure::of(&error, "report this"))?;
    let engine = setup::engine(&config_of(place)?, &held.state, &held.store, &metrics.rollouts, purpose)
        .map_err(|error| Failure::of(&error, error.hint()))?;
    engine.learn().map_err(|error| failure(&error.into()))?;
    Ok(engine)
}

/// Says on the standard error that a server wouldn't start here, and what isn't known, where that is so: the votes are another
/// key's, so that nobody can tell whose they are.
fn notice(held: &Held, io: &mut Io<'_>) -> Result<Option<String>, Failure> {
    let other = setup::other_marks(&held.state, held.store.as_ref());
    let Some(other) = other.map_err(|error| Failure::of(&error, error.hint()))? else { return Ok(None) };
    let _ = writeln!(
        io.stderr,
        "notice: {other}: which devices fell silent, and on which a release failed, is unknown with it; a server doesn't start with it: {}",
        other.hint()
    );
    Ok(Some(other.to_string()))
}

fn words(shown: &Rollout) -> String {
    let mut out = shown.sentences().join("\n");
    for (hardware, votes) in &shown.votes {
        let _ = write!(
            out,
            "\n  {hardware}: {} confirmed, {} failed, {} rolled back, {} began, {}",
            votes.confirmed,
            votes.failed,
            votes.rolled_back,
            votes.started,
            shown.missing_in(votes)
        );
    }
    if let Some(evidence) = &shown.evidence {
        let _ = write!(
            out,
            "\nThe gate: {}.\n  against the release {:.2}, halts at {:.0}; in its favour {:.2}, goes on at {:.0}",
            evidence.rule, evidence.against, evidence.halts_at, evidence.in_favour, evidence.goes_on_at
        );
        for (hardware, against) in evidence.against_by_hardware.iter().filter(|(_, against)| **against > 1.0)
        {
            let _ = write!(
                out,
                "\n  against it on {hardware} {against:.2}, halts that revision at {:.0}",
                evidence.hardware_halts_at
            );
        }
    }
    if let Some(status) = &shown.status {
        let _ = write!(
            out,
            "\nDevices see status {}, signed at {}, until {}.",
            status.sequence, status.issued, status.expires
        );
    }
    out
}

fn failure(error: &DeskError) -> Failure {
    Failure::of(error, error.hint())
}
