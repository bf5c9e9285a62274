//! The log on stderr: text on a terminal, a JSON object a line otherwise.

#![expect(clippy::disallowed_methods, reason = "the log is this process's own, and goes to its stderr")]

use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts the log of this process. `filter` is `PERENNIAL_LOG`: a level (`debug`), or levels by module
/// (`perennial_device::http=debug`). Without it: on a terminal, where the commands say in words what they do, what goes
/// wrong; otherwise also each step.
pub fn start(terminal: bool, filter: Option<&str>) {
    let usual = if terminal { "warn" } else { "perennial_device=info,warn" };
    let levels = |text: &str| text.parse::<Targets>().ok();
    let filter = filter.and_then(levels).or_else(|| levels(usual)).unwrap_or_default();
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if terminal { lines.with_target(false).boxed() } else { lines.json().boxed() };
    // A second log in one process is none: the first one stays.
    let _ = Registry::default().with(lines.with_filter(filter)).try_init();
}
