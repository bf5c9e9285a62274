//! A witness of how many commits an embedded store has acknowledged, in a file of its own. Both engines read their log as
//! far as it makes sense, and take what follows for a write that a power cut tore: a damaged log makes them forget what
//! they had acknowledged, without a word. The store counts its commits inside, the witness outside; a store that knows of
//! fewer is damaged, and says so. The file is written after each commit and never synced: it may lag behind, which is no
//! harm, and it never runs ahead.

use super::StoreError;
use crate::disk::{self, DiskError};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Its name in the engine's folder.
const NAME: &str = "witness";

/// See the module.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    count: u64,
}

impl Witness {
    /// Compares the store's own count with what the witness saw.
    ///
    /// # Errors
    /// [`StoreError::Forgot`] when the store has lost commits.
    pub(super) fn open(folder: &Path, inside: Option<&[u8]>) -> Result<Self, StoreError> {
        let broken = |error: DiskError| StoreError::Engine { operation: "open", reason: error.to_string() };
        let corrupt = || StoreError::Corrupt(NAME.into());
        let count = match inside {
            None => 0,
            Some(bytes) => u64::from_be_bytes(bytes.try_into().map_err(|_| corrupt())?),
        };
        let file = disk::open_lock(&folder.join(NAME)).map_err(broken)?;
        let seen = match disk::read(&folder.join(NAME), 16).map_err(broken)?.as_slice() {
            // After a power cut the file may be there and its bytes not.
            [] => 0,
            bytes if bytes.iter().all(|byte| *byte == 0) => 0,
            bytes => {
                let (seen, check) = bytes.split_first_chunk().ok_or_else(corrupt)?;
                let seen = u64::from_be_bytes(*seen);
                if *check != (!seen).to_be_bytes() {
                    return Err(corrupt());
                }
                seen
            }
        };
        if seen > count {
            return Err(StoreError::Forgot { acknowledged: seen, left: count });
        }
        Ok(Self { file, count })
    }

    /// The number of the commit to come; the store keeps its bytes, big-endian.
    pub(super) fn next(&self) -> u64 {
        self.count + 1
    }

    /// The commit is on the disk.
    pub(super) fn acknowledge(&mut self) {
        self.count += 1;
        let both = [self.count.to_be_bytes(), (!self.count).to_be_bytes()].concat();
        // A witness that lags behind is no harm; the commit is done.
        let _ = self.file.write_all_at(&both, 0);
    }
}
