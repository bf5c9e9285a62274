//! The `perennial-server` program: hands the library its streams and its clock.

use perennial_server::io::{Io, system_clock};
use std::io::IsTerminal;
use std::process::ExitCode;

#[expect(
    clippy::disallowed_methods,
    reason = "this is where the process's streams and arguments are taken from"
)]
fn main() -> ExitCode {
    let (mut stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    let terminal = stderr.is_terminal();
    let mut io = Io { stdout: &mut stdout, stderr: &mut stderr, now: system_clock(), terminal };
    perennial_server::run(std::env::args_os(), &mut io)
}
