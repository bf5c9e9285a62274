//! `store`: the records as one file, out of a store and into one; their check; and their move to another engine. What is
//! written is read back before it counts.

use super::{Place, config_of, parse, report, size, state_failure};
use crate::admin::client::{Server, download, get};
use crate::audit::{Event, why};
use crate::cli::Where;
use crate::disk::{self, DiskError};
use crate::failure::Failure;
use crate::io::Io;
use crate::records::archive::{self, ArchiveError};
use crate::records::check::{Checked, check};
use crate::records::{Summary, copy, restored};
use crate::state::{State, StateError};
use crate::store::{Engine, Store};
use clap::Subcommand;
use serde::Serialize;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Read and written at once.
const BUFFER: usize = 256 << 10;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write all records into one file, from the running server or from its state
    Export(Export),
    /// Fill an empty store from an export
    Import(Import),
    /// Read every record and walk the audit's chain
    Check(Check),
    /// Say that the records were brought back from an older copy by other means than an import
    Restored(Restored),
    /// Move all records to another engine; all arrive, or nothing has changed
    Migrate(Migrate),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The file to write; it must not exist
    to: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The export
    from: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restored {
    /// Where from; the audit keeps it
    #[arg(long = "reason", visible_alias = "why", value_name = "WORDS")]
    why: String,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// The engine to move to
    #[arg(long, value_name = "ENGINE")]
    to: Engine,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was moved.
#[derive(Debug, Serialize)]
struct Moved {
    #[serde(flatten)]
    summary: Summary,
    /// The export's digest, where there is one.
    sha256: Option<crate::blobs::Digest>,
    engine: Option<Engine>,
    /// Where the records lie that were moved away.
    aside: Option<PathBuf>,
    /// The file with the URL of the database that still holds them: to remove them from it is its owner's business.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_in: Option<PathBuf>,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    match command {
        Command::Export(arguments) => export(arguments, io),
        Command::Import(arguments) => import(arguments, io),
        Command::Check(arguments) => look(arguments, io),
        Command::Restored(arguments) => say_restored(arguments, io),
        Command::Migrate(arguments) => migrate(arguments, io),
    }
}

/// What whoever restores older records has to know.
const FORGOTTEN: &str = "They have forgotten what came after them: reports that were acknowledged, quarantines, and what was done by hand.\n\
    Do again what was done since, before the server starts: revocations of devices (device revoke ID --unknown, where these records\n\
    have never heard of one), pauses and halts of rollouts, erasures. Rollouts that are open in these records are paused when it\n\
    starts, until somebody resumes them: rollout explain says what to look at first.\n\
    Tokens and the maker's revocation list are files beside them: where older ones came back too, tokens that were revoked since are\n\
    good again (look at token list, and revoke them), and the newest list has to be put in place.\n\
    Devices go on with what they have; one whose identity is in two places is found again: its quarantine is raised anew by what it does.";

fn export(arguments: &Export, io: &mut Io<'_>) -> Result<(), Failure> {
    let state = State::of(&config_of(&arguments.place)?);
    if disk::exists(&arguments.to) {
        let what = format!("{} exists already", arguments.to.display());
        return Err(Failure::new(what, "name a file that isn't there yet"));
    }
    let mut name = arguments.to.clone().into_os_string();
    name.push(".part");
    let part = PathBuf::from(name);
    let written = written(&state, &part, io)
        .and_then(|()| read_back(&part))
        .and_then(|found| rename(&part, &arguments.to).map_err(|error| unwritable(&error)).map(|()| found));
    let (summary, digest) = written.inspect_err(|_| drop(disk::remove(&part)))?;
    let text = format!(
        "{} records are in {}: {}.\nIts digest: {digest}\nThe keys of this server and its tokens are not in it: back up {} as well.",
        summary.records,
        arguments.to.display(),
        size(summary.bytes),
        state.keys().display()
    );
    let moved = Moved { summary, sha256: Some(digest), engine: None, aside: None, left_in: None };
    report(io, arguments.json, &moved, &text)
}

fn written(state: &State, part: &Path, io: &Io<'_>) -> Result<(), Failure> {
    let create = || {
        disk::remove(part)?;
        disk::create_private(part)
    };
    let mut out = BufWriter::with_capacity(BUFFER, create().map_err(|error| unwritable(&error))?);
    match state.hold() {
        Ok(held) => {
            archive::write(&held.store, (io.now)(), &mut out).map_err(|error| archive_failure(&error))?;
        }
        Err(StateError::Held(_)) if disk::exists(&state.socket()) => {
            download(&Server::Socket(state.socket()), "/api/v1/store/export", &mut out)?;
        }
        Err(error) => return Err(state_failure(&error)),
    }
    let synced = out.flush().and_then(|()| out.get_ref().sync_all());
    disk::at("write", part, synced).map_err(|error| unwritable(&error))
}

fn read_back(path: &Path) -> Result<(Summary, crate::blobs::Digest), Failure> {
    let file = disk::open(path).map_err(|error| unwritable(&error))?;
    let found = archive::read(&mut BufReader::with_capacity(BUFFER, file), &mut |_, _, _| Ok(()));
    found.map_err(|error| archive_failure(&error))
}

fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    disk::rename(from, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    disk::sync_folder(folder.unwrap_or(Path::new(".")))
}

fn import(arguments: &Import, io: &mut Io<'_>) -> Result<(), Failure> {
    let state = State::of(&config_of(&arguments.place)?);
    let hint = "name a file that `perennial-server store export` wrote";
    let file = disk::open(&arguments.from).map_err(|error| Failure::of(&error, hint))?;
    let _lock = state.try_lock().map_err(|error| stop_first(&error))?;
    let engine = state.engine().map_err(|error| state_failure(&error))?;
    let store = empty(&state, engine)?;
    let now = (io.now)();
    let mut input = BufReader::with_capacity(BUFFER, file);
    let taken = copy::import(&mut input, &store, |summary, digest| {
        let detail = [("records", summary.records.to_string()), ("sha256", digest.to_string())];
        Event::new(now, "command", "store.imported", &detail)
    });
    drop(store);
    let (summary, digest) = taken.map_err(|error| {
        // What came in before the fault stays marked as a part until the next import clears it away.
        let _ = state.clear(engine);
        archive_failure(&error)
    })?;
    state.set_engine(engine).map_err(|error| unwritable(&error))?;
    let text = format!(
        "{} records are in the store ({engine}): {}.\n{FORGOTTEN}",
        summary.records,
        size(summary.bytes)
    );
    report(
        io,
        arguments.json,
        &Moved { summary, sha256: Some(digest), engine: Some(engine), aside: None, left_in: None },
        &text,
    )
}

/// A database's own copy, or the state folder out of a backup.
fn say_restored(arguments: &Restored, io: &mut Io<'_>) -> Result<(), Failure> {
    let state = State::of(&config_of(&arguments.place)?);
    if !why::is_reason(&arguments.why) {
        let what = format!("a reason has 1 to {} characters, in one line", why::LENGTH);
        return Err(Failure::new(what, "say in a few words where the records came from"));
    }
    let held = state.hold().map_err(|error| stop_first(&error))?;
    let event = Event::new((io.now)(), "command", "store.restored", &[("why", arguments.why.clone())]);
    restored::note(&held.store, &event).map_err(|error| state_failure(&error.into()))?;
    report(io, arguments.json, &(), &format!("These records were restored from an older copy.\n{FORGOTTEN}"))
}

fn look(arguments: &Check, io: &mut Io<'_>) -> Result<(), Failure> {
    let checked: Checked = match Place::of(&arguments.place)? {
        Place::Here(held) => check(&held.store).map_err(|error| state_failure(&error.into()))?,
        Place::Running(server) => parse(&get(&server, "/api/v1/store/check")?)?,
    };
    let Summary { records, bytes, contents, .. } = &checked.summary;
    let mut text = format!("{records} records, {}; contents {contents}", size(*bytes));
    for (space, count) in checked.summary.spaces.iter().filter(|(_, count)| **count > 0) {
        text += &format!("\n  {space:12} {count}");
    }
    if let Some(head) = checked.audit {
        text += &format!("\nThe audit's chain holds; its head: {head}");
    }
    for fault in &checked.faults {
        text += &format!("\nFAULT: {fault}");
    }
    report(io, arguments.json, &checked, &text)?;
    match checked.wrong {
        0 => Ok(()),
        wrong => {
            let first = checked.faults.first().map_or("", String::as_str);
            let hint = "bring back an export: perennial-server store import, into a new state folder";
            Err(Failure::new(format!("{wrong} records are damaged, the first: {first}"), hint))
        }
    }
}

fn migrate(arguments: &Migrate, io: &mut Io<'_>) -> Result<(), Failure> {
    let config = config_of(&arguments.place)?;
    let (state, to) = (State::of(&config).any_engine(), arguments.to);
    let _lock = state.try_lock().map_err(|error| stop_first(&error))?;
    let from = state.engine().map_err(|error| state_failure(&error))?;
    if from == to {
        return Err(Failure::new(format!("the records are in {to} already"), "there is nothing to move"));
    }
    let source = state.open(from).map_err(|error| state_failure(&error))?;
    if copy::is_unfinished(&source).map_err(|error| state_failure(&error.into()))? {
        return Err(state_failure(&crate::store::StoreError::Unfinished.into()));
    }
    let target = empty(&state, to)?;
    let now = (io.now)();
    let summary = copy::copy(&source, &target, |summary| {
        let detail = [
            ("from", from.to_string()),
            ("to", to.to_string()),
            ("records", summary.records.to_string()),
            ("contents", summary.contents.to_string()),
        ];
        Event::new(now, "command", "store.migrated", &detail)
    });
    let summary = summary.map_err(|error| archive_failure(&error))?;
    drop((source, target));
    // From here on the records are in the new engine; the old ones are put where nobody takes them for the truth.
    state.set_engine(to).map_err(|error| unwritable(&error))?;
    let aside = state.put_aside(from, now).map_err(|error| unwritable(&error))?;
    let mut text = format!("{} records are in {to} now: {}.", summary.records, size(summary.bytes));
    if let Some(aside) = &aside {
        text += &format!("\nWhat {from} held lies in {} and may be removed.", aside.display());
    }
    let left_in = config.store.url_file.clone().filter(|_| from == Engine::Postgres);
    if let Some(url) = &left_in {
        text += &format!(
            "\nWhat {from} held is still in the database that {} names: drop it there once {to} is in use, as nothing that is erased later is erased in it.",
            url.display()
        );
    }
    if config.store.engine == Some(from) {
        text += &format!("\nNext: set store.engine = \"{to}\" in the configuration.");
    }
    report(io, arguments.json, &Moved { summary, sha256: None, engine: Some(to), aside, left_in }, &text)
}

/// The store of an engine with nothing in it; what an unfinished copy left is cleared away.
fn empty(state: &State, engine: Engine) -> Result<Arc<dyn Store>, Failure> {
    let failed = |error: StateError| state_failure(&error);
    let store = state.open(engine).map_err(failed)?;
    if copy::is_unfinished(&store).map_err(|error| failed(error.into()))? {
        drop(store);
        state.clear(engine).map_err(failed)?;
        return state.open(engine).map_err(failed);
    }
    if copy::is_empty(&store).map_err(|error| failed(error.into()))? {
        return Ok(store);
    }
    let what = format!("there are records in {engine} already");
    Err(Failure::new(what, "name a new state folder (perennial-server init), or put that store aside"))
}

fn stop_first(error: &StateError) -> Failure {
    match error {
        StateError::Held(_) => Failure::of(error, "stop the server first: this needs the store for itself"),
        other => state_failure(other),
    }
}

fn unwritable(error: &DiskError) -> Failure {
    Failure::of(error, "mend what the system says, or name another place")
}

fn archive_failure(error: &ArchiveError) -> Failure {
    let hint = match error {
        ArchiveError::Store(error) => error.hint().unwrap_or("mend what it says, then try again"),
        ArchiveError::Write(_) => "make room, or write to another disk",
        ArchiveError::Unknown(_) => "name a file that `perennial-server store export` wrote",
        ArchiveError::Read(_) | ArchiveError::Damaged(_) => "use another copy; nothing of this one was kept",
        ArchiveError::Differs(_) => "look at the disk, then run the command again: it begins anew",
    };
    Failure::of(error, hint)
}
