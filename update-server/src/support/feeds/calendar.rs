//! The last day of updates as a calendar entry (RFC 5545), with reminders 12, 3 and 1 months before, as devices have them.
//! One entry for each cohort, or one for a product without cohorts. An entry keeps its UID for ever; its SEQUENCE rises
//! with everything that can move its day. Nothing in it changes from day to day, so that caches keep it.

use super::{Listed, Rendered, View, last_day, page, plain, standing, uuid};
use perennial_schemas::support::{Cohort, NoticeKind, Support};
use perennial_schemas::{Date, Timestamp};

/// Its media type.
const MEDIA: &str = "text/calendar; charset=utf-8";

/// Bytes of a line without its end (RFC 5545, 3.1).
const LINE: usize = 75;

/// The calendar of a product.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> Rendered {
    let mut out = Lines(String::new());
    let name = format!("{}: security updates", listed.record.display_name());
    out.line("BEGIN", "VCALENDAR");
    out.line("VERSION", "2.0");
    out.line("PRODID", "-//Perennial//Support periods//EN");
    out.line("CALSCALE", "GREGORIAN");
    out.text("NAME", &name);
    out.text("X-WR-CALNAME", &name);
    out.line("REFRESH-INTERVAL;VALUE=DURATION", "P1D");
    if listed.record.cohorts.is_empty() {
        event(&mut out, listed, view, None);
    }
    for cohort in &listed.record.cohorts {
        event(&mut out, listed, view, Some(cohort));
    }
    out.line("END", "VCALENDAR");
    Rendered::new(MEDIA, out.0).kept_as(format!("{}.ics", listed.record.product))
}

fn event(out: &mut Lines, listed: &Listed, view: &View<'_>, cohort: Option<&Cohort>) {
    let record = &listed.record;
    let status = standing(listed, view, cohort.map(|cohort| &cohort.name));
    let day = last_day(&status);
    let whom = cohort.map_or(String::new(), |cohort| format!(" ({})", cohort.label));
    let summary = format!("Last day of security updates: {}{whom}", record.display_name());
    let path = page(listed) + &cohort.map_or(String::new(), |cohort| format!("/{}", cohort.name));
    out.line("BEGIN", "VEVENT");
    out.line("UID", &uuid(listed, &format!("calendar|{}", cohort.map_or("", |cohort| cohort.name.as_str()))));
    out.line("DTSTAMP", &moment(record.updated()));
    out.line("LAST-MODIFIED", &moment(record.updated()));
    out.line("SEQUENCE", &revisions(record, view.now.date()).to_string());
    out.line("DTSTART;VALUE=DATE", &compact(day));
    out.line("DTEND;VALUE=DATE", &compact(Date::from_days(day.days() + 1)));
    out.text("SUMMARY", &summary);
    out.text("DESCRIPTION", &description(listed, status.until, day));
    if !view.base.is_empty() {
        out.line("URL", &view.address(&path));
    }
    out.line("CATEGORIES", "Security updates");
    out.line("TRANSP", "TRANSPARENT");
    out.line("X-PERENNIAL-SEQUENCE", &record.sequence.to_string());
    out.line("X-PERENNIAL-SHA256", &listed.sha256.to_string());
    for (months, words) in [(12, "12 months"), (3, "3 months"), (1, "1 month")] {
        out.line("BEGIN", "VALARM");
        out.line("ACTION", "DISPLAY");
        // In the morning in Europe, and the same day nearly everywhere. A duration can't say months.
        out.line("TRIGGER;VALUE=DATE-TIME", &format!("{}T080000Z", compact(day.plus_months(-months))));
        out.text("DESCRIPTION", &format!("Security updates end in {words}: {}{whom}", record.display_name()));
        out.line("END", "VALARM");
    }
    out.line("END", "VEVENT");
}

fn description(listed: &Listed, promised: Date, day: Date) -> String {
    let record = &listed.record;
    let what = if record.is_replaced_not_updated() { "Replacement is" } else { "Security updates are" };
    let mut words = format!(
        "{what} promised until {} at least. This date can get later, never earlier.",
        promised.in_words()
    );
    if day < promised {
        words += &format!(" The maker says that they ended on {}.", day.in_words());
    }
    words + &format!("\n\nFrom record {} of {}, SHA-256 {}.", record.sequence, record.product, listed.sha256)
}

/// How often the day of an entry may have moved so far: never falls, as promises, annulments and notices only get more.
fn revisions(record: &Support, today: Date) -> usize {
    let over = |notice: &&perennial_schemas::support::Notice| match notice.kind {
        NoticeKind::EndedEarly { on } => on < today,
        NoticeKind::Ceased { on } => on <= today,
        _ => false,
    };
    record.promises.len().saturating_sub(1)
        + record.annulled.len()
        + record.notices.iter().filter(over).count()
}

/// `20310630`
fn compact(day: Date) -> String {
    day.to_string().replace('-', "")
}

/// `20260105T000000Z`
fn moment(at: Timestamp) -> String {
    at.to_string().replace(['-', ':'], "")
}

/// Content lines, ended and folded as the format asks.
struct Lines(String);

impl Lines {
    /// A value of a type that has no text in it.
    fn line(&mut self, name: &str, value: &str) {
        let mut used = 0;
        for c in format!("{name}:{value}").chars() {
            if used + c.len_utf8() > LINE {
                self.0.push_str("\r\n ");
                used = 1;
            }
            self.0.push(c);
            used += c.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    /// A value of type TEXT (3.3.11).
    fn text(&mut self, name: &str, value: &str) {
        let escaped = plain(value).replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,");
        self.line(name, &escaped.replace('\n', "\\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_between_characters_and_texts_escaped() {
        let mut out = Lines(String::new());
        let long = "ä".repeat(100);
        out.text("SUMMARY", &format!("a,b;c\\d\n{long}\u{7}"));
        assert!(out.0.split("\r\n").all(|line| line.len() <= LINE), "{}", out.0);
        let unfolded = out.0.replace("\r\n ", "");
        assert_eq!(unfolded, format!("SUMMARY:a\\,b\\;c\\\\d\\n{long}\r\n"));
    }
}
