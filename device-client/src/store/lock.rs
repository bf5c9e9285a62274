//! The lock that keeps two agents from working on one state.

#![expect(clippy::disallowed_methods, reason = "this module is the lock's adapter")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The line after the number of the process, where it takes the owner's wishes up.
const LISTENS: &str = "listens";

/// Held while an agent works; the system lets it go when the agent ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Let go by word, and not only by closing the file: a program that another thread is starting at this moment may hold
/// a copy of it until it runs.
impl Drop for Lock {
    fn drop(&mut self) {
        // Where that fails, closing it does the same a little later.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The lock can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent holds it.
    #[error("another agent{holder} works on {state}", state = state.display())]
    Taken {
        /// ` (process 123)`, where it can be told.
        holder: String,
        /// Whether it takes the owner's wishes up ([`crate::wishes`]).
        listens: bool,
        /// The folder.
        state: PathBuf,
    },
    /// The system refuses.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl Lock {
    /// Takes the lock of the state in `folder`, without waiting.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Who it is helps, and is not known in the moment between locking and writing.
                let _ = (&file).take(40).read_to_string(&mut holder);
                let listens = holder.trim().ends_with(LISTENS);
                let holder = holder.split_whitespace().next().unwrap_or_default().parse::<u32>();
                let holder = holder.map_or(String::new(), |process| format!(" (process {process})"));
                return Err(LockError::Taken { holder, listens, state: folder.to_owned() });
            }
            Err(errno) => return Err(io(errno.into())),
        }
        // For the message above alone: a full disk must not keep the agent from working.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }

    /// Says to whoever finds it taken that the holder takes the owner's wishes up.
    pub fn say_that_it_listens(&self) {
        // Where that can't be written, commands say that they have to wait.
        let _ = (&self.file).write_all(format!("{LISTENS}\n").as_bytes());
    }
}
