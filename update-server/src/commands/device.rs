//! `device`: which devices there are, what is held on one, why one isn't updating, and to revoke or erase one. Through the
//! running server's socket, or over the store that it left.

use super::lift::{self, Lift};
use super::{Place, config_of, parse, report};
use crate::admin::client::{NOTHING, Server, call, get};
use crate::admin::devices::{
    DEVICES, DeviceError, Devices, REPORTS, Revocation, Shown, explained, revoked, standing,
};
use crate::cli::Where;
use crate::failure::Failure;
use crate::fleet::desk::{self, Cursor, Filter};
use crate::fleet::lists::ByMaker;
use crate::fleet::row::Standing;
use crate::fleet::trust::{Files, Trust};
use crate::io::Io;
use crate::server::StartError;
use clap::Subcommand;
use hyper::Method;
use perennial_device_core::report::plain;
use perennial_schemas::fleet::DeviceId;
use perennial_schemas::report::FailureCode;
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List devices by id
    List(List),
    /// Show everything that is held on a device, its newest reports first
    Show(Show),
    /// Say why a device isn't updating, as far as the server knows
    Explain(One),
    /// Revoke a device: nothing of the fleet plane opens for it any more
    Revoke(Revoke),
    /// Lift a quarantine: what spoke for a copied identity is taken off, and what it reports from then on counts
    Lift(Lift),
    /// Erase what is held on a device, and print the receipt
    Erase(Erase),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Of this product only
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// Of this standing only: enrolled, quarantined, revoked or lab; `device show` says what a quarantine means
    #[arg(long, value_name = "STANDING", value_parser = |word: &str| standing(word).ok_or("enrolled, quarantined, revoked or lab"))]
    standing: Option<Standing>,
    /// Only those whose identity seems to be in two places: --standing quarantined
    #[arg(long, conflicts_with = "standing")]
    quarantined: bool,
    /// Only those with something odd
    #[arg(long)]
    flagged: bool,
    /// Devices after this id: the next page
    #[arg(long, value_name = "ID")]
    after: Option<DeviceId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=DEVICES as i64))]
    limit: u16,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The device's id
    device: DeviceId,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    one: One,
    /// Reports before this one: the next page, as the one before it says
    #[arg(long, value_name = "EPOCH.SEQUENCE")]
    before: Option<Cursor>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    one: One,
    /// Why; the audit keeps it
    #[arg(long = "reason", visible_alias = "why", value_name = "WORDS")]
    why: String,
    /// Also where no such device is known, as after older records were restored: it can't enrol then
    #[arg(long)]
    unknown: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Erase {
    #[command(flatten)]
    one: One,
    /// Do it: what is erased can't be brought back
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments, io),
        Command::Show(arguments) => show(arguments, io),
        Command::Explain(arguments) => explain(arguments, io),
        Command::Revoke(arguments) => revoke(arguments, io),
        Command::Lift(arguments) => lift::lift(arguments, io),
        Command::Erase(arguments) => erase(arguments, io),
    }
}

fn list(arguments: &List, io: &mut Io<'_>) -> Result<(), Failure> {
    let List { product, flagged, after, limit, .. } = arguments;
    let standing = &arguments.standing.or(arguments.quarantined.then_some(Standing::Quarantined));
    let page = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            let by_maker = by_maker(&arguments.place)?;
            let filter =
                Filter { product: product.clone(), standing: *standing, flagged: *flagged, by_maker };
            let page = desk::list(&held.store, &filter, after.as_ref(), usize::from(*limit));
            json(&Devices::from(page.map_err(|error| failure(&error.into()))?))?
        }
        Place::Running(server) => {
            let mut path = format!("/api/v1/devices?limit={limit}&flagged={flagged}");
            let standing = standing.map(|standing| standing.as_str().to_owned());
            let after = after.as_ref().map(ToString::to_string);
            for (name, value) in [("product", product.clone()), ("standing", standing), ("after", after)] {
                if let Some(value) = value {
                    let value =
                        percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
                    let _ = write!(path, "&{name}={value}");
                }
            }
            parse(&get(&server, &path)?)?
        }
    };
    let devices = page["devices"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<String> = devices.iter().map(line).collect();
    for damaged in page["damaged"].as_array().into_iter().flatten() {
        lines.push(format!("{}  its record is damaged: nothing can be said of it", text(damaged)));
    }
    if let Some(next) = page["next"].as_str() {
        lines.push(format!("There may be more: --after {next}"));
    }
    let any = product.is_none() && standing.is_none() && !flagged && after.is_none();
    let none = if any { "No device is known yet." } else { "No such device is known." };
    let text = if lines.is_empty() { none.into() } else { lines.join("\n") };
    report(io, arguments.json, &page, &text)
}

/// Whom the maker's lists revoke, where no server runs that has read them.
fn by_maker(place: &Where) -> Result<ByMaker, Failure> {
    let fleet = config_of(place)?.fleet;
    let Some(ca) = fleet.ca else { return Ok(ByMaker::default()) };
    let files = Files { ca, revocations: fleet.revocations };
    let trust = Trust::load(files).map_err(|error| {
        let error = StartError::from(error);
        Failure::of(&error, error.hint())
    })?;
    Ok(ByMaker(Some(Arc::new(trust))))
}

fn line(device: &Value) -> String {
    let flags = words(&device["flags"]);
    let flags = if flags.is_empty() { String::new() } else { format!("  [{flags}]") };
    format!(
        "{}  {:11}  {} {}  {:10}  {}{flags}",
        text(&device["device"]),
        text(&device["standing"]),
        text(&device["product"]),
        text(&device["hardware"]),
        device["version"].as_str().unwrap_or("-"),
        text(&device["last_seen"]),
    )
}

fn show(arguments: &Show, io: &mut Io<'_>) -> Result<(), Failure> {
    let Show { one: arguments, before } = arguments;
    let device = &arguments.device;
    let held = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            let shown =
                desk::show(&held.store, device, *before, REPORTS).map_err(|error| failure(&error.into()))?;
            let shown = shown.ok_or_else(|| failure(&DeviceError::Unknown(device.clone())))?;
            json(&Shown::from(shown.with(&by_maker(&arguments.place)?)))?
        }
        Place::Running(server) => {
            let before = before.map_or(String::new(), |before| format!("&before={before}"));
            parse(&get(&server, &format!("/api/v1/devices/{device}?reports={REPORTS}{before}"))?)?
        }
    };
    let mut out = format!(
        "{device} is {}: {} {}\n",
        text(&held["standing"]),
        text(&held["product"]),
        text(&held["hardware"])
    );
    if held["epoch"] == 0 && held["lab"] == false {
        let _ = writeln!(out, "nothing more is known of it");
    } else {
        let (first, last) = (text(&held["first_seen"]), text(&held["last_seen"]));
        let _ = writeln!(out, "first heard of {first}, last {last}");
    }
    if let Some(revoked) = held["revoked"].as_object() {
        let (at, by, why) = (text(&revoked["at"]), text(&revoked["by"]), text(&revoked["why"]));
        let _ = writeln!(out, "revoked at {at} by {by}: {why}");
    }
    if held["revoked_by_maker"] == true {
        let _ = writeln!(out, "revoked by the maker's list, which names its factory certificate");
    }
    if let Some(last) = held["check_in"].as_object() {
        let _ = writeln!(out, "runs {} of channel {}", text(&last["version"]), text(&last["channel"]));
    }
    if let Some(gaps) = held["gaps"].as_u64().filter(|gaps| *gaps > 0) {
        let _ = writeln!(out, "{gaps} of its reports never came here");
    }
    quarantine(&held["quarantine"], &mut out);
    for event in held["events"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  {}.{}  {}  {} {}{}",
            event["epoch"],
            event["sequence"],
            text(&event["at"]),
            text(&event["outcome"]),
            text(&event["version"]),
            failed(event)
        );
    }
    if let Some(damaged) = held["damaged"].as_u64() {
        let _ = writeln!(out, "  {damaged} reports among these are damaged and can't be shown");
    }
    if let Some(next) = held["next"].as_str() {
        let _ = writeln!(out, "  There are earlier ones: --before {next}");
    }
    report(io, arguments.json, &held, out.trim_end())
}

fn quarantine(quarantine: &Value, out: &mut String) {
    let Some(means) = quarantine["means"].as_str() else { return };
    let _ = writeln!(out, "In quarantine: {means}.");
    for evidence in quarantine["evidence"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  - {}", text(evidence));
    }
    ways(&quarantine["ways"], out);
}

fn ways(ways: &Value, out: &mut String) {
    for (at, way) in ways.as_array().into_iter().flatten().enumerate() {
        let _ = writeln!(
            out,
            "{}{}",
            if at == 0 { "What can be done (each with --config FILE or --state DIR):\n  - " } else { "  - " },
            text(way)
        );
    }
}

fn explain(arguments: &One, io: &mut Io<'_>) -> Result<(), Failure> {
    let device = &arguments.device;
    let why = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            let by_maker = by_maker(&arguments.place)?;
            let why = explained(&held.store, &held.state, &by_maker, device.clone(), (io.now)());
            json(&why.map_err(|error| failure(&error))?)?
        }
        Place::Running(server) => parse(&get(&server, &format!("/api/v1/devices/{device}/explain"))?)?,
    };
    let reasons = why["reasons"].as_array().cloned().unwrap_or_default();
    let mut text = if reasons.is_empty() {
        format!(
            "{device} is {}: nothing that this server knows speaks against its updating.",
            text(&why["standing"])
        )
    } else {
        let reasons: Vec<String> = reasons.iter().map(|reason| format!("  - {}", text(reason))).collect();
        format!("{device} is {}:\n{}", text(&why["standing"]), reasons.join("\n"))
    };
    for place in why["rollouts"].as_array().into_iter().flatten() {
        let _ = write!(text, "\nRollout of {}.", self::text(place));
    }
    text.push('\n');
    ways(&why["ways"], &mut text);
    report(io, arguments.json, &why, text.trim_end())
}

fn revoke(arguments: &Revoke, io: &mut Io<'_>) -> Result<(), Failure> {
    let Revoke { one: arguments, why, unknown } = arguments;
    let device = &arguments.device;
    let revocation = Revocation { why: why.clone(), unknown: *unknown };
    let done = match Place::of(&arguments.place)? {
        Place::Here(held) => {
            let done = revoked(&held.store, device.clone(), "command", &revocation, (io.now)());
            json(&done.map_err(|error| failure(&error))?)?
        }
        Place::Running(server) => post(&server, device, "revoke", &revocation)?,
    };
    let text = if done["changed"] == true {
        format!("{device} is revoked: nothing of the fleet plane opens for it any more.")
    } else {
        format!("{device} was revoked before; nothing was changed.")
    };
    report(io, arguments.json, &done, &text)
}

/// Sends a reason to a running server.
pub(super) fn post<T: serde::Serialize>(
    server: &Server,
    device: &DeviceId,
    what: &str,
    body: &T,
) -> Result<Value, Failure> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let length = body.len() as u64;
    let sent = Some((std::io::Cursor::new(body), length));
    parse(&call(server, Method::POST, &format!("/api/v1/devices/{device}/{what}"), sent)?)
}

fn erase(arguments: &Erase, io: &mut Io<'_>) -> Result<(), Failure> {
    let device = &arguments.one.device;
    if !arguments.yes {
        let what = format!("nothing was erased: what is held on {device} can't be brought back");
        return Err(Failure::new(what, "look at it first (device show), then add --yes"));
    }
    let receipt = match Place::of(&arguments.one.place)? {
        Place::Here(held) => {
            let erased = desk::erase(&held.store, device, "command", (io.now)());
            let erased = erased.map_err(|error| failure(&error.into()))?;
            json(&erased.ok_or_else(|| failure(&DeviceError::Unknown(device.clone())))?)?
        }
        Place::Running(server) => {
            parse(&call(&server, Method::DELETE, &format!("/api/v1/devices/{device}"), NOTHING)?)?
        }
    };
    let mut out = format!("{device} is erased: {} reports.", receipt["erased"]["reports"]);
    for kept in receipt["kept"].as_array().into_iter().flatten() {
        let _ = write!(out, "\nKept: {}", text(kept));
    }
    report(io, arguments.one.json, &receipt, &out)
}

/// What a report says of a failure: the code with its meaning, and the device's own words.
fn failed(event: &Value) -> String {
    let number = event["failure"].as_u64().and_then(|number| u16::try_from(number).ok());
    let code = number.map(FailureCode::from);
    let code = code.map(|code| format!("  {}: {}", code.number(), code.text()));
    let detail = event["detail"].as_str().filter(|detail| !detail.is_empty());
    let detail = detail.map(|_| format!("  {}", text(&event["detail"])));
    code.into_iter().chain(detail).collect()
}

/// A text without what would act upon a terminal, or hide on it: devices wrote some of it.
fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or("-"), usize::MAX)
}

fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().map(text);
    words.collect::<Vec<_>>().join(", ")
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::of(&error, "report this"))
}

pub(super) fn failure(error: &DeviceError) -> Failure {
    Failure::of(error, error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_wrote_turns_no_line_around() {
        assert_eq!(text(&"ok\u{202e}\u{2028}\u{1b}[2J".into()), "ok\u{fffd}\u{fffd}\u{fffd}[2J");
        assert_eq!(text(&Value::Null), "-");
    }
}
