//! The image of an earlier release, made from its full payload into a file without a name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_schemas::TargetPath;
use perennial_schemas::document::Document;
use perennial_schemas::index::Index;
use perennial_schemas::limits::RELEASE_LENGTH;
use perennial_schemas::release::{DeltaSource, Encoding, Image, IndexRef, Payload, Release};

use super::{Chunks, INDEX_LENGTH, Made, OldFile, full, index};
use crate::files;
use crate::scratch::Scratch;

/// Target files by path.
pub type Places = BTreeMap<String, PathBuf>;

/// Why there is no old image.
#[derive(Debug)]
pub enum Missing {
    /// Its files lie here no more.
    NotHere(String),
    /// Something doesn't hold what it should.
    Wrong(String),
}

/// The image that a delta of `release` starts from.
///
/// # Errors
/// [`Missing`].
pub fn source_image(
    release: &Release,
    source: &DeltaSource,
    places: &Places,
    progress: &mut dyn FnMut(u64),
) -> Result<OldFile, Missing> {
    let wrong = Missing::Wrong;
    let manifest = Release::path(&release.product, &source.version).map_err(|e| wrong(e.to_string()))?;
    let file = places.get(manifest.as_str()).filter(|file| files::exists(file));
    let file = file.ok_or_else(|| not_here(&manifest))?;
    let text = files::read(file, RELEASE_LENGTH).map_err(|e| wrong(e.to_string()))?;
    let earlier = Release::parse(&text).map_err(|e| wrong(format!("{manifest}: {e}")))?;
    let is_source = |image: &&Image| {
        (image.length, image.sha256, &image.index) == (source.length, source.sha256, &source.index)
    };
    let image = earlier.images.iter().find(is_source);
    image_of(
        image.ok_or_else(|| {
            wrong(format!("{manifest} has no image that is as a delta's source is described"))
        })?,
        places,
        progress,
    )
}

/// An image from its full payload.
///
/// # Errors
/// [`Missing`].
pub fn image_of(image: &Image, places: &Places, progress: &mut dyn FnMut(u64)) -> Result<OldFile, Missing> {
    let payloads = image.payloads.iter().filter(|p| matches!(p.encoding, Encoding::Plain | Encoding::Zstd));
    let here = |target: &TargetPath| places.get(target.as_str()).is_some_and(|file| files::exists(file));
    let Some(payload) = payloads.clone().find(|payload| here(&payload.target)) else {
        return Err(not_here(payloads.map(|payload| &payload.target).next().unwrap_or(&image.index.target)));
    };
    unpack(image, payload, places, progress).map_err(Missing::Wrong)
}

fn unpack(
    image: &Image,
    payload: &Payload,
    places: &Places,
    progress: &mut dyn FnMut(u64),
) -> Result<OldFile, String> {
    let image_index = read_index(&image.index, image.length, places)?;
    let index = read_index(&payload.index, payload.length, places)?;
    let path = place(&payload.target, places)?;
    let file = files::open(path).map_err(|e| e.to_string())?;
    let mut scratch = scratch_for(path)?;
    let mut made = Made::new(&image_index, &mut scratch);
    let fail = |e: std::io::Error| format!("{}: {e}", payload.target);
    full(&payload.encoding, Chunks::new(file, &index, progress), &mut made).map_err(fail)?;
    let got = made.finish().map_err(fail)?;
    if got != (image.length, image.sha256) {
        return Err(format!("{} does not make the image of its release", payload.target));
    }
    scratch.into_file().map(OldFile).map_err(|e| e.to_string())
}

/// Where a target lies.
///
/// # Errors
/// In words, where no role vouches for it.
pub fn place<'p>(target: &TargetPath, places: &'p Places) -> Result<&'p Path, String> {
    places
        .get(target.as_str())
        .map(PathBuf::as_path)
        .ok_or_else(|| format!("it names {target}, and no role vouches for that"))
}

/// An index of `length` bytes.
///
/// # Errors
/// In words.
pub fn read_index(named: &IndexRef, length: u64, places: &Places) -> Result<Index, String> {
    let bytes = files::read(place(&named.target, places)?, INDEX_LENGTH).map_err(|e| e.to_string())?;
    index(&bytes, named, length)
}

fn not_here(what: &TargetPath) -> Missing {
    Missing::NotHere(format!("{what} is not here any more"))
}

/// Beside the payload, or where this machine keeps what is temporary: a repository may be for reading alone.
fn scratch_for(payload: &Path) -> Result<Scratch, String> {
    let beside = payload.parent().map(Scratch::create_in).and_then(Result::ok);
    beside.map_or_else(|| Scratch::temporary().map_err(|e| e.to_string()), Ok)
}
