//! Both ways of each method.
//!
//! Decides whether this build can do what a delta asks for. zstd's library is linked with the feature `zstd`: what it writes
//! changes with its version, so a delta names the one that it was proved with.

mod sums;
#[cfg(feature = "zstd")]
mod zstd;
#[cfg(not(feature = "zstd"))]
#[path = "codec/none.rs"]
mod zstd;

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use perennial_schemas::delta::Parts;

use self::sums::{Adler32, Crc32};
use super::deflate::{Deflater, Parameters};
use super::method::{Method, Wrapping};
use crate::delta::DeltaError;
use crate::delta::walk::Output;

#[cfg(feature = "zstd")]
pub use self::zstd::Told;
pub use self::zstd::VERSION as ZSTD_VERSION;

/// Whether this build packs as `parts` asks for.
///
/// # Errors
/// [`DeltaError::Method`].
pub(super) fn check(parts: &Parts) -> Result<(), DeltaError> {
    match parts.zstd_level {
        0 => Ok(()),
        _ if parts.zstd_version == ZSTD_VERSION => Ok(()),
        _ => Err(DeltaError::Method { version: parts.zstd_version, own: ZSTD_VERSION }),
    }
}

/// Unpacks whole parts.
#[derive(Debug)]
pub struct Unpacker {
    inflate: Option<Box<Inflate>>,
    zstd: Option<zstd::Unpacker>,
}

struct Inflate(DecompressorOxide);

impl core::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Inflate")
    }
}

impl Unpacker {
    /// For all that `parts` declares.
    pub fn new(parts: &Parts) -> Self {
        let inflate = parts.deflate.then(|| Box::new(Inflate(DecompressorOxide::new())));
        Self { inflate, zstd: (parts.zstd_level > 0).then(zstd::Unpacker::new) }
    }

    /// Bytes that it takes.
    pub fn memory(parts: &Parts) -> u64 {
        let inflate = if parts.deflate { size_of::<DecompressorOxide>() as u64 } else { 0 };
        inflate + if parts.zstd_level > 0 { zstd::UNPACKING } else { 0 }
    }

    /// Fills `into` with what a part holds.
    ///
    /// # Errors
    /// [`DeltaError::Part`] where it doesn't hold as much, or isn't packed like that.
    pub fn unpack(&mut self, method: &Method, packed: &[u8], into: &mut [u8]) -> Result<(), DeltaError> {
        match method {
            Method::Deflate(wrapping, _) => {
                let (before, behind) = match wrapping {
                    Wrapping::Raw => (0, 0),
                    Wrapping::Zlib => (2, 4),
                    Wrapping::Gzip => (0, 8),
                };
                let end = packed.len().checked_sub(behind).filter(|end| *end >= before);
                let stream = end.map(|end| &packed[before..end]).ok_or(DeltaError::Part)?;
                match self.inflate(stream, into)? {
                    (read, made) if read == stream.len() && made == into.len() => Ok(()),
                    _ => Err(DeltaError::Part),
                }
            }
            Method::Same => Err(DeltaError::Part),
            Method::Zstd(_) | Method::ZstdTold(..) => self
                .zstd
                .as_mut()
                .is_some_and(|zstd| zstd.unpack(packed, into))
                .then_some(())
                .ok_or(DeltaError::Part),
        }
    }

    /// Unpacks a deflate stream that ends by itself: how much of the input it took, and how much it made.
    ///
    /// # Errors
    /// [`DeltaError::Part`] where it doesn't end, or `into` is too short.
    pub fn inflate(&mut self, packed: &[u8], into: &mut [u8]) -> Result<(usize, usize), DeltaError> {
        let inflate = self.inflate.as_mut().ok_or(DeltaError::Part)?;
        inflate.0.init();
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        match decompress(&mut inflate.0, packed, into, 0, flags) {
            (TINFLStatus::Done, read, made) => Ok((read, made)),
            _ => Err(DeltaError::Part),
        }
    }

    /// Unpacks a zstd frame; whether it holds as much as `into` has room for.
    pub fn zstd(&mut self, packed: &[u8], into: &mut [u8]) -> bool {
        self.zstd.as_mut().is_some_and(|zstd| zstd.unpack(packed, into))
    }
}

/// Parts that a [`Packer`] has packed before, for whoever proves the delta that he has just made: each would be packed once more,
/// to the same bytes. A device has none.
pub trait PackedBefore: core::fmt::Debug + Send {
    /// What packing this content gave, by this method and note; nothing where it wasn't packed before.
    fn packed(&mut self, method: &Method, content: &[u8], note: &[u8]) -> Option<&[u8]>;
}

/// Packs one part after another.
#[derive(Debug)]
pub struct Packer {
    before: Option<Box<dyn PackedBefore>>,
    deflater: Option<Box<Deflater>>,
    crc: Crc32,
    adler: Adler32,
    length: u32,
    zstd: Option<zstd::Packer>,
    content: Vec<u8>,
}

impl Packer {
    /// For all that `parts` declares.
    pub fn new(parts: &Parts) -> Self {
        Self {
            before: None,
            deflater: parts.deflate.then(|| Box::new(Deflater::default())),
            crc: Crc32::default(),
            adler: Adler32::default(),
            length: 0,
            zstd: (parts.zstd_level > 0).then(|| zstd::Packer::new(parts.new_most as usize, parts.notes > 0)),
            content: Vec::with_capacity(parts.new_most as usize),
        }
    }

    /// Parts that are gathered whole are asked for there before they are packed.
    pub(super) fn recall(&mut self, before: Box<dyn PackedBefore>) {
        self.before = Some(before);
    }

    /// Bytes that it takes at most.
    pub fn memory(parts: &Parts) -> u64 {
        let deflate = if parts.deflate { Deflater::memory() as u64 } else { 0 };
        let most = u64::from(parts.new_most);
        most + deflate + if parts.zstd_level > 0 { zstd::packing(most, parts.notes > 0) } else { 0 }
    }

    /// At a part's beginning.
    ///
    /// # Errors
    /// What `out` says.
    pub fn begin(&mut self, method: &Method, out: Output<'_>) -> Result<(), DeltaError> {
        self.content.clear();
        (self.crc, self.adler, self.length) = (Crc32::default(), Adler32::default(), 0);
        let Method::Deflate(wrapping, parameters) = method else { return Ok(()) };
        self.deflater.as_mut().ok_or(DeltaError::Parts)?.begin(parameters);
        if *wrapping == Wrapping::Zlib { out(&zlib_header(parameters)) } else { Ok(()) }
    }

    /// More of the part's content.
    ///
    /// # Errors
    /// What `out` says.
    pub fn push(&mut self, method: &Method, bytes: &[u8], out: Output<'_>) -> Result<(), DeltaError> {
        match method {
            Method::Deflate(wrapping, _) => {
                match wrapping {
                    Wrapping::Raw => {}
                    Wrapping::Zlib => self.adler.add(bytes),
                    Wrapping::Gzip => self.crc.add(bytes),
                }
                self.length = self.length.wrapping_add(bytes.len() as u32);
                self.deflater.as_mut().ok_or(DeltaError::Parts)?.push(bytes, out)
            }
            Method::Same => Ok(()),
            Method::Zstd(_) | Method::ZstdTold(..) => {
                if self.content.len() + bytes.len() > self.content.capacity() {
                    return Err(DeltaError::Parts);
                }
                self.content.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The part's end; `note` says what the method doesn't, where it has notes.
    ///
    /// # Errors
    /// What `out` says.
    pub fn finish(&mut self, method: &Method, note: &[u8], out: Output<'_>) -> Result<(), DeltaError> {
        let before = self.before.as_mut().filter(|_| method.is_whole());
        if let Some(packed) = before.and_then(|before| before.packed(method, &self.content, note)) {
            return out(packed);
        }
        match method {
            Method::Deflate(wrapping, _) => {
                self.deflater.as_mut().ok_or(DeltaError::Parts)?.finish(out)?;
                match wrapping {
                    Wrapping::Raw => Ok(()),
                    Wrapping::Zlib => out(&self.adler.value().to_be_bytes()),
                    Wrapping::Gzip => {
                        out(&self.crc.value().to_le_bytes())?;
                        out(&self.length.to_le_bytes())
                    }
                }
            }
            // Whoever has the old image copies it.
            Method::Same => Ok(()),
            Method::Zstd(level) => {
                let zstd = self.zstd.as_mut().ok_or(DeltaError::Parts)?;
                out(zstd.pack(*level, &self.content).ok_or(DeltaError::Parts)?)
            }
            Method::ZstdTold(parser, level) => {
                let zstd = self.zstd.as_mut().ok_or(DeltaError::Parts)?;
                out(zstd.pack_told(*parser, *level, &self.content, note)?)
            }
        }
    }
}

/// zlib's two bytes: the window, and what level it was, roughly.
pub fn zlib_header(parameters: &Parameters) -> [u8; 2] {
    let window = u16::from(parameters.window_bits.saturating_sub(8)) << 12 | 0x0800;
    let level = match parameters.level {
        0..2 => 0,
        2..6 => 1,
        6 => 2,
        _ => 3,
    };
    let header = window | level << 6;
    (header + (31 - header % 31)).to_be_bytes()
}

/// The sum behind a zlib stream of this content.
pub fn adler32(content: &[u8]) -> u32 {
    let mut sum = Adler32::default();
    sum.add(content);
    sum.value()
}

/// The sum behind a gzip member of this content.
pub fn crc32(content: &[u8]) -> u32 {
    let mut sum = Crc32::default();
    sum.add(content);
    sum.value()
}
