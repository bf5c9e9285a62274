//! Where an image is read from: a file, or memory.
//!
//! Decides nothing.

use std::io;

use perennial_device_core::delta::{DeltaError, OldImage};
use perennial_device_core::port::PortError;
use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::delta::ImageId;
use perennial_schemas::report::FailureCode;

use super::progress::Progress;
use crate::crypto::Ring;

/// An image that is read at any place.
pub trait Source {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Fills `into` with the bytes at `at`.
    ///
    /// # Errors
    /// What the system says; where it ends before that.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Source for &[u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok();
        let bytes = from.and_then(|from| self.get(from..)?.get(..into.len()));
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Bytes that are read at once.
const WINDOW: usize = 256 << 10;

/// A source, a window of it at a time.
pub struct Window<'s> {
    source: &'s dyn Source,
    start: u64,
    bytes: Vec<u8>,
}

impl<'s> Window<'s> {
    /// Nothing is read yet.
    pub fn new(source: &'s dyn Source) -> Self {
        Self { source, start: 0, bytes: Vec::new() }
    }

    /// The bytes from `at` on: at least so many, or as many as there are; more where they are at hand.
    ///
    /// # Errors
    /// As the source.
    pub fn from(&mut self, at: u64, least: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.source.length().saturating_sub(at)).unwrap_or(usize::MAX);
        let inside = at.checked_sub(self.start).and_then(|inside| usize::try_from(inside).ok());
        let inside = inside.filter(|inside| inside.saturating_add(least.min(left)) <= self.bytes.len());
        let inside = match inside {
            Some(inside) => inside,
            None => {
                self.bytes.resize(left.min(WINDOW.max(least)), 0);
                self.start = at;
                self.source.read_at(at, &mut self.bytes)?;
                0
            }
        };
        Ok(&self.bytes[inside..])
    }
}

/// A source as the device's decoder reads it.
pub struct Old<'s>(pub &'s dyn Source);

impl OldImage for Old<'_> {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError> {
        if offset.checked_add(into.len() as u64).is_none_or(|end| end > self.0.length()) {
            return Err(DeltaError::PastOld);
        }
        self.0.read_at(offset, into).map_err(|error| {
            DeltaError::Old(PortError::new(FailureCode::SlotIo, "reading the old image", error.to_string()))
        })
    }
}

/// An image by length and digest; the bytes are added to what `progress` counts.
///
/// # Errors
/// As the source.
pub fn identity(source: &dyn Source, progress: &Progress<'_>) -> io::Result<ImageId> {
    let mut running = Ring.start();
    let mut window = Window::new(source);
    let mut at = 0;
    while at < source.length() {
        let bytes = window.from(at, 1)?;
        running.update(bytes);
        at += bytes.len() as u64;
        progress.more(bytes.len() as u64);
    }
    let digest = running.finish().0;
    Ok(ImageId { length: source.length(), digest: std::array::from_fn(|i| digest[i]) })
}
