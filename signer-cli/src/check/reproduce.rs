//! Every image that a release names is made anew from its payload, as a device would, before the release is published.
//!
//! Each payload chunk is compared with the payload's index before a decompressor sees it, each chunk of what comes out
//! with the image's index, and the whole with the manifest's digest. Bounded memory: a chunk of each and the window.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::document::Document;
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::limits::{INDEX_CHUNKS, RELEASE_LENGTH};
use perennial_schemas::release::{Encoding, Image, IndexRef, Payload, Release};
use perennial_schemas::{Sha256Digest, TargetPath};

use super::CheckError;
use crate::crypto::Ring;
use crate::files;

/// The longest index: header, page digests and chunk digests.
const INDEX_LENGTH: u64 = 32 + 32 * (INDEX_CHUNKS / 128) + 32 * INDEX_CHUNKS;

/// log2 of the greatest window, 8 MiB: what a device has.
const WINDOW_BITS: u32 = 23;

/// Target files by path.
pub(super) type Places = BTreeMap<String, PathBuf>;

/// Makes every image of the release whose manifest lies at `manifest` from each of its payloads.
///
/// # Errors
/// [`CheckError::Release`] with the target that doesn't hold what the manifest says.
pub(super) fn release(
    name: &str,
    manifest: &Path,
    places: &Places,
    progress: &mut dyn FnMut(u64),
) -> Result<(), CheckError> {
    let refuse = |why: String| CheckError::Release { manifest: name.into(), why };
    let release =
        Release::parse(&files::read(manifest, RELEASE_LENGTH)?).map_err(|e| refuse(e.to_string()))?;
    let own = Release::path(&release.product, &release.version).map_err(|e| refuse(e.to_string()))?;
    if own.as_str() != name {
        return Err(refuse(format!("it is the manifest of {own}")));
    }
    if let Some(sbom) = &release.sbom {
        place(sbom, places).map_err(refuse)?;
    }
    for image in &release.images {
        let index = read_index(&image.index, image.length, places).map_err(refuse)?;
        for payload in &image.payloads {
            reproduce(image, &index, payload, places, progress).map_err(refuse)?;
        }
    }
    Ok(())
}

fn reproduce(
    image: &Image,
    image_index: &Index,
    payload: &Payload,
    places: &Places,
    progress: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let index = read_index(&payload.index, payload.length, places)?;
    let path = place(&payload.target, places)?;
    let file = files::open(path).map_err(|e| e.to_string())?;
    let mut chunks = Chunks { file, index: &index, next: 0, chunk: Vec::new(), taken: 0, progress };
    let mut made = Made::new(image_index);
    let result = match &payload.encoding {
        Encoding::Plain => io::copy(&mut chunks, &mut made).map(drop),
        Encoding::Zstd => unpack(chunks, &mut made),
        Encoding::Delta => Err(io::Error::other("this version can't apply deltas")),
        // A device of today ignores it; whoever made it has the program that proves it.
        Encoding::Unknown(_) => return Ok(()),
    };
    result.map_err(|e| format!("{}: {e}", payload.target))?;
    let (length, sha256) = made.finish().map_err(|e| format!("{}: {e}", payload.target))?;
    if (length, sha256) == (image.length, image.sha256) {
        return Ok(());
    }
    Err(format!(
        "{} makes {length} bytes with SHA-256 {sha256}, the manifest says {} bytes with {}",
        payload.target, image.length, image.sha256
    ))
}

fn unpack(chunks: Chunks<'_, '_>, made: &mut Made<'_>) -> io::Result<()> {
    let mut decoder = zstd::stream::Decoder::new(chunks)?.single_frame();
    decoder.window_log_max(WINDOW_BITS)?;
    io::copy(&mut decoder, made)?;
    let mut rest = decoder.finish();
    match io::copy(&mut rest, &mut io::sink())? {
        0 => Ok(()),
        more => Err(io::Error::other(format!("{more} bytes stand after the end of its one frame"))),
    }
}

fn place<'p>(target: &TargetPath, places: &'p Places) -> Result<&'p Path, String> {
    places
        .get(target.as_str())
        .map(PathBuf::as_path)
        .ok_or_else(|| format!("it names {target}, and no role vouches for that"))
}

fn read_index(index: &IndexRef, length: u64, places: &Places) -> Result<Index, String> {
    let path = place(&index.target, places)?;
    let bytes = files::read(path, INDEX_LENGTH).map_err(|e| e.to_string())?;
    let read = Index::verify(&bytes, &index.root, &Ring).map_err(|e| format!("{}: {e}", index.target))?;
    match read.shape().length() {
        same if same == length => Ok(read),
        other => Err(format!("{} is for {other} bytes, the manifest says {length}", index.target)),
    }
}

/// A payload's bytes, each chunk compared with the index before it is handed on.
struct Chunks<'i, 'p> {
    file: io::BufReader<std::fs::File>,
    index: &'i Index,
    next: u64,
    chunk: Vec<u8>,
    taken: usize,
    progress: &'p mut dyn FnMut(u64),
}

impl Chunks<'_, '_> {
    fn advance(&mut self) -> io::Result<()> {
        (self.chunk, self.taken) = (Vec::new(), 0);
        let shape: Shape = self.index.shape();
        let Some((_, length)) = shape.chunk(self.next) else { return Ok(()) };
        (&mut self.file).take(length).read_to_end(&mut self.chunk)?;
        if self.index.chunk_digest(self.next) != Some(&Ring.sha256(&self.chunk)) {
            return Err(io::Error::other(format!("chunk {} is not what its index says", self.next)));
        }
        (self.progress)(self.chunk.len() as u64);
        self.next += 1;
        Ok(())
    }
}

impl Read for Chunks<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len() {
            self.advance()?;
        }
        let n = (&self.chunk[self.taken..]).read(out)?;
        self.taken += n;
        Ok(n)
    }
}

impl io::BufRead for Chunks<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.chunk.len() {
            self.advance()?;
        }
        Ok(&self.chunk[self.taken..])
    }

    fn consume(&mut self, n: usize) {
        self.taken += n;
    }
}

/// What comes out, compared with the image's index chunk by chunk.
struct Made<'i> {
    index: &'i Index,
    whole: <Ring as Digest>::Running,
    chunk: <Ring as Digest>::Running,
    filled: u64,
    number: u64,
    length: u64,
}

impl<'i> Made<'i> {
    fn new(index: &'i Index) -> Self {
        let (whole, chunk) = (Ring.start(), Ring.start());
        Self { index, whole, chunk, filled: 0, number: 0, length: 0 }
    }

    fn finish(self) -> io::Result<(u64, Sha256Digest)> {
        if self.filled > 0 {
            return Err(io::Error::other("the image ends in the middle of a chunk"));
        }
        Ok((self.length, self.whole.finish()))
    }
}

impl Write for Made<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let too_long = || io::Error::other("it makes more bytes than the image's index has");
        let (_, length) = self.index.shape().chunk(self.number).ok_or_else(too_long)?;
        // At most the length of a slice.
        let n = (length - self.filled).min(bytes.len() as u64) as usize;
        self.whole.update(&bytes[..n]);
        self.chunk.update(&bytes[..n]);
        self.length += n as u64;
        self.filled += n as u64;
        if self.filled == length {
            let chunk = std::mem::replace(&mut self.chunk, Ring.start()).finish();
            if self.index.chunk_digest(self.number) != Some(&chunk) {
                let what = format!("chunk {} of the image is not what its index says", self.number);
                return Err(io::Error::other(what));
            }
            (self.filled, self.number) = (0, self.number + 1);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
