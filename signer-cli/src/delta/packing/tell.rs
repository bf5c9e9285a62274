//! How a zstd frame is packed: as the library linked here does it, or as another version did, with a note of what that one
//! chose otherwise.
//!
//! Decides which level it was, and whether a note is worth it. Proved with the code that devices run.

use perennial_device_core::delta::packing::codec::Told;
use perennial_device_core::delta::packing::method::{Method, ZSTD_LEVELS};
use perennial_device_core::delta::packing::parse::Parse;
use perennial_device_core::delta::packing::parse::told::Telling;
use perennial_zstd_sequences::Context;
use zstd::zstd_safe::compress_bound;

use super::find::MOST_ZSTD;
use crate::delta::coder::Encoder;

/// A note that saves less than one byte of so many of the part isn't worth the time that it takes a device. One part that stays
/// packed in the midst of a program costs more: the program is no longer recognised.
const WORTH: usize = 4;
/// Frames in a row that no level makes, with a note or without, and only the last level that did is tried.
const PATIENCE: usize = 6;
/// Levels in the order of how often images have them.
const LIKELY: [u8; 6] = [15, 3, 19, 22, 12, 9];
/// Levels of which notes are tried: where none makes a frame as it is, the shortest note is next to it.
const NOTED: usize = 4;

pub(super) struct Teller {
    context: Option<Context>,
    told: Told,
    telling: Telling,
    /// Theirs, ours, and what is told of theirs.
    parses: [Parse; 3],
    packed: Vec<u8>,
    /// The level of the last frame that came back.
    level: Option<u8>,
    wrong: usize,
}

impl Default for Teller {
    fn default() -> Self {
        let most = MOST_ZSTD as usize;
        Self {
            context: Context::new(),
            told: Told::new(most),
            telling: Telling::default(),
            parses: std::array::from_fn(|_| Parse::with_room(most)),
            packed: vec![0; compress_bound(most)],
            level: None,
            wrong: 0,
        }
    }
}

impl Teller {
    /// How a frame is packed, and its note; `None` where it doesn't come back.
    pub(super) fn tell(&mut self, content: &[u8], packed: &[u8]) -> Option<(Method, Vec<u8>)> {
        if let Some(found) = self.level.and_then(|level| self.with(level, content, packed)) {
            return Some(found);
        }
        let tried = if self.level.is_some() && self.wrong >= PATIENCE { 0 } else { usize::MAX };
        let others = (1..=ZSTD_LEVELS).filter(|level| !LIKELY.contains(level));
        let levels: Vec<u8> = LIKELY.into_iter().chain(others).take(tried).collect();
        let exact = levels.iter().find(|level| self.is_ours(**level, content, packed));
        let found = exact.map(|level| (Method::Zstd(*level), Vec::new())).or_else(|| {
            let noted = levels.iter().take(NOTED);
            let noted = noted.filter_map(|level| self.with(*level, content, packed));
            noted.min_by_key(|(_, note)| note.len())
        });
        self.wrong = if found.is_some() { 0 } else { self.wrong + 1 };
        if let Some((Method::Zstd(level) | Method::ZstdTold(level), _)) = &found {
            self.level = Some(*level);
        }
        found
    }

    fn pack(&mut self, level: u8, content: &[u8]) -> Option<usize> {
        self.context.as_mut()?.pack(level, content, &mut self.packed)
    }

    fn is_ours(&mut self, level: u8, content: &[u8], packed: &[u8]) -> bool {
        self.pack(level, content).is_some_and(|length| &self.packed[..length] == packed)
    }

    fn with(&mut self, level: u8, content: &[u8], packed: &[u8]) -> Option<(Method, Vec<u8>)> {
        let own = self.pack(level, content)?;
        if &self.packed[..own] == packed {
            return Some((Method::Zstd(level), Vec::new()));
        }
        let length = u32::try_from(content.len()).ok()?;
        let [theirs, ours, told] = &mut self.parses;
        theirs.read(packed, length)?;
        ours.read(&self.packed[..own], length)?;
        let mut encoder = Encoder::default();
        self.telling.code(&mut encoder, theirs, ours, length, told).ok()?;
        let note = encoder.finish();
        if note.is_empty() || note.len() > packed.len() - packed.len() / WORTH {
            return None;
        }
        let length =
            self.told.pack(self.context.as_mut()?, level, content, &note, own, &mut self.packed).ok()?;
        (&self.packed[..length] == packed).then_some((Method::ZstdTold(level), note))
    }
}
