//! The old image with its parts unpacked, read at any place: a part is unpacked when it is read, and kept for a while.
//!
//! Decides which parts are kept: those that were read last, as many as there is room for.

use alloc::vec;
use alloc::vec::Vec;

use perennial_schemas::delta::Parts;

use super::codec::Unpacker;
use super::layer::OldPart;
use super::method::Method;
use crate::delta::DeltaError;

/// Bytes of unpacked parts that are kept: matches lie in many files at a time.
const CACHE: u64 = 2 << 20;
/// The most parts that are kept: they are looked for one after the other.
const MOST_KEPT: usize = 64;

/// See the module's text.
#[derive(Debug)]
pub struct Unpacked {
    methods: Vec<Method>,
    parts: Vec<OldPart>,
    kept: Vec<Kept>,
    /// Bytes that may be kept.
    room: usize,
    packed: Vec<u8>,
    unpacker: Unpacker,
    /// How often something was read.
    time: u64,
}

#[derive(Debug)]
struct Kept {
    part: usize,
    used: u64,
    bytes: Vec<u8>,
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
            methods: Vec::new(),
            parts: Vec::new(),
            kept: Vec::with_capacity(MOST_KEPT),
            room: usize::try_from(room(parts)).unwrap_or(usize::MAX),
            packed: vec![0; parts.old_packed_most as usize],
            unpacker: Unpacker::new(parts),
            time: 0,
        }
    }

    pub(super) fn memory(parts: &Parts) -> u64 {
        let list = u64::from(parts.old_parts) * size_of::<OldPart>() as u64;
        list + room(parts)
            + (MOST_KEPT * size_of::<Kept>()) as u64
            + u64::from(parts.old_packed_most)
            + Unpacker::memory(parts)
            + size_of::<Self>() as u64
    }

    /// The parts, as a layer describes them.
    pub(super) fn set(&mut self, methods: &[Method], parts: Vec<OldPart>) {
        self.methods = methods.to_vec();
        self.parts = parts;
        self.kept.clear();
    }

    /// Fills `into` with what stands at `offset` of the unpacked image; `image` reads the packed one.
    ///
    /// # Errors
    /// [`DeltaError::Part`], and what `image` says.
    pub fn read(&mut self, mut offset: u64, mut into: &mut [u8], image: Read<'_>) -> Result<(), DeltaError> {
        while !into.is_empty() {
            // The part that begins last at or before the offset.
            let after = self.parts.partition_point(|part| part.content <= offset);
            let part = after.checked_sub(1).map(|at| (at, self.parts[at]));
            let end = self.parts.get(after).map_or(u64::MAX, |next| next.content);
            let length = match part {
                Some((_, part)) if offset < part.content_end() => part.content_end(),
                _ => end,
            };
            let length = usize::try_from(length - offset).unwrap_or(usize::MAX).min(into.len());
            let (now, rest) = into.split_at_mut(length);
            match part {
                Some((at, part)) if offset < part.content_end() => {
                    let from = (offset - part.content) as usize;
                    now.copy_from_slice(&self.content(at, image)?[from..from + length]);
                }
                Some((_, part)) => image(part.end() + (offset - part.content_end()), now)?,
                None => image(offset, now)?,
            }
            (offset, into) = (offset + length as u64, rest);
        }
        Ok(())
    }

    /// What a part holds.
    fn content(&mut self, at: usize, image: Read<'_>) -> Result<&[u8], DeltaError> {
        self.time += 1;
        let time = self.time;
        let place = match self.kept.iter().position(|kept| kept.part == at) {
            Some(place) => place,
            None => self.unpack(at, image)?,
        };
        let kept = &mut self.kept[place];
        kept.used = time;
        Ok(&kept.bytes)
    }

    /// Unpacks a part, in the place of those that were not read for the longest time.
    fn unpack(&mut self, at: usize, image: Read<'_>) -> Result<usize, DeltaError> {
        let part = self.parts[at];
        let length = part.length as usize;
        let held = |kept: &[Kept]| kept.iter().map(|kept| kept.bytes.len()).sum::<usize>();
        while !self.kept.is_empty() && (held(&self.kept) + length > self.room || self.kept.len() == MOST_KEPT)
        {
            let oldest = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.used);
            if let Some((oldest, _)) = oldest {
                self.kept.swap_remove(oldest);
            }
        }
        let packed = &mut self.packed[..part.packed as usize];
        image(part.start, packed)?;
        let method = self.methods.get(usize::from(part.method)).ok_or(DeltaError::Parts)?;
        let mut bytes = vec![0; length];
        self.unpacker.unpack(method, packed, &mut bytes)?;
        self.kept.push(Kept { part: at, used: 0, bytes });
        Ok(self.kept.len() - 1)
    }
}
