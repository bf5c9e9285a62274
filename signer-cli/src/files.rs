//! Every reading and writing of files: with limits, and durably.
//!
//! A file appears whole or not at all: written beside its place, flushed to the disk, renamed, and the folder flushed,
//! too. Nothing here decides what is written.

#![expect(clippy::disallowed_methods, reason = "this module is the file adapter")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use perennial_schemas::crypto::RunningDigest;
use perennial_schemas::{Digest, Sha256Digest};

use crate::cli::Advise;
use crate::crypto::Ring;
use crate::delta::source::Source;

/// What could not be done with which file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("can't {operation} {}", path.display())]
    Io {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than such a file may be.
    #[error("{} is longer than the limit of {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A link, a pipe or a device where only files and folders belong.
    #[error("{} is neither a file nor a folder", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A folder, a pipe, a socket or a device where only a plain file will do.
    #[error("{} is no plain file", path.display())]
    NotPlain {
        /// The path.
        path: PathBuf,
    },
    /// There already, and never overwritten.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    fn io<'p>(operation: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Self + use<'p> {
        move |source| Self::Io { operation, path: path.into(), source }
    }

    /// Whether the file isn't there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Advise for FileError {
    fn advice(&self) -> String {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => "check the path".into(),
            Self::Io { .. } => "check the permissions and the free space of the folder".into(),
            Self::TooLong { .. } => "check that it is the file that you mean".into(),
            Self::NotAFile { .. } => {
                "take a copy that you trust; proposals hold files and folders alone".into()
            }
            Self::NotPlain { .. } => {
                "name a plain file; what a device or a pipe holds can be copied into one".into()
            }
            Self::Exists { .. } => "choose another name, or move the old file away first".into(),
        }
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`]
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    read_from(File::open(path).map_err(FileError::io("read", path))?, path, limit)
}

fn read_from(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > limit { Err(FileError::TooLong { path: path.into(), limit }) } else { Ok(bytes) }
}

/// As [`read`], for a plain file.
///
/// # Errors
/// [`FileError`]
pub fn read_plain(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    read_from(open_plain(path)?, path, limit)
}

/// As [`read`], with `None` for a file that isn't there.
///
/// # Errors
/// [`FileError`]
pub fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    if_there(read(path, limit))
}

fn if_there<T>(read: Result<T, FileError>) -> Result<Option<T>, FileError> {
    match read {
        Err(e) if e.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}

/// Opens a file for reading in pieces.
///
/// # Errors
/// [`FileError`]
pub fn open(path: &Path) -> Result<BufReader<File>, FileError> {
    let file = File::open(path).map_err(FileError::io("read", path))?;
    Ok(BufReader::with_capacity(256 * 1024, file))
}

/// Opens a plain file, or what a link to one names: a device tells no length, and a pipe would be waited for.
///
/// # Errors
/// [`FileError::NotPlain`], [`FileError::Io`]
pub fn open_plain(path: &Path) -> Result<File, FileError> {
    check_plain(path)?;
    File::open(path).map_err(FileError::io("read", path))
}

/// Refuses what is there and no plain file, by links too. It isn't opened: that alone has an effect on some devices.
///
/// # Errors
/// [`FileError::NotPlain`], [`FileError::Io`]
pub fn check_plain(path: &Path) -> Result<(), FileError> {
    match kind_and_mode(path)? {
        (true, _) => Ok(()),
        (false, _) => Err(FileError::NotPlain { path: path.into() }),
    }
}

/// As [`check_plain`], for a place that is written to: nothing may be there, too.
///
/// # Errors
/// [`FileError::NotPlain`], [`FileError::Io`]
pub fn check_replaceable(path: &Path) -> Result<(), FileError> {
    if_there(check_plain(path)).map(drop)
}

/// A file that is read at any place.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    length: u64,
}

impl FileSource {
    /// Of a file that is open.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl Source for FileSource {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, into, at)
    }
}

/// Opens a plain file of at most `limit` bytes, to be read at any place.
///
/// # Errors
/// [`FileError`]
pub fn source(path: &Path, limit: u64) -> Result<FileSource, FileError> {
    let source = FileSource::new(open_plain(path)?).map_err(FileError::io("read", path))?;
    if source.length > limit { Err(FileError::TooLong { path: path.into(), limit }) } else { Ok(source) }
}

/// Opens a plain file that is there, to be changed in its place.
///
/// # Errors
/// [`FileError`]
pub fn open_for_update(path: &Path) -> Result<File, FileError> {
    check_plain(path)?;
    OpenOptions::new().read(true).write(true).open(path).map_err(FileError::io("write", path))
}

/// Opens a file that somebody else laid in a proposal: no link is followed, and a pipe is not waited for.
///
/// # Errors
/// [`FileError::NotAFile`], [`FileError::Io`]
pub fn open_foreign(path: &Path) -> Result<File, FileError> {
    let not_a_file = || FileError::NotAFile { path: path.into() };
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), flags.bits().cast_signed());
    let file = options.open(path).map_err(|e| match e.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => not_a_file(),
        _ => FileError::io("read", path)(e),
    })?;
    let kind = file.metadata().map_err(FileError::io("read", path))?;
    if kind.is_file() { Ok(file) } else { Err(not_a_file()) }
}

/// As [`read`], by [`open_foreign`].
///
/// # Errors
/// [`FileError`]
pub fn read_foreign(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    read_from(open_foreign(path)?, path, limit)
}

/// As [`read_foreign`], with `None` for a file that isn't there.
///
/// # Errors
/// [`FileError`]
pub fn read_foreign_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    if_there(read_foreign(path, limit))
}

/// As [`measure`], by [`open_foreign`].
///
/// # Errors
/// [`FileError`]
pub fn measure_foreign(path: &Path) -> Result<(u64, Sha256Digest), FileError> {
    measured(open_foreign(path)?, path)
}

/// Length in bytes and SHA-256 of a file, read in pieces.
///
/// # Errors
/// [`FileError`]
pub fn measure(path: &Path) -> Result<(u64, Sha256Digest), FileError> {
    measured(open(path)?.into_inner(), path)
}

fn measured(mut file: File, path: &Path) -> Result<(u64, Sha256Digest), FileError> {
    let mut digest = Ring.start();
    let mut buffer = vec![0; 256 * 1024];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer).map_err(FileError::io("read", path))?;
        if count == 0 {
            return Ok((length, digest.finish()));
        }
        length += count as u64;
        digest.update(&buffer[..count]);
    }
}

/// Writes a file whole: an existing one is replaced in one step.
///
/// # Errors
/// [`FileError`]
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    put(path, &mut &*bytes).map(drop)
}

/// Copies what `from` gives into a file, whole; returns the length in bytes.
///
/// # Errors
/// [`FileError`]
pub fn put(path: &Path, from: &mut dyn Read) -> Result<u64, FileError> {
    let length = place(path, from, true)?;
    sync_folder(folder_of(path))?;
    Ok(length)
}

/// As [`put`], for one of very many files: a power cut may leave it empty until [`flush`] was called, which must be
/// before anything that names it is written.
///
/// # Errors
/// [`FileError`]
pub fn put_unflushed(path: &Path, from: &mut dyn Read) -> Result<u64, FileError> {
    place(path, from, false)
}

/// Flushes everything that was written on the file system of `folder`: one wait in place of one for each file.
///
/// # Errors
/// [`FileError`]
pub fn flush(folder: &Path) -> Result<(), FileError> {
    let file = File::open(folder).map_err(FileError::io("write", folder))?;
    rustix::fs::syncfs(&file).map_err(|e| FileError::io("write", folder)(e.into()))
}

fn place(path: &Path, from: &mut dyn Read, flushed: bool) -> Result<u64, FileError> {
    let folder = folder_of(path);
    create_folder(folder)?;
    let mut temporary =
        tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(FileError::io("write", path))?;
    let length = io::copy(from, &mut temporary).map_err(FileError::io("write", path))?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(readable).map_err(FileError::io("write", path))?;
    if flushed {
        temporary.as_file().sync_all().map_err(FileError::io("write", path))?;
    }
    temporary.persist(path).map_err(|e| FileError::io("write", path)(e.error))?;
    Ok(length)
}

/// Copies a file, whole.
///
/// # Errors
/// [`FileError`]
pub fn copy(from: &Path, to: &Path) -> Result<u64, FileError> {
    put(to, &mut open(from)?.into_inner())
}

/// Creates a file that only its owner reads (mode 0600). Never overwrites.
///
/// # Errors
/// [`FileError::Exists`], [`FileError::Io`]
pub fn create_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    create_folder(folder_of(path))?;
    let mut file = options.open(path).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists { path: path.into() },
        _ => FileError::io("create", path)(e),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(FileError::io("write", path))?;
    sync_folder(folder_of(path))
}

/// Adds `bytes` to a file after its first `length` bytes, durably; what stands there beyond is what an earlier command was
/// cut short in, and goes.
///
/// # Errors
/// [`FileError`]
pub fn append_after(path: &Path, length: u64, bytes: &[u8]) -> Result<(), FileError> {
    let error = || FileError::io("write", path);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let mut file = file.map_err(error())?;
    file.set_len(length).map_err(error())?;
    io::Seek::seek(&mut file, io::SeekFrom::End(0)).map_err(error())?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(error())?;
    sync_folder(folder_of(path))
}

/// Whether there is something at `path`.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The length of a file in bytes; `None` where there is none.
///
/// # Errors
/// [`FileError`]
pub fn length(path: &Path) -> Result<Option<u64>, FileError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FileError::io("read", path)(e)),
    }
}

/// Whether there is a plain file at `path`, and its permission bits.
///
/// # Errors
/// [`FileError`]
pub fn kind_and_mode(path: &Path) -> Result<(bool, u32), FileError> {
    let metadata = fs::metadata(path).map_err(FileError::io("read", path))?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    Ok((metadata.is_file(), mode))
}

/// Whether both are there and the same file, by links too.
pub fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path| fs::metadata(path).ok().map(|at: fs::Metadata| (at.dev(), at.ino()));
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// The names in a folder, sorted, hidden ones left out; none where there is no folder.
///
/// # Errors
/// [`FileError`]
pub fn list(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(FileError::io("list", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::io("list", folder))?;
        names.extend(entry.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

/// The names of the folders in a folder, sorted, hidden ones and links left out.
///
/// # Errors
/// [`FileError`]
pub fn list_folders(folder: &Path) -> Result<Vec<String>, FileError> {
    let is_folder = |name: &String| fs::symlink_metadata(folder.join(name)).is_ok_and(|at| at.is_dir());
    Ok(list(folder)?.into_iter().filter(is_folder).collect())
}

/// Waits until nobody else has this folder locked, and locks it until the result is dropped. The folder is created if need
/// be; the lock leaves no file.
///
/// # Errors
/// [`FileError`]
pub fn lock_folder(folder: &Path) -> Result<File, FileError> {
    create_folder(folder)?;
    let guard = File::open(folder).map_err(FileError::io("lock", folder))?;
    let locked = rustix::fs::flock(&guard, rustix::fs::FlockOperation::LockExclusive);
    locked.map_err(|e| FileError::io("lock", folder)(e.into()))?;
    Ok(guard)
}

/// Removes the folders that a command in [`lock_folder`] was making when it was cut short.
///
/// # Errors
/// [`FileError`]
pub fn remove_unfinished(folder: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(FileError::io("list", folder))? {
        let entry = entry.map_err(FileError::io("list", folder))?;
        let unfinished = entry.file_name().to_string_lossy().starts_with(".new-");
        if unfinished && entry.path().is_dir() {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// Every file under a folder, by its path relative to it with `/` between, sorted. Links are not followed, and whatever
/// else is neither file nor folder could make a reader wait for ever: both are refused.
///
/// # Errors
/// [`FileError::NotAFile`], [`FileError::Io`]
pub fn list_all(folder: &Path) -> Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    for name in list(folder)? {
        let path = folder.join(&name);
        let kind = fs::symlink_metadata(&path).map_err(FileError::io("read", &path))?.file_type();
        if kind.is_dir() {
            found.extend(list_all(&path)?.into_iter().map(|inner| format!("{name}/{inner}")));
        } else if kind.is_file() {
            found.push(name);
        } else {
            return Err(FileError::NotAFile { path });
        }
    }
    Ok(found)
}

/// Creates a folder and those above it.
///
/// # Errors
/// [`FileError`]
pub fn create_folder(folder: &Path) -> Result<(), FileError> {
    fs::create_dir_all(folder).map_err(FileError::io("create", folder))
}

/// Gives a finished folder its name, in one step.
///
/// # Errors
/// [`FileError`]
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::io("rename", from))?;
    sync_folder(folder_of(to))
}

/// Removes a file, if it is there.
///
/// # Errors
/// [`FileError`]
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// [`FileError`]
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(FileError::io("write", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_file_is_read_by_its_own_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| folder.path().join(name));
        fs::write(&file, b"abc").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read_foreign(&file, 3).unwrap(), b"abc");
        assert!(matches!(read_foreign(&file, 2), Err(FileError::TooLong { limit: 2, .. })));
        for odd in [&link, &pipe, &folder.path().to_path_buf()] {
            assert!(matches!(read_foreign(odd, 3), Err(FileError::NotAFile { .. })), "{odd:?}");
        }
        assert_eq!(read_foreign_if_there(&folder.path().join("none"), 3).unwrap(), None);
    }
}
