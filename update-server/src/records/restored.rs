//! How often a store's records were brought back from an older copy. Each time they have forgotten what came after it: the
//! certificates, tickets and acknowledgements that devices were given meanwhile. Who was given them can't be told any more,
//! so the fleet plane takes what it doesn't know once for each device. It counts, and decides nothing.

use crate::audit::{self, Event};
use crate::store::{Batch, Space, Store, StoreError};

/// The count: 4 bytes, big-endian; not there for never.
const TIMES: &[u8] = b"restored";

/// How often it happened.
///
/// # Errors
/// As the store says.
pub fn times(store: &dyn Store) -> Result<u32, StoreError> {
    let Some(value) = store.get(Space::Meta, TIMES)? else { return Ok(0) };
    let number = value.as_slice().try_into().map_err(|_| StoreError::Corrupt("meta/restored".into()))?;
    Ok(u32::from_be_bytes(number))
}

/// Notes in the store, with an entry in the audit, that it happened once more.
///
/// # Errors
/// As the store says.
pub fn note(store: &dyn Store, event: &Event) -> Result<(), StoreError> {
    audit::commit(store, &once_more(store, Batch::new())?, event).map(drop)
}

/// Adds that to a batch.
pub(super) fn once_more(store: &dyn Store, batch: Batch) -> Result<Batch, StoreError> {
    Ok(batch.put(Space::Meta, TIMES, times(store)?.saturating_add(1).to_be_bytes()))
}
