//! Content by digest: a folder of files named by their SHA-256. A file appears under its name only when it is whole,
//! verified and on the disk, and is never written again. It doesn't know who refers to a blob.

use crate::disk::{self, DiskError};
use crate::mapped::Mapped;
pub use perennial_schemas::Sha256Digest as Digest;
use ring::digest::{Context, SHA256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The digest of `bytes`.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
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

/// Files of at most 1 MiB are made durable together, at the end.
const SMALL: u64 = 1 << 20;
/// Up to so many small files are synced one by one; syncing a filesystem also waits for what others write to it.
const ONE_BY_ONE: usize = 64;

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

    /// The folder that they lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
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
    staged: BTreeSet<Digest>,
    /// Small files whose content isn't on the disk yet.
    unsynced: Vec<Digest>,
}

impl Staging {
    /// Begins in `folder`, on the same filesystem as the blobs; what an earlier, killed one left there is removed.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn begin(folder: PathBuf) -> Result<Self, DiskError> {
        disk::remove_folder(&folder)?;
        disk::create_folder(&folder)?;
        Ok(Self { folder, staged: BTreeSet::new(), unsynced: Vec::new() })
    }

    /// A file for content that must have that digest.
    ///
    /// # Errors
    /// When it can't be made, as when the same content is staged already.
    pub fn file(&self, digest: Digest) -> Result<Incoming, BlobError> {
        let path = self.folder.join(digest.to_string());
        let file = disk::create_private(&path)?;
        Ok(Incoming { file, path, expected: digest, hasher: Hasher::default(), length: 0 })
    }

    /// Takes a finished file.
    pub fn add(&mut self, done: Whole) {
        self.staged.insert(done.digest);
        if !done.synced {
            self.unsynced.push(done.digest);
        }
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
        self.sync()?;
        for digest in std::mem::take(&mut self.staged) {
            disk::rename(&self.folder.join(digest.to_string()), &blobs.path(&digest))?;
        }
        disk::sync_folder(&blobs.folder)
    }
}

impl Staging {
    /// Makes the small files durable: each by itself, or, where there are many, by syncing their filesystem once (ten
    /// thousand targets took 26 s one by one).
    fn sync(&mut self) -> Result<(), DiskError> {
        if self.unsynced.len() > ONE_BY_ONE && disk::sync_filesystem(&self.folder)? {
            self.unsynced.clear();
        }
        for digest in self.unsynced.drain(..) {
            disk::sync_file(&self.folder.join(digest.to_string()))?;
        }
        Ok(())
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
    length: u64,
}

/// Proof that a staged file is whole and has its digest.
#[derive(Debug)]
pub struct Whole {
    digest: Digest,
    synced: bool,
}

impl Incoming {
    /// Writes a piece, and hashes it on the way: no payload is hashed twice.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(disk::at("write", &self.path, self.file.write_all(bytes))?)
    }

    /// Checks the digest, and makes the content durable if it is large; [`Staging::keep`] sees to the small ones.
    ///
    /// # Errors
    /// [`BlobError::Digest`] when it is other content, [`BlobError::Disk`] when the disk fails.
    pub fn finish(self) -> Result<Whole, BlobError> {
        let found = self.hasher.finish();
        if found != self.expected {
            return Err(BlobError::Digest { expected: self.expected, found });
        }
        let synced = self.length > SMALL;
        if synced {
            disk::at("sync", &self.path, self.file.sync_data())?;
        }
        Ok(Whole { digest: found, synced })
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
        let digest = digest_of(b"hello");

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
        let mut file = staging.file(digest_of(b"other")).unwrap();
        file.write(b"hello").unwrap();
        assert!(file.finish().unwrap_err().to_string().contains(&digest_of(b"other").to_string()));
        drop(staging);
        assert_eq!(disk::count_entries(folder.path()).unwrap(), 1);
    }
}
