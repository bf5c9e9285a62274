//! A bundle as a source: one file with metadata and targets, as a site export or the signer writes it.
//!
//! Its header is read once; contents are read where they lie. Nothing is unpacked, and the header's digests are not
//! needed: the core verifies every byte against signed metadata.

#![expect(clippy::disallowed_methods, reason = "this module is the bundle adapter")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use perennial_device_core::port::{Fetch, FetchError, Sink};
use perennial_schemas::Document;
use perennial_schemas::bundle::{BundleHeader, PREFIX_LENGTH};

use super::folder::{hand_over, unreadable};

/// A bundle.
pub struct BundleSource {
    file: File,
    path: PathBuf,
    /// Where each file begins, and how long it is.
    files: BTreeMap<String, (u64, u64)>,
}

impl BundleSource {
    /// Opens a bundle and reads its header.
    ///
    /// # Errors
    /// [`FetchError`] where it can't be read, is no bundle, or is shorter than its header says.
    pub fn open(path: &Path) -> Result<Self, FetchError> {
        let unreadable = |error: std::io::Error| unreadable(path, &error);
        let wrong = |detail: String| FetchError::Answer { path: path.display().to_string(), detail };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut prefix = [0; PREFIX_LENGTH];
        file.read_exact(&mut prefix).map_err(|_| wrong("it is no bundle: too short".into()))?;
        let length = BundleHeader::length(&prefix).map_err(|error| wrong(error.to_string()))?;
        let mut text = Vec::new();
        (&file).take(length as u64).read_to_end(&mut text).map_err(unreadable)?;
        let header = BundleHeader::parse(&text).map_err(|error| wrong(error.to_string()))?;
        let mut at = (PREFIX_LENGTH + length) as u64;
        let mut files = BTreeMap::new();
        for entry in &header.files {
            files.insert(entry.path.as_str().to_owned(), (at, entry.length));
            at = at.checked_add(entry.length).ok_or_else(|| wrong("its lengths are impossible".into()))?;
        }
        let there = file.metadata().map_err(unreadable)?.len();
        if there != at {
            return Err(wrong(format!("it has {there} bytes, its header says {at}")));
        }
        Ok(Self { file, path: path.to_owned(), files })
    }

    fn read(&mut self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let Some((_, length)) = self.files.get(name).copied() else { return Ok(None) };
        if length > limit {
            return Err(FetchError::TooLong { path: name.into(), limit });
        }
        let mut bytes = Vec::new();
        self.range(name, 0..length, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Some(bytes))
    }

    fn range(&mut self, name: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError> {
        let missing = || FetchError::NotFound { path: name.into() };
        let (start, length) = self.files.get(name).copied().ok_or_else(missing)?;
        if range.end > length {
            let detail = format!("it has {length} bytes, {} were expected", range.end);
            return Err(FetchError::Answer { path: name.into(), detail });
        }
        let to = SeekFrom::Start(start + range.start);
        self.file.seek(to).map_err(|error| unreadable(&self.path, &error))?;
        hand_over(&mut self.file, range, sink, &self.path)
    }
}

impl Fetch for BundleSource {
    fn metadata(&mut self, name: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.read(&format!("metadata/{name}"), max_length)
    }

    fn status(&mut self, path: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.read(path, max_length)
    }

    fn forget(&mut self) {}

    fn target(&mut self, path: &str, max_length: u64) -> Result<Vec<u8>, FetchError> {
        let found = self.read(&format!("targets/{path}"), max_length)?;
        found.ok_or_else(|| FetchError::NotFound { path: path.into() })
    }

    fn target_range(&mut self, path: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError> {
        self.range(&format!("targets/{path}"), range, sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_schemas::bundle::BundleFile;
    use perennial_schemas::{Sha256Digest, Timestamp};

    fn bundle(files: &[(&str, &str)]) -> Vec<u8> {
        let entry = |(path, text): &(&str, &str)| BundleFile {
            path: path.parse().unwrap(),
            length: text.len() as u64,
            sha256: Sha256Digest([0; 32]),
        };
        let header = BundleHeader::new(Timestamp::EPOCH, files.iter().map(entry).collect());
        let mut bytes = header.encode().unwrap();
        files.iter().for_each(|(_, text)| bytes.extend(text.as_bytes()));
        bytes
    }

    fn open(bytes: &[u8]) -> Result<BundleSource, FetchError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bundle");
        std::fs::write(&path, bytes).unwrap();
        BundleSource::open(&path)
    }

    #[test]
    fn files_are_read_where_they_lie() {
        let mut source = open(&bundle(&[
            ("metadata/1.root.json", "{}"),
            ("targets/p/x", "0123456789"),
            ("rollouts/p/1.json", "{}"),
        ]))
        .unwrap();
        assert_eq!(source.status("rollouts/p/1.json", 2).unwrap().unwrap(), b"{}");
        assert_eq!(source.status("rollouts/p/2.json", 2).unwrap(), None);
        assert_eq!(source.metadata("1.root.json", 2).unwrap().unwrap(), b"{}");
        assert_eq!(source.metadata("2.root.json", 2).unwrap(), None);
        assert_eq!(source.target("p/x", 10).unwrap(), b"0123456789");
        assert!(matches!(source.target("p/x", 9), Err(FetchError::TooLong { limit: 9, .. })));
        assert!(matches!(source.target("p/y", 9), Err(FetchError::NotFound { .. })));
        let mut got = Vec::new();
        let mut take = |piece: &[u8]| {
            got.extend_from_slice(piece);
            Ok(())
        };
        source.target_range("p/x", 2..5, &mut take).unwrap();
        assert!(source.target_range("p/x", 2..11, &mut take).is_err());
        assert_eq!(got, b"234");
    }

    #[test]
    fn damaged_bundles_are_refused() {
        let good = bundle(&[("metadata/a", "{}")]);
        let longer = [good.as_slice(), b"x"].concat();
        for bytes in
            [&good[..good.len() - 1], &longer, &good[..10], &good[..40], b"PK\x03\x04 something else"]
        {
            assert!(matches!(open(bytes), Err(FetchError::Answer { .. })));
        }
    }
}
