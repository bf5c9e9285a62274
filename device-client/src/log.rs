//! The log on stderr: a JSON object a line where the agent runs without a terminal, text otherwise.

#![expect(clippy::disallowed_methods, reason = "the log is this process's own, and goes to its stderr")]

use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts the log of this process. `filter` is `PERENNIAL_LOG`: a level (`debug`), or levels by module
/// (`perennial_device::http=debug`). Without it a service tells each step, and a command, which says in words what it
/// does, only what goes wrong.
pub fn start(terminal: bool, service: bool, filter: Option<&str>) {
    let service = service && !terminal;
    let usual = if service { "perennial_device=info,warn" } else { "warn" };
    let levels = |text: &str| text.parse::<Targets>().ok();
    let filter = filter.and_then(levels).or_else(|| levels(usual)).unwrap_or_default();
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines =
        if service { lines.json().boxed() } else { lines.with_target(false).with_ansi(terminal).boxed() };
    // A second log in one process is none: the first one stays.
    let _ = Registry::default().with(lines.with_filter(filter)).try_init();
}
