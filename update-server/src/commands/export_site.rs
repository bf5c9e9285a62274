//! `export-site`: everything that is served, as a folder that a plain web server, a USB stick or a device's folder
//! adapter can serve from, or as one file of the bundle's form. It copies what is served, byte for byte.

use super::{config_of, current, report};
use crate::admin::Whole;
use crate::cli::Where;
use crate::export::{self, ExportError, PagesOf};
use crate::failure::Failure;
use crate::io::Io;
use crate::state::State;
use crate::support::Face;
use perennial_schemas::rollout::RolloutStatus;
use perennial_schemas::tuf::Role as _;
use perennial_schemas::{Signed, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder that is empty or isn't there; or, ending in .bundle or .site, one file
    to: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Exported {
    to: PathBuf,
    generation: u64,
    files: usize,
    bytes: u64,
    timestamp_expires: Option<Timestamp>,
    /// Until when each status of a rollout counts that is in it, by its path.
    rollouts_expire: BTreeMap<String, Timestamp>,
    /// Since when the statuses don't count that were left out for that.
    rollouts_expired: BTreeMap<String, Timestamp>,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let config = config_of(&arguments.place)?;
    let state = State::of(&config);
    let Whole { generation, timestamp, rollouts, rollouts_expired } = current(&state, (io.now)())?;
    let timestamp = timestamp.into_bytes();
    let blobs = state.blobs();
    let as_file = arguments.to.extension().is_some_and(|end| end == "site" || end == "bundle");
    let face = Face::of(&config);
    let pages = PagesOf { now: (io.now)(), face: &face };
    let written = if as_file {
        export::file(&generation, &timestamp, &rollouts, &blobs, &arguments.to, pages.now)
    } else {
        export::folder(&generation, &timestamp, &rollouts, &blobs, &arguments.to, &pages)
    };
    let bytes = written.map_err(|error| {
        let hint = match &error {
            ExportError::NotEmpty(_) => "name a new folder, or a file that ends in .bundle or .site",
            ExportError::Disk(error) if error.is_full() => "make room, or export to another disk",
            _ => "mend what the system says, then export again",
        };
        Failure::of(&error, hint)
    })?;
    let timestamp_expires = crate::freshness::read(&timestamp).ok().map(|(fresh, _)| fresh.expires);
    let exported = Exported {
        to: arguments.to.clone(),
        generation: generation.number,
        files: generation.files.len() + 1 + rollouts.len(),
        bytes,
        timestamp_expires,
        rollouts_expire: rollouts
            .iter()
            .filter_map(|(path, status)| Some((path.clone(), expiry(status)?)))
            .collect(),
        rollouts_expired,
    };
    let until = timestamp_expires.map_or(String::new(), |until| format!(" Devices take it until {until}."));
    let rollouts = exported.rollouts();
    let text = format!(
        "Generation {} is in {}: {} files, {} bytes.{until}{rollouts}",
        exported.generation,
        exported.to.display(),
        exported.files,
        exported.bytes
    );
    report(io, arguments.json, &exported, &text)
}

fn expiry(status: &str) -> Option<Timestamp> {
    Some(Signed::<RolloutStatus>::parse(status.as_bytes()).ok()?.unverified().expires())
}

impl Exported {
    /// What becomes of rollouts where devices take the export, a line for each.
    fn rollouts(&self) -> String {
        let with = self.rollouts_expire.iter().map(|(path, until)| {
            format!(
                "\nWith {path}, which counts until {until}: from then on devices whose turn has come wait."
            )
        });
        let without = self.rollouts_expired.iter().map(|(path, since)| {
            format!(
                "\nWithout {path}, which expired at {since}: devices that take the export wait with that release. Start the server, which signs it anew, and export again."
            )
        });
        with.chain(without).collect()
    }
}
