//! `WrittenSlot`: the proof that a slot holds an image, by reading it back.
//!
//! Decides whether a slot holds what was signed; and where it doesn't, whether the disk is to blame, or a release whose
//! manifest and index contradict each other. Never writes.

use alloc::vec;

use perennial_schemas::crypto::RunningDigest;
use perennial_schemas::index::Index;
use perennial_schemas::report::FailureCode;
use perennial_schemas::{Digest, Sha256Digest};

use crate::port::{PortError, Slot, Slots};
use crate::vouch::Vouched;

/// Bytes read at once, so that memory doesn't grow with the image.
const READ_LENGTH: usize = 256 * 1024;

/// Why a slot is not taken for written.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// It can't be read.
    #[error(transparent)]
    Slots(#[from] PortError),
    /// It holds something else than what was signed.
    #[error("slot {0} does not hold the signed image")]
    Differs(Slot),
}

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
    /// [`ReadBackError`]
    pub fn read_back(
        slots: &mut dyn Slots,
        slot: Slot,
        length: u64,
        sha256: &Sha256Digest,
        crypto: &impl Digest,
    ) -> Result<Self, ReadBackError> {
        let mut running = crypto.start();
        let mut buffer = vec![0; READ_LENGTH];
        let mut offset = 0;
        while offset < length {
            let wanted = (length - offset).min(READ_LENGTH as u64) as usize;
            slots.read(slot, offset, &mut buffer[..wanted])?;
            running.update(&buffer[..wanted]);
            offset += wanted as u64;
        }
        if running.finish() == *sha256 { Ok(Self { slot }) } else { Err(ReadBackError::Differs(slot)) }
    }

    /// Which slot it is.
    pub fn slot(&self) -> Slot {
        self.slot
    }
}

impl ReadBackError {
    /// The failure of a slot that was right once, or that nothing more can be said of: the disk's.
    pub fn of_the_disk(self) -> PortError {
        match self {
            Self::Slots(error) => error,
            Self::Differs(slot) => {
                differs(slot, FailureCode::SlotIo, "what was written, it gives back otherwise")
            }
        }
    }

    /// The failure of a slot into which nothing was written but chunks that `index` vouches for. Where each of them is there,
    /// the disk is right, and the manifest gives the digest of another image than the index describes.
    pub fn of_either(self, slots: &mut dyn Slots, index: &Index, crypto: &impl Digest) -> PortError {
        match self {
            Self::Differs(slot) if holds(slots, slot, index, crypto) => differs(
                slot,
                FailureCode::ImageDigest,
                "it holds the image of the signed index, and the manifest gives another digest",
            ),
            error => error.of_the_disk(),
        }
    }
}

fn differs(slot: Slot, code: FailureCode, detail: &str) -> PortError {
    PortError::new(code, alloc::format!("reading slot {slot} back"), detail)
}

/// Whether a slot holds every chunk of what `index` describes.
fn holds(slots: &mut dyn Slots, slot: Slot, index: &Index, crypto: &impl Digest) -> bool {
    let mut buffer = vec![];
    (0..index.shape().chunks()).all(|number| {
        let Some((offset, length)) = index.shape().chunk(number) else { return false };
        buffer.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        slots.read(slot, offset, &mut buffer).is_ok() && Vouched::new(index, number, &buffer, crypto).is_ok()
    })
}
