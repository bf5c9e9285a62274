//! What is kept no longer: reports past their time, and devices that nothing was heard of for years. What is revoked stays.

use super::desk;
use super::event::Event;
use super::row::Row;
use crate::config::fleet::Keep;
use crate::store::{Batch, Pair, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::DeviceId;
use std::time::Duration;

/// Records looked at, and removed, at once.
const PAGE: usize = 1000;

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) reports: u64,
    pub(crate) devices: u64,
}

/// Removes what is past its time at `now`. `pause` is called after each page, so that devices don't wait for a sweep.
///
/// # Errors
/// [`StoreError`]; what was removed until then is gone, and the next sweep goes on.
pub(crate) fn sweep(
    store: &dyn Store,
    keep: &Keep,
    now: Timestamp,
    pause: &dyn Fn(),
) -> Result<Swept, StoreError> {
    let before = |span: Duration| now.plus_seconds(-(span.as_secs() as i64));
    let mut swept = Swept::default();
    let oldest = before(keep.reports.0);
    pages(store, Space::Reports, pause, |page| {
        // One that can't be read is left for whoever looks at the disk.
        let over = |value: &[u8]| Event::received(value).is_ok_and(|received| received < oldest);
        let mut batch = Batch::new();
        for (key, _) in page.iter().filter(|(_, value)| over(value)) {
            batch = batch.remove(Space::Reports, key.as_slice());
            swept.reports += 1;
        }
        if batch.is_empty() { Ok(()) } else { store.commit(batch) }
    })?;
    let oldest = before(keep.devices.0);
    pages(store, Space::Devices, pause, |page| {
        for (key, value) in page {
            let silent = Row::decode(value).is_ok_and(|row| row.last_seen < oldest && row.revoked.is_none());
            let device = std::str::from_utf8(key).ok().and_then(|text| text.parse::<DeviceId>().ok());
            if let Some(device) = device.filter(|_| silent) {
                desk::erase(store, &device, "server", now)?;
                swept.devices += 1;
            }
        }
        Ok(())
    })?;
    Ok(swept)
}

fn pages(
    store: &dyn Store,
    space: Space,
    pause: &dyn Fn(),
    mut look: impl FnMut(&[Pair]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(space, after.as_deref(), PAGE)?;
        look(&page)?;
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
        pause();
    }
}
