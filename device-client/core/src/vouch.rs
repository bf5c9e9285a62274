//! `Vouched`: a chunk of bytes that a signed index has vouched for.
//!
//! Decides nothing but that. Slots, the staging area and decompressors take a [`Vouched`] and no plain bytes, so a
//! byte that no index has vouched for can't reach them. It never reads or writes anything itself.

use perennial_schemas::Digest;
use perennial_schemas::index::Index;

/// A whole chunk of an image or a payload, with the digest that its signed index gives. Only [`Vouched::new`] makes one.
///
/// ```compile_fail
/// use perennial_device_core::vouch::Vouched;
/// let forged = Vouched { offset: 0, bytes: b"anything" };
/// ```
///
/// Plain bytes reach neither a slot nor a decompressor:
///
/// ```compile_fail
/// use perennial_device_core::port::{Slot, Slots};
/// fn write(slots: &mut dyn Slots) {
///     let _ = slots.write(Slot::B, b"anything");
/// }
/// ```
///
/// ```compile_fail
/// use perennial_device_core::port::Decompress;
/// fn unpack(decompress: &mut dyn Decompress) {
///     let _ = decompress.push(b"anything", &mut |_| Ok(()));
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Vouched<'b> {
    offset: u64,
    bytes: &'b [u8],
}

/// The bytes are not the chunk that the index vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("chunk {0} does not have the digest that the signed index gives")]
pub struct NotVouched(
    /// The chunk's number, from 0.
    pub u64,
);

impl<'b> Vouched<'b> {
    /// The proof that `bytes` are chunk `number` of what `index` describes. An [`Index`] has itself been checked
    /// against its signed root digest when it was read.
    ///
    /// # Errors
    /// [`NotVouched`] for another length, another digest, or a chunk past the end.
    pub fn new(
        index: &Index,
        number: u64,
        bytes: &'b [u8],
        crypto: &impl Digest,
    ) -> Result<Self, NotVouched> {
        let (offset, length) = index.shape().chunk(number).ok_or(NotVouched(number))?;
        let digest = index.chunk_digest(number).ok_or(NotVouched(number))?;
        if bytes.len() as u64 == length && crypto.sha256(bytes) == *digest {
            Ok(Self { offset, bytes })
        } else {
            Err(NotVouched(number))
        }
    }

    /// Where the chunk begins, in bytes from the beginning of the image or payload.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The chunk's bytes: 4 KiB to 1 MiB, the last one perhaps fewer.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }
}
