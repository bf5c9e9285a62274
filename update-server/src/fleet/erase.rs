//! Erases what is held on a device, and says truly what is kept all the same. It can't reach copies that were made before.

use super::event::Event;
use super::fold::Owner;
use super::row::Row;
use crate::audit;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::fleet::{AuditMark, DeviceId, Erased, Erasure};
use perennial_schemas::{Document, Sha256Digest, Timestamp};
use std::collections::BTreeSet;

/// Events removed in one commit: at most 8 MB of them are read for that.
const PAGE: usize = 1000;

/// Kept of every device.
const AUDITED: &str =
    "that a device was erased, without saying which: in the audit log, which nobody can change";
/// A device's marks, which name nobody, go with their release.
const VOTES: &str = "its votes on releases that are being rolled out, under a key that nobody can trace back to it without this server's: so that it has one vote whatever happens; they go 30 days after the release is offered no more";
/// What can't be erased from here.
const COPIES: &str = "copies that were made before: exports of this server's records, and stores that were put aside, until whoever runs it deletes them";
const REVOKED: &str = "that this device is revoked, when, by whom and why, with its product and hardware, and its factory certificate's key and serial number: so that nobody uses it again";
const REVOKED_UNHEARD: &str =
    "that this device is revoked, when, by whom and why: so that nobody uses it; nothing else is known of it";
const UNREADABLE: &str =
    "digests of the device's keys, as its record is damaged and doesn't tell which they are";

/// Erases a device: its row, its reports, and by which keys it was known. The audit says that a device was erased and not
/// which. What is revoked stays revoked: of it, the bare revocation is kept, and whose its factory key is. A row that can't be
/// read is removed too. `None` where it isn't known.
///
/// # Errors
/// [`StoreError`]; a part of its reports may be gone then, and asking again erases the rest.
pub fn erase(
    store: &dyn Store,
    device: &DeviceId,
    by: &str,
    now: Timestamp,
) -> Result<Option<Erasure>, StoreError> {
    erase_while(store, device, by, now, &|_| true)
}

/// The same for as long as `still` holds of its row (`None`: one that can't be read), as it is at the moment of each commit;
/// `None` also where it doesn't.
///
/// # Errors
/// As [`erase`].
pub(super) fn erase_while(
    store: &dyn Store,
    device: &DeviceId,
    by: &str,
    now: Timestamp,
    still: &dyn Fn(Option<&Row>) -> bool,
) -> Result<Option<Erasure>, StoreError> {
    let (key, prefix) = (device.as_str(), Event::prefix(device));
    let mut reports = 0_u64;
    loop {
        let Some(before) = store.get(Space::Devices, key.as_bytes())? else { return Ok(None) };
        let row = Row::decode(&before).ok();
        if !still(row.as_ref()) {
            return Ok(None);
        }
        let events = store.scan_prefix(Space::Reports, &prefix, None, PAGE)?;
        let last = events.len() < PAGE;
        let count = events.len() as u64;
        // Whatever is heard of it meanwhile is looked at before anything more goes.
        let batch = Batch::new().expect(Space::Devices, key, Some(before));
        let batch = events.into_iter().fold(batch, |batch, (key, _)| batch.remove(Space::Reports, key));
        let done = if last {
            let (batch, keys, kept) = forget(store, batch, device, row.as_ref())?;
            let detail = [("reports", (reports + count).to_string())];
            let event = audit::Event::new(now, by, "device.erased", &detail);
            audit::commit(store, &batch, &event).map(|head| Some((head, keys, kept)))
        } else {
            store.commit(batch).map(|()| None)
        };
        match done {
            Ok(None) => reports += count,
            Ok(Some((head, keys, kept))) => {
                let last = row.and_then(|row| row.check_in);
                return Ok(Some(Erasure {
                    format: Erasure::FORMAT.into(),
                    requires: Vec::new(),
                    device: device.clone(),
                    at: now,
                    erased: Erased {
                        reports: reports + count,
                        check_ins: last.is_some().into(),
                        attributes: last.map_or(0, |last| last.attributes.len() as u64),
                        keys,
                    },
                    kept,
                    audit: AuditMark { sequence: head.sequence, digest: head.digest },
                }));
            }
            // It reported at that moment: what came is erased too.
            Err(StoreError::Changed(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes the row and its keys away, or all of it but the revocation; gives how many keys that is, and what is kept.
fn forget(
    store: &dyn Store,
    mut batch: Batch,
    device: &DeviceId,
    row: Option<&Row>,
) -> Result<(Batch, u64, Vec<String>), StoreError> {
    let mut kept = vec![AUDITED, VOTES, COPIES];
    let bare = row.and_then(|row| {
        let revoked = row.revoked.clone()?;
        let mut bare = Row::new(row.product.clone(), row.hardware.clone(), false, revoked.at);
        (bare.revoked, bare.factory) = (Some(revoked), row.factory.clone());
        Some(bare)
    });
    let stays = |key: &&Sha256Digest| bare.iter().flat_map(Row::keys).all(|kept| kept != *key);
    let keys: BTreeSet<&Sha256Digest> = row.iter().flat_map(|row| row.keys()).filter(stays).collect();
    let mut gone = 0;
    for key in keys {
        let owner = store.get(Space::Keys, key.as_bytes())?;
        // One that is another device's by now isn't this one's to remove; a damaged one is nobody's.
        let own = |record: &Vec<u8>| Owner::decode(record).map_or(true, |owner| owner.device == *device);
        if owner.is_some_and(|record| own(&record)) {
            batch = batch.remove(Space::Keys, *key.as_bytes());
            gone += 1;
        }
    }
    batch = match &bare {
        Some(bare) => {
            kept.push(if bare.factory.is_some() { REVOKED } else { REVOKED_UNHEARD });
            batch.put(Space::Devices, device.as_str(), bare.encode())
        }
        None => batch.remove(Space::Devices, device.as_str()),
    };
    if row.is_none() {
        kept.push(UNREADABLE);
    }
    Ok((batch, gone, kept.into_iter().map(str::to_owned).collect()))
}
