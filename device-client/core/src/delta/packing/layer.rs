//! A frame of parts: which parts of both images are taken apart, and how.
//!
//! Decides that they are in order, in bounds, and no more than the header declares. Written once, over [`Coder`], as a map
//! is.

use alloc::vec::Vec;

use perennial_schemas::delta::{PART_LENGTH, Parts};

use super::method::Method;
use crate::delta::DeltaError;
use crate::delta::coder::{Coder, Subject};
use crate::delta::model::cell::Cell;
use crate::delta::model::number::{As, Numbers};

/// The most methods of a layer.
pub const METHODS: usize = 16;

/// A part of the old image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OldPart {
    /// Where it begins in the packed image.
    pub start: u64,
    /// Where its content begins in the unpacked one.
    pub content: u64,
    /// Its bytes there, packed.
    pub packed: u32,
    /// Where the rest of its packed bytes stands, and how many these are: none of a part in one piece. There they are also
    /// bytes of the image as it is.
    pub rest: (u64, u32),
    /// Its bytes, unpacked.
    pub length: u32,
    /// Which of the methods.
    pub method: u8,
}

impl OldPart {
    /// Where it ends in the packed image, or its first piece does.
    pub fn end(&self) -> u64 {
        self.start + u64::from(self.packed)
    }

    /// Where its content ends in the unpacked one.
    pub fn content_end(&self) -> u64 {
        self.content + u64::from(self.length)
    }
}

/// A part of the new image. How long it is packed turns out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewPart {
    /// Where its content begins in the unpacked image.
    pub content: u64,
    /// Its bytes, unpacked.
    pub length: u64,
    /// Which of the methods.
    pub method: u8,
    /// Which part of the old image it is, where it stays as it is.
    pub old: u32,
    /// What of it stands here.
    pub piece: Piece,
}

/// What of a part stands where it begins. Of one in two pieces (a file system has put the last block elsewhere) the content
/// stands where the first piece comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Piece {
    /// All of it.
    #[default]
    Whole,
    /// So many of its first bytes, packed; the others are held.
    Front(u32),
    /// So many of its last bytes, packed; the others are held.
    Back(u32),
    /// No part: here stands what is held of one, the first that is held being 0.
    Rest(u8),
}

impl Piece {
    fn code<C: Coder>(coder: &mut C, numbers: &mut Numbers, known: Self) -> Result<Self, DeltaError> {
        let (kind, value) = match known {
            Self::Whole => (0, 0),
            Self::Front(bytes) => (1, bytes.into()),
            Self::Back(bytes) => (2, bytes.into()),
            Self::Rest(which) => (3, which.into()),
        };
        let kind = coder.plain(kind, 2);
        if kind == 0 {
            return Ok(Self::Whole);
        }
        let value = numbers.code(coder, value, sort(PIECE));
        let bytes = || small(value, PART_LENGTH);
        match kind {
            1 => bytes().map(Self::Front),
            2 => bytes().map(Self::Back),
            _ => u8::try_from(value).map(Self::Rest).map_err(|_| DeltaError::Parts),
        }
    }
}

/// Parts of both images, ascending and disjoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layer {
    /// How they are packed, at most [`METHODS`].
    pub methods: Vec<Method>,
    /// Those of the old image.
    pub old: Vec<OldPart>,
    /// Those of the new image.
    pub new: Vec<NewPart>,
}

/// Numbers of so many bits and more look alike.
const WIDE: usize = 24;

const GAP: usize = 0;
const PACKED: usize = 1;
const LENGTH: usize = 2;
const NEW_GAP: usize = 3;
const NEW_LENGTH: usize = 4;
const SAME: usize = 5;
const REST: usize = 6;
const PLACE: usize = 7;
const PIECE: usize = 8;
const KINDS: usize = PIECE + 1;

/// What the numbers of a layer are coded by.
pub fn numbers() -> Numbers {
    Numbers::new(KINDS, KINDS, WIDE)
}

/// Bytes that these take.
pub(super) fn memory_of_numbers() -> u64 {
    Numbers::memory(KINDS, KINDS, WIDE) as u64
}

impl Layer {
    /// With room for what is declared.
    pub fn with_room(parts: &Parts) -> Self {
        Self {
            methods: Vec::with_capacity(METHODS),
            old: Vec::with_capacity(parts.old_parts as usize),
            new: Vec::with_capacity(parts.new_parts as usize),
        }
    }

    /// Bytes that this takes.
    pub(super) fn memory(parts: &Parts) -> u64 {
        let lists = u64::from(parts.old_parts) * size_of::<OldPart>() as u64
            + u64::from(parts.new_parts) * size_of::<NewPart>() as u64;
        lists + (size_of::<Self>() + METHODS * size_of::<Method>()) as u64
    }

    /// Codes a frame of parts: `known` is the truth for an encoder, and empty for a decoder; this layer becomes what was
    /// coded. `old_length` is the length of the old image, packed.
    ///
    /// # Errors
    /// [`DeltaError::Parts`] past what `parts` declares, or past the images' ends.
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: &Self,
        parts: &Parts,
        old_length: u64,
    ) -> Result<(), DeltaError> {
        coder.about(Subject::Parts);
        let count = coder.plain(known.methods.len() as u64, 5) as usize;
        if count > METHODS {
            return Err(DeltaError::Parts);
        }
        self.methods.clear();
        for i in 0..count {
            let method = Method::code(coder, known.methods.get(i).copied())?;
            let declared = match method {
                Method::Deflate(..) => parts.deflate,
                Method::Zstd(level) => level <= parts.zstd_level,
                Method::ZstdTold(_, level) => level <= parts.zstd_level && parts.notes > 0,
                Method::Same => parts.same,
            };
            if !declared {
                return Err(DeltaError::Parts);
            }
            self.methods.push(method);
        }
        numbers.reset();
        self.code_old(coder, numbers, known, parts, old_length)?;
        self.code_new(coder, numbers, known, parts)
    }

    fn code_old<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: &Self,
        parts: &Parts,
        old_length: u64,
    ) -> Result<(), DeltaError> {
        let mut kinds = Kinds::new(self.methods.len());
        self.old.clear();
        let mut last = OldPart::default();
        for i in 0..parts.old_parts as usize {
            let known = known.old.get(i).copied().unwrap_or_default();
            let method = kinds.method(coder, known.method)?;
            let gap = numbers.code(coder, known.start.wrapping_sub(last.end()), sort(GAP));
            let packed = numbers.code(coder, u64::from(known.packed), sort(PACKED));
            let length = kinds.length(coder, numbers, u64::from(known.length), LENGTH);
            let start = last.end().checked_add(gap).filter(|start| *start <= old_length);
            let start = start.ok_or(DeltaError::Parts)?;
            let mut rest = (0, 0);
            if parts.held > 0 {
                let bytes = numbers.code(coder, known.rest.1.into(), sort(REST));
                rest.1 = small(bytes, parts.old_packed_most)?;
            }
            if rest.1 > 0 {
                let place =
                    numbers.signed(coder, known.rest.0.wrapping_sub(start).cast_signed(), sort(PLACE));
                rest.0 = start.wrapping_add_signed(place);
            }
            let packed = small(packed.saturating_add(rest.1.into()), parts.old_packed_most)? - rest.1;
            let length = small(length, parts.old_most)?;
            let content = last.content_end() + gap;
            last = OldPart { start, content, packed, rest, length, method };
            let ends = rest.0.checked_add(rest.1.into()).is_some_and(|end| end <= old_length);
            if last.end() > old_length || !ends {
                return Err(DeltaError::Parts);
            }
            self.old.push(last);
        }
        let rest = old_length - last.end();
        if last.content_end() + rest == parts.old { Ok(()) } else { Err(DeltaError::Parts) }
    }

    fn code_new<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: &Self,
        parts: &Parts,
    ) -> Result<(), DeltaError> {
        let mut kinds = Kinds::new(self.methods.len());
        self.new.clear();
        let mut end = 0_u64;
        let mut next_old = 0_u32;
        for i in 0..parts.new_parts as usize {
            let known = known.new.get(i).copied().unwrap_or_default();
            let mut piece = Piece::Whole;
            if parts.held > 0 {
                piece = Piece::code(coder, numbers, known.piece)?;
            }
            if let Piece::Rest(_) = piece {
                let gap = numbers.code(coder, known.content.wrapping_sub(end), sort(NEW_GAP));
                end = end.checked_add(gap).filter(|end| *end <= parts.new).ok_or(DeltaError::Parts)?;
                self.new.push(NewPart { content: end, piece, ..NewPart::default() });
                continue;
            }
            let method = kinds.method(coder, known.method)?;
            let gap = numbers.code(coder, known.content.wrapping_sub(end), sort(NEW_GAP));
            let length = kinds.length(coder, numbers, known.length, NEW_LENGTH);
            let content = end.checked_add(gap).ok_or(DeltaError::Parts)?;
            end = content.checked_add(length).filter(|end| *end <= parts.new).ok_or(DeltaError::Parts)?;
            if self.methods[usize::from(method)].is_whole() {
                small(length, parts.new_most)?;
            }
            let mut old = 0;
            if self.methods[usize::from(method)] == Method::Same {
                let over = i64::from(known.old) - i64::from(next_old);
                let over = numbers.signed(coder, over, sort(SAME));
                let named = i64::from(next_old).checked_add(over).and_then(|old| u32::try_from(old).ok());
                old = named.filter(|old| (*old as usize) < self.old.len()).ok_or(DeltaError::Parts)?;
                next_old = old + 1;
            }
            self.new.push(NewPart { content, length, method, old, piece });
        }
        Ok(())
    }
}

fn sort(context: usize) -> As {
    As { kind: context, context }
}

fn small(value: u64, most: u32) -> Result<u32, DeltaError> {
    u32::try_from(value).ok().filter(|value| *value <= most).ok_or(DeltaError::Parts)
}

/// Methods and lengths of one image's parts: most are like the one before.
struct Kinds {
    count: usize,
    method: u8,
    same: Cell,
    /// The length that the last part with each method had, where it was the same as another's before: a block's.
    lengths: [u64; METHODS],
    usual: Cell,
}

impl Kinds {
    fn new(count: usize) -> Self {
        Self { count, method: 0, same: Cell::NEW, lengths: [0; METHODS], usual: Cell::NEW }
    }

    fn method<C: Coder>(&mut self, coder: &mut C, known: u8) -> Result<u8, DeltaError> {
        if !self.same.code(coder, known == self.method) {
            self.method = coder.plain(u64::from(known), 4) as u8;
        }
        if usize::from(self.method) < self.count { Ok(self.method) } else { Err(DeltaError::Parts) }
    }

    /// The longest so far is the usual one.
    fn length<C: Coder>(&mut self, coder: &mut C, numbers: &mut Numbers, known: u64, context: usize) -> u64 {
        let usual = &mut self.lengths[usize::from(self.method)];
        if self.usual.code(coder, known == *usual) {
            return *usual;
        }
        let length = numbers.code(coder, known, sort(context));
        *usual = length.max(*usual);
        length
    }
}
