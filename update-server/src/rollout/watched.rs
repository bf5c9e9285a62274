//! Since when the open phase is watched, and how far times that were noted count: a server that was down, a pause and a clock that
//! was wrong are no time in which anybody watched devices take the release.

use super::machine::{Change, SERVER};
use super::offers::Offer;
use super::record::{Record, State};
use super::status::{self, AHEAD};
use super::told::common;
use perennial_schemas::Timestamp;
use perennial_schemas::limits::SIGNED_AHEAD_SECONDS;

/// From when on the open phase is watched: early groups may have begun before it.
pub(super) fn watched_from(record: &Record, offer: &Offer, now: Timestamp) -> Timestamp {
    offer.plan.phases.get(record.phase).map_or(now, |phase| phase.not_before.max(now))
}

/// Whether devices can have heard of the rollout up to now: they take nothing without a status that counts.
pub(super) fn is_heard(record: &Record, now: Timestamp) -> bool {
    status::expires(record).is_some_and(|expires| now < expires)
}

/// The phase is watched anew with a status that follows none that still counts: the server was down, its clock leapt ahead, or
/// its key didn't sign. It is due with that status only, so that it comes once however long no status can be signed.
pub(super) fn anew(record: &Record, offer: &Offer, now: Timestamp) -> Option<Change> {
    let from = watched_from(record, offer, now);
    let was_watched = record.phase_since.is_none_or(|since| since >= from) || is_heard(record, now);
    if record.state != State::Running || was_watched {
        return None;
    }
    let reason = match status::expires(record) {
        Some(expired) => format!("its last status expired at {expired}, and devices had none since"),
        None => "devices had no status until now".into(),
    };
    let mut after = record.clone();
    after.phase_since = Some(from);
    let mut detail = common(&after);
    detail.retain(|(name, _)| *name != "reason");
    detail.push(("reason", format!("{reason}: the open phase is watched from {from} on")));
    Some(Change { action: "rollout.watched-anew", by: SERVER.into(), record: after, detail })
}

/// A clock that ran ahead was set back: what was noted of that future counts from now on, and not when it comes. Else a phase
/// would be watched until then, and the signers' consent to what was halted be none before.
pub(super) fn set_back(record: &Record, offer: &Offer, now: Timestamp) -> Option<Change> {
    let from = watched_from(record, offer, now);
    let is_ahead = |at: Timestamp, of: Timestamp| at > of.plus_seconds(AHEAD);
    let mut after = record.clone();
    after.phase_since = record.phase_since.map(|since| if is_ahead(since, from) { from } else { since });
    let noted = [&mut after.since]
        .into_iter()
        .chain(after.stopped.values_mut().map(|stopped| &mut stopped.since))
        .chain(after.resumed.values_mut().flat_map(|resumed| [&mut resumed.held_since, &mut resumed.at]));
    // Clocks of several front ends differ by a little.
    noted.filter(|at| is_ahead(**at, now)).for_each(|at| *at = now);
    // What is signed with such a date is still the same signature: no consent to what its signers couldn't know of.
    let signed = offer.signed_at.map_or(now, |signed| signed.max(now));
    let is_far = |before: &Timestamp| *before > now.plus_seconds(SIGNED_AHEAD_SECONDS);
    after.signed_before =
        record.signed_before.map(|before| if is_far(&before) { before.min(signed) } else { before });
    if after == *record {
        return None;
    }
    let mut detail = common(&after);
    detail.push(("clock", format!("it ran ahead, and says {now} now")));
    Some(Change { action: "rollout.clock-set-back", by: SERVER.into(), record: after, detail })
}
