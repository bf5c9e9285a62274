//! A device of the fleet, in as few bytes as a million of them need.

use perennial_device_core::crypto::Ring;
use perennial_schemas::Sha256Digest;
use perennial_schemas::crypto::Digest;
use perennial_schemas::fleet::DeviceId;

/// A device.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// Seconds by which its clock is ahead.
    pub clock: i64,
    /// The number of its last report.
    pub sequence: u32,
    /// How often it has checked in.
    pub check_ins: u32,
    /// The step from which on it is switched on.
    pub wakes: u32,
    /// Its hardware revision, as the fleet numbers them.
    pub hardware: u8,
    /// What it runs: 0 for the release from its factory, then the releases in the order in which they were offered.
    pub runs: u8,
    /// The releases that failed on it, a bit each.
    pub failed: u32,
    /// What it does.
    pub life: Life,
    /// Whether it bears the label of the early group.
    pub labelled: bool,
    /// Whether it has told a lie about a release.
    pub liar: bool,
}

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It polls.
    Awake,
    /// It installs, and tries what it has installed.
    Installing,
    /// It never does anything again.
    Dead,
}

impl Unit {
    /// A device from the factory.
    pub fn new(hardware: u8) -> Self {
        Self {
            clock: 0,
            sequence: 0,
            check_ins: 0,
            wakes: 0,
            hardware,
            runs: 0,
            failed: 0,
            life: Life::Awake,
            labelled: false,
            liar: false,
        }
    }

    /// Whether it does anything at a step.
    pub fn is_up(&self, step: u32) -> bool {
        self.life != Life::Dead && self.wakes <= step
    }

    /// Whether a release, as they are numbered, failed on it.
    pub fn has_failed(&self, release: usize) -> bool {
        self.failed >> release & 1 == 1
    }
}

/// The id of the device with this number: as of a key whose digest nobody can guess from its neighbours'.
pub fn id(number: usize) -> DeviceId {
    DeviceId::of_key(&digest(b"device", number))
}

/// A digest that stands for something of a device's own.
pub fn digest(what: &[u8], number: usize) -> Sha256Digest {
    Ring.sha256(&[what, &number.to_be_bytes()].concat())
}
