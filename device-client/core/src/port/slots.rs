//! Where images live: two slots, as partitions, files, or release folders behind a symlink.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::PortError;
use crate::vouch::Vouched;

/// One of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Slot; 2] = [Slot::A, Slot::B];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slot::A => "A",
            Slot::B => "B",
        })
    }
}

/// Reads and writes slots. Between [`Slots::begin`] and [`Slots::sync`] a power cut may keep any part of what was
/// written; the core journals an offset only after a sync. The core never writes into the booted slot.
pub trait Slots {
    /// The slot that this system was booted from.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::SlotIo`].
    fn booted(&mut self) -> Result<Slot, PortError>;

    /// The other one, which updates are written into.
    ///
    /// # Errors
    /// As [`Slots::booted`].
    fn target(&mut self) -> Result<Slot, PortError> {
        self.booted().map(Slot::other)
    }

    /// How many bytes fit into a slot.
    ///
    /// # Errors
    /// [`PortError`].
    fn capacity(&mut self, slot: Slot) -> Result<u64, PortError>;

    /// An image of `length` bytes is going to be written. What the slot held is gone from here on. A file is created
    /// or cut to nothing; a partition has nothing to do.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::NoRoom`] where it doesn't fit.
    fn begin(&mut self, slot: Slot, length: u64) -> Result<(), PortError>;

    /// Writes a verified chunk at its offset. Chunks come in ascending order; after a power cut the core goes on at
    /// the journalled offset without [`Slots::begin`], or begins anew.
    ///
    /// # Errors
    /// [`PortError`]; a full disk has the code [`perennial_schemas::report::FailureCode::NoRoom`].
    fn write(&mut self, slot: Slot, chunk: &Vouched<'_>) -> Result<(), PortError>;

    /// Fills `into` with the bytes at `offset`.
    ///
    /// # Errors
    /// [`PortError`], also where the slot holds fewer bytes.
    fn read(&mut self, slot: Slot, offset: u64, into: &mut [u8]) -> Result<(), PortError>;

    /// Everything written is durable.
    ///
    /// # Errors
    /// [`PortError`].
    fn sync(&mut self, slot: Slot) -> Result<(), PortError>;
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemorySlots;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use crate::port::power::Power;
    use alloc::vec::Vec;
    use alloc::{format, vec};
    use perennial_schemas::report::FailureCode;

    /// Two slots in memory, with a volatile cache: [`MemorySlots::cut`] keeps some unsynced writes, loses others and
    /// tears one.
    #[derive(Debug)]
    pub struct MemorySlots {
        power: Power,
        /// The slot that was booted.
        pub booted: Slot,
        /// What a slot can hold, in bytes.
        pub capacity: u64,
        /// What is durable: A, B.
        pub disk: [Vec<u8>; 2],
        cache: Vec<(Slot, u64, Vec<u8>)>,
        /// Every offset written, in order.
        pub writes: Vec<(Slot, u64)>,
        /// The offset of a byte that reads back otherwise than it was written.
        pub decayed: Option<u64>,
    }

    impl MemorySlots {
        /// Slots of `capacity` bytes, of which A is booted.
        pub fn new(power: &Power, capacity: u64) -> Self {
            let disk = [vec![], vec![]];
            let (cache, writes) = (vec![], vec![]);
            Self { power: power.clone(), booted: Slot::A, capacity, disk, cache, writes, decayed: None }
        }

        /// What a power cut leaves: of the unsynced writes those whose turn `seed` says survive, one of them torn.
        pub fn cut(&mut self, seed: u64) {
            for (i, (slot, offset, bytes)) in core::mem::take(&mut self.cache).into_iter().enumerate() {
                match (seed >> (i % 8)) % 3 {
                    0 => {}
                    1 => self.apply(slot, offset, &bytes[..bytes.len() / 2]),
                    _ => self.apply(slot, offset, &bytes),
                }
            }
        }

        fn apply(&mut self, slot: Slot, offset: u64, bytes: &[u8]) {
            let disk = &mut self.disk[slot as usize];
            let (start, end) = (offset as usize, offset as usize + bytes.len());
            disk.resize(disk.len().max(end), 0);
            disk[start..end].copy_from_slice(bytes);
        }

        fn spend(&self, operation: &str) -> Result<(), PortError> {
            self.power.spend(FailureCode::SlotIo, operation)
        }

        fn fits(&self, end: u64) -> Result<(), PortError> {
            if end <= self.capacity {
                return Ok(());
            }
            let detail = format!("{end} bytes, {} fit", self.capacity);
            Err(PortError::new(FailureCode::NoRoom, "writing a slot", detail))
        }
    }

    impl Slots for MemorySlots {
        fn booted(&mut self) -> Result<Slot, PortError> {
            self.power.on(FailureCode::SlotIo, "asking for the booted slot")?;
            Ok(self.booted)
        }

        fn capacity(&mut self, _: Slot) -> Result<u64, PortError> {
            Ok(self.capacity)
        }

        fn begin(&mut self, slot: Slot, length: u64) -> Result<(), PortError> {
            self.fits(length)?;
            self.spend("beginning a slot")?;
            self.cache.retain(|(other, _, _)| *other != slot);
            self.disk[slot as usize].clear();
            Ok(())
        }

        fn write(&mut self, slot: Slot, chunk: &Vouched<'_>) -> Result<(), PortError> {
            let end = chunk.offset() + chunk.bytes().len() as u64;
            self.fits(end)?;
            // The write during which power fails may still reach the disk in part.
            self.cache.push((slot, chunk.offset(), chunk.bytes().to_vec()));
            self.writes.push((slot, chunk.offset()));
            self.spend("writing a slot")
        }

        fn read(&mut self, slot: Slot, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
            self.power.on(FailureCode::SlotIo, "reading a slot")?;
            let mut content = alloc::borrow::Cow::Borrowed(&self.disk[slot as usize]);
            for (_, at, bytes) in self.cache.iter().filter(|(cached, _, _)| *cached == slot) {
                let (start, end) = (*at as usize, *at as usize + bytes.len());
                let content = content.to_mut();
                content.resize(content.len().max(end), 0);
                content[start..end].copy_from_slice(bytes);
            }
            let start = offset as usize;
            match content.get(start..start + into.len()) {
                Some(bytes) => {
                    into.copy_from_slice(bytes);
                    let decayed = self.decayed.and_then(|at| into.get_mut(at.checked_sub(offset)? as usize));
                    decayed.into_iter().for_each(|byte| *byte ^= 1);
                    Ok(())
                }
                None => Err(PortError::new(FailureCode::SlotIo, "reading a slot", "past its end")),
            }
        }

        fn sync(&mut self, slot: Slot) -> Result<(), PortError> {
            self.spend("syncing a slot")?;
            let (ours, others) =
                core::mem::take(&mut self.cache).into_iter().partition(|(s, _, _)| *s == slot);
            self.cache = others;
            let ours: Vec<(Slot, u64, Vec<u8>)> = ours;
            ours.iter().for_each(|(slot, offset, bytes)| self.apply(*slot, *offset, bytes));
            Ok(())
        }
    }
}
