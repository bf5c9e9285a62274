//! The client under test of the public TUF conformance suite: `init`, `refresh`, `download`.
//!
//! It decides nothing itself: the trust core does, over the agent's HTTP adapter. Beside the plain files that the suite
//! looks at lies the production trust state, `trust.a` and `trust.b`; the plain files are written for others and never
//! read back. Exit status 0 or 1.

mod download;
mod source;
mod store;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use perennial_device::http::{HttpClient, HttpError, HttpLimits, HttpOptions, NotAUrl, Url};
use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{DriveError, Limits, Refresh, TrustError, TrustState, drive};
use perennial_schemas::{TargetPath, Timestamp};

use source::HttpSource;
use store::{FolderStore, StoreFault};

/// The world outside.
pub struct Io<'i> {
    /// What was done.
    pub stdout: &'i mut dyn Write,
    /// What went wrong.
    pub stderr: &'i mut dyn Write,
    /// The time.
    pub now: &'i dyn Fn() -> Timestamp,
}

#[derive(Debug, Parser)]
#[command(name = "tuf-client", about = "The device's trust core as a TUF client")]
struct Arguments {
    /// Where trusted metadata is kept.
    #[arg(long, global = true)]
    metadata_dir: Option<PathBuf>,
    /// Where the repository's metadata is.
    #[arg(long, global = true)]
    metadata_url: Option<String>,
    /// Target paths to download, in this order.
    #[arg(long, global = true)]
    target_name: Vec<String>,
    /// Where the repository's targets are.
    #[arg(long, global = true)]
    target_base_url: Option<String>,
    /// Where downloaded targets go.
    #[arg(long, global = true)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trust this root.
    Init {
        /// The file.
        trusted_root: PathBuf,
    },
    /// Bring the trusted metadata up to date.
    Refresh,
    /// Refresh, then download the targets.
    Download,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0} is needed here")]
    Argument(&'static str),
    #[error(transparent)]
    Url(#[from] NotAUrl),
    #[error(transparent)]
    Name(#[from] perennial_schemas::ident::NotAName),
    #[error("the HTTP client can't be made")]
    Http(#[from] HttpError),
    #[error(transparent)]
    File(#[from] perennial_device::files::FileError),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Drive(#[from] DriveError),
    #[error(transparent)]
    Download(#[from] download::DownloadError),
    #[error("no trusted role vouches for {0}")]
    NoSuchTarget(TargetPath),
}

/// Runs the client with the process's arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>, io: &mut Io<'_>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = write!(io.stderr, "{error}");
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match execute(&arguments, io) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(io.stderr, "error: {}", chain(&fault));
            let _ = writeln!(
                io.stderr,
                "hint: nothing that failed its checks was kept; see the client's contract"
            );
            ExitCode::FAILURE
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

fn execute(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Fault> {
    let folder = arguments.metadata_dir.as_deref().ok_or(Fault::Argument("--metadata-dir"))?;
    match &arguments.command {
        Command::Init { trusted_root } => init(folder, trusted_root, io),
        Command::Refresh => with_refreshed(arguments, folder, io, |_, _, _| Ok(())),
        Command::Download => {
            let base = arguments.target_base_url.as_deref().ok_or(Fault::Argument("--target-base-url"))?;
            let base: Url = base.parse()?;
            let out = arguments.target_dir.as_deref().ok_or(Fault::Argument("--target-dir"))?;
            if arguments.target_name.is_empty() {
                return Err(Fault::Argument("--target-name"));
            }
            with_refreshed(arguments, folder, io, |refresh, source, store| {
                // One refresh for all, and the first failure ends it.
                for name in &arguments.target_name {
                    let path: TargetPath = name.parse()?;
                    refresh.find(&path)?;
                    drive(refresh, source, store)?;
                    let found = refresh.found().ok_or(Fault::NoSuchTarget(path))?;
                    download::fetch(source.client(), &base, found, out)?;
                }
                Ok(())
            })
        }
    }
}

/// Trusts a root. A folder that trusts one already keeps what it has: nothing here may lower a floor.
fn init(folder: &Path, root: &Path, io: &mut Io<'_>) -> Result<(), Fault> {
    perennial_device::files::create_folder(folder)?;
    let bytes = perennial_device::files::read_limited(root, perennial_schemas::limits::ROOT_LENGTH)?;
    let state = TrustState::new(&bytes, &Ring)?;
    let mut store = FolderStore::open(folder);
    if store.is_new()? {
        store.keep(&state)?;
    }
    let _ = writeln!(io.stdout, "root {} is trusted", state.root().common.version);
    Ok(())
}

type Refreshed<'r> = Refresh<'r, Ring>;

fn with_refreshed(
    arguments: &Arguments,
    folder: &Path,
    io: &mut Io<'_>,
    then: impl FnOnce(&mut Refreshed<'_>, &mut HttpSource, &mut FolderStore) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let url: Url = arguments.metadata_url.as_deref().ok_or(Fault::Argument("--metadata-url"))?.parse()?;
    let mut store = FolderStore::open(folder);
    let state = store.load()?;
    // One attempt: what the suite counts are requests.
    let limits = HttpLimits { attempts: 1, ..HttpLimits::default() };
    let client = HttpClient::new(HttpOptions { limits, ..HttpOptions::default() })?;
    let mut source = HttpSource::new(client, url);
    let mut refresh = Refresh::new(state, &Ring, (io.now)(), Limits::default());
    drive(&mut refresh, &mut source, &mut store)?;
    then(&mut refresh, &mut source, &mut store)
}
