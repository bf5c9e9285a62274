//! The device's decoder over whatever bytes. Stands on the core alone: the libFuzzer target of `tests/fuzz` has it, too.

use perennial_device_core::delta::{Delta, DeltaError, memory};
use perennial_device_core::port::PortError;
use perennial_schemas::delta::{ContainerError, Header};
use perennial_schemas::report::FailureCode;

/// What a decoder did with a container.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was refused, with this error.
    Refused(DeltaError),
    /// It made so many bytes, or as many as it may.
    Made(u64),
}

/// Bytes of memory that a decoder may ask for here, and bytes of output after which its taker says stop.
pub const ALLOWED: u64 = 64 << 20;
const ENOUGH: u64 = 8 << 20;

/// Gives a container to the device's decoder, frame by frame; `new` is what came out. `begun` is told once the decoder has
/// its memory.
pub fn decode(container: &[u8], mut old: &[u8], new: &mut Vec<u8>, begun: &mut dyn FnMut()) -> Outcome {
    match try_decode(container, &mut old, new, begun) {
        Ok(made) => Outcome::Made(made),
        Err(error) => Outcome::Refused(error),
    }
}

fn try_decode(
    container: &[u8],
    old: &mut &[u8],
    new: &mut Vec<u8>,
    begun: &mut dyn FnMut(),
) -> Result<u64, DeltaError> {
    let mut delta = Delta::new(Header::parse(container)?, ALLOWED)?;
    begun();
    let mut made = 0_u64;
    for frame in 0..delta.header().frames.len() {
        let range = delta.range(frame).ok_or(DeltaError::Order(frame))?;
        let bytes =
            container.get(range.start as usize..range.end as usize).ok_or(ContainerError::Directory)?;
        let ended = delta.frame(frame, bytes.iter(), old, &mut |piece| {
            made += piece.len() as u64;
            if new.capacity() - new.len() >= piece.len() {
                new.extend_from_slice(piece);
            }
            if made < ENOUGH {
                Ok(())
            } else {
                Err(DeltaError::Output(PortError::new(FailureCode::SlotIo, "enough", "")))
            }
        });
        match ended {
            Err(DeltaError::Output(_)) => return Ok(made),
            other => other?,
        }
    }
    Ok(made)
}

/// The memory that a container declares, where it has a header.
pub fn declared(container: &[u8]) -> Option<u64> {
    Header::parse(container).ok().map(|header| memory(&header))
}
