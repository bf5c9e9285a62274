//! Which of the maker's revocation lists were in use: their numbers rise, so an older one that is put in place is told, also
//! after a restart. And whom they revoke, for whoever asks about devices.

use super::row::{Row, Standing};
use super::trust::Trust;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Sha256Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The numbers: for each device CA the digest of its key, 32 bytes, and the number, 16 bytes, big-endian.
const KEY: &[u8] = b"revocations";

/// The numbers of the newest lists, by the device CA's key.
pub(super) type Numbers = BTreeMap<Sha256Digest, u128>;

/// A list's number. RFC 5280 (5.2.3) lets it have 20 bytes; ours have 5, and what has more than 16 counts as the highest.
pub(super) fn number(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .try_fold(0_u128, |all, byte| Some(all.checked_mul(256)? + u128::from(*byte)))
        .unwrap_or(u128::MAX)
}

/// The numbers that were in use here before.
///
/// # Errors
/// [`StoreError`].
pub(super) fn kept(store: &dyn Store) -> Result<Numbers, StoreError> {
    let Some(value) = store.get(Space::Meta, KEY)? else { return Ok(Numbers::new()) };
    let corrupt = || StoreError::Corrupt("meta/revocations".into());
    let one = |part: &[u8]| {
        let (ca, number) = part.split_first_chunk().ok_or_else(corrupt)?;
        Ok((Sha256Digest(*ca), u128::from_be_bytes(number.try_into().map_err(|_| corrupt())?)))
    };
    value.chunks(32 + 16).map(one).collect()
}

/// Keeps the higher ones of these numbers and of those that are kept.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Changed`] where another front end did so at that moment.
pub(super) fn keep(store: &dyn Store, numbers: &Numbers) -> Result<(), StoreError> {
    let before = store.get(Space::Meta, KEY)?;
    let mut all = kept(store)?;
    for (ca, number) in numbers {
        let known = all.entry(*ca).or_default();
        *known = (*known).max(*number);
    }
    let value: Vec<u8> =
        all.iter().flat_map(|(ca, number)| [&ca.as_bytes()[..], &number.to_be_bytes()].concat()).collect();
    if value.is_empty() || before.as_ref() == Some(&value) {
        return Ok(());
    }
    store.commit(Batch::new().expect(Space::Meta, KEY, before).put(Space::Meta, KEY, value))
}

/// Whom the maker's lists revoke, where there are any.
#[derive(Debug, Clone, Default)]
pub struct ByMaker(pub(crate) Option<Arc<Trust>>);

impl ByMaker {
    /// Whether a list names the device's factory certificate.
    pub fn revokes(&self, row: &Row) -> bool {
        let named = |trust: &Arc<Trust>| row.factory.as_ref().is_some_and(|it| trust.is_revoked(&it.serial));
        self.0.as_ref().is_some_and(named)
    }

    /// What a device counts as, with what the lists say.
    pub fn standing(&self, row: &Row) -> Standing {
        if self.revokes(row) { Standing::Revoked } else { row.standing() }
    }
}
