//! Reports into a row: new ones are kept, the same ones again change nothing, others under a number that is taken are a
//! copied identity's.

use super::{Beside, Done, Effects, Facts, odd};
use crate::fleet::event::{Event, content};
use crate::fleet::releases::Possible;
use crate::fleet::row::Row;
use crate::store::StoreError;
use perennial_schemas::fleet::{Flag, Flagged, ReportQueue};
use perennial_schemas::report::Report;

/// A device's clock may be off by this much, either way, before it is told.
pub(super) const CLOCK_SECONDS: i64 = 86_400;

pub(super) fn take(
    row: &mut Row,
    queue: &ReportQueue,
    carried: bool,
    facts: &Facts<'_>,
    beside: &mut dyn Beside,
    effects: &mut Effects,
) -> Result<Done, StoreError> {
    let mut flagged = Vec::new();
    for report in &queue.reports {
        let content = content(report);
        let key = Event::key(&queue.device, row.epoch, report.sequence);
        let flag = if report.sequence > row.last_sequence {
            // What was before the first that was ever sent isn't missed: the server may have been told to forget it.
            if row.last_sequence > 0 {
                row.gaps = row.gaps.saturating_add(report.sequence - row.last_sequence - 1);
            }
            row.last_sequence = report.sequence;
            None
        } else {
            match beside.event(&key)? {
                // One that is damaged on the disk says nothing against the device.
                Some(known) if Event::content_of(&known).map_or(true, |known| known == content) => {
                    Some(Flag::Replayed)
                }
                Some(known) => {
                    let epoch = row.epoch;
                    row.clue(Flag::SequenceForked, || forked(epoch, report, &known));
                    Some(Flag::SequenceForked)
                }
                // It was kept, and its time is over.
                None if report.at < facts.oldest => Some(Flag::Replayed),
                // One of a gap, which another connection overtook.
                None => {
                    row.gaps = row.gaps.saturating_sub(1);
                    None
                }
            }
        };
        let flags = match flag {
            Some(flag) => vec![flag],
            None => keep(row, report, key, &content, facts, effects),
        };
        for flag in flags {
            // Whoever carries queues may carry one twice: that says nothing of the device.
            if !(carried && flag == Flag::Replayed) {
                odd(row, flag, facts, effects);
            }
            flagged.push(Flagged { sequence: report.sequence, flag });
        }
    }
    // An answer has room for as many.
    flagged.truncate(perennial_schemas::limits::QUEUE_REPORTS);
    let acknowledged = queue.reports.last().map_or(0, |last| last.sequence);
    Ok(Done::Acknowledged { acknowledged, flagged })
}

/// What speaks for it that two devices have numbered their reports.
fn forked(epoch: u32, report: &Report, known: &[u8]) -> String {
    let kept = Event::received(known).map_or_else(|_| String::new(), |at| format!(", which came at {at}"));
    format!(
        "report {epoch}.{} came with two contents: the first one is kept{kept}; the other one, of {} on {}, was refused",
        report.sequence, report.version, report.at
    )
}

/// Keeps a report that is new, and says what is odd about it.
fn keep(
    row: &mut Row,
    report: &Report,
    key: Vec<u8>,
    content: &[u8],
    facts: &Facts<'_>,
    effects: &mut Effects,
) -> Vec<Flag> {
    let mut flags = Vec::new();
    let same = row.lab || report.product == row.product && report.hardware == row.hardware;
    let Report { manifest, version, product, hardware, .. } = report;
    let possible = facts.releases.possible(manifest, version, product, hardware);
    if !same || possible == Possible::No {
        flags.push(Flag::ImpossibleVersion);
    }
    if report.at > facts.now.plus_seconds(CLOCK_SECONDS) {
        flags.push(Flag::ClockAhead);
    }
    // It may have waited for years; but it can't be older than the device.
    let made = row.factory.as_ref().map(|factory| factory.not_before.plus_seconds(-CLOCK_SECONDS));
    if made.is_some_and(|made| report.at < made) {
        flags.push(Flag::ClockBehind);
    }
    row.reports = row.reports.saturating_add(1);
    effects.events.push((key, Event::record(facts.now, row.lab, &flags, content)));
    flags
}
