//! `WrittenSlot`: the proof that a slot holds an image, by reading it back.
//!
//! Decides whether a slot holds what was signed. Never writes.

use alloc::vec;

use perennial_schemas::crypto::RunningDigest;
use perennial_schemas::report::FailureCode;
use perennial_schemas::{Digest, Sha256Digest};

use crate::port::{PortError, Slot, Slots};

/// Bytes read at once, so that memory doesn't grow with the image.
const READ_LENGTH: usize = 256 * 1024;

/// A slot that was read back and holds the image that was signed. Only [`WrittenSlot::read_back`] makes one, and it
/// can't be stored: after a restart the slot is read again.
///
/// ```compile_fail
/// use perennial_device_core::port::Slot;
/// use perennial_device_core::slots::WrittenSlot;
/// let forged = WrittenSlot { slot: Slot::B };
/// ```
///
/// Nothing else can be activated:
///
/// ```compile_fail
/// use perennial_device_core::port::{BootControl, Slot};
/// fn activate(boot: &mut dyn BootControl) {
///     let _ = boot.activate(&Slot::B, 3);
/// }
/// ```
#[derive(Debug)]
pub struct WrittenSlot {
    slot: Slot,
}

impl WrittenSlot {
    /// Reads `length` bytes of `slot` and compares their SHA-256 with `sha256`, as the signed manifest gives both.
    ///
    /// # Errors
    /// [`PortError`] where it can't be read, or with [`FailureCode::ImageDigest`] where it holds something else.
    pub fn read_back(
        slots: &mut dyn Slots,
        slot: Slot,
        length: u64,
        sha256: &Sha256Digest,
        crypto: &impl Digest,
    ) -> Result<Self, PortError> {
        let mut running = crypto.start();
        let mut buffer = vec![0; READ_LENGTH];
        let mut offset = 0;
        while offset < length {
            let wanted = (length - offset).min(READ_LENGTH as u64) as usize;
            slots.read(slot, offset, &mut buffer[..wanted])?;
            running.update(&buffer[..wanted]);
            offset += wanted as u64;
        }
        if running.finish() == *sha256 {
            Ok(Self { slot })
        } else {
            let operation = alloc::format!("reading slot {slot} back");
            Err(PortError::new(FailureCode::ImageDigest, operation, "it does not hold the signed image"))
        }
    }

    /// Which slot it is.
    pub fn slot(&self) -> Slot {
        self.slot
    }
}
