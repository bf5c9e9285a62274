//! Deltas: the new image from the old one, a map of what moved, and corrections.
//!
//! | module | holds |
//! | --- | --- |
//! | [`walk`] | a data frame: every byte of the new image |
//! | [`mod@unit`], [`steps`] | a map frame: address spaces and sections, steps |
//! | [`pieces`] | how a unit is cut into blocks |
//! | [`refs`], [`space`] | references in machine code and its tables, and the addresses that they mean |
//! | [`map`], [`learned`] | where an old place went, and what turned out otherwise |
//! | `targets` | where a reference leads |
//! | [`in_place`] | one slot, rewritten in place |
//! | [`packing`] | compressed parts, taken apart and put together again |
//! | [`coder`], [`model`], [`history`] | the entropy coder, and what it expects |
//!
//! Decides which bytes come out; never whether these are right: whoever takes them checks them against a signed index, or
//! against a digest. Header and directory are [`perennial_schemas::delta`]. Whatever is described wrongly costs bytes, never
//! correctness, and never more memory than the header declares: all of it is taken by [`Delta::new`], none later.

pub mod coder;
pub mod history;
pub mod in_place;
pub mod learned;
pub mod map;
pub mod model;
mod packed;
pub mod packing;
pub mod pieces;
pub mod refs;
pub mod space;
pub mod steps;
mod targets;
pub mod unit;
pub mod walk;

use alloc::boxed::Box;
use core::cell::RefCell;
use core::ops::Range;

use perennial_schemas::delta::{ContainerError, FrameKind, Header};

use coder::{Decoder, Input};
use packing::Packing;
use packing::codec::PackedBefore;
use unit::Unit;
use walk::{Output, Unknown, Walker};

use crate::port::PortError;

/// The old image, as a delta is applied to it.
pub trait OldImage {
    /// Fills `into` with the bytes at `offset`.
    ///
    /// # Errors
    /// [`DeltaError::Old`].
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError>;
}

impl OldImage for &[u8] {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError> {
        let from = usize::try_from(offset).ok();
        let bytes = from.and_then(|from| self.get(from..)?.get(..into.len())).ok_or(DeltaError::PastOld)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// Why a delta was not applied; the numbers never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// 1 to 11: header or directory.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// 20: a frame goes on behind its content.
    #[error("a frame of the delta is longer than its content (20)")]
    FrameLeft,
    /// 21: a map that says more than the header declares, or names bytes that no image has.
    #[error("a map of the delta names what is not there (21)")]
    Map,
    /// 22: frames that are not in order.
    #[error("frame {0} of the delta is not the next one (22)")]
    Order(usize),
    /// 23: data frames that make more or less than the map before them says, or than the image has.
    #[error("the frames of the delta do not make what their map says (23)")]
    Length,
    /// 24: bytes past the old image's end.
    #[error("the delta reads past the end of the old image (24)")]
    PastOld,
    /// 25: it asks for more memory than there is.
    #[error("the delta needs {needed} bytes of memory, {limit} are allowed (25)")]
    Memory {
        /// What the header declares.
        needed: u64,
        /// What is allowed.
        limit: u64,
    },
    /// 26: parts that the header doesn't declare, or that no image has.
    #[error("the delta takes apart what is not there, or what its header does not declare (26)")]
    Parts,
    /// 27: a part of the old image that isn't packed as it is described.
    #[error("the delta takes apart what is not packed as it says (27)")]
    Part,
    /// 28: parts are packed by a version of a library that isn't linked here.
    #[error("the delta packs with version {version} of zstd's library, this device has {own} (28)")]
    Method {
        /// The version that it was proved with.
        version: u32,
        /// The one that is there; 0 for none.
        own: u32,
    },
    /// 29: old bytes that this frame overwrites, in place.
    #[error("the delta reads old bytes that it overwrites (29)")]
    Overwritten,
    /// 30: in place, for another slot.
    #[error("the delta is not for a slot of {sectors} sectors of {sector} bytes, or not for its index (30)")]
    Slot {
        /// Bytes of a sector that this device has.
        sector: u32,
        /// Sectors of its slot.
        sectors: u32,
    },
    /// 31: in place, and another delta has begun to rewrite the slot.
    #[error("another delta has begun to rewrite the slot (31)")]
    Underway,
    /// 32: in place, and the slot holds another image.
    #[error("the slot does not hold the image that the delta starts from (32)")]
    OtherOld,
    /// The old image could not be read, or is not the one that was named.
    #[error("{0}")]
    Old(PortError),
    /// Whoever takes the new image said stop.
    #[error("{0}")]
    Output(PortError),
}

/// A delta that is being applied: made once, of fixed size.
#[derive(Debug)]
pub struct Delta {
    header: Header,
    /// Its bytes with the directory: where the first frame begins.
    frames_from: u64,
    walker: Walker,
    unit: Unit,
    packing: Packing,
    /// The map frame that `unit` is.
    loaded: Option<usize>,
}

/// What is needed to go on at some byte of the new image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The map frame to load.
    pub map: usize,
    /// The data frame to go on with, or that of the notes before it; the number of frames where nothing is missing.
    pub data: usize,
    /// Where the new image goes on from there.
    pub output: u64,
}

impl Delta {
    /// Takes the memory that the header declares.
    ///
    /// # Errors
    /// [`DeltaError::Memory`] where that is more than `limit` bytes, [`DeltaError::Method`] where parts are packed as nothing
    /// here does.
    pub fn new(header: Header, limit: u64) -> Result<Self, DeltaError> {
        let needed = memory(&header);
        if needed > limit {
            return Err(DeltaError::Memory { needed, limit });
        }
        let frames_from = header.encoded_length();
        let (walker, unit) = (Walker::new(&header.sizes), Unit::with_room(&header.sizes));
        let packing = Packing::new(&header)?;
        Ok(Self { header, frames_from, walker, unit, packing, loaded: None })
    }

    /// Takes parts of the new image as they were packed before, where they were: for proving what was just made.
    pub fn recall(&mut self, before: Box<dyn PackedBefore>) {
        self.packing.recall(before);
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where a frame stands in the container, in bytes.
    pub fn range(&self, frame: usize) -> Option<Range<u64>> {
        let length = self.header.frames.get(frame)?.length;
        let before: u64 = self.header.frames[..frame].iter().map(|frame| frame.length).sum();
        let start = self.frames_from + before;
        Some(start..start + length)
    }

    /// The frames to go on with when the new image is there up to byte `done`: where no part is under way. Frames of parts are
    /// needed before them.
    pub fn resume(&self, done: u64) -> Resume {
        let mut found = Resume { map: 0, data: 0, output: 0 };
        if done >= self.header.new.length {
            let map = self.header.frames.iter().rposition(|frame| frame.kind == FrameKind::Map);
            return Resume { map: map.unwrap_or(0), data: self.header.frames.len(), ..found };
        }
        let packed = !self.header.layers.is_empty();
        let (mut map, mut output, mut clean) = (0, 0, true);
        for (i, frame) in self.header.frames.iter().enumerate() {
            match frame.kind {
                FrameKind::Map => map = i,
                FrameKind::Parts => {}
                FrameKind::Mark(written) => (output, clean) = (output + written[0], true),
                FrameKind::Notes | FrameKind::Data(_) | FrameKind::Stored(_) => {
                    if clean && output <= done {
                        found = Resume { map, data: i, output };
                    }
                    clean = !packed;
                    output += if packed { 0 } else { frame.kind.makes().unwrap_or(0) };
                }
            }
        }
        found
    }

    /// Decodes a frame (a map without bytes says that all is the old image's): a map, or a data or stored frame of the map that was decoded last. Its bytes go to `output` in
    /// pieces of at most a block and 8 bytes.
    ///
    /// # Errors
    /// [`DeltaError`]; what came out before it may be wrong.
    pub fn frame(
        &mut self,
        frame: usize,
        input: impl Input,
        old: &mut dyn OldImage,
        output: Output<'_>,
    ) -> Result<(), DeltaError> {
        let kind = self.header.frames.get(frame).ok_or(DeltaError::Order(frame))?.kind;
        if kind == FrameKind::Notes {
            let (_, from) = self.place(frame);
            return self.packing.notes(input, frame, from, &self.header);
        }
        let image = RefCell::new(old);
        if let FrameKind::Stored(length) = kind {
            self.follows(frame)?;
            let (_, mut output) = self.packing.between(&image, output);
            self.walker.stored(input, length, &mut output)?;
            drop(output);
            return self.packing.done(frame, &self.header);
        }
        let mut decoder = Decoder::new(input);
        let old_length = self.header.old_length();
        match kind {
            FrameKind::Parts => {
                self.packing.layer(&mut decoder, frame, &self.header)?;
                decoder.finish()
            }
            FrameKind::Mark(_) | FrameKind::Notes => decoder.finish(),
            FrameKind::Map => {
                self.loaded = None;
                let (start, length) = self.stretch(frame);
                if self.header.frames[frame].length == 0 {
                    self.walker.copied(&mut self.unit, start, length, old_length)?;
                } else {
                    let known = Unit::default();
                    self.walker.map(&mut decoder, &mut self.unit, &known, start, old_length)?;
                }
                if self.unit.length != length {
                    return Err(DeltaError::Length);
                }
                self.loaded = Some(frame);
                decoder.finish()
            }
            FrameKind::Data(length) | FrameKind::Stored(length) => {
                let from = self.follows(frame)?;
                let end = from + length;
                self.walker.begin(&self.unit, from..end, self.header.floor(end));
                let mut left = length;
                let (mut old, mut output) = self.packing.between(&image, output);
                while left > 0 {
                    let (unit, old) = (&self.unit, &mut old);
                    let piece =
                        self.walker.piece(&mut decoder, unit, old, old_length, &mut Unknown, &mut output)?;
                    left = piece.and_then(|made| left.checked_sub(made)).ok_or(DeltaError::Length)?;
                }
                drop((old, output));
                decoder.finish()?;
                self.packing.done(frame, &self.header)
            }
        }
    }

    /// A frame that makes bytes is going to be decoded: where these begin.
    fn follows(&mut self, frame: usize) -> Result<u64, DeltaError> {
        let (map, from) = self.place(frame);
        if self.loaded != Some(map) {
            return Err(DeltaError::Order(frame));
        }
        self.packing.begin(frame, from, &self.header)?;
        Ok(from)
    }

    /// The map that a data frame belongs to, and where its bytes begin.
    fn place(&self, frame: usize) -> (usize, u64) {
        let before = self.header.frames[..frame].iter().enumerate();
        before.fold((0, 0), |(map, at), (i, frame)| match frame.kind {
            FrameKind::Map => (i, at),
            kind => (map, at + kind.makes().unwrap_or(0)),
        })
    }

    /// What the data frames behind a map make: where it begins, and how long it is.
    fn stretch(&self, map: usize) -> (u64, u64) {
        let data = |frame: &perennial_schemas::delta::Frame| frame.kind.makes().unwrap_or(0);
        let start = self.header.frames[..map].iter().map(data).sum();
        let behind = self.header.frames[map + 1..].iter().take_while(|frame| frame.kind != FrameKind::Map);
        (start, behind.map(data).sum())
    }
}

/// The memory that a delta takes to be applied, in bytes: all that [`Delta::new`] takes, header and directory included,
/// without the frame that is being read.
pub fn memory(header: &Header) -> u64 {
    let sizes = &header.sizes;
    let tables = Walker::memory(sizes) + Unit::memory(sizes);
    let frames = size_of_val(&header.frames[..]) + size_of_val(&header.layers[..]);
    (size_of::<Delta>() - size_of::<Walker>() - size_of::<Unit>() + tables + frames) as u64
        + Packing::memory(header)
}
