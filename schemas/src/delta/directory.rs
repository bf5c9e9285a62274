//! The directory: what frames there are, and how parts are taken apart. Its bytes stand at the top of the module above.
//!
//! Decides that frames are in order, within their limits, and make the whole of the new image.

use alloc::vec;
use alloc::vec::Vec;

use super::{
    ContainerError, FRAME_LENGTH, FRAME_OUTPUT, FRAMES, HELD_LENGTH, Header, InPlace, LAYERS, NOTES_LENGTH,
    PART_LENGTH, PARTS,
};
use crate::limits::IMAGE_LENGTH;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Operations, spaces and sections of what follows.
    Map,
    /// So many bytes of the new image; of the unpacked one, where parts are taken apart.
    Data(u64),
    /// So many bytes of the new image, unpacked, as they are: what no model makes smaller.
    Stored(u64),
    /// Which parts of the images are taken apart: the first for the first of [`Header::layers`].
    Parts,
    /// What the methods of parts don't say: of those that end in the frames behind it, up to the next mark.
    Notes,
    /// No part is under way here: so many bytes were written since the last mark, of the new image itself and of what the
    /// first packing makes it of. Without bytes in the container.
    Mark([u64; LAYERS]),
}

impl FrameKind {
    /// The bytes of the new image, unpacked, that it makes; `None` for one that makes none.
    pub fn makes(&self) -> Option<u64> {
        match *self {
            Self::Data(makes) | Self::Stored(makes) => Some(makes),
            Self::Map | Self::Parts | Self::Notes | Self::Mark(_) => None,
        }
    }
}

/// What taking parts apart needs: the memory for it follows from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    /// Parts of the old image.
    pub old_parts: u32,
    /// Parts of the new image.
    pub new_parts: u32,
    /// Bytes of the old image with them unpacked.
    pub old: u64,
    /// Bytes of the new image with them unpacked.
    pub new: u64,
    /// Bytes of the longest part of the old image, packed.
    pub old_packed_most: u32,
    /// Bytes of the longest part of the old image, unpacked.
    pub old_most: u32,
    /// Bytes of the longest part of the new image that is packed in one go.
    pub new_most: u32,
    /// Bytes of notes of parts of the new image that are held at once; 0 where none has one.
    pub notes: u32,
    /// Whether parts of the new image stay as they are in the old one: unpacked for what they hold alone.
    pub same: bool,
    /// Bytes of parts in two pieces that are held at once, packed; 0 where all are in one.
    pub held: u32,
    /// Whether parts are packed with deflate.
    pub deflate: bool,
    /// The highest level of parts that are packed with zstd; 0 for none.
    pub zstd_level: u8,
    /// The version of zstd's library that packs like that, as 10507; 0 for none.
    pub zstd_version: u32,
}

/// One frame, as the directory has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What it holds.
    pub kind: FrameKind,
    /// Its bytes in the container.
    pub length: u64,
}

/// What was read of a directory before a frame.
#[derive(Default)]
struct Before {
    layers: Vec<Parts>,
    /// Whether there was a map: parts stand before it, notes behind.
    mapped: bool,
    /// Whether the header says that parts have notes.
    noted: bool,
}

/// Reads the directory of frames that make a new image of `length` bytes; `noted` where the header says that parts have notes.
///
/// # Errors
/// [`ContainerError`].
pub(super) fn read(
    mut bytes: &[u8],
    length: u64,
    noted: bool,
) -> Result<(Vec<Parts>, Vec<Frame>), ContainerError> {
    // Counted first: all of their memory is taken at once.
    let frames = count(bytes, noted)?;
    let mut read: Vec<Frame> = Vec::with_capacity(frames);
    let mut before = Before { noted, ..Before::default() };
    let mut made = 0_u64;
    for number in 1..=frames {
        let frame = Frame::read(&mut bytes, &mut before)?;
        let (layers, mapped) = (&before.layers, before.mapped);
        match &frame.kind {
            FrameKind::Parts if layers.len() > LAYERS || layers.len() != number => {
                return Err(ContainerError::Parts);
            }
            FrameKind::Parts | FrameKind::Map | FrameKind::Notes => {}
            FrameKind::Data(_) | FrameKind::Stored(_) | FrameKind::Mark(_) if !mapped => {
                return Err(ContainerError::Frame);
            }
            FrameKind::Data(makes) | FrameKind::Stored(makes) => made += makes,
            FrameKind::Mark(_) => {}
        }
        read.push(frame);
    }
    let Before { layers, mapped, .. } = before;
    if noted != layers.iter().any(Parts::has_notes) {
        return Err(ContainerError::Parts);
    }
    let whole = layers.last().map_or(length, |parts| parts.new);
    let adds_up = bytes.is_empty() && made == whole && mapped;
    if adds_up { Ok((layers, read)) } else { Err(ContainerError::Directory) }
}

/// How many frames there are.
fn count(mut bytes: &[u8], noted: bool) -> Result<usize, ContainerError> {
    let (mut before, mut frames) = (Before { noted, ..Before::default() }, 0);
    while !bytes.is_empty() {
        Frame::read(&mut bytes, &mut before)?;
        frames += 1;
        if before.layers.len() > LAYERS {
            return Err(ContainerError::Parts);
        }
        if frames > FRAMES as usize {
            return Err(ContainerError::Frames);
        }
    }
    if frames == 0 { Err(ContainerError::Frames) } else { Ok(frames) }
}

/// Takes what stands before the frames: the slot.
///
/// # Errors
/// [`ContainerError`]
pub(super) fn read_slot(bytes: &mut &[u8]) -> Result<InPlace, ContainerError> {
    let sector_bits = read_varint(bytes).ok_or(ContainerError::Directory)?;
    let sectors = read_varint(bytes).ok_or(ContainerError::Directory)?;
    let sectors = u32::try_from(sectors).map_err(|_| ContainerError::InPlace)?;
    // Checked with both images' lengths; a shift past what a number holds is no sector.
    if sector_bits > 20 {
        return Err(ContainerError::InPlace);
    }
    Ok(InPlace { sector_bits: sector_bits as u8, sectors })
}

/// Adds a header's directory.
pub(super) fn write(header: &Header, directory: &mut Vec<u8>) {
    let (mut told, noted) = (header.layers.iter(), header.has_notes());
    for Frame { kind, length } in &header.frames {
        let (code, mut values) = match *kind {
            FrameKind::Data(makes) => (DATA, vec![makes]),
            FrameKind::Stored(_) => (MARK, Vec::new()),
            FrameKind::Map => (MAP, Vec::new()),
            FrameKind::Parts => (PARTS_OF, told.next().map(|parts| parts.values(noted)).unwrap_or_default()),
            FrameKind::Notes => (PARTS_OF, Vec::new()),
            FrameKind::Mark(written) => (MARK, written.to_vec()),
        };
        if matches!(kind, FrameKind::Mark(_)) {
            values.truncate(header.layers.len());
        }
        write_varint(directory, length << 2 | code);
        values.into_iter().for_each(|value| write_varint(directory, value));
    }
}

impl Frame {
    fn read(bytes: &mut &[u8], before: &mut Before) -> Result<Self, ContainerError> {
        let Before { layers, mapped, noted } = before;
        let mut next = || read_varint(bytes).ok_or(ContainerError::Directory);
        let word = next()?;
        let length = word >> 2;
        let kind = match word & 3 {
            MAP => {
                *mapped = true;
                FrameKind::Map
            }
            DATA => FrameKind::Data(next()?),
            PARTS_OF if !*mapped => {
                let parts = Parts::read(&mut next, *noted)?;
                if parts.same && !layers.is_empty() {
                    return Err(ContainerError::Parts);
                }
                layers.push(parts);
                FrameKind::Parts
            }
            PARTS_OF if *noted => FrameKind::Notes,
            PARTS_OF => return Err(ContainerError::Parts),
            MARK if length > 0 => FrameKind::Stored(length),
            _ => {
                let mut written = [0; LAYERS];
                for written in written.iter_mut().take(layers.len()) {
                    *written = next()?;
                }
                FrameKind::Mark(written)
            }
        };
        let bounded = match kind {
            FrameKind::Map | FrameKind::Parts => true,
            FrameKind::Notes => length > 0,
            FrameKind::Data(makes) | FrameKind::Stored(makes) => (1..=FRAME_OUTPUT).contains(&makes),
            FrameKind::Mark(_) => !layers.is_empty(),
        };
        if length <= FRAME_LENGTH && bounded { Ok(Self { kind, length }) } else { Err(ContainerError::Frame) }
    }
}

const DATA: u64 = 0;
const MAP: u64 = 1;
/// Notes, behind a map.
const PARTS_OF: u64 = 2;
/// A stored frame, where it has bytes.
const MARK: u64 = 3;

/// Of what parts are packed with: some are in two pieces.
const CUT: u8 = 128;

impl Parts {
    /// Whether there is something to say of them that older readers don't know.
    pub(super) fn has_notes(&self) -> bool {
        self.notes > 0 || self.same
    }

    fn values(&self, noted: bool) -> Vec<u64> {
        let mut values = Vec::with_capacity(9);
        values.extend([self.old_parts, self.new_parts].map(u64::from));
        values.extend([self.old, self.new]);
        values.extend([self.old_packed_most, self.old_most, self.new_most].map(u64::from));
        let cut = if self.held > 0 { CUT } else { 0 };
        values.push(u64::from(cut | self.zstd_level << 1 | u8::from(self.deflate)));
        values.extend((self.held > 0).then_some(u64::from(self.held)));
        if self.zstd_level > 0 {
            values.push(self.zstd_version.into());
        }
        values.extend(noted.then_some(u64::from(self.notes) << 1 | u64::from(self.same)));
        values
    }

    fn read(
        next: &mut dyn FnMut() -> Result<u64, ContainerError>,
        noted: bool,
    ) -> Result<Self, ContainerError> {
        let mut small = |most: u32| match u32::try_from(next()?) {
            Ok(value) if value <= most => Ok(value),
            _ => Err(ContainerError::Parts),
        };
        let (old_parts, new_parts) = (small(PARTS)?, small(PARTS)?);
        let (old, new) = (next()?, next()?);
        let mut small = |most: u32| match u32::try_from(next()?) {
            Ok(value) if value <= most => Ok(value),
            _ => Err(ContainerError::Parts),
        };
        let (old_packed_most, old_most) = (small(PART_LENGTH)?, small(PART_LENGTH)?);
        let new_most = small(PART_LENGTH)?;
        let word = small(255)? as u8;
        let held = if word & CUT != 0 { small(HELD_LENGTH)? } else { 0 };
        if (word & CUT != 0 && held == 0) || word & 64 != 0 {
            return Err(ContainerError::Parts);
        }
        let zstd_level = (word & !CUT) >> 1;
        let zstd_version = if zstd_level > 0 { small(u32::MAX)? } else { 0 };
        let more = if noted { small(NOTES_LENGTH << 1 | 1)? } else { 0 };
        let (notes, same) = (more >> 1, more & 1 == 1);
        if notes > 0 && zstd_level == 0 {
            return Err(ContainerError::Parts);
        }
        if old > IMAGE_LENGTH || !(1..=IMAGE_LENGTH).contains(&new) {
            return Err(ContainerError::Lengths);
        }
        let deflate = word & 1 == 1;
        Ok(Self {
            old_parts,
            new_parts,
            old,
            new,
            old_packed_most,
            old_most,
            new_most,
            notes,
            same,
            held,
            deflate,
            zstd_level,
            zstd_version,
        })
    }
}

/// Takes a varint of at most 6 bytes (42 bits).
pub(super) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..42).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
