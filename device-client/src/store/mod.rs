//! Durable records in a folder: two copies of each, and a marker elsewhere that tells a lost record from a new device.
//!
//! It decides which copy counts: the whole one with the highest sequence. It never repairs or guesses: where a record
//! was saved once and no whole copy is left, it says so, and the core installs nothing until it is recovered.

mod frame;
mod lock;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_device_core::download::INDEX_LENGTH;
use perennial_device_core::port::{Loaded, PortError, Record, Slot, Store};
use perennial_schemas::report::FailureCode;

use crate::files::{FileError, create_folder, read_if_there, write_durably};
pub use lock::{Lock, LockError};

/// First line of the marker.
const MARKER: &str = "perennial-marker 1";
/// Bytes of the marker: a line for each of three records.
const MARKER_LENGTH: u64 = 1024;

/// Records in a folder.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    marker: PathBuf,
    read_only: bool,
    /// The sequence of each whole copy, once looked up.
    copies: BTreeMap<Record, [Option<u64>; 2]>,
}

impl FileStore {
    /// A store in `folder`, with its marker in a file that should survive what the folder may not: on another
    /// partition, or at least in another folder.
    ///
    /// # Errors
    /// [`PortError`] where the folder can't be made.
    pub fn open(folder: &Path, marker: &Path) -> Result<Self, PortError> {
        create_folder(folder).map_err(|error| failed("opening the store", &error))?;
        Ok(Self { read_only: false, ..Self::read_only(folder, marker) })
    }

    /// The same store for looking only: nothing is made or repaired, so that nobody has to hold the lock.
    pub fn read_only(folder: &Path, marker: &Path) -> Self {
        let (folder, marker) = (folder.to_owned(), marker.to_owned());
        Self { folder, marker, read_only: true, copies: BTreeMap::new() }
    }

    fn path(&self, record: Record, copy: usize) -> PathBuf {
        self.folder.join(format!("{record}.{}", copy + 1))
    }

    fn index(&self, slot: Slot) -> PathBuf {
        self.folder.join(match slot {
            Slot::A => "slot-a.index",
            Slot::B => "slot-b.index",
        })
    }

    /// The newest whole copy, and whether any file is there at all.
    fn look(&mut self, record: Record) -> Result<(Option<Vec<u8>>, bool), PortError> {
        let mut newest: Option<(u64, Vec<u8>)> = None;
        let mut sequences = [None; 2];
        let mut any = false;
        for (copy, sequence) in sequences.iter_mut().enumerate() {
            let path = self.path(record, copy);
            let text = match read_if_there(&path, record.max_length() + frame::AROUND) {
                Ok(None) => continue,
                Ok(Some(text)) => text,
                Err(FileError::TooLong { .. }) => Vec::new(),
                Err(error) => return Err(failed(&format!("loading the {record} record"), &error)),
            };
            any = true;
            match frame::decode(record, &text) {
                Some((number, bytes)) => {
                    *sequence = Some(number);
                    if newest.as_ref().is_none_or(|(highest, _)| number > *highest) {
                        newest = Some((number, bytes.to_vec()));
                    }
                }
                None => tracing::warn!(path = %path.display(), "this copy of a record is damaged"),
            }
        }
        self.copies.insert(record, sequences);
        Ok((newest.map(|(_, bytes)| bytes), any))
    }

    /// Records that were saved once. A marker that can't be understood speaks for all of them.
    fn marked(&self) -> Result<Vec<Record>, PortError> {
        let text = match read_if_there(&self.marker, MARKER_LENGTH) {
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(text)) => text,
            Err(FileError::TooLong { .. }) => return Ok(Record::ALL.to_vec()),
            Err(error) => return Err(failed("reading the store's marker", &error)),
        };
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        if lines.first().is_none_or(|first| *first != MARKER.as_bytes()) {
            return Ok(Record::ALL.to_vec());
        }
        Ok(Record::ALL.into_iter().filter(|record| lines.contains(&record.name().as_bytes())).collect())
    }

    /// Notes in the marker that the record was saved: after its first save, so that a power cut in between doesn't
    /// leave a device that waits for a record which never was. A record that is found repeats what is missing.
    fn mark(&self, record: Record) -> Result<(), PortError> {
        let mut marked = self.marked()?;
        if marked.contains(&record) {
            return Ok(());
        }
        marked.push(record);
        let names: String = marked.iter().map(|record| format!("{record}\n")).collect();
        let text = format!("{MARKER}\n{names}");
        write_durably(&self.marker, text.as_bytes())
            .map_err(|error| failed("writing the store's marker", &error))
    }
}

impl Store for FileStore {
    fn load(&mut self, record: Record) -> Result<Loaded, PortError> {
        let (found, any) = self.look(record)?;
        match found {
            Some(bytes) => {
                if !self.read_only {
                    self.mark(record)?;
                }
                Ok(Loaded::Found(bytes))
            }
            None if any || self.marked()?.contains(&record) => Ok(Loaded::Lost),
            None => Ok(Loaded::New),
        }
    }

    fn keep_index(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), PortError> {
        write_durably(&self.index(slot), bytes)
            .map_err(|error| failed(&format!("keeping the index of slot {slot}"), &error))
    }

    fn kept_index(&mut self, slot: Slot) -> Option<Vec<u8>> {
        read_if_there(&self.index(slot), INDEX_LENGTH).ok().flatten()
    }

    fn save(&mut self, record: Record, bytes: &[u8]) -> Result<(), PortError> {
        let operation = format!("saving the {record} record");
        if self.read_only {
            return Err(PortError::new(
                FailureCode::Internal,
                operation,
                "the store was opened for looking only",
            ));
        }
        if bytes.len() as u64 > record.max_length() {
            let detail = format!("longer than its limit of {} bytes", record.max_length());
            return Err(PortError::new(FailureCode::Storage, operation, detail));
        }
        if !self.copies.contains_key(&record) {
            self.look(record)?;
        }
        let sequences = self.copies.get(&record).copied().unwrap_or_default();
        // The older copy is replaced, or a damaged or missing one: `None` is less than any sequence.
        let older = if sequences[0] <= sequences[1] { 0 } else { 1 };
        let next = sequences.iter().flatten().max().map_or(1, |highest| highest + 1);
        write_durably(&self.path(record, older), &frame::encode(record, next, bytes))
            .map_err(|error| failed(&operation, &error))?;
        if let Some(known) = self.copies.get_mut(&record) {
            known[older] = Some(next);
        }
        if sequences == [None, None] { self.mark(record) } else { Ok(()) }
    }
}

fn failed(operation: &str, error: &FileError) -> PortError {
    let code = if error.is_full() { FailureCode::NoRoom } else { FailureCode::Storage };
    PortError::new(code, operation, error.to_string())
}
