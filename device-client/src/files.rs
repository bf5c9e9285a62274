//! Files: reading with a limit, and writing so that a power cut leaves the old file or the new one.

#![expect(clippy::disallowed_methods, reason = "this module is the file adapter")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Longer than it may be.
    #[error("{path} is longer than {limit} bytes", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Whether the disk is full, or a quota or limit says so.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// Whether the file is missing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A whole file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let file = open_regular(path).map_err(FileError::io(path))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::io(path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLong { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Opens a file to read. A pipe or a device is refused at once: opening or reading one may wait for ever, and what a
/// stick or a share holds is anybody's.
///
/// # Errors
/// What the system says; `InvalidInput` for what is no file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}

/// Like [`read_limited`]; `None` where there is no such file.
///
/// # Errors
/// [`FileError`].
pub fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    match read_limited(path, limit) {
        Err(error) if error.is_missing() => Ok(None),
        other => other.map(Some),
    }
}

/// Writes a file durably: a temporary file beside it, fsync, rename, fsync of the folder. Until the rename the old
/// file stands, so that a full disk or a power cut loses nothing.
///
/// # Errors
/// [`FileError`]: either file may be there then, whole. The new one where only its folder could not be synced.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = beside(path);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if let Err(source) = written {
        // What is left over would only fill the disk; the next write replaces it anyway.
        let _ = std::fs::remove_file(&temporary);
        return Err(FileError::Io { path: path.to_owned(), source });
    }
    sync_folder(path)
}

/// As [`write_durably`], for what nobody but this user may read (mode 0600).
///
/// # Errors
/// [`FileError`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = beside(path);
    // One that is left over may have another mode.
    let _ = std::fs::remove_file(&temporary);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    let written = file
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if let Err(source) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(FileError::Io { path: path.to_owned(), source });
    }
    sync_folder(path)
}

/// Removes a file durably, if it is there.
///
/// # Errors
/// [`FileError`].
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FileError::Io { path: path.to_owned(), source }),
        Ok(()) => sync_folder(path),
    }
}

/// A path that doesn't depend on the working directory.
///
/// # Errors
/// [`FileError`] where there is no working directory.
pub fn absolute(path: &Path) -> Result<PathBuf, FileError> {
    std::path::absolute(path).map_err(FileError::io(path))
}

/// Whether anything is there.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// How many bytes still fit on the disk of `path`, which need not exist, when `spare` bytes stay free.
///
/// # Errors
/// What the system says.
pub(crate) fn room_for(path: &Path, spare: u64) -> io::Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(spare))
}

/// Makes the entries of a file's folder durable.
///
/// # Errors
/// [`FileError`].
pub fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::io(folder))
}

/// Creates a folder and those above it.
///
/// # Errors
/// [`FileError`].
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(FileError::io(path))
}

/// Creates a folder that this user alone may look into (mode 0700); one that is there must be this user's, and becomes so.
///
/// # Errors
/// [`FileError`].
pub fn private_folder(path: &Path) -> Result<(), FileError> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map_err(FileError::io(path)),
    }
    let there = std::fs::symlink_metadata(path).map_err(FileError::io(path))?;
    if !there.is_dir() || there.uid() != rustix::process::geteuid().as_raw() {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "it is no folder of this user");
        return Err(FileError::Io { path: path.to_owned(), source });
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(FileError::io(path))
}

/// The names in a folder, those that are UTF-8. For folders of which this program knows how much they hold.
///
/// # Errors
/// [`FileError`].
pub fn list(path: &Path) -> Result<Vec<String>, FileError> {
    let entries = std::fs::read_dir(path).map_err(FileError::io(path))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// `state.a` → `.state.a.tmp`, in the same folder and so on the same file system.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(read_if_there(&path, 10).unwrap().is_none());
        write_durably(&path, b"one").unwrap();
        write_durably(&path, b"two!").unwrap();
        assert_eq!(read_limited(&path, 4).unwrap(), b"two!");
        assert!(matches!(read_limited(&path, 3), Err(FileError::TooLong { limit: 3, .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        for path in [&path, folder.path()] {
            assert!(read_limited(path, 10).unwrap_err().to_string().ends_with("no regular file"));
        }
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_durably(&path, b"one").unwrap();
        std::fs::create_dir(beside(&path)).unwrap();
        assert!(write_durably(&path, b"two").is_err());
        assert_eq!(read_limited(&path, 10).unwrap(), b"one");
    }
}
