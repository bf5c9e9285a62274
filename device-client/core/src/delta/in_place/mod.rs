//! One slot, rewritten in place: for parts that have no room for two images. Whoever runs this isn't in that slot: the boot
//! loader, or a program beside it.
//!
//! The old image begins where the slot does, and the new one shall. First the old one is moved to the slot's end, sector by
//! sector from its last on. Then the new one is written from the slot's beginning on, frame by frame. A frame reads nothing
//! that it overwrites itself (the header's floor says what that is), so that it can be decoded again from its start, as often
//! as power is cut; a journal of two sectors says which frames are done. Nothing is kept in memory across a cut.
//!
//! | module | holds |
//! | --- | --- |
//! | [`journal`] | how far it is |
//! | `ports` | the slot as the old image, the payload as a frame's input, the new image's lines |
//!
//! Decides in which order flash is erased and written, and that nothing is before the whole delta was decoded once, every
//! byte of it vouched for by the image's index. There is no going back after that: until it is done, the slot holds nothing
//! that boots.

pub mod journal;
mod ports;

use core::cell::RefCell;

use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::delta::{Header, ImageId};
use perennial_schemas::index::Index;
use perennial_schemas::report::FailureCode;

use self::journal::{Journal, Noted, Progress};
use self::ports::{Frame, Looked, Old, Writer};
use super::{Delta, DeltaError};
use crate::port::{Area, Flash, LINE, PortError};

/// The delta's bytes, each of them vouched for; whoever fetches them may have to do so again after a power cut.
pub trait Payload {
    /// Fills `into` with the container's bytes at `offset`.
    ///
    /// # Errors
    /// [`DeltaError`]
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError>;
}

impl Payload for &[u8] {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError> {
        let from = usize::try_from(offset).ok();
        let bytes = from.and_then(|from| self.get(from..)?.get(..into.len())).ok_or(DeltaError::Length)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// What an update in place works with.
pub struct Ports<'p> {
    /// The slot and the journal.
    pub flash: &'p mut dyn Flash,
    /// The delta.
    pub payload: &'p mut dyn Payload,
}

/// What is to be done, all of it from signed metadata.
#[derive(Debug, Clone, Copy)]
pub struct Job<'j> {
    /// What tells this delta from every other: the first half of its SHA-256.
    pub id: [u8; 16],
    /// The new image's index; its chunks are no longer than frames are aligned.
    pub index: &'j Index,
    /// Bytes of memory that it may take.
    pub memory: u64,
}

/// Bytes of memory that it takes beside the index: what the decoder takes, and lines on their way.
pub fn memory(header: &Header) -> u64 {
    let beside = size_of::<InPlace<'_>>() - size_of::<Delta>() + size_of::<Writer>() + size_of::<Frame<'_>>();
    super::memory(header) + beside as u64
}

/// Rewrites the slot, or goes on with it after a power cut. Once it has begun, the slot boots only after this returns `Ok`;
/// where a port fails it may be called again.
///
/// # Errors
/// [`DeltaError`]: [`DeltaError::Slot`], [`DeltaError::OtherOld`], [`DeltaError::Underway`], [`DeltaError::Memory`] and all
/// that a malformed delta says come before anything is erased.
pub fn apply<C: Digest>(
    header: Header,
    job: &Job<'_>,
    ports: Ports<'_>,
    crypto: &C,
) -> Result<(), DeltaError> {
    let (sector, sectors) = (ports.flash.sector(), ports.flash.sectors());
    let place =
        header.in_place.filter(|place| place.sector() == u64::from(sector) && place.sectors == sectors);
    let place = place.ok_or(DeltaError::Slot { sector, sectors })?;
    let shape = job.index.shape();
    if shape.length() != header.new.length || !header.is_aligned(shape.chunk_size()) {
        return Err(DeltaError::Slot { sector, sectors });
    }
    let needed = memory(&header);
    if needed > job.memory {
        return Err(DeltaError::Memory { needed, limit: job.memory });
    }
    let (journal, noted) = Journal::open(ports.flash).map_err(DeltaError::Output)?;
    let progress = match noted {
        Some(noted) if noted.delta == job.id => Some(noted.progress),
        Some(Noted { progress: Progress::Moving(_) | Progress::Writing(_), .. }) => {
            return Err(DeltaError::Underway);
        }
        _ => None,
    };
    let old_sectors = header.old.length.div_ceil(place.sector()) as u32;
    let delta = Delta::new(header, job.memory)?;
    let flash = RefCell::new(ports.flash);
    let shift = sectors - old_sectors;
    let mut update = InPlace { delta, journal, flash, payload: ports.payload, job: *job, sector, shift };
    update.run(progress, old_sectors, crypto)
}

/// Who takes the new image's bytes, and may use the flash meanwhile.
type Taking<'t> = &'t mut dyn FnMut(&[u8], &mut dyn Flash) -> Result<(), DeltaError>;

struct InPlace<'p> {
    delta: Delta,
    journal: Journal,
    flash: RefCell<&'p mut dyn Flash>,
    payload: &'p mut dyn Payload,
    job: Job<'p>,
    sector: u32,
    /// By how many sectors the old image is moved.
    shift: u32,
}

impl InPlace<'_> {
    fn run<C: Digest>(
        &mut self,
        progress: Option<Progress>,
        old_sectors: u32,
        crypto: &C,
    ) -> Result<(), DeltaError> {
        let (old, new) = (self.delta.header().old, self.delta.header().new);
        let mut progress = match progress {
            // Something else may have been written since.
            Some(Progress::Done) if self.holds(&new, crypto)? => return Ok(()),
            Some(progress @ (Progress::Moving(_) | Progress::Writing(_))) => progress,
            _ if !self.holds(&old, crypto)? => return Err(DeltaError::OtherOld),
            _ => {
                self.look_at_all(crypto)?;
                self.note(Progress::Moving(old_sectors))?
            }
        };
        if let Progress::Moving(left) = progress {
            self.move_up(left.min(old_sectors))?;
            progress = self.note(Progress::Writing(0))?;
        }
        if let Progress::Writing(done) = progress {
            self.write(done, crypto)?;
            if !self.holds(&new, crypto)? {
                let what = "it does not hold what was written";
                let error = PortError::new(FailureCode::SlotIo, "reading the slot back", what);
                return Err(DeltaError::Output(error));
            }
            self.note(Progress::Done)?;
        }
        Ok(())
    }

    fn note(&mut self, progress: Progress) -> Result<Progress, DeltaError> {
        let noted = Noted { delta: self.job.id, progress };
        self.journal.note(*self.flash.get_mut(), &noted).map_err(DeltaError::Output)?;
        Ok(progress)
    }

    /// Whether the slot begins with this image.
    fn holds<C: Digest>(&mut self, image: &ImageId, crypto: &C) -> Result<bool, DeltaError> {
        let mut running = crypto.start();
        let mut line = [0; LINE];
        let mut at = 0;
        while at < image.length {
            let length = (image.length - at).min(LINE as u64) as usize;
            let line = &mut line[..length];
            self.flash.get_mut().read(Area::Slot, at, line).map_err(DeltaError::Old)?;
            running.update(line);
            at += length as u64;
        }
        Ok(running.finish().0[..16] == image.digest)
    }

    /// Decodes every frame while the old image is where it was: whatever could be wrong is found while it still boots.
    fn look_at_all<C: Digest>(&mut self, crypto: &C) -> Result<(), DeltaError> {
        let (mut at, mut whole) = (0, crypto.start());
        for frame in 0..self.delta.header().frames.len() {
            at += self.look(frame, at, 0, Some(&mut whole), crypto)?;
        }
        if whole.finish().0[..16] == self.delta.header().new.digest {
            return Ok(());
        }
        let what = "it is not the one that the delta names";
        Err(DeltaError::Output(PortError::new(FailureCode::ImageDigest, "looking at the new image", what)))
    }

    /// Decodes a frame that makes the new image from `from` on, with the old image moved by `shift` bytes, and writes nothing:
    /// how many bytes it makes, all of which `whole` takes in. The index vouches for each of them.
    fn look<C: Digest>(
        &mut self,
        frame: usize,
        from: u64,
        shift: u64,
        mut whole: Option<&mut C::Running>,
        crypto: &C,
    ) -> Result<u64, DeltaError> {
        let mut looked = Looked::new(self.job.index, from, crypto);
        let mut made = 0;
        self.decode(frame, shift, &mut |bytes, _| {
            made += bytes.len() as u64;
            if let Some(whole) = &mut whole {
                whole.update(bytes);
            }
            looked.push(bytes)
        })?;
        looked.finish()?;
        Ok(made)
    }

    /// Decodes a frame; `output` has the flash to itself.
    fn decode(&mut self, frame: usize, shift: u64, output: Taking<'_>) -> Result<(), DeltaError> {
        let range = self.delta.range(frame).ok_or(DeltaError::Order(frame))?;
        let length = self.delta.header().old.length;
        let flash = &self.flash;
        let mut input = Frame::new(self.payload, range);
        let mut old = Old { flash, shift, length };
        let decoded = self
            .delta
            .frame(frame, &mut input, &mut old, &mut |bytes| output(bytes, &mut **flash.borrow_mut()));
        match input.trouble.take() {
            Some(trouble) => Err(trouble),
            None => decoded,
        }
    }

    /// Moves the old image's sectors before `left` up, from the last one on. A sector is overwritten only once the journal says
    /// that it was moved itself: `left` is what it says.
    fn move_up(&mut self, mut left: u32) -> Result<(), DeltaError> {
        for from in (0..left).rev() {
            let to = from + self.shift;
            if to < left {
                left = from + 1;
                self.note(Progress::Moving(left))?;
            }
            self.move_sector(from, to).map_err(DeltaError::Output)?;
        }
        Ok(())
    }

    fn move_sector(&mut self, from: u32, to: u32) -> Result<(), PortError> {
        let flash = self.flash.get_mut();
        flash.erase(Area::Slot, to)?;
        let [from, to] = [from, to].map(|number| u64::from(number) * u64::from(self.sector));
        let mut line = [0; LINE];
        for at in (0..u64::from(self.sector)).step_by(LINE) {
            flash.read(Area::Slot, from + at, &mut line)?;
            flash.write(Area::Slot, to + at, &line)?;
        }
        Ok(())
    }

    /// Writes the frames that are not `done`. What was looked at is what is written: the same frame of the same bytes.
    fn write<C: Digest>(&mut self, done: u32, crypto: &C) -> Result<(), DeltaError> {
        let shift = u64::from(self.shift) * u64::from(self.sector);
        let (mut at, mut map) = (0, None);
        for frame in 0..self.delta.header().frames.len() {
            let Some(makes) = self.delta.header().frames[frame].kind.makes() else {
                map = Some(frame);
                continue;
            };
            if frame as u32 >= done {
                if let Some(map) = map.take() {
                    self.decode(map, shift, &mut |_, _| Ok(()))?;
                }
                self.look(frame, at, shift, None, crypto)?;
                let mut writer = Writer::new(at, self.sector);
                self.decode(frame, shift, &mut |bytes, flash| writer.push(bytes, flash))?;
                writer.finish(*self.flash.get_mut())?;
                self.note(Progress::Writing(frame as u32 + 1))?;
            }
            at += makes;
        }
        Ok(())
    }
}
