//! `[store]`: which engine holds the records, and what it may use.

use super::Size;
use crate::store::{Engine, Settings};
use serde::Deserialize;
use std::path::PathBuf;

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
    /// The file with a database's URL.
    pub url_file: Option<PathBuf>,
    /// The certificates to trust at a database.
    pub ca: Option<PathBuf>,
}

impl Default for Store {
    fn default() -> Self {
        let Settings { cache, reserve, url_file, ca, .. } = Settings::default();
        Self { engine: None, cache: Size(cache), reserve: Size(reserve), url_file, ca }
    }
}

impl Store {
    /// What the engine may use.
    pub fn settings(&self) -> Settings {
        let (url_file, ca) = (self.url_file.clone(), self.ca.clone());
        Settings { cache: self.cache.0, reserve: self.reserve.0, url_file, ca, ..Settings::default() }
    }

    /// What no single value can tell.
    pub(super) fn check(&self) -> Result<(), String> {
        if !((1 << 20)..=(64 << 30)).contains(&self.cache.0) {
            return Err("store.cache lies between 1MiB and 64GiB".into());
        }
        if self.engine == Some(Engine::Postgres) && self.url_file.is_none() {
            return Err(
                "store.engine is \"postgres\", so store.url_file must name a file with the database's URL"
                    .into(),
            );
        }
        Ok(())
    }
}
