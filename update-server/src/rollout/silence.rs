//! Who fell silent: devices that began with a release and were not heard of since, beside those of the same fleet whose time
//! hasn't come, which tell how much silence is usual. A pass over all devices, beside everything else.

use super::ballot::{Ballot, planned};
use super::offers::Offer;
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

/// Who fell silent after a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silence {
    /// Devices that began and fell silent, by hardware revision.
    pub missing: BTreeMap<HardwareName, u64>,
    /// Devices whose time hasn't come.
    pub others: Watched,
}

/// Looks at every device, for these rollouts. A device is silent when it was last heard of longer ago than `usual` and the
/// release's interruption. `pause` is called after each page.
///
/// # Errors
/// [`StoreError`]
pub fn look(
    store: &dyn Store,
    ballot: &Ballot,
    offers: &[Arc<Offer>],
    usual: Duration,
    now: Timestamp,
    pause: &dyn Fn(),
) -> Result<BTreeMap<Sha256Digest, Silence>, StoreError> {
    let mut found: BTreeMap<_, _> = offers.iter().map(|offer| (offer.manifest, Silence::default())).collect();
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
            for offer in offers {
                let Some(planned) = planned(offer, &device, &row) else { continue };
                let longest = usual.as_secs() as i64 + i64::from(offer.interruption);
                let silent = row.last_seen.plus_seconds(longest) < now;
                let silence = found.entry(offer.manifest).or_default();
                if planned > now {
                    silence.others.all += 1;
                    silence.others.silent += u64::from(silent);
                } else if silent {
                    began.push(((offer.manifest, longest), ballot.key.mark(&offer.manifest, &device)));
                }
            }
        }
        let (of, keys): (Vec<_>, Vec<_>) = began.into_iter().unzip();
        for ((manifest, longest), mark) in of.into_iter().zip(store.get_many(Space::Marks, &keys)?) {
            let Some(Ok(mark)) = mark.as_deref().map(Mark::decode) else { continue };
            // What a gateway brought is no sign of life, and no silence either.
            if mark.vote == Vote::Started && mark.received.plus_seconds(longest) < now {
                *found.entry(manifest).or_default().missing.entry(mark.hardware).or_default() += 1;
            }
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(found),
        }
        pause();
    }
}
