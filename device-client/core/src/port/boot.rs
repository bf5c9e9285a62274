//! The boot loader's state: which slot boots, and how often a new one is tried.

use super::{PortError, Slot};
use crate::slots::WrittenSlot;

/// What the boot loader thinks of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootFlag {
    /// It is never booted.
    Unbootable,
    /// It is booted at most this many times more, unless it is marked good.
    Trying(
        /// Boots left; 0 means that they are used up.
        u8,
    ),
    /// It is booted.
    Good,
}

/// The boot loader's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootStatus {
    /// Slot A.
    pub a: BootFlag,
    /// Slot B.
    pub b: BootFlag,
    /// The slot that is tried first at the next boot.
    pub next: Slot,
}

impl BootStatus {
    /// The flag of a slot.
    pub fn of(&self, slot: Slot) -> BootFlag {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }
}

/// Controls the boot loader. Every change is durable when it returns, and whole: a power cut leaves the state before
/// or after it. Each may be repeated without harm.
///
/// The boot loader itself promises: it boots `next` while its flag is good or has tries left, taking one try away
/// *before* it starts it; otherwise the other slot, if that is good.
pub trait BootControl {
    /// The state now.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::BootControl`].
    fn status(&mut self) -> Result<BootStatus, PortError>;

    /// `slot` is not booted any more; the other slot becomes `next`.
    ///
    /// # Errors
    /// [`PortError`]; the adapter refuses where the other slot isn't good, so that one bootable slot always remains.
    fn set_unbootable(&mut self, slot: Slot) -> Result<(), PortError>;

    /// The slot becomes `next`, with so many tries: the single commit point of an update. The other slot stays as it is.
    ///
    /// # Errors
    /// [`PortError`].
    fn activate(&mut self, slot: &WrittenSlot, tries: u8) -> Result<(), PortError>;

    /// `slot` is good, and stays `next`.
    ///
    /// # Errors
    /// [`PortError`].
    fn mark_good(&mut self, slot: Slot) -> Result<(), PortError>;
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryBoot;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use crate::port::power::Power;
    use perennial_schemas::report::FailureCode;

    /// Boot control in memory, with the boot loader itself: [`MemoryBoot::boot`].
    #[derive(Debug)]
    pub struct MemoryBoot {
        power: Power,
        /// The state.
        pub status: BootStatus,
    }

    impl MemoryBoot {
        /// Slot A is good and boots; B is unbootable.
        pub fn new(power: &Power) -> Self {
            let status = BootStatus { a: BootFlag::Good, b: BootFlag::Unbootable, next: Slot::A };
            Self { power: power.clone(), status }
        }

        /// What the boot loader does at power-on: the slot that it starts, `None` where nothing boots.
        pub fn boot(&mut self) -> Option<Slot> {
            let next = self.status.next;
            match self.status.of(next) {
                BootFlag::Good => return Some(next),
                BootFlag::Trying(left) if left > 0 => {
                    self.set(next, BootFlag::Trying(left - 1));
                    return Some(next);
                }
                _ => {}
            }
            let other = next.other();
            (self.status.of(other) == BootFlag::Good).then_some(other)
        }

        fn set(&mut self, slot: Slot, flag: BootFlag) {
            match slot {
                Slot::A => self.status.a = flag,
                Slot::B => self.status.b = flag,
            }
        }

        fn spend(&self, operation: &str) -> Result<(), PortError> {
            self.power.spend(FailureCode::BootControl, operation)
        }
    }

    impl BootControl for MemoryBoot {
        fn status(&mut self) -> Result<BootStatus, PortError> {
            self.power.on(FailureCode::BootControl, "reading the boot state")?;
            Ok(self.status)
        }

        fn set_unbootable(&mut self, slot: Slot) -> Result<(), PortError> {
            self.spend("marking a slot unbootable")?;
            if self.status.of(slot.other()) != BootFlag::Good {
                return Err(PortError::new(
                    FailureCode::BootControl,
                    "marking a slot unbootable",
                    "the other slot is not good",
                ));
            }
            self.set(slot, BootFlag::Unbootable);
            self.status.next = slot.other();
            Ok(())
        }

        fn activate(&mut self, slot: &WrittenSlot, tries: u8) -> Result<(), PortError> {
            self.spend("activating a slot")?;
            self.set(slot.slot(), BootFlag::Trying(tries));
            self.status.next = slot.slot();
            Ok(())
        }

        fn mark_good(&mut self, slot: Slot) -> Result<(), PortError> {
            self.spend("marking a slot good")?;
            self.set(slot, BootFlag::Good);
            self.status.next = slot;
            Ok(())
        }
    }
}
