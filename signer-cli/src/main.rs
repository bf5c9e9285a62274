//! The `perennial-signer` command: gathers arguments, streams and the clock, and calls the library.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place that takes the real streams, the real clock and the real terminal"
)]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use perennial_schemas::Timestamp;
use perennial_signer::cli::Io;
use zeroize::Zeroizing;

fn main() -> ExitCode {
    let (mut stdin, mut stdout, mut stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let mut io = Io {
        terminal: stderr.is_terminal(),
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
        now: Box::new(now),
        ask: Box::new(|prompt| rpassword::prompt_password(prompt).map(Zeroizing::new)),
    };
    perennial_signer::run(std::env::args_os(), &mut io)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_unix(i64::try_from(since).unwrap_or(i64::MAX))
}
