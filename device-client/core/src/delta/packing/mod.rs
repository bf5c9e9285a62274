//! Packed parts of images, taken apart so that a delta is made of what they hold, and put together again byte for byte.
//!
//! | module | holds |
//! | --- | --- |
//! | [`method`] | how a part is packed |
//! | [`layer`] | which parts of both images are taken apart: a frame of parts |
//! | [`unpacked`] | the old image with its parts unpacked, read at any place |
//! | [`packed`] | the new image: its parts are packed again as they come |
//! | [`codec`] | both ways of each method |
//! | [`deflate`] | zlib's and GNU gzip's own way of packing |
//!
//! Decides nothing: the signer has proved with this code that every part comes back. A part that is described wrongly
//! is an error, or another byte that the index finds; it never takes more memory than the header declares, and never more
//! time than unpacking a part for each block that is read.

pub mod codec;
pub mod deflate;
pub mod layer;
pub mod method;
pub mod packed;
pub mod unpacked;

use alloc::vec::Vec;

use perennial_schemas::delta::{FrameKind, Header};

use self::layer::Layer;
use self::packed::Packed;
use self::unpacked::Unpacked;
use super::coder::Coder;
use super::walk::Output;
use super::{DeltaError, OldImage};

/// Both images' sides of every layer.
#[derive(Debug)]
pub struct Packing {
    sides: Vec<(Unpacked, Packed)>,
    /// How many of the layers were told.
    told: usize,
    /// The frame behind the one that was decoded last.
    next: usize,
}

impl Packing {
    /// Takes the memory that the header declares.
    ///
    /// # Errors
    /// [`DeltaError::Method`] for a library's version that isn't linked here.
    pub fn new(header: &Header) -> Result<Self, DeltaError> {
        header.layers.iter().try_for_each(codec::check)?;
        let sides = header.layers.iter().map(|parts| (Unpacked::new(parts), Packed::new(parts))).collect();
        Ok(Self { sides, told: 0, next: 0 })
    }

    /// Bytes that [`Packing::new`] and the layers take.
    pub fn memory(header: &Header) -> u64 {
        header.layers.iter().map(|parts| Unpacked::memory(parts) + Packed::memory(parts)).sum()
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
        let mut layer = Layer::default();
        layer.code(coder, &Layer::default(), parts, old_length)?;
        let (old, new) = self.sides.get_mut(number).ok_or(DeltaError::Parts)?;
        let Layer { methods, old: old_parts, new: new_parts } = layer;
        old.set(&methods, old_parts);
        new.set(methods, new_parts);
        self.told = self.told.max(number + 1);
        Ok(())
    }

    /// A data frame is going to be decoded: goes to its beginning, where that isn't where the last one ended.
    ///
    /// # Errors
    /// [`DeltaError::Order`] where parts weren't told, or a part is under way there.
    pub fn begin(&mut self, frame: usize, from: u64, header: &Header) -> Result<(), DeltaError> {
        if self.told < self.sides.len() {
            return Err(DeltaError::Order(frame));
        }
        if self.next != frame && !self.sides.is_empty() {
            let written = written(header, frame).ok_or(DeltaError::Order(frame))?;
            // What one layer makes is where the next one outwards begins.
            let starts = written[1..self.sides.len()].iter().copied().chain([from]);
            self.sides.iter_mut().zip(starts).for_each(|((_, new), start)| new.seek(start));
        }
        // Until the frame is whole, nothing goes on behind it.
        self.next = usize::MAX;
        Ok(())
    }

    /// A frame was decoded wholly: what follows goes on from here.
    ///
    /// # Errors
    /// [`DeltaError::Length`] where a part is under way at the new image's end.
    pub fn done(&mut self, frame: usize, header: &Header) -> Result<(), DeltaError> {
        let follows = |frame: usize| {
            let rest = header.frames.get(frame + 1..).unwrap_or_default();
            rest.iter().take_while(|frame| !matches!(frame.kind, FrameKind::Data(_))).count()
        };
        let next = frame + 1 + follows(frame);
        if next >= header.frames.len() && !self.sides.iter().all(|(_, new)| new.is_between()) {
            return Err(DeltaError::Length);
        }
        self.next = next;
        Ok(())
    }

    /// The old image with every part unpacked, and whoever takes the new one with every part packed.
    pub fn between<'p>(
        &'p mut self,
        old: &'p mut dyn OldImage,
        output: Output<'p>,
    ) -> (Inside<'p>, impl FnMut(&[u8]) -> Result<(), DeltaError> + use<'p>) {
        let (mut unpacked, mut packed) = (Vec::new(), Vec::new());
        for (old, new) in &mut self.sides {
            unpacked.push(old);
            packed.push(new);
        }
        let write = move |bytes: &[u8]| push(&mut packed, bytes, &mut *output);
        (Inside { image: old, layers: unpacked }, write)
    }
}

/// The old image as operations name it.
pub struct Inside<'p> {
    image: &'p mut dyn OldImage,
    layers: Vec<&'p mut Unpacked>,
}

impl OldImage for Inside<'_> {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError> {
        read(self.image, &mut self.layers, offset, into)
    }
}

fn read(
    image: &mut dyn OldImage,
    layers: &mut [&mut Unpacked],
    offset: u64,
    into: &mut [u8],
) -> Result<(), DeltaError> {
    match layers.split_last_mut() {
        None => image.read(offset, into),
        Some((last, outer)) => {
            last.read(offset, into, &mut |offset, into| read(&mut *image, &mut *outer, offset, into))
        }
    }
}

fn push(layers: &mut [&mut Packed], bytes: &[u8], output: Output<'_>) -> Result<(), DeltaError> {
    match layers.split_last_mut() {
        None => output(bytes),
        Some((last, outer)) => last.push(bytes, &mut |bytes| push(&mut *outer, bytes, &mut *output)),
    }
}

/// What every layer has written when a data frame begins, where that stands in the directory: at a mark, or at the start.
pub fn written(header: &Header, frame: usize) -> Option<[u64; perennial_schemas::delta::LAYERS]> {
    let before = header.frames.get(..frame)?;
    let clean = before.iter().rev().find(|frame| frame.kind != FrameKind::Map);
    if !matches!(clean.map(|frame| frame.kind), None | Some(FrameKind::Parts | FrameKind::Mark(_))) {
        return None;
    }
    let mut sum = [0; perennial_schemas::delta::LAYERS];
    for frame in before {
        if let FrameKind::Mark(more) = frame.kind {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    Some(sum)
}
