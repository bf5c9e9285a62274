//! The state folder: what lies where, and who holds it. One process holds the lock at a time, and only it opens the
//! store; the folder is its owner's alone.
//!
//! ```text
//! STATE/lock                 held by the process that uses the store
//! STATE/root.json            the first trusted root, handed over by a person
//! STATE/keys/                timestamp.key, rollout.key (PKCS#8, 0600), *.pub.json
//! STATE/admin.token          the admin token, for its holder; may be moved away
//! STATE/tokens.json          digests of the tokens that are accepted
//! STATE/admin.sock           for commands, while the server runs (0600)
//! STATE/store/               generations, audit chain (fjall)
//! STATE/blobs/               content by SHA-256
//! STATE/incoming/            content that is being received
//! ```

use crate::blobs::{Blobs, Staging};
use crate::disk::{self, DiskError};
use crate::store::{FjallStore, Store, StoreError};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A state folder's places.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

/// Why the state can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no state folder, or `init` never finished.
    #[error("{0} is not a state folder of perennial-server")]
    NotThere(PathBuf),
    /// Another process holds it.
    #[error("{0} is in use by another process")]
    Held(PathBuf),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The state folder, held: nobody else has its store.
pub struct Held {
    /// The places.
    pub state: State,
    /// The open store.
    pub store: Arc<dyn Store>,
    _lock: File,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("state", &self.state).finish_non_exhaustive()
    }
}

impl State {
    /// The state folder at `root`; nothing is looked at yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// The first trusted root.
    pub fn root_file(&self) -> PathBuf {
        self.root.join("root.json")
    }

    /// The folder with the online keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The token in the clear, for its holder.
    pub fn token_file(&self) -> PathBuf {
        self.root.join("admin.token")
    }

    /// Digests of the accepted tokens.
    pub fn tokens_file(&self) -> PathBuf {
        self.root.join("tokens.json")
    }

    /// The socket for commands.
    pub fn socket(&self) -> PathBuf {
        self.root.join("admin.sock")
    }

    /// The blobs.
    pub fn blobs(&self) -> Blobs {
        Blobs::at(self.root.join("blobs"))
    }

    /// A place for content that is being received.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn staging(&self) -> Result<Staging, DiskError> {
        Staging::begin(self.root.join("incoming"))
    }

    /// Makes the folders; those that exist are left alone.
    ///
    /// # Errors
    /// When one can't be made.
    pub fn create(&self) -> Result<(), DiskError> {
        disk::create_folder(&self.root)?;
        disk::create_folder(&self.keys())?;
        disk::create_folder(&self.root.join("blobs"))?;
        disk::create_folder(&self.root.join("store"))?;
        disk::open_lock(&self.root.join("lock"))?;
        disk::sync_folder(&self.root)
    }

    /// Takes the lock and opens the store.
    ///
    /// # Errors
    /// [`StateError::NotThere`] before `init`, [`StateError::Held`] while another process has it.
    pub fn hold(&self) -> Result<Held, StateError> {
        // A program that this process starts shares its open files until it runs: a lock that was just given up may
        // seem held for a moment.
        for _ in 0..20 {
            match self.try_hold() {
                Err(StateError::Held(_)) => std::thread::sleep(Duration::from_millis(50)),
                result => return result,
            }
        }
        self.try_hold()
    }

    fn try_hold(&self) -> Result<Held, StateError> {
        if !disk::exists(&self.tokens_file()) {
            return Err(StateError::NotThere(self.root.clone()));
        }
        let path = self.root.join("lock");
        let lock = disk::open_lock(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::Held(self.root.clone())),
            Err(TryLockError::Error(error)) => disk::at("lock", &path, Err(error))?,
        }
        let store = FjallStore::open(&self.root.join("store")).map_err(|error| match error {
            StoreError::Held => StateError::Held(self.root.clone()),
            other => StateError::Store(other),
        })?;
        Ok(Held { state: self.clone(), store: Arc::new(store), _lock: lock })
    }
}
