//! Every image that a release names is made anew from each of its payloads, as a device would, before it is published.
//!
//! A delta starts from the image of an earlier release, which is made from that one's full payload first. Where that lies
//! here no more, the delta can't be proved here, and that is told.

use std::io;
use std::path::Path;

use perennial_schemas::document::Document;
use perennial_schemas::index::Index;
use perennial_schemas::limits::RELEASE_LENGTH;
use perennial_schemas::release::{DeltaSource, Encoding, Image, Payload, Release};

use super::CheckError;
use crate::files;
use crate::reproduce::{self, Chunks, Made, Missing, OldFile, Places, place, read_index};

/// Makes every image of the release whose manifest lies at `manifest` from each of its payloads. Gives the deltas that could
/// not be proved, each with the reason.
///
/// # Errors
/// [`CheckError::Release`] with the target that doesn't hold what the manifest says.
pub(super) fn release(
    name: &str,
    manifest: &Path,
    places: &Places,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<String>, CheckError> {
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
    let mut unproved = Vec::new();
    for image in &release.images {
        let index = read_index(&image.index, image.length, places).map_err(refuse)?;
        for payload in &image.payloads {
            let old = match payload.source.as_ref().filter(|_| payload.encoding == Encoding::Delta) {
                None => None,
                Some(source) => match reproduce::source_image(&release, source, places, progress) {
                    Ok(old) => Some((old, source)),
                    Err(Missing::NotHere(what)) => {
                        unproved.push(format!("{} could not be proved: {what}", payload.target));
                        continue;
                    }
                    Err(Missing::Wrong(why)) => return Err(refuse(why)),
                },
            };
            reproduce(image, &index, payload, old, places, progress).map_err(refuse)?;
        }
    }
    Ok(unproved)
}

fn reproduce(
    image: &Image,
    image_index: &Index,
    payload: &Payload,
    old: Option<(OldFile, &DeltaSource)>,
    places: &Places,
    progress: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let mut nowhere = io::sink();
    let mut made = Made::new(image_index, &mut nowhere);
    let index = read_index(&payload.index, payload.length, places)?;
    let path = place(&payload.target, places)?;
    let file = files::open(path).map_err(|e| e.to_string())?;
    let chunks = Chunks::new(file, &index, progress);
    let result = match (&payload.encoding, old) {
        (Encoding::Plain | Encoding::Zstd, _) => reproduce::full(&payload.encoding, chunks, &mut made),
        (Encoding::Delta, Some((mut old, source))) => {
            let from = reproduce::identity(source.length, &source.sha256);
            let new = reproduce::identity(image.length, &image.sha256);
            reproduce::delta(chunks, (&mut old, from), new, None, &mut made)
        }
        // A device of today ignores it; whoever made it has the program that proves it.
        (Encoding::Delta, None) | (Encoding::Unknown(_), _) => return Ok(()),
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
