//! The three tools under their own names: the story's `bin/` links to this program, which looks at how it was called.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use perennial_schemas::Timestamp;

/// What the tools are called.
pub const NAMES: [&str; 3] = ["perennial-signer", "perennial-server", "perennial-device"];

/// Runs the tool that `program` names; `None` where it names none.
pub fn run_as(program: &Path, args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    match program.file_name()?.to_str()? {
        "perennial-signer" => Some(signer(args)),
        "perennial-server" => Some(server(args)),
        "perennial-device" => Some(device(args)),
        _ => None,
    }
}

fn signer(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut io = perennial_signer::Io {
        terminal: stderr.is_terminal(),
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
        now: Box::new(now),
        ask: Box::new(|prompt| rpassword::prompt_password(prompt).map(Into::into)),
    };
    perennial_signer::run(args, &mut io)
}

fn server(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let terminal = stderr.is_terminal();
    let now = perennial_server::io::system_clock();
    let mut io = perennial_server::io::Io { stdout: &mut stdout, stderr: &mut stderr, now, terminal };
    perennial_server::run(args, &mut io)
}

fn device(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let terminal = stderr.is_terminal();
    let args: Vec<OsString> = args.collect();
    let interrupt = perennial_device::http::Interrupt::default();
    let variable = |name: &str| std::env::var(name).ok();
    let service = perennial_device::cli::is_service(args.iter().cloned());
    perennial_device::log::start(terminal, service, variable("PERENNIAL_LOG").as_deref());
    perennial_device::signals::listen(interrupt.clone());
    let mut io = perennial_device::Io {
        stdout: &mut stdout,
        stderr: &mut stderr,
        now: Box::new(now),
        terminal,
        variable: Box::new(variable),
        interrupt,
    };
    perennial_device::run(args, &mut io)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_unix(i64::try_from(since).unwrap_or(i64::MAX))
}
