//! The anti-rollback counter: the highest security version that was ever confirmed here.

use super::PortError;

/// A counter that only rises: a TPM's NV counter, fuses, an RPMB block, or a file (which does not resist whoever can
/// write the disk).
pub trait Counter {
    /// Its value; 0 on a new device.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::Storage`]. Nothing is installed then.
    fn read(&mut self) -> Result<u32, PortError>;

    /// Raises it to `value`, durably. A value at or below the present one changes nothing and is no error, so it may
    /// be repeated after a power cut.
    ///
    /// # Errors
    /// [`PortError`].
    fn raise_to(&mut self, value: u32) -> Result<(), PortError>;
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryCounter;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use crate::port::power::Power;
    use perennial_schemas::report::FailureCode;

    /// A counter in memory.
    #[derive(Debug)]
    pub struct MemoryCounter {
        power: Power,
        /// Its value.
        pub value: u32,
    }

    impl MemoryCounter {
        /// A new counter, at 0.
        pub fn new(power: &Power) -> Self {
            Self { power: power.clone(), value: 0 }
        }
    }

    impl Counter for MemoryCounter {
        fn read(&mut self) -> Result<u32, PortError> {
            self.power.on(FailureCode::Storage, "reading the counter")?;
            Ok(self.value)
        }

        fn raise_to(&mut self, value: u32) -> Result<(), PortError> {
            self.power.spend(FailureCode::Storage, "raising the counter")?;
            self.value = self.value.max(value);
            Ok(())
        }
    }
}
