//! Which engine holds the records, and what it may use of the machine. It decides nothing else.

use super::{FjallStore, SledStore, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A back end of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Embedded, the default.
    Fjall,
    /// Embedded, the second.
    Sled,
    /// A database, which several front ends may share.
    Postgres,
}

impl Engine {
    /// All engines.
    pub const ALL: [Self; 3] = [Self::Fjall, Self::Sled, Self::Postgres];
    /// Those that keep the records in the state folder.
    pub const EMBEDDED: [Self; 2] = [Self::Fjall, Self::Sled];

    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
            Self::Postgres => "postgres",
        }
    }

    /// Opens its store: in `folder`, made if it isn't there, or in the database that the settings name.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it, else as the engine says.
    pub fn open(self, folder: &Path, settings: Settings) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Fjall => Arc::new(FjallStore::open(folder, settings)?),
            Self::Sled => Arc::new(SledStore::open(folder, settings)?),
            #[cfg(feature = "postgres")]
            Self::Postgres => Arc::new(super::PostgresStore::open(&settings)?),
            #[cfg(not(feature = "postgres"))]
            Self::Postgres => {
                let reason = "this program was built without PostgreSQL (feature `postgres`)".into();
                return Err(StoreError::Engine { operation: "open", reason });
            }
        })
    }

    /// The name of its folder in the state folder; a database has none there, and nothing is ever put under this name.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Fjall => "store",
            Self::Sled => "store.sled",
            Self::Postgres => "store.postgres",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an engine may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of cache.
    pub cache: u64,
    /// Bytes of the disk that stay free: with fewer, nothing is put any more.
    pub reserve: u64,
    /// A file that is given up for what stops something, where others have filled the disk.
    pub spare: Option<PathBuf>,
    /// The file with a database's URL.
    pub url_file: Option<PathBuf>,
    /// PEM file with the certificates to trust at a database, in place of the system's.
    pub ca: Option<PathBuf>,
}

impl Default for Settings {
    /// 32 MiB of cache, for a few hot records and the upper pages of a fleet's; 64 MiB of reserve, as much as a journal
    /// and one merge of it take.
    fn default() -> Self {
        Self { cache: 32 << 20, reserve: 64 << 20, spare: None, url_file: None, ca: None }
    }
}
