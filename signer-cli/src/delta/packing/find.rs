//! Where something packed stands: by its first bytes, and by what comes out.
//!
//! Decides that a gzip member, a zlib stream or a zstd frame is one: it ends by itself, its sums are right, and it holds
//! neither too little nor too much. Knows no file system: their blocks begin like everything else.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use perennial_device_core::delta::packing::codec::{Unpacker, adler32, crc32};
use perennial_device_core::delta::packing::deflate::{Flavour, Parameters};
use perennial_device_core::delta::packing::method::{Method, Wrapping};
use perennial_schemas::delta::{PART_LENGTH, Parts};
use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

use super::erofs::Cut;
use crate::delta::progress::{Progress, STRIDE};

/// Less isn't worth its place in the list.
const LEAST: usize = 48;
/// The longest content of a part: a device keeps two of the old image's unpacked.
const MOST: usize = 2 << 20;
/// The longest content of a zstd frame: a device gathers it, and its packer's tables grow with it.
pub(super) const MOST_ZSTD: u64 = 256 << 10;

/// What packed something, by its looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A gzip member, from behind its header; the header's hint of the level.
    Gzip { hint: u8 },
    /// A zlib stream; its header's two bytes.
    Zlib { window_bits: u8, hint: u8 },
    /// A zstd frame.
    Zstd,
}

impl Kind {
    /// A method that unpacks it.
    pub(super) fn any(self) -> Method {
        let with = |wrapping, window_bits| {
            let flavour = Flavour::Zlib;
            Method::Deflate(wrapping, Parameters { flavour, level: 9, window_bits, memory_level: 8 })
        };
        match self {
            Self::Gzip { .. } => with(Wrapping::Gzip, 15),
            Self::Zlib { .. } => with(Wrapping::Zlib, 15),
            Self::Zstd => Method::Zstd(1),
        }
    }
}

/// Something packed.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where it begins.
    pub start: usize,
    /// Its bytes there.
    pub packed: usize,
    /// Where the rest of its bytes stands, of one in two pieces.
    pub rest: Range<usize>,
    /// Bytes of its content.
    pub length: usize,
    pub kind: Kind,
    /// A digest of its packed bytes, to find the same elsewhere.
    pub digest: u64,
    /// Whether the other image doesn't have it as it is.
    pub changed: bool,
}

impl Found {
    /// All of its bytes.
    pub(super) fn bytes<'i>(&self, image: &'i [u8]) -> Cow<'i, [u8]> {
        joined(image, self.start..self.start + self.packed, &self.rest)
    }
}

/// Bytes of an image, and those that follow them elsewhere.
pub(super) fn joined<'i>(image: &'i [u8], front: Range<usize>, rest: &Range<usize>) -> Cow<'i, [u8]> {
    match rest.is_empty() {
        true => Cow::Borrowed(&image[front]),
        false => Cow::Owned([&image[front], &image[rest.clone()]].concat()),
    }
}

/// Everything packed that begins in these stretches of an image, whose bytes are added to what `progress` counts.
pub(super) fn find(image: &[u8], stretches: &[Range<usize>], progress: &Progress<'_>) -> Vec<Found> {
    let mut opener = Opener::default();
    let mut found = Vec::new();
    let mut done = 0;
    for stretch in stretches {
        let (mut at, mut told) = (stretch.start.max(done), stretch.start);
        while at < stretch.end {
            if at >= told + STRIDE {
                progress.more((at - told) as u64);
                told = at;
            }
            let Some(next) = memchr::memchr3(0x1f, 0x78, 0x28, &image[at..stretch.end]) else { break };
            at += next;
            match opener.at(image, at) {
                Some(part) => {
                    at = part.start + part.packed;
                    found.push(part);
                }
                None => at += 1,
            }
        }
        progress.more(stretch.end.saturating_sub(told) as u64);
        done = at;
    }
    found
}

/// Opens what is packed.
pub(super) struct Opener {
    unpacker: Unpacker,
    content: Vec<u8>,
}

impl Default for Opener {
    fn default() -> Self {
        let all = Parts { deflate: true, zstd_level: 1, ..Parts::default() };
        Self { unpacker: Unpacker::new(&all), content: vec![0; MOST] }
    }
}

impl Opener {
    /// What is packed here, if something is.
    fn at(&mut self, image: &[u8], at: usize) -> Option<Found> {
        let bytes = &image[at..];
        let (before, packed, length, kind) = match bytes {
            [0x1f, 0x8b, 8, ..] => {
                let before = gzip_header(bytes)?;
                let (packed, length) = self.deflated(&bytes[before..])?;
                // A member that is cut off in its last block ends somewhere in what follows, as likely as not.
                let sum = bytes.get(before + packed..)?.first_chunk::<4>()?;
                if u32::from_le_bytes(*sum) != crc32(&self.content[..length]) {
                    return None;
                }
                (before, packed + 8, length, Kind::Gzip { hint: bytes[8] })
            }
            [0x78, flags, ..] if (0x7800 | u32::from(*flags)) % 31 == 0 && flags & 0x20 == 0 => {
                let (packed, length) = self.deflated(&bytes[2..])?;
                let sum = bytes.get(2 + packed..)?.first_chunk::<4>()?;
                if u32::from_be_bytes(*sum) != adler32(&self.content[..length]) {
                    return None;
                }
                (0, 2 + packed + 4, length, Kind::Zlib { window_bits: 15, hint: flags >> 6 })
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let near = &bytes[..bytes.len().min(MOST_ZSTD as usize * 2)];
                let length = get_frame_content_size(near).ok()??;
                let packed = find_frame_compressed_size(near).ok()?;
                if length > MOST_ZSTD {
                    return None;
                }
                let length = length as usize;
                if !self.unpacker.zstd(&near[..packed], &mut self.content[..length]) {
                    return None;
                }
                (0, packed, length, Kind::Zstd)
            }
            _ => return None,
        };
        let whole = bytes.get(before..before + packed)?;
        if packed < LEAST || length < LEAST || packed > PART_LENGTH as usize {
            return None;
        }
        let mut digest = DefaultHasher::new();
        digest.write(whole);
        let (start, rest) = (at + before, 0..0);
        Some(Found { start, packed, rest, length, kind, digest: digest.finish(), changed: true })
    }

    /// What this file in two pieces is, if it is packed from its beginning to its end.
    pub(super) fn of_cut(&mut self, image: &[u8], cut: &Cut) -> Option<Found> {
        let file = joined(image, cut.front.clone(), &cut.rest);
        let found = self.at(&file, 0)?;
        let (front, end) = (cut.front.len(), found.start + found.packed);
        let is_all = end == file.len() && found.start < front;
        let (start, packed) = (cut.front.start + found.start, front - found.start);
        is_all.then_some(Found { start, packed, rest: cut.rest.clone(), ..found })
    }

    fn deflated(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        let near = &bytes[..bytes.len().min(PART_LENGTH as usize)];
        self.unpacker.inflate(near, &mut self.content).ok()
    }

    /// The content of what was found.
    pub(super) fn content(&mut self, kind: Kind, packed: &[u8], length: usize) -> Option<&[u8]> {
        let content = &mut self.content[..length];
        self.unpacker.unpack(&kind.any(), packed, content).ok()?;
        Some(content)
    }
}

/// Bytes of a gzip header (RFC 1952, 2.3), at most a KiB.
fn gzip_header(bytes: &[u8]) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(1024)];
    let flags = *bytes.get(3)?;
    if flags & 0xe0 != 0 {
        return None;
    }
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*bytes.get(10)?, *bytes.get(11)?]));
    }
    for text in [8, 16] {
        if flags & text != 0 {
            at += memchr::memchr(0, bytes.get(at..)?)? + 1;
        }
    }
    at += if flags & 2 != 0 { 2 } else { 0 };
    (at < bytes.len()).then_some(at)
}
