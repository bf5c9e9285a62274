//! An export: all records in one file that any engine's store can be made from, for back-ups and for moving house. It is
//! written and read as a stream, and is only believed once its end has been reached and its digest fits. The keys of the
//! server, the tokens and the blobs aren't in it.
//!
//! ```text
//! "perennial-records/1\n"
//! u32  length of the header, at most 64 KiB
//! header: JSON {format, requires, created, spaces: [names, in the order of their numbers]}
//! records, in the order of spaces and keys:
//!   u8 space, u32 length of the key, u32 length of the value, key, value
//! u8 255, u64 number of records
//! 32 bytes: SHA-256 of everything before
//! ```
//!
//! Numbers are big-endian.

use super::{Summary, Tally, frame};
use crate::blobs::{Digest, Hasher};
use crate::store::{KEY_LENGTH, Space, Store, StoreError, VALUE_LENGTH};
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

const MAGIC: &[u8] = b"perennial-records/1\n";
const FORMAT: &str = "perennial.records/1";
/// Names of a few spaces.
const HEADER_LENGTH: usize = 64 << 10;
/// Marks the end in the place of a space.
const END: u8 = u8::MAX;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    requires: Vec<String>,
    created: Timestamp,
    spaces: Vec<String>,
}

/// Why an export can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can't be written.
    #[error("the export can't be written: {0}")]
    Write(#[source] io::Error),
    /// It can't be read; where it ends too early, too.
    #[error("the export can't be read to its end: {0}")]
    Read(#[source] io::Error),
    /// It isn't an export, or one of a later version.
    #[error("this is no export of records that this version reads: {0}")]
    Unknown(String),
    /// It was damaged on its way.
    #[error("the export is damaged: {0}")]
    Damaged(&'static str),
    /// What arrived in the store isn't what was sent.
    #[error("the copy has other contents than what was copied: {0}")]
    Differs(String),
}

/// Writes everything that a store holds, as of one moment; the digest is the file's last 32 bytes.
///
/// # Errors
/// [`ArchiveError::Store`] and [`ArchiveError::Write`].
pub fn write(
    store: &dyn Store,
    created: Timestamp,
    out: &mut dyn Write,
) -> Result<(Summary, Digest), ArchiveError> {
    let spaces = Space::ALL.iter().map(|space| space.name().to_owned()).collect();
    let header = Header { format: FORMAT.into(), requires: Vec::new(), created, spaces };
    let header = serde_json::to_vec(&header).map_err(|error| ArchiveError::Unknown(error.to_string()))?;
    let mut out = Hashing { inner: out, hasher: Hasher::default() };
    out.put(MAGIC)?;
    out.put(&(header.len() as u32).to_be_bytes())?;
    out.put(&header)?;
    let (mut tally, mut failed) = (Tally::default(), None);
    let mut visit = |space: Space, key: &[u8], value: &[u8]| {
        tally.add(space, key, value);
        let written =
            out.put(&frame(space, key, value)).and_then(|()| out.put(key)).and_then(|()| out.put(value));
        failed = written.err();
        failed.is_none()
    };
    store.walk(&mut visit)?;
    if let Some(error) = failed {
        return Err(error);
    }
    let summary = tally.finish();
    out.put(&[END])?;
    out.put(&summary.records.to_be_bytes())?;
    let digest = out.hasher.finish();
    out.inner.write_all(&digest.0).and_then(|()| out.inner.flush()).map_err(ArchiveError::Write)?;
    Ok((summary, digest))
}

/// Reads an export, and gives its records to `take` in order. What was taken counts only if this returns well.
///
/// # Errors
/// An [`ArchiveError`].
pub fn read(
    input: &mut dyn Read,
    take: &mut dyn FnMut(Space, Vec<u8>, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(Summary, Digest), ArchiveError> {
    let mut input = Hashing { inner: input, hasher: Hasher::default() };
    if input.get(MAGIC.len())? != MAGIC {
        return Err(ArchiveError::Unknown("it begins otherwise".into()));
    }
    let spaces = input.header()?;
    let (mut tally, mut last) = (Tally::default(), None);
    loop {
        let code = input.get(1)?[0];
        if code == END {
            break;
        }
        let space = *spaces.get(usize::from(code)).ok_or(ArchiveError::Damaged("a space has no name"))?;
        let (key_length, value_length) = (input.length(KEY_LENGTH)?, input.length(VALUE_LENGTH)?);
        let (key, value) = (input.get(key_length)?, input.get(value_length)?);
        let place = (space, key.clone());
        if key.is_empty() || last.as_ref().is_some_and(|last| *last >= place) {
            return Err(ArchiveError::Damaged("its records are out of order"));
        }
        last = Some(place);
        tally.add(space, &key, &value);
        take(space, key, value)?;
    }
    let summary = tally.finish();
    let count = u64::from_be_bytes(input.array()?);
    let digest = input.hasher.finish();
    let mut told = [0; 32];
    input.inner.read_exact(&mut told).map_err(ArchiveError::Read)?;
    if digest.0 != told || count != summary.records {
        return Err(ArchiveError::Damaged("its digest is another"));
    }
    match input.inner.read(&mut [0]) {
        Ok(0) => Ok((summary, digest)),
        Ok(_) => Err(ArchiveError::Damaged("something follows its end")),
        Err(error) => Err(ArchiveError::Read(error)),
    }
}

/// A stream of which everything that passes is hashed.
struct Hashing<T> {
    inner: T,
    hasher: Hasher,
}

impl Hashing<&mut dyn Write> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes).map_err(ArchiveError::Write)
    }
}

impl Hashing<&mut dyn Read> {
    fn get(&mut self, length: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes).map_err(ArchiveError::Read)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(ArchiveError::Read)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn length(&mut self, limit: usize) -> Result<usize, ArchiveError> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        if length > limit { Err(ArchiveError::Damaged("a length is beyond its limit")) } else { Ok(length) }
    }

    /// The spaces by their numbers in this file.
    fn header(&mut self) -> Result<Vec<Space>, ArchiveError> {
        let length = self.length(HEADER_LENGTH)?;
        let unknown = |error: serde_json::Error| ArchiveError::Unknown(error.to_string());
        let header: Header = serde_json::from_slice(&self.get(length)?).map_err(unknown)?;
        if header.format != FORMAT || !header.requires.is_empty() {
            let wants = header.requires.join(", ");
            return Err(ArchiveError::Unknown(format!("format {}, requires [{wants}]", header.format)));
        }
        let known = |name: &String| {
            let space = Space::ALL.into_iter().find(|space| space.name() == name);
            space.ok_or_else(|| ArchiveError::Unknown(format!("it has records of the kind {name}")))
        };
        header.spaces.iter().map(known).collect()
    }
}
