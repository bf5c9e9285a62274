//! How often a store's records were brought back from an older copy, and when last. Each time they have forgotten what came
//! after it: the certificates, tickets and acknowledgements that devices were given meanwhile. Who was given them can't be told
//! any more, so the fleet plane takes what it doesn't know once for each device. It counts, and decides nothing.

use crate::audit::{self, Event};
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Timestamp;

/// The count: 4 bytes; then the time of the last one in seconds since 1970: 8 bytes. Both big-endian; not there for never.
/// The version before wrote the count alone.
const KEY: &[u8] = b"restored";

/// What is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// How often it happened.
    pub times: u32,
    /// When last, as far as it was written down: whatever was given later, these records know.
    pub at: Option<Timestamp>,
}

impl Restored {
    /// The same as far as it can be true now: where a clock ran ahead, what is given from now on isn't forgotten all the same.
    #[must_use]
    pub fn by(self, now: Timestamp) -> Self {
        Self { at: self.at.map(|at| at.min(now)), ..self }
    }
}

/// What the store says of it.
///
/// # Errors
/// As the store says.
pub fn read(store: &dyn Store) -> Result<Restored, StoreError> {
    let Some(value) = store.get(Space::Meta, KEY)? else { return Ok(Restored::default()) };
    let corrupt = || StoreError::Corrupt("meta/restored".into());
    let (times, at) = value.split_first_chunk().ok_or_else(corrupt)?;
    let at = match at {
        [] => None,
        at => Some(Timestamp::from_unix(i64::from_be_bytes(at.try_into().map_err(|_| corrupt())?))),
    };
    Ok(Restored { times: u32::from_be_bytes(*times), at })
}

/// Notes in the store, with an entry in the audit, that it happened once more.
///
/// # Errors
/// As the store says.
pub fn note(store: &dyn Store, event: &Event) -> Result<(), StoreError> {
    audit::commit(store, &once_more(store, Batch::new(), event.at)?, event).map(drop)
}

/// Adds that to a batch. The newest time counts, also where it is the earlier one by a clock that ran ahead before.
pub(super) fn once_more(store: &dyn Store, batch: Batch, at: Timestamp) -> Result<Batch, StoreError> {
    let times = read(store)?.times.saturating_add(1);
    let value = [times.to_be_bytes().as_slice(), &at.unix().to_be_bytes()].concat();
    Ok(batch.put(Space::Meta, KEY, value))
}
