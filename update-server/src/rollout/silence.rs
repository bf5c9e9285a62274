//! Who fell silent: devices that began with a release and were not heard of since, beside those of the same fleet whose time
//! hasn't come, which tell how much silence is usual. A pass over all devices, beside everything else.

use super::ballot::Ballot;
use super::failing::Newest;
use super::offers::Offer;
use super::turn::{is_let_in, planned};
use super::votes::{Mark, Vote};
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
const FEW: u64 = 300;

/// Who fell silent after a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silence {
    /// Devices that began and fell silent, by hardware revision.
    pub missing: BTreeMap<HardwareName, u64>,
    /// All that began so long ago that they would be among those, had they fallen silent, by hardware revision.
    pub ripe: BTreeMap<HardwareName, u64>,
    /// Devices whose time hasn't come.
    pub others: Watched,
    /// A few of those that fell silent: the last heard of first.
    pub lost: Newest<HardwareName>,
}

/// A rollout that goes on.
#[derive(Debug, Clone)]
pub struct Live {
    /// The release.
    pub offer: Arc<Offer>,
    /// When the plan comes to devices that the gate has not let in.
    pub until: Option<Timestamp>,
}

impl Silence {
    /// The same, with the others as they were seen `before` where few of them are left: these would say little.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        let known = before.map(|before| before.others).filter(|others| others.all >= FEW);
        if let Some(known) = known.filter(|_| self.others.all < FEW) {
            self.others = known;
        }
        self
    }
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
        let mut began = Vec::new();
        for (key, value) in &page {
            // One that can't be read is told of by whoever needs it.
            let Ok(row) = Row::decode(value) else { continue };
            let Some(device) = std::str::from_utf8(key).ok().and_then(|id| id.parse::<DeviceId>().ok())
            else {
                continue;
            };
            if row.standing() != Standing::Enrolled {
                continue;
            }
            for Live { offer, until } in offers {
                let Some(planned) = planned(offer, &device, &row) else { continue };
                let longest = longest(usual, offer);
                let silent = row.last_seen.plus_seconds(longest) < now;
                let silence = found.entry(offer.manifest).or_default();
                // Also those whom the plan has come to, and the gate has not.
                if !is_let_in(offer, &row, planned, *until, now) {
                    silence.others.all += 1;
                    silence.others.silent += u64::from(silent);
                } else if silent {
                    let known = (offer.manifest, longest, device.clone(), row.last_seen);
                    began.push((known, ballot.key.mark(&offer.manifest, &device)));
                }
            }
        }
        let (of, keys): (Vec<_>, Vec<_>) = began.into_iter().unzip();
        let marks = store.get_many(Space::Marks, &keys)?;
        for ((manifest, longest, device, last_seen), mark) in of.into_iter().zip(marks) {
            let Some(Ok(mark)) = mark.as_deref().map(Mark::decode) else { continue };
            // What a gateway brought is no sign of life, and no silence either.
            if mark.vote == Vote::Started && mark.received.plus_seconds(longest) < now {
                let silence = found.entry(manifest).or_default();
                silence.lost.note(mark.hardware.clone(), last_seen, device);
                *silence.missing.entry(mark.hardware).or_default() += 1;
            }
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => break,
        }
        pause();
    }
    for Live { offer, .. } in offers {
        let ripe = ripe(store, &offer.manifest, now.plus_seconds(-longest(usual, offer)), pause)?;
        found.entry(offer.manifest).or_default().ripe = ripe;
    }
    Ok(found)
}

/// How long a device may be silent after it began with a release, in seconds.
fn longest(usual: Duration, offer: &Offer) -> i64 {
    usual.as_secs() as i64 + i64::from(offer.interruption)
}

/// How many votes were last changed before a time, by hardware revision. Most devices tell how it went soon after they began.
fn ripe(
    store: &dyn Store,
    manifest: &Sha256Digest,
    before: Timestamp,
    pause: &dyn Fn(),
) -> Result<BTreeMap<HardwareName, u64>, StoreError> {
    let mut ripe = BTreeMap::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan_prefix(Space::Marks, manifest.as_bytes(), after.as_deref(), PAGE)?;
        for (_, value) in &page {
            // A damaged one is told of by whoever counts the votes.
            let Ok(mark) = Mark::decode(value) else { continue };
            if mark.received < before && mark.vote != Vote::Held {
                *ripe.entry(mark.hardware).or_default() += 1;
            }
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(ripe),
        }
        pause();
    }
}
