//! A unit becomes frames: the device's own walk over it, told the truth.
//!
//! Decides where frames end. What they hold is decided by `perennial_device_core::delta`.

use std::collections::VecDeque;

use perennial_device_core::delta::pieces::{Making, Piece, Pieces};
use perennial_device_core::delta::unit::Unit;
use perennial_device_core::delta::walk::{Truth, Walker};
use perennial_device_core::delta::{DeltaError, OldImage};
use perennial_schemas::delta::{FRAME_OUTPUT, Frame, FrameKind, Sizes};

use super::coder::Encoder;

/// A frame ends once it has so many bytes; one more block fits below the format's limit.
const FRAME_ENOUGH: u64 = 896 * 1024;

/// Frames, and their bytes one after another.
#[derive(Debug, Default)]
pub struct Frames {
    /// As the directory has them.
    pub frames: Vec<Frame>,
    /// Their content.
    pub bytes: Vec<u8>,
}

impl Frames {
    fn push(&mut self, kind: FrameKind, bytes: &[u8]) {
        self.frames.push(Frame { kind, length: bytes.len() as u64 });
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes of map frames, and of data frames.
    pub fn lengths(&self) -> (u64, u64) {
        self.frames.iter().fold((0, 0), |(maps, data), frame| match frame.kind {
            FrameKind::Map => (maps + frame.length, data),
            FrameKind::Data(_) => (maps, data + frame.length),
        })
    }
}

/// Adds the frames of `unit` to `frames`. `progress` is told the bytes of the new image that are done; where it says no,
/// `None` comes back.
///
/// # Errors
/// [`DeltaError`] where the unit names bytes that no image has.
pub fn encode(
    unit: &Unit,
    old: &[u8],
    new: &[u8],
    sizes: &Sizes,
    frames: &mut Frames,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<()>, DeltaError> {
    let mut source = old;
    let mut encoder = Encoder::default();
    let mut coded = Unit::with_room(sizes);
    let mut walker = Walker::new(sizes);
    walker.map(&mut encoder, &mut coded, unit, unit.start, old.len() as u64)?;
    frames.push(FrameKind::Map, &encoder.finish());
    let unit = coded;
    let end = unit.start + unit.length;
    let mut known = Known::new(&unit, old, new, sizes);
    let mut at = unit.start;
    while at < end {
        let stop = end.min(at + FRAME_OUTPUT);
        walker.begin(&unit, at, stop);
        known.begin(at, stop);
        let mut encoder = Encoder::default();
        let from = at;
        while encoder.length() < FRAME_ENOUGH {
            let old_length = old.len() as u64;
            let mut check = |made: &[u8]| match new[at as usize..].starts_with(made) {
                true => Ok(()),
                false => Err(DeltaError::Length),
            };
            let made = walker.piece(&mut encoder, &unit, &mut source, old_length, &mut known, &mut check)?;
            let Some(made) = made else { break };
            at += made;
            if !progress(made) {
                return Ok(None);
            }
        }
        if at == from {
            return Err(DeltaError::Length);
        }
        frames.push(FrameKind::Data(at - from), &encoder.finish());
    }
    Ok(Some(()))
}

/// The new image, and where the next correction will be: found by walking ahead.
struct Known<'i> {
    unit: &'i Unit,
    old: &'i [u8],
    new: &'i [u8],
    pieces: Pieces,
    /// Plain bytes of patches up to where the walk ahead stands, and those among them that differ.
    walked: u64,
    differing: VecDeque<u64>,
}

impl<'i> Known<'i> {
    fn new(unit: &'i Unit, old: &'i [u8], new: &'i [u8], sizes: &Sizes) -> Self {
        let pieces = Pieces::new(sizes);
        Self { unit, old, new, pieces, walked: 0, differing: VecDeque::new() }
    }

    fn begin(&mut self, from: u64, end: u64) {
        self.pieces.seek(self.unit, from, end);
        self.walked = 0;
        self.differing.clear();
    }
}

impl Truth for Known<'_> {
    fn bytes(&mut self, at: u64, into: &mut [u8]) {
        let at = at as usize;
        into.copy_from_slice(&self.new[at..at + into.len()]);
    }

    fn run(&mut self, plain: u64) -> Result<u64, DeltaError> {
        loop {
            while self.differing.front().is_some_and(|at| *at < plain) {
                self.differing.pop_front();
            }
            if let Some(at) = self.differing.front() {
                return Ok(at - plain);
            }
            let mut old = self.old;
            let length = self.old.len() as u64;
            let Some(piece) = self.pieces.next(self.unit, &mut old as &mut dyn OldImage, length)? else {
                return Ok(self.walked.saturating_sub(plain));
            };
            if piece.making == Making::Patch {
                let new = &self.new[piece.new as usize..][..piece.length];
                compare(&piece, new, &mut self.walked, &mut self.differing);
            }
        }
    }
}

/// Notes the plain bytes of a piece that differ.
fn compare(piece: &Piece<'_>, new: &[u8], walked: &mut u64, differing: &mut VecDeque<u64>) {
    let mut at = 0;
    let ends = piece.references.iter().map(|r| (r.at as usize, r.at as usize + r.field.width()));
    for (start, end) in ends.chain([(piece.length, piece.length)]) {
        let pairs = piece.bytes[at..start].iter().zip(&new[at..start]);
        differing.extend(pairs.enumerate().filter(|(_, (o, n))| o != n).map(|(i, _)| *walked + i as u64));
        *walked += (start - at) as u64;
        at = end;
    }
}
