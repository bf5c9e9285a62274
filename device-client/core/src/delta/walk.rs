//! A data frame, or a stored one: the bytes of a stretch of the new image, predicted from the old one and corrected.
//!
//! Decides what each byte of the new image is. Written once, over [`Coder`]: the signer's encoder passes the truth, a
//! device passes [`Unknown`].

use core::ops::Range;

use perennial_schemas::delta::Sizes;

use super::coder::{Coder, Input, Subject};
use super::history::History;
use super::model::bytes::{Bytes, Context, Expected, hashed};
use super::model::cell::Cell;
use super::model::number::{As, Numbers};
use super::pieces::{Making, Piece, Pieces};
use super::refs::Reference;
use super::space::Space;
use super::targets::{self, Outcome, Site, Targets};
use super::unit::{self, Unit};
use super::{DeltaError, OldImage};

/// What an encoder knows and a decoder does not.
pub trait Truth {
    /// Fills `into` with the bytes of the new image from `at` on.
    fn bytes(&mut self, at: u64, into: &mut [u8]);
    /// How many unpredicted bytes of patches are as they were, from the `plain`-th of this frame on.
    ///
    /// # Errors
    /// As the old image's.
    fn run(&mut self, plain: u64) -> Result<u64, DeltaError>;
}

/// A decoder's part of the truth.
#[derive(Debug)]
pub struct Unknown;

impl Truth for Unknown {
    fn bytes(&mut self, _: u64, _: &mut [u8]) {}

    fn run(&mut self, _: u64) -> Result<u64, DeltaError> {
        Ok(0)
    }
}

/// Who takes the new image's bytes, piece by piece.
pub type Output<'o> = &'o mut dyn FnMut(&[u8]) -> Result<(), DeltaError>;

/// Everything that a frame is coded with, of the sizes that a header declares.
#[derive(Debug)]
pub struct Walker {
    sizes: Sizes,
    pieces: Pieces,
    models: Models,
    /// One piece of the new image, in the making.
    made: alloc::vec::Vec<u8>,
}

impl Walker {
    /// Takes its memory.
    pub fn new(sizes: &Sizes) -> Self {
        Self {
            sizes: *sizes,
            pieces: Pieces::new(sizes),
            models: Models::new(sizes),
            made: alloc::vec![0; (1 << sizes.block_bits) + LONGEST],
        }
    }

    /// Bytes that this takes.
    pub(super) fn memory(sizes: &Sizes) -> usize {
        size_of::<Self>() + Pieces::memory(sizes) + Models::memory(sizes) + (1 << sizes.block_bits) + LONGEST
    }

    /// Codes a map frame, see [`Unit`]: `known` is the truth for an encoder, and an empty unit for a decoder; `unit` becomes
    /// what was coded. It begins at `start` in the new image, the old one is `old_length` bytes long.
    ///
    /// # Errors
    /// [`DeltaError::Map`] past what the header declares, or past the images' ends.
    pub fn map<C: Coder>(
        &mut self,
        coder: &mut C,
        unit: &mut Unit,
        known: &Unit,
        start: u64,
        old_length: u64,
    ) -> Result<(), DeltaError> {
        self.models.numbers.reset();
        unit.code(coder, &mut self.models.numbers, known, start, old_length, &self.sizes)
    }

    /// A map without a frame: all of the stretch is the old image's.
    ///
    /// # Errors
    /// [`DeltaError::Map`] past the old image's end.
    pub fn copied(
        &self,
        unit: &mut Unit,
        start: u64,
        length: u64,
        old_length: u64,
    ) -> Result<(), DeltaError> {
        unit.copied(start, length, old_length, &self.sizes)
    }

    /// At the beginning of a frame that makes this stretch of the new image, and reads the old one from `floor` on.
    pub fn begin(&mut self, unit: &Unit, stretch: Range<u64>, floor: u64) {
        self.pieces.seek(unit, stretch, floor);
        self.models.reset();
    }

    /// Hands on the bytes of a frame that holds them as they are.
    ///
    /// # Errors
    /// [`DeltaError::Length`] where there are fewer, [`DeltaError::FrameLeft`] where there are more; as the output.
    pub(super) fn stored(
        &mut self,
        mut input: impl Input,
        mut length: u64,
        output: Output<'_>,
    ) -> Result<(), DeltaError> {
        while length > 0 {
            let room = usize::try_from(length).unwrap_or(usize::MAX).min(self.made.len());
            let made = &mut self.made[..room];
            for byte in made.iter_mut() {
                *byte = input.next().ok_or(DeltaError::Length)?;
            }
            output(made)?;
            length -= room as u64;
        }
        if input.next().is_none() { Ok(()) } else { Err(DeltaError::FrameLeft) }
    }

    /// Codes one piece and hands it on; its length, or `None` at the stretch's end.
    ///
    /// # Errors
    /// As the coder, the old image, the output.
    pub fn piece<C: Coder>(
        &mut self,
        coder: &mut C,
        unit: &Unit,
        old: &mut dyn OldImage,
        old_length: u64,
        truth: &mut dyn Truth,
        output: Output<'_>,
    ) -> Result<Option<u64>, DeltaError> {
        let Some(piece) = self.pieces.next(unit, old, old_length)? else { return Ok(None) };
        let length = piece.length as u64;
        let made = &mut self.made[..piece.length];
        truth.bytes(piece.new, made);
        match piece.making {
            Making::Fill(byte) => made.fill(byte),
            Making::Copy => {
                // As it was read.
                self.models.follow(piece.bytes);
                output(piece.bytes)?;
                return Ok(Some(length));
            }
            Making::Insert => self.models.insert(coder, &piece, made),
            Making::Patch => {
                self.models.patch(coder, unit, piece.space, &piece, made, truth)?;
            }
        }
        self.models.follow(made);
        output(made)?;
        Ok(Some(length))
    }
}

#[derive(Debug)]
struct Models {
    detail: usize,
    bytes: Bytes,
    history: History,
    targets: Targets,
    /// Of map frames, too: no two frames are decoded at once.
    numbers: Numbers,
    /// Equal bytes that are left of a run, once it was told.
    run: Option<u64>,
    runs_before: [u64; 2],
    /// Bytes of patches that no reference holds, in this frame so far.
    plain: u64,
    /// The last correction: the new byte less the old one.
    change: u8,
    /// The last eight bytes of the new image, the latest lowest.
    last: u64,
    /// How well the old image told inserted bytes.
    along: u8,
    /// Whether a byte that was expected for long comes.
    again: [Cell; 32],
}

/// Which of the expected bytes is expected so surely that it is asked for at once.
fn sure(expected: &[Option<Expected>; 2]) -> Option<(usize, Expected)> {
    let sure = |which: usize, least: u8| Some((which, expected[which].filter(|e| e.trust >= least)?));
    sure(0, 5).or_else(|| sure(1, 12))
}

/// Contexts of a run by the last one.
const RUNS: usize = 12;

/// Contexts of a run by the one before the last: a part of a decoder's memory that one of few KiB doesn't have to spare.
fn detail(sizes: &Sizes) -> usize {
    if sizes.context_bits < 10 { 1 } else { 4 }
}

/// Contexts of runs, of distances of targets behind them; or what a map frame has.
fn contexts(sizes: &Sizes) -> usize {
    let runs = RUNS * detail(sizes) + targets::GROUPS;
    // The few numbers of a small map do as well in fewer: the last ones share one.
    if sizes.context_bits < 10 { runs } else { runs.max(unit::CONTEXTS) }
}

/// Numbers of so many bits and more are rare: a decoder of few KiB takes them for one sort.
fn wide(sizes: &Sizes) -> usize {
    if sizes.context_bits < 10 { 16 } else { 32 }
}

/// Kinds of numbers: runs or steps, and distances or layouts.
const KINDS: usize = 2;

impl Models {
    fn new(sizes: &Sizes) -> Self {
        let detail = detail(sizes);
        Self {
            bytes: Bytes::new(sizes.context_bits),
            history: History::new(sizes.history_bits),
            targets: Targets::new(sizes, RUNS * detail),
            numbers: Numbers::new(KINDS, contexts(sizes), wide(sizes)),
            detail,
            run: None,
            runs_before: [0; 2],
            plain: 0,
            change: 0,
            last: 0,
            along: 0,
            again: [Cell::NEW; 32],
        }
    }

    /// Bytes that this takes besides itself.
    fn memory(sizes: &Sizes) -> usize {
        Bytes::memory(sizes.context_bits)
            + History::memory(sizes.history_bits)
            + Targets::memory(sizes)
            + Numbers::memory(KINDS, contexts(sizes), wide(sizes))
    }

    fn reset(&mut self) {
        self.bytes.reset();
        self.history.reset();
        self.targets.reset();
        self.numbers.reset();
        (self.run, self.runs_before) = (None, [0; 2]);
        (self.plain, self.change, self.last, self.along) = (0, 0, 0, 0);
        self.again = [Cell::NEW; 32];
    }

    /// The new image has gone on by these bytes.
    fn follow(&mut self, made: &[u8]) {
        self.last =
            made[made.len().saturating_sub(8)..].iter().fold(self.last, |last, b| last << 8 | u64::from(*b));
    }

    /// Inserted bytes: by those before them, by what was sent before, by what stands in the old image there.
    fn insert<C: Coder>(&mut self, coder: &mut C, piece: &Piece<'_>, made: &mut [u8]) {
        let mut last = self.last;
        for (i, byte) in made.iter_mut().enumerate() {
            let old = piece.bytes.get(i).copied();
            let mut expected =
                [self.history.expected(), old.map(|byte| Expected { byte, trust: self.along })];
            coder.about(Subject::Inserted);
            // Most inserted bytes of large images were expected for long: one decision then, not eight that are mixed.
            let told = sure(&expected).filter(|(which, e)| {
                expected[*which] = None;
                self.again[which * 16 + usize::from(e.trust)].code(coder, *byte == e.byte)
            });
            *byte = match told {
                Some((_, e)) => e.byte,
                None => {
                    let place = (piece.new + i as u64) & 3;
                    let order = |bytes: u32| last & ((1 << (8 * bytes)) - 1);
                    let hashes = [
                        hashed(1, place),
                        hashed(2, order(1)),
                        hashed(3, order(2)),
                        hashed(4, order(3)),
                        hashed(5, order(4)),
                        hashed(6, order(6)),
                        hashed(7, u64::from(old.unwrap_or(0)) << 16 | order(1)),
                    ];
                    self.bytes.code(coder, *byte, &Context { kind: 0, hashes, expected })
                }
            };
            self.history.push(*byte);
            if let Some(old) = old {
                self.along = if old == *byte { (self.along + 1).min(15) } else { self.along / 4 };
            }
            last = last << 8 | u64::from(*byte);
        }
    }

    /// Patched bytes: references predicted, the others as they were but for corrections.
    fn patch<C: Coder>(
        &mut self,
        coder: &mut C,
        unit: &Unit,
        space: Option<&Space>,
        piece: &Piece<'_>,
        made: &mut [u8],
        truth: &mut dyn Truth,
    ) -> Result<(), DeltaError> {
        let mut at = 0;
        for reference in piece.references {
            let start = reference.at as usize;
            let end = start + reference.field.width();
            if start < at || end > made.len() {
                return Err(DeltaError::Map);
            }
            self.plain(coder, piece, made, at..start, truth)?;
            if let Some(space) = space {
                self.reference(coder, unit, space, reference, piece, made);
            }
            at = end;
        }
        self.plain(coder, piece, made, at..made.len(), truth)
    }

    /// Bytes that no reference holds.
    fn plain<C: Coder>(
        &mut self,
        coder: &mut C,
        piece: &Piece<'_>,
        made: &mut [u8],
        range: Range<usize>,
        truth: &mut dyn Truth,
    ) -> Result<(), DeltaError> {
        let mut at = range.start;
        while at < range.end {
            let run = match self.run {
                Some(run) => run,
                None => {
                    let known = truth.run(self.plain)?;
                    let [one, two] = self.runs_before.map(|run| 64 - (run + 1).leading_zeros() as usize);
                    let detail = self.detail;
                    let context = one.clamp(1, RUNS) - 1;
                    let context = context * detail + (two / 3).min(detail - 1);
                    coder.about(Subject::Runs);
                    let run = self.numbers.code(coder, known, As { kind: 1, context });
                    self.runs_before = [run, self.runs_before[0]];
                    run
                }
            };
            let equal = run.min((range.end - at) as u64) as usize;
            made[at..at + equal].copy_from_slice(&piece.bytes[at..at + equal]);
            at += equal;
            self.plain += equal as u64;
            self.run = Some(run - equal as u64);
            if at < range.end {
                let byte = made[at];
                coder.about(Subject::Corrections);
                made[at] = self.corrected(coder, byte, piece.bytes[at], at, piece, made);
                self.change = made[at].wrapping_sub(piece.bytes[at]);
                self.run = None;
                self.plain += 1;
                at += 1;
            }
        }
        Ok(())
    }

    /// A byte in the place of an old one, or of a predicted one.
    fn corrected<C: Coder>(
        &mut self,
        coder: &mut C,
        byte: u8,
        old: u8,
        at: usize,
        piece: &Piece<'_>,
        made: &[u8],
    ) -> u8 {
        let before = (0..4).rev().fold(0_u64, |word, back| {
            let byte = match at.checked_sub(back + 1) {
                Some(i) => made[i],
                None => (self.last >> (8 * (back - at))) as u8,
            };
            word << 8 | u64::from(byte)
        });
        let order = |bytes: u32| before & ((1 << (8 * bytes)) - 1);
        let (old64, kind) = (u64::from(old), piece.kind as u64);
        let place = piece.new.wrapping_add(at as u64) & 3;
        let next = u64::from(piece.bytes.get(at + 1).copied().unwrap_or(0));
        let joined = self.runs_before[0].min(3);
        let hashes = [
            hashed(11, kind << 8 | old64),
            hashed(12, kind << 24 | order(1) << 8 | old64),
            hashed(13, u64::from(self.change) << 16 | joined << 8 | old64),
            hashed(14, order(2) << 8 | old64),
            hashed(15, order(3)),
            hashed(16, next << 16 | old64 << 8 | place),
            hashed(17, u64::from(self.change) << 8 | joined << 2 | place),
        ];
        let again = Expected { byte: old.wrapping_add(self.change), trust: joined as u8 };
        let expected = [Some(again), self.history.expected()];
        let byte = self.bytes.code(coder, byte, &Context { kind: 1, hashes, expected });
        self.history.push(byte);
        byte
    }

    /// A field that refers to an address.
    fn reference<C: Coder>(
        &mut self,
        coder: &mut C,
        unit: &Unit,
        space: &Space,
        reference: &Reference,
        piece: &Piece<'_>,
        made: &mut [u8],
    ) {
        let start = reference.at as usize;
        let range = start..start + reference.field.width();
        let mut field = reference.field;
        if let Some(start) = field.start() {
            field = field.with_start(self.targets.mapped(unit, space, start, field).0);
        }
        let mut old = [0_u8; 8];
        old[..range.len()].copy_from_slice(&piece.bytes[range.clone()]);
        let place = space.new_address(piece.new + start as u64).unwrap_or(0);
        let site = Site { unit, space, field, place, target: reference.target, old };
        match self.targets.code(coder, &mut self.numbers, &site, &made[range.clone()]) {
            Outcome::Told(bytes) => made[range.clone()].copy_from_slice(&bytes[..range.len()]),
            Outcome::Unexplained(likely) => {
                coder.about(Subject::Fields(field.number()));
                for (i, likely) in range.zip(likely) {
                    let byte = made[i];
                    made[i] = self.corrected(coder, byte, likely, i, piece, made);
                }
            }
        }
    }
}

/// The longest field, which may begin at a block's last byte.
const LONGEST: usize = 8;
