//! Flash that holds the one image of a small device, and a journal beside it: what an update in place rewrites.

use super::PortError;

/// Bytes of a line: all that is ever written at once. A multiple of the words that parts program.
pub const LINE: usize = 64;
/// Sectors of the journal.
pub const JOURNAL_SECTORS: u32 = 2;

/// A part of the flash. Both have sectors of the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Where the image lies, from its first byte on, and spare sectors behind it.
    Slot,
    /// [`JOURNAL_SECTORS`] for the journal of an update.
    Journal,
}

/// Flash by sectors: they are erased whole, to 0xFF, and each line of them is written once. An operation is durable when
/// the call returns; one in which power is cut leaves any bytes in its sector or line, and all others as they were.
pub trait Flash {
    /// Bytes of a sector: a power of two, 256 at least.
    fn sector(&self) -> u32;

    /// Sectors of the slot.
    fn sectors(&self) -> u32;

    /// Fills `into` with the bytes at `offset`.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::SlotIo`], also past the area's end.
    fn read(&mut self, area: Area, offset: u64, into: &mut [u8]) -> Result<(), PortError>;

    /// Erases a sector.
    ///
    /// # Errors
    /// [`PortError`].
    fn erase(&mut self, area: Area, sector: u32) -> Result<(), PortError>;

    /// Writes a line of an erased sector; `offset` is a multiple of [`LINE`].
    ///
    /// # Errors
    /// [`PortError`].
    fn write(&mut self, area: Area, offset: u64, line: &[u8; LINE]) -> Result<(), PortError>;
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryFlash;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use alloc::vec;
    use alloc::vec::Vec;

    use perennial_schemas::report::FailureCode;

    use super::*;
    use crate::port::power::Power;

    /// Flash in memory. The operation in which power is cut leaves a sector or line half done.
    #[derive(Debug, Clone)]
    pub struct MemoryFlash {
        power: Power,
        sector: u32,
        /// What the slot holds.
        pub slot: Vec<u8>,
        /// What the journal holds.
        pub journal: Vec<u8>,
        /// What a cut leaves follows from this.
        pub seed: u64,
    }

    impl MemoryFlash {
        /// A slot of so many sectors that holds `image`, and a journal that nothing was ever written to.
        pub fn new(power: &Power, sector: u32, sectors: u32, image: &[u8]) -> Self {
            let mut slot = image.to_vec();
            slot.resize(sector as usize * sectors as usize, 0xff);
            let journal = vec![0xff; sector as usize * JOURNAL_SECTORS as usize];
            Self { power: power.clone(), sector, slot, journal, seed: 0 }
        }

        fn bytes(&mut self, area: Area, offset: u64, length: usize) -> Result<&mut [u8], PortError> {
            let all = match area {
                Area::Slot => &mut self.slot,
                Area::Journal => &mut self.journal,
            };
            let from = usize::try_from(offset).ok();
            let bytes = from.and_then(|from| all.get_mut(from..)?.get_mut(..length));
            bytes.ok_or_else(|| PortError::new(FailureCode::SlotIo, "using the flash", "past its end"))
        }

        /// Counts an operation; the one in which power is cut does `done` of its bytes, and some of them wrongly.
        fn change(&mut self, area: Area, offset: u64, new: &[u8], what: &str) -> Result<(), PortError> {
            let (was_off, spent) = (self.power.is_off(), self.power.spend(FailureCode::SlotIo, what));
            if was_off {
                return spent;
            }
            let (seed, length) = (self.seed, new.len());
            let bytes = self.bytes(area, offset, length)?;
            match spent {
                Ok(()) => bytes.copy_from_slice(new),
                Err(_) => {
                    let done = [0, length / 2, length, length - length / 4][seed as usize % 4];
                    bytes[..done].copy_from_slice(&new[..done]);
                    if seed % 8 > 3 {
                        let torn = done.min(length - 8);
                        bytes[torn..torn + 8].fill(0x5a);
                    }
                    self.seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) >> 3;
                }
            }
            spent
        }
    }

    impl Flash for MemoryFlash {
        fn sector(&self) -> u32 {
            self.sector
        }

        fn sectors(&self) -> u32 {
            (self.slot.len() / self.sector as usize) as u32
        }

        fn read(&mut self, area: Area, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
            self.power.on(FailureCode::SlotIo, "reading flash")?;
            into.copy_from_slice(self.bytes(area, offset, into.len())?);
            Ok(())
        }

        fn erase(&mut self, area: Area, sector: u32) -> Result<(), PortError> {
            let blank = vec![0xff; self.sector as usize];
            self.change(area, u64::from(sector) * u64::from(self.sector), &blank, "erasing flash")
        }

        fn write(&mut self, area: Area, offset: u64, line: &[u8; LINE]) -> Result<(), PortError> {
            assert_eq!(offset % LINE as u64, 0, "lines are aligned");
            let erased = self.bytes(area, offset, LINE)?.iter().all(|byte| *byte == 0xff);
            assert!(erased || self.power.is_off(), "only what was erased is written");
            self.change(area, offset, line, "writing flash")
        }
    }
}
