//! `export-site`: everything that is served, as a folder that a plain web server, a USB stick or a device's folder
//! adapter can serve from, or as one file of the bundle's form. It copies what is served, byte for byte.

use super::{config_of, current, report};
use crate::admin::Whole;
use crate::cli::Where;
use crate::export::{self, ExportError, PagesOf};
use crate::failure::Failure;
use crate::io::Io;
use crate::state::State;
use serde::Serialize;
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
    timestamp_expires: Option<perennial_schemas::Timestamp>,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let config = config_of(&arguments.place)?;
    let state = State::of(&config);
    let Whole { generation, timestamp, rollouts } = current(&state, (io.now)())?;
    let timestamp = timestamp.into_bytes();
    let blobs = state.blobs();
    let as_file = arguments.to.extension().is_some_and(|end| end == "site" || end == "bundle");
    let pages = PagesOf { now: (io.now)(), public: config.serve.public.trim_end_matches('/') };
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
    };
    let until = timestamp_expires.map_or(String::new(), |until| format!(" Devices take it until {until}."));
    let text = format!(
        "Generation {} is in {}: {} files, {} bytes.{until}",
        exported.generation,
        exported.to.display(),
        exported.files,
        exported.bytes
    );
    report(io, arguments.json, &exported, &text)
}
