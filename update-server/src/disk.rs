//! The one adapter through which this crate touches files: durable writes, private modes, bounded reads. It decides
//! nothing about what the files mean, and it never leaves a half-written file under a final name.
#![expect(clippy::disallowed_methods, reason = "this is the adapter for files")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A failed operation on a file: which one, on which path.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {path}: {source}", path = .path.display())]
pub struct DiskError {
    /// The operation, as a verb.
    pub operation: &'static str,
    /// The path.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    /// True when the file or folder isn't there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// True when the disk, a quota or a file size limit is exhausted.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

type Result<T> = std::result::Result<T, DiskError>;

/// Attaches operation and path to what the system says.
pub(crate) fn at<T>(operation: &'static str, path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| DiskError { operation, path: path.to_owned(), source })
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// When it can't be read, or is larger (the error names the limit).
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = at("open", path, File::open(path))?;
    let mut bytes = Vec::new();
    at("read", path, file.take(limit + 1).read_to_end(&mut bytes))?;
    if bytes.len() as u64 > limit {
        return at(
            "read",
            path,
            Err(io::Error::other(format!("it is larger than the limit of {limit} bytes"))),
        );
    }
    Ok(bytes)
}

/// Opens a file for reading.
///
/// # Errors
/// When it can't be opened.
pub fn open(path: &Path) -> Result<File> {
    at("open", path, File::open(path))
}

/// Creates a file that must not exist, readable by its owner only.
///
/// # Errors
/// When it exists or can't be made.
pub fn create_private(path: &Path) -> Result<File> {
    at("create", path, OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))
}

/// Creates a file that must not exist, for everybody to read.
///
/// # Errors
/// When it exists or can't be made.
pub fn create_public(path: &Path) -> Result<File> {
    at("create", path, OpenOptions::new().write(true).create_new(true).mode(0o644).open(path))
}

/// Opens a file for locking, made if it isn't there, readable by its owner only.
///
/// # Errors
/// When it can't be made or opened.
pub fn open_lock(path: &Path) -> Result<File> {
    at(
        "open",
        path,
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path),
    )
}

/// Makes a file that takes so much room, readable by its owner only; it isn't there where that can't be had.
///
/// # Errors
/// When it can't be made.
pub fn create_filled(path: &Path, bytes: u64) -> Result<()> {
    let file = create_private(path)?;
    let filled = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    if filled.is_err() {
        remove(path)?;
    }
    at("fill", path, filled.map_err(io::Error::from))
}

/// Writes a file whole or not at all: temporary file, fsync, rename, fsync of the folder.
///
/// # Errors
/// When any step fails; the old file is then still there.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut file = at(
            "create",
            &temporary,
            options.write(true).create(true).truncate(true).mode(mode).open(&temporary),
        )?;
        at("write", &temporary, file.write_all(bytes))?;
        at("sync", &temporary, file.sync_all())?;
        at("rename", path, fs::rename(&temporary, path))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Renames within one filesystem; durable only after [`sync_folder`] of the target's folder.
///
/// # Errors
/// When it can't be renamed.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    at("rename", from, fs::rename(from, to))
}

/// Makes a folder and its parents, for its owner only; one that exists is left alone.
///
/// # Errors
/// When it can't be made.
pub fn create_folder(path: &Path) -> Result<()> {
    at("create", path, DirBuilder::new().recursive(true).mode(0o700).create(path))
}

/// Makes a folder and its parents for everybody to read; one that exists is left alone.
///
/// # Errors
/// When it can't be made.
pub fn create_public_folder(path: &Path) -> Result<()> {
    at("create", path, fs::create_dir_all(path))
}

/// Makes a folder that must not exist, for everybody to read.
///
/// # Errors
/// When it exists or can't be made.
pub fn create_new_public_folder(path: &Path) -> Result<()> {
    at("create", path, fs::create_dir(path))
}

/// Removes a folder with everything in it; one that isn't there is no error.
///
/// # Errors
/// When it can't be removed.
pub fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => at("remove", path, other),
    }
}

/// Removes a file; one that isn't there is no error.
///
/// # Errors
/// When it can't be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => at("remove", path, other),
    }
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// When the system says that they aren't.
pub fn sync_folder(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let folder = at("open", path, File::open(path))?;
    at("sync", path, folder.sync_all())
}

/// Makes the content of a file durable that another handle has written.
///
/// # Errors
/// When the system says that it isn't.
pub fn sync_file(path: &Path) -> Result<()> {
    let file = at("open", path, File::open(path))?;
    at("sync", path, file.sync_data())
}

/// Makes everything on the filesystem of a folder durable; false where the system can't do that and say whether it
/// worked (Linux can, since 5.8).
///
/// # Errors
/// When the system says that something isn't durable.
pub fn sync_filesystem(path: &Path) -> Result<bool> {
    if !cfg!(target_os = "linux") {
        return Ok(false);
    }
    let folder = at("open", path, File::open(path))?;
    at("sync", path, rustix::fs::syncfs(&folder).map_err(io::Error::from))?;
    Ok(true)
}

/// The length of a file in bytes, `None` when it isn't there.
///
/// # Errors
/// When the system can't tell.
pub fn length(path: &Path) -> Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => at("look at", path, Err(error)),
    }
}

/// Bytes that are free, for whom this process runs as, on the filesystem of a folder.
///
/// # Errors
/// When the system can't tell.
pub fn free(path: &Path) -> Result<u64> {
    let found = at("look at", path, rustix::fs::statvfs(path).map_err(io::Error::from))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// True when something bears that name.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The number of entries in a folder; 0 when it isn't there.
///
/// # Errors
/// When it can't be listed.
pub fn count_entries(path: &Path) -> Result<usize> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(entries.count()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => at("list", path, Err(error)),
    }
}

/// The files in a folder, each with its length in bytes. Names that aren't text, and folders, are left out, and so is
/// what is removed meanwhile.
///
/// # Errors
/// When the folder can't be listed, or a file looked at.
pub fn list(path: &Path) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in at("list", path, fs::read_dir(path))? {
        let entry = at("list", path, entry)?;
        let about = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => at("look at", &entry.path(), found)?,
        };
        if let Some(name) = entry.file_name().to_str().filter(|_| about.is_file()) {
            found.push((name.to_owned(), about.len()));
        }
    }
    Ok(found)
}

/// The permission bits of a file.
///
/// # Errors
/// When the system can't tell.
pub fn mode(path: &Path) -> Result<u32> {
    at("look at", path, fs::metadata(path).map(|found| found.permissions().mode() & 0o777))
}

/// Sets the permission bits of a file.
///
/// # Errors
/// When they can't be set.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    at("change the mode of", path, fs::set_permissions(path, fs::Permissions::from_mode(mode)))
}

/// What tells one version of a file from the next, cheaply: device, inode, length, time of change.
///
/// # Errors
/// When the system can't tell.
pub fn fingerprint(path: &Path) -> Result<[i64; 5]> {
    let found = at("look at", path, fs::metadata(path))?;
    Ok([found.dev() as i64, found.ino() as i64, found.len() as i64, found.ctime(), found.ctime_nsec()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"one", 0o600).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"two");
        assert_eq!(count_entries(folder.path()).unwrap(), 1);
        assert_eq!(mode(&path).unwrap(), 0o600);
        assert!(read(&path, 2).unwrap_err().to_string().contains("limit of 2 bytes"));
    }
}
