//! The power supply of the doubles: counts the operations that change something, and fails from a chosen one on.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use perennial_schemas::report::FailureCode;

use super::PortError;

/// A power supply that all doubles of one device share.
#[derive(Debug, Clone, Default)]
pub struct Power(Rc<RefCell<Supply>>);

#[derive(Debug, Default)]
struct Supply {
    left: Option<u64>,
    off: bool,
    log: Vec<String>,
}

impl Power {
    /// Power that never fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `operations` more happen and fails in the next one; everything fails from then on, until
    /// [`Power::restore`].
    pub fn cut_after(&self, operations: u64) {
        self.0.borrow_mut().left = Some(operations);
    }

    /// Switches the power on again, for good.
    pub fn restore(&self) {
        let mut supply = self.0.borrow_mut();
        (supply.left, supply.off) = (None, false);
    }

    /// Whether it has failed.
    pub fn is_off(&self) -> bool {
        self.0.borrow().off
    }

    /// Every operation that was done, in order.
    pub fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// An operation that changes something: counted, and perhaps the one in which power fails.
    ///
    /// # Errors
    /// [`PortError`] without power.
    pub fn spend(&self, code: FailureCode, operation: &str) -> Result<(), PortError> {
        self.on(code, operation)?;
        let mut supply = self.0.borrow_mut();
        if supply.left == Some(0) {
            supply.off = true;
            return Err(PortError::new(code, operation, "the power failed"));
        }
        supply.left = supply.left.map(|left| left - 1);
        supply.log.push(operation.into());
        Ok(())
    }

    /// An operation that only looks.
    ///
    /// # Errors
    /// [`PortError`] without power.
    pub fn on(&self, code: FailureCode, operation: &str) -> Result<(), PortError> {
        if self.is_off() { Err(PortError::new(code, operation, "no power")) } else { Ok(()) }
    }
}
