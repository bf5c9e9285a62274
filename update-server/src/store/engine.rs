//! Which engine holds the records, and what it may use of the machine. It decides nothing else.

use super::{FjallStore, SledStore, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A back end of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Embedded, the default.
    Fjall,
    /// Embedded, the second.
    Sled,
}

impl Engine {
    /// All engines.
    pub const ALL: [Self; 2] = [Self::Fjall, Self::Sled];

    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
        }
    }

    /// Opens its store in `folder`, made if it isn't there.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it, else as the engine says.
    pub fn open(self, folder: &Path, settings: Settings) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Fjall => Arc::new(FjallStore::open(folder, settings)?),
            Self::Sled => Arc::new(SledStore::open(folder, settings)?),
        })
    }

    /// The name of its folder in the state folder.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Fjall => "store",
            Self::Sled => "store.sled",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an embedded engine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of cache.
    pub cache: u64,
    /// Bytes of the disk that stay free: with fewer, nothing is put any more.
    pub reserve: u64,
}

impl Default for Settings {
    /// 32 MiB of cache, for a few hot records and the upper pages of a fleet's; 64 MiB of reserve, as much as a journal
    /// and one merge of it take.
    fn default() -> Self {
        Self { cache: 32 << 20, reserve: 64 << 20 }
    }
}
