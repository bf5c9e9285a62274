//! A repository's folder or a site export: `metadata/` and `targets/` on a disk, a share or a stick.

#![expect(clippy::disallowed_methods, reason = "this module is the folder adapter")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use perennial_device_core::port::{Fetch, FetchError, Sink, Stop};

use super::{PIECE, stays_inside};
use crate::files::{FileError, open_regular, read_if_there};

/// A folder.
pub struct FolderSource {
    folder: PathBuf,
}

impl FolderSource {
    /// The folder that holds `metadata/` and `targets/`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn read(&self, below: &str, name: &str, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
        if !stays_inside(name) {
            return Ok(None);
        }
        read_if_there(&self.folder.join(below).join(name), limit).map_err(|error| match error {
            FileError::TooLong { path, limit } => {
                FetchError::TooLong { path: path.display().to_string(), limit }
            }
            FileError::Io { path, source } => unreadable(&path, &source),
        })
    }

    /// A file that is missing in a folder that is missing is no answer about the file.
    fn is_there(&self) -> Result<(), FetchError> {
        if self.folder.join("metadata").is_dir() {
            return Ok(());
        }
        let place = self.folder.display().to_string();
        Err(FetchError::Unreachable { place, detail: "there is no folder with metadata in it".into() })
    }
}

pub(super) fn is_file(path: &Path) -> bool {
    path.is_file()
}

impl Fetch for FolderSource {
    fn metadata(&mut self, name: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.is_there()?;
        self.read("metadata", name, max_length)
    }

    /// Read anew each time: somebody may renew it while a stick stays where it is.
    fn status(&mut self, path: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.is_there()?;
        self.read("", path, max_length)
    }

    fn forget(&mut self) {}

    fn target(&mut self, path: &str, max_length: u64) -> Result<Vec<u8>, FetchError> {
        self.is_there()?;
        let found = self.read("targets", path, max_length)?;
        found.ok_or_else(|| FetchError::NotFound { path: path.into() })
    }

    fn target_range(&mut self, path: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError> {
        self.is_there()?;
        let missing = || FetchError::NotFound { path: path.into() };
        if !stays_inside(path) {
            return Err(missing());
        }
        let full = self.folder.join("targets").join(path);
        let mut file = open_regular(&full).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(),
            _ => unreadable(&full, &error),
        })?;
        file.seek(SeekFrom::Start(range.start)).map_err(|error| unreadable(&full, &error))?;
        hand_over(&mut file, range, sink, &full)
    }
}

/// Hands `range.end - range.start` bytes of `file`, from where it stands, to `sink`.
pub(super) fn hand_over(
    file: &mut File,
    range: Range<u64>,
    sink: Sink<'_>,
    path: &Path,
) -> Result<(), FetchError> {
    let mut left = range.end.saturating_sub(range.start);
    let mut buffer = vec![0; PIECE];
    while left > 0 {
        let wanted = left.min(PIECE as u64) as usize;
        let got = file.read(&mut buffer[..wanted]).map_err(|error| unreadable(path, &error))?;
        if got == 0 {
            let detail = format!("it ends {left} bytes early");
            return Err(FetchError::Answer { path: path.display().to_string(), detail });
        }
        sink(&buffer[..got]).map_err(|Stop| FetchError::Stopped)?;
        left -= got as u64;
    }
    Ok(())
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> FetchError {
    FetchError::Unreachable { place: path.display().to_string(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, FolderSource) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("metadata/1.root.json", "{}"),
            ("targets/p/ab.x", "0123456789"),
            ("rollouts/p/2.0.0.json", "{}"),
            ("secret", "no"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let source = FolderSource::new(folder.path());
        (folder, source)
    }

    #[test]
    fn files_and_ranges_are_read() {
        let (_kept, mut source) = folder();
        assert_eq!(source.metadata("1.root.json", 2).unwrap().unwrap(), b"{}");
        assert_eq!(source.metadata("2.root.json", 2).unwrap(), None);
        assert!(matches!(source.metadata("1.root.json", 1), Err(FetchError::TooLong { limit: 1, .. })));
        assert_eq!(source.target("p/ab.x", 10).unwrap(), b"0123456789");
        assert_eq!(source.status("rollouts/p/2.0.0.json", 2).unwrap().unwrap(), b"{}");
        assert_eq!(source.status("rollouts/p/3.0.0.json", 2).unwrap(), None);
        assert!(matches!(source.status("rollouts/p/2.0.0.json", 1), Err(FetchError::TooLong { .. })));
        let mut got = Vec::new();
        let mut take = |piece: &[u8]| {
            got.extend_from_slice(piece);
            Ok(())
        };
        source.target_range("p/ab.x", 3..7, &mut take).unwrap();
        assert!(matches!(source.target_range("p/ab.x", 8..12, &mut take), Err(FetchError::Answer { .. })));
        assert_eq!(got, b"345689");
    }

    #[test]
    fn nothing_outside_is_read() {
        let (_kept, mut source) = folder();
        for path in ["../secret", "p/../../secret", "/etc/passwd", "p//ab.x", "./p/ab.x"] {
            assert!(matches!(source.target(path, 10), Err(FetchError::NotFound { .. })), "{path}");
            let range = source.target_range(path, 0..1, &mut |_| Ok(()));
            assert!(matches!(range, Err(FetchError::NotFound { .. })), "{path}");
        }
        assert_eq!(source.metadata("../secret", 10).unwrap(), None);
        assert_eq!(source.status("rollouts/../secret", 10).unwrap(), None);
    }

    #[test]
    fn a_folder_that_is_not_there_says_nothing_about_files() {
        let mut source = FolderSource::new(Path::new("/nowhere/at/all"));
        assert!(matches!(source.metadata("2.root.json", 2), Err(FetchError::Unreachable { .. })));
        assert!(matches!(source.status("rollouts/p/1.json", 2), Err(FetchError::Unreachable { .. })));
    }
}
