//! How a zstd frame is packed: as the library linked here does it, or as another version did, with a note of what that one
//! chose otherwise.
//!
//! Decides which level it was, and whether a note is worth it. Proved with the code that devices run.

use perennial_device_core::delta::packing::codec::Told;
use perennial_device_core::delta::packing::method::{Method, Parser, ZSTD_LEVELS};
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

/// A note of so many bytes tells where blocks end, and hardly anything else: no other parser's is shorter.
const SHORT: usize = 64;

pub(super) struct Teller {
    context: Option<Context>,
    told: Told,
    telling: Telling,
    /// Theirs, and what is told of it.
    parses: [Parse; 2],
    packed: Vec<u8>,
    /// How the last frame was packed that came back.
    last: Option<Method>,
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
            last: None,
            wrong: 0,
        }
    }
}

impl Teller {
    /// How a frame is packed, and its note; `None` where it doesn't come back.
    pub(super) fn tell(&mut self, content: &[u8], packed: &[u8]) -> Option<(Method, Vec<u8>)> {
        let found = self.as_before(content, packed).or_else(|| self.search(content, packed));
        self.wrong = if found.is_some() { 0 } else { self.wrong + 1 };
        self.last = found.as_ref().map(|(method, _)| *method).or(self.last);
        found
    }

    /// At the last level, by the last parser first.
    fn as_before(&mut self, content: &[u8], packed: &[u8]) -> Option<(Method, Vec<u8>)> {
        match self.last? {
            Method::Zstd(level) => self.at(level, Parser::Linked, content, packed),
            Method::ZstdTold(parser, level) => self.at(level, parser, content, packed),
            _ => None,
        }
    }

    /// At every level.
    fn search(&mut self, content: &[u8], packed: &[u8]) -> Option<(Method, Vec<u8>)> {
        if self.last.is_some() && self.wrong >= PATIENCE {
            return None;
        }
        let others = (1..=ZSTD_LEVELS).filter(|level| !LIKELY.contains(level));
        let levels: Vec<u8> = LIKELY.into_iter().chain(others).collect();
        if let Some(level) = levels.iter().find(|level| self.is_ours(**level, content, packed)) {
            return Some((Method::Zstd(*level), Vec::new()));
        }
        let noted = levels.iter().take(NOTED);
        let noted = noted.filter_map(|level| self.at(*level, Parser::Earlier, content, packed));
        noted.min_by_key(|(_, note)| note.len())
    }

    /// At this level by this parser, and by the other one too where that leaves much to be told: the shorter note of both.
    fn at(&mut self, level: u8, first: Parser, content: &[u8], packed: &[u8]) -> Option<(Method, Vec<u8>)> {
        let found = self.with(first, level, content, packed);
        if found.as_ref().is_some_and(|(_, note)| note.len() <= SHORT) {
            return found;
        }
        let second = if first == Parser::Linked { Parser::Earlier } else { Parser::Linked };
        let other = self.with(second, level, content, packed);
        found.into_iter().chain(other).min_by_key(|(_, note)| note.len())
    }

    fn is_ours(&mut self, level: u8, content: &[u8], packed: &[u8]) -> bool {
        let own = self.context.as_mut().and_then(|context| context.pack(level, content, &mut self.packed));
        own.is_some_and(|own| &self.packed[..own] == packed)
    }

    /// By what it has otherwise than this parser's: nothing, where it is the frame that the version linked here makes.
    pub(super) fn with(
        &mut self,
        parser: Parser,
        level: u8,
        content: &[u8],
        packed: &[u8],
    ) -> Option<(Method, Vec<u8>)> {
        let context = self.context.as_mut()?;
        let (expected, own) = self.told.expect(parser, context, level, content, &mut self.packed).ok()?;
        if &self.packed[..own] == packed {
            return Some((Method::Zstd(level), Vec::new()));
        }
        let length = u32::try_from(content.len()).ok()?;
        let [theirs, told] = &mut self.parses;
        theirs.read(packed, length)?;
        let mut encoder = Encoder::default();
        self.telling.code(&mut encoder, theirs, expected, length, told).ok()?;
        let note = encoder.finish();
        if note.is_empty() || note.len() > packed.len() - packed.len() / WORTH {
            return None;
        }
        let length = self.told.pack(context, level, content, &note, &mut self.packed).ok()?;
        (&self.packed[..length] == packed).then_some((Method::ZstdTold(parser, level), note))
    }
}
