//! Progress of long work, on a terminal only.

use std::fmt;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use perennial_schemas::Size;

use super::Io;
use crate::delta::progress::Told;

/// How often a bar is drawn of which nothing is heard: the clock goes on.
const TICK: Duration = Duration::from_millis(500);

/// A bar of bytes. Shows nothing where stderr is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for `what`, which has `length` bytes in all (0 where that isn't known).
    pub(super) fn new(io: &Io<'_>, what: &str, length: u64) -> Self {
        Self::shown(io.terminal, what, length, template(length))
    }

    /// A counter of things, which are `length` in all (0 where that isn't known).
    pub(super) fn counting(io: &Io<'_>, what: &str, length: u64) -> Self {
        let template = match length {
            0 => "{prefix:.bold} {human_pos} {per_sec}",
            _ => "{prefix:.bold} {wide_bar} {human_pos}/{human_len} {left}",
        };
        Self::shown(io.terminal, what, length, template)
    }

    fn shown(terminal: bool, what: &str, length: u64, template: &str) -> Self {
        let progress = Self { bar: ProgressBar::hidden() };
        progress.begin(what, length, template);
        if terminal {
            progress.bar.set_draw_target(ProgressDrawTarget::stderr());
            progress.bar.enable_steady_tick(TICK);
        }
        progress
    }

    /// From here on it is a bar for something else.
    fn begin(&self, what: &str, length: u64, template: &str) {
        self.bar.reset();
        self.bar.set_style(style(template));
        self.bar.set_prefix(what.to_owned());
        match length {
            0 => self.bar.unset_length(),
            _ => self.bar.set_length(length),
        }
        // What was drawn in between is half of the one and half of the other.
        self.bar.force_draw();
    }

    /// Says how many bytes (or things) are done.
    pub(super) fn at(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Says how many more bytes are done.
    pub(super) fn more(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

/// A bar of what is being done, once something is.
pub(super) struct Stages {
    terminal: bool,
    shown: Option<Progress>,
}

impl Stages {
    /// Nothing is done yet.
    pub(super) fn new(io: &Io<'_>) -> Self {
        Self { terminal: io.terminal, shown: None }
    }

    /// So many bytes of `length` (0 where that isn't known) are done. What begins, with none, has a time of its own.
    pub(super) fn at(&mut self, what: &str, length: u64, done: u64) {
        let Self { terminal, shown } = self;
        let progress =
            shown.get_or_insert_with(|| Progress::shown(*terminal, what, length, template(length)));
        let is_same = progress.bar.prefix() == what && progress.bar.length().unwrap_or(0) == length;
        if !is_same || done == 0 {
            progress.begin(what, length, template(length));
        }
        progress.at(done);
    }

    /// Hears of work on a delta, and lets it go on.
    pub(super) fn hear(&mut self, told: Told) -> bool {
        self.at(told.stage.name(), told.total, told.done);
        true
    }
}

/// What a bar shows. Of an unknown length there is no share, no total and no end to tell.
fn template(length: u64) -> &'static str {
    match length {
        0 => "{prefix:.bold} {decimal_bytes} {decimal_bytes_per_sec}",
        _ => "{prefix:.bold} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {left}",
    }
}

/// The templates are constants of this program; the default style is a bar, too.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).with_key(
        "left",
        |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&left(state.elapsed(), state.eta()));
        },
    )
}

/// The time left; as long as that can't be told, how long it has taken.
fn left(elapsed: Duration, eta: Duration) -> String {
    match eta {
        Duration::ZERO => format!("{:#} so far", HumanDuration(elapsed)),
        _ => format!("{:#} left", HumanDuration(eta)),
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes as people read them: `17.2 MB`.
pub(super) fn size(bytes: u64) -> String {
    Size(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_of_unknown_length_tells_no_total_and_all_use_the_units_of_reports() {
        assert!(template(1).contains("{decimal_total_bytes}") && template(1).contains("{wide_bar}"));
        assert!(
            !template(0).contains("total") && !template(0).contains("bar") && !template(0).contains("left")
        );
        for length in [0, 1] {
            assert!(!template(length).contains("{bytes"), "powers of 1024");
            assert!(ProgressStyle::with_template(template(length)).is_ok());
        }
    }

    #[test]
    fn the_time_left_is_told_once_it_is_known() {
        let [short, long] = [3, 90].map(Duration::from_secs);
        assert_eq!(left(short, Duration::ZERO), "3s so far");
        assert_eq!(left(short, long), "2m left");
    }

    #[test]
    fn one_bar_shows_what_is_being_done() {
        let mut stages = Stages { terminal: false, shown: None };
        for (what, length, done) in [
            ("reading", 10, 0),
            ("reading", 10, 7),
            ("reading", 10, 0),
            ("reading", 10, 10),
            ("sorting", 10, 10),
            ("unpacking", 0, 3),
            ("sorting", 8, 0),
        ] {
            stages.at(what, length, done);
            let bar = &stages.shown.as_ref().unwrap().bar;
            let shown = (bar.prefix(), bar.length().unwrap_or(0), bar.position());
            assert_eq!(shown, (what.to_owned(), length, done));
        }
    }
}
