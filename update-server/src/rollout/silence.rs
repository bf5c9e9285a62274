//! Who fell silent: devices that began with a release and were not heard of since, beside those of the same fleet whose time
//! hasn't come, which tell how much silence is usual. A pass over all devices, beside everything else.

use super::ballot::Ballot;
use super::failing::Newest;
use super::offers::Offer;
use super::turn::{is_let_in, planned};
use super::votes::{Mark, Vote};
use crate::fleet::desk::id;
use crate::fleet::row::{Row, Standing};
use crate::store::{Space, Store, StoreError};
use perennial_gate::Watched;
use perennial_schemas::fleet::DeviceId;
use perennial_schemas::{HardwareName, Sha256Digest, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Devices looked at, at once.
const PAGE: usize = 1000;
/// Of fewer others, a single one that happens to be silent would say that silence is usual.
pub const FEW: u64 = 300;
/// Beside what its owner may put off, a device may wait for the quiet hours of its next day.
const QUIET: i64 = 86_400;

/// Who fell silent after a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silence {
    /// Devices that began, by hardware revision.
    pub began: BTreeMap<HardwareName, Untold>,
    /// Devices whose time hasn't come, of those that were heard of since the rollout began.
    pub others: Watched,
    /// A few of those that fell silent: the last heard of first.
    pub lost: Newest<HardwareName>,
}

/// Devices that began long ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Untold {
    /// They fell silent.
    pub missing: u64,
    /// They are heard of, and haven't told how it went.
    pub late: u64,
    /// Of these, those whose owners can't have put it off for so long.
    pub overdue: u64,
    /// All that would be among those, had they fallen silent.
    pub ripe: u64,
}

/// A rollout that goes on.
#[derive(Debug, Clone)]
pub struct Live {
    /// The release.
    pub offer: Arc<Offer>,
    /// When the plan comes to devices that the gate has not let in.
    pub until: Option<Timestamp>,
    /// Since when nobody is held; `None` while it is stopped.
    pub going: Option<Timestamp>,
}

/// A device that the plan and the gate have come to, as it stands to one release.
struct Began<'a> {
    live: &'a Live,
    device: &'a DeviceId,
    row: &'a Row,
    longest: i64,
    silent: bool,
}

/// Looks at every device, for these rollouts. A device is silent when it was last heard of longer ago than `usual` and the
/// release's interruption. `pause` is called after each page.
///
/// # Errors
/// [`StoreError`]
pub fn look(
    store: &dyn Store,
    ballot: &Ballot,
    offers: &[Live],
    usual: Duration,
    now: Timestamp,
    pause: &dyn Fn(),
) -> Result<BTreeMap<Sha256Digest, Silence>, StoreError> {
    let mut found: BTreeMap<_, _> =
        offers.iter().map(|live| (live.offer.manifest, Silence::default())).collect();
    if offers.is_empty() {
        return Ok(found);
    }
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(Space::Devices, after.as_deref(), PAGE)?;
        // One that can't be read is told of by whoever needs it.
        let devices = page.iter().filter_map(|(key, row)| Some((id(key)?, Row::decode(row).ok()?)));
        let devices: Vec<_> = devices.filter(|(_, row)| row.standing() == Standing::Enrolled).collect();
        let mut began = Vec::new();
        for (device, row) in &devices {
            for live @ Live { offer, until, going } in offers {
                let Some(planned) = planned(offer, device, row) else { continue };
                let longest = longest(usual, offer);
                let heard = row.heard_by(now);
                let silent = heard.plus_seconds(longest) < now;
                let silence = found.entry(offer.manifest).or_default();
                // Also those whom the plan has come to, and the gate has not.
                if !is_let_in(offer, row, planned, *until, now) {
                    // Who had gone before it began, or lies in its box, could not be among those that took it.
                    if heard >= offer.first() {
                        silence.others.all += 1;
                        silence.others.silent += u64::from(silent);
                    }
                } else if silent || going.is_some() && runs_an_earlier_one(row, offer) {
                    let key = ballot.key.mark(&offer.manifest, device);
                    began.push((Began { live, device, row, longest, silent }, key));
                }
            }
        }
        let (of, keys): (Vec<_>, Vec<_>) = began.into_iter().unzip();
        let marks = store.get_many(Space::Marks, &keys)?;
        for (began, mark) in of.into_iter().zip(marks) {
            let Some(Ok(mark)) = mark.as_deref().map(Mark::decode) else { continue };
            if mark.vote == Vote::Started {
                began.note(found.entry(began.live.offer.manifest).or_default(), mark, now);
            }
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => break,
        }
        pause();
    }
    for Live { offer, .. } in offers {
        let silence = found.entry(offer.manifest).or_default();
        ripen(silence, store, &offer.manifest, now.plus_seconds(-longest(usual, offer)), pause)?;
    }
    Ok(found)
}

impl Began<'_> {
    /// Notes one that has not told how it went, where it had the time to.
    fn note(&self, silence: &mut Silence, mark: Mark, now: Timestamp) {
        let Self { live: Live { offer, going, .. }, longest, .. } = self;
        if self.silent {
            // What a gateway brought is no sign of life, and no silence either.
            if mark.received.plus_seconds(*longest) < now {
                // Who was erased since it began, and enrolled again, is missing and not named.
                if self.row.told_by(mark.received) {
                    silence.lost.note(mark.hardware.clone(), self.row.last_seen, self.device.clone());
                }
                silence.began.entry(mark.hardware).or_default().missing += 1;
            }
            return;
        }
        // Who was held meanwhile begins again.
        let Some(told_by) = going.map(|going| going.max(mark.received).plus_seconds(*longest)) else {
            return;
        };
        if told_by < now {
            let put_off = offer.postponable.map(|days| i64::from(days) * 86_400 + QUIET);
            let is_overdue = put_off.is_some_and(|put_off| told_by.plus_seconds(put_off) < now);
            let untold = silence.began.entry(mark.hardware).or_default();
            (untold.late, untold.overdue) = (untold.late + 1, untold.overdue + u64::from(is_overdue));
        }
    }
}

/// Whether a device said last that it runs an earlier release: who runs this one has only its health left to tell, and who runs a
/// later one won't tell of this one any more.
fn runs_an_earlier_one(row: &Row, offer: &Offer) -> bool {
    row.check_in.as_ref().is_none_or(|said| said.version < offer.version)
}

/// How long a device may be silent after it began with a release, in seconds.
fn longest(usual: Duration, offer: &Offer) -> i64 {
    usual.as_secs() as i64 + i64::from(offer.interruption)
}

/// Counts the votes that were last changed before a time. Most devices tell how it went soon after they began.
fn ripen(
    silence: &mut Silence,
    store: &dyn Store,
    manifest: &Sha256Digest,
    before: Timestamp,
    pause: &dyn Fn(),
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan_prefix(Space::Marks, manifest.as_bytes(), after.as_deref(), PAGE)?;
        for (_, value) in &page {
            // A damaged one is told of by whoever counts the votes.
            let Ok(mark) = Mark::decode(value) else { continue };
            if mark.received < before && mark.vote != Vote::Held {
                silence.began.entry(mark.hardware).or_default().ripe += 1;
            }
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
        pause();
    }
}
