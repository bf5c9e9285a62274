//! Applying a delta: the frames that are missing, each read whole and verified, become the image that is missing.
//!
//! Decides whether a delta may be used here at all, before anything is written: it must be from the image that runs, for
//! the image that is wanted, and ask for no more memory than the device gives. What a frame means is
//! [`crate::delta`]'s. After a power cut header and directory, the map of the stretch and the frame that was under way
//! are read again, and nothing else.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use perennial_schemas::delta::{HEADER_LENGTH, Header, ImageId};
use perennial_schemas::report::FailureCode;
use perennial_schemas::{Digest, Sha256Digest};

use super::writer::Writer;
use crate::delta::{Delta, DeltaError, OldImage};
use crate::download::Payload;
use crate::plan::{Base, Plan};
use crate::port::PortError;

/// Reads header and directory, decides whether the delta may be used, and takes its memory.
///
/// # Errors
/// [`FailureCode::DeltaMalformed`], [`FailureCode::DeltaSource`], [`FailureCode::DeltaMemory`]; and where the payload can't
/// be had.
pub(super) fn open<C: Digest>(
    payload: &mut Payload<'_, C>,
    plan: &Plan,
    base: &Base,
    memory: u64,
) -> Result<Delta, PortError> {
    let total = payload.index.shape().length();
    let start = read(payload, 0..HEADER_LENGTH as u64)?;
    let length = Header::length(&start).map_err(|error| failed(error.into()))? as u64;
    let header = Header::parse(&read(payload, 0..length)?).map_err(|error| failed(error.into()))?;
    if header.old != id(base.length, &base.sha256) {
        return Err(refused(FailureCode::DeltaSource, format!("it is not from {}", base.version)));
    }
    if header.new != id(plan.length, &plan.sha256) {
        return Err(refused(FailureCode::DeltaMalformed, "it makes another image".into()));
    }
    let frames = header.frames.len();
    // A frame is held whole while it is decoded.
    let longest = header.frames.iter().map(|frame| frame.length).max().unwrap_or(0);
    let delta = Delta::new(header, memory.saturating_sub(longest)).map_err(failed)?;
    match delta.range(frames.saturating_sub(1)) {
        Some(last) if last.end == total => Ok(delta),
        _ => Err(refused(FailureCode::DeltaMalformed, format!("it does not end where its {total} bytes do"))),
    }
}

/// Reads what is needed to go on at offset `from` of the image, and writes what it makes.
///
/// # Errors
/// [`PortError`], whatever fails first.
pub(super) fn run<C: Digest>(
    delta: &mut Delta,
    payload: &mut Payload<'_, C>,
    from: u64,
    base: &mut dyn OldImage,
    writer: &mut Writer<'_, '_, C>,
) -> Result<(), PortError> {
    let (at, end) = (delta.resume(from), delta.header().frames.len());
    let parts = delta.header().layers.len();
    let mut taker = Taker { delta, base, writer, frame: Vec::new() };
    // What stands back to back is one request.
    let mut now = 0..parts;
    for next in [at.map..at.map + 1, at.data..end] {
        if now.end < next.start {
            taker.take(payload, now)?;
            now = next;
        } else {
            now.end = next.end;
        }
    }
    taker.take(payload, now)
}

/// Gathers frames and decodes them.
struct Taker<'t, 'w, 's, C> {
    delta: &'t mut Delta,
    base: &'t mut dyn OldImage,
    writer: &'t mut Writer<'w, 's, C>,
    frame: Vec<u8>,
}

impl<C: Digest> Taker<'_, '_, '_, C> {
    /// Takes the frames with these numbers, which stand back to back, in one request.
    fn take(&mut self, payload: &mut Payload<'_, C>, frames: Range<usize>) -> Result<(), PortError> {
        let place = |frame: Option<usize>| frame.and_then(|frame| self.delta.range(frame));
        let (Some(first), Some(last)) = (place(Some(frames.start)), place(frames.end.checked_sub(1))) else {
            return Ok(());
        };
        let (bytes, mut numbers) = (first.start..last.end, frames);
        let mut now = numbers.next().map(|number| (number, first));
        payload.chunks(bytes.clone(), &mut |chunk| {
            let mut rest = clip(chunk.offset(), chunk.bytes(), &bytes);
            while let Some((number, place)) = now.clone() {
                // A frame has at most a MiB.
                let missing = (place.end - place.start) as usize - self.frame.len();
                let (taken, later) = rest.split_at(missing.min(rest.len()));
                self.frame.extend_from_slice(taken);
                rest = later;
                if taken.len() < missing {
                    break;
                }
                self.decode(number)?;
                let length =
                    |number: usize| self.delta.header().frames.get(number).map_or(0, |frame| frame.length);
                now = numbers.next().map(|number| (number, place.end..place.end + length(number)));
            }
            Ok(())
        })?;
        // What has no bytes need not come with a chunk: it may stand where one ends.
        for number in now.map(|(number, _)| number).into_iter().chain(numbers) {
            let frame = self.delta.header().frames.get(number);
            if frame.is_none_or(|frame| frame.length > 0) {
                break;
            }
            self.decode(number)?;
        }
        Ok(())
    }

    fn decode(&mut self, number: usize) -> Result<(), PortError> {
        let Self { delta, base, writer, frame } = self;
        let made = delta
            .frame(number, frame.iter(), *base, &mut |bytes| writer.push(bytes).map_err(DeltaError::Output));
        frame.clear();
        made.map_err(failed)
    }
}

/// The part of `bytes`, which begin at `offset`, that lies in `part`.
fn clip<'b>(offset: u64, bytes: &'b [u8], part: &Range<u64>) -> &'b [u8] {
    let inside =
        |at: u64| usize::try_from(at.saturating_sub(offset)).map_or(bytes.len(), |at| at.min(bytes.len()));
    let (start, end) = (inside(part.start), inside(part.end));
    &bytes[start..end.max(start)]
}

fn read<C: Digest>(payload: &mut Payload<'_, C>, part: Range<u64>) -> Result<Vec<u8>, PortError> {
    let mut read = Vec::new();
    payload.chunks(part.clone(), &mut |chunk| {
        read.extend_from_slice(clip(chunk.offset(), chunk.bytes(), &part));
        Ok(())
    })?;
    Ok(read)
}

fn id(length: u64, sha256: &Sha256Digest) -> ImageId {
    ImageId { length, digest: core::array::from_fn(|i| sha256.0[i]) }
}

fn failed(error: DeltaError) -> PortError {
    match error {
        DeltaError::Old(error) | DeltaError::Output(error) => error,
        DeltaError::Memory { .. } => refused(FailureCode::DeltaMemory, format!("{error}")),
        error => refused(FailureCode::DeltaMalformed, format!("{error}")),
    }
}

fn refused(code: FailureCode, detail: String) -> PortError {
    PortError::new(code, "applying the delta", detail)
}
