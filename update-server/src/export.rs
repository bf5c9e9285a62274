//! A site export: the served generation with its timestamp and the statuses of its rollouts, as a folder laid out like the
//! signer's repository, or as one file in the bundle's form. It changes no byte of what is served.

use crate::blobs::{Blobs, digest_of};
use crate::disk::{self, DiskError};
use crate::generation::Generation;
use crate::support::{Catalogue, Face, files};
use perennial_schemas::Timestamp;
use perennial_schemas::bundle::{BundleFile, BundleHeader};
use perennial_schemas::digest::encode_hex;
use perennial_schemas::document::FormatError;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Why nothing could be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder holds something.
    #[error("{0} exists and isn't an empty folder")]
    NotEmpty(PathBuf),
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The system gave no random numbers for a name beside the final place.
    #[error("the system gave no random numbers")]
    Random,
    /// The bundle's form can't hold it.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What the pages of an export go by.
#[derive(Debug, Clone, Copy)]
pub struct PagesOf<'a> {
    /// The day that they are for.
    pub now: Timestamp,
    /// What stands on them beside the signed records.
    pub face: &'a Face,
}

/// Writes the folder, with `rollouts` by their path in it: first beside its final place, under a name of its own, then renamed, so that it is there whole or
/// not at all. The number of bytes written.
///
/// # Errors
/// [`ExportError::NotEmpty`] when something is there, [`ExportError::Disk`] when the disk fails.
pub fn folder(
    generation: &Generation,
    timestamp: &[u8],
    rollouts: &BTreeMap<String, String>,
    blobs: &Blobs,
    to: &Path,
    pages: &PagesOf<'_>,
) -> Result<u64, ExportError> {
    if disk::exists(to) && disk::count_entries(to).unwrap_or(1) > 0 {
        return Err(ExportError::NotEmpty(to.into()));
    }
    disk::create_public_folder(parent(to))?;
    let beside = beside(to)?;
    disk::create_new_public_folder(&beside)?;
    let filled = fill(generation, timestamp, blobs, &beside);
    let filled = filled.and_then(|bytes| Ok(bytes + fill_rollouts(rollouts, &beside)?));
    let filled = filled.and_then(|bytes| Ok(bytes + fill_pages(generation, blobs, &beside, pages)?));
    let written = filled.and_then(|bytes| {
        disk::rename(&beside, to)?;
        disk::sync_folder(parent(to))?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = disk::remove_folder(&beside);
    }
    written
}

/// Writes one file in the bundle's form, with `rollouts` by their path in it. The number of bytes of its contents.
///
/// # Errors
/// [`ExportError::Disk`] when the disk fails; whatever was at that place is still there then.
pub fn file(
    generation: &Generation,
    timestamp: &[u8],
    rollouts: &BTreeMap<String, String>,
    blobs: &Blobs,
    to: &Path,
    now: Timestamp,
) -> Result<u64, ExportError> {
    let of = |path: &str, content: &[u8]| entry(path, content.len() as u64, digest_of(content));
    let mut files = vec![of("metadata/timestamp.json", timestamp)?];
    // Sorted by path, so that `metadata/` stands before `targets/`, as a bundle must have it.
    for (path, file) in &generation.files {
        files.push(entry(path, file.length, file.sha256)?);
    }
    for (path, status) in rollouts {
        files.push(of(path, status.as_bytes())?);
    }
    let header = BundleHeader::new(now, files);
    let beside = beside(to)?;
    let mut out = disk::create_public(&beside)?;
    let written = (|| {
        disk::at("write", &beside, out.write_all(&header.encode()?))?;
        disk::at("write", &beside, out.write_all(timestamp))?;
        for file in generation.files.values() {
            copy(&blobs.path(&file.sha256), file.length, &mut out, &beside)?;
        }
        for status in rollouts.values() {
            disk::at("write", &beside, out.write_all(status.as_bytes()))?;
        }
        disk::at("sync", &beside, out.sync_all())?;
        disk::rename(&beside, to)?;
        disk::sync_folder(parent(to))?;
        Ok(header.contents_length())
    })();
    if written.is_err() {
        let _ = disk::remove(&beside);
    }
    written
}

/// Pages and feeds. They can be made again at any time, so their bytes are left to the system to write out.
fn fill_pages(
    generation: &Generation,
    blobs: &Blobs,
    folder: &Path,
    pages: &PagesOf<'_>,
) -> Result<u64, ExportError> {
    let catalogue = Catalogue::read(generation, &Catalogue::default(), blobs)?;
    let view = catalogue.view(pages.now, pages.face);
    let mut bytes = 0;
    files::each(&catalogue, &view, |path, content| {
        let place = folder.join(path);
        disk::create_public_folder(parent(&place))?;
        let mut out = disk::create_public(&place)?;
        disk::at("write", &place, out.write_all(content))?;
        bytes += content.len() as u64;
        Ok::<_, ExportError>(())
    })?;
    Ok(bytes)
}

/// The statuses of rollouts as they are now: whoever takes the export is held by them until they expire, and then by their plans.
fn fill_rollouts(rollouts: &BTreeMap<String, String>, folder: &Path) -> Result<u64, ExportError> {
    let mut bytes = 0;
    for (path, status) in rollouts {
        let place = folder.join(path);
        disk::create_public_folder(parent(&place))?;
        disk::replace(&place, status.as_bytes(), 0o644)?;
        bytes += status.len() as u64;
    }
    Ok(bytes)
}

fn fill(generation: &Generation, timestamp: &[u8], blobs: &Blobs, folder: &Path) -> Result<u64, ExportError> {
    let mut bytes = timestamp.len() as u64;
    let mut folders = std::collections::BTreeSet::from([folder.to_owned()]);
    for (path, file) in &generation.files {
        let place = folder.join(path);
        let parent = place.parent().unwrap_or(folder).to_owned();
        if folders.insert(parent.clone()) {
            disk::create_public_folder(&parent)?;
        }
        let mut out = disk::create_public(&place)?;
        copy(&blobs.path(&file.sha256), file.length, &mut out, &place)?;
        disk::at("sync", &place, out.sync_all())?;
        bytes += file.length;
    }
    disk::replace(&folder.join("metadata/timestamp.json"), timestamp, 0o644)?;
    for folder in &folders {
        disk::sync_folder(folder)?;
    }
    Ok(bytes)
}

fn copy(blob: &Path, length: u64, out: &mut File, place: &Path) -> Result<(), ExportError> {
    let copied = disk::at("write", place, io::copy(&mut disk::open(blob)?.take(length + 1), out))?;
    if copied != length {
        let wrong = io::Error::other(format!("it has {copied} bytes in place of {length}"));
        disk::at("copy", blob, Err(wrong))?;
    }
    Ok(())
}

fn entry(path: &str, length: u64, sha256: crate::blobs::Digest) -> Result<BundleFile, ExportError> {
    let path = path.parse().map_err(|error| FormatError::shape("site export", format!("{error}")))?;
    Ok(BundleFile { path, length, sha256 })
}

/// A name beside the final place that nobody has: what is removed when an export fails is this export's own.
fn beside(to: &Path) -> Result<PathBuf, ExportError> {
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| ExportError::Random)?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    Ok(to.with_file_name(format!(".{name}.{}.part", encode_hex(&random))))
}

fn parent(to: &Path) -> &Path {
    to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
