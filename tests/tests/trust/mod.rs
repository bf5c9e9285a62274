//! The trust core against a repository in memory: the workflow, then the attacks, one named test each. Every attack ends
//! with what the device has on its disk: nothing but what was verified.

mod bytes;
mod clock;
mod crypto;
mod delegations;
mod keys;

mod network;
mod rollback;
mod state;

mod workflow;

use std::sync::LazyLock;

use perennial_device_core::trust::{DriveError, MetadataSource, TrustError};
use perennial_tests::simulator::{Device, Repository};

/// A repository, and a device that has refreshed from it once.
fn settled() -> (Repository, Device) {
    static ONCE: LazyLock<(Repository, Device)> = LazyLock::new(settle);
    ONCE.clone()
}

fn settle() -> (Repository, Device) {
    let mut repository = Repository::new();
    repository.add_target("targets", "good", b"good software");
    repository.publish();
    let mut device = Device::born_with(repository.first_root());
    device.refresh(&mut repository).unwrap();
    repository.take_requests();
    (repository, device)
}

/// The refresh is refused, and nothing has changed on the device's disk.
fn refused(device: &mut Device, source: &mut dyn MetadataSource) -> TrustError {
    let before = device.store.clone();
    let error = stopped(device, source);
    assert_eq!(device.store, before, "something was saved");
    error
}

/// The refresh is refused; what was good before the bad file may have been saved.
fn stopped(device: &mut Device, source: &mut dyn MetadataSource) -> TrustError {
    trust_error(device.refresh(source).unwrap_err())
}

fn trust_error(error: DriveError) -> TrustError {
    match error {
        DriveError::Trust(error) => error,
        other => panic!("not a verdict on metadata: {other}"),
    }
}

/// The versions of the four trusted top-level files.
fn versions(device: &Device) -> [u64; 4] {
    ["root.json", "timestamp.json", "snapshot.json", "targets.json"].map(|file| device.version(file))
}
