//! A unit becomes frames: the device's own walk over it, told the truth.
//!
//! Decides where frames end. What they hold is decided by `perennial_device_core::delta`.

use std::collections::VecDeque;
use std::ops::Range;

use perennial_device_core::delta::pieces::{Making, Piece, Pieces};
use perennial_device_core::delta::unit::Unit;
use perennial_device_core::delta::walk::{Truth, Walker};
use perennial_device_core::delta::{DeltaError, OldImage};
use perennial_schemas::delta::{FRAME_LENGTH, FRAME_OUTPUT, Frame, FrameKind, Profile, Sizes};

use super::coder::Encoder;
use super::in_place::Room;
use super::packing::{Layers, Place};
use super::partial::Partial;
use super::stored;

/// A frame ends once it has so many bytes; one more block fits below the format's limit.
const FRAME_ENOUGH: u64 = 896 * 1024;

/// Frames, and their bytes one after another.
#[derive(Debug, Default)]
pub struct Frames {
    /// As the directory has them.
    pub frames: Vec<Frame>,
    /// Their content.
    pub bytes: Vec<u8>,
    /// Where the last mark stands in the new image, and the frame behind it.
    marked: Place,
    since: usize,
}

impl Frames {
    /// Adds a frame.
    pub fn push(&mut self, kind: FrameKind, bytes: &[u8]) {
        self.frames.push(Frame { kind, length: bytes.len() as u64 });
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds a frame that makes `made`: stored where coding made it no smaller.
    fn push_made(&mut self, coded: &[u8], made: &[u8]) {
        if coded.len() >= made.len() && made.len() as u64 <= FRAME_LENGTH {
            return self.push(FrameKind::Stored(made.len() as u64), made);
        }
        self.push(FrameKind::Data(made.len() as u64), coded);
    }

    /// Adds a mark where no part is under way, and the notes of the parts before it: ahead of what makes these.
    fn mark(&mut self, at: u64, apart: Option<&Layers>) {
        let Some(apart) = apart else { return };
        let place = apart.mark(at);
        if place.at != at {
            return;
        }
        let notes = apart.notes(&self.marked, &place);
        if !notes.is_empty() {
            let since = &self.frames[self.since..];
            let first = since.iter().position(|frame| frame.kind.makes().is_some()).unwrap_or(since.len());
            let behind: u64 = since[first..].iter().map(|frame| frame.length).sum();
            let start = self.bytes.len() - behind as usize;
            let frame = Frame { kind: FrameKind::Notes, length: notes.len() as u64 };
            self.frames.insert(self.since + first, frame);
            self.bytes.splice(start..start, notes);
        }
        let more = std::array::from_fn(|i| place.written[i] - self.marked.written[i]);
        self.push(FrameKind::Mark(more), &[]);
        (self.marked, self.since) = (place, self.frames.len());
    }
}

/// Where frames end.
#[derive(Debug, Clone, Copy)]
pub enum Cut<'a> {
    /// Where they are full.
    Full,
    /// Between packed parts, if they can.
    Between(&'a Layers),
    /// Where the slot says that is rewritten in place.
    InPlace(Room),
}

impl Cut<'_> {
    /// Units end at multiples of so many bytes.
    pub fn granule(&self) -> u64 {
        if let Self::InPlace(room) = self { room.granule() } else { 1 }
    }
}

/// Adds the frames of `unit` to `frames`, cut as `cut` says. `progress` hears up to where the new
/// image is done; where it says no, `None` comes back.
///
/// # Errors
/// [`DeltaError`] where the unit names bytes that no image has.
pub fn encode(
    unit: &Unit,
    (old, new): (&[u8], &Partial<'_>),
    (profile, sizes): (Profile, &Sizes),
    cut: Cut<'_>,
    frames: &mut Frames,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<()>, DeltaError> {
    let mut encoder = Encoder::default();
    let mut coded = Unit::with_room(sizes);
    let mut walker = Walker::new(sizes);
    walker.map(&mut encoder, &mut coded, unit, unit.start, old.len() as u64)?;
    let map = encoder.finish();
    // One without bytes would mean another.
    frames.push(FrameKind::Map, if map.is_empty() { &[0] } else { &map });
    let known = Known::new(&coded, old, new.bytes(), sizes);
    let mut stretches = Stretches { walker, known, old, new };
    let bytes_of_new = new.bytes();
    if let Cut::InPlace(room) = cut {
        return in_place(&coded, room, &mut stretches, frames, progress);
    }
    let apart = match cut {
        Cut::Between(apart) => Some(apart),
        Cut::Full | Cut::InPlace(_) => None,
    };
    let is_between = |at: u64| apart.is_none_or(|apart| apart.mark(at).at == at);
    let (mut at, end) = (coded.start, coded.start + coded.length);
    for stored in stored::stretches(&coded, bytes_of_new, profile, &is_between)
        .into_iter()
        .chain(std::iter::once(end..end))
    {
        while at < stored.start {
            let stop = stop(at, stored.start, FRAME_OUTPUT, apart, &frames.marked);
            let made = coded_frame(at..stop, apart, &mut stretches, progress)?;
            let Some((reached, bytes)) = made else { return Ok(None) };
            frames.push_made(&bytes, &bytes_of_new[at as usize..reached as usize]);
            at = reached;
            frames.mark(at, apart);
        }
        while at < stored.end {
            let stop = stop(at, stored.end, FRAME_LENGTH, apart, &frames.marked);
            let bytes = &bytes_of_new[at as usize..stop as usize];
            frames.push(FrameKind::Stored(bytes.len() as u64), bytes);
            at = stop;
            frames.mark(at, apart);
            if !progress(at) {
                return Ok(None);
            }
        }
    }
    Ok(Some(()))
}

/// Frames of a unit that end where sectors do.
fn in_place(
    unit: &Unit,
    room: Room,
    stretches: &mut Stretches<'_>,
    frames: &mut Frames,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<()>, DeltaError> {
    let (mut at, end) = (unit.start, unit.start + unit.length);
    while at < end {
        let stop = room.end(at).min(end);
        let made = stretches.encode(at..stop, room.floor(stop), u64::MAX, progress)?;
        let Some((reached, bytes)) = made else { return Ok(None) };
        frames.push_made(&bytes, &stretches.new.bytes()[at as usize..reached as usize]);
        at = reached;
    }
    Ok(Some(()))
}

/// Where a frame ends that begins at `at` and makes at most so many bytes up to `end`: between packed parts if it can, and with no
/// more notes since the last mark than a device holds.
fn stop(at: u64, end: u64, most: u64, apart: Option<&Layers>, marked: &Place) -> u64 {
    let most = end.min(at + most);
    apart.and_then(|apart| apart.reach(marked, at, most, end)).unwrap_or(most)
}

/// A frame from the beginning of a stretch on, between packed parts if it has to end before the stretch does: where it ends,
/// and its bytes.
fn coded_frame(
    stretch: Range<u64>,
    apart: Option<&Layers>,
    stretches: &mut Stretches<'_>,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<(u64, Vec<u8>)>, DeltaError> {
    let (at, stop) = (stretch.start, stretch.end);
    // Between parts at or before a place, if there is such a place.
    let between = |place: u64| match apart.map(|apart| apart.mark(place).at) {
        Some(earlier) if earlier > at => earlier,
        _ => place,
    };
    let made = stretches.encode(at..stop, 0, FRAME_ENOUGH, progress)?;
    let Some((reached, bytes)) = made else { return Ok(None) };
    if reached < stop && between(reached) < reached {
        return stretches.encode(at..between(reached), 0, FRAME_ENOUGH, progress);
    }
    Ok(Some((reached, bytes)))
}

/// Encodes stretches of a unit.
struct Stretches<'i> {
    walker: Walker,
    known: Known<'i>,
    old: &'i [u8],
    new: &'i Partial<'i>,
}

impl Stretches<'_> {
    /// A data frame of this stretch, which reads the old image from `floor` on; of less of it, once it has `enough` bytes. Where
    /// it ends, and its bytes.
    fn encode(
        &mut self,
        stretch: Range<u64>,
        floor: u64,
        enough: u64,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<(u64, Vec<u8>)>, DeltaError> {
        let Self { walker, known, old, new } = self;
        let mut source = *old;
        let from = stretch.start;
        walker.begin(known.unit, stretch.clone(), floor);
        known.begin(stretch, floor);
        let mut encoder = Encoder::default();
        let mut at = from;
        while encoder.length() < enough {
            // What is missing is copied, and known to be the same.
            let mut check = |made: &[u8]| match new.bytes()[at as usize..].starts_with(made) {
                false if new.holds(&(at..at + made.len() as u64)) => Err(DeltaError::Length),
                _ => Ok(()),
            };
            let (unit, length) = (known.unit, old.len() as u64);
            let made = walker.piece(&mut encoder, unit, &mut source, length, known, &mut check)?;
            let Some(made) = made else { break };
            at += made;
            if !progress(at) {
                return Ok(None);
            }
        }
        if at == from { Err(DeltaError::Length) } else { Ok(Some((at, encoder.finish()))) }
    }
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

    fn begin(&mut self, stretch: Range<u64>, floor: u64) {
        self.pieces.seek(self.unit, stretch, floor);
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
