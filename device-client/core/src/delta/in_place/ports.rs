//! The slot as the old image, the payload as a frame's input, and where the new image's bytes go.

use core::cell::RefCell;
use core::ops::Range;

use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::index::Index;
use perennial_schemas::report::FailureCode;

use super::Payload;
use crate::delta::coder::Input;
use crate::delta::{DeltaError, OldImage};
use crate::port::{Area, Flash, LINE, PortError};

/// The old image, where it lies by now.
pub(super) struct Old<'f, 'p> {
    pub(super) flash: &'f RefCell<&'p mut dyn Flash>,
    /// By how many bytes it was moved.
    pub(super) shift: u64,
    pub(super) length: u64,
}

impl OldImage for Old<'_, '_> {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError> {
        let end = offset.checked_add(into.len() as u64).ok_or(DeltaError::PastOld)?;
        if end > self.length {
            return Err(DeltaError::PastOld);
        }
        self.flash.borrow_mut().read(Area::Slot, self.shift + offset, into).map_err(DeltaError::Old)
    }
}

/// A frame of the payload, byte by byte.
pub(super) struct Frame<'p> {
    payload: &'p mut dyn Payload,
    left: Range<u64>,
    line: [u8; LINE],
    at: usize,
    end: usize,
    /// Why it ended early.
    pub(super) trouble: Option<DeltaError>,
}

impl<'p> Frame<'p> {
    pub(super) fn new(payload: &'p mut dyn Payload, range: Range<u64>) -> Self {
        Self { payload, left: range, line: [0; LINE], at: 0, end: 0, trouble: None }
    }
}

impl Input for &mut Frame<'_> {
    fn next(&mut self) -> Option<u8> {
        if self.at == self.end {
            let length = (self.left.end - self.left.start).min(LINE as u64) as usize;
            if length == 0 || self.trouble.is_some() {
                return None;
            }
            if let Err(trouble) = self.payload.read(self.left.start, &mut self.line[..length]) {
                self.trouble = Some(trouble);
                return None;
            }
            self.left.start += length as u64;
            (self.at, self.end) = (0, length);
        }
        self.at += 1;
        Some(self.line[self.at - 1])
    }
}

/// Bytes of the new image, looked at by the index chunk by chunk.
pub(super) struct Looked<'i, C: Digest> {
    index: &'i Index,
    crypto: &'i C,
    at: u64,
    chunk: Option<C::Running>,
}

impl<'i, C: Digest> Looked<'i, C> {
    /// From the beginning of a chunk on.
    pub(super) fn new(index: &'i Index, at: u64, crypto: &'i C) -> Self {
        Self { index, crypto, at, chunk: None }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), DeltaError> {
        let shape = self.index.shape();
        while !bytes.is_empty() {
            let number = self.at / shape.chunk_size();
            let (start, length) = shape.chunk(number).ok_or(DeltaError::Length)?;
            let room = usize::try_from(start + length - self.at).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            let chunk = self.chunk.get_or_insert_with(|| self.crypto.start());
            chunk.update(now);
            (self.at, bytes) = (self.at + now.len() as u64, rest);
            if self.at == start + length {
                let digest = self.chunk.take().map(RunningDigest::finish);
                if digest.as_ref() != self.index.chunk_digest(number) {
                    return Err(not_vouched(number));
                }
            }
        }
        Ok(())
    }

    /// A frame ends where a chunk does.
    pub(super) fn finish(self) -> Result<(), DeltaError> {
        if self.chunk.is_none() { Ok(()) } else { Err(DeltaError::Length) }
    }
}

fn not_vouched(number: u64) -> DeltaError {
    let detail = alloc::format!("chunk {number} does not have the digest that the signed index gives");
    DeltaError::Output(PortError::new(FailureCode::ImageDigest, "looking at the new image", detail))
}

/// Writes the new image from the beginning of a sector on, line by line.
pub(super) struct Writer {
    at: u64,
    sector: u32,
    line: [u8; LINE],
    filled: usize,
}

impl Writer {
    pub(super) fn new(at: u64, sector: u32) -> Self {
        Self { at, sector, line: [0xff; LINE], filled: 0 }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], flash: &mut dyn Flash) -> Result<(), DeltaError> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at((LINE - self.filled).min(bytes.len()));
            self.line[self.filled..self.filled + now.len()].copy_from_slice(now);
            (self.filled, bytes) = (self.filled + now.len(), rest);
            if self.filled == LINE {
                self.put(flash).map_err(DeltaError::Output)?;
            }
        }
        Ok(())
    }

    /// The rest of a line stays erased.
    pub(super) fn finish(mut self, flash: &mut dyn Flash) -> Result<(), DeltaError> {
        if self.filled > 0 { self.put(flash).map_err(DeltaError::Output) } else { Ok(()) }
    }

    fn put(&mut self, flash: &mut dyn Flash) -> Result<(), PortError> {
        let sector = u64::from(self.sector);
        if self.at.is_multiple_of(sector) {
            flash.erase(Area::Slot, (self.at / sector) as u32)?;
        }
        flash.write(Area::Slot, self.at, &self.line)?;
        self.at += LINE as u64;
        (self.line, self.filled) = ([0xff; LINE], 0);
        Ok(())
    }
}
