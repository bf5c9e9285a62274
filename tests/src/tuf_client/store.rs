//! The trust state in a folder, in two copies, and the plain files beside it that others read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use perennial_device::files::{FileError, read_if_there, write_durably};
use perennial_device_core::trust::{StateError, StoreError, TrustState, TrustStore};

/// The copies of the state, written one after the other: whatever is torn, the other one is whole.
const COPIES: [&str; 2] = ["trust.a", "trust.b"];
/// All files of a state at their limits.
const STATE_LENGTH: u64 = 32 * 1024 * 1024;

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreFault {
    #[error("nothing is trusted here yet: init comes first")]
    New,
    /// Fails closed: a state that can't be read is never taken for an absent one.
    #[error("both copies of the trust state are damaged")]
    Lost(#[source] StateError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// The store.
pub(super) struct FolderStore {
    folder: PathBuf,
    written: BTreeMap<String, Vec<u8>>,
}

impl FolderStore {
    pub(super) fn open(folder: &Path) -> Self {
        Self { folder: folder.into(), written: BTreeMap::new() }
    }

    /// Whether nothing was ever trusted here.
    pub(super) fn is_new(&self) -> Result<bool, StoreFault> {
        match self.load() {
            Err(StoreFault::New) => Ok(true),
            other => other.map(|_| false),
        }
    }

    /// The newest whole copy.
    pub(super) fn load(&self) -> Result<TrustState, StoreFault> {
        let mut newest: Option<TrustState> = None;
        let mut damage = None;
        for copy in COPIES {
            match read_if_there(&self.folder.join(copy), STATE_LENGTH)?
                .map(|bytes| TrustState::decode(&bytes))
            {
                Some(Ok(state))
                    if newest.as_ref().is_none_or(|newest| newest.sequence() < state.sequence()) =>
                {
                    newest = Some(state);
                }
                Some(Err(error)) => damage = Some(error),
                _ => {}
            }
        }
        newest.ok_or(damage.map_or(StoreFault::New, StoreFault::Lost))
    }

    /// Saves the state, then the plain files that changed.
    pub(super) fn keep(&mut self, state: &TrustState) -> Result<(), FileError> {
        let bytes = state.encode();
        for copy in COPIES {
            write_durably(&self.folder.join(copy), &bytes)?;
        }
        for (name, file) in state.files() {
            if self.written.get(&name).is_none_or(|written| written != file) {
                self.show(&name, file)?;
                self.written.insert(name, file.to_vec());
            }
        }
        Ok(())
    }
}

impl FolderStore {
    /// A plain file for others to look at: whole or not there, and without fsync, as nothing is read back from it.
    fn show(&self, name: &str, file: &[u8]) -> Result<(), FileError> {
        let path = self.folder.join(name);
        let written = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut temporary| {
            temporary.write_all(file)?;
            temporary.persist(&path).map_err(std::io::Error::from).map(drop)
        });
        written.map_err(|source| FileError::Io { path, source })
    }
}

impl TrustStore for FolderStore {
    fn save(&mut self, state: &TrustState) -> Result<(), StoreError> {
        self.keep(state).map_err(|error| StoreError(Box::new(error)))
    }
}
