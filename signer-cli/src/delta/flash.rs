//! Flash that isn't there: a slot in memory that is rewritten in place, to prove that it can be.
//!
//! Decides nothing, and forgives nothing: what a part would not do is an error.

use perennial_device_core::delta::DeltaError;
use perennial_device_core::delta::in_place::{self, Job, Ports};
use perennial_device_core::port::{Area, Flash, JOURNAL_SECTORS, LINE, PortError};
use perennial_schemas::crypto::Digest;
use perennial_schemas::delta::{Header, InPlace};
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::report::FailureCode;

use super::progress::{Progress, Stage};
use crate::crypto::Ring;

/// Bytes of the chunks that are vouched for, as a power of two: the least that an index has.
const CHUNK_BITS: u8 = 12;

/// A slot and a journal.
struct Simulated {
    place: InPlace,
    slot: Vec<u8>,
    journal: Vec<u8>,
}

/// Rewrites a slot that holds `old` with the device's own code: what it holds then, as long as the new image, which is `new`.
///
/// # Errors
/// [`DeltaError`]
pub fn rewrite(
    header: &Header,
    delta: &[u8],
    old: &[u8],
    new: &[u8],
    progress: &Progress<'_>,
) -> Result<Vec<u8>, DeltaError> {
    let sector = |place: InPlace| place.sector() as usize;
    let place = header.in_place.ok_or(DeltaError::Slot { sector: 0, sectors: 0 })?;
    let mut slot = old.to_vec();
    slot.resize(sector(place) * place.sectors as usize, 0xff);
    let mut flash = Simulated { place, slot, journal: vec![0; sector(place) * JOURNAL_SECTORS as usize] };
    rewrite_on(&mut flash, header, delta, new, progress)?;
    flash.slot.truncate(new.len());
    Ok(flash.slot)
}

/// Rewrites a slot, or goes on with it; `new` is what it shall hold.
///
/// # Errors
/// [`DeltaError`]
pub(super) fn rewrite_on(
    flash: &mut dyn Flash,
    header: &Header,
    delta: &[u8],
    new: &[u8],
    progress: &Progress<'_>,
) -> Result<(), DeltaError> {
    let index = index(new)?;
    let digest = Ring.sha256(delta).0;
    let id = std::array::from_fn(|i| digest[i]);
    let job = Job { id, index: &index, memory: u64::MAX };
    let (mut payload, mut flash) = (delta, Counted { flash, progress });
    // The old image is moved first.
    progress.begin(Stage::Rewriting, header.old.length + header.new.length);
    let ports = Ports { flash: &mut flash, payload: &mut payload };
    in_place::apply(header.clone(), &job, ports, &Ring)?;
    progress.end();
    Ok(())
}

/// Flash of which it is told how much is written.
struct Counted<'f, 'p> {
    flash: &'f mut dyn Flash,
    progress: &'f Progress<'p>,
}

impl Flash for Counted<'_, '_> {
    fn sector(&self) -> u32 {
        self.flash.sector()
    }

    fn sectors(&self) -> u32 {
        self.flash.sectors()
    }

    fn read(&mut self, area: Area, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
        self.flash.read(area, offset, into)
    }

    fn erase(&mut self, area: Area, sector: u32) -> Result<(), PortError> {
        self.flash.erase(area, sector)
    }

    fn write(&mut self, area: Area, offset: u64, line: &[u8; LINE]) -> Result<(), PortError> {
        if area == Area::Slot {
            self.progress.more(LINE as u64);
        }
        self.flash.write(area, offset, line)
    }
}

/// The index that vouches for an image.
fn index(image: &[u8]) -> Result<Index, DeltaError> {
    let wrong = |_| DeltaError::Length;
    let shape = Shape::new(image.len() as u64, CHUNK_BITS).map_err(wrong)?;
    let chunks = image.chunks(1 << CHUNK_BITS).map(|chunk| Ring.sha256(chunk)).collect();
    Index::new(shape, chunks).map_err(wrong)
}

impl Simulated {
    fn bytes(&mut self, area: Area, offset: u64, length: usize) -> Result<&mut [u8], PortError> {
        let all = match area {
            Area::Slot => &mut self.slot,
            Area::Journal => &mut self.journal,
        };
        let bytes = all.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..length));
        bytes.ok_or_else(|| wrong("past its end"))
    }
}

fn wrong(what: &str) -> PortError {
    PortError::new(FailureCode::SlotIo, "rewriting a slot in memory", what)
}

impl Flash for Simulated {
    fn sector(&self) -> u32 {
        self.place.sector() as u32
    }

    fn sectors(&self) -> u32 {
        self.place.sectors
    }

    fn read(&mut self, area: Area, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
        into.copy_from_slice(self.bytes(area, offset, into.len())?);
        Ok(())
    }

    fn erase(&mut self, area: Area, sector: u32) -> Result<(), PortError> {
        let length = self.place.sector();
        self.bytes(area, u64::from(sector) * length, length as usize)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, area: Area, offset: u64, line: &[u8; LINE]) -> Result<(), PortError> {
        let bytes = self.bytes(area, offset, LINE)?;
        if !offset.is_multiple_of(LINE as u64) || bytes.iter().any(|byte| *byte != 0xff) {
            return Err(wrong("a line that wasn't erased"));
        }
        bytes.copy_from_slice(line);
        Ok(())
    }
}
