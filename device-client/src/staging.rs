//! Room for one payload: a file in the state folder. What it keeps is verified again when it is read.

#![expect(clippy::disallowed_methods, reason = "this module is the staging area's adapter")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use perennial_device_core::download::INDEX_LENGTH;
use perennial_device_core::port::{IndexOf, PortError, Staging};
use perennial_device_core::vouch::Vouched;
use perennial_schemas::report::FailureCode;

use crate::files::{read_limited, room_for};

/// Bytes of the disk that stay free for everything else.
const SPARE: u64 = 64 * 1024 * 1024;

/// A staging area in a file.
#[derive(Debug)]
pub struct FileStaging {
    path: PathBuf,
    open: Option<File>,
}

impl FileStaging {
    /// The staging area in this file, which need not be there.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None }
    }

    fn with<T>(
        &mut self,
        what: &str,
        create: bool,
        work: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> Result<T, PortError> {
        let opened = match self.open.take() {
            Some(file) => Ok(file),
            None => OpenOptions::new().read(true).write(true).create(create).truncate(false).open(&self.path),
        };
        let done = opened.and_then(|mut file| {
            let done = work(&mut file);
            self.open = Some(file);
            done
        });
        done.map_err(|error| self.failed(what, &error))
    }

    fn index(&self, of: IndexOf) -> PathBuf {
        self.path.with_extension(match of {
            IndexOf::Image => "image-index",
            IndexOf::Payload => "payload-index",
        })
    }

    fn failed(&self, what: &str, error: &io::Error) -> PortError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let full = matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge);
        let lost = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound);
        let code = match (full, lost) {
            (true, _) => FailureCode::NoRoom,
            // What was kept is gone: as with what was changed, only another download helps.
            (_, true) => FailureCode::PayloadDigest,
            _ => FailureCode::Storage,
        };
        PortError::new(code, format!("{what} the staging area ({})", self.path.display()), error.to_string())
    }
}

impl Staging for FileStaging {
    fn room(&mut self) -> Result<u64, PortError> {
        let kept = std::fs::metadata(&self.path).map_or(0, |there| there.blocks() * 512);
        let free = room_for(&self.path, SPARE).map_err(|error| self.failed("measuring", &error))?;
        Ok(free.saturating_add(kept))
    }

    fn clear(&mut self) -> Result<(), PortError> {
        self.open = None;
        for path in [self.path.clone(), self.index(IndexOf::Image), self.index(IndexOf::Payload)] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("clearing", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, chunk: &Vouched<'_>) -> Result<(), PortError> {
        self.with("writing", true, |file| {
            file.seek(SeekFrom::Start(chunk.offset()))?;
            file.write_all(chunk.bytes())
        })
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
        self.with("reading", false, |file| {
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(into)
        })
    }

    fn sync(&mut self) -> Result<(), PortError> {
        self.with("syncing", true, |file| file.sync_all())?;
        crate::files::sync_folder(&self.path).map_err(|error| {
            PortError::new(FailureCode::Storage, "syncing the staging area", error.to_string())
        })
    }

    fn keep(&mut self, index: IndexOf, bytes: &[u8]) -> Result<(), PortError> {
        let kept = File::create(self.index(index)).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        kept.map_err(|error| self.failed("keeping an index in", &error))
    }

    fn kept(&mut self, index: IndexOf) -> Option<Vec<u8>> {
        read_limited(&self.index(index), INDEX_LENGTH).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_device_core::crypto::Ring;
    use perennial_schemas::Digest;
    use perennial_schemas::index::{Index, Shape};

    #[test]
    fn what_is_kept_is_read_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("staging");
        let mut staging = FileStaging::new(&path);
        let bytes = [7; 5000];
        let index = Index::new(
            Shape::new(5000, 12).unwrap(),
            vec![Ring.sha256(&bytes[..4096]), Ring.sha256(&bytes[4096..])],
        )
        .unwrap();
        staging.clear().unwrap();
        staging.write(&Vouched::new(&index, 1, &bytes[4096..], &Ring).unwrap()).unwrap();
        staging.sync().unwrap();
        let mut got = [0; 904];
        FileStaging::new(&path).read(4096, &mut got).unwrap();
        assert_eq!(got, bytes[4096..]);
        assert_eq!(staging.read(4097, &mut got).unwrap_err().code, FailureCode::PayloadDigest);
        assert!(staging.room().unwrap() > 0);
        staging.keep(IndexOf::Image, b"an index").unwrap();
        assert_eq!(FileStaging::new(&path).kept(IndexOf::Image).unwrap(), b"an index");
        assert_eq!(staging.kept(IndexOf::Payload), None);
        staging.clear().unwrap();
        assert!(!path.exists());
        assert_eq!(staging.kept(IndexOf::Image), None);
        assert_eq!(staging.read(0, &mut got).unwrap_err().code, FailureCode::PayloadDigest);
        assert!(!path.exists());
    }
}
