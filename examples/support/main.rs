//! `support-example`: a maker with a product in every state of support, and its public pages.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use perennial_examples::maker::Maker;
use perennial_examples::stage::Result;

/// Builds the maker of examples/support/ and serves its pages until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "support-example", version)]
struct Arguments {
    /// The folder for everything; it must be empty or absent.
    #[arg(long, default_value = "perennial-support", value_name = "DIR")]
    dir: PathBuf,
    /// The port on 127.0.0.1 to serve at.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,
    /// Write the pages as files into DIR/site and end, in place of serving.
    #[arg(long)]
    export: bool,
}

/// What labels and feeds name: they take an https address only, which this server on loopback hasn't.
const ADDRESS: &str = "https://updates.hearthandholm.example";

fn main() -> ExitCode {
    match play(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn play(arguments: &Arguments) -> Result {
    println!("Playing three years of a maker's life in {} …", arguments.dir.display());
    let now = perennial_server::io::system_clock();
    let maker = Maker::build(&arguments.dir, now())?;
    let config = maker.path("server.toml");
    std::fs::write(
        &config,
        format!(
            "state = \"{}\"\n[serve]\nplain = [\"127.0.0.1:{}\"]\ncores = 1\npublic = \"{ADDRESS}\"\n\
             [admin]\nlisten = \"\"\n[log]\nlevel = \"warn\"\n",
            maker.path("server"),
            arguments.port
        ),
    )?;
    if arguments.export {
        return maker.run(&format!("export-site {} --config {config}", maker.path("site")));
    }
    println!("See http://127.0.0.1:{}/support/ (Ctrl-C ends it)", arguments.port);
    maker.run(&format!("serve --config {config}"))
}
