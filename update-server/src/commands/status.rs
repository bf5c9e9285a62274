//! `status`: how the server is, asked of the one that runs, or read from the state that it left. It changes nothing.

use super::{config_of, report, size, state_failure};
use crate::admin::client::{Server, get};
use crate::audit;
use crate::cli::Where;
use crate::disk;
use crate::failure::Failure;
use crate::fleet::row::Standing;
use crate::fleet::status::Summary;
use crate::generation::served;
use crate::io::Io;
use crate::refusals::refused;
use crate::rollout::desk;
use crate::rollout::setup::{self, Purpose};
use crate::rollout::view::Rollout;
use crate::state::{Held, State, StateError};
use crate::status::{Alarm, Facts, Running, Status};
use crate::store::StoreError;
use perennial_schemas::Timestamp;
use std::fmt::Write as _;

/// Roles that are listed, those that expire first; a repository may have thousands.
const ROLES: usize = 12;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let config = config_of(&arguments.place)?;
    let state = State::of(&config);
    let status = match state.hold() {
        Ok(held) => {
            let rollouts = rollouts(&held, arguments, (io.now)())?;
            let mut status = left_behind(&held, rollouts, (io.now)())
                .map_err(|error| Failure::of(&error, "restore the state folder from your backup"))?;
            let other = setup::other_marks(&held.state, held.store.as_ref());
            if let Some(other) = other.map_err(|error| Failure::of(&error, error.hint()))? {
                let what = format!("{other}: a server doesn't start here");
                status.alarms.insert(0, Alarm::new("other_marks", what, other.hint()));
            }
            status
        }
        Err(StateError::Held(_)) if disk::exists(&state.socket()) => {
            let answer = get(&Server::Socket(state.socket()), "/api/v1/status")?;
            serde_json::from_slice(&answer)
                .map_err(|error| Failure::of(&error, "is that server of the same version?"))?
        }
        Err(error) => return Err(state_failure(&error)),
    };
    report(io, arguments.json, &status, words(&status).trim_end())
}

/// The rollouts while no server runs.
fn rollouts(held: &Held, arguments: &Arguments, now: Timestamp) -> Result<Vec<Rollout>, Failure> {
    let engine = super::rollout::engine(held, &arguments.place, Purpose::Look)?;
    desk::list(&engine, now).map_err(|error| Failure::of(&error, "restore the state folder from your backup"))
}

/// The status while no server runs.
fn left_behind(held: &Held, rollouts: Vec<Rollout>, now: Timestamp) -> Result<Status, StoreError> {
    let served = served(&held.store)?;
    let broken = audit::verify(&held.store).err().map(|error| error.to_string());
    let (store, refused) = (&held.store, refused(&held.store)?);
    let fleet = Summary::left_behind(store, now)?;
    Facts { store, served: served.as_ref(), refused, audit: broken, running: None, fleet, rollouts, now }
        .status()
}

fn words(status: &Status) -> String {
    let mut out = String::new();
    // Writing into a string can't fail.
    let _ = match &status.running {
        None => writeln!(out, "The server isn't running."),
        Some(running) => {
            let ready = if status.ready { "ready" } else { "NOT READY" };
            writeln!(out, "Running since {}, {ready}.", running.started)
        }
    };
    for alarm in &status.alarms {
        let _ = write!(out, "\nALARM: {}\n       {}\n", alarm.what, alarm.hint);
    }
    let _ = match (status.generation, status.snapshot, status.taken_in) {
        (Some(generation), Some(snapshot), Some(at)) => {
            let from = status.taken_from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
            writeln!(
                out,
                "\nGeneration {generation}: snapshot {snapshot}, {} files, taken in at {at}{from}.",
                status.files
            )
        }
        _ => writeln!(out, "\nNo bundle has been ingested yet."),
    };
    expiries(status, &mut out);
    if status.timestamp_offline {
        let _ = writeln!(out, "{}", super::NO_RENEWAL);
    }
    if let Some(running) = &status.running {
        traffic(running, &mut out);
    }
    if let Some(summary) = &status.fleet {
        fleet(summary, status.running.is_some(), status.now, &mut out);
    }
    for rollout in &status.rollouts {
        let _ = writeln!(out, "Rollout: {}.", rollout.line());
    }
    let refused: u64 = status.refused.values().map(|tally| tally.count).sum();
    let _ = match &status.last_refused {
        None => writeln!(out, "No bundle was ever refused."),
        Some(last) => {
            writeln!(
                out,
                "{refused} bundles refused so far, the last at {} from {} ({}): {}",
                last.at, last.actor, last.reason, last.error
            )
        }
    };
    if status.alarms.is_empty() {
        out.push_str("Nothing has to be done.\n");
    }
    out
}

fn expiries(status: &Status, out: &mut String) {
    let mut ends: Vec<(&str, Timestamp)> =
        status.expires.iter().map(|(role, expires)| (role.as_str(), *expires)).collect();
    ends.extend(status.timestamp_expires.map(|expires| ("timestamp", expires)));
    ends.sort_by_key(|(_, expires)| *expires);
    let width = ends.iter().take(ROLES).map(|(role, _)| role.chars().count()).max().unwrap_or(0);
    for (role, expires) in ends.iter().take(ROLES) {
        let note = match *role {
            "timestamp" if status.timestamp_offline => ", signed offline",
            "timestamp" => ", renewed by this server",
            _ => "",
        };
        let _ = writeln!(out, "  {role:width$}  until {expires}  ({}{note})", left(status.now, *expires));
    }
    if let Some((_, next)) = ends.get(ROLES) {
        let _ = writeln!(out, "  and {} more, none before {next}", ends.len() - ROLES);
    }
}

fn traffic(running: &Running, out: &mut String) {
    let class = |name: &str| running.answers.get(name).copied().unwrap_or(0);
    let _ = writeln!(
        out,
        "Since its start: {} polls without news, {} answers with content, {} refused (4xx), {} failed (5xx); {} sent.",
        running.not_modified,
        class("2xx"),
        class("4xx"),
        class("5xx"),
        size(running.sent_bytes)
    );
    let _ = writeln!(
        out,
        "{} connections are open; content on the disk: {}.",
        running.connections,
        size(running.blob_bytes.max(0) as u64)
    );
    if let Some(ingesting) = &running.ingesting {
        let _ =
            writeln!(out, "A bundle from {} is being taken in since {}.", ingesting.actor, ingesting.since);
    }
}

fn fleet(fleet: &Summary, running: bool, now: Timestamp, out: &mut String) {
    let count = |standing| fleet.count(standing);
    let _ = writeln!(
        out,
        "Devices: {} enrolled, {} quarantined, {} revoked, {} of a laboratory{}.",
        count(Standing::Enrolled),
        count(Standing::Quarantined),
        count(Standing::Revoked),
        count(Standing::Lab),
        fleet.counted_at.map_or(" (not counted yet)".into(), |at| format!(", as of {at}"))
    );
    if running {
        let _ = writeln!(
            out,
            "Since its start: {} reports and {} check-ins are durable, {} certificates given; {} reports wait to be written.",
            fleet.reports, fleet.check_ins, fleet.enrolments, fleet.waiting
        );
        let until =
            fleet.revocations_until.map_or(String::new(), |until| format!(", in lists until {until}"));
        let _ = writeln!(out, "Certificates that the maker has revoked: {}{until}.", fleet.revocations);
        if let Some(expires) = fleet.enrolment_expires {
            let _ =
                writeln!(out, "The enrolment certificate lasts until {expires} ({}).", left(now, expires));
        }
    }
}

/// The time from now to an end, in its largest unit, rounded down.
fn left(now: Timestamp, end: Timestamp) -> String {
    let seconds = end.unix() - now.unix();
    let span = |seconds: i64| {
        let (number, unit) = match seconds {
            86_400.. => (seconds / 86_400, "day"),
            3_600.. => (seconds / 3_600, "hour"),
            _ => (seconds / 60, "minute"),
        };
        format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
    };
    if seconds > 0 { format!("{} left", span(seconds)) } else { format!("expired {} ago", span(-seconds)) }
}
