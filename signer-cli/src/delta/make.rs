//! Makes a delta: describe, match, plan, encode; of several ways the smallest.

use std::io;

use perennial_device_core::delta::DeltaError;
use perennial_device_core::delta::packing::layer::{Layer, numbers};
use perennial_device_core::delta::unit::Unit;
use perennial_schemas::crypto::Digest;
use perennial_schemas::delta::{FrameKind, Header, ImageId, InPlace, OPERATIONS, Profile, Sizes};

use super::coder::Encoder;
use super::detect::marks::{self, Marks, mark, marked};
use super::detect::{self, Described, Hint};
use super::encode::{Cut, Frames, encode};
use super::in_place::Room;
use super::known;
use super::matching::{self, Images as Searched, Masked, MatchError, Piece};
use super::packing::{self, Layers, Made, Places};
use super::partial::{self, Blocks, Images, Partial, Read};
use super::plan;
use super::progress::{Progress, Stage, Stopped};
use super::source::{self, Source};
use crate::crypto::Ring;
use crate::plain::grouped;

pub(super) mod tables;

/// How a delta is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For what kind of device.
    pub profile: Profile,
    /// The slot that is rewritten in place, for microcontrollers that have one only.
    pub in_place: Option<InPlace>,
    /// What the images' code is, where it isn't to be found out.
    pub code: Hint,
    /// Whether references are predicted.
    pub references: bool,
    /// Whether images are also matched with their references masked out.
    pub masks: bool,
    /// Whether packed parts are taken apart, for devices that have the memory to.
    pub packing: bool,
    /// What matching goes by.
    pub matching: matching::Options,
}

impl Settings {
    /// For what kind of device: one with a slot that is rewritten in place is a microcontroller.
    fn profile(&self) -> Profile {
        if self.in_place.is_some() { Profile::Mcu } else { self.profile }
    }
}

impl Default for Settings {
    /// For Linux, by one thread, with all that makes it smaller.
    fn default() -> Self {
        Self {
            profile: Profile::Linux,
            in_place: None,
            code: Hint::Auto,
            references: true,
            masks: true,
            packing: true,
            matching: matching::Options::default(),
        }
    }
}

/// Why no delta was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The new image is empty.
    #[error("the new image is empty")]
    Empty,
    /// The slot is too small for these images.
    #[error(
        "a slot of {} sectors of {} bytes is too small: the old image takes {} and one must be free, the new one takes {}",
        grouped((*sectors).into()),
        grouped(*sector),
        grouped(*old),
        grouped(*new)
    )]
    Slot {
        /// Bytes of a sector.
        sector: u64,
        /// Sectors of the slot.
        sectors: u32,
        /// Sectors of the old image.
        old: u64,
        /// Sectors of the new image.
        new: u64,
    },
    /// Matching ended early.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// What was made can't be coded: a mistake of ours, or more in it than the format holds.
    #[error(transparent)]
    Code(#[from] DeltaError),
    /// An image could not be read.
    #[error("reading an image")]
    Read(#[source] io::Error),
    /// Whoever asked for it said stop.
    #[error("stopped")]
    Stopped,
}

impl From<io::Error> for MakeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted => Self::Stopped,
            _ => Self::Read(error),
        }
    }
}

impl From<Stopped> for MakeError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// A delta.
#[derive(Debug)]
pub struct MadeDelta {
    /// The container.
    pub bytes: Vec<u8>,
    /// Parts of the new image that were packed to make it: its proof needn't do that again.
    pub packed: Places,
}

/// The delta from `old` to `new`, as a container. Ends soon after whoever hears of `progress` says no.
///
/// # Errors
/// [`MakeError`].
pub fn make(
    old: &[u8],
    new: &[u8],
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<Vec<u8>, MakeError> {
    let ids = (identity(old), identity(new));
    of_images(Images::whole(old, new), ids, &old, settings, progress).map(|made| made.bytes)
}

/// As [`make`], of images that are read as far as they have to be: two large ones that have much in common take less memory
/// than they are long.
///
/// # Errors
/// [`MakeError`].
pub fn make_from(
    old: &dyn Source,
    new: &dyn Source,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<MadeDelta, MakeError> {
    let length = old.length() + new.length();
    let limit = settings.matching.memory_limit;
    progress.begin(Stage::Reading, length);
    let ids = (source::identity(old, progress)?, source::identity(new, progress)?);
    progress.end();
    progress.go_on()?;
    if ids.0 == ids.1 && ids.0.length > 0 && settings.in_place.is_none() {
        return Ok(same(settings.profile(), ids.0));
    }
    let images = if length <= limit / WHOLE || settings.in_place.is_some() {
        let nothing = &Blocks::default();
        progress.begin(Stage::Reading, length);
        let read = |source| Partial::read(source, Vec::new(), (u64::MAX, nothing), progress);
        let images = Images { old: read(old)?, new: read(new)?, ..Images::default() };
        progress.end();
        images
    } else {
        known::read((old, new), limit / PARTIAL, progress)?
    };
    of_images(images, ids, old, settings, progress)
}

/// Up to this part of the memory limit images are read whole, and else as much of them as that part.
const WHOLE: u64 = 4;
const PARTIAL: u64 = 3;

fn of_images(
    images: Images<'_>,
    (old, new): (ImageId, ImageId),
    source: &dyn Source,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<MadeDelta, MakeError> {
    if new.length == 0 {
        return Err(MakeError::Empty);
    }
    if let Some(place) = settings.in_place {
        check(place, old.length, new.length)?;
    } else if old == new {
        return Ok(same(settings.profile(), old));
    }
    let takes_apart = settings.packing && settings.profile() == Profile::Linux;
    let jobs = settings.matching.jobs;
    let (apart, whole) = match (takes_apart, new.length) {
        (false, _) => (None, Some(images)),
        // Where it takes little time, it is seen whether that was worth it.
        (true, ..=APART) => (packing::take_apart(images.borrowed(), jobs, progress).ok(), Some(images)),
        (true, _) => packing::take_apart(images, jobs, progress)
            .map_or_else(|images| (None, Some(*images)), |apart| (Some(apart), None)),
    };
    progress.go_on()?;
    let mut layers = None;
    let mut best = None;
    if let Some(apart) = apart {
        let of = (Some(&apart.layers), source);
        best = Some(made(apart.images, of, settings, progress)?);
        layers = Some(apart.layers);
    }
    if let Some(images) = whole {
        let whole = made(images, (None, source), settings, progress)?;
        if best.as_ref().is_none_or(|(_, best): &(Sizes, Frames)| whole.1.bytes.len() < best.bytes.len()) {
            best = Some(whole);
        }
    }
    let (sizes, frames) = best.ok_or(MakeError::Empty)?;
    let takes_apart = frames.frames.first().is_some_and(|frame| frame.kind == FrameKind::Parts);
    let layers = layers.filter(|_| takes_apart).unwrap_or_default();
    let packed = layers.packed_before();
    let layers = layers.0.iter().map(|made| made.parts).collect();
    let (profile, in_place) = (settings.profile(), settings.in_place);
    let header = Header { profile, sizes, in_place, old, new, layers, frames: frames.frames };
    let mut bytes = header.encode();
    bytes.extend(frames.bytes);
    Ok(MadeDelta { bytes, packed })
}

/// The delta of an image that didn't change.
fn same(profile: Profile, image: ImageId) -> MadeDelta {
    MadeDelta { bytes: Header::of_same(profile, image).encode(), packed: Places::default() }
}

fn check(place: InPlace, old: u64, new: u64) -> Result<(), MakeError> {
    if place.is_sound(old, new) {
        return Ok(());
    }
    let (sector, sectors) = (place.sector(), place.sectors);
    Err(MakeError::Slot { sector, sectors, old: old.div_ceil(sector), new: new.div_ceil(sector) })
}

/// The smallest of several ways from the old to the new one of these images, which are those of `source` themselves, or what
/// their layers hold.
fn made(
    mut images: Images<'_>,
    (layers, source): (Option<&Layers>, &dyn Source),
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<(Sizes, Frames), MakeError> {
    let read = |at: u64, into: &mut [u8]| source.read_at(layers.map_or(at, |layers| layers.place(at)), into);
    let described = match settings.references {
        true => described(&images.old, &images.new, settings, progress),
        false => Described::default(),
    };
    for range in std::mem::take(&mut images.around) {
        images.old.load(range, &read)?;
    }
    let ways = ways(settings, &described, images.new.bytes().len());
    // The new image as if it were the old one.
    let turned = match ways.iter().any(Option::is_some) {
        true => self::described(&images.new, &images.old, settings, progress),
        false => Described::default(),
    };
    let mut best: Option<(Sizes, Frames)> = None;
    for way in ways {
        let pieces = {
            let of = (&described, &turned, *way);
            match has_room_for_masks(&images, *way, settings.matching.memory_limit) {
                true => pieces_of_whole(&images, of, &settings.matching, progress)?,
                false => pieces_of_partial(&mut images, of, &settings.matching, progress)?,
            }
        };
        let cuts = cuts(settings, layers, images.old.bytes().len(), images.new.bytes().len());
        let pieces = plan::cut(&pieces, &images.known);
        plan::load_copied(&mut images, &pieces, &read)?;
        for cut in cuts {
            let readable = match cut {
                Cut::InPlace(room) => {
                    let (old, new) = (images.old.bytes(), images.new.bytes());
                    Some(room.readable(old, new, &pieces, &settings.matching, progress)?)
                }
                Cut::Full | Cut::Between(_) => None,
            };
            let pieces = readable.as_ref().unwrap_or(&pieces);
            let coded = coded(&mut images, &read, pieces, &described, settings.profile(), cut, progress)?;
            if best.as_ref().is_none_or(|(_, best)| coded.1.bytes.len() < best.bytes.len()) {
                best = Some(coded);
            }
        }
    }
    best.ok_or(MakeError::Empty)
}

/// Descriptions of both images, and what they are matched by.
type Way<'w> = (&'w Described, &'w Described, Option<Marks>);

/// Whether nothing is missing of the images, and they may be in memory twice, once of these masked: what parts hold may be much
/// more than images that are read whole.
fn has_room_for_masks(images: &Images<'_>, way: Option<Marks>, limit: u64) -> bool {
    let held = || partial::held(images.old.bytes()) + partial::held(images.new.bytes());
    images.known.is_empty() && (way.is_none() || held() <= limit / WHOLE)
}

/// The pieces of images that are there as a whole: as they are, and once more where they are masked.
fn pieces_of_whole(
    images: &Images<'_>,
    (described, turned, way): Way<'_>,
    options: &matching::Options,
    progress: &Progress<'_>,
) -> Result<Vec<Piece>, MakeError> {
    let (old, new) = (images.old.bytes(), images.new.bytes());
    let masks = way.map(|marks| {
        progress.begin(Stage::Masking, marks::work(described, marks) + marks::work(turned, marks));
        let masks = (marked(old, described, marks, progress), marked(new, turned, marks, progress).0);
        progress.end();
        masks
    });
    let masked = masks.as_ref().map(|((old, fields), new)| Masked { old, new, fields });
    let held = partial::held(old) + partial::held(new);
    let options = left(options, held << u32::from(way.is_some()));
    Ok(matching::pieces(Searched { old, new, masked, exact: None }, &options, progress)?)
}

/// The pieces of images of which some is missing, or that are large: masked in their place.
fn pieces_of_partial(
    images: &mut Images<'_>,
    (described, turned, way): Way<'_>,
    options: &matching::Options,
    progress: &Progress<'_>,
) -> Result<Vec<Piece>, MakeError> {
    let exact = matching::exact(images.old.bytes(), images.new.bytes(), &images.known, progress)?;
    let marks = way.map(|marks| {
        progress.begin(Stage::Masking, marks::work(described, marks) + marks::work(turned, marks));
        let of_old = mark(images.old.bytes_mut(), described, marks, progress);
        let of_new = mark(images.new.bytes_mut(), turned, marks, progress);
        progress.end();
        (of_old, of_new)
    });
    let (old, new) = (images.old.bytes(), images.new.bytes());
    let saved = marks.as_ref().map_or(0, |(old, new)| old.held() + new.held());
    let options = left(options, partial::held(old) + partial::held(new) + saved);
    let masked = marks.as_ref().map(|(marked, _)| Masked { old, new, fields: &marked.fields });
    let exact = Some(&exact[..]);
    let mut pieces = matching::pieces(Searched { old, new, masked, exact }, &options, progress)?;
    if let Some((of_old, of_new)) = marks {
        of_old.restore(images.old.bytes_mut());
        of_new.restore(images.new.bytes_mut());
    }
    // What is a run where references are masked need not be one.
    let new = images.new.bytes();
    pieces.retain(|piece| match *piece {
        Piece::Fill { new: at, length, byte } => {
            new[at as usize..(at + length) as usize].iter().all(|other| *other == byte)
        }
        Piece::Copy(_) => true,
    });
    Ok(pieces)
}

/// With what is left of the memory limit beside what is held.
fn left(options: &matching::Options, held: u64) -> matching::Options {
    let limit = options.memory_limit;
    let memory_limit = limit.saturating_sub(held).max(LEAST_LEFT.min(limit));
    matching::Options { memory_limit, ..options.clone() }
}

/// Less than that isn't left for matching, unless there is less in all.
const LEAST_LEFT: u64 = 192 << 20;

fn described(
    old: &Partial<'_>,
    new: &Partial<'_>,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Described {
    progress.begin(Stage::Describing, (old.bytes().len() + new.bytes().len()) as u64);
    let described = detect::describe(old, new, &settings.code);
    progress.end();
    described
}

/// Where frames may end: for a slot that is rewritten in place several ways are tried.
fn cuts<'a>(settings: &Settings, layers: Option<&'a Layers>, old: usize, new: usize) -> Vec<Cut<'a>> {
    match (layers, settings.in_place) {
        (Some(layers), _) => vec![Cut::Between(layers)],
        (None, None) => vec![Cut::Full],
        (None, Some(place)) => {
            Room::choices(place, old as u64, new as u64).into_iter().map(Cut::InPlace).collect()
        }
    }
}

/// The frames that make the new image of these pieces: in as few units as the device has memory for.
fn coded(
    images: &mut Images<'_>,
    read: Read<'_>,
    pieces: &[Piece],
    described: &Described,
    profile: Profile,
    cut: Cut<'_>,
    progress: &Progress<'_>,
) -> Result<(Sizes, Frames), MakeError> {
    let apart = if let Cut::Between(apart) = cut { Some(apart) } else { None };
    let mut most = if profile == Profile::Mcu { STEPS_OF_MCU } else { OPERATIONS as usize };
    loop {
        // A unit of so few steps that still doesn't fit has too many sections for any: nothing is predicted then.
        let none = Described::default();
        let described = if most < FEWEST_OF_MCU { &none } else { described };
        let units = plan::units(images, pieces, described, most, cut.granule());
        let full = tables::sizes(profile, &units);
        let sizes = tables::within_memory(full, apart);
        // With fewer steps at a time there is more memory for the parts.
        if sizes != full && most > FEWEST_BESIDE_PARTS {
            most /= 2;
            continue;
        }
        plan::load_around(images, &units, read)?;
        let frames = coded_units(images, &units, (profile, &sizes), cut, progress)?;
        let fits = tables::of_mcu(&sizes, &frames.frames, cut) <= tables::MCU;
        if profile == Profile::Linux || fits || most < FEWEST_OF_MCU {
            return Ok((sizes, frames));
        }
        most /= 2;
    }
}

fn coded_units(
    images: &Images<'_>,
    units: &[Unit],
    tables: (Profile, &Sizes),
    cut: Cut<'_>,
    progress: &Progress<'_>,
) -> Result<Frames, MakeError> {
    let mut frames = Frames::default();
    let apart = if let Cut::Between(apart) = cut { Some(apart) } else { None };
    for made in apart.iter().flat_map(|layers| &layers.0) {
        let mut encoder = Encoder::default();
        let Made { layer, parts, old_length, .. } = made;
        Layer::default().code(&mut encoder, &mut numbers(), layer, parts, *old_length)?;
        frames.push(FrameKind::Parts, &encoder.finish());
    }
    progress.begin(Stage::Encoding, images.new.bytes().len() as u64);
    for unit in units {
        encode(unit, (images.old.bytes(), &images.new), tables, cut, &mut frames, &mut |at| {
            progress.at(at);
            progress.go_on().is_ok()
        })?
        .ok_or(MakeError::Stopped)?;
    }
    progress.end();
    Ok(frames)
}

/// The most steps of a map for a microcontroller: 32 KiB of its 64.
const STEPS_OF_MCU: usize = 1024;
const FEWEST_OF_MCU: usize = 64;
/// Down to here a map has fewer steps before tables become smaller.
const FEWEST_BESIDE_PARTS: usize = OPERATIONS as usize / 4;

/// Up to here it is tried both ways, with packed parts taken apart and without.
const APART: u64 = 8 << 20;

/// What images are matched by: one way where that takes long, several where it costs little to see which is better.
fn ways(settings: &Settings, described: &Described, length: usize) -> &'static [Option<Marks>] {
    match settings.masks && !described.sections.is_empty() {
        false => &[None],
        true if length <= SMALL => &[Some(Marks::All), Some(Marks::Tables), None],
        true => &[Some(Marks::All)],
    }
}

/// Up to here every way is tried.
const SMALL: usize = 2 << 20;

/// An image by length and digest.
pub fn identity(image: &[u8]) -> ImageId {
    let digest = Ring.sha256(image).0;
    ImageId { length: image.len() as u64, digest: std::array::from_fn(|i| digest[i]) }
}

#[cfg(test)]
mod tests;
