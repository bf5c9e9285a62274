//! `quickstart`: plays the story; under the name of one of the tools it is that tool.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use perennial_examples::stage::{Result, Stage};
use perennial_examples::{images, story, tools};

/// The main job, from keys to a device that falls back, in one command.
#[derive(Debug, Parser)]
#[command(name = "quickstart", version)]
struct Arguments {
    /// Your own images: the release that devices have, and the next one.
    #[arg(long, requires = "new", value_name = "FILE")]
    old: Option<PathBuf>,
    /// The next release.
    #[arg(long, requires = "old", value_name = "FILE")]
    new: Option<PathBuf>,
    /// The folder for everything; it must be empty or absent.
    #[arg(long, default_value = "perennial-quickstart", value_name = "DIR")]
    dir: PathBuf,
    /// End when the story ends, in place of serving on until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if let Some(status) = tools::run_as(Path::new(&name), std::env::args_os()) {
        return status;
    }
    match play(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn play(arguments: &Arguments) -> Result {
    let stage = Stage::open(&arguments.dir)?;
    let folder = stage.path("images");
    std::fs::create_dir(&folder)?;
    let images = match (&arguments.old, &arguments.new) {
        (Some(old), Some(new)) => images::of_the_user(&folder, old, new)?,
        _ => images::of_this_machine(&folder)?,
    };
    story::play(stage, &images, arguments.exit)
}
