//! The delta container: how a new image is made from an old one. Header and directory; the frames' content is the device
//! core's (`perennial_device_core::delta`).
//!
//! ```text
//! header     magic "PRND"                  4 bytes
//!            layout version                u8      3
//!            length                        u24 LE  bytes of header and directory, all of it
//!            flags                         u8      1 for the profile mcu, plus 2 in place, plus 4 where
//!                                                  the new image is the old one, plus 8 where parts
//!                                                  have notes, or stay as they are
//!            length of the old image       varint  0 to 2^38
//!            SHA-256 of the old image      16 bytes, its first half
//!            -- where the new image is the old one, that is all: two frames and more follow from it
//!            length of the new image       varint  1 to 2^38
//!            SHA-256 of the new image      16 bytes, its first half
//!            sizes of tables               u16 LE, of 4 bits each, the lowest first:
//!              log2 of a block, less 6             0 to 10: how much of the old image is read at once
//!              log2 of the contexts, less 6        0 to 12: buckets of 32 bytes that the byte models share
//!              log2 of the learned targets, less 4 0 to 14: entries of 24 bytes
//!              log2 of the history, less 7         or 0 for none: bytes that were sent, to repeat from
//!            operations in the largest map varint  at most 131,072
//!            sections in the largest map   varint  at most 8,192
//!            segments in the largest map   varint  at most 8,192; a space without any counts as one
//!            in place: log2 of a sector    varint  8 to 20
//!                      sectors of the slot varint
//! directory  for each frame, up to its end, at most 65,536:
//!            its bytes in the container, times four, plus its kind:                            varint
//!                            0 data, 1 map, 2 parts, 3 mark; 2 behind a map: notes;
//!                            3 with bytes: stored
//!            data:           the bytes of the new image, unpacked, that it makes               varint
//!            stored:         none: it holds these bytes as they are
//!            map:            none; one without bytes says that all of it is the old image's
//!            parts:          parts of the old image, and of the new one; both images' lengths
//!                            with these unpacked; the longest part of the old image, packed,
//!                            and unpacked; the longest of the new one that is held whole       7 varints
//!                            1 if deflate is used, plus twice the highest level of zstd, plus
//!                            128 where parts are in two pieces                                  varint
//!                            in two pieces: bytes of them that are held at once, 1 to 1,048,576
//!                                                                                              varint
//!                            where zstd's level is not 0: the version of its library, as 10507  varint
//!                            with the flag: twice the bytes of notes that are held at once, at
//!                            most 524,288, plus 1 where parts stay as they are: in the first
//!                            frame of parts alone                                              varint
//!            notes:          none
//!            mark:           bytes that each packing has written since the mark before, that
//!                            of the image itself first                                         a varint each
//! frames     back to back
//! ```
//! Where the new image is the old one, its frames are a map without bytes, and data frames without bytes of [`FRAME_OUTPUT`]
//! each and the rest.
//!
//! Frames of parts, at most two, stand before everything else. Each says which compressed parts of both images are taken
//! apart: the first those of the images themselves, the second those of what came out (files in a file system whose blocks
//! are packed). Operations, sections and data frames are about what came out last. A mark has no bytes: there no part is
//! under way, so that an installation can go on behind it.
//!
//! Notes say what a part's method doesn't. A frame of notes holds, for each frame of parts in turn that declares some, their
//! bytes (a varint), and the notes of the parts that end before the next mark, in order: of each its bytes (a varint), then these.
//! An installation goes on with them, not with the data behind them.
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
use directory::{read_varint, write_varint};

/// The first bytes of a container, which tell how many header and directory have: see [`Header::length`].
pub const HEADER_LENGTH: usize = 8;
/// The most operations of one map.
pub const OPERATIONS: u32 = 131_072;
/// The most sections, and the most segments, of one map.
pub const SECTIONS: u16 = 8_192;
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
/// The most bytes of what is noted of parts between two marks, of each packing: a device holds them until these parts end.
pub const NOTES_LENGTH: u32 = 512 << 10;
/// The most bytes of parts in two pieces that a device holds until the place of the second piece comes.
pub const HELD_LENGTH: u32 = 1 << 20;
/// The longest part of an old image, packed or unpacked, and the longest of a new one that is held whole.
pub const PART_LENGTH: u32 = 1 << 22;
/// The most bytes of the new image that one frame makes: what is made again after a power cut, at most.
pub const FRAME_OUTPUT: u64 = 1 << 26;

/// What every container begins with.
pub const MAGIC: &[u8; 4] = b"PRND";
/// Of all that this version reads and writes. 1 and 2 had a header of 80 bytes, and other models.
pub const LAYOUT: u8 = 3;
/// Bytes of a header without its directory, at most.
const LONGEST: u32 = 128;
/// Flags.
const MCU: u8 = 1;
const IN_PLACE: u8 = 2;
const SAME: u8 = 4;
const NOTED: u8 = 8;

/// For what kind of device a delta was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Memory in MiB.
    Linux,
    /// Memory in KiB.
    Mcu,
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
    /// 3: flags that are not known: another profile.
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
    /// Of a delta whose new image is the old one.
    pub fn of_same(profile: Profile, image: ImageId) -> Self {
        let sizes = Sizes {
            block_bits: if profile == Profile::Mcu { 6 } else { 16 },
            context_bits: 6,
            learned_bits: 4,
            history_bits: 0,
            operations: 1,
            sections: 0,
            segments: 0,
        };
        let mut frames = Vec::from([Frame { kind: FrameKind::Map, length: 0 }]);
        let mut left = image.length;
        while left > 0 {
            let makes = left.min(FRAME_OUTPUT);
            frames.push(Frame { kind: FrameKind::Data(makes), length: 0 });
            left -= makes;
        }
        frames.shrink_to_fit();
        Self { profile, sizes, in_place: None, old: image, new: image, layers: Vec::new(), frames }
    }

    /// How many bytes header and directory have, told by the first [`HEADER_LENGTH`] bytes.
    ///
    /// # Errors
    /// [`ContainerError`], where these are no header.
    pub fn length(start: &[u8]) -> Result<usize, ContainerError> {
        let (start, _) = start.split_first_chunk::<HEADER_LENGTH>().ok_or(ContainerError::NotADelta)?;
        let [m0, m1, m2, m3, layout, l0, l1, l2] = *start;
        if [m0, m1, m2, m3] != *MAGIC {
            return Err(ContainerError::NotADelta);
        }
        if layout != LAYOUT {
            return Err(ContainerError::Layout(layout));
        }
        match u32::from_le_bytes([l0, l1, l2, 0]) {
            length if length <= DIRECTORY_LENGTH + LONGEST => Ok(length as usize),
            _ => Err(ContainerError::Frames),
        }
    }

    /// Reads header and directory; `bytes` are those that [`Header::length`] tells, or more.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ContainerError> {
        let length = Self::length(bytes)?;
        let mut rest = bytes.get(HEADER_LENGTH..length).ok_or(ContainerError::Directory)?;
        let [flags] = take(&mut rest)?;
        if flags >= NOTED << 1 || flags & SAME != 0 && flags & (IN_PLACE | NOTED) != 0 {
            return Err(ContainerError::Profile(flags));
        }
        let profile = if flags & MCU == 0 { Profile::Linux } else { Profile::Mcu };
        let old = ImageId { length: varint(&mut rest)?, digest: take(&mut rest)? };
        if flags & SAME != 0 {
            return match old.length {
                1..=IMAGE_LENGTH if rest.is_empty() => Ok(Self::of_same(profile, old)),
                1..=IMAGE_LENGTH => Err(ContainerError::Directory),
                _ => Err(ContainerError::Lengths),
            };
        }
        let new = ImageId { length: varint(&mut rest)?, digest: take(&mut rest)? };
        if old.length > IMAGE_LENGTH || !(1..=IMAGE_LENGTH).contains(&new.length) {
            return Err(ContainerError::Lengths);
        }
        let sizes = Sizes::read(&mut rest)?;
        let in_place = match flags & IN_PLACE {
            0 => None,
            _ => Some(directory::read_slot(&mut rest)?),
        };
        let (layers, frames) = directory::read(rest, new.length, flags & NOTED != 0)?;
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
        self.encode().len() as u64
    }

    /// Whether parts have notes, or stay as they are.
    fn has_notes(&self) -> bool {
        self.layers.iter().any(Parts::has_notes)
    }

    /// Whether the new image is the old one, and nothing else is said.
    fn is_same(&self) -> bool {
        self.old == self.new && *self == Self::of_same(self.profile, self.old)
    }

    /// Header and directory as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let same = self.is_same();
        let mut bytes = Vec::from(*MAGIC);
        bytes.extend([LAYOUT, 0, 0, 0]);
        let flags = if self.profile == Profile::Mcu { MCU } else { 0 }
            | if self.in_place.is_some() { IN_PLACE } else { 0 }
            | if same { SAME } else { 0 }
            | if self.has_notes() { NOTED } else { 0 };
        bytes.push(flags);
        write_varint(&mut bytes, self.old.length);
        bytes.extend(self.old.digest);
        if !same {
            write_varint(&mut bytes, self.new.length);
            bytes.extend(self.new.digest);
            self.sizes.write(&mut bytes);
            if let Some(place) = self.in_place {
                write_varint(&mut bytes, place.sector_bits.into());
                write_varint(&mut bytes, place.sectors.into());
            }
            directory::write(self, &mut bytes);
        }
        let length = (bytes.len() as u32).to_le_bytes();
        bytes[5..HEADER_LENGTH].copy_from_slice(&length[..3]);
        bytes
    }
}

impl Sizes {
    fn read(rest: &mut &[u8]) -> Result<Self, ContainerError> {
        let word = u16::from_le_bytes(take(rest)?);
        let nibble = |at: u32| (word >> (4 * at) & 15) as u8;
        let history = nibble(3);
        let mut small = |most: u64| match varint(rest)? {
            value if value <= most => Ok(value as u32),
            _ => Err(ContainerError::Maps),
        };
        let operations = small(OPERATIONS.into())?;
        let sections = small(SECTIONS.into())? as u16;
        let segments = small(SECTIONS.into())? as u16;
        let history_bits = if history == 0 { 0 } else { history + 7 };
        let (block_bits, context_bits, learned_bits) = (nibble(0) + 6, nibble(1) + 6, nibble(2) + 4);
        let bounded = block_bits <= 16 && context_bits <= 18 && learned_bits <= 18;
        let sizes =
            Self { block_bits, context_bits, learned_bits, history_bits, operations, sections, segments };
        if bounded { Ok(sizes) } else { Err(ContainerError::Sizes) }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let nibbles = [
            self.block_bits.saturating_sub(6),
            self.context_bits.saturating_sub(6),
            self.learned_bits.saturating_sub(4),
            self.history_bits.saturating_sub(7),
        ];
        let word = nibbles.iter().rev().fold(0, |word, nibble| word << 4 | u16::from(nibble & 15));
        bytes.extend(word.to_le_bytes());
        for value in [self.operations, self.sections.into(), self.segments.into()] {
            write_varint(bytes, value.into());
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ContainerError> {
    let (first, others) = rest.split_first_chunk().ok_or(ContainerError::Directory)?;
    *rest = others;
    Ok(*first)
}

fn varint(rest: &mut &[u8]) -> Result<u64, ContainerError> {
    read_varint(rest).ok_or(ContainerError::Directory)
}

#[cfg(test)]
mod tests;
