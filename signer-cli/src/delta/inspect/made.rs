//! The new image as it is made: in a file without a name, and a hole where it is zero.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use perennial_device_core::delta::DeltaError;
use perennial_device_core::port::PortError;
use perennial_schemas::crypto::{Digest, RunningDigest};
use perennial_schemas::delta::ImageId;
use perennial_schemas::report::FailureCode;

use crate::crypto::{Ring, RunningSha256};
use crate::delta::source::Source;
use crate::scratch::Scratch;

/// What is made so far.
pub(super) struct Made {
    file: File,
    length: u64,
    running: RunningSha256,
    trouble: Option<io::Error>,
}

impl Made {
    pub(super) fn new() -> io::Result<Self> {
        let file = Scratch::temporary()?.into_file()?;
        Ok(Self { file, length: 0, running: Ring.start(), trouble: None })
    }

    /// Takes what comes next.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        self.running.update(bytes);
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        if !is_zero && let Err(error) = self.file.write_all_at(bytes, self.length) {
            self.trouble = Some(error);
            return Err(DeltaError::Output(PortError::new(FailureCode::SlotIo, "writing the new image", "")));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Why it couldn't be written.
    pub(super) fn trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    /// What it is, when all of it is there.
    pub(super) fn finish(&mut self) -> io::Result<ImageId> {
        self.file.set_len(self.length)?;
        let digest = std::mem::replace(&mut self.running, Ring.start()).finish().0;
        Ok(ImageId { length: self.length, digest: std::array::from_fn(|i| digest[i]) })
    }
}

impl Source for Made {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, at)
    }
}
