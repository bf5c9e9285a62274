//! `[store]`: which engine holds the records, and what it may use.

use super::Size;
use crate::store::{Engine, Settings};
use serde::Deserialize;

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The engine; what the state was made with where none is given.
    pub engine: Option<Engine>,
    /// Cache of an embedded engine.
    pub cache: Size,
    /// What stays free on the disk of an embedded engine.
    pub reserve: Size,
}

impl Default for Store {
    fn default() -> Self {
        let Settings { cache, reserve } = Settings::default();
        Self { engine: None, cache: Size(cache), reserve: Size(reserve) }
    }
}

impl Store {
    /// What an embedded engine may use.
    pub fn settings(&self) -> Settings {
        Settings { cache: self.cache.0, reserve: self.reserve.0 }
    }

    /// What no single value can tell.
    pub(super) fn check(&self) -> Result<(), String> {
        if !((1 << 20)..=(64 << 30)).contains(&self.cache.0) {
            return Err("store.cache lies between 1MiB and 64GiB".into());
        }
        Ok(())
    }
}
