//! How many devices there are, by what they count as: some rows at a time, so that nobody waits for the whole.

use super::lists::ByMaker;
use super::row::{Row, Standing};
use crate::store::{Space, Store, StoreError};
use std::collections::BTreeMap;

/// Rows read at once.
const ROWS: usize = 1000;

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// By standing.
    pub by: BTreeMap<Standing, u64>,
    /// Rows that can't be read: of what standing, nobody knows.
    pub damaged: u64,
}

/// A count on its way.
#[derive(Debug, Default)]
pub(super) struct Count {
    after: Option<Vec<u8>>,
    by_maker: ByMaker,
    pub(super) counted: Counted,
}

impl Count {
    pub(super) fn new(by_maker: ByMaker) -> Self {
        Self { by_maker, ..Self::default() }
    }

    /// Counts some more; true at the end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn step(&mut self, store: &dyn Store) -> Result<bool, StoreError> {
        let page = store.scan(Space::Devices, self.after.as_deref(), ROWS)?;
        for (_, value) in &page {
            match Row::decode(value) {
                Ok(row) => *self.counted.by.entry(self.by_maker.standing(&row)).or_default() += 1,
                Err(_) => self.counted.damaged += 1,
            }
        }
        match page.into_iter().next_back() {
            Some((key, _)) => {
                self.after = Some(key);
                Ok(false)
            }
            None => Ok(true),
        }
    }
}

/// Counts all of them at once, without what the maker's lists say.
///
/// # Errors
/// [`StoreError`].
pub fn count(store: &dyn Store) -> Result<Counted, StoreError> {
    let mut count = Count::default();
    while !count.step(store)? {}
    Ok(count.counted)
}
