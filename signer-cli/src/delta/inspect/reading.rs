//! A delta's frames, gone over with the device's decoder.

use std::cell::{Cell, RefCell};

use perennial_device_core::delta::coder::Decoder;
use perennial_device_core::delta::packing::Packing;
use perennial_device_core::delta::unit::{Action, Unit};
use perennial_device_core::delta::walk::{Unknown, Walker};
use perennial_device_core::delta::{DeltaError, OldImage};
use perennial_schemas::delta::{ContainerError, FrameKind, Header};

use super::ledger::{Charged, Ledger};
use super::made::Made;
use super::{FrameRow, MadeOf};
use crate::delta::apply::ApplyError;
use crate::delta::progress::Progress;
use crate::delta::source::{Old, Source};

/// Bytes of a stored frame that are told apart.
const STORED: usize = 4096;

/// What a piece of the new image cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Where it begins and ends in the new image, unpacked.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Its middle in the new image as it is; that of a packed part is its start.
    pub(super) middle: u64,
    pub(super) bits: f64,
}

/// Goes over the frames.
pub(super) struct Reading<'h, 'o> {
    pub(super) header: &'h Header,
    pub(super) old: Option<&'o dyn Source>,
    unit: Unit,
    walker: Walker,
    packing: Packing,
    pub(super) ledger: Ledger,
    /// Where the next frame begins in the container, and what is made so far.
    at: u64,
    made: u64,
    /// The new image, where the old one is there.
    pub(super) new: Option<Made>,
    pub(super) frames: Vec<FrameRow>,
    pub(super) made_of: MadeOf,
    /// What cost something.
    pub(super) pieces: Vec<Piece>,
}

impl<'h, 'o> Reading<'h, 'o> {
    pub(super) fn new(header: &'h Header, old: Option<&'o dyn Source>) -> Result<Self, ApplyError> {
        let new = old.map(|_| Made::new()).transpose().map_err(ApplyError::Write)?;
        Ok(Self {
            header,
            old,
            unit: Unit::with_room(&header.sizes),
            walker: Walker::new(&header.sizes),
            packing: Packing::new(header)?,
            ledger: Ledger::default(),
            at: header.encoded_length(),
            made: 0,
            new,
            frames: Vec::with_capacity(header.frames.len()),
            made_of: MadeOf::default(),
            pieces: Vec::new(),
        })
    }

    /// Reads this frame of the container, behind all before it.
    pub(super) fn frame(
        &mut self,
        delta: &[u8],
        frame: usize,
        progress: &Progress<'_>,
    ) -> Result<(), ApplyError> {
        let (kind, length) = (self.header.frames[frame].kind, self.header.frames[frame].length);
        let range = self.at..self.at + length;
        let inside = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let bytes = inside.and_then(|(from, to)| delta.get(from..to));
        let bytes = bytes.ok_or(DeltaError::Container(ContainerError::Directory))?;
        let (name, makes) = match kind {
            FrameKind::Parts => ("parts", 0),
            FrameKind::Notes => ("notes", 0),
            FrameKind::Map => ("map", 0),
            FrameKind::Data(makes) => ("data", makes),
            FrameKind::Stored(makes) => ("stored", makes),
            FrameKind::Mark(_) => ("mark", 0),
        };
        self.frames.push(FrameRow { kind: name, at: self.at, length, makes });
        match (kind, self.old) {
            (FrameKind::Parts, _) => {
                let mut coder = Charged { decoder: Decoder::new(bytes.iter()), ledger: &mut self.ledger };
                self.packing.layer(&mut coder, frame, self.header)?;
            }
            (FrameKind::Map, _) => self.map(frame, bytes)?,
            (FrameKind::Notes, Some(_)) => self.packing.notes(bytes.iter(), frame, self.made, self.header)?,
            (FrameKind::Data(makes) | FrameKind::Stored(makes), Some(old)) => {
                self.packing.begin(frame, self.made, self.header)?;
                let is_stored = matches!(kind, FrameKind::Stored(_));
                let done = self.data(bytes, makes, is_stored, &mut Old(old), progress);
                if let Some(error) = self.new.as_mut().and_then(Made::trouble) {
                    return Err(ApplyError::Write(error));
                }
                done?;
                self.packing.done(frame, self.header)?;
            }
            (FrameKind::Mark(_), _)
            | (FrameKind::Notes | FrameKind::Data(_) | FrameKind::Stored(_), None) => {}
        }
        self.at = range.end;
        self.made += makes;
        progress.at(self.made);
        Ok(())
    }

    /// Whether what was made is the image that the header names.
    pub(super) fn check(&mut self) -> Result<(), ApplyError> {
        let Some(new) = &mut self.new else { return Ok(()) };
        if new.finish().map_err(ApplyError::Write)? == self.header.new {
            Ok(())
        } else {
            Err(ApplyError::OtherNew)
        }
    }

    fn map(&mut self, frame: usize, bytes: &[u8]) -> Result<(), DeltaError> {
        let mut coder = Charged { decoder: Decoder::new(bytes.iter()), ledger: &mut self.ledger };
        let old_length = self.header.old_length();
        match bytes.is_empty() {
            true => {
                let behind = self.header.frames[frame + 1..].iter();
                let data = behind.take_while(|frame| frame.kind != FrameKind::Map);
                let length = data.filter_map(|frame| frame.kind.makes()).sum();
                self.walker.copied(&mut self.unit, self.made, length, old_length)?;
            }
            false => self.walker.map(&mut coder, &mut self.unit, &Unit::default(), self.made, old_length)?,
        }
        let made_of = &mut self.made_of;
        made_of.steps += self.unit.steps.len() as u64;
        for step in self.unit.steps.iter() {
            made_of.inserted += step.insert;
            match step.action {
                Action::Copy(_) => made_of.copied += step.length,
                Action::Patch(_) => made_of.patched += step.length,
                Action::Fill(_) => made_of.filled += step.length,
                Action::End => {}
            }
        }
        Ok(())
    }

    fn data(
        &mut self,
        bytes: &[u8],
        makes: u64,
        is_stored: bool,
        old: &mut dyn OldImage,
        progress: &Progress<'_>,
    ) -> Result<(), DeltaError> {
        let Some(new) = &mut self.new else { return Ok(()) };
        let (start, end) = (self.made, self.made + makes);
        let (old_length, written) = (self.header.old_length(), Cell::new(new.length()));
        let image = RefCell::new(old);
        let mut write = |bytes: &[u8]| {
            let done = new.write(bytes);
            written.set(new.length());
            done
        };
        let (mut old, mut output) = self.packing.between(&image, &mut write);
        let mut cost = |start, end, before: u64, bits| {
            let middle = u64::midpoint(before, written.get());
            if bits > 0.0 {
                self.pieces.push(Piece { start, end, middle, bits });
            }
        };
        if is_stored {
            // Piece by piece, as they are far apart in the image.
            let mut at = start;
            for bytes in bytes.chunks(STORED) {
                let before = written.get();
                output(bytes)?;
                cost(at, at + bytes.len() as u64, before, bytes.len() as f64 * 8.0);
                at += bytes.len() as u64;
            }
            return if at == end { Ok(()) } else { Err(DeltaError::Length) };
        }
        self.walker.begin(&self.unit, start..end, self.header.floor(end));
        let mut coder = Charged { decoder: Decoder::new(bytes.iter()), ledger: &mut self.ledger };
        let mut at = start;
        while at < end {
            let (bits, before) = (coder.ledger.bits, written.get());
            let piece =
                self.walker.piece(&mut coder, &self.unit, &mut old, old_length, &mut Unknown, &mut output)?;
            let next = piece.and_then(|length| at.checked_add(length)).filter(|next| *next <= end);
            let next = next.ok_or(DeltaError::Length)?;
            cost(at, next, before, coder.ledger.bits - bits);
            at = next;
            progress.at(at);
        }
        Ok(())
    }
}
