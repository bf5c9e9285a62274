//! Packed parts of images, taken apart so that a delta is made of what they hold, and put together again byte for byte.
//!
//! | module | holds |
//! | --- | --- |
//! | [`method`] | how a part is packed |
//! | [`layer`] | which parts of both images are taken apart: a frame of parts |
//! | [`unpacked`] | the old image with its parts unpacked, read at any place |
//! | `held` | what waits of parts in two pieces for the place of the second one |
//! | `notes` | what is said of single parts, until they end |
//! | [`packed`] | the new image: its parts are packed again as they come |
//! | [`parse`] | what a zstd packer chose, told by what another version chooses otherwise |
//! | [`codec`] | both ways of each method |
//! | [`deflate`] | zlib's and GNU gzip's own way of packing |
//!
//! Decides nothing: the signer has proved with this code that every part comes back. A part that is described wrongly
//! is an error, or another byte that the index finds; it never takes more memory than the header declares, and never more
//! time than unpacking a part for each block that is read.

pub mod codec;
pub mod deflate;
pub mod held;
pub mod layer;
pub mod method;
mod notes;
pub mod packed;
pub mod parse;
pub mod unpacked;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;

use perennial_schemas::delta::{Frame, FrameKind, Header, LAYERS};

use self::codec::PackedBefore;
use self::layer::{Layer, numbers};
use self::packed::Packed;
use self::unpacked::Unpacked;
use super::coder::{Coder, Input};
use super::model::number::Numbers;
use super::walk::Output;
use super::{DeltaError, OldImage};

/// Every layer, and both images' sides of it.
#[derive(Debug)]
pub struct Packing {
    layers: Vec<Layer>,
    old: Vec<Unpacked>,
    new: Vec<Packed>,
    /// What layers are coded by, where there are any.
    numbers: Option<Numbers>,
    /// How many of the layers were told.
    told: usize,
    /// The frame behind the one that was decoded last.
    next: usize,
    /// Bytes of the new image that may still come.
    left: u64,
}

impl Packing {
    /// Takes the memory that the header declares.
    ///
    /// # Errors
    /// [`DeltaError::Method`] for a library's version that isn't linked here.
    pub fn new(header: &Header) -> Result<Self, DeltaError> {
        let parts = &header.layers;
        parts.iter().try_for_each(codec::check)?;
        Ok(Self {
            layers: parts.iter().map(Layer::with_room).collect(),
            old: parts.iter().map(Unpacked::new).collect(),
            new: parts.iter().map(Packed::new).collect(),
            numbers: (!parts.is_empty()).then(numbers),
            told: 0,
            next: 0,
            left: header.new.length,
        })
    }

    /// Bytes that [`Packing::new`] takes besides itself.
    pub fn memory(header: &Header) -> u64 {
        let parts = header.layers.iter();
        let each = |parts| Layer::memory(parts) + Unpacked::memory(parts) + Packed::memory(parts);
        let numbers = if header.layers.is_empty() { 0 } else { layer::memory_of_numbers() };
        numbers + parts.map(each).sum::<u64>()
    }

    /// What was packed before of the new image's own parts.
    pub(super) fn recall(&mut self, before: Box<dyn PackedBefore>) {
        if let Some(outermost) = self.new.first_mut() {
            outermost.recall(before);
        }
    }

    /// Decodes the frame of the layer with this number.
    ///
    /// # Errors
    /// [`DeltaError::Parts`], and as the coder.
    pub fn layer<C: Coder>(
        &mut self,
        coder: &mut C,
        number: usize,
        header: &Header,
    ) -> Result<(), DeltaError> {
        let parts = header.layers.get(number).ok_or(DeltaError::Parts)?;
        let before = number.checked_sub(1).and_then(|before| header.layers.get(before));
        let old_length = before.map_or(header.old.length, |parts| parts.old);
        let layer = self.layers.get_mut(number).ok_or(DeltaError::Parts)?;
        let numbers = self.numbers.as_mut().ok_or(DeltaError::Parts)?;
        // What was under way by the parts that are told anew isn't any more, whatever becomes of these.
        (self.next, self.told) = (usize::MAX, self.told.min(number));
        self.old[number].reset();
        layer.code(coder, numbers, &Layer::default(), parts, old_length)?;
        self.new[number].seek(layer, 0);
        self.told = self.told.max(number + 1);
        Ok(())
    }

    /// Takes a frame of notes, which stands where the new image, unpacked, goes on at byte `from`.
    ///
    /// # Errors
    /// As [`Packing::begin`]; [`DeltaError::Parts`] where it holds more than was declared, [`DeltaError::FrameLeft`].
    pub fn notes(
        &mut self,
        mut input: impl Input,
        frame: usize,
        from: u64,
        header: &Header,
    ) -> Result<(), DeltaError> {
        self.begin(frame, from, header)?;
        let noted = self.new.iter_mut().zip(&header.layers).filter(|(_, parts)| parts.notes > 0);
        for (new, _) in noted {
            new.notes.read(&mut input)?;
        }
        if input.next().is_some() {
            return Err(DeltaError::FrameLeft);
        }
        self.next = following(header, frame);
        Ok(())
    }

    /// A data frame is going to be decoded: goes to its beginning, where that isn't where the last one ended.
    ///
    /// # Errors
    /// [`DeltaError::Order`] where parts weren't told, or a part is under way there.
    pub fn begin(&mut self, frame: usize, from: u64, header: &Header) -> Result<(), DeltaError> {
        if self.told < self.layers.len() {
            return Err(DeltaError::Order(frame));
        }
        if self.layers.is_empty() {
            self.left = header.new.length.saturating_sub(from);
        } else if self.next != frame {
            let written = written(header, frame).ok_or(DeltaError::Order(frame))?;
            self.left = header.new.length.saturating_sub(written[0]);
            // What one layer makes is where the next one outwards begins.
            let starts = written[1..self.layers.len()].iter().copied().chain([from]);
            let sides = self.new.iter_mut().zip(&self.layers);
            sides.zip(starts).for_each(|((new, layer), start)| new.seek(layer, start));
        }
        // Until the frame is whole, nothing goes on behind it.
        self.next = usize::MAX;
        Ok(())
    }

    /// A frame was decoded wholly: what follows goes on from here.
    ///
    /// # Errors
    /// [`DeltaError::Length`] where a part is under way at the new image's end, or notes are left.
    pub fn done(&mut self, frame: usize, header: &Header) -> Result<(), DeltaError> {
        let next = following(header, frame);
        let mut sides = self.new.iter().zip(&self.layers);
        if next >= header.frames.len() && !sides.all(|(new, layer)| new.is_between(layer)) {
            return Err(DeltaError::Length);
        }
        self.next = next;
        Ok(())
    }

    /// The old image with every part unpacked, and whoever takes the new one with every part packed: never more than the header
    /// says, however often a part of the old image is named.
    pub fn between<'p, 'o>(
        &'p mut self,
        old: &'p Image<'o>,
        output: Output<'p>,
    ) -> (Inside<'p, 'o>, impl FnMut(&[u8]) -> Result<(), DeltaError> + use<'p, 'o>) {
        let (layers, new, left) = (&self.layers, &mut self.new, &mut self.left);
        let mut output = move |bytes: &[u8]| {
            *left = left.checked_sub(bytes.len() as u64).ok_or(DeltaError::Length)?;
            output(bytes)
        };
        let write = move |bytes: &[u8]| push(layers, new, bytes, old, &mut output);
        (Inside { image: old, layers, sides: &mut self.old }, write)
    }
}

/// The old image itself: read by what comes out of it unpacked, and by parts that stay as they are, never both at once.
pub type Image<'o> = RefCell<&'o mut (dyn OldImage + 'o)>;

/// The old image as operations name it.
pub struct Inside<'p, 'o> {
    image: &'p Image<'o>,
    layers: &'p [Layer],
    sides: &'p mut [Unpacked],
}

impl OldImage for Inside<'_, '_> {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError> {
        read(self.image, self.layers, self.sides, offset, into)
    }
}

fn read(
    image: &Image<'_>,
    layers: &[Layer],
    sides: &mut [Unpacked],
    offset: u64,
    into: &mut [u8],
) -> Result<(), DeltaError> {
    match (layers.split_last(), sides.split_last_mut()) {
        (Some((layer, layers)), Some((side, sides))) => {
            let outside = &mut |offset, into: &mut [u8]| read(image, layers, &mut *sides, offset, into);
            side.read(layer, offset, into, outside)
        }
        _ => image.borrow_mut().read(offset, into),
    }
}

fn push(
    layers: &[Layer],
    sides: &mut [Packed],
    bytes: &[u8],
    old: &Image<'_>,
    output: Output<'_>,
) -> Result<(), DeltaError> {
    match (layers.split_last(), sides.split_last_mut()) {
        (Some((layer, layers)), Some((side, sides))) => {
            let out = &mut |bytes: &[u8]| push(layers, &mut *sides, bytes, old, &mut *output);
            side.push(layer, bytes, old, out)
        }
        _ => output(bytes),
    }
}

/// The next frame with bytes of the new image, or notes of its parts.
fn following(header: &Header, frame: usize) -> usize {
    let passed = |frame: &&Frame| frame.kind.makes().is_none() && frame.kind != FrameKind::Notes;
    let rest = header.frames.get(frame + 1..).unwrap_or_default();
    frame + 1 + rest.iter().take_while(passed).count()
}

/// What every layer has written when a data frame begins, where that stands in the directory: at a mark, or at the start.
fn written(header: &Header, frame: usize) -> Option<[u64; LAYERS]> {
    let before = header.frames.get(..frame)?;
    let clean = before.iter().rev().find(|frame| frame.kind != FrameKind::Map);
    if !matches!(clean.map(|frame| frame.kind), None | Some(FrameKind::Parts | FrameKind::Mark(_))) {
        return None;
    }
    let mut sum = [0; LAYERS];
    for frame in before {
        if let FrameKind::Mark(more) = frame.kind {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests;
