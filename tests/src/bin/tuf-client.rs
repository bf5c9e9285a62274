//! `tuf-client`: the device's trust core and HTTP adapter behind the command line that the public TUF conformance suite
//! asks for. Everything is in `perennial_tests::tuf_client`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the program's own streams are handed in here")]

use std::process::ExitCode;
use std::time::SystemTime;

use perennial_schemas::Timestamp;
use perennial_tests::tuf_client::{Io, run};

#[expect(clippy::disallowed_methods, reason = "here the process's own streams are taken")]
fn main() -> ExitCode {
    let mut io = Io { stdout: &mut std::io::stdout(), stderr: &mut std::io::stderr(), now: &now };
    run(std::env::args_os(), &mut io)
}

/// From the system, each time: a clock that is faked by the loader is taken as it is.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
