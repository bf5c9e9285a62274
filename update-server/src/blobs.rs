//! Content by digest: a folder of files named by their SHA-256. A file appears under its name only when it is whole,
//! verified and on the disk, and is never written again. It doesn't know who refers to a blob.

use crate::disk::{self, DiskError};
use crate::mapped::Mapped;
use ring::digest::{Context, SHA256};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A SHA-256 digest; 64 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut context = Hasher::default();
        context.update(bytes);
        context.finish()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut out = [0; 32];
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err("a SHA-256 has 64 hexadecimal digits");
        }
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |c: u8| match c {
                b'0'..=b'9' => Ok(c - b'0'),
                b'a'..=b'f' => Ok(c - b'a' + 10),
                _ => Err("a SHA-256 is written in lower-case hexadecimal digits"),
            };
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(out))
    }
}

/// SHA-256 of what is fed in pieces.
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hasher {
    /// Feeds a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Digest {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        Digest(out)
    }
}

/// Why content wasn't taken.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file system failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The content isn't what was announced.
    #[error("its content has the SHA-256 {found}, but {expected} was announced")]
    Digest {
        /// As announced.
        expected: Digest,
        /// As received.
        found: Digest,
    },
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// The blobs in `folder`, which exists.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The path of a blob, whether it is there or not.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// True when the blob is there with that length.
    ///
    /// # Errors
    /// When the system can't tell.
    pub fn has(&self, digest: &Digest, length: u64) -> Result<bool, DiskError> {
        Ok(disk::length(&self.path(digest))? == Some(length))
    }

    /// Reads a small blob whole.
    ///
    /// # Errors
    /// When it isn't there, can't be read, or is larger than `limit` bytes.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, DiskError> {
        disk::read(&self.path(digest), limit)
    }

    /// Maps a blob into memory; `None` for an empty one, which has nothing to map.
    pub(crate) fn map(&self, digest: &Digest, length: u64) -> Result<Option<Mapped>, DiskError> {
        if length == 0 {
            return Ok(None);
        }
        let path = self.path(digest);
        let map = disk::at("map", &path, Mapped::open(&path))?;
        if map.bytes().len() as u64 != length {
            let reason = format!("it has {} bytes in place of {length}", map.bytes().len());
            return disk::at("map", &path, Err(std::io::Error::other(reason)));
        }
        Ok(Some(map))
    }
}

/// Content on its way into the folder: staged apart, then kept together. Dropped before [`Staging::keep`], nothing of
/// it remains.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    staged: Vec<Digest>,
}

impl Staging {
    /// Begins in `folder`, on the same filesystem as the blobs; what an earlier, killed one left there is removed.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn begin(folder: PathBuf) -> Result<Self, DiskError> {
        disk::remove_folder(&folder)?;
        disk::create_folder(&folder)?;
        Ok(Self { folder, staged: Vec::new() })
    }

    /// A file for content that must have that digest.
    ///
    /// # Errors
    /// When it can't be made, as when the same content is staged already.
    pub fn file(&self, digest: Digest) -> Result<Incoming, BlobError> {
        let path = self.folder.join(digest.to_string());
        let file = disk::create_private(&path)?;
        Ok(Incoming { file, path, expected: digest, hasher: Hasher::default() })
    }

    /// Takes a finished file.
    pub fn add(&mut self, done: Whole) {
        self.staged.push(done.0);
    }

    /// True when that content is staged.
    pub fn has(&self, digest: &Digest) -> bool {
        self.staged.contains(digest)
    }

    /// Reads a small staged file whole.
    ///
    /// # Errors
    /// When it isn't there, can't be read, or is larger than `limit` bytes.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, DiskError> {
        disk::read(&self.folder.join(digest.to_string()), limit)
    }

    /// Moves everything into the blobs; durable when this returns.
    ///
    /// # Errors
    /// When a file can't be moved; those that were are whole and do no harm.
    pub fn keep(mut self, blobs: &Blobs) -> Result<(), DiskError> {
        for digest in std::mem::take(&mut self.staged) {
            disk::rename(&self.folder.join(digest.to_string()), &blobs.path(&digest))?;
        }
        disk::sync_folder(&blobs.folder)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = disk::remove_folder(&self.folder);
    }
}

/// A file being received.
pub struct Incoming {
    file: File,
    path: PathBuf,
    expected: Digest,
    hasher: Hasher,
}

/// Proof that a staged file is whole, has its digest, and is on the disk.
#[derive(Debug)]
pub struct Whole(Digest);

impl Incoming {
    /// Writes a piece, and hashes it on the way: no payload is hashed twice.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.hasher.update(bytes);
        Ok(disk::at("write", &self.path, self.file.write_all(bytes))?)
    }

    /// Checks the digest and makes the content durable.
    ///
    /// # Errors
    /// [`BlobError::Digest`] when it is other content, [`BlobError::Disk`] when the disk fails.
    pub fn finish(self) -> Result<Whole, BlobError> {
        let found = self.hasher.finish();
        if found != self.expected {
            return Err(BlobError::Digest { expected: self.expected, found });
        }
        disk::at("sync", &self.path, self.file.sync_data())?;
        Ok(Whole(found))
    }
}

/// The path of a blob in the blobs folder of a state folder; for readers that open no store.
pub fn path_in(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(digest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::at(folder.path().join("blobs"));
        disk::create_folder(&folder.path().join("blobs")).unwrap();
        let digest = Digest::of(b"hello");

        let mut staging = Staging::begin(folder.path().join("incoming")).unwrap();
        let mut file = staging.file(digest).unwrap();
        file.write(b"hel").unwrap();
        file.write(b"lo").unwrap();
        staging.add(file.finish().unwrap());
        assert!(!blobs.has(&digest, 5).unwrap());
        staging.keep(&blobs).unwrap();
        assert!(blobs.has(&digest, 5).unwrap());
        assert_eq!(blobs.read(&digest, 5).unwrap(), b"hello");
        assert_eq!(&blobs.map(&digest, 5).unwrap().unwrap().bytes()[..], b"hello");
        assert!(!disk::exists(&folder.path().join("incoming")));

        let staging = Staging::begin(folder.path().join("incoming")).unwrap();
        let mut file = staging.file(Digest::of(b"other")).unwrap();
        file.write(b"hello").unwrap();
        assert!(file.finish().unwrap_err().to_string().contains(&Digest::of(b"other").to_string()));
        drop(staging);
        assert_eq!(disk::count_entries(folder.path()).unwrap(), 1);
    }

    #[test]
    fn a_digest_reads_back() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("E3".parse::<Digest>().is_err());
        assert!("E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse::<Digest>().is_err());
    }
}
