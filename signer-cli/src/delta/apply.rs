//! A delta applied to a whole file: the device's decoder, and both digests checked.

use std::io::{self, Write};

use perennial_device_core::delta::{Delta, DeltaError, in_place};
use perennial_device_core::port::PortError;
use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::delta::Header;
use perennial_schemas::report::FailureCode;

use super::flash;
use super::make::MadeDelta;
use super::progress::{Progress, Stage};
use super::source::{Old, Source, identity};
use crate::crypto::Ring;
use crate::plain::grouped;

/// Why a delta was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The old image is another one.
    #[error("the old image is not the one that the delta was made from")]
    OtherOld,
    /// What came out is not what was named.
    #[error("what the delta made is not the image that it names")]
    OtherNew,
    /// The container ends before its frames do, or goes on behind them.
    #[error("the delta is {} bytes long, its directory says {}", grouped(*got), grouped(*expected))]
    Length {
        /// Bytes there are.
        got: u64,
        /// Bytes that belong there.
        expected: u64,
    },
    /// The delta is none, or malformed.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// An image could not be read.
    #[error("reading an image")]
    Read(#[source] io::Error),
    /// The result could not be written.
    #[error("writing the new image")]
    Write(#[source] io::Error),
}

/// Reads a container's header and directory.
///
/// # Errors
/// [`ApplyError::Delta`], [`ApplyError::Length`].
pub fn header(delta: &[u8]) -> Result<Header, ApplyError> {
    let header = Header::parse(delta).map_err(DeltaError::Container)?;
    let frames: u64 = header.frames.iter().map(|frame| frame.length).sum();
    let expected = header.encoded_length() + frames;
    let got = delta.len() as u64;
    if got == expected { Ok(header) } else { Err(ApplyError::Length { got, expected }) }
}

/// Makes the new image of `old` and `delta`, with at most `memory` bytes for the decoder, and writes it to `out`. Nothing
/// is written where `old` is another image; what was written where an error comes later is to be thrown away. A delta in
/// place is applied in place, too, in memory, and what comes out compared.
///
/// # Errors
/// [`ApplyError`].
pub fn apply(old: &[u8], delta: &[u8], memory: u64, out: &mut dyn Write) -> Result<Header, ApplyError> {
    apply_from(&old, delta, memory, out, &Progress::default())
}

/// As [`apply`], from an old image that is read as it is needed; one in place whole.
///
/// # Errors
/// [`ApplyError`].
pub fn apply_from(
    old: &dyn Source,
    delta: &[u8],
    memory: u64,
    out: &mut dyn Write,
    progress: &Progress<'_>,
) -> Result<Header, ApplyError> {
    let header = header(delta)?;
    if header.in_place.is_none() {
        return decoded(Delta::new(header, memory)?, old, delta, out, (Stage::Applying, progress));
    }
    let needed = in_place::memory(&header);
    if needed > memory {
        return Err(DeltaError::Memory { needed, limit: memory }.into());
    }
    in_place_from(header, old, delta, out, (Stage::Applying, progress))
}

/// In place, in memory.
fn in_place_from(
    header: Header,
    old: &dyn Source,
    delta: &[u8],
    out: &mut dyn Write,
    (stage, progress): (Stage, &Progress<'_>),
) -> Result<Header, ApplyError> {
    let mut new = Vec::new();
    let header = decoded(Delta::new(header, u64::MAX)?, old, delta, &mut new, (stage, progress))?;
    let mut whole = vec![0; header.old.length as usize];
    old.read_at(0, &mut whole).map_err(ApplyError::Read)?;
    if flash::rewrite(&header, delta, &whole, &new, progress)? != new {
        return Err(ApplyError::OtherNew);
    }
    out.write_all(&new).map_err(ApplyError::Write)?;
    Ok(header)
}

/// Proves that `made` makes `new` of `old`, by applying it, with the parts of `new` that were packed already as they are there.
///
/// # Errors
/// [`ApplyError`].
pub fn prove(
    old: &dyn Source,
    new: &dyn Source,
    made: &MadeDelta,
    progress: &Progress<'_>,
) -> Result<Header, ApplyError> {
    let (header, told) = (header(&made.bytes)?, (Stage::Proving, progress));
    if header.in_place.is_some() {
        return in_place_from(header, old, &made.bytes, &mut io::sink(), told);
    }
    let mut decoder = Delta::new(header, u64::MAX)?;
    decoder.recall(made.packed.read(new).map_err(ApplyError::Read)?);
    decoded(decoder, old, &made.bytes, &mut io::sink(), told)
}

/// From an old image that stays where it is.
fn decoded(
    mut decoder: Delta,
    old: &dyn Source,
    delta: &[u8],
    out: &mut dyn Write,
    (stage, progress): (Stage, &Progress<'_>),
) -> Result<Header, ApplyError> {
    progress.begin(Stage::Reading, old.length());
    if identity(old, progress).map_err(ApplyError::Read)? != decoder.header().old {
        return Err(ApplyError::OtherOld);
    }
    progress.end();
    progress.begin(stage, decoder.header().new.length);
    let mut running = Ring.start();
    let mut trouble = None;
    let mut source = Old(old);
    for frame in 0..decoder.header().frames.len() {
        // In bounds: the lengths were added up above.
        let range = decoder.range(frame).ok_or(DeltaError::Order(frame))?;
        let bytes = &delta[range.start as usize..range.end as usize];
        let done = decoder.frame(frame, bytes.iter(), &mut source, &mut |made| {
            running.update(made);
            progress.more(made.len() as u64);
            out.write_all(made).map_err(|error| {
                trouble = Some(error);
                DeltaError::Output(PortError::new(FailureCode::SlotIo, "writing the new image", ""))
            })
        });
        if let Some(error) = trouble.take() {
            return Err(ApplyError::Write(error));
        }
        done?;
    }
    progress.end();
    let header = decoder.header().clone();
    let digest = running.finish().0;
    if digest[..16] == header.new.digest { Ok(header) } else { Err(ApplyError::OtherNew) }
}
