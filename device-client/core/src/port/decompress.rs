//! Decompression of a payload, fed with verified chunks only.

use alloc::string::String;

use super::{Sink, Stop};
use crate::vouch::Vouched;

/// The largest window that a decompressor may be asked to hold, in bytes: 8 MiB (zstd `windowLog` 23). A frame that
/// asks for more is refused before any memory is taken.
pub const WINDOW_LENGTH: u64 = 8 * 1024 * 1024;

/// A zstd decompressor for one frame at a time.
pub trait Decompress {
    /// Forgets what was before and begins a frame.
    ///
    /// # Errors
    /// [`DecompressError::Failed`] where no memory can be had.
    fn start(&mut self) -> Result<(), DecompressError>;

    /// Takes the next chunk of the frame and hands what comes of it to `output`, in pieces of at most 128 KiB, so
    /// that a bomb is stopped by whoever counts them, long before it fills any memory.
    ///
    /// # Errors
    /// [`DecompressError`]; a window past [`WINDOW_LENGTH`], and bytes after the frame's end, are [`DecompressError::Failed`].
    fn push(&mut self, input: &Vouched<'_>, output: Sink<'_>) -> Result<(), DecompressError>;

    /// The payload has ended.
    ///
    /// # Errors
    /// [`DecompressError::Failed`] where the frame has not.
    fn finish(&mut self) -> Result<(), DecompressError>;
}

/// Why decompression ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The payload is no frame that this decompressor takes.
    #[error("decompressing the payload: {0}")]
    Failed(String),
    /// The taker of the output said stop, and knows why.
    #[error("stopped by the taker of the output")]
    Stopped,
}

impl From<Stop> for DecompressError {
    fn from(_: Stop) -> Self {
        Self::Stopped
    }
}

#[cfg(any(test, feature = "testing"))]
pub use memory::RunLength;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    /// A toy codec in place of zstd: records of a length (u32 LE) and one byte that is repeated so often; a record of
    /// length 0 ends the frame. Makes bombs easily.
    #[derive(Debug, Default)]
    pub struct RunLength {
        rest: Vec<u8>,
        ended: bool,
    }

    impl RunLength {
        /// `bytes` in this codec.
        pub fn encode(bytes: &[u8]) -> Vec<u8> {
            let runs = bytes.chunk_by(|a, b| a == b);
            let mut out: Vec<u8> = runs.flat_map(|run| Self::run(run.len() as u32, run[0])).collect();
            out.extend(Self::run(0, 0));
            out
        }

        /// One record.
        pub fn run(length: u32, byte: u8) -> [u8; 5] {
            let [a, b, c, d] = length.to_le_bytes();
            [a, b, c, d, byte]
        }
    }

    impl Decompress for RunLength {
        fn start(&mut self) -> Result<(), DecompressError> {
            *self = Self::default();
            Ok(())
        }

        fn push(&mut self, input: &Vouched<'_>, output: Sink<'_>) -> Result<(), DecompressError> {
            self.rest.extend(input.bytes());
            while let Some(([a, b, c, d, byte], rest)) = self.rest.split_first_chunk::<5>() {
                if self.ended {
                    return Err(DecompressError::Failed("bytes after the frame's end".into()));
                }
                let mut left = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                self.ended = left == 0;
                let piece = vec![*byte; left.min(128 * 1024)];
                while left > 0 {
                    let now = left.min(piece.len());
                    output(&piece[..now])?;
                    left -= now;
                }
                self.rest = rest.to_vec();
            }
            Ok(())
        }

        fn finish(&mut self) -> Result<(), DecompressError> {
            if self.ended && self.rest.is_empty() {
                Ok(())
            } else {
                Err(DecompressError::Failed("the frame is truncated".into()))
            }
        }
    }
}
