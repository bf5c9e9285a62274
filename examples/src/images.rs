//! The three images of the story: deterministic tars of this machine's own programs, or the user's two files.
//!
//! Image 1.0.0 holds the regular files of `/usr/bin`, then of `/usr/lib`, in the order of their names, until they come
//! to 50 MB. In 2.0.0 every tenth file has the contents of another program. 3.0.0 is 2.0.0 with a health script that
//! fails. The same machine makes the same bytes each time.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// How much of the machine goes into an image, in bytes of file contents.
const CONTENTS: u64 = 50_000_000;
/// The health script's place in the tar: the first entry, so that it is found without reading on.
pub const HEALTH: &str = "etc/health.sh";
/// What ends the user's own image when it plays the broken 3.0.0.
pub const BROKEN: &[u8] = b"\nquickstart: this build is broken\n";

/// Where the three images are.
#[derive(Debug)]
pub struct Images {
    /// 1.0.0, 2.0.0 and 3.0.0.
    pub files: [PathBuf; 3],
}

/// Makes the images of this machine's programs in `folder`.
///
/// # Errors
/// Any error of reading the programs or of writing the images.
pub fn of_this_machine(folder: &Path) -> io::Result<Images> {
    let mut programs = Vec::new();
    for place in ["/usr/bin", "/usr/lib"] {
        let mut found = Vec::new();
        regular_files(Path::new(place), &mut found)?;
        found.sort();
        programs.append(&mut found);
    }
    let (chosen, rest) = take_contents(programs)?;
    if chosen.is_empty() {
        return Err(io::Error::other("no readable file in /usr/bin and /usr/lib: give --old and --new"));
    }
    let updated = replace_a_tenth(&chosen, &rest);
    let files = ["1.0.0", "2.0.0", "3.0.0"].map(|version| folder.join(format!("{version}.tar")));
    write_tar(&files[0], "1.0.0", "exit 0", &chosen)?;
    write_tar(&files[1], "2.0.0", "exit 0", &updated)?;
    write_tar(&files[2], "3.0.0", "echo 'health: the display does not answer' >&2; exit 1", &updated)?;
    Ok(Images { files })
}

/// Takes the user's images; the broken 3.0.0 is `new` with a mark at its end.
///
/// # Errors
/// Any error of reading them or of writing the third.
pub fn of_the_user(folder: &Path, old: &Path, new: &Path) -> io::Result<Images> {
    let broken = folder.join("3.0.0.img");
    fs::copy(new, &broken)?;
    File::options().append(true).open(&broken)?.write_all(BROKEN)?;
    Ok(Images { files: [fs::canonicalize(old)?, fs::canonicalize(new)?, broken] })
}

/// Regular files below `folder`, links left out; a file that this user may not read is left out, too.
fn regular_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && fs::read_dir(entry.path()).is_ok() {
            regular_files(&entry.path(), found)?;
        } else if kind.is_file() && File::open(entry.path()).is_ok() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// The files that come to [`CONTENTS`] bytes, taken in order, and those that are left: one that would go past it is
/// left, and smaller ones behind it are taken.
fn take_contents(files: Vec<PathBuf>) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut room = CONTENTS;
    let (mut chosen, mut rest) = (Vec::new(), Vec::new());
    for file in files {
        let length = fs::metadata(&file)?.len();
        if length <= room {
            room -= length;
            chosen.push(file);
        } else {
            rest.push(file);
        }
    }
    Ok((chosen, rest))
}

/// Each entry's name and where its contents come from: every tenth from a file that is not in the image yet.
fn replace_a_tenth(chosen: &[PathBuf], rest: &[PathBuf]) -> Vec<PathBuf> {
    let mut others = rest.iter().filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() < 1_000_000));
    let replace = |(i, path): (usize, &PathBuf)| match i % 10 {
        9 => others.next().unwrap_or(path).clone(),
        _ => path.clone(),
    };
    chosen.iter().enumerate().map(replace).collect()
}

fn write_tar(path: &Path, version: &str, health: &str, sources: &[PathBuf]) -> io::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(path)?));
    append(&mut tar, HEALTH, 0o755, &mut format!("#!/bin/sh\n{health}\n").as_bytes(), None)?;
    append(&mut tar, "etc/version", 0o644, &mut format!("{version}\n").as_bytes(), None)?;
    for (number, source) in sources.iter().enumerate() {
        let length = fs::metadata(source)?.len();
        append(&mut tar, &format!("programs/{number:05}"), 0o755, &mut File::open(source)?, Some(length))?;
    }
    tar.into_inner()?.flush()
}

/// One entry without owner, time or anything else that differs from run to run.
fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    mode: u32,
    contents: &mut dyn Read,
    length: Option<u64>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let limit = length.unwrap_or(u64::MAX);
    contents.take(limit).read_to_end(&mut bytes)?;
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn the_users_broken_build_is_the_new_one_with_a_mark() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "new").unwrap();
        let images = of_the_user(folder.path(), &old, &new).unwrap();
        let broken = fs::read(&images.files[2]).unwrap();
        assert_eq!(broken, [b"new", BROKEN].concat());
        assert!(of_the_user(folder.path(), Path::new("/nowhere"), Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_file_too_large_for_the_room_is_left_and_smaller_ones_behind_it_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, length: u64| {
            let path = folder.path().join(name);
            File::create(&path).unwrap().set_len(length).unwrap();
            path
        };
        let (a, large, b) = (file("a", CONTENTS - 10), file("large", 11), file("b", 10));
        let taken = take_contents(vec![a.clone(), large.clone(), b.clone()]).unwrap();
        assert_eq!(taken, (vec![a, b], vec![large]));
    }

    #[test]
    fn every_tenth_file_is_replaced_by_one_that_was_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "x").unwrap();
        let chosen = paths(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
        let updated = replace_a_tenth(&chosen, std::slice::from_ref(&other));
        assert_eq!(updated[9], other);
        assert_eq!((&updated[..9], &updated[10..]), (&chosen[..9], &chosen[10..]));
    }

    #[test]
    fn a_tar_is_the_same_each_time_and_begins_with_the_health_script() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("program");
        fs::write(&source, "contents").unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            write_tar(&path, "1.0.0", "exit 0", std::slice::from_ref(&source)).unwrap();
            fs::read(path).unwrap()
        };
        let tar = write("a");
        assert_eq!(tar, write("b"));
        assert!(tar.starts_with(HEALTH.as_bytes()));
    }
}
