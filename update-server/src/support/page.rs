//! The plain page that says until when a product gets security updates: the answer first, then why, then whom to tell
//! about a problem. Without script or cookie; every word comes from the signed record or from the calendar.

use super::{Listed, View};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use perennial_schemas::Date;
use perennial_schemas::support::Support;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1a1d21;--soft:#545b64;--paper:#fff;--line:#d9dde2;--on:#0b6b3a;--soon:#8a4b00;--over:#a1232b;--link:#0b57a4}
@media(prefers-color-scheme:dark){:root{--ink:#eceff2;--soft:#a9b1bb;--paper:#15181c;--line:#343a42;--on:#6fd39b;--soon:#f2b263;--over:#ff8f8f;--link:#8ab8f0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.6 system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif}
main{max-width:40rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
.name{margin:0;font-weight:600;font-size:1.15rem;overflow-wrap:anywhere}
h1{margin:.25rem 0 .75rem;font-size:clamp(1.6rem,5.5vw,2.25rem);line-height:1.2;letter-spacing:-.01em;text-wrap:balance}
.state{margin:0;font-weight:600}.on{color:var(--on)}.soon{color:var(--soon)}.over{color:var(--over)}
h2{margin:2.25rem 0 .5rem;padding-top:1.5rem;border-top:1px solid var(--line);font-size:1.2rem}
p,ul{margin:.5rem 0}ul{padding-left:1.25rem}a{color:var(--link);overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse;margin:.5rem 0}th,td{padding:.5rem .75rem .5rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}th{font-weight:600;color:var(--soft);white-space:nowrap}
.day{white-space:nowrap}.reason{white-space:pre-line}footer{margin-top:2.5rem;color:var(--soft);font-size:.9rem}
";

/// 182 days: half a year before the end, a reader should begin to look for a replacement.
const SOON_DAYS: i64 = 182;

enum Status {
    Supported,
    EndsSoon,
    Ended,
}

/// The page of a product.
pub(super) fn page(listed: &Listed, view: &View<'_>) -> String {
    let (record, today) = (&listed.record, view.now.date());
    let until = record.guaranteed_until();
    let status = status(until, today);
    let title = format!("{}: security updates", record.product);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                p.name { (record.product) }
                (answer(&status, until, today))
                h2 { "Why this date" }
                p.reason { (record.promises.iter().rfind(|promise| promise.guaranteed_until == until).map_or("", |promise| &promise.reason)) }
                @if !matches!(status, Status::Ended) {
                    p { "This date can get later, never earlier." }
                }
                (contact(record))
                @if record.promises.len() > 1 { (history(record)) }
                footer {
                    "The date counts to the end of that day (UTC). It comes from a record that the maker signed, as of "
                    (today.in_words()) "."
                }
            } }
        }
    }
    .into_string()
}

fn answer(status: &Status, until: Date, today: Date) -> Markup {
    html! {
        @match status {
            Status::Supported => {
                h1 { "Security updates until at least " (time(until)) }
                p.state.on { "Supported: " (left(today, until)) " left" }
            }
            Status::EndsSoon => {
                h1 { "Security updates until at least " (time(until)) }
                p.state.soon { "Support ends soon: " (left(today, until)) " left" }
                p { "Begin to plan what replaces this product. After that day, newly found weaknesses may stay open." }
            }
            Status::Ended => {
                h1 { "Security updates were promised until " (time(until)) }
                p.state.over { "Support has ended" }
                p { "Newly found weaknesses may stay open. Take it off the internet if you can, and plan to replace it." }
            }
        }
    }
}

fn contact(record: &Support) -> Markup {
    let contact = &record.contact;
    html! {
        h2 { "Report a security problem" }
        ul {
            @for address in &contact.contacts {
                // Addresses are https: or mailto: only; the record's own rules refuse others.
                li { a href=(address) rel="noreferrer" { (address.trim_start_matches("mailto:")) } }
            }
        }
        p {
            "You get an answer within " (days(contact.acknowledgement_days))
            ", and news at least every " (days(contact.status_update_days)) " until the problem is resolved."
        }
        @if let Some(policy) = &contact.policy {
            p { a href=(policy) rel="noreferrer" { "How reports are handled" } }
        }
    }
}

fn history(record: &Support) -> Markup {
    html! {
        h2 { "How the promise grew" }
        table {
            thead { tr { th scope="col" { "Promised on" } th scope="col" { "Until" } th scope="col" { "Because" } } }
            tbody {
                @for promise in &record.promises {
                    tr { td.day { (promise.made.date().in_words()) } td.day { (promise.guaranteed_until.in_words()) } td.reason { (promise.reason) } }
                }
            }
        }
    }
}

fn status(until: Date, today: Date) -> Status {
    match until.days() - today.days() {
        ..0 => Status::Ended,
        0..SOON_DAYS => Status::EndsSoon,
        _ => Status::Supported,
    }
}

fn time(date: Date) -> Markup {
    html! { time datetime=(date.to_string()) { (date.in_words()) } }
}

fn days(count: u16) -> String {
    if count == 1 { "1 day".into() } else { format!("{count} days") }
}

/// The time between two days in words, rounded down: years and months, or months, or days.
fn left(from: Date, to: Date) -> String {
    let ((y1, m1, d1), (y2, m2, d2)) = (from.parts(), to.parts());
    let months = (i32::from(y2) - i32::from(y1)) * 12 + i32::from(m2) - i32::from(m1) - i32::from(d2 < d1);
    let count = |number: i32, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    match (months / 12, months % 12) {
        (0, 0) if from == to => "the rest of today".into(),
        (0, 0) => count((to.days() - from.days()) as i32, "day"),
        (0, months) => count(months, "month"),
        (years, 0) => count(years, "year"),
        (years, months) => format!("{} and {}", count(years, "year"), count(months, "month")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{date, listed, view};
    use super::*;
    use perennial_schemas::Timestamp;
    use perennial_schemas::support::{Promise, VulnerabilityContact};

    fn page_on(reason: &str, day: &str) -> String {
        let mut contact = VulnerabilityContact::new("mailto:security@example.com", 5, 1);
        contact.policy = Some("https://example.com/policy".into());
        let promise = Promise::new(Timestamp::from_unix(1_795_000_000), date("2031-06-30"), reason);
        let record = Support::new("thermostat".parse().unwrap(), promise, contact);
        page(&Listed { record, ..listed() }, &view(day))
    }

    #[test]
    fn the_page_gives_date_reason_and_contact_and_runs_nothing() {
        let html = page_on("Five years <script>alert(1)</script> from launch.", "2026-11-21");
        assert!(
            html.contains(
                "Security updates until at least <time datetime=\"2031-06-30\">30 June 2031</time>"
            )
        );
        assert!(html.contains("4 years and 7 months left"), "{html}");
        assert!(html.contains("Five years &lt;script&gt;"));
        assert!(!html.contains("<script"));
        assert!(html.contains("href=\"mailto:security@example.com\""));
        assert!(html.contains("within 5 days, and news at least every 1 day until"));
    }

    #[test]
    fn the_status_follows_the_calendar_to_the_day() {
        let page_on = |day| page_on("why", day);
        assert!(page_on("2030-12-30").contains("Supported: 6 months left"));
        assert!(page_on("2030-12-31").contains("Support ends soon: 5 months left"));
        assert!(page_on("2031-06-30").contains("the rest of today left"));
        assert!(page_on("2031-07-01").contains("Support has ended"));
    }

    #[test]
    fn time_left_is_rounded_down() {
        assert_eq!(left(date("2026-11-21"), date("2026-11-22")), "1 day");
        assert_eq!(left(date("2026-11-21"), date("2026-12-20")), "29 days");
        assert_eq!(left(date("2026-11-21"), date("2026-12-21")), "1 month");
        assert_eq!(left(date("2026-11-21"), date("2027-11-20")), "11 months");
        assert_eq!(left(date("2026-11-21"), date("2027-11-21")), "1 year");
        assert_eq!(left(date("2024-02-29"), date("2026-02-28")), "1 year and 11 months");
    }
}
