//! The delta container: how a new image is made from an old one. Header and directory; the frames' content is the device
//! core's (`perennial_device_core::delta`).
//!
//! ```text
//! header     magic "PRNDELTA"              8 bytes
//!            layout version                u8      1; 2 where a frame is stored
//!            profile                       u8      0 linux, 1 mcu
//!            log2 of a block               u8      6 (64 bytes) to 16: how much of the old image is read at once
//!            log2 of the contexts          u8      6 to 18: buckets of 32 bytes that the byte models share
//!            log2 of the learned targets   u8      4 to 18: entries of 24 bytes
//!            log2 of the history           u8      0 (none), or 8 to 22: bytes that were sent, to repeat from
//!            log2 of a sector              u8      0 for a delta that makes its image elsewhere; or, in place, 8 to 20
//!            reserved = 0                  u8
//!            length of the old image       u64 LE  0 to 2^38
//!            length of the new image       u64 LE  1 to 2^38
//!            SHA-256 of the old image      16 bytes, its first half
//!            SHA-256 of the new image      16 bytes, its first half
//!            operations in the largest map u32 LE  at most 131,072
//!            sections in the largest map   u16 LE  at most 4,096
//!            segments in the largest map   u16 LE  at most 4,096; a space without any counts as one
//!            frames                        u32 LE  1 to 65,536
//!            bytes of the directory        u32 LE  at most 2^20
//! directory  in place: sectors of the slot                                                    varint
//!            for each frame: its bytes in the container, times four, plus its kind:            varint
//!                            0 data, 1 map, 2 parts, 3 mark
//!            data:           the bytes of the new image, unpacked, that it makes; in layout 2 0 for
//!                            a frame that is stored: it holds these bytes as they are          varint
//!            parts:          parts of the old image, and of the new one; both images' lengths
//!                            with these unpacked; the longest part of the old image, packed,
//!                            and unpacked; the longest of the new one that is held whole       7 varints
//!                            1 if deflate is used, plus twice the highest level of zstd        varint
//!                            where that is not 0: the version of zstd's library, as 10507      varint
//!            mark:           bytes that each packing has written since the mark before, that
//!                            of the image itself first                                         a varint each
//! frames     back to back
//! ```
//! Frames of parts, at most two, stand before everything else. Each says which compressed parts of both images are taken
//! apart: the first those of the images themselves, the second those of what came out (files in a file system whose blocks
//! are packed). Operations, sections and data frames are about what came out last. A mark has no bytes: there no part is
//! under way, so that an installation can go on behind it.
//!
//! In place the profile is mcu, no parts are taken apart, the slot holds either image and one sector more than the old one, and
//! data frames end at sectors' ends, but for the last. The old image is moved to the slot's end, so that it begins some
//! sectors further up, and a frame reads no byte of it below its floor: where the sectors end that it is written to, less
//! those some sectors. What it reads is then still there when it is decoded once more.
//!
//! A varint is little-endian base 128 (LEB128), at most 6 bytes here. A map frame says what the data frames behind it are
//! made of; every frame is decoded by itself, so that an installation goes on at the frame that it had reached. What is
//! declared here is what a decoder takes as memory, before anything is written, and all that it ever takes.

mod directory;

use alloc::vec::Vec;

use crate::limits::IMAGE_LENGTH;

pub use directory::{Frame, FrameKind, Parts};

/// Bytes of the header before the directory.
pub const HEADER_LENGTH: usize = 80;
/// The most operations of one map.
pub const OPERATIONS: u32 = 131_072;
/// The most sections, and the most segments, of one map.
pub const SECTIONS: u16 = 4_096;
/// The most frames.
pub const FRAMES: u32 = 65_536;
/// The longest directory, in bytes.
pub const DIRECTORY_LENGTH: u32 = 1 << 20;
/// The longest frame, in bytes of the container: what a reader without random access must hold.
pub const FRAME_LENGTH: u64 = 1 << 20;
/// The most times that packed parts are looked for in what other parts held.
pub const LAYERS: usize = 2;
/// The most parts of one image.
pub const PARTS: u32 = 65_536;
/// The longest part of an old image, packed or unpacked, and the longest of a new one that is held whole.
pub const PART_LENGTH: u32 = 1 << 22;
/// The most bytes of the new image that one frame makes: what is made again after a power cut, at most.
pub const FRAME_OUTPUT: u64 = 1 << 26;

const MAGIC: &[u8; 8] = b"PRNDELTA";
/// What is written where no frame is stored: every version reads it.
const LAYOUT: u8 = 1;
/// With stored frames.
const LAYOUT_WITH_STORED: u8 = 2;

/// For what kind of device a delta was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Profile {
    /// Memory in MiB.
    Linux = 0,
    /// Memory in KiB.
    Mcu = 1,
}

/// An image by its length in bytes and the first half of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageId {
    /// Its length in bytes.
    pub length: u64,
    /// The first 16 bytes of its SHA-256.
    pub digest: [u8; 16],
}

/// The sizes of a decoder's tables: the whole of its memory follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// log2 of the bytes of a block.
    pub block_bits: u8,
    /// log2 of the buckets of contexts.
    pub context_bits: u8,
    /// log2 of the learned targets.
    pub learned_bits: u8,
    /// log2 of the bytes of history, or 0.
    pub history_bits: u8,
    /// The most operations in one map.
    pub operations: u32,
    /// The most sections in one map.
    pub sections: u16,
    /// The most segments in one map.
    pub segments: u16,
}

/// The one slot that a delta in place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InPlace {
    /// log2 of a sector's bytes.
    pub sector_bits: u8,
    /// Sectors of the slot.
    pub sectors: u32,
}

impl InPlace {
    /// Bytes of a sector.
    pub fn sector(&self) -> u64 {
        1 << self.sector_bits
    }

    /// Bytes by which an old image of this length is moved up: to the slot's end.
    pub fn shift(&self, old_length: u64) -> u64 {
        u64::from(self.sectors).saturating_sub(old_length.div_ceil(self.sector())) << self.sector_bits
    }

    /// The first byte of an old image of this length that a frame may read which makes the new image up to `end`.
    pub fn floor(&self, old_length: u64, end: u64) -> u64 {
        let sectors = end.div_ceil(self.sector()) << self.sector_bits;
        sectors.saturating_sub(self.shift(old_length))
    }

    /// Whether the slot holds images of these lengths, the old one with a sector to spare.
    pub fn is_sound(&self, old_length: u64, new_length: u64) -> bool {
        let all = u64::from(self.sectors) << self.sector_bits;
        let bounded = (8..=20).contains(&self.sector_bits) && all <= IMAGE_LENGTH;
        bounded && old_length > 0 && new_length <= all && self.shift(old_length) > 0
    }
}

/// Header and directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// For what kind of device.
    pub profile: Profile,
    /// The tables' sizes.
    pub sizes: Sizes,
    /// The slot that it rewrites in place, if it does.
    pub in_place: Option<InPlace>,
    /// What it is made from.
    pub old: ImageId,
    /// What it makes.
    pub new: ImageId,
    /// How parts are taken apart: once, and again in what came out.
    pub layers: Vec<Parts>,
    /// Every frame, in order.
    pub frames: Vec<Frame>,
}

/// Why bytes are no delta container, with a number that never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum ContainerError {
    /// 1: another magic.
    #[error("not a delta (1)")]
    NotADelta = 1,
    /// 2: another layout version.
    #[error("a delta of layout {0}, which this version does not read (2)")]
    Layout(u8) = 2,
    /// 3: a profile that is not known.
    #[error("a delta of profile {0}, which this version does not know (3)")]
    Profile(u8) = 3,
    /// 4: a table's size out of its bounds.
    #[error("a delta that asks for a table of a size out of bounds (4)")]
    Sizes = 4,
    /// 5: an image's length out of bounds.
    #[error("a delta for images of impossible lengths (5)")]
    Lengths = 5,
    /// 6: operations, sections or segments past their limits.
    #[error(
        "a delta with more than {OPERATIONS} operations, or {SECTIONS} sections or segments, in a map (6)"
    )]
    Maps = 6,
    /// 7: no frame, too many, or a directory past its limit.
    #[error("a delta with no frame, or more than {FRAMES}, or a directory past {DIRECTORY_LENGTH} bytes (7)")]
    Frames = 7,
    /// 8: the header or the directory ends early, or the directory does not end where it should.
    #[error("a delta whose directory is cut short or does not add up (8)")]
    Directory = 8,
    /// 9: a frame that is empty or past its limits, or data before the first map.
    #[error("a delta with a frame out of bounds (9)")]
    Frame = 9,
    /// 10: packed parts past their limits, or told where they can't be.
    #[error(
        "a delta that takes apart more than {PARTS} parts of an image, or parts of more than {PART_LENGTH} bytes (10)"
    )]
    Parts = 10,
    /// 11: in place, and the slot is too small, another profile's, or a frame ends inside a sector.
    #[error("a delta for a slot that does not hold its images, or whose frames end inside sectors (11)")]
    InPlace = 11,
}

impl ContainerError {
    /// The number in its text.
    pub fn number(&self) -> u8 {
        match self {
            Self::NotADelta => 1,
            Self::Layout(_) => 2,
            Self::Profile(_) => 3,
            Self::Sizes => 4,
            Self::Lengths => 5,
            Self::Maps => 6,
            Self::Frames => 7,
            Self::Directory => 8,
            Self::Frame => 9,
            Self::Parts => 10,
            Self::InPlace => 11,
        }
    }
}

impl Header {
    /// How many bytes header and directory have, told by the first [`HEADER_LENGTH`] bytes.
    ///
    /// # Errors
    /// [`ContainerError`], where these are no header.
    pub fn length(start: &[u8]) -> Result<usize, ContainerError> {
        let (header, _) = start.split_first_chunk::<HEADER_LENGTH>().ok_or(ContainerError::NotADelta)?;
        let (magic, _) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(ContainerError::NotADelta);
        }
        if !(LAYOUT..=LAYOUT_WITH_STORED).contains(&header[8]) {
            return Err(ContainerError::Layout(header[8]));
        }
        match u32_at(header, 76) {
            length @ ..=DIRECTORY_LENGTH => Ok(HEADER_LENGTH + length as usize),
            _ => Err(ContainerError::Frames),
        }
    }

    /// Reads header and directory; `bytes` are those that [`Header::length`] tells.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ContainerError> {
        let length = Self::length(bytes)?;
        let directory = bytes.get(HEADER_LENGTH..length).ok_or(ContainerError::Directory)?;
        let profile = match bytes[9] {
            0 => Profile::Linux,
            1 => Profile::Mcu,
            other => return Err(ContainerError::Profile(other)),
        };
        let sizes = Sizes {
            block_bits: bytes[10],
            context_bits: bytes[11],
            learned_bits: bytes[12],
            history_bits: bytes[13],
            operations: u32_at(bytes, 64),
            sections: u16_at(bytes, 68),
            segments: u16_at(bytes, 70),
        };
        sizes.check()?;
        if bytes[15] != 0 {
            return Err(ContainerError::Sizes);
        }
        let old = ImageId { length: u64_at(bytes, 16), digest: half_at(bytes, 32) };
        let new = ImageId { length: u64_at(bytes, 24), digest: half_at(bytes, 48) };
        if old.length > IMAGE_LENGTH || !(1..=IMAGE_LENGTH).contains(&new.length) {
            return Err(ContainerError::Lengths);
        }
        let (in_place, directory) = directory::read_slot(bytes[14], directory)?;
        let (layers, frames) =
            directory::read(directory, u32_at(bytes, 72), new.length, bytes[8] >= LAYOUT_WITH_STORED)?;
        let header = Self { profile, sizes, in_place, old, new, layers, frames };
        let sound = header.in_place.is_none_or(|place| {
            let bare = header.profile == Profile::Mcu && header.layers.is_empty();
            bare && place.is_sound(old.length, new.length) && header.is_aligned(place.sector())
        });
        if sound { Ok(header) } else { Err(ContainerError::InPlace) }
    }

    /// Whether every data frame but the last ends at a multiple of so many bytes.
    pub fn is_aligned(&self, to: u64) -> bool {
        let mut ends = self.frames.iter().filter_map(|frame| frame.kind.makes());
        ends.next_back();
        to > 0 && ends.all(|makes| makes.is_multiple_of(to))
    }

    /// The first byte of the old image that a frame may read which makes the new image up to `end`.
    pub fn floor(&self, end: u64) -> u64 {
        self.in_place.map_or(0, |place| place.floor(self.old.length, end))
    }

    /// Bytes of the old image with every part unpacked: what operations and sections name.
    pub fn old_length(&self) -> u64 {
        self.layers.last().map_or(self.old.length, |parts| parts.old)
    }

    /// Bytes of the new image with every part unpacked: what the data frames make.
    pub fn new_length(&self) -> u64 {
        self.layers.last().map_or(self.new.length, |parts| parts.new)
    }

    /// The bytes of header and directory.
    pub fn encoded_length(&self) -> u64 {
        HEADER_LENGTH as u64 + directory::write(self).len() as u64
    }

    /// Header and directory as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let directory = directory::write(self);
        let Sizes { block_bits, context_bits, learned_bits, history_bits, .. } = self.sizes;
        let mut bytes = Vec::with_capacity(HEADER_LENGTH + directory.len());
        bytes.extend(MAGIC);
        let stored = self.frames.iter().any(|frame| matches!(frame.kind, FrameKind::Stored(_)));
        let layout = if stored { LAYOUT_WITH_STORED } else { LAYOUT };
        bytes.extend([layout, self.profile as u8, block_bits, context_bits, learned_bits, history_bits]);
        bytes.extend([self.in_place.map_or(0, |place| place.sector_bits), 0]);
        bytes.extend(self.old.length.to_le_bytes());
        bytes.extend(self.new.length.to_le_bytes());
        bytes.extend(self.old.digest);
        bytes.extend(self.new.digest);
        bytes.extend(self.sizes.operations.to_le_bytes());
        bytes.extend(self.sizes.sections.to_le_bytes());
        bytes.extend(self.sizes.segments.to_le_bytes());
        bytes.extend((self.frames.len() as u32).to_le_bytes());
        bytes.extend((directory.len() as u32).to_le_bytes());
        bytes.extend(directory);
        bytes
    }
}

impl Sizes {
    fn check(&self) -> Result<(), ContainerError> {
        let tables = (6..=16).contains(&self.block_bits)
            && (6..=18).contains(&self.context_bits)
            && (4..=18).contains(&self.learned_bits)
            && (self.history_bits == 0 || (8..=22).contains(&self.history_bits));
        if !tables {
            return Err(ContainerError::Sizes);
        }
        let maps = self.operations <= OPERATIONS && self.sections <= SECTIONS && self.segments <= SECTIONS;
        if maps { Ok(()) } else { Err(ContainerError::Maps) }
    }
}

// The callers have checked the length: these read from a header that is whole.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn half_at(bytes: &[u8], at: usize) -> [u8; 16] {
    core::array::from_fn(|i| bytes[at + i])
}

#[cfg(test)]
mod tests;
