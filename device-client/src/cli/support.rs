//! `support`: until when this device gets security updates, who promised that and why, what to do at the end. It reads
//! what the device knows, so it works off the network.

use std::fmt;

use perennial_schemas::Timestamp;
use perennial_schemas::support::{NoticeKind, OnDevice, Reminder, Summary, Support};
use serde::Serialize;

use super::status::{floors, trust};
use super::{CliError, Io, verify};
use crate::config::Config;
use crate::store::FileStore;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check what a support page says against the record that its maker signed. Needs no device.
    Verify(verify::Arguments),
}

/// What this device knows of its support.
#[derive(Debug, Serialize)]
struct Known {
    /// For this device.
    device: Option<OnDevice>,
    /// For everybody: what a page says that shows the same record.
    summary: Option<Summary>,
    #[serde(skip)]
    cohort: Option<String>,
}

pub(super) fn run(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut problems = Vec::new();
    let known = look(config, io.now(), &mut problems);
    if let Some(problem) = problems.first() {
        let code = perennial_schemas::report::FailureCode::TrustStateLost;
        return Err(CliError::new(problem, crate::agent::advice(code)));
    }
    io.report(arguments.json, &known)?;
    Ok(0)
}

fn look(config: &Config, now: Timestamp, problems: &mut Vec<String>) -> Known {
    let mut store = FileStore::read_only(&config.state, &config.marker);
    let floors = floors(&mut store, problems);
    let annulments = trust(&mut store, problems).map(|trust| trust.root().annulments.clone());
    let annulments = annulments.unwrap_or_default();
    let cohort = config.cohort.as_ref();
    let device = floors.as_ref().and_then(|floors| floors.on_device(&annulments, cohort, now));
    let support = floors.as_ref().and_then(|floors| floors.standing(&annulments));
    let summary = support
        .zip(device.as_ref())
        .map(|(support, said)| Summary::of(&support, said.record.sha256, said.as_of, said.record.lapsed));
    Known { device, summary, cohort: cohort.map(ToString::to_string) }
}

/// The lines that `status` and `support` share: the sentence, and what the owner should know beside it.
pub(super) fn write_standing(f: &mut fmt::Formatter<'_>, said: &OnDevice) -> fmt::Result {
    writeln!(f, "Support:   {}", said.sentence)?;
    if let Some(reminder) = said.reminder {
        writeln!(f, "Reminder:  {}", in_words(reminder))?;
    }
    if let Some(annulled) = said.annulled {
        let (annulled, until) = (annulled.in_words(), said.guaranteed_until.in_words());
        writeln!(f, "Annulled:  a promise until {annulled}, by the maker's root; {until} counts")?;
    }
    write!(f, "Record:    number {} of {}", said.record.sequence, said.record.updated.date())?;
    match said.last_seen {
        Some(day) => writeln!(f, ", last seen signed on {day}")?,
        None => writeln!(f)?,
    }
    if let Some(refused) = &said.refused {
        let (since, code, why) = (refused.since, refused.code.number(), &refused.why);
        writeln!(f, "Alarm:     a support record is refused since {since} (code {code}): {why}")?;
        writeln!(f, "           The promise above stays. Tell the maker.")?;
    }
    Ok(())
}

fn in_words(reminder: Reminder) -> &'static str {
    match reminder {
        Reminder::TwelveMonths => "twelve months or less of support are left",
        Reminder::ThreeMonths => "three months or less of support are left: look for a replacement",
        Reminder::OneMonth => "one month or less of support is left: plan its replacement",
        Reminder::Over => "support is over: no more security updates are promised",
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(said), Some(summary)) = (&self.device, &self.summary) else {
            return writeln!(f, "Nothing is known yet; perennial-device check asks.");
        };
        let support = &summary.support;
        write_standing(f, said)?;
        writeln!(f, "Digest:    {}", said.record.sha256)?;
        match (&said.cohort, &self.cohort) {
            (Some(cohort), _) => {
                let label = support.cohort(cohort).map_or("", |cohort| cohort.label.as_str());
                writeln!(f, "Cohort:    {cohort}: {label}")?;
            }
            (None, Some(unknown)) => {
                writeln!(
                    f,
                    "Cohort:    {unknown}, which the record does not know: the earliest date counts"
                )?;
            }
            (None, None) if !support.cohorts.is_empty() => {
                writeln!(
                    f,
                    "Cohort:    not known here (`cohort` in the configuration): the earliest date counts"
                )?;
            }
            (None, None) => {}
        }
        write_promises(f, support)?;
        write_notices(f, support, said)?;
        let contact = &support.contact;
        writeln!(f, "Report security problems to {}", contact.contacts.join(", "))?;
        writeln!(
            f,
            "  An answer comes within {} days, and news at least each {} days until it is solved.",
            contact.acknowledgement_days, contact.status_update_days
        )?;
        if let Some(policy) = &contact.policy {
            writeln!(f, "  Policy: {policy}")?;
        }
        write_aftercare(f, said)
    }
}

fn write_promises(f: &mut fmt::Formatter<'_>, support: &Support) -> fmt::Result {
    writeln!(f, "Promises:")?;
    for (index, promise) in support.promises.iter().enumerate() {
        let (made, until) = (promise.made.date(), promise.guaranteed_until);
        write!(f, "  {made}  until {until}")?;
        if !promise.cohorts.is_empty() {
            let names: Vec<&str> = promise.cohorts.iter().map(|name| name.as_str()).collect();
            write!(f, ", for {}", names.join(", "))?;
        }
        writeln!(f, ": {}", flat(&promise.reason))?;
        if let Some(annulled) = support.annulled.iter().find(|found| found.promise as usize == index + 1) {
            writeln!(
                f,
                "              annulled by root on {}: {}",
                annulled.at.date(),
                flat(&annulled.reason)
            )?;
        }
    }
    Ok(())
}

fn write_notices(f: &mut fmt::Formatter<'_>, support: &Support, said: &OnDevice) -> fmt::Result {
    let cohort = said.cohort.as_ref();
    let mut notices = support.notices.iter().filter(|notice| notice.concerns(cohort)).peekable();
    if notices.peek().is_some() {
        writeln!(f, "Notices:")?;
    }
    for notice in notices {
        write!(f, "  {}  ", notice.made.date())?;
        match &notice.kind {
            NoticeKind::Information => {}
            NoticeKind::Vulnerability(open) => write!(f, "{}: ", flat(&open.id))?,
            NoticeKind::EndedEarly { on } => write!(f, "updates ended early, on {on}: ")?,
            NoticeKind::Ceased { on } => write!(f, "the maker ceased on {on}: ")?,
        }
        writeln!(f, "{}", flat(&notice.text))?;
        if !notice.advice.is_empty() {
            writeln!(f, "              {}", flat(&notice.advice))?;
        }
    }
    Ok(())
}

fn write_aftercare(f: &mut fmt::Formatter<'_>, said: &OnDevice) -> fmt::Result {
    let Some(aftercare) = &said.aftercare else { return Ok(()) };
    let when = if said.state.is_supported() { "When support is over" } else { "What to do now" };
    writeln!(f, "{when}:")?;
    let texts =
        [&aftercare.after, &aftercare.isolate, &aftercare.wipe, &aftercare.dispose, &aftercare.replace];
    texts.into_iter().filter(|text| !text.is_empty()).try_for_each(|text| writeln!(f, "  {}", flat(text)))
}

/// In one line, and with nothing that a terminal acts upon.
fn flat(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
