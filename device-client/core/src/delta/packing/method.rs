//! How a part is packed.
//!
//! Decides that the numbers of a method are such as exist. The numbers are part of the format: append only.

use super::deflate::{Flavour, Parameters};
use crate::delta::DeltaError;
use crate::delta::coder::Coder;

/// The highest level of zstd.
pub const ZSTD_LEVELS: u8 = 22;

/// What stands around a deflate stream, and is made with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Wrapping {
    /// Nothing.
    Raw = 0,
    /// zlib's two bytes before it, and the Adler-32 behind it (RFC 1950).
    Zlib = 1,
    /// CRC-32 and length behind it (RFC 1952); gzip's header is no part of the part.
    Gzip = 2,
}

/// By whose parse another one is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parser {
    /// That of [`Method::Zstd`].
    Linked,
    /// That of zstd 1.5.4 and 1.5.5: [`super::parse::optimal`].
    Earlier,
}

/// How a part is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Deflate.
    Deflate(Wrapping, Parameters),
    /// A zstd frame as `ZSTD_compressCCtx` writes it at this level, 1 to 22: one call, the content's length in the header, no
    /// checksum.
    Zstd(u8),
    /// A zstd frame as another version wrote it: with the entropy coding of this level, and a parse that is told by what it has
    /// otherwise than that of this parser.
    ZstdTold(Parser, u8),
    /// As a part of the old image is, which is named: unpacked for what it holds alone.
    Same,
}

impl Method {
    /// Codes a method.
    ///
    /// # Errors
    /// [`DeltaError::Parts`] for one that doesn't exist.
    pub fn code<C: Coder>(coder: &mut C, known: Option<Self>) -> Result<Self, DeltaError> {
        let [kind, level, window, memory] = known.map_or([0; 4], Self::numbers);
        let kind = coder.plain(kind, 4) as u8;
        let level = coder.plain(level, 5) as u8;
        let method = match kind {
            ZSTD | ZSTD_TOLD | ZSTD_EARLIER => {
                let method = match kind {
                    ZSTD => Self::Zstd(level),
                    ZSTD_TOLD => Self::ZstdTold(Parser::Linked, level),
                    _ => Self::ZstdTold(Parser::Earlier, level),
                };
                Some(method).filter(|_| (1..=ZSTD_LEVELS).contains(&level))
            }
            SAME => Some(Self::Same).filter(|_| level == 0),
            _ => {
                let flavour = if kind & 4 == 0 { Flavour::Zlib } else { Flavour::Gzip };
                let (window_bits, memory_level) =
                    (coder.plain(window, 4) as u8, coder.plain(memory, 4) as u8);
                let parameters = Parameters { flavour, level, window_bits, memory_level };
                let wrapping = match kind & 3 {
                    0 => Some(Wrapping::Raw),
                    1 => Some(Wrapping::Zlib),
                    2 => Some(Wrapping::Gzip),
                    _ => None,
                };
                let sound = kind < ZSTD && parameters.are_sound();
                wrapping.filter(|_| sound).map(|wrapping| Self::Deflate(wrapping, parameters))
            }
        };
        method.ok_or(DeltaError::Parts)
    }

    fn numbers(self) -> [u64; 4] {
        match self {
            Self::Deflate(wrapping, p) => {
                let kind = wrapping as u64 | (p.flavour as u64) << 2;
                [kind, u64::from(p.level), u64::from(p.window_bits), u64::from(p.memory_level)]
            }
            Self::Zstd(level) => [u64::from(ZSTD), u64::from(level), 0, 0],
            Self::ZstdTold(Parser::Linked, level) => [u64::from(ZSTD_TOLD), u64::from(level), 0, 0],
            Self::ZstdTold(Parser::Earlier, level) => [u64::from(ZSTD_EARLIER), u64::from(level), 0, 0],
            Self::Same => [u64::from(SAME), 0, 0, 0],
        }
    }

    /// Whether a part is gathered whole before it is packed.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Zstd(_) | Self::ZstdTold(..))
    }

    /// Whether each part has a note of its own.
    pub fn has_notes(&self) -> bool {
        matches!(self, Self::ZstdTold(..))
    }
}

const ZSTD: u8 = 8;
const ZSTD_TOLD: u8 = 9;
const SAME: u8 = 10;
const ZSTD_EARLIER: u8 = 11;
