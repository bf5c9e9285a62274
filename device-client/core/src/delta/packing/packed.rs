//! The new image: what comes out of the data frames, its parts packed again.
//!
//! Decides nothing. Takes its memory once; deflate streams through, zstd's parts are gathered whole.

use alloc::boxed::Box;

use perennial_schemas::delta::Parts;

use super::Image;
use super::codec::{PackedBefore, Packer};
use super::held::Held;
use super::layer::{Layer, OldPart, Piece};
use super::method::Method;
use super::notes::Notes;
use crate::delta::DeltaError;
use crate::delta::walk::Output;

/// See the module's text.
#[derive(Debug)]
pub struct Packed {
    packer: Packer,
    /// Of the parts that end next.
    pub(super) notes: Notes,
    /// Of parts in two pieces.
    held: Held,
    /// Where the next byte stands in the unpacked image.
    at: u64,
    /// The part that it lies in, or the next one.
    part: usize,
}

impl Packed {
    pub(super) fn new(parts: &Parts) -> Self {
        Self { packer: Packer::new(parts), notes: Notes::new(parts), held: Held::new(parts), at: 0, part: 0 }
    }

    pub(super) fn recall(&mut self, before: Box<dyn PackedBefore>) {
        self.packer.recall(before);
    }

    pub(super) fn memory(parts: &Parts) -> u64 {
        Packer::memory(parts) + Notes::memory(parts) + Held::memory(parts) + size_of::<Self>() as u64
    }

    /// Goes to a place of the unpacked image where no part is under way.
    pub(super) fn seek(&mut self, layer: &Layer, at: u64) {
        self.at = at;
        self.notes.clear();
        self.held.clear();
        self.part = layer.new.partition_point(|part| part.content < at);
    }

    /// Whether no part is under way or waits for its second piece, nor one to come that has notes already.
    pub(super) fn is_between(&self, layer: &Layer) -> bool {
        let no_part = layer.new.get(self.part).is_none_or(|part| part.content >= self.at);
        no_part && self.notes.is_used() && self.held.is_empty()
    }

    /// More of the unpacked image; `old` is the old one, for parts that stay as they are in it.
    ///
    /// # Errors
    /// What `out` says, and what `old` says.
    pub(super) fn push(
        &mut self,
        layer: &Layer,
        mut bytes: &[u8],
        old: &Image<'_>,
        out: Output<'_>,
    ) -> Result<(), DeltaError> {
        while !bytes.is_empty() {
            let part = layer.new.get(self.part).copied();
            let Some(part) = part.filter(|part| part.content <= self.at) else {
                let before = part.map_or(u64::MAX, |part| part.content - self.at);
                let (now, rest) = bytes.split_at(least(before, bytes.len()));
                out(now)?;
                self.at += now.len() as u64;
                bytes = rest;
                continue;
            };
            if let Piece::Rest(which) = part.piece {
                self.held.release(which, out)?;
                self.part += 1;
                continue;
            }
            let held = &mut self.held;
            let mut sent = |bytes: &[u8]| held.push(part.piece, bytes, out);
            let method = layer.methods.get(usize::from(part.method)).ok_or(DeltaError::Parts)?;
            if self.at == part.content {
                self.packer.begin(method, &mut sent)?;
            }
            let end = part.content + part.length;
            let (now, rest) = bytes.split_at(least(end.saturating_sub(self.at), bytes.len()));
            self.packer.push(method, now, &mut sent)?;
            self.at += now.len() as u64;
            bytes = rest;
            if self.at >= end {
                if *method == Method::Same {
                    let same = layer.old.get(part.old as usize).ok_or(DeltaError::Parts)?;
                    copy(same, old, &mut sent)?;
                } else {
                    let note = if method.has_notes() { self.notes.next()? } else { &[] };
                    self.packer.finish(method, note, &mut sent)?;
                }
                self.held.finish(part.piece, out)?;
                self.part += 1;
            }
        }
        Ok(())
    }
}

/// Hands on a part of the old image as it is.
fn copy(part: &OldPart, old: &Image<'_>, out: Output<'_>) -> Result<(), DeltaError> {
    let mut read = [0; 4096];
    let mut at = part.start;
    while at < part.end() {
        let now = &mut read[..least(part.end() - at, 4096)];
        old.borrow_mut().read(at, now)?;
        out(now)?;
        at += now.len() as u64;
    }
    Ok(())
}

fn least(one: u64, other: usize) -> usize {
    usize::try_from(one).unwrap_or(usize::MAX).min(other)
}
