//! Flash in a file: a slot that is rewritten in place as a boot loader does it, and power that is cut on request.
//!
//! Decides nothing, and forgives nothing: what a part would not do is an error. The operation in which power is cut is left
//! half done, and none follows it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use perennial_device_core::delta::DeltaError;
use perennial_device_core::port::{Area, Flash, LINE, PortError};
use perennial_schemas::delta::{Header, InPlace};
use perennial_schemas::report::FailureCode;

use super::flash;
use super::progress::Progress;

/// A slot and a journal.
#[derive(Debug)]
pub struct FileFlash {
    place: InPlace,
    slot: File,
    journal: File,
    /// The operation in which power is cut, counted from one.
    cut_at: Option<u64>,
    /// Sectors erased and lines written so far.
    operations: u64,
}

impl FileFlash {
    /// In these files, which are as long as the slot and its journal.
    pub fn new(place: InPlace, slot: File, journal: File, cut_at: Option<u64>) -> Self {
        Self { place, slot, journal, cut_at, operations: 0 }
    }

    /// Sectors erased and lines written so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether power was cut.
    pub fn is_cut(&self) -> bool {
        self.cut_at.is_some_and(|at| self.operations >= at)
    }

    /// Rewrites the slot, or goes on with it; `new` is what it shall hold.
    ///
    /// # Errors
    /// [`DeltaError`]; where power was cut, too.
    pub fn rewrite(
        &mut self,
        header: &Header,
        delta: &[u8],
        new: &[u8],
        progress: &Progress<'_>,
    ) -> Result<(), DeltaError> {
        flash::rewrite_on(self, header, delta, new, progress)
    }

    fn file(&self, area: Area) -> &File {
        match area {
            Area::Slot => &self.slot,
            Area::Journal => &self.journal,
        }
    }

    /// Writes these bytes, durably; the first half of them where power is cut meanwhile.
    fn put(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), PortError> {
        if self.is_cut() {
            return Err(failed("there is no power"));
        }
        self.operations += 1;
        let is_cut = self.is_cut();
        let bytes = if is_cut { &bytes[..bytes.len() / 2] } else { bytes };
        let file = self.file(area);
        file.write_all_at(bytes, at)
            .and_then(|()| file.sync_data())
            .map_err(|error| failed(&error.to_string()))?;
        if is_cut { Err(failed("power was cut")) } else { Ok(()) }
    }
}

fn failed(what: &str) -> PortError {
    PortError::new(FailureCode::SlotIo, "rewriting the slot", what)
}

impl Flash for FileFlash {
    fn sector(&self) -> u32 {
        self.place.sector() as u32
    }

    fn sectors(&self) -> u32 {
        self.place.sectors
    }

    fn read(&mut self, area: Area, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
        self.file(area).read_exact_at(into, offset).map_err(|error| failed(&error.to_string()))
    }

    fn erase(&mut self, area: Area, sector: u32) -> Result<(), PortError> {
        let length = self.place.sector();
        self.put(area, u64::from(sector) * length, &vec![0xff; length as usize])
    }

    fn write(&mut self, area: Area, offset: u64, line: &[u8; LINE]) -> Result<(), PortError> {
        let mut there = [0; LINE];
        self.read(area, offset, &mut there)?;
        if there != [0xff; LINE] || !offset.is_multiple_of(LINE as u64) {
            return Err(failed("a line that wasn't erased"));
        }
        self.put(area, offset, line)
    }
}
