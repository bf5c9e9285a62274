//! The log on stderr: text on a terminal, a JSON object a line otherwise.

#![expect(clippy::disallowed_methods, reason = "the log is this process's own, and goes to its stderr")]

use tracing_subscriber::EnvFilter;

/// Starts the log of this process. `filter` is `PERENNIAL_LOG`: a level (`debug`), or levels by module
/// (`perennial_device::http=debug`). Without it: on a terminal, where the commands say in words what they do, what goes
/// wrong; otherwise also each step.
pub fn start(terminal: bool, filter: Option<&str>) {
    let usual = if terminal { "warn" } else { "perennial_device=info,warn" };
    let filter = EnvFilter::try_new(filter.unwrap_or(usual)).unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second log in one process is none: the first one stays.
    let _ = if terminal { log.with_target(false).try_init() } else { log.json().try_init() };
}
