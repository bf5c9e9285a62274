//! What a level of zstd searches (`clevels.h`; the same from 1.5.2 to 1.5.7), for those that parse optimally.

use self::Effort::{Fine, Rough, Twice};

/// How thoroughly a content is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// log2 of the heads of trees.
    pub heads: u32,
    /// log2 of the nodes that are compared.
    pub compared: u32,
    /// Bytes of the shortest match that is looked for, 3 or 4.
    pub least: u32,
    /// A match that is longer is taken at once.
    pub enough: u32,
    pub effort: Effort,
}

/// What zstd calls a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// btopt: prices are whole bits.
    Rough,
    /// btultra: prices are fractions of bits.
    Fine,
    /// btultra2: likewise, and the content is parsed twice, the first time for its statistics.
    Twice,
}

/// From level 11 on, for contents of up to 16 KiB: heads, compared, least, enough.
const SMALL: [(u32, u32, u32, u32, Effort); 12] = [
    (14, 3, 4, 12, Rough),
    (14, 4, 3, 24, Rough),
    (14, 5, 3, 32, Fine),
    (15, 6, 3, 64, Fine),
    (15, 7, 3, 256, Fine),
    (15, 5, 3, 48, Twice),
    (15, 6, 3, 128, Twice),
    (15, 7, 3, 256, Twice),
    (15, 8, 3, 256, Twice),
    (15, 8, 3, 512, Twice),
    (15, 9, 3, 512, Twice),
    (15, 10, 3, 999, Twice),
];

/// From level 13 on, for contents of up to 128 KiB.
const LARGE: [(u32, u32, u32, u32, Effort); 10] = [
    (17, 3, 4, 12, Rough),
    (17, 4, 3, 32, Rough),
    (17, 6, 3, 256, Rough),
    (17, 6, 3, 128, Fine),
    (17, 8, 3, 256, Fine),
    (17, 10, 3, 512, Fine),
    (17, 5, 3, 256, Twice),
    (17, 7, 3, 512, Twice),
    (17, 9, 3, 512, Twice),
    (17, 11, 3, 999, Twice),
];

impl Level {
    pub(super) const NONE: Self = Self { heads: 0, compared: 0, least: 3, enough: 0, effort: Rough };

    /// That of a content of so many bytes; `None` where it isn't parsed optimally, or the content is longer than a block.
    pub(super) fn of(level: u8, content: usize) -> Option<Self> {
        let (first, rows) = match content {
            ..0x4001 => (11, SMALL.as_slice()),
            0x4001..=super::MOST => (13, LARGE.as_slice()),
            _ => return None,
        };
        let (heads, compared, least, enough, effort) = *rows.get(usize::from(level.checked_sub(first)?))?;
        // Tables shrink to the content.
        let heads = heads.min(window(content) + 1);
        Some(Self { heads, compared, least, enough, effort })
    }
}

/// log2 of the window of a content, 64 bytes at least.
pub(super) fn window(content: usize) -> u32 {
    content.max(64).next_power_of_two().trailing_zeros()
}
