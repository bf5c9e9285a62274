//! The state folder: what lies where, and who holds it. One process holds the lock at a time, and only it opens the
//! store; the folder is its owner's alone.
//!
//! ```text
//! STATE/lock                 held by the process that uses the store
//! STATE/root.json            the first trusted root, handed over by a person
//! STATE/keys/                timestamp.key, rollout.key (PKCS#8, 0600), marks.key (32 bytes, 0600), *.pub.json
//! STATE/admin.token          the admin token, for its holder; may be moved away
//! STATE/tokens.json          digests of the tokens that are accepted
//! STATE/admin.sock           for commands, while the server runs (0600)
//! STATE/store.json           which engine holds the records; fjall where it isn't there
//! STATE/store/               generations, devices, rollouts, audit chain (fjall; store.sled/ for sled)
//! STATE/spare                4 MiB that are given up for what stops something, where others have filled the disk
//! STATE/blobs/               content by SHA-256
//! STATE/incoming/            content that is being received
//! ```

use crate::blobs::{Blobs, Staging};
use crate::config::Config;
use crate::disk::{self, DiskError};
use crate::records::copy::{self, is_unfinished};
use crate::store::{Engine, Settings, Store, StoreError};
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `store.json` has one line.
const RECORD_LIMIT: u64 = 64 << 10;

/// A state folder's places.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
    /// The engine that a configuration names.
    wanted: Option<Engine>,
    settings: Settings,
}

/// `store.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    engine: Engine,
    /// For a database: where its URL is, for commands that are given the state folder alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
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
    /// The records are elsewhere than the configuration says.
    #[error("the records of {path} are in {there}, and store.engine says {wanted}", path = .path.display())]
    OtherEngine {
        /// The state folder.
        path: PathBuf,
        /// What holds them.
        there: Engine,
        /// What the configuration names.
        wanted: Engine,
    },
    /// `store.json` isn't what this program writes.
    #[error("{path} can't be understood: {reason}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StateError {
    /// What to do about it, for the second line of an error.
    pub fn hint(&self) -> String {
        let other = "mend what the system says, then try again";
        match self {
            Self::NotThere(path) => {
                format!("make it first: perennial-server init --state {}", path.display())
            }
            Self::Held(_) => "another command is at work there; try again when it has ended".into(),
            Self::Disk(error) if error.source.kind() == std::io::ErrorKind::PermissionDenied => {
                "run the command as the state folder's owner".into()
            }
            Self::OtherEngine { there, wanted, .. } => format!(
                "move them first: perennial-server store migrate --to {wanted}; or set store.engine = \"{there}\""
            ),
            Self::Store(error) => error.hint().unwrap_or(other).into(),
            _ => other.into(),
        }
    }
}

/// The state folder, held: nobody else has its store.
pub struct Held {
    /// The places.
    pub state: State,
    /// What holds the records.
    pub engine: Engine,
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
        Self { root: root.into(), wanted: None, settings: Settings::default() }
    }

    /// The state folder that a configuration names, with the store as it asks for it.
    pub fn of(config: &Config) -> Self {
        let (wanted, settings) = (config.store.engine, config.store.settings());
        Self { root: config.state.clone(), wanted, settings }
    }

    /// Which engine holds the records: what `store.json` says, else fjall if it has any, else what is wanted.
    ///
    /// # Errors
    /// [`StateError::OtherEngine`] where another one is wanted.
    pub fn engine(&self) -> Result<Engine, StateError> {
        let there = if let Some(record) = self.record()? {
            record.engine
        } else if disk::count_entries(&self.store_folder(Engine::Fjall))? > 0 {
            Engine::Fjall
        } else {
            self.wanted.unwrap_or(Engine::Fjall)
        };
        match self.wanted.filter(|wanted| *wanted != there) {
            Some(wanted) => Err(StateError::OtherEngine { path: self.root.clone(), there, wanted }),
            None => Ok(there),
        }
    }

    fn record(&self) -> Result<Option<Record>, StateError> {
        let path = self.store_file();
        if !disk::exists(&path) {
            return Ok(None);
        }
        let text = disk::read(&path, RECORD_LIMIT)?;
        let malformed = |error: serde_json::Error| StateError::Malformed { path, reason: error.to_string() };
        serde_json::from_slice(&text).map(Some).map_err(malformed)
    }

    /// Writes down which engine holds the records: from now on, that one does.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn set_engine(&self, engine: Engine) -> Result<(), DiskError> {
        let database = (engine == Engine::Postgres).then(|| self.settings.clone());
        let (url_file, ca) = database.map_or((None, None), |settings| (settings.url_file, settings.ca));
        let record = Record { engine, url_file, ca };
        let mut text = serde_json::to_vec(&record).unwrap_or_default();
        text.push(b'\n');
        disk::replace(&self.store_file(), &text, 0o600)
    }

    /// The same folder, whatever engine a configuration names.
    pub(crate) fn any_engine(mut self) -> Self {
        self.wanted = None;
        self
    }

    /// Removes everything that an engine holds. The caller has the lock, and knows why.
    pub(crate) fn clear(&self, engine: Engine) -> Result<(), StateError> {
        if engine == Engine::Postgres {
            return Ok(copy::clear(&self.open(engine)?)?);
        }
        Ok(disk::remove_folder(&self.store_folder(engine))?)
    }

    /// Renames the folder of an engine that holds the records no more; the new name.
    pub(crate) fn put_aside(&self, engine: Engine, now: Timestamp) -> Result<Option<PathBuf>, DiskError> {
        let folder = self.store_folder(engine);
        if !disk::exists(&folder) {
            return Ok(None);
        }
        let aside = self.root.join(format!("{}.old-{}", engine.folder(), now.unix()));
        disk::rename(&folder, &aside)?;
        disk::sync_folder(&self.root)?;
        Ok(Some(aside))
    }

    /// The folder of an engine.
    pub fn store_folder(&self, engine: Engine) -> PathBuf {
        self.root.join(engine.folder())
    }

    fn store_file(&self) -> PathBuf {
        self.root.join("store.json")
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

    /// What is given up where others have filled the disk.
    pub(crate) fn spare(&self) -> PathBuf {
        self.root.join("spare")
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
    /// [`StateError::NotThere`] before `init`, [`StateError::Held`] while another process has it: at once where that answers at
    /// its socket.
    pub fn hold(&self) -> Result<Held, StateError> {
        // A program that this process starts shares its open files until it runs: a lock that was just given up may
        // seem held for a moment.
        for _ in 0..20 {
            match self.try_hold() {
                // Not where a server runs: whoever stops something goes on to it at once.
                Err(StateError::Held(_)) if !is_answered(&self.socket()) => {
                    std::thread::sleep(Duration::from_millis(50))
                }
                result => return result,
            }
        }
        self.try_hold()
    }

    fn try_hold(&self) -> Result<Held, StateError> {
        let lock = self.try_lock()?;
        let engine = self.engine()?;
        let store = self.open(engine)?;
        if is_unfinished(&store)? {
            return Err(StoreError::Unfinished.into());
        }
        if engine != Engine::Fjall && !disk::exists(&self.store_file()) {
            self.set_engine(engine)?;
        }
        Ok(Held { state: self.clone(), engine, store, _lock: lock })
    }

    /// Takes the lock, and opens nothing yet.
    ///
    /// # Errors
    /// As with [`Self::hold`].
    pub(crate) fn try_lock(&self) -> Result<File, StateError> {
        if !disk::exists(&self.tokens_file()) {
            return Err(StateError::NotThere(self.root.clone()));
        }
        let path = self.root.join("lock");
        let lock = disk::open_lock(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(StateError::Held(self.root.clone())),
            Err(TryLockError::Error(error)) => Ok(disk::at("lock", &path, Err(error))?),
        }
    }

    /// Opens the store of an engine, which may hold the records or not.
    pub(crate) fn open(&self, engine: Engine) -> Result<Arc<dyn Store>, StateError> {
        let mut settings = Settings { spare: Some(self.spare()), ..self.settings.clone() };
        if engine == Engine::Postgres
            && settings.url_file.is_none()
            && let Some(record) = self.record()?
        {
            (settings.url_file, settings.ca) = (record.url_file, record.ca);
        }
        let opened = engine.open(&self.store_folder(engine), settings);
        opened.map_err(|error| match error {
            StoreError::Held => StateError::Held(self.root.clone()),
            other => StateError::Store(other),
        })
    }
}

/// Whether somebody answers at a socket; one that a killed server left isn't answered.
fn is_answered(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_only_where_no_server_answers() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path());
        state.create().unwrap();
        std::fs::write(state.tokens_file(), b"[]").unwrap();
        let _lock = state.try_lock().unwrap();
        let door = std::os::unix::net::UnixListener::bind(state.socket()).unwrap();
        door.set_nonblocking(true).unwrap();
        assert!(matches!(state.hold(), Err(StateError::Held(_))));
        assert!(door.accept().is_ok());
        assert!(door.accept().is_err(), "it asked once, and didn't try the lock again");
    }
}
