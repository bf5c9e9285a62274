//! Room for one payload beside the slots: a file on a data partition, where there is some.
//!
//! With it a download goes on after a power cut where it stopped, and the fallback slot stays whole until everything
//! has arrived. Without it the payload is streamed.

use alloc::vec::Vec;

use super::PortError;
use crate::vouch::Vouched;

/// Keeps a payload while it arrives. As with [`super::Slots`], writes are durable after a sync only.
pub trait Staging {
    /// How many bytes a payload may have here: less than what is free, so that the device stays usable. The bytes of
    /// the payload that is kept now count as free.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::Storage`].
    fn room(&mut self) -> Result<u64, PortError>;

    /// Forgets what was kept.
    ///
    /// # Errors
    /// [`PortError`].
    fn clear(&mut self) -> Result<(), PortError>;

    /// Keeps a verified chunk of the payload at its offset.
    ///
    /// # Errors
    /// [`PortError`]; a full disk has the code [`perennial_schemas::report::FailureCode::NoRoom`].
    fn write(&mut self, chunk: &Vouched<'_>) -> Result<(), PortError>;

    /// Fills `into` with the bytes at `offset`. They are verified again.
    ///
    /// # Errors
    /// [`PortError`], also where fewer are kept.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), PortError>;

    /// Everything written is durable.
    ///
    /// # Errors
    /// [`PortError`].
    fn sync(&mut self) -> Result<(), PortError>;

    /// Keeps an index beside the payload, until that is cleared, so that what has arrived is installed without a network.
    /// Durable after a sync.
    ///
    /// # Errors
    /// [`PortError`].
    fn keep(&mut self, index: IndexOf, bytes: &[u8]) -> Result<(), PortError>;

    /// An index that was kept. It is verified again; where it can't be had, it is fetched.
    fn kept(&mut self, index: IndexOf) -> Option<Vec<u8>>;
}

/// What an index describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexOf {
    /// The image.
    Image,
    /// The payload.
    Payload,
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryStaging;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use crate::port::power::Power;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use perennial_schemas::report::FailureCode;

    /// A staging area in memory; what was not synced is lost at a power cut.
    #[derive(Debug)]
    pub struct MemoryStaging {
        power: Power,
        /// Its size in bytes.
        pub room: u64,
        /// What is durable.
        pub disk: Vec<u8>,
        cache: Vec<u8>,
        /// The indexes that are durable.
        pub indexes: BTreeMap<IndexOf, Vec<u8>>,
        cached: BTreeMap<IndexOf, Vec<u8>>,
    }

    impl MemoryStaging {
        /// An area of `room` bytes.
        pub fn new(power: &Power, room: u64) -> Self {
            let (indexes, cached) = (BTreeMap::new(), BTreeMap::new());
            Self { power: power.clone(), room, disk: vec![], cache: vec![], indexes, cached }
        }

        /// What a power cut leaves.
        pub fn cut(&mut self) {
            self.cache = self.disk.clone();
            self.cached = self.indexes.clone();
        }

        fn spend(&self, operation: &str) -> Result<(), PortError> {
            self.power.spend(FailureCode::Storage, operation)
        }
    }

    impl Staging for MemoryStaging {
        fn room(&mut self) -> Result<u64, PortError> {
            Ok(self.room)
        }

        fn clear(&mut self) -> Result<(), PortError> {
            self.spend("clearing the staging area")?;
            self.disk.clear();
            self.cache.clear();
            self.indexes.clear();
            self.cached.clear();
            Ok(())
        }

        fn write(&mut self, chunk: &Vouched<'_>) -> Result<(), PortError> {
            self.spend("writing the staging area")?;
            let (start, end) = (chunk.offset() as usize, chunk.offset() as usize + chunk.bytes().len());
            if end as u64 > self.room {
                return Err(PortError::new(FailureCode::NoRoom, "writing the staging area", "full"));
            }
            self.cache.resize(self.cache.len().max(end), 0);
            self.cache[start..end].copy_from_slice(chunk.bytes());
            Ok(())
        }

        fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
            let start = offset as usize;
            match self.cache.get(start..start + into.len()) {
                Some(bytes) => {
                    into.copy_from_slice(bytes);
                    Ok(())
                }
                None => Err(PortError::new(FailureCode::Storage, "reading the staging area", "past its end")),
            }
        }

        fn sync(&mut self) -> Result<(), PortError> {
            self.spend("syncing the staging area")?;
            self.disk = self.cache.clone();
            self.indexes = self.cached.clone();
            Ok(())
        }

        fn keep(&mut self, index: IndexOf, bytes: &[u8]) -> Result<(), PortError> {
            self.spend("keeping an index")?;
            self.cached.insert(index, bytes.to_vec());
            Ok(())
        }

        fn kept(&mut self, index: IndexOf) -> Option<Vec<u8>> {
            self.cached.get(&index).cloned()
        }
    }
}
