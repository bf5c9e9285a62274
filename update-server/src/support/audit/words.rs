//! An audit as a terminal shows it.

use super::{Audit, Broken, How, Which};
use std::fmt::Write as _;

/// Lines in each part; `--json` has all.
const LINES: usize = 20;

/// The audit in words.
pub(crate) fn words(audit: &Audit<'_>) -> String {
    let mut out = String::new();
    // Writing into a string can't fail.
    let _ = writeln!(
        out,
        "{} products, {} on sale, as of {} (generation {}).",
        audit.products,
        audit.on_sale,
        audit.as_of.in_words(),
        audit.generation
    );
    let months = audit.rules.months_left;
    part(&mut out, &format!("On sale with less than {months} months left"), &audit.ending, |ending| {
        let until = ending.guaranteed_until.in_words();
        let over = || format!("{}: promised until {until}", ending.state.as_str());
        let left = || format!("until {until} ({} left)", ending.left);
        (ending.which, if ending.state.is_supported() { left() } else { over() })
    });
    part(&mut out, "Promises not kept", &audit.broken, |broken| (broken.which, broken.in_words()));
    part(&mut out, "Public weaknesses without a fix", &audit.open, |open| {
        (open.which, format!("{} ({:?}), public for {} days", open.id, open.severity, open.days))
    });
    part(&mut out, "Promises taken back by root", &audit.annulled, |annulled| {
        let until = annulled.annulment.guaranteed_until.in_words();
        (annulled.which, format!("{until}: {}", annulled.annulment.reason))
    });
    part(&mut out, "Records that nobody signs any more", &audit.lapsed, |lapsed| {
        (lapsed.which, format!("since {}, promised until {}", lapsed.signed_until, lapsed.promised_until))
    });
    part(&mut out, "Records that lack something", &audit.lacking, |lacking| {
        (lacking.which, lacking.lacks.join(", "))
    });
    let _ = match audit.fixes.median_days {
        Some(days) => writeln!(
            out,
            "\nDays from a weakness becoming public to its fix: {days} in the median of {}; {} more were fixed before.",
            audit.fixes.counted, audit.fixes.before_disclosure
        ),
        None => writeln!(out, "\nNo weakness was public before its fix."),
    };
    out
}

fn part<T>(out: &mut String, title: &str, all: &[T], line: impl Fn(&T) -> (Which<'_>, String)) {
    let _ =
        writeln!(out, "\n{title}: {}", if all.is_empty() { "none".into() } else { all.len().to_string() });
    let width = all.iter().take(LINES).map(|one| line(one).0.product.len()).max().unwrap_or(0);
    for one in all.iter().take(LINES) {
        let (which, text) = line(one);
        let _ = writeln!(out, "  {:width$}  {}", which.product, one_line(&text));
    }
    if all.len() > LINES {
        let _ = writeln!(out, "  and {} more; --json has all", all.len() - LINES);
    }
}

impl Broken<'_> {
    /// What was promised, and what came.
    pub(crate) fn in_words(&self) -> String {
        let promised = self.promised_until.in_words();
        match &self.how {
            How::EndedEarly { on } => format!("promised until {promised}, ended on {}", on.in_words()),
            How::Ceased { on } => format!("promised until {promised}; its maker ceased on {}", on.in_words()),
            How::Silent { since, last_update } => {
                let last = last_update.map_or("there never was one".to_owned(), |day| {
                    format!("the last is of {}", day.in_words())
                });
                format!(
                    "promised until {promised}, no update for a public weakness since {} ({last})",
                    since.in_words()
                )
            }
        }
    }
}

/// What a maker wrote, so that it can't act upon a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
