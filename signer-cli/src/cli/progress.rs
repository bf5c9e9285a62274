//! Progress of long work, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use perennial_schemas::Size;

use super::Io;

/// A bar of bytes. Shows nothing where stderr is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for `what`, which has `length` bytes in all (0 where that isn't known).
    pub(super) fn new(io: &Io<'_>, what: &str, length: u64) -> Self {
        if !io.terminal {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(
            Some(length).filter(|length| *length > 0),
            ProgressDrawTarget::stderr(),
        );
        // The templates are constants of this program; the default style is a bar, too.
        bar.set_style(
            ProgressStyle::with_template(template(length)).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(what.to_owned());
        Self { bar }
    }

    /// A counter of things, which are `length` in all (0 where that isn't known).
    pub(super) fn counting(io: &Io<'_>, what: &str, length: u64) -> Self {
        let progress = Self::new(io, what, length);
        let template = match length {
            0 => "{prefix:.bold} {human_pos} {per_sec}",
            _ => "{prefix:.bold} {wide_bar} {human_pos}/{human_len} {eta}",
        };
        progress.bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        progress
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

/// What a bar shows. Of an unknown length there is no share, no total and no end to tell.
fn template(length: u64) -> &'static str {
    match length {
        0 => "{prefix:.bold} {decimal_bytes} {decimal_bytes_per_sec}",
        _ => "{prefix:.bold} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
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
            !template(0).contains("total") && !template(0).contains("bar") && !template(0).contains("eta")
        );
        for length in [0, 1] {
            assert!(!template(length).contains("{bytes"), "powers of 1024");
            assert!(ProgressStyle::with_template(template(length)).is_ok());
        }
    }
}
