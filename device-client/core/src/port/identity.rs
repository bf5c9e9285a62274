//! Who this device is, and what runs on it.

use alloc::collections::BTreeSet;

use perennial_schemas::ident::{ChannelName, CohortName, DeviceId, Label};
use perennial_schemas::{HardwareName, ProductName, ReleaseVersion, Sha256Digest};

use super::PortError;
use crate::trust::Floors;

/// Who this device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The device.
    pub device: DeviceId,
    /// What it is.
    pub product: ProductName,
    /// Its hardware revision.
    pub hardware: HardwareName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// The cohort that it was sold in, where that was provisioned: its support date may be a later one.
    pub cohort: Option<CohortName>,
    /// The name by which its place in rollouts is drawn: of its factory key where it has one, as its server knows it; else
    /// its own.
    pub drawn_as: DeviceId,
    /// What marks it for early groups: from its certificate, or its provisioning.
    pub labels: BTreeSet<Label>,
    /// What the running image says of itself, where it carries such a file. Taken when the journal knows nothing: on
    /// a device fresh from the factory, and in a recovery.
    pub running: Option<RunningImage>,
}

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningImage {
    /// Its release.
    pub version: ReleaseVersion,
    /// Its anti-rollback number.
    pub security_version: u32,
    /// SHA-256 of its manifest, where it knows it.
    pub manifest: Option<Sha256Digest>,
    /// The versions of the metadata as they stood when it was made: nothing below them is trusted where the device knows
    /// nothing else.
    pub floors: Floors,
}

impl Identity {
    /// The floors that the running image carries.
    pub fn floors(&self) -> Floors {
        self.running.as_ref().map(|running| running.floors.clone()).unwrap_or_default()
    }
}

/// Describes the device.
pub trait Describe {
    /// Who it is. Doesn't change between two boots.
    ///
    /// # Errors
    /// [`PortError`] where its configuration can't be read.
    fn identity(&mut self) -> Result<Identity, PortError>;
}

/// An identity that is known already describes itself.
impl Describe for Identity {
    fn identity(&mut self) -> Result<Identity, PortError> {
        Ok(self.clone())
    }
}
