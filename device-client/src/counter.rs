//! The anti-rollback counter as a file. **It does not resist whoever can write the disk**: a TPM's counter or fuses do.
//! It protects against a signed older release that comes over the network, and against mistakes.
//!
//! ```text
//! perennial-counter 1
//! value 3
//! sha256 …
//! ```

use std::path::{Path, PathBuf};

use perennial_device_core::port::{Counter, PortError};
use perennial_schemas::report::FailureCode;

use crate::checked;

const TITLE: &str = "perennial-counter 1";

/// A counter in a file. A file that is missing or damaged is an error and not 0: nothing is installed then.
#[derive(Debug, Clone)]
pub struct FileCounter {
    path: PathBuf,
}

impl FileCounter {
    /// The counter in this file.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the file of a new device, at 0, unless it is there.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn create(&self) -> Result<(), PortError> {
        match self.read() {
            Ok(_) => Ok(()),
            Err(error) if crate::files::exists(&self.path) => Err(error),
            Err(_) => self.write(0),
        }
    }

    fn write(&self, value: u32) -> Result<(), PortError> {
        checked::write(&self.path, TITLE, &[("value", value.to_string())])
            .map_err(|error| failed("raising the anti-rollback counter", error))
    }

    fn read(&self) -> Result<u32, PortError> {
        let operation = "reading the anti-rollback counter";
        let values =
            checked::read(&self.path, TITLE, &["value"]).map_err(|error| failed(operation, error))?;
        values[0].parse().map_err(|_| failed(operation, "its value is no number"))
    }
}

impl Counter for FileCounter {
    fn read(&mut self) -> Result<u32, PortError> {
        Self::read(self)
    }

    fn raise_to(&mut self, value: u32) -> Result<(), PortError> {
        if value > Self::read(self)? { self.write(value) } else { Ok(()) }
    }
}

fn failed(operation: &str, error: impl ToString) -> PortError {
    PortError::new(FailureCode::Storage, operation, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_rises_and_is_never_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counter");
        let mut counter = FileCounter::new(&path);
        assert!(Counter::read(&mut counter).is_err());
        assert!(counter.raise_to(1).is_err());
        counter.create().unwrap();
        counter.raise_to(3).unwrap();
        counter.raise_to(2).unwrap();
        counter.create().unwrap();
        assert_eq!(Counter::read(&mut counter), Ok(3));
        std::fs::write(&path, "perennial-counter 1\nvalue 0\n").unwrap();
        assert!(Counter::read(&mut counter).is_err());
        assert!(counter.create().is_err());
    }
}
