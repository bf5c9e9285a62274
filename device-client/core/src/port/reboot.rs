//! Restarting the device.

use super::PortError;

/// Restarts the device.
pub trait Reboot {
    /// Asks for a restart, and returns before it happens. The caller does nothing more.
    ///
    /// # Errors
    /// [`PortError`] where it can't be asked for; asked again later.
    fn reboot(&mut self) -> Result<(), PortError>;
}

/// Notes that a restart was asked for.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct MemoryReboot {
    /// How often.
    pub asked: u32,
}

#[cfg(any(test, feature = "testing"))]
impl Reboot for MemoryReboot {
    fn reboot(&mut self) -> Result<(), PortError> {
        self.asked += 1;
        Ok(())
    }
}
