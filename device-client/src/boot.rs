//! Boot control in a file that a boot script reads, and a simulator that plays the boot loader.
//!
//! ```text
//! perennial-boot 1
//! next B
//! a good
//! b trying 3
//! sha256 …                 of the lines before: head -n -1 FILE | sha256sum
//! ```
//! A flag is `good`, `unbootable`, or `trying` with the number of boots that are left. At power-on the script starts
//! `next` where it is good; or where it has boots left, after writing one less (to a new file, synced, then renamed over
//! this one); otherwise the other slot, where that is good. It tells the agent which one it took: in the `booted` file
//! (a line `A` or `B`), or as `perennial.slot=A` on the kernel's command line.

use std::path::{Path, PathBuf};

use perennial_device_core::port::{BootControl, BootFlag, BootStatus, PortError, Slot};
use perennial_device_core::slots::WrittenSlot;
use perennial_schemas::report::FailureCode;

use crate::checked;
use crate::files::{exists, read_limited, write_durably};

const TITLE: &str = "perennial-boot 1";
/// Bytes of the kernel's command line: Linux allows 4,096 on most machines.
const COMMAND_LINE: u64 = 64 * 1024;
const PARAMETER: &str = "perennial.slot=";

/// Boot control in a file.
#[derive(Debug, Clone)]
pub struct FileBoot {
    path: PathBuf,
}

/// How the agent learns which slot was booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booted {
    /// From a file with a line `A` or `B`.
    File(PathBuf),
    /// From `perennial.slot=A` on the kernel's command line, in this file.
    CommandLine(PathBuf),
}

impl FileBoot {
    /// The boot control in this file.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the file of a new device, unless it is there: A is good and boots, B holds nothing.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn create(&self) -> Result<(), PortError> {
        if exists(&self.path) {
            return self.read().map(drop);
        }
        self.write(BootStatus { a: BootFlag::Good, b: BootFlag::Unbootable, next: Slot::A })
    }

    /// What the boot loader does at power-on: chooses the slot that it starts, taking a try away before. `None` where
    /// nothing boots.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn simulate(&self) -> Result<Option<Slot>, PortError> {
        let mut status = self.read()?;
        let next = status.next;
        match status.of(next) {
            BootFlag::Good => return Ok(Some(next)),
            BootFlag::Trying(left) if left > 0 => {
                set(&mut status, next, BootFlag::Trying(left - 1));
                self.write(status)?;
                return Ok(Some(next));
            }
            _ => {}
        }
        let other = next.other();
        Ok((status.of(other) == BootFlag::Good).then_some(other))
    }

    fn read(&self) -> Result<BootStatus, PortError> {
        let operation = "reading the boot control";
        let failed =
            |error: &dyn ToString| PortError::new(FailureCode::BootControl, operation, error.to_string());
        let values = checked::read(&self.path, TITLE, &["next", "a", "b"]).map_err(|error| failed(&error))?;
        let damaged = || failed(&format!("{} holds no boot control", self.path.display()));
        Ok(BootStatus {
            next: slot(&values[0]).ok_or_else(damaged)?,
            a: flag(&values[1]).ok_or_else(damaged)?,
            b: flag(&values[2]).ok_or_else(damaged)?,
        })
    }

    fn write(&self, status: BootStatus) -> Result<(), PortError> {
        let entries = [("next", status.next.to_string()), ("a", shown(status.a)), ("b", shown(status.b))];
        checked::write(&self.path, TITLE, &entries).map_err(|error| {
            PortError::new(FailureCode::BootControl, "writing the boot control", error.to_string())
        })
    }
}

impl BootControl for FileBoot {
    fn status(&mut self) -> Result<BootStatus, PortError> {
        self.read()
    }

    fn set_unbootable(&mut self, slot: Slot) -> Result<(), PortError> {
        let mut status = self.read()?;
        if status.of(slot.other()) != BootFlag::Good {
            let operation = format!("marking slot {slot} unbootable");
            return Err(PortError::new(FailureCode::BootControl, operation, "the other slot is not good"));
        }
        set(&mut status, slot, BootFlag::Unbootable);
        status.next = slot.other();
        self.write(status)
    }

    fn activate(&mut self, slot: &WrittenSlot, tries: u8) -> Result<(), PortError> {
        let mut status = self.read()?;
        set(&mut status, slot.slot(), BootFlag::Trying(tries));
        status.next = slot.slot();
        self.write(status)
    }

    fn mark_good(&mut self, slot: Slot) -> Result<(), PortError> {
        let mut status = self.read()?;
        set(&mut status, slot, BootFlag::Good);
        status.next = slot;
        self.write(status)
    }
}

impl Booted {
    /// The slot that was booted.
    ///
    /// # Errors
    /// [`PortError`] where nobody says.
    pub fn slot(&self) -> Result<Slot, PortError> {
        let (path, limit) = match self {
            Self::File(path) => (path, 16),
            Self::CommandLine(path) => (path, COMMAND_LINE),
        };
        let failed =
            |detail: String| PortError::new(FailureCode::SlotIo, "asking which slot was booted", detail);
        let text = read_limited(path, limit).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&text);
        let name = match self {
            Self::File(_) => Some(text.trim()),
            Self::CommandLine(_) => text.split_whitespace().find_map(|word| word.strip_prefix(PARAMETER)),
        };
        name.and_then(slot).ok_or_else(|| failed(format!("{} names neither A nor B", path.display())))
    }

    /// Notes the slot, as the simulator does after its choice. A command line can't be written.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn note(&self, slot: Slot) -> Result<(), PortError> {
        let failed =
            |detail: String| PortError::new(FailureCode::SlotIo, "noting which slot was booted", detail);
        match self {
            Self::File(path) => {
                write_durably(path, format!("{slot}\n").as_bytes()).map_err(|error| failed(error.to_string()))
            }
            Self::CommandLine(path) => Err(failed(format!("{} is the kernel's", path.display()))),
        }
    }
}

fn set(status: &mut BootStatus, slot: Slot, flag: BootFlag) {
    match slot {
        Slot::A => status.a = flag,
        Slot::B => status.b = flag,
    }
}

fn slot(text: &str) -> Option<Slot> {
    match text {
        "A" | "a" => Some(Slot::A),
        "B" | "b" => Some(Slot::B),
        _ => None,
    }
}

fn flag(text: &str) -> Option<BootFlag> {
    match text {
        "good" => Some(BootFlag::Good),
        "unbootable" => Some(BootFlag::Unbootable),
        other => other.strip_prefix("trying ")?.parse().ok().map(BootFlag::Trying),
    }
}

fn shown(flag: BootFlag) -> String {
    match flag {
        BootFlag::Good => "good".into(),
        BootFlag::Unbootable => "unbootable".into(),
        BootFlag::Trying(left) => format!("trying {left}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> (tempfile::TempDir, FileBoot) {
        let folder = tempfile::tempdir().unwrap();
        let boot = FileBoot::new(&folder.path().join("boot"));
        boot.create().unwrap();
        (folder, boot)
    }

    #[test]
    fn a_new_device_boots_its_factory_slot() {
        let (_kept, boot) = boot();
        assert_eq!(boot.simulate(), Ok(Some(Slot::A)));
    }

    #[test]
    fn tries_are_used_up_before_the_other_slot_boots() {
        let (_kept, mut boot) = boot();
        boot.write(BootStatus { b: BootFlag::Trying(2), next: Slot::B, ..boot.read().unwrap() }).unwrap();
        assert_eq!(boot.simulate(), Ok(Some(Slot::B)));
        assert_eq!(boot.status().unwrap().b, BootFlag::Trying(1));
        assert_eq!(boot.simulate(), Ok(Some(Slot::B)));
        assert_eq!(boot.simulate(), Ok(Some(Slot::A)));
        boot.mark_good(Slot::B).unwrap();
        assert_eq!(boot.simulate(), Ok(Some(Slot::B)));
    }

    #[test]
    fn one_slot_always_stays_good() {
        let (_kept, mut boot) = boot();
        assert!(boot.set_unbootable(Slot::A).is_err());
        boot.set_unbootable(Slot::B).unwrap();
        assert_eq!(boot.status().unwrap().next, Slot::A);
        let status = BootStatus { a: BootFlag::Unbootable, b: BootFlag::Trying(0), next: Slot::B };
        boot.write(status).unwrap();
        assert_eq!(boot.simulate(), Ok(None));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let (folder, mut boot) = boot();
        std::fs::write(folder.path().join("boot"), "perennial-boot 1\nnext B\na good\nb good\n").unwrap();
        assert_eq!(boot.status().unwrap_err().code, FailureCode::BootControl);
        assert!(boot.create().is_err());
    }

    #[test]
    fn the_booted_slot_comes_from_a_file_or_the_kernel() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = Booted::File(path.clone());
        assert!(file.slot().is_err());
        file.note(Slot::B).unwrap();
        assert_eq!(file.slot(), Ok(Slot::B));
        std::fs::write(&path, "root=/dev/sda2 perennial.slot=a quiet\n").unwrap();
        assert_eq!(Booted::CommandLine(path.clone()).slot(), Ok(Slot::A));
        std::fs::write(&path, "quiet\n").unwrap();
        assert!(Booted::CommandLine(path).slot().is_err());
    }
}
