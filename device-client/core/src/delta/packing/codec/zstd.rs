//! zstd's library, as it is linked here.

use alloc::vec;
use alloc::vec::Vec;

use perennial_zstd_sequences::{Context, Sequence};
use zstd_safe::{DCtx, compress_bound};

use crate::delta::DeltaError;
use crate::delta::coder::Decoder;
use crate::delta::packing::method::Parser;
use crate::delta::packing::parse::optimal::Optimal;
use crate::delta::packing::parse::told::Telling;
use crate::delta::packing::parse::{ENDS, Parse, most_matches};

/// The version whose output this is: 10507 for 1.5.7.
pub const VERSION: u32 = zstd_safe::VERSION_NUMBER;

/// Bytes that unpacking takes beside both buffers.
pub(super) const UNPACKING: u64 = 160 * 1024;

/// Bytes that packing takes for a content of at most so many bytes, at any level: tables for twice as many places, sequences
/// and literals of a block, prices. Where parses are told, two of them and as many sequences.
pub(super) fn packing(most: u64, told: bool) -> u64 {
    let bits = most.next_power_of_two().trailing_zeros().max(17);
    let hashes = if bits > 17 { bits + 1 } else { bits };
    let one =
        (4 << (bits + 1)) + (4 << hashes) + (4 << 17) + 1_100_000 + compress_bound(most as usize) as u64;
    if told { one + Told::memory(most as usize) } else { one }
}

pub(super) struct Unpacker(DCtx<'static>);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(DCtx::create())
    }

    pub(super) fn unpack(&mut self, packed: &[u8], into: &mut [u8]) -> bool {
        let length = into.len();
        self.0.decompress(into, packed) == Ok(length)
    }
}

pub(super) struct Packer {
    context: Option<Context>,
    packed: Vec<u8>,
    told: Option<Told>,
}

impl Packer {
    pub(super) fn new(most: usize, told: bool) -> Self {
        let told = told.then(|| Told::new(most));
        Self { context: Context::new(), packed: vec![0; compress_bound(most)], told }
    }

    /// A frame of which `note` says what its parse has otherwise than that of `parser`.
    pub(super) fn pack_told(
        &mut self,
        parser: Parser,
        level: u8,
        content: &[u8],
        note: &[u8],
    ) -> Result<&[u8], DeltaError> {
        let (told, context) = (self.told.as_mut(), self.context.as_mut());
        let (told, context) = told.zip(context).ok_or(DeltaError::Parts)?;
        told.expect(parser, context, level, content, &mut self.packed)?;
        let length = told.pack(context, level, content, note, &mut self.packed)?;
        self.packed.get(..length).ok_or(DeltaError::Parts)
    }

    pub(super) fn pack(&mut self, level: u8, content: &[u8]) -> Option<&[u8]> {
        let length = self.context.as_mut()?.pack(level, content, &mut self.packed)?;
        self.packed.get(..length)
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        let context = self.context.as_ref().map_or(0, Context::size);
        (context + self.packed.len()) as u64 + self.told.as_ref().map_or(0, Told::size)
    }
}

/// What frames are packed with whose parse is told.
pub struct Told {
    telling: Telling,
    optimal: Optimal,
    /// What a parser here makes, and what the other one made.
    expected: Parse,
    parse: Parse,
    sequences: Vec<Sequence>,
}

impl Told {
    /// For contents of at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self {
            telling: Telling::default(),
            optimal: Optimal::default(),
            expected: Parse::with_room(most),
            parse: Parse::with_room(most),
            sequences: Vec::with_capacity(most_matches(most) + ENDS),
        }
    }

    fn memory(most: usize) -> u64 {
        let sequences = (most_matches(most) + ENDS) * size_of::<Sequence>();
        (2 * Parse::memory(most) + sequences + Optimal::MEMORY + Telling::MEMORY) as u64
    }

    /// What is told next, is told by this parser's parse; `packed` begins with the frame that the version linked here makes, where it
    /// is that one's: so many bytes, else none.
    ///
    /// # Errors
    /// [`DeltaError::Parts`] where there is no room; [`DeltaError::Part`] where the parser has no parse of it.
    pub fn expect(
        &mut self,
        parser: Parser,
        context: &mut Context,
        level: u8,
        content: &[u8],
        packed: &mut [u8],
    ) -> Result<(&Parse, usize), DeltaError> {
        let (own, parsed) = match parser {
            Parser::Linked => {
                let own = context.pack(level, content, packed).ok_or(DeltaError::Parts)?;
                let length = u32::try_from(content.len()).map_err(|_| DeltaError::Parts)?;
                (own, self.expected.read(packed.get(..own).unwrap_or_default(), length).is_some())
            }
            Parser::Earlier => (0, self.optimal.parse(level, content, &mut self.expected)),
        };
        if parsed { Ok((&self.expected, own)) } else { Err(DeltaError::Part) }
    }

    /// Writes the frame of which `note` says what it has otherwise than what is expected: how many bytes that has.
    ///
    /// # Errors
    /// [`DeltaError::Part`] where the note tells no parse of the content.
    pub fn pack(
        &mut self,
        context: &mut Context,
        level: u8,
        content: &[u8],
        note: &[u8],
        packed: &mut [u8],
    ) -> Result<usize, DeltaError> {
        let length = u32::try_from(content.len()).map_err(|_| DeltaError::Parts)?;
        let mut decoder = Decoder::new(note.iter());
        self.telling.code(&mut decoder, &Parse::default(), &self.expected, length, &mut self.parse)?;
        decoder.finish()?;
        self.write(context, level, content, packed)
    }

    /// The frame of this parse.
    fn write(
        &mut self,
        context: &mut Context,
        level: u8,
        content: &[u8],
        packed: &mut [u8],
    ) -> Result<usize, DeltaError> {
        self.sequences.clear();
        for (matches, start, end) in self.parse.blocks() {
            let mut at = start.at;
            for found in matches {
                self.sequences.push(Sequence::new(found.at - at, found.length, found.offset));
                at = found.end();
            }
            self.sequences.push(Sequence::end(end.at.saturating_sub(at)));
        }
        context.pack_by(level, &self.sequences, content, packed).ok_or(DeltaError::Part)
    }

    #[cfg(test)]
    fn size(&self) -> u64 {
        let parses = [&self.expected, &self.parse].map(Parse::size);
        let sequences = self.sequences.capacity() * size_of::<Sequence>();
        (parses[0] + parses[1] + sequences + self.optimal.size()) as u64
    }
}

impl core::fmt::Debug for Told {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Told")
    }
}

impl core::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Unpacker")
    }
}

impl core::fmt::Debug for Packer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Packer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_takes_no_more_than_is_declared() {
        for bits in [10, 15, 17, 18, 20] {
            let most = 1_usize << bits;
            let mut state = 1_u32;
            let content: Vec<u8> = (0..most)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 28) as u8
                })
                .collect();
            let [mut packer, mut telling] = [false, true].map(|told| Packer::new(most, told));
            for level in 1..=22 {
                let frame = packer.pack(level, &content).unwrap().to_vec();
                let (size, declared) = (packer.size(), packing(most as u64, false));
                assert!(size <= declared, "{size} of {declared} at level {level} for {most}");
                // A parse that is told comes back as it was; quick levels leave literals as they are sooner.
                telling.pack(level, &content).unwrap();
                let Packer { context, packed, told } = &mut telling;
                let (context, told) = (context.as_mut().unwrap(), told.as_mut().unwrap());
                told.parse.read(&frame, most as u32).unwrap();
                let length = told.write(context, level, &content, packed).unwrap();
                assert!(level < 16 || packed[..length] == frame, "level {level} for {most}");
                let (size, declared) = (telling.size(), packing(most as u64, true));
                assert!(size <= declared, "{size} of {declared} at level {level} for {most}, told");
            }
        }
    }
}
