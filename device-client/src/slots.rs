//! Slots as files or block devices.
//!
//! A file is cut to nothing when an installation begins and gets holes where the image has zeros; a partition is
//! written in place. It never writes to a slot that is too small, and never decides what may be written.

#![expect(clippy::disallowed_methods, reason = "this module is the slots' adapter")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use perennial_device_core::port::{PortError, Slot, Slots};
use perennial_device_core::vouch::Vouched;
use perennial_schemas::report::FailureCode;

use crate::boot::Booted;
use crate::files::room_for;

/// Bytes of a disk that stay free beside a slot's file, so that the device stays usable.
const SPARE: u64 = 16 * 1024 * 1024;

/// Two slots.
#[derive(Debug)]
pub struct FileSlots {
    a: Place,
    b: Place,
    booted: Booted,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    open: Option<File>,
    /// For reading alone: what runs is often mounted, and never opened for writing.
    reading: Option<File>,
}

impl FileSlots {
    /// Slots at these paths, each a regular file (which need not be there yet) or a block device.
    pub fn new(a: &Path, b: &Path, booted: Booted) -> Self {
        let place = |path: &Path| Place { path: path.to_owned(), open: None, reading: None };
        Self { a: place(a), b: place(b), booted }
    }

    /// Where a slot is.
    pub fn path(&self, slot: Slot) -> &Path {
        match slot {
            Slot::A => &self.a.path,
            Slot::B => &self.b.path,
        }
    }

    fn place(&mut self, slot: Slot) -> &mut Place {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }

    /// Does `work` on the slot's file.
    fn with<T>(
        &mut self,
        slot: Slot,
        what: &str,
        work: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> Result<T, PortError> {
        let place = self.place(slot);
        let done = place.file().and_then(work);
        done.map_err(|error| failed(what, slot, &place.path)(&error))
    }
}

impl Place {
    fn file(&mut self) -> io::Result<&mut File> {
        let file = match self.open.take() {
            Some(file) => file,
            None => {
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?
            }
        };
        Ok(self.open.insert(file))
    }

    fn reading(&mut self) -> io::Result<&mut File> {
        let file = match self.reading.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        Ok(self.reading.insert(file))
    }

    fn capacity(&self) -> io::Result<u64> {
        match std::fs::metadata(&self.path) {
            Ok(there) if there.file_type().is_block_device() => {
                File::open(&self.path)?.seek(SeekFrom::End(0))
            }
            // What the file takes up now is free once it is cut to nothing.
            Ok(there) => Ok(room_for(&self.path, SPARE)?.saturating_add(there.blocks() * 512)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => room_for(&self.path, SPARE),
            Err(error) => Err(error),
        }
    }
}

impl Slots for FileSlots {
    fn booted(&mut self) -> Result<Slot, PortError> {
        self.booted.slot()
    }

    fn capacity(&mut self, slot: Slot) -> Result<u64, PortError> {
        let place = self.place(slot);
        place.capacity().map_err(|error| failed("measuring", slot, &place.path)(&error))
    }

    fn begin(&mut self, slot: Slot, length: u64) -> Result<(), PortError> {
        let capacity = self.capacity(slot)?;
        if length > capacity {
            let operation = format!("beginning slot {slot} ({})", self.path(slot).display());
            let detail = format!("the image has {length} bytes, {capacity} fit");
            return Err(PortError::new(FailureCode::NoRoom, operation, detail));
        }
        self.with(slot, "beginning", |file| {
            if file.metadata()?.is_file() {
                file.set_len(0)?;
                file.set_len(length)?;
            }
            Ok(())
        })
    }

    fn write(&mut self, slot: Slot, chunk: &Vouched<'_>) -> Result<(), PortError> {
        self.with(slot, "writing", |file| write_at(file, chunk.offset(), chunk.bytes()))
    }

    fn read(&mut self, slot: Slot, offset: u64, into: &mut [u8]) -> Result<(), PortError> {
        let place = self.place(slot);
        let read = place.reading().and_then(|file| {
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(into)
        });
        read.map_err(|error| failed("reading", slot, &place.path)(&error))
    }

    fn sync(&mut self, slot: Slot) -> Result<(), PortError> {
        self.with(slot, "syncing", |file| file.sync_all())
    }
}

/// Zeros at a place that is a hole already stay a hole: an image of 4 GiB that is mostly empty takes up little.
fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let there = file.metadata()?;
    let end = offset + bytes.len() as u64;
    if there.is_file()
        && there.len() >= end
        && bytes.iter().all(|byte| *byte == 0)
        && is_hole(file, offset, end)
    {
        return Ok(());
    }
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Where a file system can't say, nothing is a hole.
fn is_hole(file: &File, offset: u64, end: u64) -> bool {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => data >= end,
        Err(rustix::io::Errno::NXIO) => true,
        Err(_) => false,
    }
}

fn failed<'p>(what: &'p str, slot: Slot, path: &'p Path) -> impl Fn(&io::Error) -> PortError + use<'p> {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let path = path.display().to_string();
    move |error| {
        let full = matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge);
        let code = if full { FailureCode::NoRoom } else { FailureCode::SlotIo };
        PortError::new(code, format!("{what} slot {slot} ({path})"), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_device_core::crypto::Ring;
    use perennial_schemas::Digest;
    use perennial_schemas::index::{Index, Shape};

    const CHUNK: usize = 4096;

    fn slots() -> (tempfile::TempDir, FileSlots) {
        let folder = tempfile::tempdir().unwrap();
        let booted = Booted::File(folder.path().join("booted"));
        booted.note(Slot::A).unwrap();
        let slots = FileSlots::new(&folder.path().join("a"), &folder.path().join("b"), booted);
        (folder, slots)
    }

    fn write(slots: &mut FileSlots, image: &[u8]) {
        let shape = Shape::new(image.len() as u64, 12).unwrap();
        let digests = image.chunks(CHUNK).map(|chunk| Ring.sha256(chunk)).collect();
        let index = Index::new(shape, digests).unwrap();
        for (number, chunk) in image.chunks(CHUNK).enumerate() {
            let vouched = Vouched::new(&index, number as u64, chunk, &Ring).unwrap();
            slots.write(Slot::B, &vouched).unwrap();
        }
        slots.sync(Slot::B).unwrap();
    }

    #[test]
    fn an_image_is_written_and_read_back_and_zeros_stay_holes() {
        let (folder, mut slots) = slots();
        assert_eq!(slots.target(), Ok(Slot::B));
        let mut image = vec![0; 300 * CHUNK];
        image[5] = 1;
        *image.last_mut().unwrap() = 2;
        slots.begin(Slot::B, image.len() as u64).unwrap();
        write(&mut slots, &image);
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap(), image);
        let taken = std::fs::metadata(folder.path().join("b")).unwrap().blocks() * 512;
        assert!(taken < image.len() as u64 / 2, "{taken}");
        let mut end = [9; 2];
        slots.read(Slot::B, image.len() as u64 - 2, &mut end).unwrap();
        assert_eq!(end, [0, 2]);
        assert_eq!(
            slots.read(Slot::B, image.len() as u64 - 1, &mut end).unwrap_err().code,
            FailureCode::SlotIo
        );
    }

    #[test]
    fn zeros_overwrite_what_is_there() {
        let (folder, mut slots) = slots();
        slots.begin(Slot::B, 2 * CHUNK as u64).unwrap();
        write(&mut slots, &[7; 2 * CHUNK]);
        write(&mut slots, &[0; 2 * CHUNK]);
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap(), [0; 2 * CHUNK]);
    }

    #[test]
    fn a_new_image_leaves_nothing_of_the_old_one() {
        let (folder, mut slots) = slots();
        slots.begin(Slot::B, 4 * CHUNK as u64).unwrap();
        write(&mut slots, &[7; 4 * CHUNK]);
        slots.begin(Slot::B, CHUNK as u64).unwrap();
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap(), [0; CHUNK]);
    }

    #[test]
    fn an_image_that_does_not_fit_is_refused_before_anything_is_lost() {
        let (folder, mut slots) = slots();
        std::fs::write(folder.path().join("b"), "old").unwrap();
        let error = slots.begin(Slot::B, 1 << 60).unwrap_err();
        assert_eq!(error.code, FailureCode::NoRoom);
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap(), b"old");
    }
}
