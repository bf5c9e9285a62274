//! ELF files in an image, wherever they stand: in an archive, in a file system, or alone.
//!
//! Decides which bytes are a whole file. Where a file stands in one piece, no format that holds it has to be known. One whose
//! last block stands elsewhere (EROFS puts it behind the inode) is found by its last section header; pieces and holes of
//! ext4 are told by its inodes, which count from the file system's start: such files are looked for before parts are unpacked.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::ext4;
use super::header::{Header, long};
use crate::delta::partial::Partial;

/// Files that are looked at in one image: a distribution's root file system has some thousand.
const MOST_FILES: usize = 1 << 16;
/// Files that one last block is tried with: few end alike.
const ALIKE: usize = 64;
/// A file system's block, of which a file's last one may stand elsewhere.
pub(super) const BLOCK: usize = 4096;
const MAGIC: &[u8] = b"\x7fELF";

/// Bytes of a file that stand together, by offsets into the file and into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where they begin in the file.
    pub file: usize,
    /// Where they begin in the image.
    pub image: usize,
    /// How many there are.
    pub length: usize,
}

/// A file in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its bytes, in order; what is between them is zero. All in the image; the first begins the file.
    pieces: Vec<Piece>,
    /// How long it is in bytes, as its headers tell.
    pub(super) length: usize,
}

impl Found {
    /// A file in one piece.
    pub(super) fn whole(at: usize, length: usize) -> Self {
        Self { pieces: vec![Piece { file: 0, image: at, length }], length }
    }

    /// A file of these pieces, if they are some, ascending in the file, and lie in the image.
    pub(super) fn of(image: &[u8], pieces: Vec<Piece>, length: usize) -> Option<Self> {
        let mut end = 0;
        let sound = pieces.iter().all(|piece| {
            let free = piece.file >= end;
            end = piece.file.saturating_add(piece.length);
            free && piece.image.checked_add(piece.length).is_some_and(|end| end <= image.len())
        });
        let begins = pieces.first().is_some_and(|piece| piece.file == 0);
        (sound && begins && end <= length && length <= image.len()).then_some(Self { pieces, length })
    }

    /// The same file in an image in which each of its pieces is where `place` says, all of it or some: the rest is a hole.
    pub fn moved<P: Iterator<Item = Piece>>(&self, image: &[u8], place: impl Fn(Piece) -> P) -> Option<Self> {
        Self::of(image, self.pieces.iter().copied().flat_map(place).collect(), self.length)
    }

    /// Where it begins in the image.
    pub(super) fn at(&self) -> usize {
        self.pieces.first().map_or(0, |piece| piece.image)
    }

    /// Whether it is in one piece.
    pub(super) fn is_whole(&self) -> bool {
        matches!(&self.pieces[..], [piece] if piece.length == self.length)
    }

    /// All of it.
    pub(super) fn content<'i>(&self, image: &'i [u8]) -> Cow<'i, [u8]> {
        self.part(image, 0..self.length).unwrap_or_default()
    }

    /// The pieces of some bytes of it.
    pub(super) fn cut(&self, range: Range<usize>) -> impl Iterator<Item = Piece> + '_ {
        let first = self.pieces.partition_point(|piece| piece.file + piece.length <= range.start);
        let none = range.is_empty();
        self.pieces[first..].iter().take_while(move |piece| !none && piece.file < range.end).map(
            move |piece| {
                let (start, end) = (range.start.max(piece.file), range.end.min(piece.file + piece.length));
                Piece { file: start, image: piece.image + (start - piece.file), length: end - start }
            },
        )
    }

    /// Some bytes of it, counted from its start; `None` past its end.
    pub(super) fn part<'i>(&self, image: &'i [u8], range: Range<usize>) -> Option<Cow<'i, [u8]>> {
        if range.start > range.end || range.end > self.length {
            return None;
        }
        let mut pieces = self.cut(range.clone());
        let first = pieces.next();
        let bytes = |piece: Piece| &image[piece.image..piece.image + piece.length];
        if let Some(piece) = first.filter(|piece| piece.length == range.len()) {
            return Some(Cow::Borrowed(bytes(piece)));
        }
        let mut all = vec![0; range.len()];
        for piece in first.into_iter().chain(pieces) {
            all[piece.file - range.start..][..piece.length].copy_from_slice(bytes(piece));
        }
        Some(Cow::Owned(all))
    }

    /// Whether this file and that one are the same, byte for byte.
    pub(super) fn equals(&self, image: &[u8], other: &Self, of_other: &[u8]) -> bool {
        self.length == other.length && self.content(image) == other.content(of_other)
    }
}

/// The files of an image, in the order in which they begin there: those that are known already, and all others.
pub fn find(image: &Partial<'_>) -> Vec<Found> {
    let (mut found, image) = (image.files().to_vec(), image.bytes());
    let known = Taken::by(&found);
    found.extend(of_file_systems(image).into_iter().filter(|file| !known.has(file.at())));
    found.truncate(MOST_FILES);
    let taken = Taken::by(&found);
    let mut cut: Vec<(usize, Header)> = Vec::new();
    let mut end = 0;
    for at in memmem::find_iter(image, MAGIC) {
        // A file in a file belongs to that one: a kernel holds some.
        if at < end || taken.has(at) || found.len() + cut.len() >= MOST_FILES {
            continue;
        }
        let Some(header) = Header::read(&image[at..]) else { continue };
        match header.length(image, &Found::whole(at, image.len() - at)) {
            Some(length) => {
                found.push(Found::whole(at, length));
                end = at + length;
            }
            None => cut.push((at, header)),
        }
    }
    if !cut.is_empty() {
        found.extend(with_tails(image, &cut));
    }
    found.sort_by_key(Found::at);
    found
}

/// Where the bytes of files stand, ascending.
struct Taken(Vec<Range<usize>>);

impl Taken {
    fn by(files: &[Found]) -> Self {
        let pieces = files.iter().flat_map(|file| &file.pieces);
        let mut taken: Vec<_> = pieces.map(|piece| piece.image..piece.image + piece.length).collect();
        taken.sort_by_key(|range| range.start);
        Self(taken)
    }

    fn has(&self, at: usize) -> bool {
        let before = self.0.partition_point(|range| range.start <= at);
        before.checked_sub(1).is_some_and(|before| at < self.0[before].end)
    }
}

/// Those files that inodes tell about.
fn of_file_systems(image: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    // A block is one file's, and holes are no rule.
    let mut left = image.len().saturating_mul(2);
    ext4::files(image, &mut |pieces, length| {
        let start = pieces.first().and_then(|piece| image.get(piece.image..));
        if !start.is_some_and(|start| start.starts_with(MAGIC)) || found.len() >= MOST_FILES {
            return;
        }
        let (Some(file), Some(after)) = (Found::of(image, pieces, length), left.checked_sub(length)) else {
            return;
        };
        left = after;
        let header = file.part(image, 0..length.min(BLOCK)).and_then(|start| Header::read(&start));
        if header.is_some_and(|header| header.length(image, &file).is_some()) {
            found.push(file);
        }
    });
    found
}

/// Type, flags, address and what follows the name of the last section header: the names of all sections.
const NAMES: &[u8] = &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Those of the cut files whose last block is found: by the last section header, which describes the names of all
/// sections, and these end where the section headers begin.
fn with_tails(image: &[u8], cut: &[(usize, Header)]) -> Vec<Found> {
    let mut by_table: HashMap<u64, Vec<usize>> = HashMap::new();
    for (i, (_, header)) in cut.iter().enumerate().filter(|(_, (_, header))| header.long) {
        by_table.entry(header.table).or_default().push(i);
    }
    let mut tails = Vec::new();
    for at in memmem::find_iter(image, NAMES) {
        // It stands 4 bytes into the section header, which has 64.
        let Some(last) = at.checked_sub(4).and_then(|start| image.get(start..start + 64)) else { continue };
        let (offset, length) = (long(last, 24), long(last, 32));
        let Some(table) = offset.checked_add(length).and_then(|end| end.checked_next_multiple_of(8)) else {
            continue;
        };
        let Some(files) = by_table.get_mut(&table) else { continue };
        let fits = files.iter().take(ALIKE).position(|i| {
            let (start, header) = &cut[*i];
            with_tail(image, *start, header, at + 60).is_some_and(|file| {
                tails.push(file);
                true
            })
        });
        if let Some(i) = fits {
            files.swap_remove(i);
        }
    }
    tails
}

/// The file at `at`, if its last block ends at `end`.
fn with_tail(image: &[u8], at: usize, header: &Header, end: usize) -> Option<Found> {
    let length = header.headers()?.end;
    let behind = length % BLOCK;
    let body = Piece { file: 0, image: at, length: length - behind };
    let tail = Piece { file: body.length, image: end.checked_sub(behind)?, length: behind };
    let file = Found::of(image, vec![body, tail], length)?;
    (header.length(image, &file) == Some(length)).then_some(file)
}

#[cfg(test)]
mod tests;
