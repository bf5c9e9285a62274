//! Reading a bundle: its header, its metadata into memory, its target files onto the disk, each hashed once on the way
//! in. Metadata comes first, so that no byte of a target is written before signed metadata vouches for it.

use super::IngestError;
use crate::blobs::{BlobError, Blobs, Digest, Staging, digest_of};
use crate::generation::FileRef;
use perennial_schemas::Document;
use perennial_schemas::bundle::{BundleFile, BundleHeader, PREFIX_LENGTH};
use perennial_schemas::limits::{ROOT_LENGTH, SNAPSHOT_LENGTH, TARGETS_LENGTH, TIMESTAMP_LENGTH};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, copy, sink};

/// 256 MiB of metadata in one bundle: all of it is in memory while it is verified. Ten thousand targets in one role
/// have about 4 MiB.
const METADATA_TOTAL: u64 = 256 << 20;
/// Read at once.
const BUFFER: usize = 256 << 10;

/// A bundle being read.
pub(super) struct Parcel<'a> {
    input: &'a mut dyn Read,
    files: Vec<BundleFile>,
}

impl<'a> Parcel<'a> {
    /// Reads the header.
    pub(super) fn open(input: &'a mut dyn Read, limit: u64) -> Result<Self, IngestError> {
        let mut prefix = [0; PREFIX_LENGTH];
        input.read_exact(&mut prefix).map_err(IngestError::Read)?;
        let mut header = vec![0; BundleHeader::length(&prefix)?];
        input.read_exact(&mut header).map_err(IngestError::Read)?;
        let header = BundleHeader::parse(&header)?;
        let length = header.contents_length();
        if length > limit {
            return Err(IngestError::TooLarge { length, limit });
        }
        Ok(Self { input, files: header.files })
    }

    /// Reads all metadata, by name without `metadata/`.
    pub(super) fn metadata(&mut self) -> Result<BTreeMap<String, Vec<u8>>, IngestError> {
        let first_other = self.files.iter().position(|file| !is_metadata(file)).unwrap_or(self.files.len());
        let others = self.files.split_off(first_other);
        if let Some(late) = others.iter().find(|file| is_metadata(file)) {
            return Err(IngestError::Order(late.path.to_string()));
        }
        let total = self.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.length));
        if total > METADATA_TOTAL {
            return Err(too_long("metadata of a bundle", METADATA_TOTAL));
        }
        let mut found = BTreeMap::new();
        for file in std::mem::replace(&mut self.files, others) {
            let name = file.path.as_str().trim_start_matches("metadata/").to_owned();
            let limit = limit_of(&name);
            if file.length > limit {
                return Err(too_long("metadata file of a bundle", limit));
            }
            let mut bytes = vec![0; file.length as usize];
            self.input.read_exact(&mut bytes).map_err(IngestError::Read)?;
            let digest = digest_of(&bytes);
            if digest != file.sha256 {
                let source = BlobError::Digest { expected: file.sha256, found: digest };
                return Err(IngestError::Damaged { path: file.path.to_string(), source });
            }
            found.insert(name, bytes);
        }
        Ok(found)
    }

    /// Stages every target file that isn't here yet; the number of new bytes. Only files that `wanted` names, with
    /// that length and digest, may be in the bundle, and another server's statuses of rollouts, which are passed over.
    pub(super) fn targets(
        &mut self,
        wanted: &BTreeMap<String, FileRef>,
        blobs: &Blobs,
        staging: &mut Staging,
    ) -> Result<u64, IngestError> {
        let mut new_bytes = 0;
        let mut seen = BTreeSet::new();
        for file in std::mem::take(&mut self.files) {
            let path = file.path.to_string();
            if path.starts_with("rollouts/") {
                skip(self.input, file.length)?;
                continue;
            }
            let vouched = FileRef { length: file.length, sha256: file.sha256 };
            if wanted.get(&path) != Some(&vouched) {
                return Err(IngestError::Unvouched(path));
            }
            if !seen.insert(file.sha256) || blobs.has(&file.sha256, file.length)? {
                skip(self.input, file.length)?;
            } else {
                stage(staging, file.sha256, &path, self.input, file.length)?;
                new_bytes += file.length;
            }
        }
        let mut more = [0; 1];
        match self.input.read(&mut more).map_err(IngestError::Read)? {
            0 => Ok(new_bytes),
            _ => Err(IngestError::Trailing),
        }
    }
}

/// Stages `length` bytes of `input` that must have that digest.
pub(super) fn stage(
    staging: &mut Staging,
    sha256: Digest,
    path: &str,
    input: &mut dyn Read,
    length: u64,
) -> Result<(), IngestError> {
    let damaged = |source: BlobError| match source {
        BlobError::Disk(error) => IngestError::Disk(error),
        source @ BlobError::Digest { .. } => IngestError::Damaged { path: path.into(), source },
    };
    let mut file = staging.file(sha256).map_err(damaged)?;
    let mut buffer = vec![0; BUFFER.min(length as usize)];
    let mut left = length;
    while left > 0 {
        let part = &mut buffer[..BUFFER.min(left as usize)];
        input.read_exact(part).map_err(IngestError::Read)?;
        file.write(part).map_err(damaged)?;
        left -= part.len() as u64;
    }
    staging.add(file.finish().map_err(damaged)?);
    Ok(())
}

fn skip(input: &mut dyn Read, length: u64) -> Result<(), IngestError> {
    let skipped = copy(&mut input.take(length), &mut sink()).map_err(IngestError::Read)?;
    if skipped < length {
        return Err(IngestError::Read(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

fn is_metadata(file: &BundleFile) -> bool {
    file.path.as_str().starts_with("metadata/")
}

fn limit_of(name: &str) -> u64 {
    match name {
        "timestamp.json" => TIMESTAMP_LENGTH,
        _ if name.ends_with(".root.json") => ROOT_LENGTH,
        _ if name.ends_with(".snapshot.json") => SNAPSHOT_LENGTH,
        _ => TARGETS_LENGTH,
    }
}

fn too_long(what: &'static str, limit: u64) -> IngestError {
    IngestError::Format(perennial_schemas::FormatError::TooLong { what, limit })
}
