//! The root role (TUF 5.3): an unbroken chain from the root that the device was born with to the latest.

use alloc::format;
use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::tuf::{Role, Root, TopRole};

use super::checks::{current, not_below, open, version_is};
use super::refresh::{Refresh, Request};
use super::{Floors, TrustError};

impl<C: Crypto> Refresh<'_, C> {
    /// 5.3.3: version N + 1, up to W bytes.
    pub(super) fn root_request(&self) -> Request {
        let next = self.state.root.version().saturating_add(1);
        Request { path: format!("{next}.root.json"), max_length: self.limits.root_length }
    }

    /// Takes root N + 1 (5.3.4 to 5.3.8).
    pub(super) fn accept_root(&mut self, bytes: Vec<u8>) -> Result<(), TrustError> {
        let trusted = &self.state.root;
        let expected = trusted.version().saturating_add(1);
        let file = format!("{expected}.root.json");
        let signature = |source| TrustError::Signature { file: file.clone(), source };

        // 5.3.4 Arbitrary software: a threshold of version N's keys, and a threshold of its own.
        let new = open::<Root>(&file, &bytes)?;
        new.check(&trusted.authority(TopRole::Root), self.crypto).map_err(signature)?;
        let new = new.verify_self(self.crypto).map_err(signature)?;

        // 5.3.5 Rollback: exactly N + 1, so that no root is left out.
        version_is(&file, expected, new.version())?;

        // 5.3.6 Expiry is deliberately not checked here: a device that was off for years walks through roots that
        // expired long ago. The last one is checked in `finish_root`.

        // 5.3.11 belongs to the end of the walk, and is done with each root: so the cleared floors and the root that
        // clears them are saved as one record, and a power cut in between changes nothing.
        let rotated = |role| is_rotated(&self.state.root, &new, role);
        let (timestamp, snapshot) = (rotated(TopRole::Timestamp), rotated(TopRole::Snapshot));
        // Floors that were seen under this root or a later one (recovery) are not those of the keys that go now.
        if new.version() > self.state.floors.root {
            self.forget_rotated(timestamp, snapshot);
            self.state.floors.root = new.version();
        }

        // 5.3.7 The new root is trusted; 5.3.8 it is saved next.
        self.state.root = new.into_inner();
        self.state.root_bytes = bytes;
        Ok(())
    }

    /// The walk is over (5.3.10).
    pub(super) fn finish_root(&self) -> Result<(), TrustError> {
        let root = &self.state.root;
        let file = format!("{}.root.json", root.version());
        // After a recovery: the device has known a later root than the repository shows now, or than this walk came to
        // before its limit; the next refresh goes on from there.
        not_below(&file, self.state.floors.root, root.version())?;
        // 5.3.10 Freeze: the latest root must not have expired.
        current(&file, root.expires(), self.now())
        // 5.3.12 Consistent snapshots: file names are made from `root.consistent_snapshot` where they are asked for.
    }

    /// 5.3.11 Fast-forward recovery. The specification deletes both files if either role's keys were rotated. A
    /// timestamp key can push up the timestamp's version and the snapshot version listed in it, nothing else; a snapshot
    /// key those of the snapshot and of every role in it. We clear what the rotated keys could have pushed up, and no
    /// floor that only other keys could: python-tuf decides the same. Withdrawn digests, support dates and security
    /// versions are not kept here and survive.
    fn forget_rotated(&mut self, timestamp: bool, snapshot: bool) {
        let floors = &mut self.state.floors;
        if timestamp {
            floors.timestamp = 0;
            self.state.timestamp = None;
        }
        if timestamp || snapshot {
            floors.snapshot = 0;
        }
        if snapshot {
            *floors = Floors { roles: Default::default(), ..core::mem::take(floors) };
            self.state.snapshot = None;
        }
    }
}

/// A key that counted for `role` counts no longer. A key that is added, or another threshold, is no rotation: whoever
/// held the old keys could still sign, and the floors that they signed stand.
fn is_rotated(old: &Root, new: &Root, role: TopRole) -> bool {
    let still = new.authority(role);
    old.authority(role)
        .keys()
        .any(|(_, key)| !still.keys().any(|(_, kept)| kept.identity() == key.identity()))
}
