//! A check-in into a row: the last one is all that is kept. Its ticket shows whether the identity is in one place.

use super::reports::CLOCK_SECONDS;
use super::{Done, Effects, Facts, odd, odd_by};
use crate::fleet::releases::Possible;
use crate::fleet::row::{LastCheckIn, Row};
use perennial_schemas::fleet::{CheckIn, Flag, Ticket};

pub(super) fn take(
    row: &mut Row,
    said: &CheckIn,
    next: &Ticket,
    facts: &Facts<'_>,
    effects: &mut Effects,
) -> Done {
    let same = said.product == row.product && said.hardware == row.hardware;
    if row.lab {
        (row.product, row.hardware) = (said.product.clone(), said.hardware.clone());
    }
    let judge = |it| facts.releases.possible(it, &said.version, &said.product, &said.hardware);
    let possible = said.manifest.as_ref().map(judge);
    if !(same || row.lab) || possible == Some(Possible::No) {
        odd(row, Flag::ImpossibleVersion, facts, effects);
    }
    if said.at > facts.now.plus_seconds(CLOCK_SECONDS) {
        odd(row, Flag::ClockAhead, facts, effects);
    }
    if said.at < facts.now.plus_seconds(-CLOCK_SECONDS) {
        odd(row, Flag::ClockBehind, facts, effects);
    }
    turn_ticket(row, said, next, facts, effects);
    row.check_in = Some(LastCheckIn {
        received: facts.now,
        at: said.at,
        channel: said.channel.clone(),
        version: said.version.clone(),
        security_version: said.security_version,
        manifest: said.manifest,
        agent: said.agent.clone(),
        attributes: said.attributes.clone(),
    });
    Done::CheckedIn { acknowledged: row.last_sequence }
}

/// The newest ticket makes way for the next. The one before it says that the answer with the newest was lost. Any other, or
/// none where one was given, says that the identity is in two places. Where nothing is known to compare with (no ticket was
/// given, a quarantine was lifted, or the records were restored and may have forgotten some), whoever comes first goes on.
fn turn_ticket(row: &mut Row, said: &CheckIn, next: &Ticket, facts: &Facts<'_>, effects: &mut Effects) {
    let shown = said.ticket.as_ref();
    let known = row.tickets.iter().position(|ticket| Some(ticket) == shown);
    if row.life < facts.restored.times {
        row.life = facts.restored.times;
        if known.is_none() {
            row.tickets.clear();
        }
    }
    let kept = match known {
        Some(at) => Some(row.tickets.swap_remove(at)),
        // With the same again, should the answer with the next one be lost.
        None if row.tickets.is_empty() => shown.cloned(),
        None => {
            let ticket =
                if shown.is_some() { "a ticket that was used up, or never given" } else { "no ticket" };
            let (version, before) = (&said.version, row.check_in.clone());
            odd_by(row, Flag::TicketForked, facts, effects, || {
                let before = before.map_or_else(
                    || "it had enrolled before".into(),
                    |last| format!("the one before it was at {}, running {}", last.received, last.version),
                );
                format!("a check-in, running {version}, showed {ticket}; {before}")
            });
            row.tickets.first().cloned()
        }
    };
    row.tickets = std::iter::once(next.clone()).chain(kept).collect();
}
