//! A file that nobody sees until it is finished, and that nothing needs to clean up.
//!
//! Where the system can (Linux, and any usual file system) it has no name until [`Scratch::keep_as`] gives it one, so
//! that Ctrl-C, a kill and a power cut leave nothing behind. Elsewhere it has a hidden name and is removed when dropped.

#![expect(clippy::disallowed_methods, reason = "this module is the adapter for files in the making")]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::files::{self, FileError};

/// A file in the making.
#[derive(Debug)]
pub struct Scratch {
    state: State,
}

#[derive(Debug)]
enum State {
    Nameless(File),
    Hidden(NamedTempFile),
}

impl Scratch {
    /// A new file on the file system of `folder`, which is created if need be.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn create_in(folder: &Path) -> Result<Self, FileError> {
        files::create_folder(folder)?;
        let fail = |source| FileError::Io { operation: "write into", path: folder.into(), source };
        let state = match nameless(folder) {
            Some(file) => State::Nameless(file),
            None => {
                let hidden = tempfile::Builder::new().prefix(".new-").tempfile_in(folder);
                State::Hidden(hidden.map_err(fail)?)
            }
        };
        Ok(Self { state })
    }

    /// A new file where this machine keeps what is temporary. It can't be kept.
    ///
    /// # Errors
    /// [`io::Error`]
    pub fn temporary() -> io::Result<Self> {
        tempfile::tempfile().map(|file| Self { state: State::Nameless(file) })
    }

    /// The file itself, without a name from here on.
    ///
    /// # Errors
    /// [`io::Error`]
    pub fn into_file(mut self) -> io::Result<File> {
        self.flush()?;
        Ok(match self.state {
            State::Nameless(file) => file,
            State::Hidden(hidden) => hidden.into_file(),
        })
    }

    /// Flushes it to the disk and gives it its name, in one step; its folder is created if need be. An existing plain file
    /// of that name is replaced where `replace` says so. Only then is there another name, for the moment in between.
    ///
    /// # Errors
    /// [`FileError`]; [`FileError::Exists`] where it may not replace what came meanwhile, too.
    pub fn keep_as(self, path: &Path, replace: bool) -> Result<(), FileError> {
        let fail = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists { path: path.into() },
            _ => FileError::Io { operation: "write", path: path.into(), source },
        };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        files::create_folder(folder)?;
        files::check_replaceable(path)?;
        make_readable(self.file()).map_err(fail)?;
        match self.state {
            State::Nameless(file) => name(file, folder, path, replace),
            State::Hidden(hidden) => persist(hidden, path, replace),
        }
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(fail)
    }

    /// Goes back to its beginning, for reading what was written.
    ///
    /// # Errors
    /// [`io::Error`]
    pub fn rewind(&mut self) -> io::Result<()> {
        self.file_mut().seek(SeekFrom::Start(0)).map(drop)
    }

    fn file(&self) -> &File {
        match &self.state {
            State::Nameless(file) => file,
            State::Hidden(hidden) => hidden.as_file(),
        }
    }

    fn file_mut(&mut self) -> &mut File {
        match &mut self.state {
            State::Nameless(file) => file,
            State::Hidden(hidden) => hidden.as_file_mut(),
        }
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file_mut().flush()
    }
}

impl Read for Scratch {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file_mut().read(bytes)
    }
}

/// Lets everybody read it, and flushes it.
fn make_readable(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.sync_all()
}

/// Gives a nameless file its name.
fn name(mut file: File, folder: &Path, path: &Path, replace: bool) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(".new-");
    match link(&file, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && replace => {
            let hidden = builder.make_in(folder, |hidden| link(&file, hidden))?;
            persist(hidden, path, replace)
        }
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            // No /proc, or a file system without links: the long way.
            let mut hidden = builder.tempfile_in(folder)?;
            file.seek(SeekFrom::Start(0))?;
            io::copy(&mut file, &mut hidden)?;
            make_readable(hidden.as_file())?;
            persist(hidden, path, replace)
        }
        linked => linked,
    }
}

fn persist<F>(hidden: NamedTempFile<F>, path: &Path, replace: bool) -> io::Result<()> {
    let kept = if replace { hidden.persist(path) } else { hidden.persist_noclobber(path) };
    kept.map(drop).map_err(|e| e.error)
}

#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).ok().map(File::from)
}

#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    let number = std::os::fd::AsRawFd::as_raw_fd(file);
    Ok(rustix::fs::linkat(CWD, format!("/proc/self/fd/{number}"), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_name_until_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create_in(folder.path()).unwrap();
        scratch.write_all(b"abc").unwrap();
        if matches!(scratch.state, State::Nameless(_)) {
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        let path = folder.path().join("a/b");
        scratch.keep_as(&path, false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn a_dropped_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create_in(folder.path()).unwrap();
        scratch.write_all(b"abc").unwrap();
        drop(scratch);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_existing_file_is_replaced_by_request_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let keep = |text: &[u8], replace| {
            let mut scratch = Scratch::create_in(folder.path()).unwrap();
            scratch.write_all(text).unwrap();
            scratch.keep_as(&path, replace)
        };
        for text in [&b"first"[..], b"second"] {
            keep(text, true).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), text);
        }
        assert!(matches!(keep(b"third", false), Err(FileError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Whatever has a name for a moment stays there when the program is killed in that moment.
    #[cfg(target_os = "linux")]
    #[test]
    fn it_has_no_other_name_before_unless_it_replaces_a_file() {
        use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
        let folder = tempfile::tempdir().unwrap();
        let watch = init(CreateFlags::NONBLOCK).unwrap();
        add_watch(&watch, folder.path(), WatchFlags::CREATE).unwrap();
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(watch, &mut buffer);
        let mut created = |replace| {
            let scratch = Scratch::create_in(folder.path()).unwrap();
            let nameless = matches!(scratch.state, State::Nameless(_));
            scratch.keep_as(&folder.path().join("file"), replace).unwrap();
            let names = std::iter::from_fn(|| {
                let event = reader.next().ok()?;
                let name = event.file_name().unwrap().to_str().unwrap();
                Some((name.to_owned(), event.events()))
            });
            let names: Vec<_> = names.collect();
            assert!(names.iter().all(|(_, events)| !events.contains(ReadFlags::ISDIR)), "{names:?}");
            nameless.then(|| names.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        if let Some(names) = created(false) {
            assert_eq!(names, ["file"]);
        }
        if let Some(names) = created(true) {
            assert!(matches!(names.as_slice(), [hidden] if hidden.starts_with(".new-")), "{names:?}");
        }
    }
}
