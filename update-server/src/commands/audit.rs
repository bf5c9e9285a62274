//! `audit`: what was done, listed and shown; and its chain, walked from its beginning, and compared with heads that somebody
//! has seen. Through the running server's socket, or over the store that it left.

use super::{Place, parse, report, state_failure};
use crate::admin::ENTRIES;
use crate::admin::client::get;
use crate::audit::{self, BROKEN, Entry, Filter, Found, Head};
use crate::cli::Where;
use crate::failure::Failure;
use crate::io::Io;
use crate::store::StoreError;
use clap::Subcommand;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use perennial_device_core::report::plain;
use perennial_schemas::Timestamp;
use perennial_schemas::time::TimeError;
use std::fmt::Write as _;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what was done, the newest last
    List(List),
    /// Show one entry whole
    Show(Show),
    /// Walk the audit's chain, and compare it with heads that were seen before
    Verify(Arguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Done at that time or later, as 2026-11-22 or 2026-11-22T20:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// By whom: command, server, token:NAME, or token for every token
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// What: device.revoked, or device for all that was done to devices
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Entries before this number: the page before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    before: Option<u64>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=ENTRIES as i64))]
    limit: u16,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The entry's number
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    number: u64,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A head that somebody has seen, as this command prints it; may be given several times
    #[arg(long = "head", value_name = "SEQUENCE:DIGEST")]
    heads: Vec<Head>,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments, io),
        Command::Show(arguments) => show(arguments, io),
        Command::Verify(arguments) => verify(arguments, io),
    }
}

fn list(arguments: &List, io: &mut Io<'_>) -> Result<(), Failure> {
    let place = Place::of(&arguments.place)?;
    let (mut found, mut before) = (Vec::new(), arguments.before);
    let limit = usize::from(arguments.limit);
    loop {
        let page = page(&place, arguments, before, limit - found.len())?;
        found.splice(0..0, page.entries);
        before = page.next;
        if before.is_none() || found.len() >= limit {
            break;
        }
    }
    let mut lines = Vec::new();
    if let Some(before) = before {
        lines.push(format!("There may be earlier ones: --before {before}"));
    }
    lines.extend(found.iter().map(line));
    let text = if lines.is_empty() { "There is no such entry.".into() } else { lines.join("\n") };
    report(io, arguments.json, &found, &text)
}

/// What one answer holds of the list: it may be gone on from there.
fn page(place: &Place, arguments: &List, before: Option<u64>, limit: usize) -> Result<Found, Failure> {
    let List { since, actor, kind, .. } = arguments;
    match place {
        Place::Here(held) => {
            let filter = Filter { since: *since, actor: actor.clone(), action: kind.clone() };
            audit::newest(&held.store, &filter, before, limit).map_err(|error| state_failure(&error.into()))
        }
        Place::Running(server) => {
            let mut path = format!("/api/v1/audit?newest=true&limit={limit}");
            let (since, before) =
                (since.map(|since| since.to_string()), before.map(|before| before.to_string()));
            for (name, value) in [("since", &since), ("actor", actor), ("action", kind), ("before", &before)]
            {
                if let Some(value) = value {
                    let _ = write!(path, "&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
                }
            }
            parse(&get(server, &path)?)
        }
    }
}

fn line(entry: &Entry) -> String {
    let detail: Vec<String> =
        entry.detail.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
    let Entry { sequence, at, action, .. } = entry;
    format!("{sequence:>6}  {at}  {:12}  {action:22}  {}", shown(&entry.actor), detail.join(", "))
        .trim_end()
        .into()
}

fn show(arguments: &Show, io: &mut Io<'_>) -> Result<(), Failure> {
    let number = arguments.number;
    let found = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            audit::entries(&held.store, number - 1, 1).map_err(|error| state_failure(&error.into()))?
        }
        Place::Running(server) => {
            let found: Found = parse(&get(&server, &format!("/api/v1/audit?after={}&limit=1", number - 1))?)?;
            found.entries
        }
    };
    let entry = found.into_iter().find(|entry| entry.sequence == number).ok_or_else(|| {
        Failure::new(
            format!("the audit has no entry {number}"),
            "`perennial-server audit list` shows the newest",
        )
    })?;
    let mut text =
        format!("{number}  {}\n  by      {}\n  done    {}", entry.at, shown(&entry.actor), entry.action);
    for (name, value) in &entry.detail {
        let _ = write!(text, "\n  {name:7} {}", shown(value));
    }
    let head = entry.head().map_err(|error| state_failure(&error.into()))?;
    let _ = write!(text, "\nThe head with it: {head}");
    report(io, arguments.json, &entry, &text)
}

/// Without what would act upon a terminal: reasons are people's words, refusals may hold a stranger's.
fn shown(text: &str) -> String {
    plain(text, usize::MAX)
}

/// A time, or the beginning of a day.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    let day = || format!("{text}T00:00:00Z").parse();
    text.parse().or_else(|_| day()).map_err(|_: TimeError| "write 2026-11-22, or 2026-11-22T20:00:00Z".into())
}

fn verify(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let head: Head = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            audit::verify_against(&held.store, &arguments.heads).map_err(|error| match error {
                StoreError::Corrupt(_) | StoreError::OtherPast(_) => Failure::of(&error, BROKEN),
                other => state_failure(&other.into()),
            })?
        }
        Place::Running(server) => {
            let heads = arguments.heads.iter().map(Head::to_string).collect::<Vec<_>>().join(",");
            parse(&get(&server, &format!("/api/v1/audit/verify?heads={heads}"))?)?
        }
    };
    let through = match arguments.heads.len() {
        0 => String::new(),
        1 => " It leads through the head that was given.".into(),
        count => format!(" It leads through the {count} heads that were given."),
    };
    let text = format!("The audit's chain holds: {} entries.{through}\nIts head: {head}", head.sequence);
    report(io, arguments.json, &head, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_turns_no_line_around() {
        assert_eq!(shown("ok\u{202e}\u{2028}\u{7}"), "ok\u{fffd}\u{fffd}\u{fffd}");
    }
}
