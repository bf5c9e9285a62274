//! `token`: who may use the admin listener. A running server takes a change up at once; otherwise it goes straight into
//! the state. A token's text is shown once, or written into a file for its holder; the server keeps its digest.

use super::{Place, parse, report};
use crate::admin::client::{NOTHING, call, get};
use crate::cli::Where;
use crate::disk;
use crate::failure::Failure;
use crate::io::Io;
use crate::tokens::{Book, Created, Listed, Request, Right, TokensError};
use clap::Subcommand;
use hyper::Method;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token
    Create(Create),
    /// List the tokens, without their texts
    List(List),
    /// Take a token back: from now on it opens nothing
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What the audit calls its holder
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it allows: looking, steering rollouts and devices, or publishing as well
    #[arg(long, value_name = "ROLE")]
    role: Right,
    /// How long it lasts; without end unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: Option<u16>,
    /// Write its text into this file (mode 0600) instead of showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
pub(crate) struct Revoke {
    /// The token's name
    name: String,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create(arguments, io),
        Command::List(arguments) => list(arguments, io),
        Command::Revoke(arguments) => revoke(arguments, io),
    }
}

fn create(arguments: &Create, io: &mut Io<'_>) -> Result<(), Failure> {
    let place = Place::of(&arguments.place)?;
    // Before the token is made, so that none is made that nobody gets to see.
    let file = arguments.out.as_deref().map(|path| private(path).map(|file| (path, file))).transpose()?;
    let request =
        Request { name: arguments.name.clone(), role: arguments.role, days: arguments.days.map(u32::from) };
    let made: Result<Created, Failure> = match &place {
        Place::Here(held) => {
            let book = Book::load(&held.state.tokens_file()).map_err(|error| failure(&error))?;
            book.create(&held.store, &request, "command", (io.now)()).map_err(|error| failure(&error))
        }
        Place::Running(server) => {
            let body = serde_json::to_vec(&request).unwrap_or_default();
            let length = body.len() as u64;
            let sent = Some((std::io::Cursor::new(body), length));
            call(server, Method::POST, "/api/v1/tokens", sent).and_then(|answer| parse(&answer))
        }
    };
    let mut made = made.inspect_err(|_| {
        if let Some((path, _)) = &file {
            let _ = disk::remove(path);
        }
    })?;
    let until = made.token.expires.map_or(String::new(), |expires| format!(" until {expires}"));
    let text = match file {
        Some((path, mut file)) => {
            let line = format!("{}\n", made.text.take().unwrap_or_default());
            let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
            disk::at("write", path, written).map_err(|error| {
                Failure::of(&error, format!("revoke {} and make another token", made.token.name))
            })?;
            format!("The token {} is in {}{until}.", made.token.name, path.display())
        }
        None => format!(
            "{}\nThis is the token {}{until}; it isn't shown again, and the server keeps its digest alone.",
            made.text.as_deref().unwrap_or_default(),
            made.token.name
        ),
    };
    report(io, arguments.json, &made, &text)
}

fn list(arguments: &List, io: &mut Io<'_>) -> Result<(), Failure> {
    let listed: Vec<Listed> = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            Book::load(&held.state.tokens_file()).map_err(|error| failure(&error))?.list((io.now)())
        }
        Place::Running(server) => parse(&get(&server, "/api/v1/tokens")?)?,
    };
    let width = listed.iter().map(|token| token.name.len()).max().unwrap_or(0);
    let line = |token: &Listed| {
        let until = match (token.expires, token.expired) {
            (None, _) => "without end".into(),
            (Some(at), false) => format!("until {at}"),
            (Some(at), true) => format!("EXPIRED at {at}"),
        };
        let since = token.created.map_or_else(|| "made by init".into(), |at| format!("made {at}"));
        format!("{:width$}  {:9}  {since}, {until}", token.name, token.role.word())
    };
    let lines: Vec<String> = listed.iter().map(line).collect();
    let text = if lines.is_empty() { "There is no token.".into() } else { lines.join("\n") };
    report(io, arguments.json, &listed, &text)
}

fn revoke(arguments: &Revoke, io: &mut Io<'_>) -> Result<(), Failure> {
    let revoked: Listed = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            let book = Book::load(&held.state.tokens_file()).map_err(|error| failure(&error))?;
            book.revoke(&held.store, &arguments.name, "command", (io.now)())
                .map_err(|error| failure(&error))?
        }
        Place::Running(server) => {
            let name =
                percent_encoding::utf8_percent_encode(&arguments.name, percent_encoding::NON_ALPHANUMERIC);
            parse(&call(&server, Method::DELETE, &format!("/api/v1/tokens/{name}"), NOTHING)?)?
        }
    };
    report(io, arguments.json, &revoked, &format!("The token {} opens nothing any more.", revoked.name))
}

fn private(path: &Path) -> Result<std::fs::File, Failure> {
    disk::create_private(path).map_err(|error| Failure::of(&error, "name a file that isn't there yet"))
}

fn failure(error: &TokensError) -> Failure {
    Failure::of(error, error.hint())
}
