//! The old image with its parts unpacked, read at any place: a part is unpacked when it is read, and kept for a while.
//!
//! Decides which parts are kept: those that were read last, as many as there is room for.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use perennial_schemas::delta::Parts;

use super::codec::Unpacker;
use super::layer::Layer;
use crate::delta::DeltaError;

/// Bytes of unpacked parts that are kept: matches lie in many files at a time.
const CACHE: u64 = 2 << 20;
/// The most parts that are kept: they are looked for one after the other.
const MOST_KEPT: usize = 64;

/// See the module's text.
#[derive(Debug)]
pub struct Unpacked {
    /// Parts that are kept, by their places in `held`.
    kept: Vec<Kept>,
    held: Vec<u8>,
    packed: Vec<u8>,
    unpacker: Unpacker,
    /// How often something was read.
    time: u64,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    part: usize,
    used: u64,
    start: usize,
    length: usize,
}

impl Kept {
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.length
    }
}

/// How bytes of the packed image are read.
pub type Read<'r> = &'r mut dyn FnMut(u64, &mut [u8]) -> Result<(), DeltaError>;

/// Bytes that are kept: two parts at least, as what is read reaches over a part's end.
fn room(parts: &Parts) -> u64 {
    let all = u64::from(parts.old_most) * u64::from(parts.old_parts);
    all.min(CACHE.max(2 * u64::from(parts.old_most)))
}

impl Unpacked {
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            kept: Vec::with_capacity(MOST_KEPT),
            held: vec![0; usize::try_from(room(parts)).unwrap_or(usize::MAX)],
            packed: vec![0; parts.old_packed_most as usize],
            unpacker: Unpacker::new(parts),
            time: 0,
        }
    }

    pub(super) fn memory(parts: &Parts) -> u64 {
        room(parts)
            + (MOST_KEPT * size_of::<Kept>()) as u64
            + u64::from(parts.old_packed_most)
            + Unpacker::memory(parts)
            + size_of::<Self>() as u64
    }

    /// Forgets what was unpacked: another layer is going to be read.
    pub(super) fn reset(&mut self) {
        self.kept.clear();
    }

    /// Fills `into` with what stands at `offset` of the unpacked image; `image` reads the packed one.
    ///
    /// # Errors
    /// [`DeltaError::Part`], and what `image` says.
    pub fn read(
        &mut self,
        layer: &Layer,
        mut offset: u64,
        mut into: &mut [u8],
        image: Read<'_>,
    ) -> Result<(), DeltaError> {
        while !into.is_empty() {
            // The part that begins last at or before the offset.
            let after = layer.old.partition_point(|part| part.content <= offset);
            let before = after.checked_sub(1).map(|at| (at, layer.old[at]));
            let inside = before.filter(|(_, part)| offset < part.content_end());
            let end = match inside {
                Some((_, part)) => part.content_end(),
                None => layer.old.get(after).map_or(u64::MAX, |next| next.content),
            };
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(into.len());
            let (now, rest) = into.split_at_mut(length);
            match (inside, before) {
                (Some((at, part)), _) => {
                    let from = (offset - part.content) as usize;
                    now.copy_from_slice(&self.content(layer, at, image)?[from..from + length]);
                }
                (None, Some((_, part))) => image(part.end() + (offset - part.content_end()), now)?,
                (None, None) => image(offset, now)?,
            }
            (offset, into) = (offset + length as u64, rest);
        }
        Ok(())
    }

    /// What a part holds.
    fn content(&mut self, layer: &Layer, at: usize, image: Read<'_>) -> Result<&[u8], DeltaError> {
        self.time += 1;
        let place = match self.kept.iter().position(|kept| kept.part == at) {
            Some(place) => place,
            None => self.unpack(layer, at, image)?,
        };
        let kept = &mut self.kept[place];
        kept.used = self.time;
        Ok(&self.held[kept.range()])
    }

    /// Unpacks a part, in the place of those that were not read for the longest time.
    fn unpack(&mut self, layer: &Layer, at: usize, image: Read<'_>) -> Result<usize, DeltaError> {
        let part = layer.old[at];
        let (place, start) = self.gap(part.length as usize).ok_or(DeltaError::Parts)?;
        let packed = &mut self.packed[..(part.packed + part.rest.1) as usize];
        let (first, rest) = packed.split_at_mut(part.packed as usize);
        image(part.start, first)?;
        if !rest.is_empty() {
            image(part.rest.0, rest)?;
        }
        let method = layer.methods.get(usize::from(part.method)).ok_or(DeltaError::Parts)?;
        let kept = Kept { part: at, used: 0, start, length: part.length as usize };
        self.unpacker.unpack(method, packed, &mut self.held[kept.range()])?;
        self.kept.insert(place, kept);
        Ok(place)
    }

    /// Where there is room for a part: its place among those that are kept, and in what they hold.
    fn gap(&mut self, length: usize) -> Option<(usize, usize)> {
        loop {
            if self.kept.len() < MOST_KEPT {
                let starts = self.kept.iter().map(|kept| kept.start).chain([self.held.len()]);
                let ends = [0].into_iter().chain(self.kept.iter().map(|kept| kept.range().end));
                let mut gaps = starts.zip(ends).enumerate();
                if let Some((place, (_, end))) = gaps.find(|(_, (start, end))| start - end >= length) {
                    return Some((place, end));
                }
            }
            let oldest = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.used);
            let (oldest, _) = oldest?;
            self.kept.remove(oldest);
        }
    }
}
