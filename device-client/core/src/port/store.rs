//! Durable records: what the device must still know after a power cut.

use alloc::vec::Vec;
use core::fmt;

use super::{PortError, Slot};

/// A record of the store. Each is replaced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// The trust state: verified metadata and its floors. Up to 27 MiB at all limits (root 0.5, snapshot 4,
    /// targets 8, delegated 8, floors 6), mostly under 100 KiB.
    Trust,
    /// What must never move down apart from that: withdrawn digests, the support record. Up to 1 MiB.
    Floors,
    /// The state machine: the update under way, confirmed and failed releases, reports not yet acknowledged. Up to
    /// 256 KiB, mostly under 16 KiB; written every few MiB while an image is installed.
    Journal,
}

impl Record {
    /// All of them.
    pub const ALL: [Record; 3] = [Record::Trust, Record::Floors, Record::Journal];

    /// Its name, fit for a file.
    pub fn name(self) -> &'static str {
        match self {
            Record::Trust => "trust",
            Record::Floors => "floors",
            Record::Journal => "journal",
        }
    }

    /// The most bytes that are loaded or saved.
    pub fn max_length(self) -> u64 {
        match self {
            Record::Trust => 32 * 1024 * 1024,
            Record::Floors => 1024 * 1024,
            Record::Journal => 256 * 1024,
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the store has of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The newest whole copy.
    Found(Vec<u8>),
    /// It was never saved: the marker outside the store says that this device is new.
    New,
    /// It was saved once, and no whole copy is left. Fails closed.
    Lost,
}

/// Keeps records durably. For an adapter:
///
/// - each record has **two copies** with a rising sequence number, a length and a checksum (SHA-256 or CRC-32) around
///   the bytes; a save replaces the older one by temp + fsync + rename + fsync of the folder, and only then counts;
/// - a load gives the whole copy with the highest sequence; one torn copy is no error, as the other is whole. (The
///   older copy is then found only if the newest was damaged afterwards; the core copes with an older journal, and the
///   trust state's floors go with it: an adapter that finds one copy damaged says so in its log);
/// - a **marker outside the store** (another folder, the boot loader's environment, a TPM index) names each
///   record once its first save is durable, and that save counts only then. A missing record that the marker names is
///   [`Loaded::Lost`], any other [`Loaded::New`].
pub trait Store {
    /// The record's bytes.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::Storage`] where the medium fails; more than
    /// [`Record::max_length`] bytes count as damaged.
    fn load(&mut self, record: Record) -> Result<Loaded, PortError>;

    /// Replaces the record, durably and whole.
    ///
    /// # Errors
    /// [`PortError`]; the old bytes are then still there.
    fn save(&mut self, record: Record, bytes: &[u8]) -> Result<(), PortError>;

    /// Keeps the index of what a slot holds, up to 8 MiB, in place of the one before. It is verified again whenever it is
    /// used, and may be lost: it is no record, and a store without room for it keeps none.
    ///
    /// # Errors
    /// [`PortError`]; nothing hangs on it.
    fn keep_index(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), PortError> {
        let _ = (slot, bytes);
        Ok(())
    }

    /// The index of what a slot holds, where one was kept.
    fn kept_index(&mut self, slot: Slot) -> Option<Vec<u8>> {
        let _ = slot;
        None
    }
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryStore;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use crate::port::power::Power;
    use alloc::collections::{BTreeMap, BTreeSet};
    use alloc::format;
    use perennial_schemas::report::FailureCode;

    /// A store in memory.
    #[derive(Debug)]
    pub struct MemoryStore {
        power: Power,
        /// The records.
        pub records: BTreeMap<Record, Vec<u8>>,
        /// Records of which no whole copy is left.
        pub lost: BTreeSet<Record>,
        /// Records that can't be saved: the disk is full.
        pub full: BTreeSet<Record>,
        /// Indexes of what the slots hold.
        pub indexes: BTreeMap<Slot, Vec<u8>>,
    }

    impl MemoryStore {
        /// The store of a new device.
        pub fn new(power: &Power) -> Self {
            Self {
                power: power.clone(),
                records: BTreeMap::new(),
                lost: BTreeSet::new(),
                full: BTreeSet::new(),
                indexes: BTreeMap::new(),
            }
        }
    }

    impl Store for MemoryStore {
        fn load(&mut self, record: Record) -> Result<Loaded, PortError> {
            self.power.on(FailureCode::Storage, "loading a record")?;
            if self.lost.contains(&record) {
                return Ok(Loaded::Lost);
            }
            Ok(self.records.get(&record).map_or(Loaded::New, |bytes| Loaded::Found(bytes.clone())))
        }

        fn save(&mut self, record: Record, bytes: &[u8]) -> Result<(), PortError> {
            self.power.spend(FailureCode::Storage, &format!("saving the {record} record"))?;
            if bytes.len() as u64 > record.max_length() {
                let detail = format!("longer than its limit of {} bytes", record.max_length());
                return Err(PortError::new(FailureCode::Storage, "saving a record", detail));
            }
            if self.full.contains(&record) {
                return Err(PortError::new(FailureCode::Storage, "saving a record", "no space left"));
            }
            self.lost.remove(&record);
            self.records.insert(record, bytes.to_vec());
            Ok(())
        }

        fn keep_index(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), PortError> {
            self.power.spend(FailureCode::Storage, "keeping an index")?;
            self.indexes.insert(slot, bytes.to_vec());
            Ok(())
        }

        fn kept_index(&mut self, slot: Slot) -> Option<Vec<u8>> {
            self.indexes.get(&slot).cloned()
        }
    }
}
