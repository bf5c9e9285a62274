//! The ports: what the core asks of a device, one small synchronous trait a file, each with its in-memory double.
//!
//! They decide nothing; adapters stay free of policy. All are object-safe. What "durable" means is the same
//! everywhere: when the call returns, a power cut can't undo it; when power is cut during the call, either the old or
//! the new state is found afterwards, never a mixture (but for [`Slots`] and [`Staging`] between two syncs).
//!
//! | port | asks for |
//! | --- | --- |
//! | [`Fetch`] | metadata and target files from a server or a folder |
//! | [`Slots`], [`BootControl`] | where images live, and which one boots |
//! | [`Staging`] | room for a payload beside the slots, where there is some |
//! | [`Flash`] | the one slot of a small device, and a journal, by sectors |
//! | [`Decompress`] | zstd |
//! | [`Store`] | durable records |
//! | [`Counter`] | the anti-rollback number |
//! | [`Health`], [`Hooks`], [`Reboot`] | the product's own scripts |
//! | [`FleetLink`], [`Vault`] | the fleet plane: the way to it, and the device's keys for it |
//! | [`Clock`], [`Describe`] | what time it is, and who this device is |
//!
//! The doubles are compiled with the feature `testing`. They share a [`power::Power`] supply that a test cuts at any
//! operation.

mod boot;
mod clock;
mod counter;
mod decompress;
mod fetch;
mod flash;
mod health;
mod hooks;
mod identity;
mod link;
#[cfg(any(test, feature = "testing"))]
pub mod power;
mod reboot;
mod slots;
mod staging;
mod store;
mod vault;

pub use boot::{BootControl, BootFlag, BootStatus};
pub use clock::Clock;
pub use counter::Counter;
pub use decompress::{Decompress, DecompressError, WINDOW_LENGTH};
pub use fetch::{Fetch, FetchError, Sink, Stop};
pub use flash::{Area, Flash, JOURNAL_SECTORS, LINE};
pub use health::{Health, Verdict};
pub use hooks::{HookEvent, Hooks};
pub use identity::{Describe, Identity, RunningImage};
pub use link::{Call, FleetLink, LinkError, Reply, Who};
pub use reboot::Reboot;
pub use slots::{Slot, Slots};
pub use staging::{IndexOf, Staging};
pub use store::{Loaded, Record, Store};
pub use vault::{NextKey, Vault};

/// The in-memory doubles of all ports.
#[cfg(any(test, feature = "testing"))]
pub mod memory {
    pub use super::boot::MemoryBoot;
    pub use super::clock::FixedClock;
    pub use super::counter::MemoryCounter;
    pub use super::decompress::RunLength;
    pub use super::fetch::{Fault, MemoryFetch};
    pub use super::flash::MemoryFlash;
    pub use super::health::ScriptedHealth;
    pub use super::hooks::MemoryHooks;
    pub use super::link::{LinkFault, MemoryLink};
    pub use super::reboot::MemoryReboot;
    pub use super::slots::MemorySlots;
    pub use super::staging::MemoryStaging;
    pub use super::store::MemoryStore;
    pub use super::vault::MemoryVault;
}

use alloc::string::String;

use perennial_schemas::report::FailureCode;

/// A port could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {detail}")]
pub struct PortError {
    /// Its number in reports.
    pub code: FailureCode,
    /// What was being done, with the file or device: `writing slot B (/dev/mmcblk0p3)`.
    pub operation: String,
    /// What went wrong, as the system says it.
    pub detail: String,
}

impl PortError {
    /// An error with the code that fits the port: [`FailureCode::SlotIo`], [`FailureCode::BootControl`],
    /// [`FailureCode::Storage`], [`FailureCode::Hook`], …
    pub fn new(code: FailureCode, operation: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, operation: operation.into(), detail: detail.into() }
    }
}
