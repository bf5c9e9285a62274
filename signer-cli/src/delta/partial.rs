//! Two large images, of which only that is in memory which isn't the same in both.
//!
//! Decides nothing. What is missing reads as zeros, and memory that nothing was written to costs nothing: whoever searches
//! such an image finds less there, and whoever copies from it must load it first.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use super::detect::Found;
use super::matching::Match;
use super::progress::{Progress, STRIDE};
use super::source::Source;

/// An image, of which stretches may be missing.
#[derive(Debug, Default)]
pub struct Partial<'a> {
    bytes: Cow<'a, [u8]>,
    /// Ascending and disjoint.
    missing: Vec<Range<u64>>,
    files: Vec<Found>,
}

/// Fills its argument with the bytes at an offset.
pub type Read<'r> = &'r dyn Fn(u64, &mut [u8]) -> io::Result<()>;

impl<'a> Partial<'a> {
    /// All of it is there.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), ..Self::default() }
    }

    /// An image as it was made, of which some is missing.
    pub fn of(bytes: Vec<u8>, missing: Vec<Range<u64>>) -> Self {
        Self { bytes: Cow::Owned(bytes), missing, files: Vec::new() }
    }

    /// Where files of it are known to be.
    #[must_use]
    pub fn with(self, files: Vec<Found>) -> Self {
        Self { files, ..self }
    }

    /// Reads what is not missing; `zeros` says which of its blocks of so many bytes need not be. The bytes are added to what
    /// `progress` counts.
    ///
    /// # Errors
    /// As the source.
    pub fn read(
        source: &dyn Source,
        missing: Vec<Range<u64>>,
        (block, zeros): (u64, &Blocks),
        progress: &Progress<'_>,
    ) -> io::Result<Self> {
        let length = source.length();
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?];
        let starts = std::iter::once(0).chain(missing.iter().map(|range| range.end));
        let ends = missing.iter().map(|range| range.start).chain([length]);
        for (mut at, end) in starts.zip(ends) {
            while at < end {
                let is_zero = zeros.has(at / block);
                let mut stop = at;
                let most = end.min(at + STRIDE as u64);
                while stop < most && zeros.has(stop / block) == is_zero {
                    stop = (stop / block + 1) * block;
                }
                stop = stop.min(most);
                if !is_zero {
                    source.read_at(at, &mut bytes[at as usize..stop as usize])?;
                }
                progress.more(stop - at);
                at = stop;
            }
        }
        Ok(Self::of(bytes, missing))
    }

    /// The same image: nothing of it is copied.
    fn borrowed(&self) -> Partial<'_> {
        Partial {
            bytes: Cow::Borrowed(&self.bytes),
            missing: self.missing.clone(),
            files: self.files.clone(),
        }
    }

    /// The image; zeros where it is missing.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The image, to be changed for a while. What is missing stays as it is.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.to_mut()
    }

    /// What is missing.
    pub fn missing(&self) -> &[Range<u64>] {
        &self.missing
    }

    /// Files that were found in it before parts of it were unpacked, where their pieces are now.
    pub fn files(&self) -> &[Found] {
        &self.files
    }

    /// Whether all of these bytes are there.
    pub fn holds(&self, range: &Range<u64>) -> bool {
        let after = self.missing.partition_point(|missing| missing.end <= range.start);
        self.missing.get(after).is_none_or(|missing| missing.start >= range.end)
    }

    /// Loads what is missing of these bytes.
    ///
    /// # Errors
    /// As `read`.
    pub fn load(&mut self, range: Range<u64>, read: Read<'_>) -> io::Result<()> {
        let range = range.start..range.end.min(self.bytes.len() as u64);
        let first = self.missing.partition_point(|missing| missing.end <= range.start);
        let count = self.missing[first..].partition_point(|missing| missing.start < range.end);
        let found: Vec<Range<u64>> = self.missing[first..first + count].to_vec();
        let mut left = Vec::new();
        for missing in found {
            let now = missing.start.max(range.start)..missing.end.min(range.end);
            read(now.start, &mut self.bytes.to_mut()[now.start as usize..now.end as usize])?;
            left.extend(
                [missing.start..now.start, now.end..missing.end].into_iter().filter(|rest| !rest.is_empty()),
            );
        }
        self.missing.splice(first..first + count, left);
        Ok(())
    }
}

/// One bit for each block of an image.
#[derive(Debug, Default)]
pub struct Blocks(Vec<u64>);

impl Blocks {
    /// None of so many.
    pub fn none_of(count: u64) -> Self {
        Self(vec![0; count.div_ceil(64) as usize])
    }

    /// Whether this one is among them.
    pub fn has(&self, block: u64) -> bool {
        self.0.get((block / 64) as usize).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    /// Adds or takes out a block.
    pub fn set(&mut self, block: u64, there: bool) {
        if let Some(word) = self.0.get_mut((block / 64) as usize) {
            let bit = 1 << (block % 64);
            *word = if there { *word | bit } else { *word & !bit };
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// Copies bytes but for blocks of zeros, which are there already: memory that nothing is written to costs nothing.
pub fn copy(from: &[u8], into: &mut [u8]) {
    for (from, into) in from.chunks(PAGE).zip(into.chunks_mut(PAGE)) {
        if !is_zero(from) {
            into.copy_from_slice(from);
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Bytes of an image of this length that are not missing.
pub fn there(length: u64, missing: &[Range<u64>]) -> u64 {
    length - missing.iter().map(|range| range.end - range.start).sum::<u64>()
}

/// Bytes of memory that an image takes.
pub fn held(image: &[u8]) -> u64 {
    image.chunks(PAGE).filter(|page| !is_zero(page)).count() as u64 * PAGE as u64
}

const PAGE: usize = 4096;

/// Both images, and what is known to be the same in both.
#[derive(Debug, Default)]
pub struct Images<'a> {
    /// The old image.
    pub old: Partial<'a>,
    /// The new image.
    pub new: Partial<'a>,
    /// Exactly what is missing of the new image, ascending, and where it stands in the old one.
    pub known: Vec<Match>,
    /// What is missing of the old image, and may be what something of the new one was made from: to be loaded before that is
    /// looked for. Ascending.
    pub around: Vec<Range<u64>>,
}

impl<'a> Images<'a> {
    /// All of both.
    pub fn whole(old: &'a [u8], new: &'a [u8]) -> Self {
        Self { old: Partial::whole(old), new: Partial::whole(new), ..Self::default() }
    }

    /// The same images: nothing of them is copied.
    pub fn borrowed(&self) -> Images<'_> {
        let (old, new) = (self.old.borrowed(), self.new.borrowed());
        Images { old, new, known: self.known.clone(), around: self.around.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_zero_until_it_is_loaded() {
        let image: Vec<u8> = (1..=200).cycle().take(20_000).collect();
        let source = &image[..];
        let mut partial = Partial::read(
            &source,
            vec![5_000..9_000, 12_000..20_000],
            (4096, &Blocks::default()),
            &Progress::default(),
        )
        .unwrap();
        assert_eq!(partial.bytes()[..5_000], image[..5_000]);
        assert!(partial.bytes()[5_000..9_000].iter().all(|byte| *byte == 0));
        assert_eq!(partial.bytes()[9_000..12_000], image[9_000..12_000]);
        assert!(
            partial.holds(&(9_000..12_000))
                && !partial.holds(&(9_000..12_001))
                && !partial.holds(&(0..5_001))
        );
        let read = |at: u64, into: &mut [u8]| source.read_at(at, into);
        partial.load(8_000..13_000, &read).unwrap();
        assert_eq!(partial.missing(), [5_000..8_000, 13_000..20_000]);
        assert_eq!(partial.bytes()[8_000..13_000], image[8_000..13_000]);
        partial.load(0..30_000, &read).unwrap();
        assert_eq!((partial.bytes(), partial.missing()), (&image[..], &[][..]));
    }
}
