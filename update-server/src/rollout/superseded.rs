//! Whether a rollout that is stopped still concerns anybody: not where each device that could take its release takes a newer one
//! in its place. It decides nothing but whether people are woken.

use super::offers::{Offer, Offers};
use super::record::{Record, State};
use perennial_schemas::ident::ChannelName;
use perennial_schemas::rollout::WHOLE;
use perennial_schemas::{HardwareName, ReleaseVersion, Sha256Digest, Timestamp};
use std::collections::BTreeSet;

/// The newest of the releases that stand in the place of `offer`: each channel that offers it has a newer one that is open for
/// all of its hardware, and behind no barrier that it isn't behind itself. `None` where one is wanting, or where that can't be
/// read. `record` gives the record of a rollout.
pub fn by<'o>(
    offer: &Offer,
    offers: &'o Offers,
    record: &dyn Fn(&Sha256Digest) -> Option<&'o Record>,
    now: Timestamp,
) -> Option<&'o ReleaseVersion> {
    if offers.unsure(&offer.product, &offer.manifest).is_some() {
        return None;
    }
    let instead = |hardware: &BTreeSet<HardwareName>, version: &ReleaseVersion, minimum| {
        *version > offer.version && offer.hardware.is_subset(hardware) && is_as_open(minimum, offer)
    };
    let plain = offers.plain.values().filter(|it| it.product == offer.product);
    let plain = plain.filter(|it| instead(&it.hardware, &it.version, it.minimum.as_ref()));
    let plain = plain.map(|it| (&it.version, &it.channels));
    let planned = offers.offered.values().filter(|it| it.product == offer.product);
    let planned = planned.filter(|it| instead(&it.hardware, &it.version, it.minimum.as_ref()));
    let planned = planned.filter(|it| record(&it.manifest).is_some_and(|record| is_open(it, record, now)));
    let planned = planned.map(|it| (&it.version, &it.channels));
    let newer: Vec<(&ReleaseVersion, &BTreeSet<ChannelName>)> = plain.chain(planned).collect();
    let everywhere = offer.channels.iter().all(|channel| newer.iter().any(|(_, on)| on.contains(channel)));
    if everywhere { newer.into_iter().map(|(version, _)| version).max() } else { None }
}

/// Whoever may take `offer` may take what has this barrier.
fn is_as_open(minimum: Option<&ReleaseVersion>, offer: &Offer) -> bool {
    minimum.is_none_or(|minimum| offer.minimum.as_ref().is_some_and(|own| own >= minimum))
}

/// Each device may have it now: nobody waits for a phase, is held, or catches up.
fn is_open(offer: &Offer, record: &Record, now: Timestamp) -> bool {
    let catch_up = offer.plan.catch_up_seconds as i64;
    matches!(record.state, State::Running | State::Finished)
        && record.stopped.is_empty()
        && offer.beyond(record.phase).is_none()
        && offer.plan.share_at(now) == WHOLE
        && record.resumed.values().all(|it| it.at.plus_seconds(catch_up) <= now)
}
