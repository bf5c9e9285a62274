//! The room that stays free on an embedded engine's disk, so that no engine is torn in the middle of a write, and that a full
//! disk takes the brake away from nobody: what stops something may use the reserve, and where others have used that up, a spare
//! file is given up for it. It decides who may put something, and writes nothing but that file.

use super::{Batch, Settings, StoreError};
use crate::disk::{self, DiskError};
use std::path::{Path, PathBuf};

/// Bytes of the spare file. With less free, it is given up for what stops something.
const SPARE: u64 = 4 << 20;
/// With less, nothing at all is put: one batch of those that stop something takes a few kilobytes.
pub(crate) const LEAST: u64 = 1 << 20;

/// The room on a store's disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Free.
    pub free: u64,
    /// So much is kept: with less, only what stops something is put.
    pub reserve: u64,
    /// Beside what is free, for what stops something.
    pub spare: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reserve {
    bytes: u64,
    spare: Option<PathBuf>,
}

impl Reserve {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { bytes: settings.reserve, spare: settings.spare.clone() }
    }

    /// The room in an engine's folder.
    pub(super) fn room(&self, folder: &Path) -> Option<Room> {
        let spare = self.spare.as_ref().map_or(0, |spare| disk::length(spare).ok().flatten().unwrap_or(0));
        disk::free(folder).ok().map(|free| Room { free, reserve: self.bytes, spare })
    }

    /// Refuses a batch that puts something while too little is free.
    ///
    /// # Errors
    /// [`StoreError::Full`]
    pub(super) fn check(&self, folder: &Path, batch: &Batch) -> Result<(), StoreError> {
        let failed = |error: DiskError| StoreError::Engine { operation: "commit", reason: error.to_string() };
        self.check_with(batch, &|| disk::free(folder).map_err(failed))
    }

    fn check_with(
        &self,
        batch: &Batch,
        free: &dyn Fn() -> Result<u64, StoreError>,
    ) -> Result<(), StoreError> {
        if batch.puts.is_empty() {
            return Ok(());
        }
        let before = free()?;
        if before >= self.bytes {
            return Ok(());
        }
        if !batch.urgent {
            let kept = self.bytes;
            return Err(StoreError::Full(format!(
                "{before} bytes are free, and {kept} are kept (store.reserve)"
            )));
        }
        let given = self.spare.as_ref().filter(|spare| before < SPARE && disk::exists(spare));
        if let Some(Err(error)) = given.map(|spare| disk::remove(spare)) {
            tracing::error!(%error, "the spare file can't be given up");
        }
        let left = free()?;
        if left >= self.bytes.min(LEAST) {
            return Ok(());
        }
        Err(StoreError::Full(format!(
            "{left} bytes are free, and with less than {LEAST} nothing is recorded, not even what stops something"
        )))
    }
}

/// Makes the spare file where it isn't there and there is room for it beside the reserve.
///
/// # Errors
/// When it can't be made.
pub(crate) fn make_spare(spare: &Path, room: Room) -> Result<(), DiskError> {
    if room.free < room.reserve.saturating_add(2 * SPARE) || disk::exists(spare) {
        return Ok(());
    }
    disk::create_filled(spare, SPARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Space;

    #[test]
    fn what_stops_something_is_written_on_a_disk_that_others_filled() {
        let folder = tempfile::tempdir().unwrap();
        let spare = folder.path().join("spare");
        let reserve = Reserve::of(&Settings { spare: Some(spare.clone()), ..Settings::default() });
        let room = |free| Room { free, reserve: 64 << 20, spare: 0 };
        make_spare(&spare, room(70 << 20)).unwrap();
        assert!(!disk::exists(&spare), "the reserve comes first");
        make_spare(&spare, room(80 << 20)).unwrap();
        assert_eq!(reserve.room(folder.path()).unwrap().spare, SPARE);
        // Somebody else has taken all but so much.
        let left = std::cell::Cell::new(0);
        let free = || Ok(left.get() + if disk::exists(&spare) { 0 } else { SPARE });
        let put = |urgent| Batch::new().put(Space::Meta, *b"a", *b"1").urgent(urgent);
        assert!(matches!(reserve.check_with(&put(false), &free), Err(StoreError::Full(_))));
        assert!(disk::exists(&spare));
        reserve.check_with(&put(true), &free).unwrap();
        assert!(!disk::exists(&spare), "it was given up");
        reserve.check_with(&put(true), &free).unwrap();
        let full = reserve.check_with(&put(true), &|| Ok(LEAST - 1)).unwrap_err().to_string();
        assert!(full.contains(&format!("less than {LEAST} nothing is recorded")), "{full}");
        reserve.check_with(&Batch::new().remove(Space::Meta, *b"a"), &|| Ok(0)).unwrap();
        make_spare(&spare, room(80 << 20)).unwrap();
        assert!(disk::exists(&spare), "and made again");
    }
}
