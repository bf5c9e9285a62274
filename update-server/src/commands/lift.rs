//! `device lift`: the quarantine of one device; or of all that one mishap put there, such as records that were restored or a
//! clock that was wrong. Each is lifted, and stands in the audit, by itself.

use super::audit::since;
use super::device::{failure, json, post};
use super::{Place, parse, report};
use crate::admin::client::get;
use crate::admin::devices::{DEVICES, DeviceError, Devices, Reason, Shown, lifted};
use crate::cli::Where;
use crate::failure::Failure;
use crate::fleet::desk::{self, Filter};
use crate::fleet::row::Standing;
use crate::io::Io;
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, Flag};
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub(crate) struct Lift {
    /// The device's id
    #[arg(required_unless_present = "all_of", conflicts_with = "all_of")]
    device: Option<DeviceId>,
    /// Instead of one device: all that only this flag keeps in quarantine (sequence-forked, ticket-forked, superseded-certificate)
    #[arg(long, value_name = "FLAG", requires = "since", value_parser = flag)]
    all_of: Option<Flag>,
    /// Where it was first seen at that time or later, as 2026-11-22 or 2026-11-22T20:00:00Z
    #[arg(long, value_name = "TIME", requires = "all_of", value_parser = since)]
    since: Option<Timestamp>,
    /// Lift them: without this they are only named
    #[arg(long, requires = "all_of")]
    yes: bool,
    /// Why; the audit keeps it
    #[arg(long = "reason", visible_alias = "why", value_name = "WORDS")]
    why: String,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What became of many.
#[derive(Debug, Serialize)]
struct Many {
    /// Those that are meant, or whose quarantine was lifted.
    devices: Vec<DeviceId>,
    /// Whether it was.
    changed: bool,
    /// How many others are in quarantine.
    others: u64,
}

pub(super) fn lift(arguments: &Lift, io: &mut Io<'_>) -> Result<(), Failure> {
    let place = Place::of(&arguments.place)?;
    match (&arguments.device, arguments.all_of, arguments.since) {
        (Some(device), ..) => one(&place, device, arguments, io),
        (None, Some(flag), Some(since)) => many(&place, flag, since, arguments, io),
        _ => Err(Failure::new("no device is named", "name one, or --all-of FLAG --since TIME")),
    }
}

fn one(place: &Place, device: &DeviceId, arguments: &Lift, io: &mut Io<'_>) -> Result<(), Failure> {
    let done = lift_one(place, device, &arguments.why, io)?;
    let text = if done["changed"] == true {
        format!("{device} is quarantined no longer: what it reports from now on counts.")
    } else {
        format!("{device} wasn't quarantined; nothing was changed.")
    };
    report(io, arguments.json, &done, &text)
}

fn lift_one(place: &Place, device: &DeviceId, why: &str, io: &Io<'_>) -> Result<Value, Failure> {
    match place {
        Place::Here(held) => {
            let done = lifted(&held.store, device.clone(), "command", why, (io.now)());
            json(&done.map_err(|error| failure(&error))?)
        }
        Place::Running(server) => post(server, device, "lift", &Reason { why: why.to_owned() }),
    }
}

fn many(
    place: &Place,
    flag: Flag,
    since: Timestamp,
    arguments: &Lift,
    io: &mut Io<'_>,
) -> Result<(), Failure> {
    let (mut devices, mut others) = (Vec::new(), 0);
    for device in quarantined(place)? {
        match only(&held(place, &device)?, flag, since) {
            true => devices.push(device),
            false => others += 1,
        }
    }
    if arguments.yes {
        for device in &devices {
            lift_one(place, device, &arguments.why, io)?;
        }
    }
    let count = devices.len();
    let what = format!("{flag} alone, first seen at {since} or later");
    let mut text = match (count, arguments.yes) {
        (0, _) => format!("No device is in quarantine by {what}."),
        (_, true) => format!("{count} devices are quarantined no longer; each has its entry in the audit."),
        (_, false) => {
            let named: String = devices.iter().map(|device| format!("\n  {device}")).collect();
            format!(
                "{count} devices are in quarantine by {what}:{named}\nNothing was changed. Look at some of them (device show): a copy that came at that time is among them, too. Then add --yes."
            )
        }
    };
    if others > 0 {
        text += &format!("\n{others} more are in quarantine by something else, or were before.");
    }
    report(io, arguments.json, &Many { changed: arguments.yes && count > 0, devices, others }, &text)
}

/// All that are in quarantine.
fn quarantined(place: &Place) -> Result<Vec<DeviceId>, Failure> {
    let (mut found, mut after) = (Vec::new(), None::<DeviceId>);
    loop {
        let page: Value = match place {
            Place::Here(held) => {
                let filter = Filter { standing: Some(Standing::Quarantined), ..Filter::default() };
                let page = desk::list(&held.store, &filter, after.as_ref(), DEVICES);
                json(&Devices::from(page.map_err(|error| failure(&error.into()))?))?
            }
            Place::Running(server) => {
                let after = after.map_or(String::new(), |after| format!("&after={after}"));
                parse(&get(server, &format!("/api/v1/devices?standing=quarantined&limit={DEVICES}{after}"))?)?
            }
        };
        let id = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        found.extend(page["devices"].as_array().into_iter().flatten().filter_map(|one| id(&one["device"])));
        after = id(&page["next"]);
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// What is held on a device, without its reports.
fn held(place: &Place, device: &DeviceId) -> Result<Value, Failure> {
    match place {
        Place::Here(held) => {
            let shown = desk::show(&held.store, device, None, 0).map_err(|error| failure(&error.into()))?;
            json(&shown.map(Shown::from).ok_or_else(|| failure(&DeviceError::Unknown(device.clone())))?)
        }
        Place::Running(server) => parse(&get(server, &format!("/api/v1/devices/{device}?reports=0"))?),
    }
}

/// Whether one flag alone keeps a device in quarantine, and was first seen then or later.
fn only(held: &Value, flag: Flag, since: Timestamp) -> bool {
    let first = |one: Flag| held["flags"][one.as_str()]["first"].as_str()?.parse::<Timestamp>().ok();
    first(flag).is_some_and(|first| first >= since)
        && Flag::ALL.iter().all(|one| *one == flag || !one.is_of_a_clone() || first(*one).is_none())
}

/// A flag that quarantines.
fn flag(text: &str) -> Result<Flag, String> {
    let mut quarantining = Flag::ALL.iter().copied().filter(|flag| flag.is_of_a_clone());
    let found = quarantining.find(|flag| flag.as_str() == text);
    found.ok_or_else(|| "write sequence-forked, ticket-forked or superseded-certificate".into())
}
